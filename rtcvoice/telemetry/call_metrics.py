"""Records the metrics of one call, from its facts; on the listener's thread only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rtcvoice.call import facts
from rtcvoice.conversation.accounts.usage import TokenCounts
from rtcvoice.events import Reconnected, Reconnecting

from . import names
from .attributes import Attributes, server_of, text
from .metrics import Instruments, LinkMetrics

if TYPE_CHECKING:
    from rtcvoice.call.facts import Fact

__all__ = ["CallMetrics"]

MOST_OPEN = 200
"""Responses that are followed at a time."""

_FAILED_STATUS = {"failed": "failed", "incomplete": "incomplete"}

CONNECTION_LOST = "connection_lost"
"""Why a response was cancelled, in its `reason`: its connection is gone."""


class CallMetrics:
    """The metrics of one call."""

    def __init__(self, instruments: Instruments) -> None:
        self._to = instruments
        self._link = LinkMetrics(instruments)
        self._labels: Attributes = {}
        self._model: Attributes = {}
        self._began = 0.0
        self._replies: dict[str, float] = {}
        self._over: dict[str, None] = {}  # responses that are not heard any more
        self._running: dict[str, float] = {}  # tools
        self._user_speaks = self._ready = self._lost = self._leg_up = False

    def take(self, fact: Fact) -> None:
        """Take the next fact."""
        to = self._to
        match fact:
            case facts.CallStarted():
                self._start(fact)
            case facts.CallReady():
                self._ready = True
                to.active.add(1)
                for stage, seconds in fact.timings.items():
                    to.connect.record(seconds, {names.STAGE: stage})
            case facts.LegUp():
                self._leg_up = True
            case facts.LegEnded():
                self._leg_up = False
            case facts.SpeechBegan(side="user") | facts.SpeechEnded(side="user"):
                self._user_speaks = isinstance(fact, facts.SpeechBegan)
            case facts.SpeechEnded():
                self._interrupted(fact.id, "", cut=fact.cut)
            case facts.ReplyBegan():
                self._replies[fact.response_id] = fact.time
                if len(self._replies) > MOST_OPEN:
                    del self._replies[next(iter(self._replies))]
            case facts.ReplyOutput():
                if (began := self._replies.get(fact.response_id)) is not None:
                    to.first_chunk.record(fact.time - began, self._labels)
            case facts.ReplyEnded():
                self._reply_ended(fact)
            case facts.LatencyMeasured():
                to.latency.record(max(0.0, fact.latency.seconds), self._model)
            case facts.ToolBegan():
                self._running[fact.call_id] = fact.time
                if len(self._running) > MOST_OPEN:
                    del self._running[next(iter(self._running))]
            case facts.ToolEnded():
                self._tool_ended(fact)
            case facts.Happened():
                self._happened(fact)
            case facts.StatsTick():
                self._link.record(fact.stats, fact.usage.known_cost, self._model)
            case facts.CallOver():
                self._end(fact)

    def _start(self, fact: facts.CallStarted) -> None:
        self._began = fact.time
        if model := fact.options.get("model"):
            self._model = {names.REQUEST_MODEL: text(model, 128)}
        self._labels = {
            names.OPERATION: names.INFERENCE,
            **server_of(fact.options.get("base_url")),
            **self._model,
        }

    def _reply_ended(self, fact: facts.ReplyEnded) -> None:
        began = self._replies.pop(fact.response_id, None)
        if began is None:  # it was told before, or its beginning was not
            return
        labels = self._labels
        if fact.status in _FAILED_STATUS:
            labels = {**labels, names.ERROR_TYPE: _FAILED_STATUS[fact.status]}
        self._to.duration.record(fact.time - began, labels)
        if fact.usage is not None:
            counts = TokenCounts.of(fact.usage)
            self._to.record_tokens(counts.input, counts.output, self._labels)
        if fact.status == "cancelled":
            self._interrupted(fact.response_id, fact.reason)

    def _interrupted(self, response_id: str, reason: str, *, cut: bool = True) -> None:
        """Count an answer that was cut, once; one that was heard to its end never."""
        if response_id in self._over:
            return
        self._over[response_id] = None
        if len(self._over) > MOST_OPEN:
            del self._over[next(iter(self._over))]
        if not cut:
            return
        if self._lost or not self._leg_up or reason == CONNECTION_LOST:
            by = "connection"
        elif reason == "turn_detected" or self._user_speaks:
            by = "user"
        else:
            by = "program"
        self._to.interruptions.add(1, {names.BY: by})

    def _tool_ended(self, fact: facts.ToolEnded) -> None:
        began = self._running.pop(fact.call_id, None)
        if began is None:  # it did not run: the model may have made its name up
            return
        labels: Attributes = {names.OPERATION: names.TOOL, names.TOOL_NAME: text(fact.name, 64)}
        if fact.failure:
            labels[names.ERROR_TYPE] = str(fact.failure)
        self._to.tool_duration.record(fact.time - began, labels)

    def _happened(self, fact: facts.Happened) -> None:
        if fact.type == Reconnecting.type:
            self._lost = True
        elif fact.type == Reconnected.type:
            self._lost = False
            reason = "renewal" if fact.fields.get("renewed") else "loss"
            self._to.reconnects.add(1, {names.REASON: reason, names.RESULT: "success"})

    def _end(self, fact: facts.CallOver) -> None:
        if self._ready:
            self._to.active.add(-1)
        elif self._began:
            cause = fact.reason.__cause__ or fact.reason
            labels: Attributes = {names.STAGE: "total", names.ERROR_TYPE: type(cause).__name__}
            self._to.connect.record(fact.time - self._began, labels)
        if self._lost:
            self._to.reconnects.add(1, {names.REASON: "loss", names.RESULT: "failure"})
        if fact.usage is not None:
            self._link.record_cost(fact.usage.known_cost, self._model)
