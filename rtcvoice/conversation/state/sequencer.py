"""The one owner of `response.create`: one response at a time, whoever asks for it; pure.

The server makes one response of the conversation at a time and refuses a second one
(`conversation_already_has_active_response`), also when the first was its own idea after the user
spoke. So whoever wants a response puts a `Request` in here, and `due()` says what to send now. A
request goes out when nothing is being answered, nothing was asked for and the user does not hold
the floor. Its tag travels in the response's metadata, which the server gives back: so a response is
known to be ours, or the server's own. A request that lost a race with the server's own response
goes out again once that one is over. A `shared` one is content with any response that begins after
its items were in: if the user spoke meanwhile, the server answers both at once.

THE SEAM FOR TOOLS: set `calls_wanted`. Finished function calls surface in `take_calls()`. Give the
output of each to `answer(call_id, output)`, at any time, in any order. When all calls of a response
have theirs and it is over, `due()` gives the outputs as items and one `response.create` for all.

THE CALLING CONTRACT: AFTER EVERYTHING THAT IS SAID TO IT (`feed`, `add`, `answer`, A CHANGE OF
`held`) AND AT `next_deadline()`, SEND WHAT `due()` RETURNS, IN ORDER, BEFORE ANYTHING ELSE IS SAID.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

from rtcvoice import events
from rtcvoice.events import ClientEvent

from .follow_ups import FollowUps
from .function_calls import CalledFunction, FunctionCalls
from .out_of_band import OutOfBand
from .requests import METADATA_KEY, Request, RequestState

__all__ = ["CalledFunction", "Request", "RequestState", "Sequencer"]

REQUEST_TIMEOUT = 10.0
"""Seconds after which a request that the server neither accepts nor refuses has failed."""

RETRY_AFTER = 2.0
"""Seconds to wait for the response that was in the way, when nothing else is heard of it."""

MOST_RACES = 5
"""Races that a request may lose: each time the server, unasked, began a response just before."""

_ACTIVE = "conversation_already_has_active_response"


class Sequencer:
    """All wishes for responses of one session. `new_id` makes ids that are unique in it."""

    def __init__(self, new_id: Callable[[], str]) -> None:
        self.calls_wanted = False
        """Whether function calls surface in `take_calls`; else somebody else answers them."""
        self.answers_by_itself = False
        """Whether the server makes responses by itself when the user has spoken."""
        self.follow_ups = FollowUps(new_id)
        """What follows up function calls."""
        self.modalities: list[str] | None = None
        """Said with every request: after a history of text a model answers in text, else."""
        self._new_id = new_id
        self._queue: list[Request] = []
        self._sent: dict[str, Request] = {}  # SENT and RUNNING, by tag
        self._covered: list[Request] = []  # by responses that are in progress
        self._responses: dict[str, bool] = {}  # in progress; whether in the conversation
        self._unconfirmed: set[str] = set()  # items of requests
        self._untracked: events.ResponseCreate | None = None  # sent by somebody else, unanswered
        self._untracked_sent_at = 0.0
        self._hold_until = 0.0
        self._calls = FunctionCalls()
        self._out_of_band = OutOfBand()

    # -- what is going on -----------------------------------------------------------------------

    @property
    def responding(self) -> bool:
        """Whether a response of the conversation is being made."""
        return any(self._responses.values())

    @property
    def asked(self) -> bool:
        """Whether a response of the conversation was asked for and has not begun."""
        waiting = (r for r in self._sent.values() if r.state is RequestState.SENT)
        return self._untracked is not None or any(not request.out_of_band for request in waiting)

    @property
    def busy(self) -> bool:
        """Whether any response is being made or will be, or a function call is unanswered."""
        return self.is_busy()

    def is_busy(self, but: Collection[str] = ()) -> bool:
        """Whether anything is being made, or waits; unanswered calls of ids in `but` apart."""
        under_way = self._responses or self._queue or self._sent or self._untracked
        return bool(under_way) or self._calls.waiting(but)

    def is_outside(self, response_id: str) -> bool:
        """Whether a response is out of band: its items are none of the conversation.

        Also one that nobody here asked for, of which the server does not say where it belongs.
        """
        return response_id in self._out_of_band

    def overtaken_by(self, response: events.RealtimeResponse) -> list[str]:
        """Return the responses that must be over, as this one begins: one is made at a time."""
        if self._is_out_of_band(response, self.asked_by(response)):
            return []
        return [each for each, inside in self._responses.items() if inside and each != response.id]

    def guess_tag(self) -> str | None:
        """Return the tag of the only request that waits for its response; None if several do."""
        asked = [r for r in self._sent.values() if r.state is RequestState.SENT]
        return asked[0].tag if len(asked) == 1 else None

    def will_follow_up(self, response_id: str) -> bool:
        """Whether a further response is to come for the function calls of this one."""
        waiting = any(request.follows == response_id for request in self._queue)
        return waiting or self._calls.will_follow_up(response_id)

    def is_race(self, error: events.ErrorDetail) -> bool:
        """Whether an error that comes does no more than send a request back to the queue.

        Or finds it answered already. To be asked before `feed`.
        """
        return error.code == _ACTIVE and any(
            request.state is RequestState.SENT
            and request.event_id == error.event_id
            and (bool(request.covered_by) or request.races < MOST_RACES)
            for request in self._sent.values()
        )

    # -- what is wanted -------------------------------------------------------------------------

    def add(self, request: Request) -> None:
        """Take a request; its items count as unconfirmed until the server tells of them."""
        self._unconfirmed |= request.items
        self._queue.append(request)

    def withdraw(self, request: Request) -> bool:
        """Forget a request that waits; return False if it does not (any more)."""
        if request not in self._queue:
            return False
        self._queue.remove(request)
        request.become(RequestState.WITHDRAWN)
        return True

    def stop(self) -> None:
        """Let nothing follow of itself: no answers to function calls, nor to what was only told.

        What somebody waits for, a request of its own, stays.
        """
        self._calls.stop()
        for request in [request for request in self._queue if request.shared]:
            self.withdraw(request)

    def clear(self) -> None:
        """Withdraw all requests that wait, but for those that follow up function calls."""
        for request in [request for request in self._queue if not request.follows]:
            self.withdraw(request)

    def take_calls(self) -> list[CalledFunction]:
        """Return the function calls that became complete since the last time."""
        return self._calls.take_new()

    def answer(self, call_id: str, output: str, *, speak: bool = True) -> None:
        """Give the output of a function call, as text; an unknown or answered one is ignored."""
        self._calls.answer(call_id, output, speak=speak)

    def ignore_call(self, call_id: str) -> None:
        """Forget a function call: somebody else answers it, and asks for what follows."""
        self._calls.forget(call_id)

    def note_untracked(self, event: events.ResponseCreate, now: float) -> None:
        """Note a `response.create` that was sent without a request."""
        if event.response is not None and event.response.conversation == "none":
            self._out_of_band.asked_untracked()
        else:
            self._untracked, self._untracked_sent_at = event, now

    def restart_timeout(self, event_ids: Collection[str], now: float) -> None:
        """Say that these requests had not left until now: the time for an answer begins."""
        for request in self._sent.values():
            if request.state is RequestState.SENT and request.event_id in event_ids:
                request.sent_at = now

    def send_failed(self, event: ClientEvent) -> None:
        """Say that an event which `due` gave could not be sent."""
        for request in list(self._sent.values()):
            if request.event_id == event.event_id:
                self._finish(request, RequestState.REFUSED)

    # -- when the session is gone ---------------------------------------------------------------

    @property
    def in_progress(self) -> dict[str, bool]:
        """The responses that are being made, and whether each belongs to the conversation."""
        return dict(self._responses)

    def request_for(self, response_id: str) -> Request | None:
        """Return the request that a response which is being made answers, if it is ours."""
        return next((r for r in self._sent.values() if r.response_id == response_id), None)

    def has_calls(self, response_id: str) -> bool:
        """Whether function calls of a response wait for their outputs."""
        return self._calls.belong_to(response_id)

    def restart(self, response_id: str) -> None:
        """Let a response never have begun: its request waits again, in front of all others."""
        self._responses.pop(response_id, None)
        for request in (*self._covered, *self._sent.values()):
            if request.response_id == response_id:
                request.response_id = ""
                self._wait_again(request)
        self._covered = [request for request in self._covered if request.response_id]

    def leave(self) -> None:
        """Let wait again what has not begun: the session is gone, and what it made was ended."""
        for request in reversed(list(self._sent.values())):
            self._wait_again(request)
        if (untracked := self._untracked) is not None:
            self._untracked = None
            tag = untracked.event_id or self._new_id()
            self._queue.insert(0, Request(tag=tag, params=untracked.response))
        for request in self._queue:
            request.leave()
        self._out_of_band.leave()
        self._hold_until = 0.0

    def _wait_again(self, request: Request) -> None:
        self._sent.pop(request.tag, None)
        request.covered_by = ""
        self._queue.insert(0, request)
        request.become(RequestState.QUEUED)

    # -- what the server says -------------------------------------------------------------------

    def feed(self, event: object, now: float) -> None:
        """Take the next event of the server."""
        match event:
            case events.ResponseCreated():
                self._created(event.response)
            case events.ResponseDone():
                self._done(event.response)
            case events.ResponseOutputItemDone(item=events.FunctionCall() as item):
                self._called(event.response_id, item)
            case events.ResponseFunctionCallArgumentsDone() if event.call_id:
                self._calls.arguments(event)
            case (
                events.ConversationItemAdded()
                | events.ConversationItemDone()
                | events.ConversationItemCreated()
            ):
                self._unconfirmed.discard(event.item.id or "")
            case events.ErrorEvent():
                self._error(event.error, now)

    def _created(self, response: events.RealtimeResponse) -> None:
        response_id, request = response.id or "", self.asked_by(response)
        in_conversation = not self._is_out_of_band(response, request)
        self._responses[response_id] = in_conversation
        own = self._untracked is not None or self.answers_by_itself
        self._out_of_band.began(
            response, request, is_one=not in_conversation, may_be_the_servers=own
        )
        if in_conversation:
            self._untracked = None if request is None else self._untracked
            self._answer_shared(response_id, but=request)
        if request is not None:
            self.follow_ups.begin(response_id, request.follows)
            request.response_id = response_id
            request.become(RequestState.RUNNING)

    def _called(self, response_id: str, item: events.FunctionCall) -> None:
        if self.calls_wanted and self._responses.get(response_id, False):
            self._calls.add(response_id, item)

    def _is_out_of_band(self, response: events.RealtimeResponse, request: Request | None) -> bool:
        return self._out_of_band.is_one(response, request, responding=self.responding)

    def asked_by(self, response: events.RealtimeResponse) -> Request | None:
        """Return the request that a response which begins answers; None if it is none of ours."""
        if isinstance(tag := (response.metadata or {}).get(METADATA_KEY), str):
            return self._sent.get(tag)
        if self.answers_by_itself or self._untracked is not None:
            return None
        # A server that does not give metadata back: here it answers only what it is asked.
        asked = [r for r in self._sent.values() if r.state is RequestState.SENT]
        return asked[0] if len(asked) == 1 else None

    def _answer_shared(self, response_id: str, but: Request | None) -> None:
        """Let the response that begins answer the shared requests whose items it knows."""
        for request in [*self._queue, *self._sent.values()]:
            known = request.shared and not request.items & self._unconfirmed
            if request is but or not known or request.covered_by:
                continue
            if request.state is RequestState.QUEUED:
                self._queue.remove(request)
                request.response_id = response_id
                request.become(RequestState.COVERED)
                self._covered.append(request)
            elif request.state is RequestState.SENT:
                request.covered_by = response_id  # this one will be refused, and need not be sorry

    def _done(self, response: events.RealtimeResponse) -> None:
        response_id = response.id or ""
        for item in self._calls.calls_of_done(response):
            self._called(response_id, item)
        if self._responses.pop(response_id, True):
            self._hold_until = 0.0
        self._covered = [each for each in self._covered if each.response_id in self._responses]
        details = response.status_details
        stopped = details is not None and details.reason == "client_cancelled"
        self._calls.response_over(response_id, stopped=stopped)
        for request in list(self._sent.values()):
            if request.state is RequestState.RUNNING and request.response_id == response_id:
                self._finish(request, RequestState.DONE)

    def _error(self, error: events.ErrorDetail, now: float) -> None:
        if self._untracked is not None and error.event_id == self._untracked.event_id:
            self._untracked = None
            return
        for request in list(self._sent.values()):
            if request.state is RequestState.SENT and request.event_id == error.event_id:
                self._refused(request, error, now)

    def _refused(self, request: Request, error: events.ErrorDetail, now: float) -> None:
        request.error = error
        if error.code == _ACTIVE and request.covered_by:
            request.response_id = request.covered_by
            self._covered.append(request)
            self._finish(request, RequestState.COVERED)
        elif error.code == _ACTIVE and request.races < MOST_RACES:
            del self._sent[request.tag]
            request.races += 1
            self._hold_until = now + RETRY_AFTER
            self._queue.insert(0, request)
            request.become(RequestState.QUEUED)
        else:
            self._finish(request, RequestState.REFUSED)

    def _finish(self, request: Request, state: RequestState) -> None:
        del self._sent[request.tag]
        request.become(state)

    # -- what to send ---------------------------------------------------------------------------

    def due(self, now: float, *, held: bool = False) -> list[ClientEvent]:
        """Return what to send now. `held`: the user speaks, or the server is about to answer."""
        self._expire(now)
        commands: list[ClientEvent] = []
        for answered in self._calls.take_answered():
            outputs, request = self.follow_ups.outputs(answered)
            commands += outputs
            if request is not None:
                self.add(request)
        for request in self._next(now, held=held):
            self._queue.remove(request)
            self._sent[request.tag] = request
            request.sent_at = now
            request.become(RequestState.SENT)
            commands.append(request.event(self.modalities))
        return commands

    def next_deadline(self) -> float | None:
        """Return when `due` may have something new without anything being said; None if never."""
        sent = (r.sent_at for r in self._sent.values() if r.state is RequestState.SENT)
        deadlines = [at + REQUEST_TIMEOUT for at in sent]
        if self._untracked is not None:
            deadlines.append(self._untracked_sent_at + REQUEST_TIMEOUT)
        if self._hold_until and self._queue:
            deadlines.append(self._hold_until)
        return min(deadlines, default=None)

    def _next(self, now: float, *, held: bool) -> Iterator[Request]:
        ready = [r for r in self._queue if not (r.after_items and r.items & self._unconfirmed)]
        yield from (request for request in ready if request.out_of_band)
        if held or self.responding or self.asked or now < self._hold_until:
            return
        self._hold_until = 0.0
        # What nothing else can answer goes first: it will answer the others.
        inside = sorted((r for r in ready if not r.out_of_band), key=lambda r: r.shared)
        yield from inside[:1]

    def _expire(self, now: float) -> None:
        if self._untracked is not None and now - self._untracked_sent_at >= REQUEST_TIMEOUT:
            self._untracked = None
        for request in list(self._sent.values()):
            if request.state is RequestState.SENT and now - request.sent_at >= REQUEST_TIMEOUT:
                self._finish(request, RequestState.REFUSED)
