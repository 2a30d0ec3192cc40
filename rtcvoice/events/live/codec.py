"""Text to Live events and back, by the rules of the Realtime codec: `decode` never raises."""

from __future__ import annotations

from typing import Union, cast

import msgspec

from rtcvoice.events import codec
from rtcvoice.events.base import UnknownEvent
from rtcvoice.events.live.from_server import SERVER_EVENTS, KnownLiveEvent, LiveServerEvent
from rtcvoice.events.live.to_server import CLIENT_EVENTS, LiveClientEvent

__all__ = ["decode", "decode_client", "encode"]

_server_decoder: msgspec.json.Decoder[KnownLiveEvent] = msgspec.json.Decoder(
    Union[tuple(SERVER_EVENTS.values())]  # noqa: UP007
)
_client_decoder: msgspec.json.Decoder[LiveClientEvent] = msgspec.json.Decoder(
    Union[tuple(CLIENT_EVENTS.values())]  # noqa: UP007
)


def decode(text: str | bytes) -> LiveServerEvent:
    """The event in one message of a Live server. Never raises: see `UnknownEvent`.

    A field that cannot be used counts as missing, and is logged once per kind.
    """
    try:
        return _server_decoder.decode(text)
    except codec.UNREADABLE as exc:
        return cast(LiveServerEvent, codec.salvaged_of_server(text, exc, SERVER_EVENTS))


def decode_client(text: str | bytes) -> LiveClientEvent | UnknownEvent:
    """The event in one message of a Live client: for servers, tests and tools. Never raises."""
    try:
        return _client_decoder.decode(text)
    except codec.UNREADABLE as exc:
        return cast(LiveClientEvent, codec.salvaged_of_client(text, exc, CLIENT_EVENTS))


def encode(event: LiveClientEvent) -> str:
    """The text that sends `event`; ConfigError if a value in it cannot be written as JSON."""
    return codec.written(event)
