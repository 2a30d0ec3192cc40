"""The answer to one request on GPT-Live: the stretch of speech that follows it; pure.

The server says neither that an answer begins nor that it ends. It begins with the first words that
come after the request, or with the next sound; it ends when the assistant has been quiet for the
time that ends a turn, and no work is open.
"""

from __future__ import annotations

from rtcvoice.conversation.asking.answer import Answer
from rtcvoice.conversation.state.function_calls import MOST_ROUNDS
from rtcvoice.conversation.state.records import Status
from rtcvoice.events import RealtimeResponse
from rtcvoice.sound.samples import Samples

__all__ = ["LiveAnswer"]

MOST_TEXT = 100_000
"""Characters of one answer: two hours of talk."""

BEGIN_TIMEOUT = 20.0
"""Seconds after which an answer is not waited for any longer: the model may not want to speak."""


class LiveAnswer(Answer):
    """What the assistant says to a request; see `Answer`, whose place it takes in a `Reply`.

    `now`: when it was asked for; None: it is being asked for. `of_work`: in a tool, or in work that
    the voice handed on; it is over when the assistant falls quiet, though that work goes on.
    """

    def __init__(self, now: float | None, *, of_work: bool = False) -> None:
        super().__init__()
        self.asked_at = now
        self.of_work = of_work
        self._quiet = False
        self._length = 0
        self.began = False
        """Whether any of it was said or heard."""
        self.held = False
        """Whether what is being said belongs to something before it."""

    @property
    def heard(self) -> bool:
        """Whether all that is made of it was heard: it is made as it is heard."""
        return self.done or not self.began or self._quiet

    @property
    def waits_for_work(self) -> bool:
        """Whether nothing is being said of it, as long as work that is open goes on."""
        return self.heard and not self.of_work

    def called(self, response_id: str) -> None:
        """Note a response of the backend that calls functions for it."""
        if len(self.responses) < MOST_ROUNDS:
            self.responses[response_id] = RealtimeResponse(id=response_id)
            self.changed()

    def fall_quiet(self) -> None:
        """Note that the assistant is quiet, though more may come."""
        self._quiet = True
        self.changed()

    def begin_now(self) -> None:
        """Note that the assistant begins to speak."""
        if not self.began or self._quiet:
            self.began, self._quiet = True, False
            self.changed()

    def said(self, turn_id: str, piece: str) -> None:
        """Take some of its words; `turn_id`: the turn that they belong to, if there is one."""
        self.begin_now()
        self.item_id = turn_id or self.item_id
        left = MOST_TEXT - self._length
        if left > 0:
            self._length += len(piece)
            self._say("", piece[:left])
        self.changed()

    def sounded(self, samples: Samples) -> None:
        """Take 10 ms that the sink got of it."""
        if self.began:
            self.record(samples)

    def finish(self, status: Status, reason: str = "") -> None:
        """Note that it is over."""
        if not self.done:
            self._become(status)
            self.reason = reason
            self.changed()

    @property
    def late_at(self) -> float | None:
        """When it is given up, if nothing was said by then; None if it is not awaited yet."""
        return None if self.began or self.asked_at is None else self.asked_at + BEGIN_TIMEOUT

    def is_late(self, now: float) -> bool:
        """Whether nothing was said for so long that nothing will be."""
        return self.late_at is not None and now >= self.late_at
