"""Who plays the assistant's speech, and what follows from that when it is cut.

    PlayedByServer   WebRTC: packets in real time; the server says what it plays, and truncates
    PlayedByUs       WebSocket: audio inside events, faster than it is heard; all that is our part

    audio delta -> samples -> the player's queue -> how far it has come -> started, stopped
    a cut -> the queue falls silent -> truncations for the server, cleared

What is pure of it is in `state/delivery.py`. Decoding 100 ms of speech takes some 20 us, and is
done where events are taken.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Protocol, get_args

from rtcvoice import events
from rtcvoice.sound.event_audio import EventAudioReader
from rtcvoice.sound.samples import DEFAULT_RATE, Samples

from .ports import AudioOutput
from .state.conversation import ConversationState
from .state.delivery import Cut, Delivery, PlayingEvent
from .state.hearing import Sound

__all__ = ["PlayedByServer", "PlayedByUs", "SpeechOutput", "player_of"]

logger = logging.getLogger(__name__)

MOST_QUEUED = 600
"""Seconds of speech that may wait to be heard. FULL: the rest of that response is dropped."""

MOST_PIECES = 60_000
"""Events of which speech may wait: 10 ms in each would be as long. Each takes memory of its own."""


class SpeechOutput(Protocol):
    """The player's queue of samples at 24 kHz, as a `SpeechQueue` is one. Event loop only."""

    @property
    def put_index(self) -> int:
        """Samples put in so far."""

    @property
    def played_index(self) -> int:
        """Index of the next sample to be handed to the sink."""

    @property
    def pieces(self) -> int:
        """Pieces that wait."""

    def put(self, samples: Samples) -> None:
        """Add samples behind what waits."""

    def ended(self) -> None:
        """Note that speech ends with what is there."""


class PlayedByServer:
    """Speech that the server plays: it tells of that, and of what it truncated."""

    def __init__(self, state: ConversationState, output: AudioOutput) -> None:
        self._state = state
        self._output = output

    def passes_over(self, event: Any) -> bool:
        """Whether an event of the server is to be taken for nothing."""
        return False

    def obeys(self, event: Any) -> bool:
        """Whether a command is for us, and not for the server."""
        return False

    def take(self, event: Any) -> None:
        """Take the next event of the server."""

    def due(self, now: float) -> list[PlayingEvent]:
        """Return what has happened of which the server does not tell."""
        return []

    def next_deadline(self, now: float) -> float | None:
        """Return when `due` may have something new; None for not before the next event."""
        return None

    @property
    def held(self) -> float:
        """Seconds of audio that are not heard yet when it is said that all has gone out."""
        return self._output.held

    @property
    def sound(self) -> Sound | None:
        """The latest sound, where the ear is to decide what is played; else None."""
        return self._output.sound

    def silence(self, now: float) -> Cut:
        """Fall silent; return what the server is to be told, and what everybody else is."""
        self._state.flushed(now, self._output.held)
        self._output.flush()
        return Cut([], [])

    def leave(self, now: float) -> None:
        """Note that the session is gone, and what is heard with it."""


class PlayedByUs(PlayedByServer):
    """Speech that comes in events: played out of `queue`, which the player has.

    `new_id` makes ids of events.
    """

    def __init__(
        self,
        state: ConversationState,
        output: AudioOutput,
        queue: SpeechOutput,
        new_id: Callable[[], str],
    ) -> None:
        super().__init__(state, output)
        self._queue = queue
        self._delivery = Delivery(new_id, state.sequencer.is_outside)
        self._reader = EventAudioReader()
        self._part: tuple[str, int] | None = None

    def passes_over(self, event: Any) -> bool:
        """Whether an event tells of a playing that is not ours."""
        return isinstance(event, get_args(PlayingEvent))

    def obeys(self, event: Any) -> bool:
        """Whether it is told to drop what is not played: that is here."""
        return isinstance(event, events.OutputAudioBufferClear)

    def take(self, event: Any) -> None:
        """Take the next event of the server."""
        self._delivery.feed(event)
        if isinstance(event, events.ResponseOutputAudioDelta):
            self._hear(event)
        elif self._delivery.is_over(event):
            self._queue.ended()

    def due(self, now: float) -> list[PlayingEvent]:
        """Return what has been played."""
        return self._delivery.due(self._queue.played_index, now)

    def next_deadline(self, now: float) -> float | None:
        """Return when `due` may have something new; None for not before the next event."""
        return self._delivery.next_deadline(now, self._queue.played_index)

    @property
    def held(self) -> float:
        """Seconds from the player to the ear."""
        return self._output.latency

    @property
    def sound(self) -> Sound | None:
        """None: what is played is known."""
        return None

    def silence(self, now: float) -> Cut:
        """Fall silent; return what the server is to be told, and what everybody else is."""
        heard = self._queue.played_index - round(self._output.latency * DEFAULT_RATE)
        self._output.flush()
        self._part = None
        cut = self._delivery.cut(heard)
        for each in cut.truncations:
            self._state.playback.note_heard(each.item_id, each.audio_end_ms)
        for response_id in cut.dropped:
            self._state.playback.of(response_id).cut = True
        return cut

    def leave(self, now: float) -> None:
        """Fall silent; nobody can be told any more of what was heard, but it is known."""
        self.silence(now)

    def _hear(self, event: events.ResponseOutputAudioDelta) -> None:
        if not self._delivery.wants(event):
            return
        part, kind = (event.item_id, event.content_index or 0), self._state.output_format
        if part != self._part or kind != self._reader.kind:
            self._part, self._reader = part, EventAudioReader(kind)
        samples = self._reader.read(event.delta)
        if not len(samples):
            return
        begin = self._queue.put_index
        waiting = begin - self._queue.played_index + len(samples)
        if waiting > MOST_QUEUED * DEFAULT_RATE or self._queue.pieces >= MOST_PIECES:
            logger.warning(
                "x an answer is over %d s or %d events ahead: its rest is dropped",
                MOST_QUEUED,
                MOST_PIECES,
            )
            self._delivery.drop(event.response_id)
            return
        self._queue.put(samples)
        self._delivery.add(event, begin, self._queue.put_index)


def player_of(
    state: ConversationState,
    output: AudioOutput,
    speech: SpeechOutput | None,
    *,
    new_id: Callable[[], str],
) -> PlayedByServer:
    """Return who plays the speech of a session; `speech`: where it goes if it comes in events."""
    if speech is None:
        return PlayedByServer(state, output)
    return PlayedByUs(state, output, speech, new_id)
