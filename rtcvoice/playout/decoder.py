"""Packets and holes into PCM, without ever failing: what cannot be decoded is concealed.

libopus conceals a loss by going on with what it heard. That is convincing for one packet; for more
it falls silent too soon, and sometimes at once, amid a voice. Then a `Continuation` takes over.
When a packet comes at last, the voice in it is elsewhere by then: what was invented fades over into
it (NetEq: merge). Where that packet is here before its turn, a `LeadIn` continues the voice
backwards from there, too.
"""

from __future__ import annotations

import math

from rtcvoice.sound import numpy_later as np
from rtcvoice.sound.opus import Decoder, OpusError
from rtcvoice.sound.samples import Samples

from .continuation import LONGEST_CONCEALMENT, Continuation, LeadIn

__all__ = ["LONGEST_CONCEALMENT", "PacketDecoder"]

BY_LIBOPUS = 0.030
"""Seconds that libopus alone conceals..."""

HANDOVER = 0.020
"""...and seconds after it in which the continuation takes over."""

FAINT = 0.1
"""Part of the loudness before a loss (-20 dB) below which 10 ms of what libopus makes of it are a
hole: nobody's voice sinks like that within a packet or two."""


class PacketDecoder:
    """One Opus stream in order, to int16 mono at `rate`. Lengths are samples at `rate`."""

    def __init__(self, rate: int) -> None:
        self.errors = 0
        self._decoder = Decoder(rate)
        self._rate = rate
        self._tenth = rate // 100  # samples of 10 ms
        self._unit = 2 * self._tenth
        self._asked = int((BY_LIBOPUS + HANDOVER) * rate)
        self._by_libopus, self._handed_over = self._shares()
        self._longest = int(LONGEST_CONCEALMENT * rate)
        self._rise = np.linspace(0, 1, rate // 400, endpoint=False, dtype=np.float32)  # 2.5 ms
        self._nothing: Samples = np.zeros(0, np.int16)
        self._past = (self._nothing, self._nothing)  # the latest two pieces that were decoded
        self._continuation: Continuation | None = None
        self._lead_in: LeadIn | None = None
        self._leads_to = b""
        self._ahead = self._nothing  # invented by libopus, not handed out yet
        self._made = 0  # invented by libopus since the loss began
        self._invented = 0
        self._merging = False

    def decode(self, payload: bytes, samples: int) -> Samples:
        """Decode the next packet, which should play for `samples`."""
        leaving = self._leaving() if self._invented or self._merging else None
        try:
            pcm = self._decoder.decode(payload)
        except OpusError:
            self.errors += 1
            return self.conceal(samples)
        if len(pcm) != self._unit:
            self._unit = min(max(len(pcm), self._tenth), 2 * self._tenth)
        return self._merged(leaving, pcm)

    def merge(self) -> None:
        """Let the voice so far fade over into the next packet, which does not follow it."""
        self._merging = True

    def recover(self, following_payload: bytes, samples: int, rest: int | None = None) -> Samples:
        """Rebuild a lost packet of `samples` from the one after it; return its last `rest`.

        `rest` is less than `samples` when the beginning has been concealed already.
        """
        rest = samples if rest is None else rest
        leaving = self._leaving() if self._invented or self._merging else None
        try:
            pcm = self._decoder.recover(following_payload, samples)
        except OpusError:
            return self.conceal(rest)
        return self._merged(leaving, pcm[samples - rest :])

    def conceal(self, samples: int) -> Samples:
        """Invent `samples`, at most 120 ms."""
        begin = self._invented
        self._invented += samples
        if begin >= self._longest:
            return self._led_in(begin, np.zeros(samples, np.int16))
        try:
            lacking = min(samples, self._asked - begin)
            made = self._made_up(begin, samples, self._go_on(lacking) if lacking > 0 else None)
            return self._led_in(begin, made)
        except OpusError:
            return np.zeros(samples, np.int16)

    def lead_to(self, following_payload: bytes, gap: int, lost: int = 0) -> None:
        """Let what is invented lead to the packet that comes after `gap` samples from here.

        If `lost`: to what can be rebuilt from it, a lost packet of so many samples. To be said
        before each `conceal`; does nothing when it was said before.
        """
        end = self._invented + gap
        known = self._lead_in
        if known is not None and known.end == end and self._leads_to is following_payload:
            return
        self._leads_to = following_payload
        self._lead_in = None
        by_libopus = min(gap, self._asked - self._invented)
        try:
            with self._decoder.trial():
                for _ in range(len(self._ahead), by_libopus, self._unit):
                    self._decoder.conceal(self._unit)
                coming = (
                    self._decoder.recover(following_payload, lost)
                    if lost
                    else self._decoder.decode(following_payload)
                )
        except OpusError:
            return
        overlap = len(self._rise)
        self._lead_in = LeadIn(coming, self._invented, end, self._rate, overlap=overlap)

    def end(self, samples: int) -> Samples:
        """Invent `samples` in which the voice falls silent; the next packet rises from there."""
        fade = np.linspace(1, 0, samples, endpoint=False, dtype=np.float32)
        ending: Samples = (self.conceal(samples) * fade).astype(np.int16)
        self._invented = self._longest
        return ending

    def reset(self) -> None:
        """Another stream begins."""
        self._decoder.reset()
        self._past = (self._nothing, self._nothing)
        self._voice_is_back()
        self._merging = True

    def _voice_is_back(self) -> None:
        self._continuation = None
        self._lead_in = None
        self._ahead = self._nothing
        self._made = self._invented = 0
        self._by_libopus, self._handed_over = self._shares()

    def _shares(self) -> tuple[int, int]:
        """Samples after which the continuation begins to take over, and has taken over."""
        return int(BY_LIBOPUS * self._rate), self._asked

    def _go_on(self, samples: int) -> Samples:
        """Let libopus invent at least `samples`; keep what is left over.

        It does so best for a whole packet at once. In a voice packet's wake it counts in 10 ms: of
        less, the rest would be lost.
        """
        lacking = samples - len(self._ahead)
        if lacking > 0:
            more = self._decoder.conceal(-(-lacking // self._unit) * self._unit)
            self._look_for_holes(more)
            self._ahead = np.concatenate((self._ahead, more)) if len(self._ahead) else more
        pcm, self._ahead = self._ahead[:samples], self._ahead[samples:]
        return pcm

    def _look_for_holes(self, made: Samples) -> None:
        """Let the continuation take over early where libopus falls silent amid a voice."""
        least = FAINT * _rms(self._past[1][-self._tenth :])
        for begin in range(0, len(made), self._tenth):
            if self._made < self._by_libopus and _rms(made[begin : begin + self._tenth]) < least:
                self._by_libopus, self._handed_over = self._made, self._made + len(self._rise)
            self._made += self._tenth

    def _made_up(self, begin: int, samples: int, by_libopus: Samples | None) -> Samples:
        """Return `samples`, the first of them the `begin`-th without a packet.

        `by_libopus` is what libopus makes of those that it has a share in, None for later ones.
        """
        end = begin + samples
        if by_libopus is not None and end <= self._by_libopus:
            return by_libopus
        if self._continuation is None:
            self._continuation = Continuation(np.concatenate(self._past), self._rate)
        made = self._continuation.take(begin, samples)
        if by_libopus is not None:
            places = np.arange(begin, begin + len(by_libopus), dtype=np.float32) - self._by_libopus
            share = (places / (self._handed_over - self._by_libopus)).clip(0, 1)
            mixed = by_libopus + (made[: len(by_libopus)] - by_libopus) * share
            made = np.concatenate((mixed, made[len(by_libopus) :]))
        pcm: Samples = made.clip(-32768, 32767).astype(np.int16)
        return pcm

    def _leaving(self) -> Samples | None:
        """What would be heard if nothing came, where what comes does not go on from it."""
        count, begin = len(self._rise), self._invented
        ahead, self._ahead = self._ahead, self._nothing
        led = self._lead_in is not None and begin >= self._lead_in.end
        if led or begin >= self._longest:
            return self._led_in(begin, np.zeros(count, np.int16))
        alone = self._continuation is None  # libopus, so far: no period is looked for at the end
        lacking = count if alone else min(count, self._asked - begin)
        try:
            if len(ahead) < lacking:
                ahead = np.concatenate((ahead, self._decoder.foresee(self._unit)))
        except OpusError:
            return np.zeros(count, np.int16)
        by_libopus = ahead[:lacking] if lacking > 0 else None
        leaving = by_libopus if alone else self._made_up(begin, count, by_libopus)
        return leaving if leaving is None else self._led_in(begin, leaving)

    def _led_in(self, begin: int, made: Samples) -> Samples:
        return made if self._lead_in is None else self._lead_in.mixed(begin, made)

    def _merged(self, leaving: Samples | None, coming: Samples) -> Samples:
        if self._made or self._invented or self._lead_in is not None:
            self._voice_is_back()
        self._merging = False
        if leaving is not None:
            count = min(len(leaving), len(coming))
            old, new = leaving[:count].astype(np.float32), coming[:count]
            mixed = (old + (new - old) * self._rise[:count]).astype(np.int16)
            coming = np.concatenate((mixed, coming[count:]))
        self._past = (self._past[1], coming)
        return coming


def _rms(pcm: Samples) -> float:
    wave = pcm.astype(np.float32)
    return math.sqrt(float(wave @ wave) / max(1, len(wave)))
