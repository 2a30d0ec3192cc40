"""The span of connecting, with its stages as events; and what is known of the call from then on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from opentelemetry.trace import SpanKind, Status, StatusCode

from rtcvoice.call import facts

from . import names
from .attributes import Attributes, content, server_of, text

if TYPE_CHECKING:
    from opentelemetry.trace import Span

    from rtcvoice.call.facts import Fact

    from .tracing import Tracing

__all__ = ["ConnectSpan"]


class ConnectSpan:
    """Follows one call from its beginning until it is ready; on the listener's thread."""

    def __init__(self, tracing: Tracing) -> None:
        self._tracing = tracing
        self._span: Span | None = None
        self._running: dict[str, float] = {}
        self._ready = False
        self.server: Attributes = {}
        """Provider, address and model, as spans of inference have them."""
        self.instructions = ""

    def take(self, fact: Fact) -> None:
        """Take the next fact."""
        match fact:
            case facts.CallStarted():
                self.server = server_of(fact.options.get("base_url"))
                if model := fact.options.get("model"):
                    self.server[names.REQUEST_MODEL] = text(model, 128)
                self._read_session(fact.options.get("session"))
                self._span = self._tracing.begin(
                    names.CONNECT, fact.time, self.server, kind=SpanKind.CLIENT
                )
            case facts.StageBegan():
                self._running[fact.stage] = fact.time
            case facts.StageEnded():
                self._running.pop(fact.stage, None)
                self._tell_stage(fact.stage, fact.time, fact.seconds)
            case facts.LegUp():
                self._set({names.ROUTE: text(fact.route), names.VIA: text(fact.via)})
                if fact.candidate_pair:
                    self._set({names.CANDIDATE_PAIR: text(fact.candidate_pair)})
            case facts.SessionKnown():
                if fact.model:
                    self.server[names.RESPONSE_MODEL] = text(fact.model, 128)
            case facts.CallReady():
                self._ready = True
                self._set(self._tracing.ids.now())
                self._end(fact.time)

    def over(self, fact: facts.CallOver) -> None:
        """Let a call that did not come about say why."""
        if self._ready or self._span is None:
            return
        cause = fact.reason.__cause__
        told: Attributes = {names.ERROR_TYPE: text(type(cause or fact.reason).__name__)}
        if self._running:
            stages = sorted(self._running, key=lambda stage: self._running[stage])
            told[names.STAGE] = text(stages[-1])
        self._set({**self._tracing.ids.now(), **told})
        self._span.set_status(Status(StatusCode.ERROR, text(fact.reason)))
        self._end(fact.time)

    def _tell_stage(self, stage: str, at: float, seconds: float) -> None:
        if self._span is not None:
            told: Attributes = {names.STAGE: stage, names.SECONDS: seconds}
            self._span.add_event(stage, told, self._tracing.nanos(at))

    def _set(self, told: Attributes) -> None:
        if self._span is not None:
            self._span.set_attributes(told)

    def _end(self, at: float) -> None:
        if self._span is not None:
            self._tracing.end(self._span, at)
            self._span = None

    def _read_session(self, session: Any) -> None:
        if not isinstance(session, dict):
            return
        most = session.get("max_output_tokens")
        if isinstance(most, int) and not isinstance(most, bool):
            self.server[names.MAX_TOKENS] = most
        if isinstance(words := session.get("instructions"), str):
            self.instructions = json.dumps(
                [{"type": "text", "content": content(words)}], ensure_ascii=False
            )
