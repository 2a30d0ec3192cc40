"""What a sideband hears of a call: both sides in pieces of 200 ms, the user before any mute."""

from __future__ import annotations

import base64

import numpy as np

from rtcvoice.emulator.live.fixture import Fixture
from rtcvoice.emulator.live.hub import FRAME_MS, Hub
from rtcvoice.emulator.live.speaker import Speaker
from rtcvoice.emulator.session.outputs import Pcm

__all__ = ["Reflection"]


class Reflection:
    """Sends nothing while `wanted` is False: most calls have no sideband."""

    def __init__(self, hub: Hub, speaker: Speaker, fixture: Fixture) -> None:
        self._hub = hub
        self._speaker = speaker
        self._fixture = fixture
        self._blocks: list[Pcm] = []
        self.wanted = False

    def heard(self, samples: Pcm) -> None:
        """Take the next samples of the user."""
        if self.wanted:
            self._blocks.append(samples)

    def frame(self, clock_ms: int) -> None:
        """Send the frame that ends at `clock_ms`."""
        if not self.wanted:
            self._blocks.clear()
            return
        heard, self._blocks = np.concatenate(self._blocks), []
        self._hub.outbox.reflect({"type": "session.input_audio.append", "audio": _encoded(heard)})
        start_ms = clock_ms - FRAME_MS
        said = self._fixture.sound() if self._fixture.playing else self._speaker.sound(start_ms)
        self._hub.outbox.reflect(
            {
                "type": "session.output_audio.delta",
                "delta": _encoded(said),
                "start_ms": start_ms,
                "end_ms": clock_ms,
            }
        )


def _encoded(samples: Pcm) -> str:
    return base64.b64encode(samples.astype("<i2").tobytes()).decode()
