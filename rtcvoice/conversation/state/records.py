"""What is known of one item of the conversation: its parts, its text, how far it is; pure."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Any

from rtcvoice.system.states import StateTable

__all__ = ["STATUS", "Part", "Record", "Status"]


class Status(enum.Enum):
    """How far something said, written or called is."""

    IN_PROGRESS = "in_progress"
    """More of it is to come."""
    COMPLETED = "completed"
    """All of it was made; if it is speech, all of it was played."""
    INTERRUPTED = "interrupted"
    """It was cut short: by the user, by us, or by a limit of the model."""
    FAILED = "failed"
    """The server could not finish it."""


STATUS = StateTable(
    {
        Status.IN_PROGRESS: {Status.COMPLETED, Status.INTERRUPTED, Status.FAILED},
        Status.COMPLETED: {Status.INTERRUPTED, Status.FAILED},  # made, but not heard to its end
        Status.INTERRUPTED: {Status.COMPLETED, Status.FAILED},  # a further response went on
        Status.FAILED: set(),
    }
)


@dataclass
class Part:
    """One part of a message: `kind` text, audio or image."""

    kind: str
    text: str = ""
    """What it says; of audio the transcript."""
    complete: bool = False
    """Whether no more text is to come."""
    image_url: str | None = None
    """The picture as a data URI; None once it is too old to be kept."""
    dropped: bool = False
    """Whether the picture, or the sound, was too old to be kept."""
    audio: str | None = None
    """Sound that we sent, base64 of int16 at 24 kHz; None if there is none, or it is too old."""
    detail: str | None = None


@dataclass(eq=False)
class Record:
    """One item, as far as it is known; it changes until `done`."""

    id: str
    began: float
    """When it was first heard of, or its speech began; in the seconds given to `feed`."""
    kind: str = ""
    """message, function_call, function_call_output, ...; empty until the item has come."""
    role: str = ""
    phase: str | None = None
    status: Status = Status.IN_PROGRESS
    reason: str = ""
    """Why it was cut short or failed, in the server's words; empty otherwise."""
    parts: dict[int, Part] = field(default_factory=dict)
    response_id: str = ""
    """The response that made it; empty for the user's."""
    other: dict[str, Any] = field(default_factory=dict)
    """Of what is not a message: its fields."""
    done: bool = False
    """The server will not change it any more."""
    over: bool = False
    """The response that made it is over."""
    seeded: bool = False
    """It was brought along from another conversation."""
    sent: bool = False
    """We made it."""
    timed_out: bool = False
    """The server made it because the user said nothing for a while."""
    heard_ms: int | None = None
    """Of interrupted speech: how much of it was heard."""
    cut: bool = False
    """The server truncated it."""
    published: bool = False
    """Its turn was given to readers as final."""
    published_text: str = ""
    """The text of that turn."""
    changed_at: float = 0.0
    """When an event last changed it."""

    def become(self, status: Status) -> None:
        """Change the status; what has failed stays so."""
        if self.status is not Status.FAILED:
            self.status = STATUS.change(self.status, status, f"item {self.id:.80}")

    @property
    def text(self) -> str:
        """All its text, by part."""
        parts = (part for _, part in sorted(self.parts.items()))
        return "\n".join(part.text for part in parts if part.text)

    @property
    def empty(self) -> bool:
        """Whether nobody said anything: it stands for the user's silence."""
        return self.timed_out and not self.text

    @property
    def called(self) -> bool:
        """Whether it is a call that something may run for: of a function, or the server's own.

        A function runs once the arguments are complete.
        """
        return self.done if self.kind == "function_call" else self.kind not in ("", "message")

    @property
    def spoken(self) -> bool:
        """Whether it is speech, wholly or in part."""
        return any(part.kind == "audio" for part in self.parts.values())

    def part(self, index: int | None, kind: str) -> Part:
        """Return the part at `index`, making it if it is new."""
        return self.parts.setdefault(index or 0, Part(kind))
