"""The roads of a call that is only attached to: two of them are somebody else's.

Nothing is sent and nothing is played here. The end of our part is not the end of the call, unless
that is wanted: then it is hung up by REST.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, cast

from rtcvoice.call.roads import Output, Roads
from rtcvoice.call.telling import CallLeg
from rtcvoice.capture.no_track import NoTrack
from rtcvoice.errors import CallEnded
from rtcvoice.wire.sideband_leg import SidebandLeg

__all__ = ["AttachedRoads", "UnheardOutput"]


class UnheardOutput(Output):
    """The loudspeaker of somebody else: what it plays is not known here."""

    @property
    def sound(self) -> None:
        """None: unknown."""

    @property
    def held(self) -> float:
        """Seconds of audio that have arrived here and are not heard yet: there is none."""
        return 0.0


class AttachedRoads(Roads):
    """The roads of one attached call; see `Roads`."""

    leaves_call = True
    """Whether the call goes on once our part of it has ended."""

    def start(self, *, remember: bool = False) -> None:
        """Do nothing: there is nothing to send and nothing to play."""

    def farewell(self, reason: CallEnded, timeout: float) -> Coroutine[Any, Any, None] | None:
        """Return what hangs the call up, if that is wanted; see `Roads.farewell`."""
        if self.leaves_call:
            return None
        return self._hang_up(super().farewell(reason, timeout))

    async def _hang_up(self, in_due_form: Coroutine[Any, Any, None] | None) -> None:
        if in_due_form is not None:
            await in_due_form
        await self.leg.hang_up()

    def _join(self, leg: CallLeg) -> None:
        super()._join(leg)
        cast(SidebandLeg[NoTrack], leg).track.on_heard = self.conversation.heard
