"""What a row of the fault list says; data, and functions that inject."""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from rtcvoice.errors import CallEnded, RtcVoiceError

__all__ = ["Ends", "Fails", "GoesOn", "Must", "Refuses", "Row", "Where"]


class Where(enum.StrEnum):
    """The part that the fault strikes."""

    REST = "REST"
    TOKEN = "token"
    SDP = "SDP"
    ICE = "ICE"
    DTLS = "DTLS"
    SCTP = "SCTP"
    CHANNEL = "channel"
    RTP = "RTP"
    EVENTS = "events"
    DEVICES = "devices"
    USER_CODE = "user code"
    CLOCK = "clock and sleep"
    PROCESS = "process"


@dataclass(frozen=True, kw_only=True)
class Fails:
    """Connecting raises this error, within so many seconds."""

    error: type[BaseException]
    saying: str = ""
    """A part of its text; letters of either case."""
    having: Mapping[str, object] = field(default_factory=dict)
    """Its attributes, such as `stage`."""
    within: float = 2.0

    def __str__(self) -> str:
        words = [f"{name} {value}" for name, value in self.having.items()]
        words += [f"'{self.saying}'"] if self.saying else []
        return f"{', '.join([self.error.__name__, *words])} within {self.within:g} s"


@dataclass(frozen=True, kw_only=True)
class Refuses(Fails):
    """What is asked raises this error; the call goes on, and the next question is answered."""

    again: bool = True
    """Whether the next question can be answered."""

    def __str__(self) -> str:
        return f"ask raises {super().__str__()}; goes on"


@dataclass(frozen=True, kw_only=True)
class Ends:
    """The call ends with a reason that says this, within so many seconds."""

    saying: str = ""
    normal: bool = False
    within: float = 3.0

    def __str__(self) -> str:
        return f"{CallEnded.__name__} '{self.saying}' within {self.within:g} s"


@dataclass(frozen=True, kw_only=True)
class GoesOn:
    """The call goes on: the next question is answered within so many seconds.

    The server of the newest leg knows what was said before, in order and once.
    """

    within: float = 2.0
    legs: int = 1
    told: str = ""
    """The type of an event that the user is told it by."""

    def __str__(self) -> str:
        legs = f" on leg {self.legs}" if self.legs > 1 else ""
        told = f", {self.told}" if self.told else ""
        return f"goes on{legs} within {self.within:g} s{told}"


Must = Fails | Refuses | Ends | GoesOn


async def nothing(scene: Any) -> None:
    """Inject nothing during the call."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One fault and what must follow."""

    where: Where
    injected: str
    must: Must
    server: Mapping[str, Any] = field(default_factory=dict)
    """Options of the emulator; `rewrite` and `bend` as in `live.BentEmulator`."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Options of `connect`."""
    around: Callable[[Any], AbstractAsyncContextManager[Any]] = lambda scene: nullcontext()
    """What is set up before connecting and undone after the call; gets the scene."""
    strike: Callable[[Any], Awaitable[None]] = nothing
    """What is done once the call is up and something was said."""
    virtual: bool = False
    """In virtual time, with `virtual_call.VirtualCall`, whose options `server` are."""
    quick: bool = False
    """Whether the suite plays it."""

    def __str__(self) -> str:
        return f"{self.where}: {self.injected}"


def matches(error: BaseException, must: Fails) -> bool:
    """Whether an error is the one that must come."""
    if not isinstance(error, must.error):
        return False
    found = {name: getattr(error, name, None) for name in must.having}
    hint = error.hint if isinstance(error, RtcVoiceError) else ""
    return found == dict(must.having) and must.saying.lower() in f"{error} {hint}".lower()
