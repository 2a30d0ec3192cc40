"""A sound that the client has the session play; meanwhile nothing is heard, and nothing said."""

from __future__ import annotations

import numpy as np

from rtcvoice.emulator.live.hub import FRAME, Hub
from rtcvoice.emulator.session.outputs import Pcm, PlayAudio

__all__ = ["Fixture"]


class Fixture:
    """Plays one fixture at a time, frame by frame of the model's clock."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._sound: Pcm | None = None
        self._frames = 0
        self._client_event: str | None = None

    @property
    def playing(self) -> bool:
        """Whether one is being played."""
        return self._sound is not None

    def play(self, sound: Pcm, client_event: str | None) -> None:
        """Begin; there must be none yet."""
        self._sound, self._frames, self._client_event = sound, 0, client_event
        self._hub.outbox.send("session.output_audio.fixture.playing", client_event=client_event)
        self._hub.outbox.put(PlayAudio(sound, ""))

    def frame(self) -> None:
        """Count a frame, and tell when the sound is over."""
        self._frames += 1
        if self._sound is not None and self._frames * FRAME >= len(self._sound):
            self._sound = None
            self._hub.outbox.send(
                "session.output_audio.fixture.played", client_event=self._client_event
            )

    def sound(self) -> Pcm:
        """Return the frame that has just been played."""
        frame = np.zeros(FRAME, np.int16)
        if self._sound is not None:
            part = self._sound[self._frames * FRAME : (self._frames + 1) * FRAME]
            frame[: len(part)] = part
        return frame
