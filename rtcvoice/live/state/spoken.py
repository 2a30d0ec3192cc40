"""One stretch of talk of one side: its words, its sound, and whether it is complete; pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from rtcvoice.conversation.state.records import STATUS, Status
from rtcvoice.conversation.state.turns import Turn

from .transcript import Words, continued, insert, joined, together

__all__ = ["Spoken"]

MOST_TEXT = 100_000
"""Characters of one stretch: two hours of talk without a pause."""

MOST_WORDS = 10_000
"""Deltas of one stretch."""

HEARD_SLACK = 100
"""Milliseconds by which words may end after the last sound and count as heard."""


@dataclass(eq=False)
class Spoken:
    """What one side said in one go; it changes until it is `final`, and rarely afterwards."""

    id: str
    role: Literal["user", "assistant"]
    began: float
    """When its sound began, or before there is any, its words; in seconds of our clock."""
    changed_at: float
    """When words of it last came."""
    spoken: bool = True
    """Whether it is speech: the user may also write."""
    seeded: bool = False
    """It was brought along from another conversation."""
    words: list[Words] = field(default_factory=list)
    status: Status = Status.IN_PROGRESS
    reason: str = ""
    first_sound: float | None = None
    """When the first of its sound was heard; None while there was none."""
    last_sound: float = 0.0
    """When the last of its sound so far was heard."""
    heard_ms: int | None = None
    """Of what was interrupted: how much was heard."""
    final: bool = False
    dropped: bool = False
    """It is no turn: noise, or a sign of listening."""
    given: bool = False
    """Readers have seen it."""
    text: str = ""
    _raw: str = ""

    def add(self, words: Words, now: float) -> None:
        """Take more words, in any order; beyond what anybody can say, none."""
        self.changed_at = now
        left = MOST_TEXT - len(self._raw)
        if left <= 0 or len(self.words) >= MOST_WORDS:
            return
        words = words._replace(text=words.text[:left])
        last = insert(self.words, words)
        if last:  # as nearly always: long texts are not put together anew for each word
            self._raw = continued(self._raw, words.text)
        else:
            self._raw = together(self.words)
        self.text = self._raw.strip()

    def sounds(self, began: float, until: float) -> None:
        """Note that it is heard, from `began` until `until` at least."""
        if self.first_sound is None:
            self.first_sound = self.began = began
        self.last_sound = max(self.last_sound, until)

    def close(self, *, interrupted: bool) -> None:
        """Let it be final."""
        self.final = True
        status = Status.INTERRUPTED if interrupted else Status.COMPLETED
        self.status = STATUS.change(self.status, status, f"turn {self.id:.80}")
        if interrupted:
            self.heard_ms = self.heard_so_far_ms

    @property
    def heard_so_far_ms(self) -> int:
        """Milliseconds from its first to its last sound."""
        return 0 if self.first_sound is None else round((self.last_sound - self.first_sound) * 1000)

    @property
    def heard_text(self) -> str:
        """The words that were heard, as far as can be told from how long they were heard."""
        if self.heard_ms is None or not self.words:
            return self.text
        if self.first_sound is None:
            return ""
        until = self.words[0].start_ms + self.heard_ms + HEARD_SLACK
        return joined([each for each in self.words if each.end_ms <= until])

    def turn(self) -> Turn:
        """Return it as it stands now."""
        return Turn(
            id=self.id,
            role=self.role,
            text=self.text,
            status=self.status if self.final else Status.IN_PROGRESS,
            final=self.final,
            spoken=self.spoken,
            phase=None,
            heard_ms=self.heard_ms,
            heard_text=self.heard_text,
            reason=self.reason,
            response_id="",
            began=self.began,
        )
