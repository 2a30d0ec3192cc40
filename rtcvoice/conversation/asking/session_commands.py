"""Commands to the session as a whole: change it, interrupt the answer, take what was heard."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from rtcvoice import events
from rtcvoice.conversation.state.conversation import ConversationState
from rtcvoice.errors import ServerError
from rtcvoice.events import ClientEvent

from . import commands
from .confirmations import HARMLESS, Confirmations, new_id
from .replies import Replies

__all__ = ["SessionCommands"]


class SessionCommands:
    """The verbs that put nothing into the conversation. For use on the event loop only.

    `send` sends an event now. All of them raise what it raises.
    """

    def __init__(
        self,
        state: ConversationState,
        confirmations: Confirmations,
        replies: Replies,
        *,
        send: Callable[[ClientEvent], None],
        clock: Callable[[], float],
    ) -> None:
        self._state = state
        self._clock = clock
        self._confirmations = confirmations
        self._replies = replies
        self._send = send
        self._updating = asyncio.Lock()
        self.said_before: str | None = None
        """Item of what was said with the key held, before the session was replaced."""

    async def update(
        self, changes: dict[str, Any], *, during: AbstractContextManager[None] | None = None
    ) -> None:
        """Change the session: one change after the other. Raises ServerError when refused.

        `during` is entered once it is this one's turn, and left with what becomes of it.
        """
        async with self._updating:
            kind = "transcription" if self._state.transcription_only else "realtime"
            event = commands.session_update(changes, kind=kind, event_id=new_id())
            with during or nullcontext():
                await self._confirmations.confirm(event, self._send, what="the change")

    async def stop(self) -> None:
        """Interrupt the answer, and let nothing follow it of itself."""
        self._state.sequencer.stop()
        await self.interrupt()
        self._replies.end_without_follow_up()

    async def interrupt(self) -> None:
        """Stop the answer, the making of it and the sending; nothing while nobody answers."""
        sequencer, playback = self._state.sequencer, self._state.playback
        made = any(
            inside and not playback.of(each).cut for each, inside in sequencer.in_progress.items()
        )
        for command in commands.interrupt(
            responding=made or sequencer.asked,
            playing=self._state.playing,
            speaks=self._state.speaks,
            new_id=new_id,
        ):
            self._send(command)

    async def delete(self, item_id: str) -> None:
        """Take an item out of the conversation. Raises ServerError when refused.

        One that this session does not have, such as an item of long ago, is taken out of ours.
        """
        event = events.ConversationItemDelete(event_id=new_id(), item_id=item_id)
        try:
            await self._confirmations.confirm(
                event,
                self._send,
                lambda told: (
                    isinstance(told, events.ConversationItemDeleted) and told.item_id == item_id
                ),
                what="to delete the item",
            )
        except ServerError as exc:
            if exc.event is None or exc.event.error.code not in HARMLESS:
                raise
            self._state.delete(item_id, self._clock())

    def clear_input(self) -> None:
        """Have the server forget what it heard since the last turn; without a session: nothing."""
        self.said_before = None
        if self._confirmations.ended is None and not self._confirmations.paused:
            self._send(events.InputAudioBufferClear(event_id=new_id()))

    async def commit_input(self) -> str | None:
        """Make what the server heard a turn; return the id of its item, None if it was too short.

        What was said in a session before counts with it. Raises ServerError when the server
        refuses for another reason.
        """
        try:
            committed = await self._confirmations.confirm(
                events.InputAudioBufferCommit(event_id=new_id()),
                self._send,
                lambda event: isinstance(event, events.InputAudioBufferCommitted),
                what="the turn",
            )
        except ServerError as exc:
            if exc.event is not None and exc.event.error.code in HARMLESS:
                said, self.said_before = self.said_before, None
                return said
            raise
        self.said_before = None
        return str(committed.item_id)
