"""The delegation owner `responses`: a text model beside the voice, with the client's functions.

Its state is what the client has to answer. Outputs and messages wait in a buffer until
`response.create` sends them; a function's output that is missing then is asked for.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from rtcvoice.emulator.live.backend_response import BackendResponse, ResponseState
from rtcvoice.emulator.live.client_events import item_text
from rtcvoice.emulator.live.hub import Hub, message
from rtcvoice.emulator.session.outputs import Event
from rtcvoice.emulator.session.plan import Call, Plan, Say
from rtcvoice.emulator.session.schema import RequestError, invalid

__all__ = ["Backend"]

MOST_ITEMS = 128
MOST_BYTES = 32_768
"""Of UTF-8, of all items in the buffer."""


class Backend:
    """One session's backend: at most one response at a time.

    `answer(after)` is asked what the backend does next: after a plan whose functions have given
    their results, or None after something typed. `tell(text)` has its answer spoken; `idle()` hears
    that it has nothing to do any more.
    """

    def __init__(
        self,
        hub: Hub,
        *,
        answer: Callable[[Plan | None], Plan],
        tell: Callable[[str], None],
        idle: Callable[[], None],
    ) -> None:
        self._hub = hub
        self._answer = answer
        self._tell = tell
        self._idle = idle
        self._buffer: list[dict[str, Any]] = []
        self._bytes = 0
        self._delegation = ""
        self._plan: Plan | None = None  # what the delegation's last response did
        self._running: BackendResponse | None = None
        self._unanswered: set[str] = set()
        self._known: set[str] = set()
        self._last_response: str | None = None
        self._create_waits = False
        self._cancelled = False

    @property
    def running(self) -> bool:
        """Whether a response is under way."""
        return self._running is not None

    @property
    def busy(self) -> bool:
        """Whether a response is under way, or waits for outputs."""
        return self.running or bool(self._unanswered)

    def cancel(self) -> None:
        """Begin nothing new: the session is closing. What runs may end."""
        self._cancelled = True
        self._create_waits = False
        self._unanswered.clear()

    # ---- the voice model hands work over

    def delegate(self, plan: Plan, *, client_event: str | None = None) -> None:
        """Begin the work that `plan` says, as a new delegation."""
        self._delegation = self._hub.ids.item()
        self._last_response = None
        self._begin(plan, created=True, client_event=client_event)

    def _begin(self, plan: Plan, *, created: bool = False, client_event: str | None = None) -> None:
        calls = [output for output in plan.outputs if isinstance(output, Call)]
        said = [output.text for output in plan.outputs if isinstance(output, Say)]
        hosted = [call for call in calls if self._is_hosted(call.name)]
        own = [call for call in calls if call not in hosted]
        delegation = self._delegation
        self._plan = plan

        def told(kind: str, **fields: Any) -> None:
            event = {"type": kind, **fields}
            self._hub.outbox.send("response.event", delegation_id=delegation, event=event)

        response = BackendResponse(
            self._hub,
            calls=own,
            text="" if own else " ".join(said) or "I found this for you.",
            delay=plan.delay,
            failure=plan.failure,
            hosted=hosted[0] if hosted else None,
            previous=self._last_response,
            told=told,
            ended=self._ended,
        )
        self._running = response
        if created:
            self._hub.outbox.send(
                "session.delegation.created",
                client_event=client_event,
                delegation={
                    "id": delegation,
                    "type": "delegation",
                    "target": "responses",
                    "response_id": response.id,
                },
                offset_ms=self._hub.clock_ms,
            )
        response.begin()

    def _is_hosted(self, name: str) -> bool:
        tools = self._hub.settings["delegation"]["responses"]["tools"]
        return any(tool["type"] == name for tool in tools)

    def _ended(self, response: BackendResponse) -> None:
        self._running = None
        self._last_response = response.id
        failed = response.state is ResponseState.FAILED
        calls = {} if failed else response.calls  # nobody waits for those of a failed one
        for call_id, call in calls.items():
            self._known.add(call_id)
            self._unanswered.add(call_id)
            self._hub.items.append(
                {"type": "function_call", "call_id": call_id, "name": call.name, "arguments": ""}
            )
        if failed:
            self._tell("I am sorry, that did not work.")
        elif not response.calls:
            self._hub.items.append(message("assistant", response.text))
            self._tell(response.text)
        for item in list(self._buffer):
            self._unanswered.discard(str(item.get("call_id")))
        if self._create_waits and not self._unanswered:
            self._continue()
        elif not self.busy:
            self._idle()

    # ---- the client answers

    def add(self, event: Event) -> None:
        """Take `response.item.create`. Raises RequestError; then nothing changes."""
        self._require_responses("response.item.create")
        item = event["item"]
        kind = item.get("type", "message" if "role" in item else None)
        if kind not in ("message", "function_call_output"):
            raise invalid("item.type", f"Items of the type {kind!r} cannot be added here.")
        size = len(json.dumps(item, ensure_ascii=False).encode(errors="replace"))
        if len(self._buffer) >= MOST_ITEMS or self._bytes + size > MOST_BYTES:
            raise RequestError(
                "response_input_buffer_full",
                f"The response input buffer holds {MOST_ITEMS} items and {MOST_BYTES} bytes.",
                "item",
            )
        if kind == "function_call_output":
            self._check_call(item)
            self._unanswered.discard(item["call_id"])
        elif not isinstance(item.get("role"), str) or "content" not in item:
            raise RequestError("missing_required_parameter", "A message has a role and content.")
        self._bytes += size
        self._buffer.append({**item, "type": kind})

    def _check_call(self, item: dict[str, Any]) -> None:
        if not isinstance(item.get("call_id"), str) or "output" not in item:
            message_ = "Missing required parameter: 'item.call_id' or 'item.output'."
            raise RequestError("missing_required_parameter", message_, "item.call_id")
        running = {} if self._running is None else self._running.calls
        if item["call_id"] not in self._known and item["call_id"] not in running:
            message_ = f"No function call has the call_id {item['call_id'][:100]!r}."
            raise invalid("item.call_id", message_)

    def create(self, client_event: str | None) -> None:
        """Obey `response.create`. Raises RequestError."""
        self._require_responses("response.create")
        if self._running is not None:
            answered = {item.get("call_id") for item in self._buffer}
            if self._running.calls and set(self._running.calls) <= answered:
                self._create_waits = True  # all it asked for is there: goes on when it is over
                return
            if self._running.calls:
                raise _outputs_required()
            raise invalid("type", "A response is in progress, and nothing is there to go on with.")
        if self._unanswered:
            raise _outputs_required()
        if self._cancelled:
            raise invalid("type", "The session is closing.")
        self._continue(client_event)

    def _continue(self, client_event: str | None = None) -> None:
        self._create_waits = False
        answered = any(item["type"] == "function_call_output" for item in self._buffer)
        for item in self._buffer:
            text = item_text(item)
            if item["type"] == "message":
                self._hub.items.append(message(str(item["role"]), text))
            else:
                call_id = item["call_id"]
                self._hub.items.append(
                    {"type": "function_call_output", "call_id": call_id, "output": text}
                )
        self._buffer.clear()
        self._bytes = 0
        if answered and self._plan is not None:
            self._begin(self._answer(self._plan))
        else:
            self.delegate(self._answer(None), client_event=client_event)

    def _require_responses(self, kind: str) -> None:
        if self._hub.settings["delegation"]["type"] != "responses":
            raise RequestError(None, f"{kind} requires Responses delegation.")


def _outputs_required() -> RequestError:
    return RequestError(
        "function_call_outputs_required",
        "Submit the pending function call outputs before response.create.",
    )
