"""The assistant's side of a Live conversation: what it says and what of it is heard; pure.

Its words come a moment before their sound, and nothing marks the end of either. A turn goes on as
long as its pauses are short and the user does not speak in them; what was asked of somebody else
(a delegation) holds it open. Words may come that are never heard: when the ear was silenced.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rtcvoice.events import live

from .side import NEXT_AFTER, Side
from .speech import Speech, SpeechChange
from .spoken import Spoken
from .transcript import Words
from .user_side import UserSide

__all__ = ["AssistantSide"]

QUIET_ENDS = 2.0
"""Seconds of silence that end a turn."""

LONGEST_HOLD = 15.0
"""Seconds of silence that end a turn although work that was handed on is not done."""

USER_ENDS = 1.0
"""Seconds of the user's speech since the last sound that end a turn."""

USER_BETWEEN = 0.2
"""Seconds of the user's speech in a pause after which whatever comes is another turn."""

TEXT_PAUSE = 800
"""Milliseconds between words that are a pause, where nothing is heard."""

SOUND_AFTER = 0.4
"""Seconds from the end of words' place to the end of their sound."""

SOUND_TIMEOUT = 3.0
"""Seconds within which words are heard, if they ever are."""

BARGE_IN = 0.5
"""Seconds of the user's speech that interrupt."""

YIELDS = 1.5
"""Seconds within which a model that is interrupted falls silent."""

OVERLAP = 0.2
"""Seconds of both speaking below which the user only answered quickly."""


