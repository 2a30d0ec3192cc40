"""Reads entries of a history as other programs write them, into the form of `call.history`; pure.

A message may have `text`, as in `call.history`, or `transcript`, or `content`: a text, or a list of
parts such as `{"type": "input_text", "text": ...}`, `{"type": "output_audio", "transcript": ...}`
and `{"type": "image_url", "image_url": {"url": ...}}`. `tool_calls` of an assistant and messages of
the role `tool` are function calls and their outputs. Fields that mean nothing here are passed
over, but not such as can only be a slip: then the whole history is refused.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

from rtcvoice.errors import ConfigError
from rtcvoice.events import ITEM_TYPES

__all__ = ["check_text", "unfolded"]

_SAYING = ("text", "content", "transcript", "heard_text", "images", "tool_calls")
"""Fields that may carry what was said; a message has one of them."""

_KNOWN = frozenset(
    {
        *(*_SAYING, "type", "role", "id", "status", "spoken", "phase", "reason", "heard_ms"),
        *("name", "object", "tool_call_id", "annotations", "audio", "refusal", "function_call"),
    }
)
_ROLES = {"developer": "system"}
_SLIP = 0.75
"""Likeness from which on an unknown word is taken for a known one that was misspelt."""

_URI = "data:image/"


def check_text(value: Any, place: str) -> str:
    """Return `value` if it is text that can be sent. Raises ConfigError that names `place`."""
    if not isinstance(value, str):
        raise ConfigError(f"{place} is a {type(value).__name__}, not text")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as exc:
            raise ConfigError(
                f"{place} cannot be sent: it has half a character (a surrogate) at {exc.start}",
                hint="it was decoded wrongly: read it as UTF-8, or with errors='replace'",
            ) from exc
    return value


def unfolded(entry: Any, place: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Give the entries, with their places, that one entry stands for, in `call.history`'s form.

    Each has a `type`; the images of messages are dicts with `image_url` and `detail`. Raises
    ConfigError that names the place.
    """
    if not isinstance(entry, Mapping):
        raise ConfigError(f"{place} is a {type(entry).__name__}", hint="a dict is needed")
    kind = entry.get("type", "message")
    if not isinstance(kind, str) or (kind not in ITEM_TYPES and _meant(kind, ITEM_TYPES)):
        meant = _meant(str(kind), ITEM_TYPES) or "message"
        raise ConfigError(f"{place} has the type {kind!r:.40}", hint=f"did you mean {meant!r}?")
    if kind != "message":
        yield place, {**entry, "type": kind}
    elif entry.get("role") == "tool":
        yield place, _output(entry, place)
    else:
        yield place, _message(entry, place)
        calls = entry.get("tool_calls") or ()
        if not isinstance(calls, list | tuple):
            raise ConfigError(f"{place}['tool_calls'] is not a list")
        for index, call in enumerate(calls):
            there = f"{place}['tool_calls'][{index}]"
            yield there, _call(call, there)


def _message(entry: Mapping[str, Any], place: str) -> dict[str, Any]:
    for name in entry:
        if name not in _KNOWN and (meant := _meant(str(name), _SAYING)):
            raise ConfigError(f"{place} has {name!r:.40}", hint=f"did you mean {meant!r}?")
    if not any(name in entry for name in _SAYING):
        raise ConfigError(
            f"{place} says nothing", hint="write what was said as 'text', or as 'content'"
        )
    sayings = [name for name in ("text", "content", "transcript") if entry.get(name)]
    if len(sayings) > 1:
        raise ConfigError(f"{place} has {' and '.join(map(repr, sayings))}", hint="write one only")
    role = entry.get("role")
    if not isinstance(role, str):
        raise ConfigError(f"{place} has no role", hint="user, assistant or system")
    message = {**entry, "type": "message", "role": _ROLES.get(role, role)}
    images = list(_listed(entry.get("images"), f"{place}['images']"))
    if "transcript" in entry and not entry.get("text"):
        message["text"] = entry["transcript"]
    if entry.get("content") is not None:
        texts, more = _parts(entry["content"], f"{place}['content']")
        message["text"] = "\n".join(texts)
        images += more
    elif "content" in entry and "text" not in entry:
        message["text"] = ""  # null, as in a message that only calls functions
    message["images"] = [made for where, image in images if (made := _image(image, where))]
    return message


def _listed(values: Any, place: str) -> Iterator[tuple[str, Any]]:
    if values is None:
        return
    if not isinstance(values, list | tuple):
        raise ConfigError(f"{place} is a {type(values).__name__}, not a list")
    for index, value in enumerate(values):
        yield f"{place}[{index}]", value


def _parts(content: Any, place: str) -> tuple[list[str], list[tuple[str, Any]]]:
    """Return the texts and the images of `content`."""
    if isinstance(content, str):
        return [check_text(content, place)], []
    texts, images = [], []
    for where, part in _listed(content, place):
        if isinstance(part, str):
            texts.append(check_text(part, where))
            continue
        kind = part.get("type") if isinstance(part, Mapping) else type(part).__name__
        match kind:
            case "text" | "input_text" | "output_text":
                texts.append(check_text(part.get("text"), f"{where}['text']"))
            case "audio" | "input_audio" | "output_audio":
                # The sound itself is not brought along, only what was said.
                said = part.get("transcript") or ""
                texts.append(check_text(said, f"{where}['transcript']"))
            case "image_url" | "input_image":
                images.append((where, part))
            case _:
                raise ConfigError(
                    f"{where} is a {kind!r:.40}", hint="text, audio or image_url are possible"
                )
    return [text for text in texts if text], images


def _image(image: Any, place: str) -> dict[str, Any] | None:
    """Return `image_url` and `detail` of an image, given as a dict or as a data URI.

    None for one whose content is not known, as of a call that did not see it.
    """
    detail = None
    if isinstance(image, Mapping):
        detail, image = image.get("detail"), image.get("image_url")
        if isinstance(image, Mapping):  # as in the format of chats
            detail, image = image.get("detail", detail), image.get("url")
        if image is None:
            return None
    if not isinstance(image, str) or not image.startswith(_URI):
        raise ConfigError(
            f"{place} is {image!r:.60}, no data URI of an image",
            hint=f'in a history images are {{"image_url": "{_URI}png;base64,..."}}',
        )
    if detail is not None:
        check_text(detail, f"{place}['detail']")
    return {"image_url": check_text(image, place), "detail": detail}


def _call(call: Any, place: str) -> dict[str, Any]:
    function = call.get("function") if isinstance(call, Mapping) else None
    if not isinstance(function, Mapping):
        raise ConfigError(f"{place} is not a function call", hint="it has an 'id' and a 'function'")
    return {
        "type": "function_call",
        "call_id": call.get("id"),
        "name": function.get("name"),
        "arguments": function.get("arguments"),
    }


def _output(entry: Mapping[str, Any], place: str) -> dict[str, Any]:
    content = entry.get("content", entry.get("text", ""))
    texts, _ = _parts(content if content is not None else "", f"{place}['content']")
    call_id = entry.get("tool_call_id", entry.get("call_id"))
    if not call_id:
        raise ConfigError(f"{place} has the role 'tool' and no 'tool_call_id'")
    return {"type": "function_call_output", "call_id": call_id, "output": "\n".join(texts)}


def _meant(word: str, known: Any) -> str | None:
    """Return the known word that another one was surely meant to be."""
    return next(iter(difflib.get_close_matches(word, list(known), n=1, cutoff=_SLIP)), None)
