"""What happens in a call, as neutral facts, and what a listener to them is: the one seam.

    the roads -> telling.py -> listeners.py:Facts -> a queue and a thread each -> FactListener.take

Recording and telemetry listen; the call knows neither.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

if TYPE_CHECKING:
    from rtcvoice.conversation.accounts.latency import TurnLatency
    from rtcvoice.conversation.accounts.usage import CallUsage
    from rtcvoice.conversation.state.turns import Turn
    from rtcvoice.errors import CallEnded
    from rtcvoice.events import Usage
    from rtcvoice.sound.samples import Samples
    from rtcvoice.stats import CallStats

__all__ = [
    "Audio",
    "AudioHeard",
    "AudioSent",
    "CallOver",
    "CallReady",
    "CallStarted",
    "EventReceived",
    "EventSent",
    "Fact",
    "FactListener",
    "Happened",
    "LatencyMeasured",
    "LegEnded",
    "LegUp",
    "LimitTold",
    "ReplyBegan",
    "ReplyEnded",
    "ReplyOutput",
    "SessionKnown",
    "SpeechBegan",
    "SpeechEnded",
    "StageBegan",
    "StageEnded",
    "StatsTick",
    "ToolBegan",
    "ToolEnded",
    "TurnEnded",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Fact:
    """Something that happened in a call."""

    time: float
    """When, in seconds of `rtcvoice.system.clock.now()`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CallStarted(Fact):
    """Connecting began; the first fact. `options` are as given: they may hold secrets."""

    unix_time: float
    options: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class StageBegan(Fact):
    """A stage of connecting began: a field of `Timings`."""

    stage: str


@dataclass(frozen=True, kw_only=True, slots=True)
class StageEnded(Fact):
    """A stage of connecting was passed; one that failed never ends. `seconds`: how long it took."""

    stage: str
    seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class LegUp(Fact):
    """The call goes by this connection from now on; the rest as in `TransportStats`."""

    leg_id: str
    route: str
    via: str
    candidate_pair: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class LegEnded(Fact):
    """The call does not go by this connection any more: it was lost, replaced, or closed."""

    leg_id: str
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionKnown(Fact):
    """The server's session, which is another one than before; `model` as the server names it."""

    session_id: str
    model: str


@dataclass(frozen=True, kw_only=True, slots=True)
class CallReady(Fact):
    """Both sides can be heard. `timings`: the seconds that each stage took, and `total`."""

    timings: Mapping[str, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class EventSent(Fact):
    """An event was sent: JSON, as it travels. It may hold secrets.

    `leg_id`: by which connection, if the server gave it an id. Not `in_use`: it is being made, to
    take the place of another, and its events repeat what was said.
    """

    leg_id: str
    text: str
    in_use: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class EventReceived(Fact):
    """A message of the server, as it came: JSON, if the server does as it should.

    `leg_id`, `in_use`: as of `EventSent`.
    """

    leg_id: str
    text: str
    in_use: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class SpeechBegan(Fact):
    """The server hears the user speak, or says that its voice is heard. `id`: item or response."""

    side: Literal["user", "assistant"]
    id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class SpeechEnded(Fact):
    """The same speech ended. `cut`: it was interrupted."""

    side: Literal["user", "assistant"]
    id: str
    cut: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class TurnEnded(Fact):
    """A turn is final; once more with the same id when its transcript came late."""

    turn: Turn


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplyBegan(Fact):
    """The server began to make a response."""

    response_id: str
    conversation_id: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplyOutput(Fact):
    """The first output of a response is there: a word, a sound, or a part of a function call."""

    response_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplyEnded(Fact):
    """A response is made, or was stopped; `status` and `usage` in the server's words.

    `reason`: why it was cancelled or incomplete, or the code of the error that it failed with.
    """

    response_id: str
    status: str
    usage: Usage | None
    reason: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class LatencyMeasured(Fact):
    """How long a spoken turn waited for its answer is known."""

    latency: TurnLatency


@dataclass(frozen=True, kw_only=True, slots=True)
class ToolBegan(Fact):
    """A tool begins to run."""

    call_id: str
    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class ToolEnded(Fact):
    """A tool returned `output`, or failed: then `failure` says how, and `output` is the message.

    `seconds`: how long it ran; None where it did not return.
    """

    call_id: str
    name: str
    output: str
    failure: str = ""
    seconds: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class LimitTold(Fact):
    """A limit is near, or `reached`."""

    limit: str
    used: float
    maximum: float
    reached: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Happened(Fact):
    """A local event that no other fact is for: `type` is its name, `rtcvoice.device_changed`."""

    type: str
    fields: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class StatsTick(Fact):
    """How the call fares, each second. `latency`: seconds from `AudioHeard` to the ear."""

    stats: CallStats
    usage: CallUsage
    latency: float


@dataclass(frozen=True, kw_only=True, slots=True)
class AudioSent(Fact):
    """20 ms that are sent: int16 mono, after echo cancellation, zeros while muted.

    `index`: samples of its source before these, gaps counted; another source begins anew. `time`:
    when the first sample was captured.
    """

    samples: Samples
    rate: int
    index: int


@dataclass(frozen=True, kw_only=True, slots=True)
class AudioHeard(Fact):
    """10 ms that the sink got: int16 mono, with gaps and concealment as they are heard.

    `index`: samples before these. `time`: when the sink asked for them.
    """

    samples: Samples
    rate: int
    index: int


@dataclass(frozen=True, kw_only=True, slots=True)
class CallOver(Fact):
    """The end, also of a call that did not come about; the last fact.

    `usage` is None when the call never was.
    """

    reason: CallEnded
    usage: CallUsage | None


Audio: TypeAlias = AudioSent | AudioHeard


class FactListener(Protocol):
    """Whoever takes facts. Each call needs a listener of its own; one thread calls it."""

    wants_audio: bool
    """Whether it is told `AudioSent` and `AudioHeard`."""

    def take(self, facts: Sequence[Fact], dropped: int) -> None:
        """Take the facts since the last time, in order for each thread that tells.

        `dropped`: how many were left out before these. It may block; what it raises is logged, and
        it is told nothing more.
        """
