"""Going on after an interruption that was none: a cough, a slammed door, an echo.

The server cuts an answer off at the first sound that it takes for speech. Whether there were words
in it is known when its transcript comes: then what was cut off is gone, and an answer to the noise
may have begun. The API cannot take that back. What can be done: stop the answer to the noise, take
the noise out of the conversation, and have the model go on after the last words that were heard.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable
from typing import Any, Protocol

from rtcvoice import events
from rtcvoice.conversation.state.history_entries import HistoryEntry, HistoryMessage
from rtcvoice.errors import CallEnded, RtcVoiceError
from rtcvoice.events import ResumedAfterNoise

from .session_commands import SessionCommands

__all__ = ["AfterNoise"]

logger = logging.getLogger(__name__)

MOST_IN_A_ROW = 3
"""Times that an answer goes on after noise before the user has to say something."""

HEARD_ENOUGH_MS = 1000
"""Milliseconds of an answer to the noise that, once heard, let it stand."""

LONGEST_QUOTE = 300
"""Characters of the last words that the model is told to go on after."""

_WORD = re.compile(r"\w")


class Conversation(Protocol):
    """What is needed of the conversation."""

    commands: SessionCommands

    @property
    def history(self) -> list[HistoryEntry]:
        """Everything said, called and shown so far."""

    async def stop(self) -> None:
        """Interrupt the answer, and let nothing follow it of itself."""

    async def tell(self, text: str, *, answer: bool) -> None:
        """Tell the model something, and have it answered if it is to be."""


class AfterNoise:
    """Has answers go on that noise cut off. Event loop only; give it every event of the server."""

    def __init__(self, conversation: Conversation, publish: Callable[[Any], None]) -> None:
        self._conversation = conversation
        self._publish = publish
        self._task: asyncio.Task[None] | None = None
        self._in_a_row = 0

    def feed(self, event: object) -> None:
        """Take the next event of the server; may not raise."""
        match event:
            case events.ConversationItemInputAudioTranscriptionCompleted():
                if _WORD.search(event.transcript):
                    self._in_a_row = 0
                elif self._in_a_row < MOST_IN_A_ROW and (self._task is None or self._task.done()):
                    work = self._go_on(event.item_id)
                    self._task = asyncio.create_task(work, name="rtcvoice going on after noise")

    async def _go_on(self, noise: str) -> None:
        cut, answers = _around(noise, self._conversation.history)
        if cut is None or any(not _unheard(answer) for answer in answers):
            return
        self._in_a_row += 1
        heard = cut.get("heard_text", "")
        logger.info("= noise cut an answer off: it goes on")
        self._publish(ResumedAfterNoise(item_id=cut["id"], noise_item_id=noise, heard_text=heard))
        try:
            if answers:
                await self._conversation.stop()
            unheard = [answer["id"] for answer in answers if not answer.get("heard_ms")]
            for item_id in (noise, *unheard):
                await self._conversation.commands.delete(item_id)
            await self._conversation.tell(_instruction(heard), answer=True)
        except CallEnded:
            pass
        except RtcVoiceError as exc:
            logger.warning("x an answer that noise cut off does not go on: %s", exc)


def _around(
    noise: str, history: list[HistoryEntry]
) -> tuple[HistoryMessage | None, list[HistoryMessage]]:
    """Return the answer that the noise cut off, and what was said after the noise."""
    ids = [entry["id"] for entry in history]
    if noise not in ids:
        return None, []
    at = ids.index(noise)
    after = [entry for entry in history[at + 1 :] if entry["type"] == "message"]
    before = history[at - 1] if at else None
    others = any(entry["role"] != "assistant" for entry in after)
    if before is None or before["type"] != "message" or others:
        return None, []
    cut_off = before["role"] == "assistant" and before["status"] == "interrupted"
    return (before, after) if cut_off else (None, [])


def _unheard(answer: HistoryMessage) -> bool:
    """Whether so little of an answer was heard that it may be taken back."""
    return answer["status"] == "in_progress" or answer.get("heard_ms", 0) < HEARD_ENOUGH_MS


def _instruction(heard: str) -> str:
    told = f' after the words "{heard[-LONGEST_QUOTE:]}"' if heard else ""
    return (
        "Your last answer was cut off by a noise: nobody has said anything. Go on with it where it"
        f" broke off{told}, without repeating them and without speaking of the noise."
    )
