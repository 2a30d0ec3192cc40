"""The sound of a Live session on a WebSocket: PCM at 24 or 16 kHz, or G.711 at 8 kHz, in base64."""

from __future__ import annotations

from typing import Any

from rtcvoice.emulator.session.outputs import RATE_HZ, Pcm
from rtcvoice.emulator.session.wire_audio import AudioReader, AudioWriter
from rtcvoice.sound.resampler import resampler

__all__ = ["SocketReader", "SocketWriter"]


def _other_rate(format_: dict[str, Any]) -> int | None:
    """Return the rate of PCM that is not the core's own."""
    is_other = format_["type"] == "audio/pcm" and format_["rate"] != RATE_HZ
    return int(format_["rate"]) if is_other else None


class SocketReader:
    """Reads what a client sends; `format_` is that of the session's settings."""

    def __init__(self, format_: dict[str, Any]) -> None:
        self._reader = AudioReader(format_)
        rate = _other_rate(format_)
        self._resampler = None if rate is None else resampler(from_rate=rate, to_rate=RATE_HZ)

    def read(self, encoded: str) -> Pcm:
        """Return the samples at 24 kHz. Raises RequestError."""
        samples = self._reader.read(encoded)
        return samples if self._resampler is None else self._resampler.process(samples)


class SocketWriter:
    """Writes what a client gets."""

    def __init__(self, format_: dict[str, Any]) -> None:
        self._writer = AudioWriter(format_)
        rate = _other_rate(format_)
        self._resampler = None if rate is None else resampler(from_rate=RATE_HZ, to_rate=rate)

    def write(self, samples: Pcm) -> str:
        """Return samples at 24 kHz in the client's format."""
        if self._resampler is not None:
            samples = self._resampler.process(samples)
        return self._writer.write(samples)
