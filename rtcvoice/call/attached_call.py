"""What a call is whose audio goes past this program: the verbs that need it are not there.

The other side has the microphone and the loudspeaker. Leaving the call ends nothing; `hangup` does.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, Never, cast

from rtcvoice.call.attached_roads import AttachedRoads
from rtcvoice.call.call import Call
from rtcvoice.call.life import Life
from rtcvoice.call.live_call import LiveCall
from rtcvoice.call.message import Clip
from rtcvoice.call.timings import Timings
from rtcvoice.errors import CallEnded, ConfigError
from rtcvoice.playout.tee import BlockStream

if TYPE_CHECKING:
    from rtcvoice.call.roads import Roads

__all__ = ["AttachedCall", "AttachedLiveCall"]


class _Attached(Call):
    """What differs from a call that has its audio."""

    _attached: AttachedRoads

    def audio(self) -> BlockStream:
        """Raise ConfigError: nothing is heard here."""
        raise _elsewhere("audio()", "the other side has what is heard")

    def mute(self) -> None:
        """Raise ConfigError: the microphone is the other side's."""
        raise _elsewhere("mute()", "have the other side mute its microphone")

    def unmute(self) -> None:
        """Raise ConfigError: the microphone is the other side's."""
        raise _elsewhere("unmute()", "have the other side open its microphone")

    async def finished(self) -> None:
        """Raise ConfigError: the other side decides when all is said."""
        raise _elsewhere("finished()", "await call.wait_ended(), with Limits(idle=...)")

    async def aclose(self) -> None:
        """Let go of the call, which goes on; idempotent. `hangup` ends it."""
        self._life.request_end(CallEnded("no longer attached", normal=True))
        await super().aclose()

    def _open_microphone(self, on: bool) -> None:
        """Leave it to the other side, which holds the key of a `talk`."""

    async def _end_with(self, reason: CallEnded, *, drain: bool) -> None:
        self._attached.leaves_call = False
        await super()._end_with(reason, drain=drain)


class AttachedCall(_Attached):
    """A call of the Realtime API to which a program is attached; made by `rtcvoice.attach`."""

    def __init__(self, roads: Roads, life: Life, timings: Timings) -> None:
        super().__init__(roads, life, timings)
        self._attached = cast(AttachedRoads, roads)


class AttachedLiveCall(_Attached, LiveCall):
    """A session of GPT-Live to which a program is attached; made by `rtcvoice.attach`."""

    def __init__(self, roads: Roads, life: Life, timings: Timings) -> None:
        super().__init__(roads, life, timings, forked=_forked)
        self._attached = cast(AttachedRoads, roads)

    @property
    def muted(self) -> bool:
        """Whether the model gets silence in place of the user."""
        return self._live.muted

    def mute(self) -> None:
        """Have the model hear silence in place of the user."""
        self._live.mute(on=True)

    def unmute(self) -> None:
        """Have the model hear the user again. Once a limit is reached the call stays muted."""
        if not self._polite_ends.at_limit:
            self._live.mute(on=False)

    def _open_microphone(self, on: bool) -> None:
        if on:
            self.unmute()
        else:
            self.mute()

    def _release(self) -> None:
        """Have the model hear silence at once: what is sent is up to the other side."""
        self.mute()

    async def _clip(self, audio: Clip) -> Never:
        """Raise ConfigError: nothing is said from here."""
        raise _elsewhere("audio=", "have the other side say it")

    def _closed_by_server(self, reason: str, why: str) -> None:
        """End: the session is over, whatever for, and it was somebody else's."""
        normal = reason in ("close_requested", "remote_hangup", "connection_lost")
        self._life.request_end(CallEnded(why, normal=normal))


def _forked(
    session_id: str, said: list[Any], options: Mapping[str, Any]
) -> AbstractAsyncContextManager[Call, None]:
    raise ConfigError(
        "a call that was attached to cannot be forked here: its audio is the other side's",
        hint="rtcvoice.connect(history=call.history) goes on from here with audio of its own",
    )


def _elsewhere(verb: str, instead: str) -> ConfigError:
    return ConfigError(
        f"{verb} is not possible: this call is attached to, its audio goes past this program",
        hint=instead,
    )
