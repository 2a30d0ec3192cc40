"""What may be in the settings of a Live session: created, started on a WebSocket, forked, updated.

The schema is closed: a field that is not named here is refused, at any depth.
"""

from __future__ import annotations

from typing import Any

from rtcvoice.emulator.live.decision_schema import QUESTIONS, TRIGGERS, needs
from rtcvoice.emulator.session.function_schema import check_parameters
from rtcvoice.emulator.session.schema import (
    Check,
    RequestError,
    anything,
    array,
    boolean,
    integer,
    invalid,
    mapping,
    nullable,
    number,
    one_of,
    one_of_or,
    record,
    string,
    tagged,
)

__all__ = [
    "FORK",
    "MEDIA_SESSION",
    "SOCKET_FORK",
    "SOCKET_SESSION",
    "UPDATE",
    "VOICES",
]

VOICES = (
    *("alloy", "ash", "ballad", "beacon", "bossa", "brise", "cedar", "cinder", "coral", "delta"),
    *("echo", "flitz", "gleam", "harema", "juni", "marin", "meridian", "nira", "noeul", "nuri"),
    *("quartz", "ripple", "sage", "shida", "shimmer", "sillage", "stone", "tempo", "verse"),
    *("vesper", "willow"),
)
MOST_MESSAGES = 128
_text = string()
_type: dict[str, Check] = {"type": anything}


def _one_part(check: Check) -> Check:
    def exactly_one(value: Any, path: str) -> None:
        array(check)(value, path)
        if len(value) != 1:
            raise invalid(path, f"'{path}' must have exactly one part.")

    return exactly_one


# ----------------------------------------------------------------------------------------- history


def _message(part: Check) -> Check:
    fields = {
        "type": one_of("message"),
        "id": nullable(string(longest=512)),
        "role": anything,
        "status": nullable(one_of("incomplete", "completed")),
        "content": _one_part(part),
    }
    return record(fields, required=("content",))


_written = record({"text": _text, "type": one_of("input_text")}, required=("text",))
_spoken = record({"text": _text, "type": one_of("text", "output_text")}, required=("text",))
_history = array(
    tagged(
        "role",
        {
            "developer": _message(_written),
            "user": _message(_written),
            "assistant": _message(_spoken),
        },
    ),
    longest=MOST_MESSAGES,
)

# ------------------------------------------------------------------------------------------- audio


def _voice(value: Any, path: str) -> None:
    if isinstance(value, dict):
        record({"id": string(longest=128)}, required=("id",))(value, path)
        return
    _text(value, path)
    if value not in VOICES:
        message = f"The voice '{value[:100]}' is not available to this project."
        raise RequestError("forbidden", message, path)


AUDIO_FORMAT = tagged(
    "type",
    {
        "audio/pcm": record(
            {**_type, "rate": needs(integer(1), lambda rate: _rate(rate, 16000, 24000))},
            required=("rate",),
        ),
        **{
            kind: record(
                {**_type, "rate": needs(integer(1), lambda rate: _rate(rate, 8000))},
                required=("rate",),
            )
            for kind in ("audio/pcmu", "audio/pcma")
        },
    },
)


def _rate(rate: int, *known: int) -> str:
    return "" if rate in known else f"Supported rates are {', '.join(map(str, known))}."


_output = record({"voice": _voice})

# -------------------------------------------------------------------------------------- delegation

_function_fields = record(
    {
        **_type,
        "name": string(longest=128, pattern="[A-Za-z0-9_-]+"),
        "description": nullable(_text),
        "parameters": nullable(mapping(anything)),
        "strict": nullable(boolean),
    },
    required=("name",),
)


def _function(value: Any, path: str) -> None:
    _function_fields(value, path)
    if value.get("parameters") is not None:
        check_parameters(value["name"], value["parameters"], f"{path}.parameters")


