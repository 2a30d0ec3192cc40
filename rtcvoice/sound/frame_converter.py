"""Decoded frames of any format into int16 mono at one rate, by way of FFmpeg's resampler."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from rtcvoice.sound import numpy_later as np
from rtcvoice.sound.downmix import Downmix, Wave
from rtcvoice.sound.samples import Samples

if TYPE_CHECKING:
    import av

__all__ = ["FrameConverter"]

logger = logging.getLogger(__name__)

LOWEST_RATE, HIGHEST_RATE = 1000, 1_000_000
"""Hz that a file may have: at a few Hz one packet would become minutes of samples."""

LOUDEST = 32.0
"""How far floats may be beyond full scale; a mix with others may bring them back."""

PIECE = 1.0
"""Seconds of silence at most that are yielded at once."""


class FrameConverter:
    """Makes int16 mono of frames, whose format may change, and of the pauses between them."""

    def __init__(self, rate: int, name: str) -> None:
        self._rate = rate
        self._name = name
        self._format: tuple[str, str, int] | None = None
        self._layout = ""
        self._resampler: av.AudioResampler | None = None
        self._downmix: Downmix | None = None
        self._warned = False

    def process(self, frame: av.AudioFrame, silence: float) -> Iterator[Samples]:
        """Yield what can be converted by now."""
        form = (frame.format.name, frame.layout.name, frame.rate)
        if form != self._format or silence:
            yield from self.finish()
            yield from self._silence(silence)
            self._begin(frame, form)
        assert self._resampler is not None
        frame.pts = None  # they are accounted for; the resampler would stumble over jumps
        yield from self._converted(frame)

    def finish(self) -> Iterator[Samples]:
        """Yield what the resampler holds back; a frame may begin anew."""
        if self._resampler is not None:
            yield from self._converted(None)
        self._resampler = None
        self._format = None

    def _begin(self, frame: av.AudioFrame, form: tuple[str, str, int]) -> None:
        import av  # late: see numpy_later

        if not LOWEST_RATE <= frame.rate <= HIGHEST_RATE:
            raise ValueError(f"its sample rate is {frame.rate} Hz")
        if frame.layout.name != self._layout:
            self._downmix = None
        self._format, self._layout = form, frame.layout.name
        channels = frame.layout.nb_channels
        kind, layout = "s16", frame.layout.name
        if channels > 1:
            kind = "flt"  # not planar: of more than 8 planes PyAV reads beyond the frame
            if "channels" not in layout:  # of loudspeakers: FFmpeg knows what to make of them
                layout, channels = "stereo", 2
            self._downmix = self._downmix or Downmix(channels, self._rate)
        self._resampler = av.AudioResampler(format=kind, layout=layout, rate=self._rate)

    def _converted(self, frame: av.AudioFrame | None) -> Iterator[Samples]:
        assert self._resampler is not None
        for piece in self._resampler.resample(frame):
            if not piece.samples:
                continue
            wave: Any = piece.to_ndarray()[0]
            if self._downmix is not None:
                wave = self._mixed(self._downmix, wave.reshape(-1, piece.layout.nb_channels).T)
            yield wave

    def _mixed(self, downmix: Downmix, wave: Wave) -> Samples:
        samples = downmix.process(np.clip(wave, -LOUDEST, LOUDEST) * 32768.0)
        if downmix.cancelling and not self._warned:
            self._warned = True
            logger.warning(
                "%s: its channels cancel each other out; only one of them is used", self._name
            )
        return samples

    def _silence(self, seconds: float) -> Iterator[Samples]:
        left = round(seconds * self._rate)
        while left:
            count = min(left, round(PIECE * self._rate))
            yield np.zeros(count, np.int16)
            left -= count
