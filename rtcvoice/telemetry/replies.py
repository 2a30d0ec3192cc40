"""One response, as it is made, heard and cut: what its two spans say."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rtcvoice.conversation.accounts.usage import TokenCounts

from . import names
from .attributes import Attributes, content, message, text, tokens

if TYPE_CHECKING:
    from rtcvoice.conversation.state.turns import Turn
    from rtcvoice.events import Usage

    from .turns import TalkTurn

__all__ = ["Reply"]

WORDS_TIMEOUT = 6.0
"""Seconds after the end in which the last words, and what was heard of them, come."""

MS_OF_TOKEN = 50
"""Milliseconds of the assistant's voice in one token, as the API's pages say."""

_FINISHED = {"completed": "stop", "incomplete": "length", "failed": "error"}


@dataclass(eq=False)
class Reply:
    """A response of one turn. Times in seconds of our clock, None for what has not happened."""

    turn: TalkTurn
    response_id: str
    began: float
    ids: Attributes
    """Of the call and the session in which it was made."""
    told: bool = False
    """Whether the server told of its beginning: some only let it be heard."""
    conversation_id: str = ""
    output_at: float | None = None
    ended: float | None = None
    status: str = ""
    reason: str = ""
    usage: Usage | None = None
    inferred: bool = False
    """Whether the span of its making is told."""
    speech_began: float | None = None
    speech_ended: float | None = None
    cut: bool = False
    heard_at: float | None = None
    """When its first sound left the loudspeaker."""
    turns: dict[str, Turn] = field(default_factory=dict)
    """What was said in it, by item, as far as it is final."""
    spoken: bool = False
    """Whether the span of its being heard is told."""

    def is_known(self, now: float, ended: float) -> bool:
        """Whether its words are final, or will not come any more."""
        return bool(self.turns) or now - ended >= WORDS_TIMEOUT

    @property
    def words(self) -> str:
        """What the assistant said or wrote."""
        return "\n".join(turn.text for turn in self.turns.values() if turn.text)

    @property
    def heard_words(self) -> str:
        """What of it was heard."""
        return "\n".join(turn.heard_text for turn in self.turns.values() if turn.heard_text)

    @property
    def finish_reason(self) -> str:
        """Why it ended: one that was cut in the server's words, if there are any."""
        if self.status == "cancelled":
            return text(self.reason, 64) or "error"
        if self.status == "incomplete" and self.reason == "content_filter":
            return "content_filter"
        return _FINISHED.get(self.status, "error")

    def inference(self, *, said: bool) -> Attributes:
        """Return what the span of its making says; `said`: also the words."""
        told: Attributes = {
            names.RESPONSE_ID: text(self.response_id),
            names.FINISH_REASONS: [self.finish_reason],
            names.OUTPUT_TYPE: "text" if self.speech_began is None else "speech",
            **self.ids,
            **tokens(TokenCounts.of(self.usage)),
        }
        if self.conversation_id:
            told[names.CONVERSATION_ID] = text(self.conversation_id)
        if self.status == "failed":
            told[names.ERROR_TYPE] = text(self.reason, 64) or "failed"
        if said and self.words:
            told[names.OUTPUT_MESSAGES] = message("assistant", self.words, self.finish_reason)
        return told

    def speech(self, heard: float, *, said: bool) -> Attributes:
        """Return what the span of its being heard says; `heard` in seconds, as the clock has it."""
        exact = [turn.heard_ms for turn in self.turns.values() if turn.heard_ms is not None]
        told: Attributes = {
            names.RESPONSE_ID: text(self.response_id),
            names.HEARD_MS: sum(exact) if self.cut and exact else round(heard * 1000),
            names.INTERRUPTED: self.cut,
            **self.ids,
        }
        if made := TokenCounts.of(self.usage).output_audio * MS_OF_TOKEN:
            told[names.GENERATED_MS] = made
        if said and self.heard_words:
            told[names.OUTPUT_MESSAGES] = message("assistant", content(self.heard_words))
        return told
