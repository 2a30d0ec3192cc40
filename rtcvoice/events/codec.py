"""Text to events and events to text: `decode` never raises, `encode` sends what it is given.

Decoding is one pass of msgspec over the text, for the union of all events. Only when that fails
is the text looked at again, as plain JSON, to keep whatever can be kept: an unknown event stays
an `UnknownEvent` with its data; a known one of the server keeps its type and every field that can
be used (`lenient`); what cannot be read at all tells why. Client events are read strictly, as the
service reads them, but for items of unknown types.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Union, cast

import msgspec

from rtcvoice.errors import ConfigError, one_line
from rtcvoice.events.base import Tagged, UnknownEvent
from rtcvoice.events.from_server import SERVER_EVENTS, KnownServerEvent, ReceivedEvent
from rtcvoice.events.items import ITEM_TYPES, UnknownItem
from rtcvoice.events.lenient import LenientReader, UnusableError, loose_json
from rtcvoice.events.local import ServerEvent
from rtcvoice.events.to_server import CLIENT_EVENTS, ClientEvent

__all__ = ["BETA_NAMES", "as_dict", "decode", "decode_client", "encode", "is_beta"]

logger = logging.getLogger(__name__)

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
UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError)

# Stands where an item is while the event around it is converted.
_BLANK = {"type": "function_call_output", "call_id": "", "output": ""}

# What was told of in the log: kinds of events with a field that cannot be used. All of it is made
# of names of our structs and their fields, so its length is limited.
_told: set[str] = set()


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


def decode(text: str | bytes) -> ReceivedEvent:
    """The event in one message of the server. Never raises: see `UnknownEvent`.

    A field that cannot be used counts as missing, and is logged once per kind.
    """
    try:
        return _server_decoder.decode(text)
    except UNREADABLE as exc:
        return cast(ReceivedEvent, salvaged_of_server(text, exc, SERVER_EVENTS))


def decode_client(text: str | bytes) -> ClientEvent | UnknownEvent:
    """The event in one message of a client: for servers, tests and tools. Never raises."""
    try:
        return _client_decoder.decode(text)
    except UNREADABLE as exc:
        return cast(ClientEvent, salvaged_of_client(text, exc, CLIENT_EVENTS))


def encode(event: ClientEvent) -> str:
    """The text that sends `event`; ConfigError if a value in it cannot be written as JSON."""
    return written(event)


def written(event: Tagged) -> str:
    """What `encode` does, for the events of either API."""
    try:
        return _encoder.encode(event).decode()
    except (TypeError, *UNREADABLE) as exc:
        hint = "use text, numbers, booleans, None, lists and dicts with text keys"
        if isinstance(exc, UnicodeEncodeError):
            hint = "its text was decoded wrongly: read it as UTF-8, or with errors='replace'"
        raise ConfigError(f"{event.type} cannot be sent: {exc}", hint=hint) from exc


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


def salvaged_of_server(
    text: str | bytes, cause: Exception, table: Mapping[str, type[Tagged]]
) -> Tagged | UnknownEvent:
    """The best reading of a text of a server that the fast path refused because of `cause`.

    `table` has the events that the server may send.
    """
    try:
        data = msgspec.json.decode(text)
    except UNREADABLE as exc:
        try:
            data = loose_json(text)
        except UNREADABLE:
            return UnknownEvent("", {}, f"unreadable as JSON: {exc}")
    name = _name_in(data, cause)
    if isinstance(name, UnknownEvent):
        return name
    cls = table.get(name)
    if cls is None:
        return UnknownEvent(name, data)
    reader = LenientReader()
    try:
        event: Tagged | UnknownEvent = reader.struct(cls, data)
    except UnusableError as exc:
        event = UnknownEvent(name, data, str(exc))
        _tell_once(f"{name} is not understood: {exc}")
    for path in reader.odd:
        _tell_once(f"{name}: {path} cannot be used and counts as missing")
    return event


def _tell_once(what: str) -> None:
    if what not in _told:
        _told.add(what)
        logger.warning("x %s", what)


def _name_in(data: Any, cause: Exception) -> str | UnknownEvent:
    """The wire name of an event as plain JSON, or the event if it has none."""
    if not isinstance(data, dict):
        return UnknownEvent("", {}, f"not a JSON object: {one_line(str(cause))}")
    name = data.get("type")
    if not isinstance(name, str):
        return UnknownEvent("", data, "no type: the object has no text of that name")
    return name


def salvaged_of_client(
    text: str | bytes, cause: Exception, table: Mapping[str, type[Tagged]]
) -> Tagged | UnknownEvent:
    """The best reading of a client's text that the fast path refused because of `cause`.

    `table` has the events that the client may send.
    """
    try:
        data = msgspec.json.decode(text)
    except UNREADABLE as exc:
        return UnknownEvent("", {}, f"unreadable as JSON: {exc}")
    name = _name_in(data, cause)
    if isinstance(name, UnknownEvent):
        return name
    cls = table.get(name)
    if cls is None:
        return UnknownEvent(name, data)
    try:
        return _convert(data, cls)
    except UNREADABLE as exc:
        return UnknownEvent(name, data, str(exc))


def _convert(data: dict[str, Any], cls: type[Tagged]) -> Tagged:
    """`data` as a `cls`, its items typed one by one so that none can spoil the rest."""
    item, response = data.get("item"), data.get("response")
    if "item" in cls.__struct_fields__ and isinstance(item, dict):
        event = msgspec.convert({**data, "item": _BLANK}, cls)
        return msgspec.structs.replace(event, item=_item(item))
    items = response.get("input") if isinstance(response, dict) else None
    if response and isinstance(items, list) and all(isinstance(each, dict) for each in items):
        event = msgspec.convert({**data, "response": {**response, "input": None}}, cls)
        typed = msgspec.structs.replace(
            event.response,  # type: ignore[attr-defined]
            input=[_item(each) for each in items],
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
    except UNREADABLE as exc:
        return UnknownItem(name, data, str(exc))
