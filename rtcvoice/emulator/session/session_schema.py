"""What may stand in a session and in a response, field by field, as the service documents it.

Data, not logic: the checks of `schema.py` put together into one tree for each of the two session
types. Names of fields are those of the GA interface; those of the removed beta get a hint.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

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

__all__ = ["BETA_FIELDS", "RESPONSE_FIELDS", "SESSION"]

_VOICES = (
    *("alloy", "ash", "ballad", "coral", "echo"),
    *("sage", "shimmer", "verse", "marin", "cedar"),
)

BETA_FIELDS: Mapping[str, str] = MappingProxyType(
    {
        "modalities": "use 'output_modalities' with exactly one of 'audio', 'text'.",
        "voice": "use 'audio.output.voice'.",
        "speed": "use 'audio.output.speed'.",
        "input_audio_format": "use 'audio.input.format'.",
        "output_audio_format": "use 'audio.output.format'.",
        "input_audio_transcription": "use 'audio.input.transcription'.",
        "input_audio_noise_reduction": "use 'audio.input.noise_reduction'.",
        "turn_detection": "use 'audio.input.turn_detection'.",
        "max_response_output_tokens": "use 'max_output_tokens'.",
        "temperature": "leave it out, the models have no such setting any more.",
        "client_secret": "mint a token with POST /v1/realtime/client_secrets.",
    }
)

_text = string()
_name = string(longest=512)


def _modalities(value: Any, path: str) -> None:
    array(one_of("audio", "text"))(value, path)
    if len(value) != 1:
        raise invalid(path, f"'{path}' must hold exactly one of 'audio', 'text'.")


_format = tagged(
    "type",
    {
        "audio/pcm": record({"type": anything, "rate": integer(24_000, 24_000)}),
        "audio/pcmu": record({"type": anything}),
        "audio/pcma": record({"type": anything}),
    },
)
_transcription = record(
    {
        "model": _name,
        "language": nullable(_text),
        "languages": array(_text),
        "prompt": nullable(_text),
        "keywords": array(_text),
        "delay": one_of("minimal", "low", "medium", "high", "xhigh"),
    }
)
_turn_detection = tagged(
    "type",
    {
        "server_vad": record(
            {
                "type": anything,
                "threshold": number(0, 1),
                "prefix_padding_ms": integer(0, 10_000),
                "silence_duration_ms": integer(0, 60_000),
                "idle_timeout_ms": nullable(integer(5_000, 30_000)),
                "create_response": boolean,
                "interrupt_response": boolean,
            }
        ),
        "semantic_vad": record(
            {
                "type": anything,
                "eagerness": one_of("low", "medium", "high", "auto"),
                "create_response": boolean,
                "interrupt_response": boolean,
            }
        ),
    },
)
_noise_reduction = record(
    {"type": one_of("near_field", "far_field"), "strength": number(0, 1)}, required=("type",)
)
_input = record(
    {
        "format": _format,
        "noise_reduction": nullable(_noise_reduction),
        "transcription": nullable(_transcription),
        "turn_detection": nullable(_turn_detection),
    }
)
_voice = one_of_or(dict, record({"id": _name}, required=("id",)), *_VOICES)
_read_only = record({"read_only": boolean, "tool_names": array(_text)})
_MCP_PLACES = ("server_url", "connector_id", "tunnel_id")
_mcp_fields = record(
    {
        "type": anything,
        "server_label": _name,
        **dict.fromkeys(_MCP_PLACES, _text),
        "authorization": _text,
        "headers": nullable(mapping(_text)),
        "allowed_tools": nullable(one_of_or((list, dict), anything)),
        "require_approval": nullable(
            one_of_or(dict, record({"always": _read_only, "never": _read_only}), "always", "never")
        ),
        "server_description": _text,
        "defer_loading": boolean,
        "allowed_callers": array(one_of("direct", "programmatic")),
    },
    required=("server_label",),
)


def _mcp_tool(value: Any, path: str) -> None:
    _mcp_fields(value, path)
    if not any(place in value for place in _MCP_PLACES):
        where = f"{path}.server_url"
        message = f"Missing required parameter: '{where}' (or connector_id, or tunnel_id)."
        raise RequestError("missing_required_parameter", message, where)


_function_fields = record(
    {
        "type": anything,
        "name": string(pattern="[A-Za-z0-9_-]{1,64}"),
        "description": _text,
        "parameters": mapping(anything),
    },
    required=("name",),
)


def _function_tool(value: Any, path: str) -> None:
    _function_fields(value, path)
    if "parameters" in value:
        check_parameters(value["name"], value["parameters"], f"{path}.parameters")


_tool = tagged("type", {"function": _function_tool, "mcp": _mcp_tool})
_chosen_tool = tagged(
    "type",
    {
        "function": record({"type": anything, "name": _name}, required=("name",)),
        "mcp": record(
            {"type": anything, "server_label": _name, "name": _name}, required=("server_label",)
        ),
    },
)
_shared: dict[str, Check] = {
    "instructions": _text,
    "output_modalities": _modalities,
    "tools": array(_tool, longest=128),
    "tool_choice": one_of_or(dict, _chosen_tool, "none", "auto", "required"),
    "max_output_tokens": one_of_or(int, integer(1, 4096), "inf"),
    "prompt": nullable(
        record(
            {"id": _name, "version": nullable(_text), "variables": nullable(mapping(anything))},
            required=("id",),
        )
    ),
    "reasoning": nullable(record({"effort": one_of("minimal", "low", "medium", "high", "xhigh")})),
    "parallel_tool_calls": boolean,
}
RESPONSE_FIELDS: Mapping[str, Check] = MappingProxyType(
    {**_shared, "audio": record({"output": record({"format": _format, "voice": _voice})})}
)
"""The fields that `response.create` shares with the session."""

_include = nullable(array(one_of("item.input_audio_transcription.logprobs")))
_tracing = record({"workflow_name": _text, "group_id": _text, "metadata": mapping(anything)})
_truncation = record(
    {
        "type": one_of("retention_ratio"),
        "retention_ratio": number(0, 1),
        "token_limits": record({"post_instructions": integer(0)}),
    },
    required=("type", "retention_ratio"),
)
_output = record({"format": _format, "voice": _voice, "speed": number(0.25, 1.5)})
SESSION = tagged(
    "type",
    {
        "realtime": record(
            {
                **_shared,
                "type": anything,
                "model": _name,
                "audio": record({"input": _input, "output": _output}),
                "truncation": one_of_or(dict, _truncation, "auto", "disabled"),
                "tracing": nullable(one_of_or(dict, _tracing, "auto")),
                "include": _include,
            },
            beta=BETA_FIELDS,
        ),
        "transcription": record(
            {"type": anything, "audio": record({"input": _input}), "include": _include},
            beta=BETA_FIELDS,
        ),
    },
)
"""Check of the `session` of a `session.update`, of a token request, of a multipart call."""
