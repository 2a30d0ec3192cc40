"""What the shells, a peer connection or a WebSocket, need of a session core of either dialect."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from rtcvoice.emulator.session.outputs import Pcm

__all__ = ["Core"]


class Core(Protocol):
    """A pure session: every call is followed by `drain()`, whose outputs are carried out."""

    @property
    def warnings(self) -> Sequence[str]:
        """What did not go by the script, oldest first."""
        ...

    def open(self, now: float, *, sideband: bool = False) -> None:
        """Hear that somebody listens."""
        ...

    def receive_text(self, text: str, now: float) -> None:
        """Take one client event."""
        ...

    def receive_audio(self, samples: Pcm, now: float) -> None:
        """Take input audio: int16, mono, 24 kHz."""
        ...

    def advance(self, now: float) -> None:
        """Do everything that is due by `now`."""
        ...

    def drain(self) -> list[Any]:
        """Return what is to be done now, in order."""
        ...