class AssistantSide(Side):
    """What the assistant says. `is_held`: whether work that was handed on is still to come."""

    role = "assistant"

    def __init__(
        self,
        speech: Speech,
        user: UserSide,
        *args: Any,
        is_held: Callable[[], bool] = lambda: False,
        **named: Any,
    ) -> None:
        super().__init__(speech, *args, **named)
        self.flushed = False
        """Whether the ear was silenced, and the model has not fallen silent since."""
        self._user = user
        self._is_held = is_held
        self._newest_ms = 0

    def feed_block(self, peak: int, at: float, seconds: float) -> SpeechChange | None:
        """Take the peak of the next block that is heard."""
        change = self.speech.feed_block(peak, at, seconds)
        if change is not None:
            self.noted(change, at)
        elif self.speech.speaking and self.open is not None:
            self._sound(self.open)
        return change

    def noted(self, change: SpeechChange, now: float) -> None:
        """Take a change of the assistant's speech."""
        if change.started:
            self.settle(now)
            spoken = self.open
            parted = spoken is not None and (
                (self._is_next(change.at) and spoken.changed_at <= spoken.last_sound)
                or self._user_spoke_after(spoken)
            )
            if spoken is not None and spoken.words and parted:
                self._end(spoken)
                spoken = None
            (spoken or self._begin(change.at, now)).sounds(change.at, self.speech.loud_until)
        elif self.open is not None and self.open.first_sound is not None:
            self.open.sounds(self.open.first_sound, self.speech.loud_until)

    def delta(self, event: live.OutputTranscriptDelta, now: float) -> None:
        """Take words."""
        start = event.start_ms
        if start is None:
            start = max(self._newest_ms, round(self._clock.models(now) or 0))
        self.settle(now)
        spoken = self._late_for(start)
        if spoken is None:
            if self.open is not None and self._is_pause(self.open, start):
                self._end(self.open)
            spoken = self.open or self._begin(now, now)
        self._newest_ms = max(self._newest_ms, start)
        spoken.add(Words(start, max(event.end_ms or start, start), event.delta), now)
        self._changed(spoken)
        if spoken is self.open and self._is_long_enough(spoken, now):
            self._end(spoken)

    def is_to_be_heard(self, now: float) -> bool:
        """Whether words came whose sound has not."""
        spoken = self.open
        if spoken is None or not spoken.words or self.flushed:
            return False
        if spoken.first_sound is None:
            return now < spoken.changed_at + SOUND_TIMEOUT
        return spoken.last_sound < spoken.changed_at and now < spoken.changed_at + SOUND_AFTER

    def flush(self) -> None:
        """Note that nothing more of what is being said is heard."""
        if self.open is not None and (self.speech.speaking or self.open.first_sound is None):
            self.flushed = True

    def settle(self, now: float) -> None:
        """Close what is complete by now."""
        spoken = self.open
        if spoken is not None and now >= self._final_at(spoken):
            self._end(spoken)

    def end(self, now: float) -> None:
        """Close what is open as it stands: cut off, if it is being heard or was about to be."""
        if (spoken := self.open) is not None:
            self._end(spoken, cut=self.speech.speaking or self.is_to_be_heard(now))

    def next_deadline(self) -> float | None:
        """Return when `settle` may close something; None if never."""
        if self.open is None:
            return None
        final_at = self._final_at(self.open)
        return final_at if final_at < float("inf") else None

    def forget(self) -> None:
        """Let no words belong to what was said so far: they are of another session."""
        super().forget()
        self._newest_ms = 0
        self.flushed = False

    # -- inside ---------------------------------------------------------------------------------

    def _late_for(self, start_ms: int) -> Spoken | None:
        """Return the turn before this one if words belong to it."""
        if not self._recent or not (last := self._recent[-1]).words:
            return None
        if self.open is not None and self.open.words:
            belongs = start_ms < self.open.words[0].start_ms
        else:
            belongs = True
        inside = last.words[0].start_ms <= start_ms <= last.words[-1].end_ms
        return last if belongs and inside else None

    def _is_pause(self, spoken: Spoken, start_ms: int) -> bool:
        """Whether words that begin there are of another turn."""
        if not spoken.words:
            return False
        gap = start_ms - spoken.words[-1].end_ms
        if self._at_once:
            parted = gap >= NEXT_AFTER * 1000 and not self.speech.speaking
            return parted or self._owes_another(spoken)
        if not self._hears or spoken.first_sound is None:
            between = spoken.words[-1].end_ms <= self._user.newest_ms + TEXT_PAUSE
            return gap >= TEXT_PAUSE and between
        return gap > 0 and not self.speech.speaking and self._user_spoke_after(spoken)

    def _owes_another(self, spoken: Spoken) -> bool:
        """Whether a sentence is over, and the user has begun another stretch meanwhile."""
        latest = self._user.latest
        return latest is not None and latest.began > spoken.began and self._is_sentence(spoken)

    def _user_spoke_after(self, spoken: Spoken) -> bool:
        if spoken.first_sound is None or self._at_once:
            return False
        return self._user.spoke_since(spoken.last_sound) >= USER_BETWEEN

    @property
    def _hears(self) -> bool:
        return self.speech.heard_any and not self.flushed

    def _final_at(self, spoken: Spoken) -> float:
        if self.speech.speaking and spoken.first_sound is not None and not self.flushed:
            return float("inf")
        said_at = spoken.changed_at + SOUND_AFTER
        if spoken.words and (said := self._clock.ours(spoken.words[-1].end_ms)) is not None:
            said_at = min(max(said_at, said + SOUND_AFTER), spoken.changed_at + 1.0)
        quiet = max(spoken.last_sound, said_at if spoken.words else 0.0)
        if self._hears and spoken.first_sound is None:
            return quiet + SOUND_TIMEOUT
        user_ends = self._hears and not self._at_once
        if user_ends and self._user.spoke_since(spoken.last_sound) >= USER_ENDS:
            return max(quiet, spoken.last_sound + USER_ENDS)
        return quiet + (LONGEST_HOLD if self._is_held() else QUIET_ENDS)

    def _end(self, spoken: Spoken, *, cut: bool = False) -> None:
        interrupted = cut or self.flushed or self._was_interrupted(spoken)
        self.flushed = False
        self._close(spoken, interrupted=interrupted, drop=not spoken.words)

    def _was_interrupted(self, spoken: Spoken) -> bool:
        """Whether the user spoke into it, and it fell silent soon after."""
        if spoken.first_sound is None or self._at_once:
            return False
        for begin, end in self._user.stretches:
            overlap = spoken.last_sound - begin
            if (
                end - begin >= BARGE_IN
                and begin > spoken.first_sound
                and OVERLAP <= overlap <= YIELDS
            ):
                return True
        return False