_bare = record(_type)
_mcp = record(
    {
        **_type,
        **dict.fromkeys(("server_label", "server_url", "server_description"), nullable(_text)),
        **dict.fromkeys(("authorization", "connector_id", "tunnel_id"), nullable(_text)),
        **dict.fromkeys(("allowed_callers", "allowed_tools", "require_approval"), anything),
        "headers": nullable(mapping(_text)),
        "defer_loading": nullable(boolean),
    }
)
_tool = tagged(
    "type",
    {
        "function": _function,
        "mcp": _mcp,
        "shell": record({**_type, "environment": anything}),
        **dict.fromkeys(
            (
                *("web_search", "file_search", "code_interpreter", "image_generation", "custom"),
                *("namespace", "tool_search", "programmatic_tool_calling", "computer"),
                "apply_patch",
            ),
            _bare,
        ),
    },
)
_named = record({**_type, "name": _text}, required=("name",))
_one_choice: dict[str, Check] = {
    "function": _named,
    "custom": _named,
    "mcp": record(
        {**_type, "name": _text, "server_label": _text}, required=("name", "server_label")
    ),
    **dict.fromkeys(
        (
            *("file_search", "web_search", "web_search_preview", "image_generation", "computer"),
            *("code_interpreter", "programmatic_tool_calling", "shell", "apply_patch"),
        ),
        _bare,
    ),
}
_allowed = record(
    {
        **_type,
        "mode": nullable(one_of("none", "auto", "required")),
        "tools": array(tagged("type", _one_choice)),
    },
    required=("tools",),
)
_tool_choice = one_of_or(
    dict, tagged("type", {**_one_choice, "allowed_tools": _allowed}), "auto", "none", "required"
)
_tiers = ("auto", "default", "fast_tier_temp_pilot", "flex", "priority", "ultrafast")
_efforts = ("none", "minimal", "low", "medium", "high", "xhigh")
_responses: dict[str, Check] = {
    "model": string(longest=256),
    "instructions": nullable(_text),
    "max_output_tokens": nullable(integer(16)),
    "parallel_tool_calls": nullable(boolean),
    "reasoning": nullable(
        record(
            {
                "effort": nullable(one_of(*_efforts)),
                "summary": nullable(one_of("concise", "detailed", "auto")),
            }
        )
    ),
    "service_tier": nullable(one_of(*_tiers)),
    "text": nullable(record({"verbosity": nullable(one_of("low", "medium", "high"))})),
    "tool_choice": _tool_choice,
    "tools": array(_tool),
}
_decisions: dict[str, Check] = {"model": _text, "questions": QUESTIONS}
_owned: dict[str, Check] = {**_type, "acknowledgement_delay_ms": integer(0)}


def _delegation(*, complete: bool) -> Check:
    """Check who does the work; of an update that is not `complete` any field may be missing."""
    parts = {
        "responses": record(_responses, required=("model",) if complete else ()),
        "decisions": record(_decisions, required=("model", "questions") if complete else ()),
    }
    return tagged(
        "type",
        {
            "client": record(_owned),
            **{
                kind: record({**_owned, kind: part}, required=(kind,) if complete else ())
                for kind, part in parts.items()
            },
        },
    )


# ----------------------------------------------------------------------------------------- session


def _selector(value: Any, path: str) -> None:
    record({"type": _text, "response_event": _text}, required=("type",))(value, path)
    if ("response_event" in value) != (value["type"] == "response.event"):
        message = "'response_event' belongs to the type 'response.event', and to no other."
        raise invalid(f"{path}.response_event", message)


_client = record(
    {
        "data_channel": record(
            {
                "allowed_client_events": one_of_or(list, array(_text, longest=256), "all"),
                "allowed_server_events": one_of_or(list, array(_selector, longest=256), "all"),
            }
        )
    },
    required=("data_channel",),
)


def _model(value: Any, path: str) -> None:
    _text(value, path)
    if not value.startswith("gpt-live"):
        message = f"The model '{value[:100]}' is not supported in live mode."
        raise RequestError("unsupported_model", message, path)


_common: dict[str, Check] = {
    "model": _model,
    "client": _client,
    "delegation": nullable(_delegation(complete=True)),
    "input": _history,
    "instructions": nullable(_text),
    "safety_identifier": nullable(_text),
    "store": boolean,
    "triggers": TRIGGERS,
}
MEDIA_SESSION = record(
    {
        **_common,
        "audio": record({"output": _output}),
        "idle_timeout_s": integer(1, 7200),
        "wake_policy": record(
            {"type": one_of("speech"), "vad_threshold": number(0, 1)}, required=("type",)
        ),
    },
    required=("model",),
)
SOCKET_SESSION = record(
    {**_common, "audio": record({"output": _output, "format": AUDIO_FORMAT})},
    required=("model",),
)
_forked_delegation = nullable(_delegation(complete=False))
FORK = record({"client": _client, "delegation": _forked_delegation, "store": boolean})
SOCKET_FORK = record(
    {
        "audio": record({"format": AUDIO_FORMAT}),
        "delegation": _forked_delegation,
        "store": boolean,
    }
)
UPDATE = record({"delegation": nullable(_delegation(complete=False)), "triggers": TRIGGERS})
