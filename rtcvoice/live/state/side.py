"""What both sides of a Live conversation have in common: the stretch of talk that is open; pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Literal

from .clock_map import ClockMap
from .speech import Speech
from .spoken import Spoken

__all__ = ["RECENT", "Side"]

RECENT = 8
"""Stretches of talk of one side that late words may still belong to."""

NEXT_AFTER = 1.0
"""Seconds of silence between two stretches where both sides speak at once."""

LONG = 15.0
"""Seconds after which a stretch ends with its sentence where both sides speak at once."""

_SENTENCE_ENDS = tuple(".!?\u2026\u3002\uff01\uff1f\u061f\u0964")

BEFORE_WORDS = 0.5
"""Seconds by which sound may have begun before the place of its first words."""


class Side:
    """One side. `speech` finds its speech; `clock` relates its words to it.

    `at_once`: both sides speak at once, as with an interpreter; neither interrupts the other,
    answers it or waits for it, so that pauses and sentences alone part what one side says.
    """

    role: Literal["user", "assistant"]

    def __init__(
        self,
        speech: Speech,
        clock: ClockMap,
        new_id: Callable[[], str],
        *,
        added: Callable[[Spoken], None],
        changed: Callable[[Spoken], None],
        at_once: bool = False,
    ) -> None:
        self.speech = speech
        self._at_once = at_once
        self.open: Spoken | None = None
        """The stretch of talk that goes on, or may go on; None if there is none."""
        self._clock = clock
        self._recent: deque[Spoken] = deque(maxlen=RECENT)
        self._new_id = new_id
        self._added = added
        self._changed = changed

    @property
    def latest(self) -> Spoken | None:
        """The stretch that is open, or else the last one; None before any."""
        return self.open or (self._recent[-1] if self._recent else None)

    @property
    def turn_id(self) -> str:
        """The id of the latest stretch; empty before any."""
        return self.latest.id if self.latest else ""

    @property
    def last_word_at(self) -> float:
        """When it last was heard to speak with words, or words came; 0 before any."""
        spoken = [*self._recent, *([self.open] if self.open else [])]
        return max((max(s.last_sound, s.changed_at) for s in spoken if s.words), default=0.0)

    def forget(self) -> None:
        """Let no words belong to what was said so far: they are of another session."""
        self._recent.clear()

    def _is_next(self, began: float) -> bool:
        """Whether sound that begins then is of another stretch than the open one's."""
        spoken = self.open
        if not self._at_once or spoken is None or spoken.first_sound is None:
            return False
        return began - spoken.last_sound >= NEXT_AFTER

    def _is_long_enough(self, spoken: Spoken, now: float) -> bool:
        """Whether a stretch that goes on is to end here, with a sentence."""
        return self._at_once and now - spoken.began >= LONG and self._is_sentence(spoken)

    @staticmethod
    def _is_sentence(spoken: Spoken) -> bool:
        """Whether its words so far end as a sentence does."""
        return spoken.text.endswith(_SENTENCE_ENDS)

    def _sound(self, spoken: Spoken) -> None:
        """Note that it is being heard; sound may have begun long before, and not for it."""
        began = max(self.speech.began, spoken.began - BEFORE_WORDS)
        spoken.sounds(began, self.speech.loud_until)

    def _begin(self, began: float, now: float) -> Spoken:
        spoken = Spoken(id=self._new_id(), role=self.role, began=began, changed_at=now)
        self.open = spoken
        self._added(spoken)
        return spoken

    def _close(self, spoken: Spoken, *, interrupted: bool = False, drop: bool = False) -> None:
        spoken.dropped = drop
        spoken.close(interrupted=interrupted)
        if self.open is spoken:
            self.open = None
        if not drop:
            self._recent.append(spoken)
        self._changed(spoken)
