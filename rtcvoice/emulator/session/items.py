"""Conversation items: what a client may create, what the server makes of it, what it weighs.

An item is a plain dict in the shape of the wire. `create` checks the client's item and returns the
server's copy (id and status filled in, audio payload gone); `weigh` counts its tokens.
"""

from __future__ import annotations

import base64
import binascii
from copy import deepcopy
from typing import Any, NamedTuple

import numpy as np

from rtcvoice.emulator.session.outputs import RATE_HZ, Pcm
from rtcvoice.emulator.session.schema import (
    RequestError,
    anything,
    array,
    boolean,
    invalid,
    nullable,
    one_of,
    record,
    string,
    tagged,
)

__all__ = [
    "Item",
    "Tokens",
    "assistant_message",
    "check_item",
    "check_item_or_reference",
    "client_sound",
    "create",
    "text_of",
    "text_tokens",
    "user_audio",
    "weigh",
]

Item = dict[str, Any]

_ID = string(pattern="[A-Za-z0-9_-]{1,128}")
_status = one_of("completed", "incomplete", "in_progress")
_common = {
    "type": anything,
    "id": _ID,
    "object": one_of("realtime.item"),
    "status": _status,
}
_text = string()


def _refuse_audio(value: Any, path: str) -> None:
    where = f"{path}.text"  # as if it were text: of the assistant a client may create no more
    message = f"Missing required parameter: '{where}'."
    raise RequestError("missing_required_parameter", message, where)


LONGEST_CALL_ID = 32
"""Characters of a `call_id`: those of other makers' servers are longer, and are refused."""


def _call_id(value: Any, path: str) -> None:
    _text(value, path)
    if len(value) > LONGEST_CALL_ID:
        raise RequestError(
            "string_above_max_length",
            f"Invalid '{path}': string too long. Expected a string with maximum length"
            f" {LONGEST_CALL_ID}, but got a string with length {len(value)} instead.",
            path,
        )


_part_fields = {"type": anything}
_IMAGE_TOKENS = {"low": 85, "auto": 765, "high": 765}


def _image_url(value: Any, path: str) -> None:
    _text(value, path)
    head, _, encoded = value.partition(",")
    if head not in ("data:image/png;base64", "data:image/jpeg;base64"):
        raise invalid(path, f"'{path}' must be a data URI of a PNG or JPEG image in base64.")
    _decoded(encoded, path)


_input_text = record({**_part_fields, "text": _text}, required=("text",))
_PARTS = {
    "system": {"input_text": _input_text},
    "user": {
        "input_text": _input_text,
        "input_audio": record(
            {**_part_fields, "audio": _text, "transcript": nullable(_text)}, required=("audio",)
        ),
        "input_image": record(
            {**_part_fields, "image_url": _image_url, "detail": one_of("auto", "low", "high")},
            required=("image_url",),
        ),
    },
    "assistant": {
        "output_text": record({**_part_fields, "text": _text}, required=("text",)),
        "output_audio": _refuse_audio,
    },
}
_message = tagged(
    "role",
    {
        role: record(
            {
                **_common,
                "role": anything,
                "content": array(tagged("type", parts)),
                "phase": one_of("commentary", "final_answer"),
            },
            required=("content",),
        )
        for role, parts in _PARTS.items()
    },
)
_BRANCHES = {
    "message": _message,
    "function_call": record(
        {**_common, "name": _text, "arguments": _text, "call_id": _call_id},
        required=("name", "arguments"),
    ),
    "function_call_output": record(
        {**_common, "call_id": _call_id, "output": _text}, required=("call_id", "output")
    ),
    "mcp_approval_response": record(
        {
            "type": anything,
            "id": _ID,
            "approval_request_id": _text,
            "approve": boolean,
            "reason": nullable(_text),
        },
        required=("approval_request_id", "approve"),
    ),
}
_reference = record({"type": anything, "id": _text}, required=("id",))

check_item = tagged("type", _BRANCHES)
"""Check of the `item` of a `conversation.item.create`."""

check_item_or_reference = tagged("type", {**_BRANCHES, "item_reference": _reference})
"""Check of one element of the `input` of a `response.create`."""


class Tokens(NamedTuple):
    """What an item weighs in a model's context."""

    text: int = 0
    audio: int = 0
    image: int = 0

    def __add__(self, other: Tokens) -> Tokens:  # type: ignore[override]
        return Tokens(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))


def text_tokens(text: str) -> int:
    """Return a plausible number of tokens of `text`: one for 4 characters, rounded up."""
    return -(-len(text) // 4)


def create(item: Item, new_id: str, path: str) -> tuple[Item, Tokens]:
    """Return the server's copy of a client's checked `item`, and its weight.

    Audio is dropped from the copy: the service shows user audio as a part whose transcript is null.
    Raises RequestError at `path` for audio that is not base64.
    """
    made = {"id": new_id, **{k: v for k, v in deepcopy(item).items() if k != "object"}}
    audio = image = 0
    if made["type"] in ("message", "function_call"):
        made["status"] = "completed"
    else:
        made.pop("status", None)
    for index, part in enumerate(made.get("content", ())):
        if part["type"] == "input_audio":
            where = f"{path}.content[{index}].audio"
            samples = len(_decoded(part.pop("audio"), where)) // 2
            audio += -(-samples * 10 // RATE_HZ)
            part["transcript"] = part.get("transcript")
        elif part["type"] == "input_image":
            image += _IMAGE_TOKENS[part.get("detail", "auto")]
    return made, Tokens(text_tokens(_all_text(made)), audio, image)


def client_sound(item: Item) -> Pcm | None:
    """Return the audio in a client's checked item, None if it has none."""
    parts = [p["audio"] for p in item.get("content", ()) if p["type"] == "input_audio"]
    if not parts:
        return None
    data = b"".join(base64.b64decode(part) for part in parts)
    return np.frombuffer(data[: len(data) // 2 * 2], np.int16)


def _decoded(encoded: str, path: str) -> bytes:
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as exc:
        raise RequestError("invalid_value", f"'{path}' is not valid base64.", path) from exc


def user_audio(item_id: str) -> Item:
    """Return a committed spoken turn: exactly one audio part, its transcript present and null."""
    content = [{"type": "input_audio", "transcript": None}]
    return {
        "id": item_id,
        "type": "message",
        "status": "completed",
        "role": "user",
        "content": content,
    }


def assistant_message(item_id: str, status: str, content: list[dict[str, Any]]) -> Item:
    """Return a message of the model."""
    return {
        "id": item_id,
        "type": "message",
        "status": status,
        "role": "assistant",
        "content": content,
    }


def text_of(item: Item) -> str:
    """Return the words of a message, as far as they are known."""
    parts = item.get("content") or ()
    return " ".join(p.get("text") or p.get("transcript") or "" for p in parts).strip()


def _all_text(item: Item) -> str:
    return text_of(item) + "".join(str(item.get(k, "")) for k in ("name", "arguments", "output"))


def weigh(item: Item, *, user_samples: int = 0, assistant_samples: int = 0) -> Tokens:
    """Count tokens: text by length, user audio 1 per 100 ms, assistant audio 1 per 50 ms."""
    audio = -(-user_samples * 10 // RATE_HZ) + -(-assistant_samples * 20 // RATE_HZ)
    return Tokens(text_tokens(_all_text(item)), audio)
