"""What the events mean for the rest of the call: ready, who speaks, idle; pure, time as `now`.

The crossing that joins the roads must know when to silence the ear and when everything has been
said, but not how the protocol spells it. `feed()` takes each event in order and answers with a
neutral `Fact` where there is one; the properties give the state after it.
"""

from __future__ import annotations

import enum
from typing import Any

from rtcvoice import events
from rtcvoice.events import Session

__all__ = ["Conversation", "Fact"]

RESPONSE_PATIENCE = 10.0
"""Seconds after which a response that was expected, but never began, is given up on."""


class Fact(enum.Enum):
    """What an event says that concerns more than the conversation."""

    SESSION_KNOWN = "The session's configuration has arrived or changed."
    USER_SPEECH_STARTED = "The server hears the user begin to speak."
    ASSISTANT_AUDIO_STARTED = "The server begins to send an answer's audio."
    ASSISTANT_AUDIO_STOPPED = "The server has sent all of an answer's audio."
    AUDIO_CLEARED = "The server dropped what it had not sent: nothing more of it is to be heard."


class Conversation:
    """The state of the dialogue as far as the call must know it."""

    def __init__(self) -> None:
        self.session: Session | None = None
        """The session as the server last described it; None before its first event."""
        self.fault = ""
        """Why the server is about to end the session, when it said so."""
        self._user_speaking = False
        self._expected_since: float | None = None
        self._expected_by: str | None = None
        """Id of the event that asked for the response; None: the server makes it by itself."""
        self._responses: set[str] = set()
        self._playing = False

    @property
    def responding(self) -> bool:
        """Whether the server is making a response."""
        return bool(self._responses)

    @property
    def playing(self) -> bool:
        """Whether the server is sending an answer's audio; ends seconds after the response."""
        return self._playing

    @property
    def interruptible(self) -> bool:
        """Whether the user's speech makes the server drop the rest of an answer."""
        detection = self._turn_detection()
        return detection is not None and detection.interrupt_response is not False

    def is_idle(self, now: float) -> bool:
        """Whether nobody speaks, nothing is being answered and nothing more will be heard."""
        if self._expected_since is not None and now - self._expected_since > RESPONSE_PATIENCE:
            self._expected_since = None
        return not (
            self._user_speaking
            or self._responses
            or self._playing
            or self._expected_since is not None
        )

    def sent(self, event: Any, now: float) -> Fact | None:
        """Note an event that we send; return the fact it makes, if any."""
        if isinstance(event, events.ResponseCreate):
            self._expected_since = now
            self._expected_by = event.event_id or ""
        elif isinstance(event, events.OutputAudioBufferClear):
            return Fact.AUDIO_CLEARED
        return None

    def feed(self, event: Any, now: float) -> Fact | None:
        """Take the next event of the server; return the fact it states, if any."""
        match event:
            case events.SessionCreated() | events.SessionUpdated():
                self.session = event.session
                self._user_speaking = self._user_speaking and self._turn_detection() is not None
                return Fact.SESSION_KNOWN
            case events.UnknownEvent(type="session.created"):
                # A session that this version cannot read is a session all the same.
                self.session = self.session or Session()
                return Fact.SESSION_KNOWN
            case events.InputAudioBufferSpeechStarted():
                self._user_speaking = True
                return Fact.USER_SPEECH_STARTED
            case events.InputAudioBufferSpeechStopped():
                self._user_speaking = False
                if self._answers_by_itself():
                    self._expected_since = now
                    self._expected_by = None
            case events.InputAudioBufferCleared() | events.InputAudioBufferCommitted():
                self._user_speaking = False  # after a clear nobody reports the end of the speech
            case events.ResponseCreated():
                self._expected_since = None
                self._responses.add(event.response.id or "")
            case events.ResponseDone():
                self._responses.discard(event.response.id or "")
            case events.OutputAudioBufferStarted():
                self._playing = True
                return Fact.ASSISTANT_AUDIO_STARTED
            case events.OutputAudioBufferStopped():
                self._playing = False
                return Fact.ASSISTANT_AUDIO_STOPPED
            case events.OutputAudioBufferCleared():
                self._playing = False
                return Fact.AUDIO_CLEARED
            case events.ErrorEvent():
                self._error(event)
        return None

    def _error(self, event: events.ErrorEvent) -> None:
        if event.error.code == "session_expired":
            self.fault = event.error.message
        if (event.error.event_id or "") == self._expected_by:  # refused: it will not come
            self._expected_since = None

    def _answers_by_itself(self) -> bool:
        detection = self._turn_detection()
        return detection is not None and detection.create_response is not False

    def _turn_detection(self) -> events.TurnDetection | None:
        audio = self.session.audio if self.session else None
        return audio.input.turn_detection if audio and audio.input else None
