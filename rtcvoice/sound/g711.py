"""G.711, the telephone's audio: one byte a sample at 8 kHz, as levels that grow with the sound.

https://www.itu.int/rec/T-REC-G.711: `audio/pcmu` is its mu-law, `audio/pcma` its A-law.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from rtcvoice.sound import numpy_later as np
from rtcvoice.sound.samples import Samples

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["RATE_G711", "decoded", "encoded"]

RATE_G711 = 8000
"""Hz."""


def decoded(data: bytes, kind: str) -> Samples:
    """Return the samples that the codes of `audio/pcmu` or `audio/pcma` stand for."""
    samples: Samples = _levels(kind)[np.frombuffer(data, np.uint8)]
    return samples


def encoded(samples: npt.NDArray[np.generic], kind: str) -> bytes:
    """Return the codes whose levels are nearest to samples of the range of int16."""
    borders, codes = _nearest(kind)
    return bytes(codes[np.searchsorted(borders, samples)].tobytes())


@lru_cache(2)
def _levels(kind: str) -> Samples:
    """Return what each of the 256 codes stands for."""
    code = np.arange(256)
    if kind == "audio/pcmu":
        code = ~code & 0xFF
        size = ((((code & 0x0F) << 3) + 0x84) << ((code & 0x70) >> 4)) - 0x84
        return np.where(code & 0x80, -size, size).astype(np.int16)
    code = code ^ 0x55
    size, segment = (code & 0x0F) << 4, (code & 0x70) >> 4
    size = np.where(segment == 0, size + 8, (size + 0x108) << np.maximum(segment - 1, 0))
    return np.where(code & 0x80, size, -size).astype(np.int16)


@lru_cache(2)
def _nearest(kind: str) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.uint8]]:
    """Return the borders between the levels in order, and the code of each level."""
    order = np.argsort(_levels(kind), kind="stable")
    levels = _levels(kind)[order].astype(np.float64)
    return (levels[1:] + levels[:-1]) / 2, order.astype(np.uint8)
