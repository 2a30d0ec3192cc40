"""What a page is told of its call: turns of both sides, tools, cost, who speaks, the end."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any

from rtcvoice import events
from rtcvoice.conversation.state.records import Status
from rtcvoice.errors import CallEnded

if TYPE_CHECKING:
    from rtcvoice.call.call import Call
    from rtcvoice.conversation.state.turns import Turn

__all__ = ["PageEvents", "ended_told"]

MOST_TEXT = 20_000
"""Characters of one text that a page is told."""


MOST_SAID = 100
MOST_TOOLS = 50
"""Turns, and messages of tools, that a page is told which comes later."""

_TOLD: tuple[Any, ...] = (
    events.InputAudioBufferSpeechStarted,
    events.InputAudioBufferSpeechStopped,
    events.OutputAudioBufferStarted,
    events.OutputAudioBufferStopped,
    events.OutputAudioBufferCleared,
    events.UserStarted,
    events.UserStopped,
    events.AssistantStarted,
    events.AssistantStopped,
    events.ToolStarted,
    events.ToolFinished,
    events.ToolFailed,
    events.ToolCancelled,
    events.Reconnecting,
    events.Reconnected,
    events.ResponseDone,
)


class PageEvents:
    """Turns what happens in one call into messages for its page. Event loop only.

    `tell` takes each. show_tools: whether a page sees what tools are given, and what they return.
    """

    def __init__(
        self, call: Call, tell: Callable[[dict[str, Any]], None], *, show_tools: bool
    ) -> None:
        self._call = call
        self._tell = tell
        self._show = show_tools
        self._speaks = {"user": False, "assistant": False}
        self._cost: float | None = None
        self._tools: deque[dict[str, Any]] = deque(maxlen=MOST_TOOLS)
        for kind in _TOLD:
            call.on(kind)(self._event)

    async def run(self) -> None:
        """Tell of turns until the call ends."""
        async for turn in _until_end(self._call.turns(partial=True)):
            self._tell(_turn_told(turn))
            self._tell_cost()

    def told_at_once(self) -> list[dict[str, Any]]:
        """Return what a page has to know that comes now: what was said before, and the state."""
        said = [
            {
                "type": "turn",
                "id": str(entry.get("id") or index),
                "role": entry["role"],
                "text": str(entry["text"])[:MOST_TEXT],
                "final": True,
                "interrupted": "heard_text" in entry,
                "heard_text": str(entry.get("heard_text", ""))[:MOST_TEXT],
            }
            for index, entry in enumerate(self._call.history)
            if entry["type"] == "message" and entry["role"] in ("user", "assistant")
        ]
        self._cost = self._call.usage.cost
        cost = {"type": "cost", "usd": self._cost}
        return [*said[-MOST_SAID:], *self._tools, self._state(), cost]

    # -- inside ---------------------------------------------------------------------------------

    async def _event(self, event: Any) -> None:
        match event:
            case events.InputAudioBufferSpeechStarted() | events.UserStarted():
                self._speaking("user", True)
            case events.InputAudioBufferSpeechStopped() | events.UserStopped():
                self._speaking("user", False)
            case events.OutputAudioBufferStarted() | events.AssistantStarted():
                self._speaking("assistant", True)
            case (
                events.OutputAudioBufferStopped()
                | events.OutputAudioBufferCleared()
                | events.AssistantStopped()
            ):
                self._speaking("assistant", False)
            case events.ToolStarted():
                self._tool(event, "started", arguments=event.arguments)
            case events.ToolFinished():
                self._tool(event, "finished", output=event.output[:MOST_TEXT])
            case events.ToolFailed():
                self._tool(event, "failed", output=event.message[:MOST_TEXT])
            case events.ToolCancelled():
                self._tool(event, "cancelled")
            case events.Reconnecting() | events.Reconnected():
                self._tell(self._state())
            case events.ResponseDone():
                self._tell_cost()

    def _tool(self, event: Any, status: str, **shown: Any) -> None:
        told = {"type": "tool", "id": event.call_id, "name": event.name, "status": status}
        told |= shown if self._show else {}
        self._tools.append(told)
        self._tell(told)

    def _speaking(self, side: str, speaks: bool) -> None:
        self._speaks[side] = speaks
        self._tell(self._state())

    def _state(self) -> dict[str, Any]:
        return {"type": "state", "state": self._call.state.name.lower(), **self._speaks}

    def _tell_cost(self) -> None:
        cost = self._call.usage.cost
        if cost != self._cost:
            self._cost = cost
            self._tell({"type": "cost", "usd": cost})


def ended_told(end: CallEnded) -> dict[str, Any]:
    """Return the last message: a page learns no more of a failure than that there was one."""
    reason = end.reason if end.normal else "The call failed."
    return {"type": "ended", "reason": reason, "normal": end.normal}


def _turn_told(turn: Turn) -> dict[str, Any]:
    return {
        "type": "turn",
        "id": turn.id,
        "role": turn.role,
        "text": turn.text[:MOST_TEXT],
        "final": turn.final,
        "interrupted": turn.status is Status.INTERRUPTED,
        "heard_text": turn.heard_text[:MOST_TEXT],
    }


async def _until_end(turns: AsyncIterator[Turn]) -> AsyncIterator[Turn]:
    try:
        async for turn in turns:
            yield turn
    except CallEnded:
        return
