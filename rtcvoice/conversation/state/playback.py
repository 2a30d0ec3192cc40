"""What of the assistant's speech has been played, by response; pure, time as `now`.

The server sends an answer's audio in real time, seconds behind its text, and says when it starts,
stops, and when the rest was dropped. `audio_end_ms` of a truncation is what the server had sent by
then. What was heard is less: what our buffers and the device still held when they were flushed,
and what arrived between the flush and the server's word.

Nobody says how far into the text that is. The voice's pace, learnt from what was played to its end,
turns milliseconds into characters: an estimate, and marked as one.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from itertools import islice
from typing import Any

import msgspec

from rtcvoice import events
from rtcvoice.system.states import StateTable

__all__ = ["Playback", "PlaybackState", "PlayedAudio"]

USUAL_PACE = 15.0
"""Characters a second of a voice not heard yet: English at its usual speed."""

SHORTEST_LESSON = 1.0
"""Seconds of speech from which on the pace is learnt."""

FLUSH_MEMORY = 5.0
"""Seconds for which a flush may explain a truncation."""

KEPT = 100
"""Responses whose playing is remembered; older ones have long been played."""


_PLAYING = (
    events.OutputAudioBufferStarted,
    events.OutputAudioBufferStopped,
    events.OutputAudioBufferCleared,
)


RECENT = 16
"""Responses whose speech may be on its way or being heard."""


class PlaybackState(enum.Enum):
    """Where the audio of a response is."""

    WAITING = "The server has sent nothing of it."
    PLAYING = "The server sends it, in real time."
    STOPPED = "The server has sent all of it."
    CLEARED = "The server dropped the rest of it."


# What the server says always counts, also after our own ear came to another conclusion: of these
# states each may follow upon each.
_BEGUN = {PlaybackState.PLAYING, PlaybackState.STOPPED, PlaybackState.CLEARED}
PLAYBACK = StateTable(
    {
        PlaybackState.WAITING: _BEGUN,
        PlaybackState.PLAYING: _BEGUN - {PlaybackState.PLAYING},
        PlaybackState.STOPPED: _BEGUN - {PlaybackState.STOPPED},
        PlaybackState.CLEARED: _BEGUN - {PlaybackState.CLEARED},
    }
)


@dataclass
class PlayedAudio:
    """The audio of one response; times in the seconds given to `feed`."""

    state: PlaybackState = PlaybackState.WAITING
    started_at: float = 0.0
    ended_at: float = 0.0
    created_at: float = 0.0
    """When the response began to be made."""
    over_at: float | None = None
    """When the response had been made; None before."""
    completed: bool = False
    """Whether all of it was made."""
    speaks: bool = False
    """Whether any of it is speech."""
    cut: bool = False
    """Whether the rest of the response is not wanted, which the server knows or has been told."""
    guessed: bool = False
    """Whether it was our ear that found it to play."""
    held: float = 0.0
    """Seconds of it that were in our buffers when the server had sent all."""
    heard_until: float = 0.0
    """When the last of it is heard, once the server has sent all."""

    def become(self, state: PlaybackState) -> None:
        """Change the state."""
        self.state = PLAYBACK.change(self.state, state, "the audio of a response")


_SPEECH = (
    events.ResponseOutputAudioDelta,
    events.ResponseOutputAudioDone,
    events.ResponseOutputAudioTranscriptDelta,
    events.ResponseOutputAudioTranscriptDone,
)

_SPEECH_PARTS = ("audio", "output_audio")


class Playback:
    """The server's output audio buffer, as its events tell of it."""

    def __init__(self) -> None:
        self.reports_playing = False
        """Whether the server has ever said that it plays something; some servers never do."""
        self.idle_since = 0.0
        """When the last speech ended."""
        self.plays: dict[str, PlayedAudio] = {}
        """By response, in the order in which they began."""
        self.flushed_at = 0.0
        """When our own buffers were last emptied."""
        self.clear_sent_at = 0.0
        """When we last told the server to drop what it has not sent."""
        self._heard_ms: dict[str, int] = {}
        self._pace: float | None = None
        self._held = 0.0
        self._fresh = True  # speech has begun since the last flush

    @property
    def playing(self) -> bool:
        """Whether an answer's audio is going out."""
        return any(play.state is PlaybackState.PLAYING for _, play in self.recent())

    def recent(self) -> list[tuple[str, PlayedAudio]]:
        """Return the last responses, in order: the others have long been heard."""
        return list(islice(reversed(self.plays.items()), RECENT))[::-1]

    def of(self, response_id: str) -> PlayedAudio:
        """Return how it stands with a response's audio."""
        return self.plays.get(response_id) or PlayedAudio()

    def sent(self, event: object, now: float) -> None:
        """Note an event that we send."""
        if isinstance(event, events.OutputAudioBufferClear):
            self.clear_sent_at = now

    def feed(self, event: Any, now: float, held: float = 0.0) -> None:
        """Take the next event of the server; `held`: seconds of audio in our own buffers."""
        match event:
            case events.ResponseCreated():
                self.plays[event.response.id or ""] = PlayedAudio(created_at=now)
                if len(self.plays) > KEPT:
                    del self.plays[next(iter(self.plays))]
            case events.ResponseDone():
                self._made(event.response, now)
            case events.ResponseContentPartAdded() if event.part.type in _SPEECH_PARTS:
                self._play(event.response_id).speaks = True
            case _ if type(event) in _SPEECH:
                self._play(event.response_id).speaks = True
            case events.OutputAudioBufferStarted():
                self.reports_playing = True
                self.start(event.response_id or "", now)
            case events.OutputAudioBufferStopped():
                self.end(event.response_id or "", PlaybackState.STOPPED, now, held)
            case events.OutputAudioBufferCleared():
                self.clear(event.response_id or "", now)

    def named(self, event: Any) -> Any:
        """Return an event about playing with its response, where the server does not name it.

        It starts the first one that waits, and ends what plays: one plays at a time.
        """
        if not isinstance(event, _PLAYING) or event.response_id is not None:
            return event
        started = isinstance(event, events.OutputAudioBufferStarted)
        state = PlaybackState.WAITING if started else PlaybackState.PLAYING
        of_state = (i for i, play in self.plays.items() if play.state is state)
        return msgspec.structs.replace(event, response_id=next(of_state, None))

    def forget(self, response_id: str) -> None:
        """Forget a response of which nothing was said."""
        self.plays.pop(response_id, None)

    def flushed(self, now: float, held: float) -> None:
        """Note that our own buffers were emptied; `held`: the seconds not yet heard in them.

        Of several flushes of the same speech the first one counts.
        """
        if self._fresh or now - self.flushed_at >= FLUSH_MEMORY:
            self.flushed_at, self._held, self._fresh = now, held, False

    def heard_ms(self, audio_end_ms: int, now: float) -> int:
        """Return what was heard of an item of which the server sent so much, told at `now`."""
        missed = 0.0
        if now - self.flushed_at < FLUSH_MEMORY:
            missed = self._held + now - self.flushed_at
        return min(audio_end_ms, max(0, audio_end_ms - round(missed * 1000)))

    def note_heard(self, item_id: str, heard_ms: int) -> None:
        """Note what was heard of an item that was cut, where we played it and know exactly."""
        self._heard_ms[item_id] = heard_ms
        if len(self._heard_ms) > KEPT:
            del self._heard_ms[next(iter(self._heard_ms))]

    def heard_exactly_ms(self, item_id: str) -> int | None:
        """Return what was heard of an item that was cut; None where that is not known exactly."""
        return self._heard_ms.get(item_id)

    def cut_off(self, now: float) -> None:
        """Note that the call ends here, whatever plays."""
        for response_id, play in self.plays.items():
            if play.state is PlaybackState.PLAYING:
                self.end(response_id, PlaybackState.CLEARED, now)

    def heard_by_clock_ms(self, play: PlayedAudio) -> int:
        """Return what was heard of cleared speech by our own clock, if the server is mute."""
        if play.started_at == 0.0:
            return 0
        flushed = self.flushed_at > play.started_at
        end = self.flushed_at - self._held if flushed else play.ended_at
        return max(0, round((end - play.started_at) * 1000))

    def learn(self, characters: int, response_id: str) -> None:
        """Learn the voice's pace from a text that was played to its end."""
        play = self.of(response_id)
        seconds = play.ended_at - play.started_at
        if play.state is not PlaybackState.STOPPED or seconds < SHORTEST_LESSON or not characters:
            return
        pace = characters / seconds
        self._pace = pace if self._pace is None else 0.7 * self._pace + 0.3 * pace

    def heard_text(self, text: str, heard_ms: int) -> str:
        """Return the beginning of a text that takes `heard_ms` to say, in whole words."""
        count = round(heard_ms / 1000 * (self._pace or USUAL_PACE))
        if count >= len(text):
            return text
        if not text[count].isspace():  # what is cut off within a word was not understood
            count = max(text.rfind(" ", 0, count), 0)
        return text[:count].rstrip()

    def start(self, response_id: str, now: float, *, guessed: bool = False) -> None:
        """Note that speech begins to go out; `guessed`: by our own ear."""
        self._fresh = True
        for other, play in self.plays.items():  # one plays at a time
            if other != response_id and play.state is PlaybackState.PLAYING:
                self.end(other, PlaybackState.STOPPED, now)
        play = self._play(response_id)
        play.become(PlaybackState.PLAYING)
        play.started_at, play.guessed = now, guessed

    def end(self, response_id: str, state: PlaybackState, now: float, held: float = 0.0) -> None:
        """Note that speech has gone out, with `held` seconds of it still to be heard."""
        play = self._play(response_id)
        play.become(state)
        play.ended_at, play.held = now, held
        play.heard_until = now + held
        self.idle_since = now

    def clear(self, response_id: str, now: float) -> None:
        """End this one and those behind it: clearing drops everything that waits."""
        for other, play in self.plays.items():
            if other == response_id or play.state in (PlaybackState.WAITING, PlaybackState.PLAYING):
                play.become(PlaybackState.CLEARED)
                play.ended_at = now
        self.end(response_id, PlaybackState.CLEARED, now)

    def _made(self, response: events.RealtimeResponse, now: float) -> None:
        play = self.plays.get(response.id or "")
        if play is None:
            return
        play.over_at, play.completed = now, response.status in (None, "completed")
        messages = (each for each in response.output or [] if isinstance(each, events.Message))
        parts = (part.type for message in messages for part in message.content)
        play.speaks = play.speaks or any(kind in _SPEECH_PARTS for kind in parts)

    def _play(self, response_id: str) -> PlayedAudio:
        return self.plays.setdefault(response_id, PlayedAudio())
