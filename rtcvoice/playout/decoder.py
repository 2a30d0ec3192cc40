"""Packets and holes into PCM, without ever failing: what cannot be decoded is concealed.

libopus conceals a loss by going on with what it heard. That is convincing for one or two packets
and a drone afterwards, so a run of it fades out and ends in silence. When a packet comes at last,
the voice in it is elsewhere by then: what was invented fades over into it (NetEq: merge).
"""

from __future__ import annotations

from rtcvoice.sound import numpy_later as np
from rtcvoice.sound.opus import Decoder, OpusError
from rtcvoice.sound.samples import Samples

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
        self._unit = rate // 100
        self._fade_after = int(FADE_AFTER * rate)
        self._fade_length = int(LONGEST_CONCEALMENT * rate) - self._fade_after
        self._rise = np.linspace(0, 1, rate // 400, endpoint=False, dtype=np.float32)  # 2.5 ms
        self._nothing: Samples = np.zeros(0, np.int16)
        self._ahead = self._nothing  # invented, not handed out yet
        self._invented = 0
        self._merging = False

    def decode(self, payload: bytes, samples: int) -> Samples:
        """Decode the next packet, which should play for `samples`."""
        leaving = self._leaving()
        try:
            pcm = self._decoder.decode(payload)
        except OpusError:
            self.errors += 1
            return self.conceal(samples)
        return self._merged(leaving, pcm)

    def merge(self) -> None:
        """Let the voice so far fade over into the next packet, which does not follow it."""
        self._merging = True

    def recover(self, following_payload: bytes, samples: int, rest: int | None = None) -> Samples:
        """Rebuild a lost packet of `samples` from the one after it; return its last `rest`.

        `rest` is less than `samples` when the beginning has been concealed already.
        """
        rest = samples if rest is None else rest
        leaving = self._leaving()
        try:
            pcm = self._decoder.recover(following_payload, samples)
        except OpusError:
            return self.conceal(rest)
        return self._merged(leaving, pcm[samples - rest :])

    def conceal(self, samples: int) -> Samples:
        """Invent `samples`, at most 120 ms."""
        begin = self._invented
        self._invented += samples
        if begin >= self._fade_after + self._fade_length:
            return np.zeros(samples, np.int16)
        try:
            pcm = self._go_on(samples)
        except OpusError:
            return np.zeros(samples, np.int16)
        return self._faded(pcm, begin)

    def end(self, samples: int) -> Samples:
        """Invent `samples` in which the voice falls silent; the next packet rises from there."""
        fade = np.linspace(1, 0, samples, endpoint=False, dtype=np.float32)
        ending: Samples = (self.conceal(samples) * fade).astype(np.int16)
        self._invented = self._fade_after + self._fade_length
        return ending

    def reset(self) -> None:
        """Another stream begins."""
        self._decoder.reset()
        self._ahead = self._nothing
        self._invented = 0
        self._merging = True

    def _go_on(self, samples: int) -> Samples:
        """Let libopus invent at least `samples`; keep what is left over.

        In a voice packet's wake it counts in 10 ms: of less, the rest would be lost.
        """
        lacking = samples - len(self._ahead)
        if lacking > 0:
            more = self._decoder.conceal(-(-lacking // self._unit) * self._unit)
            self._ahead = np.concatenate((self._ahead, more)) if len(self._ahead) else more
        pcm, self._ahead = self._ahead[:samples], self._ahead[samples:]
        return pcm

    def _leaving(self) -> Samples | None:
        """What would be heard if nothing came, where what comes does not go on from it."""
        if not self._invented and not self._merging:
            return None
        count, ahead = len(self._rise), self._ahead
        self._ahead = self._nothing
        if len(ahead) < count:
            try:
                ahead = np.concatenate((ahead, self._decoder.foresee(self._unit)))
            except OpusError:
                return np.zeros(count, np.int16)
        return self._faded(ahead[:count], self._invented)

    def _faded(self, pcm: Samples, begin: int) -> Samples:
        """Make `pcm` as quiet as what is invented `begin` samples after the last packet."""
        begin -= self._fade_after
        if begin + len(pcm) <= 0:
            return pcm
        gain = 1 - np.arange(begin, begin + len(pcm), dtype=np.float32) / self._fade_length
        faded: Samples = (pcm * gain.clip(0, 1)).astype(np.int16)
        return faded

    def _merged(self, leaving: Samples | None, coming: Samples) -> Samples:
        self._invented = 0
        self._merging = False
        if leaving is None:
            return coming
        count = min(len(leaving), len(coming))
        old, new = leaving[:count].astype(np.float32), coming[:count]
        mixed = (old + (new - old) * self._rise[:count]).astype(np.int16)
        return np.concatenate((mixed, coming[count:]))
