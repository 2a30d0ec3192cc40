"""The spans of tools: begun on the event loop, for the tool's code runs inside them.

What a tool does itself, such as a request by an instrumented HTTP client, is below its span then.
Only the beginning is there, which no exporter sees; a span is ended where all others are.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from opentelemetry import context as otel_context
from opentelemetry import trace

from . import names
from .attributes import text

if TYPE_CHECKING:
    from opentelemetry.trace import Span

    from rtcvoice.conversation.state.function_calls import CalledFunction

    from .tracing import Tracing
    from .turns import TalkTurn, TalkTurns

__all__ = ["RunningTool", "ToolSpans"]

MOST_OPEN = 1000
"""Tools whose end was not told: it was dropped."""


class RunningTool(NamedTuple):
    """A tool that runs, its span, and when it began."""

    span: Span
    turn: TalkTurn
    began: float


class ToolSpans:
    """The tools of one call that run. `began` on the event loop, the rest on any thread."""

    def __init__(self, tracing: Tracing, turns: TalkTurns) -> None:
        self._tracing = tracing
        self._turns = turns
        self._lock = threading.Lock()
        self._running: dict[str, RunningTool] = {}

    def began(self, call: CalledFunction, name: str) -> Callable[[], object]:
        """Begin a tool's span; call what is returned in each context that the tool's code gets."""
        now = self._tracing.now()
        turn = self._turns.tool_began(call.call_id, call.response_id, now)
        span = self.begin(name, call.call_id, turn, now)
        with self._lock:
            self._running[call.call_id] = RunningTool(span, turn, now)
            if len(self._running) > MOST_OPEN:
                del self._running[next(iter(self._running))]
        within = trace.set_span_in_context(span, self._tracing.context)
        return partial(otel_context.attach, within)

    def begin(
        self, name: str, call_id: str, turn: TalkTurn, at: float, *, known: bool = True
    ) -> Span:
        """Begin the span of a tool; one that is not `known` is not part of the span's name."""
        shown = text(name, 64)
        return self._tracing.begin(
            f"{names.TOOL} {shown}" if known else names.TOOL,
            at,
            {
                names.OPERATION: names.TOOL,
                names.TOOL_NAME: shown,
                names.TOOL_CALL_ID: text(call_id),
                names.TOOL_TYPE: "function",
                **self._turns.ids.now(),
            },
            turn=turn,
        )

    def get(self, call_id: str) -> RunningTool | None:
        """Return a tool that runs."""
        return self._running.get(call_id)

    def pop(self, call_id: str) -> RunningTool | None:
        """Return a tool that ended; it does not run any more."""
        with self._lock:
            return self._running.pop(call_id, None)

    def turns(self) -> set[TalkTurn]:
        """Return the turns in which a tool runs."""
        with self._lock:
            return {tool.turn for tool in self._running.values()}

    def take_all(self) -> list[RunningTool]:
        """Return all that run; none does any more."""
        with self._lock:
            running, self._running = list(self._running.values()), {}
        return running
