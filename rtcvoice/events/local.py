"""The events that a call makes itself, `rtcvoice.*`, beside those of the server; and all together.

They come to the same readers, waiters and handlers and are told apart in the same way. What the
server sends never becomes one of them: an event of the server that is called `rtcvoice.*` is an
`UnknownEvent`.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from rtcvoice.events.base import Tagged
from rtcvoice.events.from_server import ReceivedEvent
from rtcvoice.system.public import public

if TYPE_CHECKING:
    from rtcvoice.events.live.from_server import KnownLiveEvent

__all__ = [
    "LOCAL_EVENTS",
    "AssistantStarted",
    "AssistantStopped",
    "Delegation",
    "DeviceChange",
    "DeviceChanged",
    "EventsDropped",
    "GuardFailed",
    "GuardTripped",
    "HandlerError",
    "KnownLocalEvent",
    "LimitNear",
    "LimitReached",
    "LocalEvent",
    "McpServerFailed",
    "Reconnected",
    "Reconnecting",
    "ResumedAfterNoise",
    "ServerEvent",
    "ToolCancelled",
    "ToolFailed",
    "ToolFailure",
    "ToolFinished",
    "ToolProgress",
    "ToolStarted",
    "UserStarted",
    "UserStopped",
]


class LocalEvent(Tagged):
    """Base of the events that a call makes itself; their types begin with `rtcvoice.`."""


# -- the readers of events ------------------------------------------------------------------------


@public
class EventsDropped(LocalEvent, tag="rtcvoice.events_dropped"):
    """This reader fell behind; `count` events were dropped at this point."""

    count: int


@public
class HandlerError(LocalEvent, tag="rtcvoice.handler_error"):
    """A handler raised `exception` while handling `event`; it goes on with the next event."""

    handler: str
    event: ServerEvent
    exception: BaseException


# -- sound devices --------------------------------------------------------------------------------


class DeviceChange(enum.StrEnum):
    """What happened to a device during a call."""

    LOST = "lost"
    """It stopped working, or its sound server did; silence until it is REOPENED."""
    REOPENED = "reopened"
    """Sound again, on the device named: the one wished for if it is there, else the default."""
    ADJUSTED = "adjusted"
    """Opened again with a larger buffer, after repeated dropouts."""
    SILENT = "silent"
    """Nothing but digital zeros has come from it for 10 s: a real microphone makes some noise."""


@public
class DeviceChanged(LocalEvent, tag="rtcvoice.device_changed"):
    """A device of the call was lost, found again, given a larger buffer, or seems to be switched
    off; the call goes on."""

    end: Literal["microphone", "loudspeaker"]
    change: DeviceChange
    device: str
    """Name of the device concerned."""
    reason: str


# -- the connection -------------------------------------------------------------------------------


@public
class Reconnecting(LocalEvent, tag="rtcvoice.reconnecting"):
    """The connection is lost, and another one is being made; one event for each attempt."""

    reason: str
    """Why it was lost."""
    attempt: int
    """From 1 on, since it was lost."""


@public
class Reconnected(LocalEvent, tag="rtcvoice.reconnected"):
    """The call goes on over another connection, in a new session that knows what was said."""

    gap: float
    """Seconds without a connection; 0 where the next one was up before the last one ended."""
    replayed: int
    """Items of the conversation that the new session was given."""
    dropped: int
    """Items that it was not given, because they were too many, or cannot be given."""
    renewed: bool
    """Whether nothing was wrong: the server's time for the old session was nearly over."""


# -- speech and delegated work, with GPT-Live --------------------------------------------------


class _Speech(LocalEvent):
    turn_id: str
    """The `Turn` that it belongs to; it is published only if somebody's words come of it."""
    at: float
    """In seconds of `rtcvoice.system.clock.now()`."""


@public
class AssistantStarted(_Speech, tag="rtcvoice.assistant_started"):
    """The assistant begins to be heard at the loudspeaker (GPT-Live only)."""


@public
class AssistantStopped(_Speech, tag="rtcvoice.assistant_stopped"):
    """The assistant has not been heard for 0.8 s; `at` is its last sound (GPT-Live only)."""


@public
class UserStarted(_Speech, tag="rtcvoice.user_started"):
    """The user begins to speak, or something else is loud (GPT-Live only)."""


@public
class UserStopped(_Speech, tag="rtcvoice.user_stopped"):
    """The user has been silent for 0.6 s; `at` is the last sound (GPT-Live only)."""


@public
class Delegation(LocalEvent, tag="rtcvoice.delegation"):
    """The voice model hands work on (GPT-Live only). It does not say which: read `transcript`."""

    id: str
    target: Literal["client", "responses", "decisions"] | str
    """Who shall do it: this program, the backend model, or the classifier."""
    transcript: str
    """What both sides said since the delegation before, a line for each turn."""
    at: float
    """When it came, in seconds of `rtcvoice.system.clock.now()`."""


# -- limits ---------------------------------------------------------------------------------------

LimitName: TypeAlias = Literal["cost", "idle", "seconds", "tokens"]


@public
class LimitNear(LocalEvent, tag="rtcvoice.limit_near"):
    """The call has used `share` of its limit on `limit`.

    `nudge`: what the assistant is asked to say about it, of silence alone; empty for nothing.
    """

    limit: LimitName
    used: float
    maximum: float
    nudge: str = ""

    @property
    def share(self) -> float:
        """The part of the limit that is used."""
        return self.used / self.maximum


