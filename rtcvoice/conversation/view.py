"""What is known of a conversation, read by the call around it; nothing here changes anything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, ClassVar

from rtcvoice import events
from rtcvoice.errors import one_line
from rtcvoice.events import Session

from .asking.confirmations import Confirmations
from .listening.turn_stream import TurnStream, TurnStreams
from .ports import Sender
from .state.conversation import ConversationState
from .state.function_calls import running_call
from .state.history_entries import HistoryEntry
from .state.session_updates import SessionUpdates
from .tools.runner import ToolRunner

__all__ = ["ConversationView"]

JUST_NOW = 5.0
"""Seconds for which an error of the server's is taken for the reason of what comes then."""


class ConversationView:
    """The properties of a `CallConversation`."""

    state: ConversationState
    talking: bool
    _sender: Sender
    _clock: Callable[[], float]
    _confirmations: Confirmations
    _updates: SessionUpdates
    _idle_askers: set[str]
    streams: TurnStreams
    tools: ToolRunner
    goodbye: ClassVar[None] = None
    """How a session is ended in due form: this API has no form for it."""
    heard: ClassVar[None] = None
    sent_sound: ClassVar[None] = None
    """Who wants to know how loud it is: nobody, for the server tells who speaks."""

    # -- what it is -----------------------------------------------------------------------------

    @property
    def now(self) -> float:
        """The time, by the clock of the conversation."""
        return self._clock()

    @property
    def session(self) -> Session:
        """The session as the server last described it; empty before it has."""
        return self.state.session or Session()

    async def connected(self) -> None:
        """Wait until there is a leg to send by. Raises CallEnded when the call ends first."""
        await self._confirmations.connected()

    @property
    def session_id(self) -> str:
        """The server's id of the session, cleaned; empty where it gave none."""
        return one_line(self.session.id or "", 200)

    @property
    def is_quiet(self) -> bool:
        """Whether nobody speaks, nothing is being made, and every turn has its words."""
        quiet = self.state.is_quiet(self._clock())
        return quiet and self.state.turns.settled and not self.talking

    @property
    def is_answering(self) -> bool:
        """Whether an answer is being made or heard."""
        return self.state.is_answering(self._clock())

    @property
    def unconfirmed_since(self) -> float:
        """From when on, by the clock, the user's words may not have reached the conversation."""
        return self.state.confirmed_until

    @property
    def input_format(self) -> str:
        """The encoding of the user's audio where it goes in events."""
        return self.state.input_format

    @property
    def session_updates(self) -> dict[str, Any]:
        """What of the session was changed since the call began, as the API has it."""
        return self._updates.made

    @property
    def session_updated_at(self) -> float:
        """When the last of these changes was made, by the clock."""
        return self._updates.made_at

    @property
    def complaint(self) -> events.ErrorDetail | None:
        """What the server complained of just now, if no command of ours was the reason."""
        state = self.state
        recent = self._clock() - state.complained_at < JUST_NOW
        return state.complaint if recent else None

    @property
    def fault(self) -> str:
        """Why the server is about to end the session, when it said so."""
        return self.state.fault

    @property
    def history(self) -> list[HistoryEntry]:
        """Everything said, called and shown so far, as JSON values."""
        return self.state.history

    @property
    def turn_detection(self) -> events.TurnDetection | None:
        """How the server finds out that the user's turn is over; None if it does not."""
        return self.state.turn_detection

    @property
    def is_idle(self) -> bool:
        """Whether nobody speaks, nothing is being answered and nothing more will be heard.

        Asked in a tool, that tool does not count, nor do others that asked: none waits for itself.
        """
        if (call := running_call()) is not None:
            self._idle_askers.add(call.call_id)
        but = self._idle_askers if call is not None else ()
        return self.state.is_idle(self._clock(), but=but) and not self.tools.keeps_busy(but)

    @property
    def absorbed_errors(self) -> Counter[str]:
        """How often the server refused a command that was of no use any more, by error code."""
        return Counter(self._confirmations.absorbed)

    @property
    def tells_items(self) -> bool | None:
        """Whether the server tells that items are in; None while that is not known."""
        return self._confirmations.tells_items

    @property
    def message_limit(self) -> int:
        """The largest message in bytes that the server takes."""
        return self._sender.message_limit

    def turns(self, *, partial: bool = False) -> TurnStream:
        """Return the turns from now on; see `TurnStream`."""
        return self.streams.new(partial=partial)

    @property
    def function_names(self) -> set[str]:
        """The functions that the session knows, as far as the server tells."""
        return self.state.function_names
