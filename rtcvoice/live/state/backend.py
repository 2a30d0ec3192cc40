"""The backend model of a Live session: function calls, outputs, and when it goes on; pure.

The voice model has no functions; the backend model that it hands work to has, and runs at the
service. Its events come inside `response.event`. A call may run as soon as its item is complete.
The outputs of one response go in together, when it is over and all of them are there, followed by
exactly one request to go on. What waits for that request has limits: too long outputs are replaced
by a short one that says so, for a call without any output would block the backend for good.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import msgspec

from rtcvoice import events
from rtcvoice.conversation.state.function_calls import (
    MOST_ROUNDS,
    AnsweredCalls,
    CalledFunction,
    FunctionCalls,
)
from rtcvoice.conversation.state.history_entries import HistoryEntry
from rtcvoice.errors import ConfigError
from rtcvoice.events import live

from .call_entries import CallEntries
from .given_outputs import GivenOutputs
from .outputs import MOST_BYTES, MOST_ITEMS

__all__ = ["Backend", "BackendUsage"]

logger = logging.getLogger(__name__)

LONGEST_SILENCE = 300.0
"""Seconds without news after which a response is given up on; tools of the service take long."""

START_TIMEOUT = 10.0
"""Seconds within which a response that was asked for begins."""

FIRST_NEWS = 30.0
"""Seconds within which anything is heard of work that was handed to the backend."""

MOST_RUNNING = 64
"""Responses that are followed at a time; the service makes one for each piece of work."""

MOST_CALLS = MOST_ITEMS
"""Function calls that are not answered; further ones are not taken."""

MOST_ROUNDS_KEPT = 1000
"""Pieces of work of which is known how often they called functions."""

_OVER = {"response.completed", "response.failed", "response.incomplete"}


@dataclass(frozen=True)
class BackendUsage:
    """What one response of the backend used, as the Responses API tells it."""

    response_id: str
    model: str
    status: str
    usage: dict[str, Any] | None


@dataclass
class _Running:
    """A response that is being made."""

    id: str
    changed_at: float
    silence: float = LONGEST_SILENCE
    """Seconds without news after which it is given up on."""


class Backend:
    """The backend model of one session. `new_id` makes ids for events that are sent."""

    def __init__(self, new_id: Callable[[], str]) -> None:
        self.calls_wanted = False
        """Whether somebody answers function calls; else they are the user's business."""
        self.used: list[BackendUsage] = []
        """What responses used since `take_used`."""
        self._new_id = new_id
        self._calls = FunctionCalls()
        self._running: dict[str, _Running] = {}  # by delegation
        self._answered: list[AnsweredCalls] = []  # to be sent
        self._failed: dict[str, None] = {}  # responses whose calls are of no use any more
        self._asked: dict[str, float] = {}  # requests that nothing has come of: event_id, when
        self._to_ask: deque[tuple[str, list[dict[str, Any]]]] = deque()
        self._rounds: dict[str, int] = {}
        self._given = GivenOutputs(new_id)
        self._model = ""
        self._now = 0.0
        self._entries = CallEntries()
        self._refuses = False
        """Whether there are too many calls, which was logged."""

    # -- what it is -----------------------------------------------------------------------------

    def is_busy(self, now: float, but: Collection[str] = ()) -> bool:
        """Whether a response is being made or asked for, or a call not answered.

        `but`: ids of calls that do not count.
        """
        self._give_up(now)
        return bool(
            self._running
            or self._asked
            or self._to_ask
            or self._given.has_refused
            or self._answered
            or self._calls.waiting(but)
        )

    def next_deadline(self) -> float | None:
        """Return when something is given up on, if nothing happens."""
        times = [each.changed_at + each.silence for each in self._running.values()]
        return min([*times, *(at + START_TIMEOUT for at in self._asked.values())], default=None)

    def take_new_calls(self) -> list[CalledFunction]:
        """Return the calls that became complete since the last time."""
        return self._calls.take_new()

    def take_used(self) -> list[BackendUsage]:
        """Return what responses used since the last time."""
        used, self.used = self.used, []
        return used

    def export(self) -> list[tuple[float, HistoryEntry]]:
        """Return the latest calls and their outputs as entries of the history, and when."""
        return self._entries.export()

    # -- what happens ---------------------------------------------------------------------------

    def feed(self, event: Any, now: float) -> None:
        """Take the next event of the server."""
        self._now = now
        match event:
            case live.ResponseEvent():
                self._inner(event, now)
            case live.DelegationCreated() if event.delegation.target == "responses":
                self._asked.pop(event.client_event_id or "", None)
                response_id = event.delegation.response_id or ""
                self._run(event.delegation.id, _Running(response_id, now, FIRST_NEWS))
            case live.ErrorEvent():
                self._asked.pop(event.caused_by or "", None)
                self._given.refused(event)

    def sent(self, event: Any, now: float) -> None:
        """Note what was sent, by us or by the user."""
        match event:
            case live.ResponseCreate():
                self._asked[event.event_id or ""] = now
            case live.ResponseItemCreate() if event.item.get("type") == "function_call_output":
                call_id, output = event.item.get("call_id"), event.item.get("output")
                if isinstance(call_id, str) and self._calls.waiting():  # answered by hand
                    self.answer(call_id, output if isinstance(output, str) else "")

    def answer(self, call_id: str, output: str, *, speak: bool = True) -> None:
        """Give the output of a call; the first one counts. See `FunctionCalls.answer`."""
        if self._calls.answer(call_id, output, speak=speak):
            self._entries.answered(call_id, output, self._now)

    def ignore(self, call_id: str) -> None:
        """Leave a call to somebody else, who answers it and asks the backend to go on."""
        self._calls.forget(call_id)

    def ask(self, items: list[dict[str, Any]]) -> str:
        """Have the backend answer input items of the Responses API; return the request's id.

        It is sent by `due`. Raises ConfigError for more than the service takes at once.
        """
        size = sum(len(msgspec.json.encode(item)) for item in items)
        if size > MOST_BYTES or len(items) > MOST_ITEMS:
            raise ConfigError(
                f"the backend takes {MOST_BYTES} bytes in {MOST_ITEMS} items at once, not"
                f" {size} bytes in {len(items)}",
                hint="send less at once, or smaller pictures",
            )
        request = self._new_id()
        self._to_ask.append((request, items))
        return request

    def leave(self) -> None:
        """Forget what was under way: the session is gone. What is asked and not sent stays."""
        for kept in (self._running, self._asked, self._rounds, self._failed):
            kept.clear()
        self._given.clear()
        self._answered.clear()
        self._calls = FunctionCalls()

    def due(self, now: float) -> list[live.LiveClientEvent]:
        """Return what is to be sent now, in order."""
        self._give_up(now)
        if self._running or self._asked:
            return []
        if self._given.has_refused:
            return self._given.give_again()
        self._answered += self._calls.take_answered()
        if self._calls:  # the service wants all outputs before it goes on
            return []
        if self._answered:
            answered, self._answered = self._answered, []
            if due := self._send(answered):
                return due
        if not self._to_ask:
            return []
        request, items = self._to_ask.popleft()
        given: list[live.LiveClientEvent] = [live.ResponseItemCreate(item=each) for each in items]
        return [*given, live.ResponseCreate(event_id=request)]

    # -- the events inside ------------------------------------------------------------------------

    def _inner(self, event: live.ResponseEvent, now: float) -> None:
        delegation = event.delegation_id or ""
        inner, kind = event.event, event.kind
        if kind == "response.created":
            response = _dict(inner.get("response"))
            self._asked.clear()
            self._model = _text(response.get("model")) or self._model
            response_id = _text(response.get("id"))
            before = self._running.get(delegation)
            if before is not None and before.id not in ("", response_id):
                self._calls.response_over(before.id, stopped=False)  # its end was not told
            self._run(delegation, _Running(response_id, now))
        elif kind in _OVER:
            self._over(delegation, kind, _dict(inner.get("response")))
        elif delegation in self._running:
            running = self._running[delegation]
            running.changed_at, running.silence = now, LONGEST_SILENCE
        if kind == "response.output_item.done":
            self._called(delegation, _dict(inner.get("item")), now)

    def _run(self, delegation: str, running: _Running) -> None:
        """Follow a response; the oldest beyond what is followed is given up on."""
        self._running[delegation] = running
        if len(self._running) > MOST_RUNNING:
            oldest = next(iter(self._running))
            self._over(oldest, "response.failed", {"id": self._running[oldest].id})

    def _called(self, delegation: str, item: dict[str, Any], now: float) -> None:
        if item.get("type") != "function_call" or not self.calls_wanted:
            return
        if len(self._calls) >= MOST_CALLS:
            if not self._refuses:
                logger.warning("x %d function calls wait: no more are taken", MOST_CALLS)
            self._refuses = True
            return
        self._refuses = False
        if delegation not in self._running:
            self._run(delegation, _Running("", now))
        running = self._running[delegation]
        key = running.id or delegation
        try:
            call = msgspec.convert(item, events.FunctionCall)
        except msgspec.ValidationError:
            logger.warning("x a function call that cannot be understood is not answered")
            return
        before = len(self._calls)
        self._calls.add(key, call)
        if len(self._calls) > before:
            self._entries.called(call, self._now)

    def _over(self, delegation: str, kind: str, response: dict[str, Any]) -> None:
        running = self._running.pop(delegation, None)
        self._asked.clear()
        response_id = _text(response.get("id"))
        model = _text(response.get("model")) or self._model
        usage = response.get("usage")
        status = kind.removeprefix("response.")
        self.used.append(
            BackendUsage(response_id, model, status, usage if isinstance(usage, dict) else None)
        )
        keys = {response_id, delegation, running.id if running else ""}
        failed = kind == "response.failed"
        if failed:
            self._failed.update(dict.fromkeys(key for key in keys if self._calls.belong_to(key)))
        for key in keys - {""}:
            if not self._calls.belong_to(key):
                continue
            rounds = self._rounds[delegation] = self._rounds.pop(delegation, 0) + 1
            if len(self._rounds) > MOST_ROUNDS_KEPT:
                del self._rounds[next(iter(self._rounds))]
            if rounds > MOST_ROUNDS:
                logger.warning("x the backend called functions %d times in a row", rounds)
            self._calls.response_over(key, stopped=failed or rounds > MOST_ROUNDS)
        if not any(self._calls.belong_to(key) for key in keys):
            self._rounds.pop(delegation, None)

    # -- outputs --------------------------------------------------------------------------------

    def _send(self, answered: list[AnsweredCalls]) -> list[live.LiveClientEvent]:
        """Return all outputs, and one request to go on if any response is wanted."""
        useful = [each for each in answered if each.response_id not in self._failed]
        for each in answered:
            self._failed.pop(each.response_id, None)
        outputs = [output for each in useful for output in each.outputs]
        return self._given.give(outputs, go_on=any(each.wanted for each in useful))

    def _give_up(self, now: float) -> None:
        for delegation, running in list(self._running.items()):
            if now >= running.changed_at + running.silence:
                logger.warning("x nothing was heard of the backend for %g s", running.silence)
                self._over(delegation, "response.failed", {"id": running.id})
        for request, at in list(self._asked.items()):
            if now >= at + START_TIMEOUT:
                del self._asked[request]


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
