"""The user's side of a Live conversation: when he spoke, and what; pure, time as `now`.

His sound is known at once, his words half a second to a second later, and nobody tells the end of
either. Sound without words is noise; words without sound are the service's imagination (it is known
to take long texts that it was given for the user's words).
"""

from __future__ import annotations

from collections import deque
from typing import Any

from rtcvoice.events import live

from .side import Side
from .speech import Speech, SpeechChange
from .spoken import Spoken
from .transcript import Words, is_acknowledgement

__all__ = ["Stretch", "UserSide"]

LATE_WORDS = 1.2
"""Seconds after the last sound in which words of it usually come."""

LATEST_WORDS = 2.5
"""Seconds of silence after which no more words are waited for, although nobody answers."""

NOISE_AFTER = 3.0
"""Seconds of silence after which sound without any words was noise."""

NOISE_WITHOUT = 6.0
"""Seconds without further words after which sound that goes on is noise."""

NO_WORDS = 5.0
"""Seconds of sound without any words that are noise, however long it goes on."""

NEAR = 2.0
"""Seconds by which words may be off the sound that they belong to."""

QUIET = 50
"""Peak below which the user says nothing at all, however low his voice."""

USUAL_DELAY = 0.8
"""Seconds from words to their text, where nothing is known of the clocks."""

BACKCHANNEL = 1.0
"""Seconds that a sign of listening is at most."""

GOES_ON = 0.8
"""Seconds for which the other side must speak on for it to be one."""

PAUSE = 0.25
"""Seconds of silence that speech has in itself."""

_BIN = 0.2
_BINS = 300

Stretch = list[float]
"""Begin and end of speech so far."""


