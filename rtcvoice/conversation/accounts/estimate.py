"""How much a response may have used of which the server tells nothing; pure.

Not a measure but a bound for limits, on the dear side, from the words that went to and fro: speech
costs more tokens than its transcript has, and each response takes the whole conversation as input.
"""

from __future__ import annotations

from typing import Any

import msgspec

from rtcvoice import events

from .usage import TokenCounts

__all__ = ["Estimate"]

TOKENS_PER_CHARACTER = 1.5
"""Of spoken words: 20 tokens a second at 15 characters a second, and some more."""

LEAST = 50
"""Tokens of any response, in and out each: no model answers with nothing to nothing."""


class Estimate:
    """Follows what is said in a session."""

    def __init__(self) -> None:
        self._settings = 0
        self._conversation = 0
        self._answer = 0

    def feed(self, event: Any) -> None:
        """Take the next event of the server."""
        match event:
            case events.SessionCreated() | events.SessionUpdated():
                session = event.session
                tools = msgspec.json.encode(session.tools or [])
                self._settings = len(session.instructions or "") + len(tools)
            case events.ConversationItemInputAudioTranscriptionCompleted():
                self._conversation += len(event.transcript)
            case (
                events.ConversationItemAdded(item=events.Message() as item)
                | events.ConversationItemCreated(item=events.Message() as item)
            ) if item.role != "assistant":
                self._conversation += sum(len(part.text or "") for part in item.content)
            case events.ConversationItemAdded(item=events.FunctionCallOutput() as output):
                self._conversation += len(output.output)
            case events.ResponseOutputAudioTranscriptDelta() | events.ResponseOutputTextDelta():
                self._answer += len(event.delta)

    def take(self) -> TokenCounts:
        """Return what the response that is over may have used; what it said is input from now."""
        answer, self._answer = self._answer, 0
        said = self._conversation + self._settings
        self._conversation += answer
        return TokenCounts(
            input_other=LEAST + round(TOKENS_PER_CHARACTER * said),
            output_other=LEAST + round(TOKENS_PER_CHARACTER * answer),
        )
