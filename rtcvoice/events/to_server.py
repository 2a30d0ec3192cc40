"""The events that a client may send: eleven, one struct each.

Any of them may carry an `event_id` of the client's (up to 512 characters); an error event that
answers it repeats it in `error.event_id`. Fields that are None are not sent.
"""

from __future__ import annotations

from typing import Any, TypeAlias, get_args

from rtcvoice.events.base import Tagged
from rtcvoice.events.items import Item
from rtcvoice.events.responses import ResponseParams

__all__ = [
    "CLIENT_EVENTS",
    "ClientEvent",
    "ConversationItemCreate",
    "ConversationItemDelete",
    "ConversationItemRetrieve",
    "ConversationItemTruncate",
    "InputAudioBufferAppend",
    "InputAudioBufferClear",
    "InputAudioBufferCommit",
    "OutputAudioBufferClear",
    "ResponseCancel",
    "ResponseCreate",
    "SessionUpdate",
]


class _Event(Tagged):
    event_id: str | None = None


class SessionUpdate(_Event, tag="session.update"):
    """Change the session; answered by `session.updated`, or refused whole by `error`.

    `session` is JSON as it will be sent, not a struct, because an absent field and a null one
    differ: absent leaves the setting alone, null switches turn detection, noise reduction or
    transcription off. `session["type"]` (realtime, transcription) must be there.
    """

    session: dict[str, Any]


class ConversationItemCreate(_Event, tag="conversation.item.create"):
    """Put an item into the conversation; answered by its `added` and `done`, by no response.

    `previous_item_id` None appends, "root" puts it first, an id puts it after that item.
    """

    item: Item
    previous_item_id: str | None = None


class ConversationItemRetrieve(_Event, tag="conversation.item.retrieve"):
    """Ask for an item with all its content, audio included."""

    item_id: str


class ConversationItemDelete(_Event, tag="conversation.item.delete"):
    """Remove an item from the conversation."""

    item_id: str


class ConversationItemTruncate(_Event, tag="conversation.item.truncate"):
    """Cut an assistant's audio at what was heard; over WebRTC the server does it by itself."""

    item_id: str
    content_index: int
    audio_end_ms: int


class InputAudioBufferAppend(_Event, tag="input_audio_buffer.append"):
    """Add base64 audio, at most 15 MiB, to the input; over WebRTC audio comes by the track."""

    audio: str


class InputAudioBufferCommit(_Event, tag="input_audio_buffer.commit"):
    """Make the audio so far, at least 100 ms, a user message; no response follows by itself."""


class InputAudioBufferClear(_Event, tag="input_audio_buffer.clear"):
    """Forget the audio not yet committed."""


class OutputAudioBufferClear(_Event, tag="output_audio_buffer.clear"):
    """Drop the speech not yet played (WebRTC only); cancel an active response first."""


class ResponseCreate(_Event, tag="response.create"):
    """Ask for a response; refused while another one of the conversation is active."""

    response: ResponseParams | None = None


class ResponseCancel(_Event, tag="response.cancel"):
    """Stop the response being made, or the one named; an error if there is none is harmless."""

    response_id: str | None = None


ClientEvent: TypeAlias = (
    SessionUpdate
    | ConversationItemCreate
    | ConversationItemRetrieve
    | ConversationItemDelete
    | ConversationItemTruncate
    | InputAudioBufferAppend
    | InputAudioBufferCommit
    | InputAudioBufferClear
    | OutputAudioBufferClear
    | ResponseCreate
    | ResponseCancel
)

CLIENT_EVENTS: dict[str, type[Tagged]] = {cls.type: cls for cls in get_args(ClientEvent)}
