"""The server events of the conversation: its items and the transcripts of what the user said.

Items come with the id of their predecessor, which is how the order of a conversation is known.
Transcription runs beside everything else: its events may come before, amid or after the response
to the same words, so match them by `item_id`.
"""

from __future__ import annotations

from rtcvoice.events.base import Count, FromServer, Seconds, Whole, Wire
from rtcvoice.events.items import Item
from rtcvoice.events.responses import FailureDetail, InputTokenDetails

__all__ = [
    "Conversation",
    "ConversationCreated",
    "ConversationItemAdded",
    "ConversationItemCreated",
    "ConversationItemDeleted",
    "ConversationItemDone",
    "ConversationItemInputAudioTranscriptionCompleted",
    "ConversationItemInputAudioTranscriptionDelta",
    "ConversationItemInputAudioTranscriptionFailed",
    "ConversationItemInputAudioTranscriptionSegment",
    "ConversationItemRetrieved",
    "ConversationItemTruncated",
    "LogProb",
    "TranscriptionLanguage",
    "TranscriptionUsage",
]


class Conversation(Wire, gc=False):
    """The conversation's id."""

    id: str | None = None
    object: str | None = None


class ConversationCreated(FromServer, tag="conversation.created"):
    """A conversation exists; documented, but not seen from the service: do not wait for it."""

    conversation: Conversation


class _WithItem(FromServer):
    """Carries an item; `previous_item_id` is its predecessor, None for the first."""

    item: Item
    previous_item_id: str | None = None


class ConversationItemAdded(_WithItem, tag="conversation.item.added"):
    """An item entered the conversation: the client's, committed audio, or the model's, empty."""


class ConversationItemDone(_WithItem, tag="conversation.item.done"):
    """An item of the conversation is final; the model's: just before output_item.done."""


class ConversationItemCreated(_WithItem, tag="conversation.item.created"):
    """What servers of the beta sent in place of `added` and `done`; accepted, never expected."""


class ConversationItemRetrieved(FromServer, tag="conversation.item.retrieved"):
    """Answer to conversation.item.retrieve: the item with its audio as base64."""

    item: Item


class ConversationItemDeleted(FromServer, tag="conversation.item.deleted"):
    """Answer to conversation.item.delete."""

    item_id: str


class ConversationItemTruncated(FromServer, tag="conversation.item.truncated", gc=False):
    """An assistant's audio was cut at what was sent: after a barge-in, a clear, or on request."""

    item_id: str
    content_index: Count | None = None
    audio_end_ms: Count | None = None


class LogProb(Wire):
    """One token of a transcript with its log probability; only if the session includes it."""

    token: str
    logprob: float
    bytes: list[Whole] | None = None


class TranscriptionLanguage(Wire, gc=False):
    """A language heard in the audio."""

    code: str


class TranscriptionUsage(Wire):
    """What a transcription cost: `type` tokens (with counts) or duration (with `seconds`)."""

    type: str | None = None
    total_tokens: Count | None = None
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    input_token_details: InputTokenDetails | None = None
    seconds: Seconds | None = None


class ConversationItemInputAudioTranscriptionDelta(
    FromServer, tag="conversation.item.input_audio_transcription.delta"
):
    """The next words of the user; may come before the item itself does."""

    item_id: str
    content_index: Count | None = None
    delta: str | None = None
    logprobs: list[LogProb] | None = None


class ConversationItemInputAudioTranscriptionCompleted(
    FromServer, tag="conversation.item.input_audio_transcription.completed"
):
    """What the user said; before, amid or after the response to it, so match by `item_id`."""

    item_id: str
    content_index: Count | None = None
    transcript: str
    usage: TranscriptionUsage | None = None
    logprobs: list[LogProb] | None = None
    languages: list[TranscriptionLanguage] | None = None


class ConversationItemInputAudioTranscriptionFailed(
    FromServer, tag="conversation.item.input_audio_transcription.failed"
):
    """The user's audio could not be transcribed; the turn goes on all the same."""

    item_id: str
    content_index: Count | None = None
    error: FailureDetail


class ConversationItemInputAudioTranscriptionSegment(
    FromServer, tag="conversation.item.input_audio_transcription.segment"
):
    """A stretch of one speaker, `start` to `end` in seconds; diarizing models only."""

    item_id: str
    content_index: Count | None = None
    id: str
    start: float | None = None
    end: float | None = None
    speaker: str
    text: str
