"""What is known of a conversation on GPT-Live, read by the call around it; changes nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import msgspec

from rtcvoice.conversation.listening.turn_stream import TurnStream, TurnStreams
from rtcvoice.conversation.ports import Sender
from rtcvoice.conversation.state.function_calls import running_call
from rtcvoice.conversation.state.history_entries import HistoryEntry
from rtcvoice.conversation.tools.runner import ToolRunner
from rtcvoice.errors import one_line
from rtcvoice.events import ErrorDetail, Session, live

from .acks import Acks
from .delegations import DelegationRunner
from .requests import DOES_WORK, LiveRequests
from .state.live_state import LiveState

__all__ = ["LiveView"]

JUST_NOW = 5.0
"""Seconds for which an error of the server's is taken for the reason of what comes then."""


class LiveView:
    """The properties of a `LiveConversation`."""

    state: LiveState
    requests: LiveRequests
    streams: TurnStreams
    tools: ToolRunner
    _sender: Sender
    _clock: Callable[[], float]
    _acks: Acks
    _delegations: DelegationRunner
    _idle_askers: set[str]
    _muted: bool
    _told_muted = False

    @property
    def now(self) -> float:
        """The time, by the clock of the conversation."""
        return self._clock()

    @property
    def live_session(self) -> live.Session:
        """The session as the server last described it; empty before it has."""
        return self.state.session or live.Session()

    @property
    def session(self) -> Session:
        """What of the session the Realtime API has, too, in its form."""
        known = msgspec.to_builtins(self.live_session)
        shared = ("id", "model", "expires_at", "instructions")
        fields = {name: known[name] for name in shared if name in known}
        output = (known.get("audio") or {}).get("output")
        responses = (known.get("delegation") or {}).get("responses") or {}
        fields |= {name: responses[name] for name in ("tools", "tool_choice") if name in responses}
        if output:
            fields["audio"] = {"output": output}
        return msgspec.convert({"type": "realtime", **fields}, Session)

    @property
    def owner(self) -> str:
        """Who does the work that the voice hands on: client, responses or decisions."""
        delegation = self.live_session.delegation
        return (delegation and delegation.type) or "client"

    @property
    def backend_model(self) -> str:
        """The text model that has the tools, cleaned; empty where there is none."""
        delegation = self.live_session.delegation
        responses = delegation.responses if delegation else None
        return one_line((responses and responses.model) or "", 100)

    @property
    def muted(self) -> bool:
        """Whether the model is told to hear silence in place of the user."""
        return self._muted

    async def connected(self) -> None:
        """Wait until there is a session to send to. Raises CallEnded when the call ends first."""
        await self._acks.connected()

    @property
    def session_id(self) -> str:
        """The server's id of the session, cleaned; empty where it gave none."""
        return one_line(self.live_session.id or "", 200)

    def works(self, now: float) -> bool:
        """Whether work that was handed on is not done."""
        delegations = self.state.delegations
        return bool(delegations.open or delegations.untold) or self.state.backend.is_busy(now)

    @property
    def is_quiet(self) -> bool:
        """Whether nobody speaks, nothing is being done, and every turn has its words."""
        return self.state.is_idle(self._clock()) and self.state.turns.settled

    @property
    def is_answering(self) -> bool:
        """Whether an answer is being heard, or is to come."""
        now = self._clock()
        return self.state.is_answering(now) or self.works(now) or self.requests.awaits()

    @property
    def is_idle(self) -> bool:
        """Whether nobody speaks, nothing is being done and no answer is awaited.

        Asked in a tool, that tool does not count, nor do others that asked: none waits for itself.
        Nor does work that was handed on, asked in the function that does it.
        """
        works = DOES_WORK.get()
        but: set[str] = set()
        if (call := running_call()) is not None:
            self._idle_askers.add(call.call_id)
            but = self._idle_askers
        idle = self.state.is_idle(self._clock(), but=but, handed_on=not works)
        waits = self.requests.awaits(at_work=works or bool(but))
        return idle and not waits and not self.tools.keeps_busy(but)

    @property
    def complaint(self) -> ErrorDetail | None:
        """What the server complained of just now."""
        recent = self._clock() - self.state.complained_at < JUST_NOW
        return self.state.complaint if recent else None

    @property
    def fault(self) -> str:
        """Why the server is about to end the session, when it said so."""
        return ""

    @property
    def history(self) -> list[HistoryEntry]:
        """Everything said and called so far, as JSON values."""
        return self.state.history

    @property
    def absorbed_errors(self) -> Counter[str]:
        """Empty: no command is overtaken by events here."""
        return Counter()

    @property
    def message_limit(self) -> int:
        """The largest message in bytes that the server takes."""
        return self._sender.message_limit

    @property
    def input_format(self) -> str:
        """The encoding of the user's audio in events: there is none over WebRTC."""
        return "audio/pcm"

    def said_since(self, count: int) -> str:
        """Return what was said after the first so many entries of the history, as a note."""
        said = [
            f"{entry['role']}: {entry.get('heard_text', entry['text'])}"
            for entry in self.history[count:]
            if entry["type"] == "message" and entry["text"]
        ]
        return "\n".join(["Said meanwhile:", *said]) if said else ""

    def turns(self, *, partial: bool = False) -> TurnStream:
        """Return the turns from now on; see `TurnStream`."""
        return self.streams.new(partial=partial)

    @property
    def function_names(self) -> set[str]:
        """The functions that the backend knows."""
        return self.state.function_names
