"""What was found: how bad it is, in words, and what to do about it."""

from __future__ import annotations

import enum
from typing import NamedTuple

from rtcvoice.errors import RtcVoiceError

__all__ = ["Finding", "Severity", "of_error"]


class Severity(enum.StrEnum):
    """How bad a finding is."""

    OK = "ok"
    """As it should be."""
    WARN = "warn"
    """Calls work, but something about them may not."""
    FAIL = "fail"
    """Calls do not work."""
    SKIP = "-"
    """Could not be looked at, because of something else or because there is nothing."""


class Finding(NamedTuple):
    """One line of the result."""

    area: str
    """What was looked at, in a word."""
    level: Severity
    text: str
    cure: str = ""
    """What to do; always there when it is not OK."""
    error: RtcVoiceError | None = None
    """What a call would raise because of this."""


def of_error(area: str, error: RtcVoiceError, level: Severity = Severity.FAIL) -> Finding:
    """Return an error as a finding."""
    return Finding(area, level, error.message, error.hint or "try again", error)