class UserSide(Side):
    """What the user says. `assistant` is the other side's speech."""

    role = "user"

    def __init__(self, speech: Speech, assistant: Speech, *args: Any, **named: Any) -> None:
        super().__init__(speech, *args, **named)
        self.muted = False
        """Whether the model is given silence instead of him."""
        self.backchannels = 0
        """Signs of listening that made no turn."""
        self.phantoms = 0
        """Words that nobody said."""
        self.newest_ms = 0
        """The latest begin of words, on the model's clock."""
        self.stretches: deque[Stretch] = deque(maxlen=32)
        """The latest speech."""
        self._assistant = assistant
        self._energy: deque[tuple[int, int]] = deque(maxlen=_BINS)  # number of a bin, its peak
        self._over_speech: set[str] = set()  # began while the assistant spoke

    def feed_block(self, peak: int, at: float, seconds: float) -> SpeechChange | None:
        """Take the peak of the next block that is sent."""
        number = int(at / _BIN)
        if self._energy and self._energy[-1][0] == number:
            self._energy[-1] = (number, max(peak, self._energy[-1][1]))
        else:
            self._energy.append((number, peak))
        change = self.speech.feed_block(peak, at, seconds)
        if change is None:
            if self.speech.speaking:
                self._sounding()
            return None
        self.noted(change, at)
        return change

    def noted(self, change: SpeechChange, now: float) -> None:
        """Take a change of the user's speech."""
        if not change.started:
            self._sounding()
            return
        self.settle(now)
        self.stretches.append([change.at, self.speech.loud_until])
        if self.open is not None and self._is_next(change.at):
            self._close(self.open, drop=not self.open.words)
        spoken = self.open or self._begin(change.at, now)
        over = not self._at_once and self._assistant.loud_until >= change.at - PAUSE
        if over and spoken.first_sound is None:
            self._over_speech.add(spoken.id)
        self._sounding()

    def delta(self, event: live.InputTranscriptDelta, now: float) -> bool:
        """Take words; return whether they are anybody's."""
        at = self._clock.ours(event.start_ms) if event.start_ms is not None else None
        at = now - USUAL_DELAY if at is None else min(at, now)
        if not self._at_once and not self._was_loud(at):
            self.phantoms += 1
            return False
        self.settle(now)
        start = event.start_ms
        if start is None:
            start = max(0, round(self._clock.models(at) or self.newest_ms))
        self.newest_ms = max(self.newest_ms, start)
        spoken = self._turn_at(at, now)
        spoken.add(Words(start, max(event.end_ms or start, start), event.delta), now)
        self._changed(spoken)
        if spoken is self.open and self._is_long_enough(spoken, now):
            self._close(spoken)
        return True

    def settle(self, now: float) -> None:
        """Close what is complete by now."""
        spoken = self.open
        if spoken is None or now < (self._final_at(spoken) or float("inf")):
            return
        if not spoken.words:
            self._close(spoken, drop=True)
        elif self._is_backchannel(spoken) and not spoken.given:
            self.backchannels += 1
            self._close(spoken, drop=True)
        else:
            self._close(spoken)
        self._over_speech.discard(spoken.id)

    def end(self) -> None:
        """Close what is open as it stands."""
        if (spoken := self.open) is not None:
            self._close(spoken, drop=not spoken.words)

    @property
    def is_noise(self) -> bool:
        """Whether the latest sound has gone on for long without any words."""
        return self.speech.length >= NO_WORDS and not (self.open and self.open.words)

    def forget(self) -> None:
        """Let no words belong to what was said so far: they are of another session."""
        super().forget()
        self.newest_ms = 0

    def may_be_backchannel(self, spoken: Spoken) -> bool:
        """Whether a stretch may turn out to be a sign of listening."""
        return (
            spoken.id in self._over_speech
            and not spoken.final
            and spoken.heard_so_far_ms <= BACKCHANNEL * 1000
            and is_acknowledgement(spoken.text)
        )

    def spoke_since(self, at: float) -> float:
        """Return the seconds of speech since a moment, a little before it included."""
        since = at - PAUSE
        return sum(max(0.0, end - max(begin, since)) for begin, end in self.stretches)

    def next_deadline(self) -> float | None:
        """Return when `settle` may close something; None if never."""
        return self._final_at(self.open) if self.open is not None else None

    # -- inside ---------------------------------------------------------------------------------

    def _sounding(self) -> None:
        if self.stretches:
            self.stretches[-1][1] = max(self.stretches[-1][1], self.speech.loud_until)
        if self.open is not None:
            self._sound(self.open)

    def _was_loud(self, at: float) -> bool:
        """Whether anything was sent around a moment, as far as is known."""
        if not self.speech.heard_any:
            return not self.muted
        first, last = int((at - NEAR) / _BIN), int((at + NEAR / 2) / _BIN)
        recent = self._energy[-1][0] - int(LATEST_WORDS / _BIN)  # the clocks may be off
        return any(
            peak >= QUIET and (first <= number <= last or number >= recent)
            for number, peak in self._energy
        )

    def _turn_at(self, at: float, now: float) -> Spoken:
        """Return the stretch whose sound is nearest to a moment."""
        candidates = [*self._recent, *([self.open] if self.open else [])]
        if self._at_once and self.open is None and self.speech.speaking:
            return self._begin(at, now)  # what was before ended with a sentence
        best = min(reversed(candidates), key=lambda each: self._distance(each, at), default=None)
        if best is None or self._distance(best, at) > NEAR:
            newest = candidates[-1] if candidates else None
            if newest is None or at > max(newest.began, newest.last_sound):
                if self.open is not None:
                    self._close(self.open, drop=not self.open.words)
                return self._begin(at, now)
        return best if best is not None else self._begin(at, now)

    def _distance(self, spoken: Spoken, at: float) -> float:
        end = max(spoken.last_sound, spoken.began)
        if spoken is self.open and (self.speech.speaking or not self.speech.heard_any):
            end = float("inf")
        return max(spoken.began - at, at - end, 0.0)

    def _final_at(self, spoken: Spoken) -> float | None:
        if self.speech.speaking and spoken.first_sound is not None:
            return spoken.changed_at + NOISE_WITHOUT if spoken.words else None
        quiet = spoken.last_sound or spoken.changed_at
        if not spoken.words:
            return quiet + NOISE_AFTER
        answered = self._assistant.speaking or self._assistant.loud_until > quiet
        answered = answered and not self._at_once
        last = quiet + (LATE_WORDS if answered else LATEST_WORDS)
        return max(last, spoken.changed_at + 0.3)

    def _is_backchannel(self, spoken: Spoken) -> bool:
        return (
            spoken.id in self._over_speech
            and spoken.heard_so_far_ms <= BACKCHANNEL * 1000
            and is_acknowledgement(spoken.text)
            and self._assistant.began < spoken.began
            and self._assistant.loud_until >= spoken.last_sound + GOES_ON
        )
