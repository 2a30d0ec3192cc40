"""What a persona wants done in answer: words to say, functions to call, and what is to go wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from rtcvoice.emulator.session.clips import Speech
from rtcvoice.system.options import Options

__all__ = ["Call", "Failure", "HostedCall", "Output", "Plan", "Say"]

_MESSAGES = {
    "server_error": "The server had an error while processing your request. Sorry about that!",
    "rate_limit_exceeded": "Rate limit reached for this model. Please try again later.",
    "inference_rate_limit_exceeded": "Rate limit reached for this model. Please try again later.",
    "insufficient_quota": "You exceeded your current quota, please check your plan and billing"
    " details.",
}
_INCOMPLETE = ("content_filter", "max_output_tokens")


@dataclass(frozen=True)
class Say:
    """A message: its words, and the recording of them; without one the voice does what it can."""

    text: str
    speech: Speech | None = None


@dataclass(frozen=True)
class Call:
    """A function call: the function's name, and its arguments as they go over the wire."""

    name: str
    arguments: str = "{}"


@dataclass(frozen=True)
class HostedCall:
    """A call that the service makes itself, at a hosted MCP server, with what comes of it."""

    server: str
    """The server's label in the session's tools."""
    tool: str
    arguments: str = "{}"
    gives: str = ""
    fails: str = ""
    """What the tool says went wrong; empty where it gives its result."""
    approval_request_id: str | None = None
    """The question that was answered with yes, where one was asked."""


Output: TypeAlias = Say | Call | HostedCall
"""One output item of a response."""


@dataclass(frozen=True)
class Failure(Options):
    """The response ends badly after so many deltas; 0: before its first item."""

    code: str
    """An error code, or `content_filter` or `max_output_tokens` for an incomplete response."""
    after: int = 3
    message: str | None = None

    @property
    def incomplete(self) -> bool:
        """Whether the response ends `incomplete` rather than `failed`."""
        return self.code in _INCOMPLETE

    def details(self) -> dict[str, object]:
        """Return the `status_details` of the response."""
        if self.incomplete:
            return {"type": "incomplete", "reason": self.code}
        kind = "server_error" if self.code == "server_error" else "invalid_request_error"
        error = {"type": kind, "code": self.code, "message": self.words}
        return {"type": "failed", "error": error}

    @property
    def words(self) -> str:
        """What the error says."""
        return self.message or _MESSAGES.get(self.code, "The emulator was asked to fail here.")


@dataclass(frozen=True)
class Plan:
    """One response. The default is one that completes; it may have no output at all."""

    outputs: tuple[Output, ...] = ()
    delay: float = 0.0
    """Seconds before the first item, on top of the session's pace."""
    failure: Failure | None = None
    """How it ends, if not well."""
    stalls_after: int | None = None
    """After so many deltas nothing more comes, until it is cancelled."""
    lost: bool = False
    """There is no response at all."""
    refused: str | None = None
    """There is an `error` with this code instead of the response."""
    expires: bool = False
    """The session expires when the response is done."""
    heard_out: Callable[[], None] | None = None
    """Called when all of its sound was played, and nobody interrupted."""
    yields: bool | None = None
    """Live: whether the answer stops when the user talks over it; None: as the emulator has it."""
    delegates: bool = False
    """Live: whoever does the work is asked to."""
    then: Plan | None = None
    """Live: what the backend answers to work in which it calls no function."""
    decides: tuple[Any, ...] = ()
    """Live: what the questions of decisions are answered, in their order."""
    pauses: bool = False
    """Live: the session pauses when the answer was said, if it may."""
    stage: object = None
    """Live: the turn of a script that this is, so that what follows it can be found."""
