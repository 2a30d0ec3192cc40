"""Outputs that were given to the backend; those that it refuses are given again, shortened; pure.

The service refuses outputs that are too large together, and then the request to go on, which lacks
them. Both refusals name what they refuse, in any order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from rtcvoice.conversation.state.function_calls import CalledFunction
from rtcvoice.events import live

from .outputs import PLACEHOLDER, fitting, items_of

__all__ = ["GivenOutputs"]

TRIES = 2
"""Times that refused outputs are given again."""


@dataclass
class _Batch:
    """What was sent for one request to go on, in case it is refused."""

    request: str
    outputs: dict[str, tuple[CalledFunction, str]]
    """By the event_id that brought it."""
    tries: int = 1
    refused: set[str] = field(default_factory=set)
    request_refused: bool = False


class GivenOutputs:
    """The last outputs of one session. `new_id` makes ids for events that are sent."""

    def __init__(self, new_id: Callable[[], str]) -> None:
        self._new_id = new_id
        self._sent: deque[_Batch] = deque(maxlen=4)
        self._again: deque[_Batch] = deque()

    def give(
        self, outputs: list[tuple[CalledFunction, str]], *, go_on: bool
    ) -> list[live.LiveClientEvent]:
        """Return the events that give all outputs, and one request to go on if that is wanted."""
        fit = fitting(outputs)
        batch = _Batch(self._new_id(), {self._new_id(): each for each in fit})
        if fit:
            self._sent.append(batch)
        request = [live.ResponseCreate(event_id=batch.request)] if go_on else []
        return [*items_of(batch.outputs), *request]

    def refused(self, event: live.ErrorEvent) -> None:
        """Note an error of the server's, if it is about what was given."""
        cause = event.caused_by or ""
        for batch in self._sent:
            if cause in batch.outputs and event.error.code == "response_input_buffer_full":
                batch.refused.add(cause)
            elif cause == batch.request:
                batch.request_refused = True
            else:
                continue
            ready = batch.refused and batch.request_refused
            if ready and batch.tries < TRIES and batch not in self._again:
                self._again.append(batch)
            return

    @property
    def has_refused(self) -> bool:
        """Whether refused outputs wait to be given again."""
        return bool(self._again)

    def give_again(self) -> list[live.LiveClientEvent]:
        """Return placeholders for what was too large, and the request once more."""
        batch = self._again.popleft()
        outputs = {
            self._new_id(): (batch.outputs[refused][0], PLACEHOLDER)
            for refused in sorted(batch.refused)
        }
        again = _Batch(self._new_id(), outputs, tries=batch.tries + 1)
        self._sent.append(again)
        return [*items_of(outputs), live.ResponseCreate(event_id=again.request)]

    def clear(self) -> None:
        """Forget all of it: the session is gone."""
        self._sent.clear()
        self._again.clear()
