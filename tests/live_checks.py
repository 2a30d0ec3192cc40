"""Holds events and bodies of the Live dialect against the types of the `openai` package."""

from __future__ import annotations

import functools
import importlib
import pkgutil
import re
from typing import Any

import pydantic
import typing_extensions


def _forbid_unknown() -> None:
    """Have every TypedDict of the Live types refuse unknown keys, as the service does."""
    import openai.types.live as package

    for module in pkgutil.iter_modules(package.__path__):
        loaded = importlib.import_module(f"{package.__name__}.{module.name}")
        for value in vars(loaded).values():
            if isinstance(value, type) and typing_extensions.is_typeddict(value):
                value.__pydantic_config__ = {"extra": "forbid"}


@functools.lru_cache(1)
def _adapters() -> dict[str, pydantic.TypeAdapter[Any]]:
    _forbid_unknown()
    from openai.types.live.client_event_param import ClientEventParam
    from openai.types.live.connect_client_event_param import ConnectClientEventParam
    from openai.types.live.connect_server_event import ConnectServerEvent
    from openai.types.live.fork_client_event_param import ForkClientEventParam
    from openai.types.live.live_create_params import LiveCreateParams
    from openai.types.live.live_create_response import LiveCreateResponse
    from openai.types.responses import ResponseStreamEvent

    kinds = {
        "server": ConnectServerEvent,
        "client": ConnectClientEventParam,
        "socket": ClientEventParam | ForkClientEventParam,
        "create": LiveCreateParams,
        "created": LiveCreateResponse,
        "inner": ResponseStreamEvent,
    }
    return {name: pydantic.TypeAdapter(kind) for name, kind in kinds.items()}


def accepts(which: str, value: Any) -> bool:
    """Whether the vendor's types take a value."""
    try:
        _exhaust(_adapters()[which].validate_python(value))
    except pydantic.ValidationError:
        return False
    return True


def _exhaust(value: Any) -> None:
    """Walk what was validated: iterables are checked only when they are read."""
    if isinstance(value, dict):
        for each in value.values():
            _exhaust(each)
    elif not isinstance(value, str | bytes | pydantic.BaseModel) and hasattr(value, "__iter__"):
        for each in value:
            _exhaust(each)


@functools.lru_cache(1)
def _by_type() -> dict[str, Any]:
    """The class of each server event, by its type: a union's errors would be of all of them."""
    from openai.types.live import connect_server_event

    found = {}
    for value in connect_server_event.ConnectServerEvent.__origin__.__args__:
        (kind,) = value.model_fields["type"].annotation.__args__
        found[kind] = value
    return found


def check_server_event(event: dict[str, Any]) -> None:
    """Fail for an event that the vendor's types do not have so, unknown fields included."""
    model = _by_type()[event["type"]]
    unknown = set(event) - set(model.model_fields)
    assert not unknown, (event["type"], unknown)
    model.model_validate(event, strict=True)
    if event["type"] == "response.event":
        _adapters()["inner"].validate_python(event["event"])


class LiveLint:
    """What has to hold of all events of a session, in their order."""

    def __init__(self) -> None:
        self.ids: set[str] = set()
        self.starts: dict[str, int] = {}
        self.seconds = 0.0
        self.paused = False
        self.closed = False
        self.delegations: dict[str, str] = {}
        self.appended = 0
        self.deltas: set[str] = set()
        self.first = True

    def feed(self, event: dict[str, Any], clock_ms: int | None = None) -> None:
        """Check the next event; `clock_ms`: the model's clock, where it is known."""
        check_server_event(event)
        kind = event["type"]
        assert not self.closed, kind
        if "event_id" in event:
            assert event["event_id"] not in self.ids
            self.ids.add(event["event_id"])
        if self.first:
            code = event.get("error", {}).get("code")
            assert kind == "session.started" or code == "credit_balance_exhausted", event
            self.first = False
        else:
            assert kind != "session.started"
        check = getattr(self, "_" + re.sub(r"\W", "_", kind), None)
        if check is not None:
            check(event, clock_ms)

    def _delta(self, event: dict[str, Any], clock_ms: int | None) -> None:
        start, end = event["start_ms"], event["end_ms"]
        assert 0 <= start < end
        assert start % 200 == 0
        assert end % 200 == 0
        assert clock_ms is None or end <= clock_ms
        assert start >= self.starts.get(event["type"], 0)
        self.starts[event["type"]] = start
        self.deltas.add(event["event_id"])

    _session_input_transcript_delta = _delta
    _session_output_transcript_delta = _delta

    def _acknowledged(self, event: dict[str, Any], clock_ms: int | None) -> None:
        assert self.appended <= event["start_ms"] <= event["end_ms"]
        assert clock_ms is None or event["end_ms"] <= clock_ms
        self.appended = event["start_ms"]

    _session_instructions_appended = _acknowledged
    _session_thinking_appended = _acknowledged
    _session_commentary_appended = _acknowledged

    def _session_usage_updated(self, event: dict[str, Any], clock_ms: int | None) -> None:
        usage = event["usage"]
        assert usage["seconds"] >= self.seconds
        self.seconds = usage["seconds"]
        if "active_seconds" in usage:
            assert usage["seconds"] == usage["active_seconds"] + usage["paused_seconds"]

    def _session_closed(self, event: dict[str, Any], clock_ms: int | None) -> None:
        self._session_usage_updated(event, clock_ms)
        self.closed = True

    def _session_paused(self, event: dict[str, Any], clock_ms: int | None) -> None:
        assert not self.paused
        self.paused = True

    def _session_resumed(self, event: dict[str, Any], clock_ms: int | None) -> None:
        assert self.paused
        self.paused = False

    def _session_delegation_created(self, event: dict[str, Any], clock_ms: int | None) -> None:
        delegation = event["delegation"]
        assert ("response_id" in delegation) == (delegation["target"] == "responses")
        self.delegations[delegation["id"]] = delegation.get("response_id", "")

    def _response_event(self, event: dict[str, Any], clock_ms: int | None) -> None:
        assert event["delegation_id"] in self.delegations

    def _decision_event(self, event: dict[str, Any], clock_ms: int | None) -> None:
        assert event.get("delegation_id", "") in {"", *self.delegations}
        if "source_event_id" in event:
            assert event["source_event_id"] in self.deltas
            assert event["trigger_id"]
