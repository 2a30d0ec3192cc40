"""A Live conversation in virtual time: who speaks when is given, and events and sound follow.

Times are seconds of the call. The model's clock begins with the session, `START` later than ours;
what is said gives words in steps of 200 ms, and blocks of 20 ms of sound for both sides. The
assistant's words come before their sound, the user's after it, as the service sends them.
"""

from __future__ import annotations

import heapq
import itertools
import re
from typing import Any

from rtcvoice.conversation.state.turns import Turn
from rtcvoice.events import live
from rtcvoice.live.state.live_state import LiveState

__all__ = ["BLOCK", "START", "Scene"]

BLOCK = 0.02
START = 1000.0
"""Our clock when the session begins."""

VOICE = 6000
ROOM = 40
"""Peaks of speech, and of a quiet microphone."""

NETWORK = 0.05
EAR = 0.12
"""Seconds that an event, and a sample until it is heard, take."""


class Scene:
    """One call. Tell it what happens, then `run` it."""

    def __init__(self, *, room: int = ROOM, hears: bool = True) -> None:
        ids = itertools.count(1)
        self.state = LiveState(lambda: f"id_{next(ids)}", model="gpt-live-1.1")
        self.turns: list[Turn] = []
        """All that `take` gave."""
        self.local: list[Any] = []
        self.sent: list[Any] = []
        self.now = START
        self._room = room
        self._hears = hears
        self._heap: list[tuple[float, int, Any]] = []
        self._order = itertools.count()
        self._user: list[tuple[float, float, int]] = []
        self._assistant: list[tuple[float, float, int]] = []
        self._blocks = 0
        self._events = itertools.count()
        self.state.created(START - 0.3)
        self.event(0.0, live.SessionStarted(session=live.Session(id="live_u1_x")))

    # -- what happens ---------------------------------------------------------------------------

    def event(self, at: float, event: Any) -> None:
        """Let an event arrive at a time."""
        heapq.heappush(self._heap, (START + at + NETWORK, next(self._order), event))

    def user(self, text: str, at: float, seconds: float, *, delay: float = 0.8) -> None:
        """Let the user say something."""
        self._user.append((at, at + seconds, VOICE))
        for begin, word in self._spread(text, at, seconds):
            self._delta(live.InputTranscriptDelta, word, begin, begin + 0.2 + delay)

    def noise(self, at: float, seconds: float, peak: int = VOICE) -> None:
        """Let the microphone give something that is no speech."""
        self._user.append((at, at + seconds, peak))

    def assistant(
        self,
        text: str,
        at: float,
        seconds: float,
        *,
        heard: float | None = None,
        yields: bool = False,
    ) -> None:
        """Let the assistant begin to be heard at `at`; of its sound only `heard` seconds are.

        yields: it falls silent of itself, and makes no more words than were about to be heard.
        """
        self._assistant.append((at, at + (seconds if heard is None else heard), VOICE))
        for begin, word in self._spread(text, at - 0.4, seconds):
            if not yields or begin < at + 0.2 + (heard or 0.0):
                self._delta(live.OutputTranscriptDelta, word, begin, begin + 0.2)

    def _spread(self, text: str, at: float, seconds: float) -> list[tuple[float, str]]:
        words = re.findall(r" ?[^ ]+", text)
        step = max(0.2, seconds / len(words))
        return [
            (round((at + number * step) / 0.2) * 0.2, word) for number, word in enumerate(words)
        ]

    def _delta(self, kind: Any, text: str, begin: float, arrives: float) -> None:
        start = max(0, round(begin * 1000))
        self.event(
            arrives,
            kind(
                event_id=f"event_{next(self._events)}",
                delta=text,
                start_ms=start,
                end_ms=start + 200,
            ),
        )

    # -- running --------------------------------------------------------------------------------

    def run(self, until: float) -> Scene:
        """Go on until a time of the call."""
        while self._blocks * BLOCK < until - 1e-9:
            at = START + self._blocks * BLOCK
            self._blocks += 1
            while self._heap and self._heap[0][0] <= at + BLOCK:
                when, _, event = heapq.heappop(self._heap)
                self.now = max(self.now, when)
                self.state.feed(event, self.now)
                self._look()
            self.now = at + BLOCK
            if self._hears:
                self.state.user_sent(self._peak(self._user, at - START), at)
                self.state.assistant_heard(self._peak(self._assistant, at - START, 0), at)
            self._look()
        return self

    def _look(self) -> None:
        self.local += self.state.listen(self.now)
        self.sent += self.state.due(self.now)
        self.turns += self.state.turns.take(self.now)

    def _peak(
        self, said: list[tuple[float, float, int]], at: float, room: int | None = None
    ) -> int:
        quiet = self._room if room is None else room
        return max((p for begin, end, p in said if begin <= at < end - 1e-9), default=quiet)

    # -- what came of it ------------------------------------------------------------------------

    @property
    def final(self) -> list[Turn]:
        """The turns that are final, each in its last form, in the order in which they came."""
        last: dict[str, Turn] = {}
        for turn in self.turns:
            if turn.final:
                last[turn.id] = turn
        return list(last.values())

    @property
    def said(self) -> list[tuple[str, str]]:
        """Who said what, of final turns."""
        return [(turn.role, turn.text) for turn in self.final]
