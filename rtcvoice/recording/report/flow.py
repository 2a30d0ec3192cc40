"""Who spoke from when to when, which tools ran, what befell the connection: from the events; pure.

Times are seconds from the call's beginning, as in the recording.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from rtcvoice import events
from rtcvoice.recording.reading import EventLine

from .checked import number, text

__all__ = ["Flow", "Mark", "Span", "ToolSpan"]

MOST = 20_000
"""Spans, and connections."""

MOST_SHOWN = 2_000
"""Tools, and marks."""


LATEST = 2.0
"""Seconds by which a server may be late to notice that somebody speaks."""


@dataclass
class Span:
    """From when to when somebody was heard; `end` is None where nothing told it."""

    begin: float
    end: float | None = None
    cut: bool = False
    """Whether it was cut off."""


@dataclass
class ToolSpan:
    """One call of a tool."""

    name: str
    arguments: str
    begin: float
    """When it began to run; where nothing tells that, when the model had asked for it."""
    end: float | None = None
    """When its result was there; None: never."""
    output: str = ""
    failed: bool = False
    by_server: bool = False
    """Whether the server ran it, at an MCP server."""


@dataclass
class Mark:
    """Something that happened at one moment; `kind`: trouble, connection, limit, device."""

    time: float
    kind: str
    text: str


@dataclass
class Flow:
    """Feed every event of the connection in use, in order."""

    user: dict[str, Span] = field(default_factory=dict)
    """By item."""
    assistant: dict[str, Span] = field(default_factory=dict)
    """By response."""
    tools: dict[str, ToolSpan] = field(default_factory=dict)
    """By the call's id."""
    marks: list[Mark] = field(default_factory=list)
    legs: list[dict[str, Any]] = field(default_factory=list)
    """As in `call.json`, for recordings without it."""
    _heard_from: dict[str, int] = field(default_factory=dict)
    """Where the speech of an item begins in what was sent, in milliseconds."""

    def feed(self, line: EventLine, event: Any) -> None:
        """Take the next line; `event` is it decoded, of the server's."""
        if line.direction == "in":
            self._receive(event, line.time)
        elif line.direction == "out":
            self._send(events.decode_client(json.dumps(line.event)), line.time)
        else:
            self._told(text(line.event.get("type"), 100), line.event, line.time)

    def _receive(self, event: Any, time: float) -> None:
        match event:
            case events.InputAudioBufferSpeechStarted():
                _begin(self.user, event.item_id, time)
                if event.audio_start_ms is not None and len(self._heard_from) < MOST:
                    self._heard_from[event.item_id or ""] = event.audio_start_ms
            case events.InputAudioBufferSpeechStopped():
                _end(self.user, event.item_id, time)
                self._measure(event, time)
            case events.OutputAudioBufferStarted():
                _begin(self.assistant, event.response_id, time)
            case events.OutputAudioBufferStopped() | events.OutputAudioBufferCleared():
                is_cut = isinstance(event, events.OutputAudioBufferCleared)
                _end(self.assistant, event.response_id, time, cut=is_cut)
            case events.ResponseOutputAudioDelta():  # over a WebSocket nothing else tells it
                _begin(self.assistant, event.response_id, time)
            case events.ResponseOutputItemAdded(item=events.McpCall() as call):
                self._tool(call.id or "", call.name, call.arguments, time, by_server=True)
            case events.ResponseOutputItemDone(item=events.McpCall() as call):
                self._tool(call.id or "", call.name, call.arguments, time, by_server=True)
                error = call.error.message or call.error.type if call.error else ""
                self._done(call.id or "", error or call.output or "", time, failed=bool(error))
            case events.ResponseOutputItemDone(item=events.FunctionCall() as call):
                self._tool(call.call_id or "", call.name, call.arguments, time)
            case events.ErrorEvent():
                self._mark(time, "trouble", f"The server complains: {event.error.message}")

    def _measure(self, event: events.InputAudioBufferSpeechStopped, time: float) -> None:
        """Put the begin of speech where it was: it is noticed late."""
        span, name = self.user.get(event.item_id or ""), event.item_id or ""
        if span is None or name not in self._heard_from or event.audio_end_ms is None:
            return
        begin = time - (event.audio_end_ms - self._heard_from[name]) / 1000
        if span.begin - LATEST <= begin <= span.begin:
            span.begin = max(0.0, begin)

    def _send(self, event: Any, time: float) -> None:
        match event:
            case events.ConversationItemCreate(item=events.FunctionCallOutput() as output):
                tool = self.tools.get(output.call_id or "")
                if tool is not None and tool.end is None:
                    self._done(output.call_id or "", output.output, time)

    def _told(self, kind: str, event: dict[str, Any], time: float) -> None:
        """Take what the call told itself."""
        call_id = text(event.get("call_id"), 200)
        match kind.removeprefix("rtcvoice."):
            case "speech_began":
                _begin(self.assistant, text(event.get("id"), 200), time)
            case "speech_ended":
                _end(self.assistant, text(event.get("id"), 200), time, cut=event.get("cut") is True)
            case "tool_started":
                arguments = json.dumps(event.get("arguments"), ensure_ascii=False)
                tool = self._tool(call_id, text(event.get("name")), arguments, time)
                if tool is not None:
                    tool.begin = time
            case "tool_finished":
                self._done(call_id, _plain(event.get("output")), time)
            case "tool_failed" | "tool_cancelled":
                self._done(call_id, _plain(event.get("message")), time, failed=True)
            case "reconnecting":
                attempt = number(event.get("attempt")) or 1
                told = f"Connecting again ({text(event.get('reason'), 300)})"
                again = f", attempt {attempt:.0f}" if attempt > 1 else ""
                self._mark(time, "connection", told + again)
            case "reconnected":
                self._mark(time, "connection", _reconnected(event))
            case "leg_up" if len(self.legs) < MOST:
                names = {name: text(event.get(name), 200) for name in ("route", "via")}
                leg = {
                    "id": text(event.get("leg_id"), 200),
                    "began": time,
                    "ended": None,
                    "why": "",
                }
                self.legs.append({**leg, **names})
            case "leg_ended" if self.legs:
                self.legs[-1] |= {"ended": time, "why": text(event.get("reason"), 300)}
            case "limit_near" | "limit_reached":
                used, most = (number(event.get(name)) for name in ("used", "maximum"))
                told = text(event.get("limit"), 100)
                self._mark(time, "limit", f"Limit {told}: {used or 0:.12g} of {most or 0:.12g}")
            case "device_changed" | "handler_error" | "events_dropped" as other:
                fields = {name: each for name, each in event.items() if name != "type"}
                told = text(json.dumps(fields, ensure_ascii=False), 300)
                self._mark(
                    time,
                    "device" if other == "device_changed" else "trouble",
                    f"{other.replace('_', ' ').capitalize()}: {told}",
                )

    def _tool(
        self, call_id: str, name: str, arguments: str, time: float, *, by_server: bool = False
    ) -> ToolSpan | None:
        if call_id not in self.tools and len(self.tools) < MOST_SHOWN:
            self.tools[call_id] = ToolSpan(name, arguments, time, by_server=by_server)
        elif by_server and call_id in self.tools:  # they are there in full only at the end
            self.tools[call_id].arguments = arguments
        return self.tools.get(call_id)

    def _done(self, call_id: str, output: str, time: float, *, failed: bool = False) -> None:
        if (tool := self.tools.get(call_id)) is not None:
            tool.end, tool.output, tool.failed = time, output, failed

    def _mark(self, time: float, kind: str, told: str) -> None:
        if len(self.marks) < MOST_SHOWN:
            self.marks.append(Mark(time, kind, text(told, 600)))


def _begin(spans: dict[str, Span], name: str | None, time: float) -> None:
    if len(spans) < MOST:
        spans.setdefault(name or "", Span(time))


def _end(spans: dict[str, Span], name: str | None, time: float, *, cut: bool = False) -> None:
    span = spans.get(name or "")
    if span is not None and span.end is None:
        span.end, span.cut = time, cut


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _reconnected(event: dict[str, Any]) -> str:
    gap = number(event.get("gap")) or 0.0
    if event.get("renewed") is True:
        return "A new connection took over before the session's end"
    return f"Connected again after {gap:.1f} s"
