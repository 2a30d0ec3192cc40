"""The shell's side of a session whose clock is the audio that arrives: sound in, outputs out, time.

Sound comes in pieces of any length; a session gets it so that a frame of its model, `hub.FRAME`,
ends only with a piece's last sample. The wall's clock runs what is due beside the model.
"""

from __future__ import annotations

from rtcvoice.emulator.live.hub import FRAME, Hub
from rtcvoice.emulator.live.outbox import LiveOutput
from rtcvoice.emulator.session.noise import Noise
from rtcvoice.emulator.session.outputs import Pcm

__all__ = ["StreamCore"]


class StreamCore:
    """What `LiveSession` and `TranslationSession` are driven by alike."""

    def __init__(self, hub: Hub, noise: Noise) -> None:
        self._hub = hub
        self._outbox = hub.outbox
        self._noise = noise

    @property
    def closed(self) -> bool:
        """Whether it has ended; from then on every call is without effect."""
        return self._outbox.closed

    def receive_audio(self, samples: Pcm, now: float) -> None:
        """Take input audio of any length: int16, mono, 24 kHz, shape (n,); it is copied."""
        self._at(now)
        while len(samples) and self._hears:
            count = min(len(samples), FRAME - self._hub.heard % FRAME)
            self._hear(samples[:count].copy())
            samples = samples[count:]

    def advance(self, now: float) -> None:
        """Do everything that is due by `now`."""
        self._at(now)

    def next_deadline(self) -> float | None:
        """Return when `advance` has something to do; None if never."""
        return None if self.closed else self._hub.wall.next_deadline()

    def drain(self) -> list[LiveOutput]:
        """Return what is to be done now, in order."""
        return self._noise.through(self._outbox.drain())

    def _at(self, now: float) -> None:
        self._outbox.now = now
        self._hub.wall.run(now)

    @property
    def _hears(self) -> bool:
        """Whether the model takes sound now."""
        raise NotImplementedError

    def _hear(self, samples: Pcm) -> None:
        """Take audio of which no frame ends before its last sample."""
        raise NotImplementedError
