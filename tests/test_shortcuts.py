"""What an encoder does with less, and what it has to keep in a network that loses packets."""

from __future__ import annotations

import pytest

from rtcvoice.capture.shortcuts import PLAIN_BITRATE, take_shortcuts
from rtcvoice.sound.load import STEPS
from rtcvoice.sound.opus import Encoder


@pytest.mark.parametrize(
    ("step", "bitrate", "loss", "complexity", "plain"),
    [
        (0, 64000, 0.0, 5, False),
        (1, 64000, 0.0, 1, False),
        (2, 64000, 0.0, 5, True),
        (3, 64000, 0.0, 0, True),
        (3, 64000, 0.05, 0, False),
        (2, PLAIN_BITRATE - 1, 0.0, 1, False),
    ],
)
def test_shortcuts(step, bitrate, loss, complexity, plain):
    encoder = Encoder(24000, bitrate=bitrate)
    take_shortcuts(encoder, STEPS[step], 5, loss)
    assert (encoder.complexity, encoder.plain) == (complexity, plain)
    take_shortcuts(encoder, STEPS[0], 5, loss)  # and back
    assert (encoder.complexity, encoder.plain) == (5, False)
