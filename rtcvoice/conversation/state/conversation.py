"""The conversation as it stands, put together from events; pure, time as `now`.

    event -> missed (what must have come before it)
          -> items (what was said) -> playback (what was played) -> turns (what is final)
          -> sequencer (what to ask for next)
          -> SessionFact (what concerns more than the conversation)
    sound -> hearing (what was heard) -> playback

`feed()` takes each event in order and answers with a neutral `SessionFact` where it says something
that concerns more than the conversation, such as when to be silent; the properties give the state
after it.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Collection
from typing import Any

from rtcvoice import events
from rtcvoice.events import ClientEvent, Session
from rtcvoice.sound.event_audio import PCM

from .hearing import Hearing, Sound
from .history import export
from .history_entries import HistoryEntry
from .items import Items
from .missed import MissedEvents
from .playback import Playback, PlaybackState
from .sequencer import Sequencer
from .turns import Turns

__all__ = ["ConversationState", "SessionFact"]

RESPONSE_TIMEOUT = 10.0
"""Seconds after which a response that was expected, but never began, is given up on."""

EXPECTED_TIMEOUT = 3.0
"""Seconds for which an expected response keeps others waiting; a wrong guess costs a retry."""

LONGEST_USER_SPEECH = 30.0
"""Seconds for which the user's speech keeps responses waiting."""


END_SILENCE = 0.5
"""Seconds before a turn is confirmed in which the user said nothing, for that was its end."""


class SessionFact(enum.Enum):
    """What an event says that concerns more than the conversation."""

    SESSION_KNOWN = "The session's configuration has arrived or changed."
    USER_SPEECH_STARTED = "The server hears the user begin to speak."
    ASSISTANT_AUDIO_STARTED = "The server begins to send an answer's audio."
    AUDIO_CLEARED = "The server dropped what it had not sent: nothing more of it is to be heard."


