"""Text to events and events to text: `decode` never raises, `encode` sends what it is given.

Decoding is one pass of msgspec over the text, for the union of all events. Only when that fails
is the text looked at again, as plain JSON, to keep whatever can be kept: an unknown event stays
an `UnknownEvent` with its data, a known one keeps its type although one of its items does not
fit (that item becomes an `UnknownItem`), and what cannot be read at all tells why.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Union, cast

import msgspec

from rtcvoice.errors import ConfigError
from rtcvoice.events.base import Tagged, UnknownEvent
from rtcvoice.events.from_server import SERVER_EVENTS, KnownServerEvent, ServerEvent
from rtcvoice.events.items import ITEM_TYPES, UnknownItem
from rtcvoice.events.to_server import CLIENT_EVENTS, ClientEvent

__all__ = ["BETA_NAMES", "as_dict", "decode", "decode_client", "encode", "is_beta"]

BETA_NAMES: Mapping[str, str] = {
    "conversation.item.created": "conversation.item.added",
    "response.audio.delta": "response.output_audio.delta",
    "response.audio.done": "response.output_audio.done",
    "response.audio_transcript.delta": "response.output_audio_transcript.delta",
    "response.audio_transcript.done": "response.output_audio_transcript.done",
    "response.text.delta": "response.output_text.delta",
    "response.text.done": "response.output_text.done",
    "transcription_session.created": "session.created",
    "transcription_session.update": "session.update",
    "transcription_session.updated": "session.updated",
}
"""Event names of the beta API, which was removed on 2026-05-12, and what replaced them."""

# What a malformed, undecodable or absurdly nested text makes msgspec raise. ValueError: text
# with lone surrogates has no UTF-8 form; RecursionError: brackets by the thousand.
_UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError)

# Stands where an item is while the event around it is converted.
_BLANK = {"type": "function_call_output", "call_id": "", "output": ""}

# Events whose `response` has a list of items, and its name there.
_ITEM_LISTS = {"response.create": "input", "response.created": "output", "response.done": "output"}


def _raw_item(item: Any) -> dict[str, Any]:
    """What the encoder writes for an item that it has no struct for."""
    if isinstance(item, UnknownItem):
        return item.data
    raise TypeError(f"{type(item).__name__} has no JSON form")


def _readable(value: Any) -> Any:
    """What stands for a value without JSON form where people, or their programs, read it."""
    if isinstance(value, BaseException):
        return f"{type(value).__name__}: {value}"
    return value.data if isinstance(value, UnknownItem) else str(value)


_server_decoder: msgspec.json.Decoder[KnownServerEvent] = msgspec.json.Decoder(
    Union[tuple(SERVER_EVENTS.values())]  # noqa: UP007
)
_client_decoder: msgspec.json.Decoder[ClientEvent] = msgspec.json.Decoder(
    Union[tuple(CLIENT_EVENTS.values())]  # noqa: UP007
)
_encoder = msgspec.json.Encoder(enc_hook=_raw_item)


def decode(text: str | bytes) -> ServerEvent:
    """The event in one message of the server. Never raises: see `UnknownEvent`."""
    try:
        return _server_decoder.decode(text)
    except _UNREADABLE as exc:
        return cast(ServerEvent, _salvage(text, SERVER_EVENTS, exc))


def decode_client(text: str | bytes) -> ClientEvent | UnknownEvent:
    """The event in one message of a client: for servers, tests and tools. Never raises."""
    try:
        return _client_decoder.decode(text)
    except _UNREADABLE as exc:
        return cast(ClientEvent, _salvage(text, CLIENT_EVENTS, exc))


def encode(event: ClientEvent) -> str:
    """The text that sends `event`; ConfigError if a value in it cannot be written as JSON."""
    try:
        return _encoder.encode(event).decode()
    except (TypeError, *_UNREADABLE) as exc:
        raise ConfigError(
            f"{event.type} cannot be sent: {exc}",
            hint="use text, numbers, booleans, None, lists and dicts with text keys",
        ) from exc


def as_dict(event: ServerEvent | ClientEvent) -> dict[str, Any]:
    """The event as plain JSON values, `type` included; None fields are left out.

    What the server sent beyond the known fields is gone, except in an UnknownEvent, which gives
    its data as it came (and type and error when there was none). Takes local events too, those
    called `rtcvoice.*`; an exception in one is given as text.
    """
    if isinstance(event, UnknownEvent):
        return event.data or {"type": event.type, "error": event.error}
    return cast(dict[str, Any], msgspec.to_builtins(event, enc_hook=_readable))


def is_beta(name: str) -> str | None:
    """The successor of a beta event name; None if `name` is not one.

    `conversation.item.created` is one: `decode` accepts it, but no current server sends it.
    """
    return BETA_NAMES.get(name)


def _salvage(
    text: str | bytes, table: Mapping[str, type[Tagged]], cause: Exception
) -> Tagged | UnknownEvent:
    """The best reading of a text that the fast path refused because of `cause`."""
    try:
        data = msgspec.json.decode(text)
    except _UNREADABLE as exc:
        return UnknownEvent("", {}, f"unreadable as JSON: {exc}")
    if not isinstance(data, dict):
        return UnknownEvent("", {}, f"not a JSON object: {cause}")
    name = data.get("type")
    if not isinstance(name, str):
        return UnknownEvent("", data, "no type: the object has no text of that name")
    cls = table.get(name)
    if cls is None:
        return UnknownEvent(name, data)
    try:
        return _convert(data, name, cls)
    except _UNREADABLE as exc:
        return UnknownEvent(name, data, str(exc))


def _convert(data: dict[str, Any], name: str, cls: type[Tagged]) -> Tagged:
    """`data` as a `cls`, its items typed one by one so that none can spoil the rest."""
    item = data.get("item")
    if "item" in cls.__struct_fields__ and isinstance(item, dict):
        event = msgspec.convert({**data, "item": _BLANK}, cls)
        return msgspec.structs.replace(event, item=_item(item))
    field, response = _ITEM_LISTS.get(name), data.get("response")
    if field and isinstance(response, dict):
        items = response.get(field)
        if isinstance(items, list) and all(isinstance(each, dict) for each in items):
            event = msgspec.convert({**data, "response": {**response, field: None}}, cls)
            typed = msgspec.structs.replace(
                event.response,  # type: ignore[attr-defined]
                **{field: [_item(each) for each in items]},
            )
            return msgspec.structs.replace(event, response=typed)
    return msgspec.convert(data, cls)


def _item(data: dict[str, Any]) -> Tagged | UnknownItem:
    """One item, typed if it can be."""
    name = data.get("type")
    if not isinstance(name, str):
        return UnknownItem("", data, "no type: the item has no text of that name")
    cls = ITEM_TYPES.get(name)
    if cls is None:
        return UnknownItem(name, data)
    try:
        return msgspec.convert(data, cls)
    except _UNREADABLE as exc:
        return UnknownItem(name, data, str(exc))