@public
class LimitReached(LocalEvent, tag="rtcvoice.limit_reached"):
    """The limit on `limit` is reached: the call is about to hang up."""

    limit: LimitName
    used: float
    maximum: float

    def __str__(self) -> str:
        units = {"cost": "US$", "idle": "s of silence", "seconds": "s", "tokens": "tokens"}
        unit = units[self.limit]
        return f"the limit of {self.maximum:.12g} {unit} was reached"


# -- tools ----------------------------------------------------------------------------------------


class ToolFailure(enum.StrEnum):
    """Why a call of a tool gave the model an error instead of a result."""

    UNKNOWN_NAME = "unknown_name"
    """The model called something that is not a tool of this session."""
    BAD_ARGUMENTS = "bad_arguments"
    """The model's arguments do not fit the function's signature."""
    REFUSED = "refused"
    """The approval hook said no, or failed."""
    BUSY = "busy"
    """Too many calls wait, or too many that timed out still run in their threads."""
    RAISED = "raised"
    """The function raised, or its process died."""
    TIMED_OUT = "timed_out"
    """The function took longer than its timeout."""
    BAD_RESULT = "bad_result"
    """The result cannot be written as JSON."""
    TOO_LARGE = "too_large"
    """The result is larger than the limit."""
    MCP_SERVER = "mcp_server"
    """The MCP server that has it could not be reached, or broke the protocol."""


@public
class ToolStarted(LocalEvent, tag="rtcvoice.tool_started"):
    """A tool begins to run; `arguments` are checked and typed."""

    name: str
    call_id: str
    item_id: str
    arguments: Mapping[str, Any]
    server: str = ""
    """The MCP server that runs it; empty for your own functions."""


@public
class ToolProgress(LocalEvent, tag="rtcvoice.tool_progress"):
    """A tool that runs told how far it is, by `rtcvoice.tool_progress(text)`."""

    name: str
    call_id: str
    item_id: str
    text: str


@public
class ToolFinished(LocalEvent, tag="rtcvoice.tool_finished"):
    """A tool returned; `output` is what the model gets, `seconds` how long it ran."""

    name: str
    call_id: str
    item_id: str
    output: str
    seconds: float
    server: str = ""


@public
class ToolFailed(LocalEvent, tag="rtcvoice.tool_failed"):
    """A call of a tool failed; the model is told `message`, and the call goes on.

    Keys and tokens are masked in `message`; with `tell_errors=False` the model is not told it where
    a function raised it. `exception` is what the function or the approval hook raised, as it is,
    None when nothing did. `name` may be one that the model made up: without control characters, and
    at most 64 characters of it.
    """

    name: str
    call_id: str
    item_id: str
    failure: ToolFailure
    message: str
    exception: BaseException | None = None
    server: str = ""


@public
class ToolCancelled(LocalEvent, tag="rtcvoice.tool_cancelled"):
    """The call ended while a tool was running, or waiting to; nobody gets its result.

    At a hosted MCP server also: the answer that it ran for was cut off.
    """

    name: str
    call_id: str
    item_id: str
    server: str = ""


@public
class McpServerFailed(LocalEvent, tag="rtcvoice.mcp_server_failed"):
    """An MCP server, or a tool of it, is of no use; `message` says why. The call goes on without.

    `server`: its name or label; empty where the service does not say which it is.
    """

    server: str
    message: str


# -- guards ---------------------------------------------------------------------------------------


@public
class GuardTripped(LocalEvent, tag="rtcvoice.guard_tripped"):
    """A guard objects to an answer: it is stopped, and the model is told why.

    `text`: the words of the answer so far, of which the user may have heard some.
    """

    response_id: str
    text: str
    reason: str


@public
class GuardFailed(LocalEvent, tag="rtcvoice.guard_failed"):
    """The check of a guard raised `exception`; the answer goes on, and so do the checks."""

    response_id: str
    exception: BaseException


@public
class ResumedAfterNoise(LocalEvent, tag="rtcvoice.resumed_after_noise"):
    """An answer that was cut off by a sound without words goes on, after the words heard of it.

    `item_id`: the answer; `noise_item_id`: what cut it off, now no part of the conversation.
    """

    item_id: str
    noise_item_id: str
    heard_text: str


KnownLocalEvent: TypeAlias = (
    AssistantStarted
    | AssistantStopped
    | Delegation
    | DeviceChanged
    | EventsDropped
    | GuardFailed
    | GuardTripped
    | HandlerError
    | LimitNear
    | LimitReached
    | McpServerFailed
    | Reconnected
    | Reconnecting
    | ResumedAfterNoise
    | ToolCancelled
    | ToolFailed
    | ToolFinished
    | ToolProgress
    | ToolStarted
    | UserStarted
    | UserStopped
)

ServerEvent: TypeAlias = "ReceivedEvent | KnownLiveEvent | KnownLocalEvent"
"""Whatever a reader of a call's events may get, with either API."""

LOCAL_EVENTS: dict[str, type[LocalEvent]] = {cls.type: cls for cls in get_args(KnownLocalEvent)}
"""The events of the call itself, by type."""