class ConversationState:
    """What is known of one call's conversation. `new_id` makes ids that are unique in it."""

    def __init__(self, new_id: Callable[[], str]) -> None:
        self.session: Session | None = None
        """The session as the server last described it; None before its first event."""
        self.fault = ""
        """Why the server is about to end the session, when it said so."""
        self.complaint: events.ErrorDetail | None = None
        """The latest error that no command of ours caused."""
        self.complained_at = 0.0
        self.new_id = new_id
        self.sequencer = Sequencer(new_id)
        self.items = Items(self.sequencer.is_outside)
        self.playback = Playback()
        self.hearing = Hearing(self.playback)
        self.turns = Turns(self.items, self.playback, self.hearing)
        self.missed = MissedEvents(self.sequencer, self.items)
        self.confirmed_until = 0.0
        """Until when, in the clock of `now`, what the user said is in turns that are confirmed."""
        self._stopped: set[str] = set()  # responses that we told the server to stop making
        self._speaking_since: float | None = None
        self._expected_since: float | None = None

    # -- what it is -----------------------------------------------------------------------------

    @property
    def playing(self) -> bool:
        """Whether the server is sending an answer's audio; ends seconds after the response."""
        return self.playback.playing

    @property
    def interruptible(self) -> bool:
        """Whether the user's speech makes the server drop the rest of an answer."""
        detection = self.turn_detection
        return detection is not None and detection.interrupt_response is not False

    @property
    def turn_detection(self) -> events.TurnDetection | None:
        """How the server finds out that the user's turn is over; None if it does not."""
        audio = self.session.audio if self.session else None
        return audio.input.turn_detection if audio and audio.input else None

    @property
    def input_format(self) -> str:
        """The format of the user's audio, where that goes in events."""
        audio = self.session.audio if self.session else None
        return _format(audio.input if audio else None)

    @property
    def output_format(self) -> str:
        """The format of answers' audio, where that comes in events."""
        audio = self.session.audio if self.session else None
        return _format(audio.output if audio else None)

    @property
    def transcription_only(self) -> bool:
        """Whether the session only writes down what the user says, and answers nothing."""
        return self.session is not None and self.session.type == "transcription"

    @property
    def function_names(self) -> set[str]:
        """The functions that the session knows, as far as the server tells."""
        tools = (self.session.tools if self.session else None) or []
        names = (each.get("name") for each in tools if each.get("type") == "function")
        return {name for name in names if isinstance(name, str)}

    @property
    def speaks(self) -> bool:
        """Whether answers are spoken rather than written."""
        return self.session is None or self.session.output_modalities != ["text"]

    @property
    def history(self) -> list[HistoryEntry]:
        """Everything said, called and shown so far, as JSON values; see `history.export`."""
        return export(self.items, self.playback)

    def is_idle(self, now: float, *, but: Collection[str] = ()) -> bool:
        """Whether nobody speaks, nothing is being answered and nothing more will be heard.

        `but`: ids of function calls that do not count as unanswered.
        """
        expected = self._expected_since
        awaited = expected is not None and now - expected <= RESPONSE_TIMEOUT
        speaking = self._speaking_since is not None
        heard = self.hearing.expects(now)
        return not (speaking or awaited or heard or self.sequencer.is_busy(but))

    def is_quiet(self, now: float) -> bool:
        """Whether nobody speaks, or is about to, and no response is being made.

        Tools may run, and what they return be waited for.
        """
        expected = self._expected_since
        awaited = expected is not None and now - expected <= RESPONSE_TIMEOUT
        making = self.sequencer.in_progress or self.sequencer.asked
        speaking = self._speaking_since is not None
        return not (speaking or awaited or making or self.hearing.expects(now))

    def is_answering(self, now: float) -> bool:
        """Whether an answer is being made or heard."""
        making = self.sequencer.in_progress or self.sequencer.asked
        return bool(making) or self.hearing.expects(now)

    def is_held(self, now: float) -> bool:
        """Whether a response must not be asked for now: the user speaks, or is to be answered."""
        if self._speaking_since is not None and now - self._speaking_since < LONGEST_USER_SPEECH:
            return True
        return self._expected_since is not None and now - self._expected_since < EXPECTED_TIMEOUT

    def next_deadline(self, now: float) -> float | None:
        """Return when, after `now`, something may be due without an event; None if never."""
        deadlines = [
            self.sequencer.next_deadline(),
            self.turns.next_deadline(),
            self.hearing.next_deadline(now),
            self.missed.next_deadline(),
        ]
        if self._speaking_since is not None:
            deadlines.append(self._speaking_since + LONGEST_USER_SPEECH)
        if self._expected_since is not None:
            deadlines.append(self._expected_since + EXPECTED_TIMEOUT)
        return min((when for when in deadlines if when is not None and when > now), default=None)

    # -- what happens ---------------------------------------------------------------------------

    def sent(self, event: ClientEvent, now: float) -> SessionFact | None:
        """Note an event that we send; return the fact it makes, if any."""
        self.items.sent(event, now)
        self.missed.sent(event)
        self.playback.sent(event, now)
        if isinstance(event, events.ResponseCancel):
            inside = [i for i, inside in self.sequencer.in_progress.items() if inside]
            self._stopped = {event.response_id} if event.response_id else {*inside}
        return (
            SessionFact.AUDIO_CLEARED if isinstance(event, events.OutputAudioBufferClear) else None
        )

    def flushed(self, now: float, held: float) -> None:
        """Note that the ear fell silent with `held` seconds in its buffers still unheard."""
        self.playback.flushed(now, held)

    def due(self, now: float, *, talking: bool = False) -> list[ClientEvent]:
        """Return what to send now; see `Sequencer.due`. `talking`: the user holds the key."""
        return self.sequencer.due(now, held=talking or self.is_held(now))

    def delete(self, item_id: str, now: float) -> None:
        """Take an item out that the session does not know."""
        event = events.ConversationItemDeleted(item_id=item_id)
        self.turns.feed(event, self.items.feed(event, now), now)

    def restart(self, response_id: str, now: float) -> None:
        """Let a response never have begun, which has said nothing: its request waits again."""
        for record in self.items.of_response(response_id):
            self.delete(record.id, now)
        self.playback.forget(response_id)
        self.sequencer.restart(response_id)
        self.missed.abandon(response_id)

    def leave(self) -> None:
        """Note that the session is gone, and all that it made has been ended.

        What was asked for and has not begun waits again. All turns are final as they stand.
        """
        self.fault, self.complaint = "", None
        self.sequencer.leave()
        self.items.settle()
        self.turns.settle()
        self._speaking_since = self._expected_since = None

    def note_loss(self, response_id: str, reason: str) -> None:
        """Note why the speech of a response ends before all of it was heard."""
        for record in self.items.of_response(response_id):
            record.reason = record.reason or reason

    def owes_answer(self, now: float) -> bool:
        """Whether the server is about to answer the user, and nothing of it was heard."""
        expected = self._expected_since
        if expected is not None and now - expected <= RESPONSE_TIMEOUT:
            return True
        return self.sequencer.answers_by_itself and any(
            inside and self.sequencer.request_for(i) is None and not self.was_heard(i)
            for i, inside in self.sequencer.in_progress.items()
        )

    def expect_answer(self, now: float) -> None:
        """Say that the server is about to answer by itself."""
        self._expected_since = now

    def was_heard(self, response_id: str) -> bool:
        """Whether anything of a response was heard, or read where it is written; or it was stopped.

        Nobody waits for it then.
        """
        if self.playback.of(response_id).state is not PlaybackState.WAITING:
            return True
        records = self.items.of_response(response_id)
        read = any(r.called or (r.text and not r.spoken) for r in records)
        return read or response_id in self._stopped

    def has_said(self, response_id: str) -> bool:
        """Whether there is anything of a response, words or a function call; or it was stopped."""
        records = self.items.of_response(response_id)
        return (
            self.playback.of(response_id).started_at > 0.0
            or self.sequencer.has_calls(response_id)
            or any(record.text or record.called for record in records)
            or response_id in self._stopped
        )

    def listen(self, now: float, sound: Sound | None) -> list[events.ResponseDone]:
        """Take what is heard, if that is known; return ends of responses, to be fed as events.

        Those are of responses that are not waited for any longer; a failed one is to be cancelled.
        """
        self.hearing.listen(now, sound)
        return self.missed.overdue(now, sound.ended if sound is not None else 0.0)

    def feed(self, event: Any, now: float, *, held: float = 0.0) -> SessionFact | None:
        """Take the next event of the server; return the fact it states, if any.

        held: seconds of audio that have arrived and are not heard yet.
        """
        fact = self._fact(event, now)
        self.missed.feed(event, now)
        changed = self.items.feed(event, now)
        self.playback.feed(event, now, held)
        self.turns.feed(event, changed, now)
        self.sequencer.feed(event, now)
        if self.sequencer.responding:
            self._expected_since = None
        return fact

    def _fact(self, event: Any, now: float) -> SessionFact | None:
        match event:
            case events.SessionCreated() | events.SessionUpdated():
                self._configure(event.session)
                return SessionFact.SESSION_KNOWN
            case events.UnknownEvent(type="session.created"):
                # A session that this version cannot read is a session all the same.
                self.session = self.session or Session()
                return SessionFact.SESSION_KNOWN
            case events.InputAudioBufferSpeechStarted():
                self._speaking_since = now
                return SessionFact.USER_SPEECH_STARTED
            case events.InputAudioBufferSpeechStopped() | events.InputAudioBufferTimeoutTriggered():
                self._speaking_since = None
                if self.sequencer.answers_by_itself:
                    self._expected_since = now
            case events.InputAudioBufferCleared() | events.InputAudioBufferCommitted():
                self.confirmed_until = now - END_SILENCE
                self._speaking_since = None  # after a clear nobody reports the end of the speech
            case events.OutputAudioBufferStarted():
                return SessionFact.ASSISTANT_AUDIO_STARTED
            case events.OutputAudioBufferCleared():
                return SessionFact.AUDIO_CLEARED
            case events.ErrorEvent(error=events.ErrorDetail(code="session_expired") as error):
                self.fault = error.message
            case events.ErrorEvent(error=events.ErrorDetail(event_id=None) as error):
                self.complaint, self.complained_at = error, now
        return None

    def _configure(self, session: Session) -> None:
        if session == Session():  # nothing of it could be read: what is known holds
            session = self.session or session
        self.session = session
        detection = self.turn_detection
        answers = detection is not None and detection.create_response is not False
        self.sequencer.answers_by_itself = answers and not self.transcription_only
        if self.sequencer.modalities is not None and session.output_modalities:
            self.sequencer.modalities = session.output_modalities
        self.sequencer.follow_ups.calls_forced = session.tool_choice not in (None, "auto", "none")
        audio_in = session.audio.input if session.audio else None
        self.turns.transcribes = audio_in is None or audio_in.transcription is not None
        if detection is None:
            self._speaking_since = None


def _format(config: events.AudioInputConfig | events.AudioOutputConfig | None) -> str:
    known = config.format.type if config and config.format else None
    return known or PCM
