"""Push to talk: the user decides when the turn begins and ends; `async with call.talk():`.

On press a running answer is stopped, the server's input buffer emptied and the microphone opened.
On release the microphone stays open for the tail: the last syllable is still on its way through
microphone, network and the server's buffers, and people let go of keys early. Then the audio is
committed, and once the server confirms it, answered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rtcvoice.errors import ConfigError
from rtcvoice.system.public import public

from .reply import Reply

if TYPE_CHECKING:
    from rtcvoice.conversation.road import CallConversation

__all__ = ["Talk"]

TAIL = 0.15
"""Seconds that the microphone stays open after the release."""

SHORTEST = 0.1
"""Seconds of a press below which nobody has said anything: it is taken for a slip."""


@public
class Talk:
    """One press of the key, from entering the block to leaving it.

    Outside the block the microphone is closed. A block that is left by an exception, or within 0.1
    s, says nothing: the audio is thrown away. Leaving it otherwise takes 0.15 s and a round trip or
    two; it raises ServerError when the server refuses to answer, TransportError when it is silent.
    `open_microphone(True)` sends what the user says, `open_microphone(False)` silence in its place.
    """

    def __init__(
        self,
        conversation: CallConversation,
        open_microphone: Callable[[bool], None],
        *,
        respond: bool = True,
    ) -> None:
        self.reply: Reply | None = None
        """The answer, after the block; None after a slip, and where none is asked for."""
        self._conversation = conversation
        self._open_microphone = open_microphone
        self._respond = respond
        self._pressed_at = 0.0

    async def __aenter__(self) -> Self:
        """Stop the answer, empty the server's input buffer, open the microphone."""
        self._conversation.requests.check_open()
        if self._conversation.talking:
            raise ConfigError("somebody talks already", hint="leave the other talk() block first")
        if self._conversation.turn_detection is not None:
            raise ConfigError(
                "push to talk needs turn detection off: the server would end turns by itself",
                hint="connect(turn_detection=None), or await call.update(turn_detection=None)",
            )
        self._conversation.hold(on=True)
        try:
            await self._conversation.commands.interrupt()
            self._conversation.commands.clear_input()
        except BaseException:
            self._conversation.hold(on=False)
            raise
        self._open_microphone(True)
        self._pressed_at = asyncio.get_running_loop().time()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Let the last syllable out, close the microphone, commit, ask for the answer."""
        try:
            item_id = await self._release(said=exc_type is None)
        except BaseException:
            self._conversation.hold(on=False)
            raise
        if item_id is None or not self._respond:
            self._conversation.hold(on=False)
            return
        self.reply = await self._conversation.answer_talk(item_id)

    async def _release(self, *, said: bool) -> str | None:
        """Return the id of what was said; None if that is nothing."""
        held = asyncio.get_running_loop().time() - self._pressed_at
        said = said and held >= SHORTEST
        try:
            if said:
                await asyncio.sleep(TAIL)
        except asyncio.CancelledError:
            self._conversation.commands.clear_input()
            raise
        finally:
            self._open_microphone(False)
        if said:
            return await self._conversation.commands.commit_input()
        self._conversation.commands.clear_input()
        return None
