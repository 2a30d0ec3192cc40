"""Typed events of translation sessions (`/realtime/translations`): 7 from the server, 3 to it.

    decode         text -> TranslationServerEvent
    encode         TranslationClientEvent -> text

A translation is one continuous stream: no conversation, no items, no responses. All that is said of
Realtime events in `rtcvoice.events` holds for these. `ErrorEvent` is that of the Realtime API; the
others are not, although some have the same wire name as one there, or in `rtcvoice.events.live`.
"""

from __future__ import annotations

from typing import Any, TypeAlias, Union, cast, get_args

import msgspec

from rtcvoice.events import codec
from rtcvoice.events.base import Count, FromServer, Tagged, UnknownEvent, Whole, Wire
from rtcvoice.events.from_server import ErrorDetail, ErrorEvent
from rtcvoice.events.session import NoiseReduction, TranscriptionConfig

__all__ = [
    "CLIENT_EVENTS",
    "SERVER_EVENTS",
    "AudioConfig",
    "AudioInputConfig",
    "AudioOutputConfig",
    "ErrorDetail",
    "ErrorEvent",
    "InputAudioAppend",
    "InputTranscriptDelta",
    "KnownTranslationEvent",
    "OutputAudioDelta",
    "OutputTranscriptDelta",
    "Session",
    "SessionClose",
    "SessionClosed",
    "SessionCreated",
    "SessionUpdate",
    "SessionUpdated",
    "TranslationClientEvent",
    "TranslationServerEvent",
    "decode",
    "decode_client",
    "encode",
]


# -- the session ----------------------------------------------------------------------------------


class AudioInputConfig(Wire):
    """What happens to the audio that is translated; None is off.

    Without `transcription` the words of the speaker do not come, only their translation.
    """

    noise_reduction: NoiseReduction | None = None
    transcription: TranscriptionConfig | None = None


class AudioOutputConfig(Wire):
    """Into which language is translated: a code such as `es`."""

    language: str | None = None


class AudioConfig(Wire):
    """Both directions of the session's audio."""

    input: AudioInputConfig | None = None
    output: AudioOutputConfig | None = None


class Session(Wire):
    """A translation session as the server describes it; `expires_at` is Unix time in seconds."""

    id: str | None = None
    type: str | None = None
    model: str | None = None
    expires_at: Whole | None = None
    audio: AudioConfig | None = None


# -- from the server ------------------------------------------------------------------------------


class SessionCreated(FromServer, tag="session.created"):
    """First event of a session, with its configuration."""

    session: Session


class SessionUpdated(FromServer, tag="session.updated"):
    """Answer to an accepted session.update: the whole configuration."""

    session: Session


class SessionClosed(FromServer, tag="session.closed", gc=False):
    """Last event of a session: all that was said before has been translated."""


class _Placed(FromServer, gc=False):
    """Something at `elapsed_ms` of the stream: steps of 200 ms, several may have the same."""

    delta: str
    elapsed_ms: Count | None = None


class InputTranscriptDelta(_Placed, tag="session.input_transcript.delta"):
    """Some words of the speaker, where `transcription` is on; to be joined as they come."""


class OutputTranscriptDelta(_Placed, tag="session.output_transcript.delta"):
    """Some words of the translation; to be joined as they come, without spaces in between."""


class OutputAudioDelta(_Placed, tag="session.output_audio.delta", gc=False):
    """Some of the translation's sound, of any length, in base64; over a WebSocket only."""

    channels: Count | None = None
    format: str | None = None
    sample_rate: Count | None = None


KnownTranslationEvent: TypeAlias = (
    SessionCreated
    | SessionUpdated
    | SessionClosed
    | InputTranscriptDelta
    | OutputTranscriptDelta
    | OutputAudioDelta
    | ErrorEvent
)

TranslationServerEvent: TypeAlias = KnownTranslationEvent | UnknownEvent
"""What a message of such a server is read as."""

SERVER_EVENTS: dict[str, type[Tagged]] = {cls.type: cls for cls in get_args(KnownTranslationEvent)}


# -- to the server --------------------------------------------------------------------------------


class _ToServer(Tagged):
    event_id: str | None = None


class SessionUpdate(_ToServer, tag="session.update"):
    """Change `audio.output.language`, `audio.input.transcription` or `.noise_reduction`."""

    session: dict[str, Any]


class InputAudioAppend(_ToServer, tag="session.input_audio_buffer.append"):
    """Audio to be translated, over a WebSocket: base64 of 16-bit mono samples at 24 kHz.

    Silence, too: the model's time stands still while nothing comes.
    """

    audio: str


class SessionClose(_ToServer, tag="session.close"):
    """End the session: what was said is translated to its end; `session.closed` follows."""


TranslationClientEvent: TypeAlias = SessionUpdate | InputAudioAppend | SessionClose

CLIENT_EVENTS: dict[str, type[Tagged]] = {cls.type: cls for cls in get_args(TranslationClientEvent)}


# -- text to events and back ----------------------------------------------------------------------

_server_decoder: msgspec.json.Decoder[KnownTranslationEvent] = msgspec.json.Decoder(
    Union[tuple(SERVER_EVENTS.values())]  # noqa: UP007
)
_client_decoder: msgspec.json.Decoder[TranslationClientEvent] = msgspec.json.Decoder(
    Union[tuple(CLIENT_EVENTS.values())]  # noqa: UP007
)


def decode(text: str | bytes) -> TranslationServerEvent:
    """The event in one message of the server. Never raises: see `UnknownEvent`."""
    try:
        return _server_decoder.decode(text)
    except codec.UNREADABLE as exc:
        return cast(TranslationServerEvent, codec.salvaged_of_server(text, exc, SERVER_EVENTS))


def decode_client(text: str | bytes) -> TranslationClientEvent | UnknownEvent:
    """The event in one message of a client: for servers, tests and tools. Never raises."""
    try:
        return _client_decoder.decode(text)
    except codec.UNREADABLE as exc:
        return cast(TranslationClientEvent, codec.salvaged_of_client(text, exc, CLIENT_EVENTS))


def encode(event: TranslationClientEvent) -> str:
    """The text that sends `event`; ConfigError if a value in it cannot be written as JSON."""
    return codec.written(event)
