"""What the dialects beside Realtime (GPT-Live, translations) need of the emulator around them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from rtcvoice.emulator.emulated_call import CallNotes
from rtcvoice.emulator.faults import Faults
from rtcvoice.emulator.kept_calls import KeptCalls
from rtcvoice.emulator.peer import Peer
from rtcvoice.emulator.server_end import ServerEnd
from rtcvoice.emulator.session.persona import Persona

__all__ = ["Host"]


class Host(Protocol):
    """What the other dialects need of the emulator that they run in."""

    kept: KeptCalls
    """The calls of all dialects."""

    async def start(self, offer_sdp: str, call_id: str, new_peer: Callable[..., Peer]) -> str:
        """Start what `new_peer` makes, and return the SDP answer."""
        ...

    def new_persona(self) -> Persona:
        """Return who answers in a new call."""
        ...

    @property
    def faults(self) -> Faults:
        """What goes wrong in new calls."""
        ...

    def keep(self, call_id: str, peer: ServerEnd, notes: CallNotes, faults: Faults) -> None:
        """Count a call among those that run."""
        ...
