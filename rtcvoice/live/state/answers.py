"""How long the user waits for an answer, and whether one is to come; pure.

Nobody tells that a turn is over, so there is one length only: from the user's last loud block to
the first sound at the loudspeaker. What we asked to be said is no answer of that kind, and neither
is speech that began while the user still spoke.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from rtcvoice.conversation.accounts.latency import TurnLatency

from .assistant_side import AssistantSide
from .spoken import Spoken
from .user_side import UserSide

__all__ = ["Answers"]

LONGEST = 15.0
"""Seconds after the user's words in which speech is an answer to them."""

SOON = 3.0
"""Seconds within which the model mostly begins to answer, or to say what we asked it to."""

LEAST_SPEECH = 0.3
"""Seconds of sound from the user below which nothing is to be answered."""

MOST = 2000
"""Answers that are kept."""


@dataclass(frozen=True)
class _Measured:
    user: Spoken
    assistant: Spoken
    ended_at: float
    heard_at: float


class Answers:
    """Measures the answers of one call."""

    def __init__(self, user: UserSide, assistant: AssistantSide) -> None:
        self._user = user
        self._assistant = assistant
        self._measured: deque[_Measured] = deque(maxlen=MOST)
        self._answered: str = ""
        self._prompted_at: float | None = None
        self._heard_at = 0.0

    @property
    def measured(self) -> tuple[TurnLatency, ...]:
        """The turns of the user that were answered aloud, in order."""
        return tuple(
            TurnLatency(
                item_id=each.user.id,
                response_id=each.assistant.id,
                ended_at=each.ended_at,
                noticed_at=None,
                heard_at=each.heard_at,
            )
            for each in self._measured
            if each.user.words and not each.user.dropped and not each.assistant.dropped
        )

    def prompted(self, now: float) -> None:
        """Note that we asked for something to be said."""
        self._prompted_at = now

    def heard(self, at: float) -> None:
        """Note when the assistant begins to be heard."""
        self._heard_at = at
        ended, prompted = self._user.speech.loud_until, self._prompted_at
        self._prompted_at = None
        user, assistant = self._user.latest, self._assistant.latest
        if user is None or assistant is None or user.first_sound is None:
            return
        if user.id == self._answered or (prompted is not None and prompted >= ended):
            return
        if ended < at <= ended + LONGEST:
            self._answered = user.id
            self._measured.append(_Measured(user, assistant, ended, at))

    def is_awaited(self, now: float) -> bool:
        """Whether the assistant is about to speak, as far as can be told."""
        until = self._awaited_until()
        return until is not None and now < until

    def next_deadline(self) -> float | None:
        """Return when nothing is awaited any more; None if nothing is."""
        return self._awaited_until()

    def _awaited_until(self) -> float | None:
        moments = []
        if self._prompted_at is not None:
            moments.append(self._prompted_at + SOON)
        speech = self._user.speech
        said = speech.length >= LEAST_SPEECH and not self._user.is_noise
        if said and speech.loud_until > self._heard_at:
            moments.append(speech.loud_until + SOON)
        return max(moments, default=None)
