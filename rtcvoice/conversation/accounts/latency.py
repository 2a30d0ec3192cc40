"""How long the user waits for an answer: from the end of his words to the first sound; pure.

The end of speech is not told by anybody; it is reckoned. The server hears the user one way of the
network later, waits for a silence of known length, and its word takes the way back. So the speech
ended when `speech_stopped` arrived, less the silence that the session's turn detection waits for,
less a round trip. Semantic turn detection waits as it sees fit: with it the end is taken to be when
the server noticed. With push to talk the end is the commit.

The first sound is what the ear gets, not what the network brought: the crossing listens to the
player once the server says that an answer's audio starts, and says when the first audible sample
leaves the loudspeaker.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rtcvoice import events
from rtcvoice.sound import numpy_later as np
from rtcvoice.sound.samples import Samples, peak_of
from rtcvoice.system.public import public

__all__ = ["LatencyMeter", "TurnLatency", "onset"]

AUDIBLE = 100
"""Peak from which on a sample counts as sound, of 32768 (-50 dBFS)."""


@public
@dataclass(frozen=True, kw_only=True)
class TurnLatency:
    """How long one turn of the user waited; times in seconds of `rtcvoice.system.clock.now()`.

    `item_id` is the user's item, `response_id` the response that was heard.
    """

    item_id: str
    response_id: str
    ended_at: float
    """When the user stopped speaking, as reckoned."""
    noticed_at: float | None
    """When we learnt that the server knew, or told it by a commit; GPT-Live tells nothing: None."""
    heard_at: float
    """When the first audible sample of the answer left the loudspeaker."""

    @property
    def seconds(self) -> float:
        """From the end of the user's speech to the first sound of the answer."""
        return self.heard_at - self.ended_at

    @property
    def detection(self) -> float | None:
        """The part of it until the end of the turn was noticed; None if that is not known."""
        return None if self.noticed_at is None else self.noticed_at - self.ended_at

    @property
    def response(self) -> float | None:
        """The part of it from then on: the model, the network, the buffers; None if unknown."""
        return None if self.noticed_at is None else self.heard_at - self.noticed_at


@dataclass
class _Turn:
    item_id: str
    ended_at: float
    noticed_at: float
    committed: bool = False
    """Whether it was ended by our commit, whose item is not known yet."""


class LatencyMeter:
    """Follows the turns of a session. Calls with `now`, in seconds."""

    def __init__(self) -> None:
        self._turn: _Turn | None = None
        self._responses: set[str] = set()  # that began since the turn's end
        self._heard: str | None = None  # the response whose first sound is awaited
        self._playing_reported = False  # by the server, that it plays something; some never do
        self._silence = 0.0
        self._measured: list[TurnLatency] = []

    @property
    def turns(self) -> tuple[TurnLatency, ...]:
        """The turns that were answered aloud, in order."""
        return tuple(self._measured)

    @property
    def awaited(self) -> str | None:
        """The response whose first sound is to be listened for; None if there is none."""
        return self._heard

    def forget(self) -> None:
        """Measure no answer to the turn so far: its session is gone."""
        self._turn = self._heard = None
        self._responses.clear()

    def sent(self, event: Any, now: float) -> None:
        """Take an event that we sent."""
        if isinstance(event, events.InputAudioBufferCommit):
            self._begin(_Turn("", now, now, committed=True))

    def feed(self, event: Any, now: float, *, round_trip: float = 0.0) -> None:
        """Take the next event of the server; `round_trip` is the network's, in seconds."""
        match event:
            case events.SessionCreated() | events.SessionUpdated():
                self._silence = _silence_of(event.session)
            case events.InputAudioBufferSpeechStarted():
                self._turn = self._heard = None  # an answer that comes now is not to this one
            case events.InputAudioBufferSpeechStopped():
                self._begin(_Turn(event.item_id or "", now - self._silence - round_trip, now))
            case events.InputAudioBufferCommitted():
                if self._turn is not None and self._turn.committed:
                    self._turn.item_id = event.item_id
            case events.ResponseCreated():
                self._responses.add(event.response.id or "")
            case events.ResponseOutputAudioTranscriptDelta() if not self._playing_reported:
                self._sounding(event.response_id)
            case events.OutputAudioBufferStarted():
                self._playing_reported = True
                self._sounding(event.response_id or "")
            case events.OutputAudioBufferStopped() | events.OutputAudioBufferCleared():
                if event.response_id == self._heard:
                    self._turn = self._heard = None  # it was over before anything was heard

    def heard(self, response_id: str, at: float) -> None:
        """Note when the first sound of the awaited response is heard."""
        if self._turn is None or response_id != self._heard:
            return
        measured = TurnLatency(
            item_id=self._turn.item_id,
            response_id=response_id,
            ended_at=self._turn.ended_at,
            noticed_at=self._turn.noticed_at,
            heard_at=at,
        )
        self._measured.append(measured)
        self._turn = self._heard = None

    def _begin(self, turn: _Turn) -> None:
        self._turn, self._heard = turn, None
        self._responses.clear()

    def _sounding(self, response_id: str) -> None:
        # One that began before the turn's end answers something else. Where no response is ever
        # announced (Azure's filter leaves that out), any is taken.
        if self._turn is not None and (not self._responses or response_id in self._responses):
            self._heard = response_id


def onset(samples: Samples) -> int | None:
    """Return the index of the first audible sample of a block, None if it is silent."""
    if peak_of(samples) < AUDIBLE:
        return None
    return int(np.argmax(np.abs(samples.astype(np.int32)) >= AUDIBLE))


def _silence_of(session: events.Session) -> float:
    audio_input = session.audio.input if session.audio else None
    detection = audio_input.turn_detection if audio_input else None
    return (detection.silence_duration_ms or 0) / 1000 if detection else 0.0
