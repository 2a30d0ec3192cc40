"""Packets and holes into PCM, without ever failing: what cannot be decoded is concealed.

libopus conceals a loss by going on with what it heard. That is convincing for one or two packets
and a drone afterwards, so a run of it fades out and ends in silence.
"""

from __future__ import annotations

import numpy as np

from rtcvoice.audio import Samples
from rtcvoice.opus import Decoder, OpusError

__all__ = ["LONGEST_CONCEALMENT", "PacketDecoder"]

FADE_AFTER = 0.10
"""Seconds of concealment at full loudness."""

LONGEST_CONCEALMENT = 0.20
"""Seconds after which a concealed voice has faded to silence."""


class PacketDecoder:
    """One Opus stream in order, to int16 mono at `rate`. Lengths are samples at `rate`."""

    def __init__(self, rate: int) -> None:
        self.errors = 0
        self._decoder = Decoder(rate)
        self._fade_after = int(FADE_AFTER * rate)
        self._fade_length = int(LONGEST_CONCEALMENT * rate) - self._fade_after
        self._invented = 0
        self._overlap = rate // 400 * 2  # 5 ms
        self._fading_in = False

    def decode(self, payload: bytes, samples: int) -> Samples:
        """Decode the next packet, which should play for `samples`."""
        try:
            pcm = self._decoder.decode(payload)
        except OpusError:
            self.errors += 1
            return self.conceal(samples)
        self._invented = 0
        if self._fading_in:
            self._fading_in = False
            rise = np.linspace(0, 1, min(self._overlap, len(pcm)), dtype=np.float32)
            pcm = np.concatenate(((pcm[: len(rise)] * rise).astype(np.int16), pcm[len(rise) :]))
        return pcm

    def fade_in(self) -> None:
        """Let the next decoded packet rise from silence: it does not follow the last one."""
        self._fading_in = True

    def recover(self, following_payload: bytes, samples: int, rest: int | None = None) -> Samples:
        """Rebuild a lost packet of `samples` from the one after it; return its last `rest`.

        `rest` is less than `samples` when the beginning has been concealed already: the concealed
        voice then fades over into the rebuilt one.
        """
        rest = samples if rest is None else rest
        overlap: Samples | None = None
        try:
            if rest < samples:
                overlap = self._decoder.conceal(min(self._overlap, rest))
            pcm = self._decoder.recover(following_payload, samples)[samples - rest :]
        except OpusError:
            return self.conceal(rest)
        self._invented = 0
        if overlap is not None:
            rise = np.linspace(0, 1, len(overlap), endpoint=False, dtype=np.float32)
            pcm = pcm.copy()
            pcm[: len(overlap)] = overlap * (1 - rise) + pcm[: len(overlap)] * rise
        return pcm

    def conceal(self, samples: int) -> Samples:
        """Invent `samples`: a multiple of 2.5 ms, at most 120 ms."""
        begin = self._invented - self._fade_after
        self._invented += samples
        if begin >= self._fade_length:
            return np.zeros(samples, np.int16)
        try:
            pcm = self._decoder.conceal(samples)
        except OpusError:
            return np.zeros(samples, np.int16)
        if begin + samples <= 0:
            return pcm
        gain = 1 - np.arange(begin, begin + samples, dtype=np.float32) / self._fade_length
        faded: Samples = (pcm * gain.clip(0, 1)).astype(np.int16)
        return faded

    def reset(self) -> None:
        """Another stream begins."""
        self._decoder.reset()
        self._invented = 0
