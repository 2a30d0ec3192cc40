"""Ends what is under way when a session is gone: as if the server had, so that nobody waits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rtcvoice import events
from rtcvoice.events import RealtimeResponse, StatusDetails

from .asking.replies import Replies
from .ports import AudioOutput
from .state.conversation import ConversationState
from .state.playback import PlaybackState
from .state.requests import Request

__all__ = ["LOST", "end_all"]

LOST = "connection_lost"
"""Why a response was cancelled, in `reason`: its connection is gone."""


def end_all(
    state: ConversationState,
    output: AudioOutput,
    now: float,
    take: Callable[[Any, float], Any],
    replies: Replies,
) -> list[Any]:
    """End all responses and all speech; return the events that tell of it, for the user.

    `take` gives an event to everybody here. A response of which nothing was said never began: its
    reply forgets it, and its request waits again. The user who waited for an answer of the server's
    own will get one.
    """
    if state.owes_answer(now):
        state.sequencer.add(Request(tag=state.new_id(), shared=True))
    _fall_silent(state, output, now)
    told: list[Any] = []
    for response_id in state.sequencer.in_progress:
        details = StatusDetails(type="cancelled", reason=LOST)
        response = RealtimeResponse(id=response_id, status="cancelled", status_details=details)
        told.append(events.ResponseDone(response=response))
        if state.has_said(response_id):
            take(told[-1], now)
        else:
            state.restart(response_id, now)
            replies.restart(response_id)
    for response_id in _sounding(state, now):
        state.note_loss(response_id, LOST)
        told.append(events.OutputAudioBufferCleared(response_id=response_id))
        take(told[-1], now)
    state.leave()
    return told


def _fall_silent(state: ConversationState, output: AudioOutput, now: float) -> None:
    """Let the ear be silent, and note what was heard: nothing after the last sound."""
    if not _sounding(state, now):
        return
    held, sound = output.held, output.sound
    unheard = held if sound is None else max(held, now - sound.ended)
    state.flushed(now, max(0.0, unheard))
    output.flush()


def _sounding(state: ConversationState, now: float) -> list[str]:
    """Return the responses whose speech is on its way or being heard."""
    return [
        response_id
        for response_id, play in state.playback.recent()
        if play.state is PlaybackState.PLAYING
        or (play.state is PlaybackState.STOPPED and now < play.heard_until)
        or (play.state is PlaybackState.WAITING and play.speaks)
    ]
