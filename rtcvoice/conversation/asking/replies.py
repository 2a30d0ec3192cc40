"""The replies that are being made or heard: each gets the events, and the sound, of its responses.

A reply begins with a request. It is let go of when it was made and heard to its end; whoever asked
for it may keep it for ever.
"""

from __future__ import annotations

import asyncio
from typing import Any

from rtcvoice import events
from rtcvoice.conversation.ports import AudioOutput
from rtcvoice.conversation.state.missed import response_id_of
from rtcvoice.conversation.state.requests import Request, RequestState
from rtcvoice.conversation.state.sequencer import Sequencer
from rtcvoice.conversation.state.turns import Turn
from rtcvoice.errors import CallEnded, TransportError

from .answer import Answer
from .confirmations import refused
from .recorder import ReplyRecorder
from .reply import Reply

__all__ = ["Replies"]

MOST = 100
"""Replies followed at a time; of more, the oldest are complete but for their sound."""


class Replies:
    """The open replies of one call, and their sound, which `output` gives."""

    def __init__(self, sequencer: Sequencer, output: AudioOutput) -> None:
        self._sequencer = sequencer
        sequencer.follow_ups.changed = self._follow_up_changed
        sequencer.follow_ups.silent = self._no_follow_up
        self._recorder = ReplyRecorder(output)
        self._playing_reported = False  # by the server, that it plays something
        self._answers: dict[Request, Answer] = {}
        self._begun: dict[Request, asyncio.Future[None]] = {}

    def open(self, request: Request) -> tuple[Reply, asyncio.Future[None]]:
        """Return the reply to a request not yet handed in, and a future for its beginning."""
        request.changed = self._changed
        answer = self._answers[request] = Answer()
        begun = self._begun[request] = asyncio.get_running_loop().create_future()
        return Reply(answer), begun

    def abandon(self, request: Request) -> None:
        """Forget a request's answer: nobody will get it."""
        self._answers.pop(request, None)
        if (begun := self._begun.pop(request, None)) is not None:
            begun.cancel()

    def feed(self, event: Any) -> None:
        """Take the next event of the server, after the sequencer had it."""
        response_id = response_id_of(event)
        if not response_id:
            return
        for request, answer in list(self._answers.items()):
            if response_id not in answer.responses:
                continue
            follow_up = self._sequencer.will_follow_up(response_id)
            answer.feed(event, follow_up=follow_up)
            self._follow_sound(event, answer, response_id, out_of_band=request.out_of_band)
            if answer.over:
                del self._answers[request]

    def end_without_follow_up(self) -> None:
        """Let the replies be done that waited for a response which will not come."""
        for answer in self._answers.values():
            made = answer.responses
            if made and not any(map(self._sequencer.will_follow_up, made)):
                answer.end_without_follow_up()

    def restart(self, response_id: str) -> None:
        """Let a response never have begun, which has said nothing: its request waits again."""
        for answer in self._answers.values():
            if response_id in answer.responses:
                answer.restart(response_id)

    def turn_over(self, turn: Turn) -> None:
        """Note that a turn is final: it was heard, or never will be."""
        for request, answer in list(self._answers.items()):
            answer.item_over(turn.id, turn.status, turn.reason)
            if not answer.awaits_sound(turn.response_id):
                self._recorder.finish(turn.response_id)
            if answer.over or (len(self._answers) > MOST and answer.done):
                del self._answers[request]

    def fail_queued(self, reason: CallEnded) -> None:
        """Let nobody wait whose request is still queued."""
        for request, begun in self._begun.items():
            if request.state is RequestState.QUEUED and not begun.done():
                begun.set_exception(reason.again())
                begun.exception()  # seen, should nobody wait any more

    def end(self, reason: CallEnded) -> None:
        """End all waiting: the call is over."""
        for begun in self._begun.values():
            if not begun.done():
                begun.set_exception(reason.again())
                begun.exception()  # seen, should nobody wait any more
        for answer in self._answers.values():
            answer.call_ended(reason)
        self._answers.clear()

    async def aclose(self) -> None:
        """Stop recording."""
        await self._recorder.aclose()

    def _changed(self, request: Request) -> None:
        answer = self._answers.get(request)
        if answer is not None and request.response_id:
            answer.begin(request.response_id)
        begun = self._begun.get(request)
        if begun is None or begun.done():
            return
        match request.state:
            case RequestState.RUNNING | RequestState.COVERED:
                begun.set_result(None)
            case RequestState.REFUSED if request.error is not None:
                begun.set_exception(refused("to answer", request.error))
            case RequestState.REFUSED:
                begun.set_exception(
                    TransportError("the server did not answer the request", stage="reply")
                )
            case _:
                return
        del self._begun[request]

    def _follow_up_changed(self, request: Request) -> None:
        """Let the response that speaks of a function's result belong to the answer that called."""
        for answer in self._answers.values():
            if request.follows not in answer.responses:
                continue
            if request.response_id:
                answer.begin(request.response_id)
            elif request.state in (RequestState.REFUSED, RequestState.WITHDRAWN):
                answer.end_without_follow_up()

    def _no_follow_up(self, response_id: str) -> None:
        for answer in self._answers.values():
            if response_id in answer.responses:
                answer.end_without_follow_up(interrupted=False)

    def _follow_sound(
        self, event: Any, answer: Answer, response_id: str, *, out_of_band: bool
    ) -> None:
        match event:
            case events.OutputAudioBufferStarted():
                self._playing_reported = True
                self._recorder.start(answer, response_id)
            case _ if isinstance(event, _SPEECH) and not (self._playing_reported or out_of_band):
                # A server that does not tell of its playing: its turn tells when it was heard.
                self._recorder.listen_ahead(answer, response_id)
            case events.OutputAudioBufferStopped() | events.OutputAudioBufferCleared():
                cleared = isinstance(event, events.OutputAudioBufferCleared)
                self._recorder.stop(response_id, at_once=cleared)
                if out_of_band:  # it makes no turns, which would tell
                    answer.played_out(response_id)


_SPEECH = (
    events.ResponseOutputAudioTranscriptDelta,
    events.ResponseOutputAudioTranscriptDone,
)
