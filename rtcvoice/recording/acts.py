"""What a user does in a call; pure.

Each act is bound to the latest thing before it, a `Mark`: an answer was heard to begin or to end,
or the user's own act before it ended; and to the seconds since then.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Any

from .marks import READY, Mark

__all__ = ["Act", "ActKind"]


class ActKind(enum.Enum):
    """What the user, or the user's program, does."""

    SPEAKS = "Says something."
    WRITES = "Sends a text, images, a recorded clip, which are answered."
    PUTS = "Sends a text that nobody answers: it was taken back before."
    ADDS = "Puts a history into the conversation, which is not answered."
    CLEARS = "Has the server forget what it heard."
    COMMITS = "Ends a turn by hand."
    PRESSES = "Presses the key for talking: the answer is stopped, what was heard is forgotten."
    RELEASES = "Releases it: the turn is over."
    ASKS = "Asks for an answer, without having said anything."
    STOPS = "Stops the answer."
    CHANGES = "Changes the session."
    LISTENS = "Waits for the last answer, which may come unasked."
    HANGS_UP = "Ends the call while something is still being answered, or heard."


@dataclass(frozen=True, kw_only=True)
class Act:
    """One thing that the user did, `delay` seconds after the mark."""

    kind: ActKind
    begin: float
    """When, in seconds from the call's beginning; also where its audio begins."""
    end: float
    text: str = ""
    """What was written."""
    images: tuple[bytes, ...] = ()
    """What was shown: files in PNG or JPEG."""
    clip: bytes = b""
    """Recorded speech that was sent: int16 mono at 24 kHz."""
    history: tuple[dict[str, str], ...] = ()
    """What was put into the conversation, as `call.seed` takes it."""
    noticed: bool = False
    """Whether the server noticed by itself that the user had stopped speaking, which is its end."""
    answered: bool = False
    """Whether an answer was asked for, for this alone."""
    options: dict[str, Any] = field(default_factory=dict)
    """Settings of the answer that was asked for; of a change, those of the session."""
    tools: tuple[Any, ...] | None = None
    """Of a change: the definitions of the new tools, not checked; None if they stay."""
    mark: Mark = READY
    delay: float = 0.0
