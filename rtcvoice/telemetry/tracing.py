"""Begins spans: at a fact's time, under the turn they belong to, and only so many of them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from opentelemetry import trace
from opentelemetry.trace import SpanKind

from rtcvoice.system import clock

from . import names
from .attributes import scope_version
from .ids import Ids

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span, TracerProvider

    from .attributes import Attributes
    from .turns import TalkTurn

__all__ = ["Tracing"]

logger = logging.getLogger(__name__)

SPANS_AT_ONCE = 500
"""Spans that a call may begin at any time."""

SPANS_PER_SECOND = 20
"""Spans that it may begin for long: a server that says that the user speaks, again and again, must
not fill anybody's disk."""


class Tracing:
    """The tracer of one call. Any thread.

    `context` is what was current when the call was asked for: with a span in it everything is
    below that one, without one each turn is a trace of its own.
    """

    def __init__(
        self,
        provider: TracerProvider | None,
        context: Context,
        clock: Callable[[], float] = clock.now,
    ) -> None:
        provider = trace.get_tracer_provider() if provider is None else provider
        self._tracer = provider.get_tracer(names.SCOPE, scope_version())
        self._lock = threading.Lock()
        self.now = clock
        self._left, self._refilled = float(SPANS_AT_ONCE), clock()
        self._told = False
        self._offset = time.time() - clock()
        self.context = context
        self.ids = Ids()
        """What spans say that are begun without ids of their own."""

    def nanos(self, at: float) -> int:
        """Return a moment of our clock in nanoseconds since 1970."""
        return int((at + self._offset) * 1e9)

    def begin(
        self,
        name: str,
        at: float,
        attributes: Attributes | None = None,
        *,
        turn: TalkTurn | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
    ) -> Span:
        """Begin a span; one too many says nothing and is nobody's parent."""
        context = self.context
        if turn is not None:
            context = trace.set_span_in_context(self.root(turn), context)
        return self._begin(name, at, context, {**self.ids.now(), **(attributes or {})}, kind)

    def root(self, turn: TalkTurn) -> Span:
        """Return the span of a turn, which is begun when it is first needed."""
        with self._lock:
            if turn.span is None:
                turn.span = self._begin(
                    names.TURN,
                    turn.began,
                    self.context,
                    turn.ids or self.ids.now(),
                    SpanKind.INTERNAL,
                )
            span: Span = turn.span
            return span

    def end(self, span: Span, at: float) -> None:
        """End a span; the exporter may do what it likes, so never on the event loop."""
        span.end(self.nanos(at))

    def _begin(
        self, name: str, at: float, context: Context, attributes: Attributes, kind: SpanKind
    ) -> Span:
        if not self._may_begin():
            return trace.INVALID_SPAN
        return self._tracer.start_span(
            name, context=context, kind=kind, attributes=attributes, start_time=self.nanos(at)
        )

    def _may_begin(self) -> bool:
        now = self.now()
        left = self._left + (now - self._refilled) * SPANS_PER_SECOND
        self._left, self._refilled = min(left, SPANS_AT_ONCE), now
        if self._left < 1:
            if not self._told:
                self._told = True
                logger.warning("x the call begins too many spans: some are left out")
            return False
        self._left -= 1
        return True
