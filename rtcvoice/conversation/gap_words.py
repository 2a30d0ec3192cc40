"""What the user said while the call had no session: given to the next one, and answered once."""

from __future__ import annotations

import asyncio
import logging

from rtcvoice.errors import ConfigError, RtcVoiceError
from rtcvoice.sound.samples import DEFAULT_RATE, Samples

from .asking.confirmations import new_id
from .asking.content import audio_messages, following_ids
from .ports import Sender
from .road import CallConversation
from .speech import spoken_part

__all__ = ["GapWords"]

logger = logging.getLogger(__name__)

LONGEST_WORDS = 30.0
"""Seconds of what the user said in a gap that are answered: the newest."""


class GapWords:
    """The words of one gap, of a conversation that goes on by `sender`. Event loop only."""

    def __init__(self, conversation: CallConversation, sender: Sender) -> None:
        self._conversation = conversation
        self._sender = sender
        self._words: Samples | None = None
        self._id = ""

    def take(self, words: Samples | None) -> None:
        """Take what was said, int16 mono at 24 kHz, as the conversation moves to its session.

        No answer is asked for until `put`. None, or words that nobody is to answer: nothing.
        """
        conversation = self._conversation
        self._words = self._to_be_answered(words)
        if words is not None:  # they are known here from now on
            conversation.state.confirmed_until = conversation.now
        self._id = new_id()
        if self._words is not None:
            conversation.wait_for_words(on=True)
            if conversation.talking:  # the release of the key has them answered
                conversation.commands.said_before = self._id

    async def put(self, *, patience: float) -> None:
        """Put them into the conversation; they are answered like speech, after `patience` seconds.

        Never raises for what the server does.
        """
        words, self._words = self._words, None
        if words is None:
            return
        conversation = self._conversation
        try:
            limit = self._sender.message_limit
            items = audio_messages(following_ids(self._id, new_id), words, limit=limit)
            if conversation.commands.said_before == self._id:
                await conversation.requests.put(items)
            else:
                await conversation.requests.send(items)
            await asyncio.sleep(patience)
        except (RtcVoiceError, ConfigError) as exc:
            logger.warning("x what was said in the gap is lost: %s", exc)
        finally:
            conversation.wait_for_words(on=False)

    def _to_be_answered(self, words: Samples | None) -> Samples | None:
        state, talking = self._conversation.state, self._conversation.talking
        if words is None or not (state.sequencer.answers_by_itself or talking):
            return None
        return spoken_part(words[-round(LONGEST_WORDS * DEFAULT_RATE) :])
