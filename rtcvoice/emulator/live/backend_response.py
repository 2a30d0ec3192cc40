"""One response of the backend model, as the stream of inner events by which it is told.

Snapshots of the response come without output, tools and instructions: who wants them has the
granular events. A function call is complete at its `response.output_item.done`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from enum import Enum, auto
from typing import Any

from rtcvoice.emulator.live.hub import Hub
from rtcvoice.emulator.session.items import text_tokens
from rtcvoice.emulator.session.plan import Call, Failure

__all__ = ["BackendResponse", "ResponseState"]

_PIECE = 12  # characters of arguments in a delta


class ResponseState(Enum):
    """How far a response of the backend is."""

    RUNNING = auto()
    """Its events still come."""
    COMPLETED = auto()
    """It ended well; its calls may wait for their outputs."""
    FAILED = auto()
    """It failed or stayed incomplete."""


class BackendResponse:
    """Tells one response, step by step, by the wall's clock.

    `told(kind, **fields)` sends one inner event, `ended(response)` hears of the end. `text`: what
    it says when it calls nothing, or after what a hosted tool gave.
    """

    def __init__(
        self,
        hub: Hub,
        *,
        calls: list[Call],
        text: str,
        delay: float = 0.0,
        failure: Failure | None = None,
        hosted: Call | None = None,
        previous: str | None = None,
        told: Callable[..., None],
        ended: Callable[[BackendResponse], None],
    ) -> None:
        self.id = hub.ids.response()
        self.state = ResponseState.RUNNING
        self.calls: dict[str, Call] = {}
        """The calls that were told completely, by `call_id`."""
        self.text = text
        self.hosted = hosted
        self._hub = hub
        self._wanted = calls
        self._delay = delay
        self._failure = failure
        self._previous = previous
        self._told = told
        self._ended = ended
        self._sequence = 0
        self._index = 0
        self._deltas = 0
        self._steps = self._work()

    def begin(self) -> None:
        """Tell that it began; the rest comes in time."""
        self._step()

    def _step(self) -> None:
        if self.state is not ResponseState.RUNNING:
            return
        wait = next(self._steps, None)
        if wait is not None:
            self._hub.wall.after(wait, self._step)

    def _event(self, kind: str, **fields: Any) -> None:
        self._told(kind, sequence_number=self._sequence, **fields)
        self._sequence += 1

    def _work(self) -> Iterator[float]:
        pace = self._hub.pace
        self._event("response.created", response=self._snapshot("in_progress"))
        self._event("response.in_progress", response=self._snapshot("in_progress"))
        yield self._delay + pace.response_latency
        if self._fails_now():
            return
        if self._hub.options.reasoning:
            self._reason()
        if self.hosted is not None:
            yield from self._search(self.hosted)
        for call in self._wanted:
            yield from self._call(call)
            if self.state is not ResponseState.RUNNING:
                return
        if not self._wanted:
            yield from self._say()
        yield pace.delta_interval  # a quick client answers the last call before the end
        if self._failure is not None:
            self._fail(self._failure)
        if self.state is ResponseState.RUNNING:
            self._end(ResponseState.COMPLETED, "response.completed", "completed")

    # ---- output items

    def _reason(self) -> None:
        index, self._index = self._index, self._index + 1
        item: dict[str, Any] = {
            "id": self._hub.ids.item().replace("item_", "rs_"),
            "type": "reasoning",
            "summary": [],
        }
        self._event("response.output_item.added", output_index=index, item=dict(item))
        self._event("response.output_item.done", output_index=index, item=dict(item))

    def _call(self, call: Call) -> Iterator[float]:
        ids = self._hub.ids
        index, self._index = self._index, self._index + 1
        item: dict[str, Any] = {
            "id": ids.item().replace("item_", "fc_"),
            "type": "function_call",
            "status": "in_progress",
            "call_id": ids.function_call(),
            "name": call.name,
            "arguments": "",
        }
        where = {"item_id": item["id"], "output_index": index}
        self._event("response.output_item.added", output_index=index, item=dict(item))
        for start in range(0, len(call.arguments), _PIECE):
            yield self._hub.pace.delta_interval
            piece = call.arguments[start : start + _PIECE]
            padding = ids.obfuscation(piece)
            self._event(
                "response.function_call_arguments.delta",
                **where,
                delta=piece,
                obfuscation=padding,
            )
            if self._fails_now():
                return
        item |= {"status": "completed", "arguments": call.arguments}
        self._event(
            "response.function_call_arguments.done",
            **where,
            name=call.name,
            arguments=call.arguments,
        )
        self.calls[item["call_id"]] = call
        self._event("response.output_item.done", output_index=index, item=dict(item))

    def _search(self, call: Call) -> Iterator[float]:
        """Tell of a tool that the service runs: the web search."""
        index, self._index = self._index, self._index + 1
        query = _query(call)
        item: dict[str, Any] = {
            "id": self._hub.ids.item().replace("item_", "ws_"),
            "type": "web_search_call",
            "status": "in_progress",
            "action": {"type": "search", "query": query},
        }
        where = {"item_id": item["id"], "output_index": index}
        self._event("response.output_item.added", output_index=index, item=dict(item))
        for step in ("in_progress", "searching"):
            self._event(f"response.web_search_call.{step}", **where)
            yield self._hub.pace.response_latency
        self._event("response.web_search_call.completed", **where)
        item["status"] = "completed"
        self._event("response.output_item.done", output_index=index, item=dict(item))

    def _say(self) -> Iterator[float]:
        index, self._index = self._index, self._index + 1
        item: dict[str, Any] = {
            "id": self._hub.ids.item().replace("item_", "msg_"),
            "type": "message",
            "role": "assistant",
            "phase": "final_answer",
            "status": "in_progress",
            "content": [],
        }
        where = {"item_id": item["id"], "output_index": index, "content_index": 0}
        part: dict[str, Any] = {"type": "output_text", "text": "", "annotations": []}
        self._event("response.output_item.added", output_index=index, item=dict(item))
        self._event("response.content_part.added", **where, part=dict(part))
        for number, word in enumerate(self.text.split()):
            yield self._hub.pace.delta_interval
            delta = word if number == 0 else f" {word}"
            padding = self._hub.ids.obfuscation(delta)
            self._event(
                "response.output_text.delta",
                **where,
                delta=delta,
                logprobs=[],
                obfuscation=padding,
            )
            if self._fails_now():
                return
        part["text"] = " ".join(self.text.split())
        self._event("response.output_text.done", **where, text=part["text"], logprobs=[])
        self._event("response.content_part.done", **where, part=dict(part))
        item |= {"status": "completed", "content": [part]}
        self._event("response.output_item.done", output_index=index, item=item)

    # ---- the end

    def _fails_now(self) -> bool:
        if self._failure is None:
            return False
        if self._deltas >= self._failure.after:
            self._fail(self._failure)
            return True
        self._deltas += 1
        return False

    def _fail(self, failure: Failure) -> None:
        if self.state is not ResponseState.RUNNING:
            return
        if failure.incomplete:
            fields: dict[str, Any] = {"incomplete_details": {"reason": failure.code}}
            self._end(ResponseState.FAILED, "response.incomplete", "incomplete", **fields)
        else:
            known = ("server_error", "rate_limit_exceeded", "invalid_prompt")
            code = failure.code if failure.code in known else "server_error"
            fields = {"error": {"code": code, "message": failure.words}}
            self._end(ResponseState.FAILED, "response.failed", "failed", **fields)

    def _end(self, state: ResponseState, kind: str, status: str, **fields: Any) -> None:
        self.state = state
        usage = self._usage()
        self._event(kind, response=self._snapshot(status) | {"usage": usage, **fields})
        self._ended(self)

    def _usage(self) -> dict[str, Any]:
        said = text_tokens(self.text) + sum(text_tokens(c.arguments) for c in self.calls.values())
        heard = 40 + sum(text_tokens(json.dumps(item)) for item in self._hub.items)
        return {
            "input_tokens": heard,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": said,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": heard + said,
        }

    def _snapshot(self, status: str) -> dict[str, Any]:
        config = self._hub.settings["delegation"].get("responses", {})
        return {
            "id": self.id,
            "object": "response",
            "created_at": self._hub.unix_time,
            "status": status,
            "model": config.get("model", ""),
            "output": [],
            "tools": [],
            "instructions": None,
            "tool_choice": config.get("tool_choice", "auto"),
            "parallel_tool_calls": config.get("parallel_tool_calls") is not False,
            "previous_response_id": self._previous,
            "error": None,
            "incomplete_details": None,
            "metadata": {},
            "temperature": 1.0,
            "top_p": 1.0,
        }


def _query(call: Call) -> str:
    try:
        given = json.loads(call.arguments)
    except ValueError:
        return call.arguments
    return str(given.get("query", "")) if isinstance(given, dict) else str(given)
