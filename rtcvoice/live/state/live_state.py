"""A Live conversation as it stands, put together from events and from sound; pure, time as `now`.

    event -> clock_map -> the sides' words -> turns
          -> backend, delegations, billing
    what is heard, what is sent -> speech -> the sides' sound -> turns, latency

`feed` takes each event in order, `assistant_heard` and `user_sent` each block of sound. `listen`
gives the local events that follow, `due` what is to be sent, `turns.take` what was said, and
`next_deadline` when to ask again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import msgspec

from rtcvoice import events
from rtcvoice.conversation.accounts.latency import TurnLatency
from rtcvoice.conversation.accounts.prices import ModelPrice
from rtcvoice.conversation.accounts.usage import CallUsage
from rtcvoice.conversation.state.history_entries import HistoryEntry
from rtcvoice.events import LocalEvent, live

from .answers import Answers
from .assistant_side import AssistantSide
from .backend import Backend
from .billing import PREPAID, Billing
from .clock_map import ClockMap
from .delegations import Delegations
from .speech import SpeechChange, assistant_speech, user_speech
from .spoken import Spoken
from .turns import Turns, entry_of
from .user_side import UserSide

__all__ = ["LiveState"]

REMEMBERED = 1000
"""Ids of events by which one that comes again is known."""


class LiveState:
    """What is known of one call's Live conversation. `new_id` makes ids that are unique in it.

    `price`, `backend_price`: what the model and its backend cost, in place of the tables.
    `at_once`: both sides speak at once; see `Side`. `prepaid`: see `Billing`.
    """

    def __init__(
        self,
        new_id: Callable[[], str],
        *,
        model: str = "",
        price: ModelPrice | None = None,
        backend_price: ModelPrice | None = None,
        at_once: bool = False,
        prepaid: float = PREPAID,
    ) -> None:
        self.session: live.Session | None = None
        """The session as the server last described it; None before its first event."""
        self.closed: live.SessionClosed | None = None
        """The session's last event; None before it."""
        self.paused = False
        """Whether the model stands by until the user speaks."""
        self.complaint: live.ErrorDetail | None = None
        """The latest error that no command of ours caused."""
        self.complained_at = 0.0
        self.clock = ClockMap()
        self.turns = Turns()
        self.backend = Backend(new_id)
        self.delegations = Delegations(lambda: self.turns.all)
        self.billing = Billing(model, price=price, backend_price=backend_price, prepaid=prepaid)
        heard, sent = assistant_speech(), user_speech()
        common: dict[str, Any] = {
            "added": self.turns.add,
            "changed": self.turns.change,
            "at_once": at_once,
        }
        self.user = UserSide(sent, heard, self.clock, new_id, **common)
        self.assistant = AssistantSide(
            heard, self.user, self.clock, new_id, is_held=self._is_held, **common
        )
        self.turns.user = self.user
        self.answers = Answers(self.user, self.assistant)
        self._new_id = new_id
        self._seen: dict[str, None] = {}
        self._local: list[LocalEvent] = []
        self._now = self._active_at = 0.0

    # -- what it is -----------------------------------------------------------------------------

    @property
    def history(self) -> list[HistoryEntry]:
        """Everything said and called so far, as JSON values, in the order in which it began."""
        said = [(each.began, entry_of(each)) for each in self.turns.all if each.text]
        entries: list[tuple[float, HistoryEntry]] = [*said, *self.backend.export()]
        return [entry for _, entry in sorted(entries, key=lambda each: each[0])]

    @property
    def latency(self) -> tuple[TurnLatency, ...]:
        """How long each turn of the user waited that was answered aloud."""
        return self.answers.measured

    def usage(self, now: float) -> CallUsage:
        """Return what was used so far."""
        return self.billing.snapshot(now)

    @property
    def function_names(self) -> set[str]:
        """The functions that the backend knows, as far as the server tells."""
        delegation = self.session.delegation if self.session else None
        tools = (delegation.responses.tools if delegation and delegation.responses else None) or []
        names = (each.get("name") for each in tools if each.get("type") == "function")
        return {name for name in names if isinstance(name, str)}

    def is_idle(self, now: float, *, but: Collection[str] = (), handed_on: bool = True) -> bool:
        """Whether nobody speaks or is about to, and no work that was handed on is open.

        `but`: ids of function calls that do not count. `handed_on`: whether this program's work
        counts.
        """
        return (
            self.is_quiet(now)
            and not self.backend.is_busy(now, but)
            and not (handed_on and self.delegations.open)
            and not self.delegations.untold
        )

    def is_quiet(self, now: float) -> bool:
        """Whether nobody speaks, or is about to. Tools may run."""
        return not (self.user_speaks or self.is_answering(now) or self.answers.is_awaited(now))

    def is_answering(self, now: float) -> bool:
        """Whether the assistant is heard, or is to be heard in a moment."""
        return self.assistant.speech.speaking or self.assistant.is_to_be_heard(now)

    def idle_since(self, now: float) -> float | None:
        """Return from when on all has been idle; None if it is not."""
        if not self.is_idle(now):
            self._active_at = now
            return None
        said = (side.last_word_at for side in (self.user, self.assistant))
        return min(now, max(self._active_at, *said))

    def next_deadline(self, now: float) -> float | None:
        """Return when, after `now`, something may be due without an event; None if never."""
        deadlines = [
            self.user.speech.next_deadline(),
            self.assistant.speech.next_deadline(),
            self.user.next_deadline(),
            self.assistant.next_deadline(),
            self.turns.next_deadline(),
            self.backend.next_deadline(),
            self.delegations.next_deadline(),
            self.answers.next_deadline(),
        ]
        return min((when for when in deadlines if when is not None and when > now), default=None)

    # -- what happens ---------------------------------------------------------------------------

    def created(self, now: float) -> None:
        """Note that a session was created, from when on it costs."""
        self.billing.created(now)

    def feed(self, event: Any, now: float) -> bool:
        """Take the next event of the server; return whether it is new, and not heard twice."""
        if self._is_repeated(event):
            return False
        self._now = now
        event = self._believed(event, now)
        self._session_event(event, now)
        match event:
            case live.OutputTranscriptDelta():
                self._place(event.end_ms, now, side="assistant", prompt=True)
                self.assistant.delta(event, now)
            case live.InputTranscriptDelta():
                self._place(event.end_ms, now, side="user")
                self.user.delta(event, now)
            case live.CommentaryAppended() | live.ThinkingAppended() | live.InstructionsAppended():
                self._place(event.end_ms, now)
            case live.InputAudioMuted():
                self.user.muted = True
            case live.InputAudioUnmuted():
                self.user.muted = False
            case live.ResponseEvent() | live.DelegationCreated() | live.DecisionEvent():
                self._active_at = now
            case live.ErrorEvent() if event.caused_by is None:
                self.complaint, self.complained_at = event.error, now
        self.backend.feed(event, now)
        self.delegations.feed(event, now)
        self.billing.feed(event, now)
        self._bill_backend()
        self._settle(now)
        return True

    def assistant_heard(self, peak: int, at: float, seconds: float = 0.02) -> None:
        """Take the largest sample of a block that the loudspeaker gives at `at`."""
        change = self.assistant.feed_block(peak, at, seconds)
        if change is not None:
            self._assistant_changed(change)

    def user_sent(self, peak: int, at: float, seconds: float = 0.02) -> None:
        """Take the largest sample of a block that is sent, as the microphone gave it at `at`."""
        change = self.user.feed_block(peak, at, seconds)
        if change is not None:
            self._user_changed(change)

    def sent(self, event: Any, now: float) -> None:
        """Note an event that was sent."""
        self._active_at = now
        match event:
            case live.CommentaryAppend():
                self.answers.prompted(now)
            case live.InputAudioMute():
                self.user.muted = True
            case live.InputAudioUnmute():
                self.user.muted = False
            case live.ResponseItemCreate() if text := _text_of(event.item):
                self.write(text, now)
        self.backend.sent(event, now)
        self.delegations.sent(event, now)

    def write(self, text: str, now: float, *, seeded: bool = False, role: Any = "user") -> None:
        """Note what was written, or brought along from another conversation."""
        spoken = Spoken(
            id=self._new_id(), role=role, began=now, changed_at=now, spoken=False, text=text
        )
        spoken.seeded = seeded
        if seeded:
            self.turns.all.append(spoken)
        else:
            self.turns.add(spoken)
            self.turns.change(spoken)
        spoken.close(interrupted=False)

    def flushed(self, now: float) -> None:
        """Note that the ear was silenced: nothing more of what is being said is heard."""
        self._now = now
        self.assistant.flush()

    def listen(self, now: float) -> list[LocalEvent]:
        """Return the local events that became true since the last time."""
        self._now = now
        for side, changed in (
            (self.assistant, self._assistant_changed),
            (self.user, self._user_changed),
        ):
            if (change := side.speech.check(now)) is not None:
                side.noted(change, now)
                changed(change)
        self._settle(now)
        self.backend.is_busy(now)
        self._bill_backend()
        local, self._local = self._local, []
        return [*local, *self.delegations.due(now)]

    def due(self, now: float) -> list[live.LiveClientEvent]:
        """Return what the backend is to be sent now, in order."""
        return self.backend.due(now)

    def left(self, now: float) -> None:
        """Note that the session is gone: what is open is final as it stands."""
        self._now = now
        self.user.end()
        self.assistant.end(now)
        self.user.forget()
        self.assistant.forget()
        self.turns.settle()
        self.clock.restart()
        self.backend.leave()
        self.delegations.leave()
        self.billing.ended(now)
        self.paused = False
        self.complaint = None

    def end(self, now: float) -> None:
        """Note the end of the call: everything is final as it stands."""
        self.left(now)

    # -- inside ---------------------------------------------------------------------------------

    @property
    def user_speaks(self) -> bool:
        """Whether the user speaks, and not only makes noise."""
        return self.user.speech.speaking and not (self.user.muted or self.user.is_noise)

    def _session_event(self, event: Any, now: float) -> None:
        match event:
            case live.SessionStarted():
                self.session, self.closed, self.paused = event.session, None, False
                self.clock.restart(now)
                self._active_at = now
            case live.SessionUpdated():
                self.session = event.session
            case live.SessionPaused():
                self.paused = True
            case live.SessionResumed():
                self.paused = False
                self.clock.resume()
            case live.SessionClosed():
                self.closed = event

    def _place(
        self, end_ms: int | None, now: float, *, side: str = "", prompt: bool = False
    ) -> None:
        if end_ms is not None:
            self.clock.feed(end_ms, now, side=side, prompt=prompt)

    def _believed(self, event: Any, now: float) -> Any:
        """Return words without their place where that cannot be."""
        if isinstance(event, live.InputTranscriptDelta | live.OutputTranscriptDelta):
            latest = max(event.start_ms or 0, event.end_ms or 0)
            if not self.clock.is_possible(latest, now):
                return msgspec.structs.replace(event, start_ms=None, end_ms=None)
        return event

    def _is_repeated(self, event: Any) -> bool:
        """Whether an event came before: a sideband gets the latest ones again."""
        event_id = getattr(event, "event_id", None)
        if event_id is None:
            return False
        if event_id in self._seen:
            return True
        self._seen[event_id] = None
        if len(self._seen) > REMEMBERED:
            del self._seen[next(iter(self._seen))]
        return False

    def _assistant_changed(self, change: SpeechChange) -> None:
        turn_id = self.assistant.turn_id
        if change.started:
            self.answers.heard(change.at)
            self._local.append(events.AssistantStarted(turn_id=turn_id, at=change.at))
        else:
            self._local.append(events.AssistantStopped(turn_id=turn_id, at=change.at))

    def _user_changed(self, change: SpeechChange) -> None:
        turn_id = self.user.turn_id
        if change.started:
            self._local.append(events.UserStarted(turn_id=turn_id, at=change.at))
        else:
            self._local.append(events.UserStopped(turn_id=turn_id, at=change.at))

    def _settle(self, now: float) -> None:
        self.user.settle(now)
        self.assistant.settle(now)

    def _bill_backend(self) -> None:
        for used in self.backend.take_used():
            self.billing.backend(used)

    def _is_held(self) -> bool:
        return bool(self.delegations.open) or self.backend.is_busy(self._now)


def _text_of(item: dict[str, Any]) -> str:
    """Return the text of what a user wrote; empty if an item is something else."""
    if item.get("type", "message") != "message" or item.get("role") != "user":
        return ""
    content = item.get("content")
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    texts = (part.get("text") for part in content if isinstance(part, dict))
    return "\n".join(text for text in texts if isinstance(text, str))
