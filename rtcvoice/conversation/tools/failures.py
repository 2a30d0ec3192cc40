"""What goes wrong in a call of a tool, as the model, the user and the log are told; pure."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rtcvoice.errors import clean
from rtcvoice.events import ToolFailure
from rtcvoice.masking import masked
from rtcvoice.system.threads import ThreadsBusy

from .function_tool import Tool
from .results import BadResult, TooLarge
from .schema import BadArguments

__all__ = ["Failed", "LateError", "failures", "readable"]

LONGEST_MESSAGE = 1000
"""Characters of an error that the model is told."""

_SAYS_MUCH = (ToolFailure.RAISED, ToolFailure.BAD_RESULT)
"""Failures whose message is made by the user's code."""


class Failed(Exception):  # noqa: N818
    """A call has an error as its answer; `for_model` is for the model where `message` is not."""

    def __init__(self, failure: ToolFailure, message: str, cause: BaseException | None = None):
        super().__init__(message)
        self.failure = failure
        self.message = message
        self.cause = cause
        self.for_model = ""


class LateError(TimeoutError):
    """The time for a job is over; a TimeoutError of the function's own is none of this."""


@contextmanager
def failures(tool: Tool) -> Iterator[None]:
    """Turn what the user's code raises, and what is wrong with its result, into Failed."""
    try:
        yield
    except Exception as exc:
        failed = exc if isinstance(exc, Failed) else _failed(tool, exc)
        if not tool.tell_errors and failed.failure in _SAYS_MUCH:
            failed.for_model = "the function failed"
        raise failed from (None if failed is exc else exc)


def readable(text: str) -> str:
    """Return the text of an error as people and the model may see it: bounded, without keys."""
    return masked(clean(text[: 4 * LONGEST_MESSAGE]))[:LONGEST_MESSAGE]


def _failed(tool: Tool, exc: Exception) -> Failed:
    match exc:
        case BadArguments():
            return Failed(ToolFailure.BAD_ARGUMENTS, f"bad arguments: {exc}")
        case LateError():
            return Failed(ToolFailure.TIMED_OUT, f"it took longer than {tool.timeout:g} s")
        case ThreadsBusy():
            return Failed(ToolFailure.BUSY, str(exc))
        case TooLarge():
            return Failed(ToolFailure.TOO_LARGE, f"{exc}; ask for less")
        case BadResult():
            return Failed(ToolFailure.BAD_RESULT, str(exc))
    return Failed(ToolFailure.RAISED, f"{type(exc).__name__}: {_text(exc)}", exc)


def _text(exc: Exception) -> str:
    """Return what an error says; its own __str__ may fail."""
    try:
        return str(exc)
    except Exception:
        return "(without a readable text)"
