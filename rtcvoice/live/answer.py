"""The answer to one request on GPT-Live: the stretch of speech that follows it; pure.

The server says neither that an answer begins nor that it ends. It begins with the first words that
come after the request, or with the next sound; it ends when the assistant has been quiet for the
time that ends a turn, and no work is open.
"""

from __future__ import annotations

from rtcvoice.conversation.asking.answer import Answer
from rtcvoice.conversation.state.records import Status
from rtcvoice.sound.samples import Samples

__all__ = ["LiveAnswer"]

BEGIN_TIMEOUT = 20.0
"""Seconds after which an answer is not waited for any longer: the model may not want to speak."""


class LiveAnswer(Answer):
    """What the assistant says to a request; see `Answer`, whose place it takes in a `Reply`.

    `now`: when it was asked for.
    """

    def __init__(self, now: float) -> None:
        super().__init__()
        self.asked_at = now
        self.began = False
        """Whether any of it was said or heard."""
        self.held = False
        """Whether what is being said belongs to something before it."""

    @property
    def heard(self) -> bool:
        """Whether it is over: it is made as it is heard."""
        return self.done

    def begin_now(self) -> None:
        """Note that the assistant begins to speak."""
        if not self.began:
            self.began = True
            self.changed()

    def said(self, turn_id: str, piece: str) -> None:
        """Take some of its words; `turn_id`: the turn that they belong to, if there is one."""
        self.begin_now()
        self.item_id = turn_id or self.item_id
        self._say("", piece)
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
    def late_at(self) -> float:
        """When it is given up, if nothing was said by then."""
        return self.asked_at + BEGIN_TIMEOUT

    def is_late(self, now: float) -> bool:
        """Whether nothing was said for so long that nothing will be."""
        return not self.began and now >= self.late_at
