"""What is sent when the calls of a response are answered: their outputs, and one request; pure."""

from __future__ import annotations

import logging
from collections.abc import Callable

from rtcvoice import events
from rtcvoice.events import ResponseParams

from .function_calls import MOST_ROUNDS, AnsweredCalls
from .requests import Request

__all__ = ["FollowUps"]

logger = logging.getLogger(__name__)

REMEMBERED = 2000
"""Responses of which is known how many rounds of calls led to them."""


class FollowUps:
    """Makes what follows up function calls. `new_id` makes ids that are unique in the session."""

    def __init__(self, new_id: Callable[[], str]) -> None:
        self.calls_forced = False
        """Whether the session forces each response to call a function."""
        self.changed: Callable[[Request], None] = lambda request: None
        """Called when a request made here changes; may not raise."""
        self.silent: Callable[[str], None] = lambda response_id: None
        """Told of a response whose calls are answered, and nobody speaks of it; may not raise."""
        self._new_id = new_id
        self._rounds: dict[str, int] = {}

    def begin(self, response_id: str, follows: str) -> None:
        """Note a response that begins, and which one's calls it follows up, if any's."""
        if follows:
            self._rounds[response_id] = self._rounds_of(follows) + 1
        if len(self._rounds) > REMEMBERED:
            del self._rounds[next(iter(self._rounds))]

    def outputs(
        self, answered: AnsweredCalls
    ) -> tuple[list[events.ConversationItemCreate], Request | None]:
        """Return the items of a response's outputs, and the request that they be answered."""
        creations = []
        made: set[str] = set()
        for call, output in answered.outputs:
            item_id = self._new_id()
            made.add(item_id)
            item = events.FunctionCallOutput(id=item_id, call_id=call.call_id, output=output)
            creations.append(events.ConversationItemCreate(event_id=self._new_id(), item=item))
        if not answered.wanted:
            if answered.silent:
                self.silent(answered.response_id)
            return creations, None
        return creations, Request(
            tag=self._new_id(),
            params=self._params(answered.response_id),
            items=frozenset(made),
            shared=True,
            follows=answered.response_id,
            changed=self.changed,
        )

    def after_verdict(self, response_id: str, item_id: str) -> Request:
        """Return the request to go on once a verdict is in, which `item_id` will be.

        A response asked for the verdict. A service that goes on by itself answers this request.
        """
        return Request(
            tag=self._new_id(),
            params=self._params(response_id),
            items=frozenset({item_id}),
            after_items=True,
            shared=True,
            follows=response_id,
            changed=self.changed,
        )

    def _rounds_of(self, response_id: str) -> int:
        """Return the rounds that led to a response; 0 for one that follows up none."""
        return self._rounds.get(response_id, 0)

    def _params(self, response_id: str) -> ResponseParams | None:
        """Return what the answer to outputs shall differ in.

        What the session forces holds for the first response only: each further one would have to
        call again and could never speak. So does a model that calls without end.
        """
        if self._rounds_of(response_id) + 1 >= MOST_ROUNDS:
            logger.warning(
                "x %d rounds of function calls without an end: the next answer may call none",
                MOST_ROUNDS,
            )
            return ResponseParams(tool_choice="none")
        return ResponseParams(tool_choice="auto") if self.calls_forced else None
