"""What is heard, where the server does not tell of its playing; pure, time as `now`.

Many servers have no `output_audio_buffer` events, and a single one can be lost. Then our own ear
decides: speech is going out from the first sound after its response began, and has been heard when
the response is over and nothing was heard for a while. What the server does tell always counts.
"""

from __future__ import annotations

from typing import NamedTuple

from .playback import Playback, PlaybackState, PlayedAudio

__all__ = ["Hearing", "Sound"]

PAUSE = 1.0
"""Seconds of silence that end speech of whose playing the server has told nothing."""

LONG_PAUSE = 11.0
"""Seconds of silence that end speech that the server said it plays: its end must be lost.

Longer than a lost connection goes unnoticed: then not all was said that was made.
"""

CLEAR_TIMEOUT = 1.0
"""Seconds that the server may take to say that it dropped what we told it to drop."""

START_TIMEOUT = 5.0
"""Seconds within which speech that was made is heard, if it ever is."""

STRAGGLERS = 0.5
"""Seconds of sound after a flush that are no sign of anything."""

LATEST = 1.0
"""Seconds by which sound may last longer than our buffers said; else it is something else."""

GAP = 0.1
"""Seconds of silence in which the last of speech has been heard, once all has gone out."""

LOOK = 0.25
"""Seconds between two looks whether speech has begun to be heard."""


class Sound(NamedTuple):
    """The latest sound that the loudspeaker gave, in seconds of the clock of `now`.

    Pauses of less than a second are part of it.
    """

    began: float
    ended: float


class Hearing:
    """Completes a `Playback` by what is heard."""

    def __init__(self, playback: Playback) -> None:
        self._playback = playback
        self._sound: Sound | None = None

    @property
    def listens(self) -> bool:
        """Whether it is known what is heard."""
        return self._sound is not None

    def expects(self, now: float) -> bool:
        """Whether speech is heard, or is to be heard in a moment."""
        return any(
            play.state is PlaybackState.PLAYING
            or (play.state is PlaybackState.STOPPED and now < play.heard_until)
            or (self.listens and self._is_to_come(play, now))
            for _, play in self._playback.recent()
        )

    def listen(self, now: float, sound: Sound | None) -> None:
        """Take what is heard; None if that is not known."""
        self._sound = sound
        if sound is None:
            return
        playback = self._playback
        for response_id, play in self._playback.recent():
            if play.state is PlaybackState.WAITING and self._has_begun(play, now, sound):
                playback.start(response_id, max(sound.began, play.created_at), guessed=True)
            elif play.state is PlaybackState.PLAYING:
                self._end(response_id, play, now, sound)
            elif (
                play.state is PlaybackState.STOPPED
                and now < self._latest(play) + GAP
                and not playback.playing
            ):
                lasts_until = min(sound.ended + GAP, self._latest(play))
                play.heard_until = max(play.heard_until, lasts_until)

    def next_deadline(self, now: float) -> float | None:
        """Return when, after `now`, `listen` may find something new; None if never."""
        sound = self._sound
        deadlines = [
            play.heard_until
            for _, play in self._playback.recent()
            if play.state is PlaybackState.STOPPED and play.heard_until > now
        ]
        if sound is not None:
            for _, play in self._playback.recent():
                if play.state is PlaybackState.PLAYING and play.over_at is not None:
                    deadlines.append(max(self._silent_at(play, sound), now + LOOK))
                elif play.state is PlaybackState.WAITING and self._may_begin(play, now):
                    deadlines.append(now + LOOK)
        return min(deadlines, default=None)

    @staticmethod
    def _latest(play: PlayedAudio) -> float:
        """Return when the last of speech that has gone out is heard at the latest."""
        return play.ended_at + play.held + LATEST

    def _may_begin(self, play: PlayedAudio, now: float) -> bool:
        """Whether speech may begin to be heard without the server's word."""
        if not play.speaks or self._playback.reports_playing or self._playback.playing:
            return False
        return play.over_at is None or now < play.over_at + START_TIMEOUT

    def _is_to_come(self, play: PlayedAudio, now: float) -> bool:
        """Whether speech that was made completely is to be heard in a moment."""
        if play.state is not PlaybackState.WAITING or not (play.speaks and play.completed):
            return False
        return play.over_at is not None and now < play.over_at + START_TIMEOUT

    def _has_begun(self, play: PlayedAudio, now: float, sound: Sound) -> bool:
        fresh = sound.ended > max(play.created_at, self._playback.flushed_at + STRAGGLERS)
        return self._may_begin(play, now) and fresh and now - sound.ended < PAUSE

    def _silent_at(self, play: PlayedAudio, sound: Sound) -> float:
        """Return when the silence has lasted long enough to be the end, if it lasts."""
        cleared = self._playback.clear_sent_at
        if cleared > play.started_at:
            return cleared + CLEAR_TIMEOUT
        silent_since = max(sound.ended, play.started_at)
        return silent_since + (PAUSE if play.guessed else LONG_PAUSE)

    def _end(self, response_id: str, play: PlayedAudio, now: float, sound: Sound) -> None:
        if play.over_at is None or now < self._silent_at(play, sound):
            return
        playback = self._playback
        heard_until = max(sound.ended, play.started_at)
        flushed = playback.flushed_at
        cut = playback.clear_sent_at > play.started_at or (
            flushed > play.started_at and heard_until <= flushed + STRAGGLERS
        )
        if cut:
            playback.clear(response_id, min(now, max(flushed, playback.clear_sent_at)))
        else:
            playback.end(response_id, PlaybackState.STOPPED, min(now, heard_until))
