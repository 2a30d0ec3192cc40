"""Takes the facts of one call and lets spans and metrics be made of them; see `FactListener`.

All of it is on a thread of its own, but two things on the event loop: which turn a fact belongs to,
and the beginning of a tool's span. Whatever an exporter, a processor or a provider raises is logged
once; the call is not told.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from opentelemetry import context

from rtcvoice.masking import log_error
from rtcvoice.system import clock

from .call_metrics import CallMetrics
from .metrics import instruments_of
from .spans import CallSpans
from .tool_spans import ToolSpans
from .tracing import Tracing
from .turns import TalkTurns

if TYPE_CHECKING:
    from rtcvoice.call.facts import Fact
    from rtcvoice.conversation.state.function_calls import CalledFunction

    from .options import Telemetry

__all__ = ["TelemetryListener"]

logger = logging.getLogger(__name__)


class TelemetryListener:
    """The telemetry of one call. Make it where the call is asked for: it notes the current span."""

    wants_audio = False

    def __init__(self, options: Telemetry, *, clock: Callable[[], float] = clock.now) -> None:
        tracing = Tracing(options.tracer_provider, context.get_current(), clock)
        self._turns = TalkTurns()
        self._tools = ToolSpans(tracing, self._turns)
        spans = CallSpans(tracing, self._turns, self._tools, said=options.holds_content)
        metrics = CallMetrics(instruments_of(options.meter_provider))
        self._takers: tuple[Callable[[Fact], None], ...] = (spans.take, metrics.take)
        self._complained = False
        self._dropped = 0

    def see(self, fact: Fact) -> None:
        """Note which turn a fact belongs to, at the moment when it is told.

        Event loop only. Never raises.
        """
        try:
            self._turns.see(fact)
        except Exception as exc:
            self._complain(exc)

    def tool_began(self, call: CalledFunction, name: str) -> Callable[[], object] | None:
        """Begin a tool's span; call what is returned in each context that the tool's code gets.

        Event loop only. Never raises.
        """
        try:
            return self._tools.began(call, name)
        except Exception as exc:
            self._complain(exc)
            return None

    def take(self, batch: Sequence[Fact], dropped: int) -> None:
        """Make spans and metrics of facts; see `FactListener.take`. Never raises."""
        if dropped and not self._dropped:
            logger.warning("x telemetry is too slow: some of the call is missing in it")
        self._dropped += dropped
        for fact in batch:
            for take in self._takers:
                try:
                    take(fact)
                except Exception as exc:
                    self._complain(exc)

    def _complain(self, exc: Exception) -> None:
        if not self._complained:
            self._complained = True
            log_error(logger, exc, "x telemetry failed; the call goes on, some of it is not told")
