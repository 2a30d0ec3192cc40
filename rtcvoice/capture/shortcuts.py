"""What an encoder does without where the machine has little time; pure."""

from __future__ import annotations

from rtcvoice.sound.load import Saving
from rtcvoice.sound.opus import Encoder

__all__ = ["take_shortcuts"]

PLAIN_BITRATE = 40000
"""bit/s from which on plain coding is good: at 64000 a tenth of PESQ worse, at 32000 half a
point."""

PLAIN_LOSS = 0.01
"""Part of the packets that is lost, from which on FEC is worth what it costs: plain coding has
none."""


def take_shortcuts(encoder: Encoder, saving: Saving, complexity: int, loss: float) -> None:
    """Set `encoder`, whose complexity would be `complexity`, for its next block.

    loss: part of the packets that the network loses, 0 to 1.
    """
    most, plain = saving.complexity, False
    if saving.plain is not None and encoder.bitrate >= PLAIN_BITRATE and loss < PLAIN_LOSS:
        most, plain = saving.plain, True
    encoder.set_effort(complexity if complexity < most else most, plain=plain)
