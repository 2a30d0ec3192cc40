"""Push to talk: the user decides when the turn begins and ends; `async with call.talk():`.

On press a running answer is stopped, the server's input buffer emptied and the microphone opened.
On release the microphone stays open for the tail: the last syllable is still on its way through
microphone, network and the server's buffers, and people let go of keys early. Then the audio is
committed, and once the server confirms it, answered.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rtcvoice.errors import ConfigError
from rtcvoice.system.public import public

from .reply import Reply

if TYPE_CHECKING:
    from rtcvoice.conversation.dialogue import Dialogue

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
    """

    def __init__(self, dialogue: Dialogue, *, respond: bool = True) -> None:
        self.reply: Reply | None = None
        """The answer, after the block; None after a slip, and where none is asked for."""
        self._dialogue = dialogue
        self._respond = respond
        self._pressed_at = 0.0

    async def __aenter__(self) -> Self:
        """Stop the answer, empty the server's input buffer, open the microphone."""
        self._dialogue.asking.check_open()
        if self._dialogue.talking:
            raise ConfigError("somebody talks already", hint="leave the other talk() block first")
        if self._dialogue.state.turn_detection is not None:
            raise ConfigError(
                "push to talk needs turn detection off: the server would end turns by itself",
                hint="connect(turn_detection=None), or await call.update(turn_detection=None)",
            )
        self._dialogue.hold(on=True)
        try:
            await self._dialogue.interrupt()
            self._dialogue.clear_input()
        except BaseException:
            self._dialogue.hold(on=False)
            raise
        self._dialogue.open_microphone(on=True)
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
            self._dialogue.hold(on=False)
            raise
        if item_id is None or not self._respond:
            self._dialogue.hold(on=False)
            return
        # Not with `hold`: what waits would go out before the request that answers it as well.
        self._dialogue.talking = False
        self.reply = await self._dialogue.asking.respond_to({item_id})

    async def _release(self, *, said: bool) -> str | None:
        """Return the id of what was said; None if that is nothing."""
        held = asyncio.get_running_loop().time() - self._pressed_at
        said = said and held >= SHORTEST
        try:
            if said:
                await asyncio.sleep(TAIL)
        except asyncio.CancelledError:
            self._dialogue.clear_input()
            raise
        finally:
            self._dialogue.open_microphone(on=False)
        if said:
            return await self._dialogue.commit_input()
        self._dialogue.clear_input()
        return None
