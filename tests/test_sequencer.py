"""Who gets the next response, and when: the sequencer by itself."""

from __future__ import annotations

import pytest
import said

from rtcvoice import events as e
from rtcvoice.conversation.state.conversation import ConversationState
from rtcvoice.conversation.state.function_calls import MOST_ROUNDS
from rtcvoice.conversation.state.requests import Request, RequestState
from rtcvoice.conversation.state.sequencer import (
    MOST_RACES,
    REQUEST_TIMEOUT,
    RETRY_AFTER,
    CalledFunction,
    Sequencer,
)

ACTIVE = "conversation_already_has_active_response"


class Desk:
    """A sequencer and its clock; `sent` has what went out."""

    def __init__(self, *, by_itself=True):
        self.numbers = iter(range(1000))
        self.sequencer = Sequencer(self.new_id)
        self.sequencer.answers_by_itself = by_itself
        self.sequencer.calls_wanted = True
        self.now = 0.0
        self.held = False
        self.sent = []

    def new_id(self):
        return f"id_{next(self.numbers)}"

    def feed(self, *events):
        for event in events:
            self.sequencer.feed(event, self.now)
            self.proceed()

    def proceed(self):
        fresh = self.sequencer.due(self.now, held=self.held)
        self.sent += fresh
        return fresh

    def wait(self, seconds):
        self.now += seconds
        return self.proceed()

    def want(self, **options):
        request = Request(tag=self.new_id(), **options)
        self.sequencer.add(request)
        self.proceed()
        return request

    def accept(self, request, response_id):
        beside = request.out_of_band
        self.feed(
            said.created(
                response_id,
                metadata={"rtcvoice": request.tag},
                conversation=None if beside else "conv_1",
            )
        )

    @property
    def creates(self):
        return [event for event in self.sent if isinstance(event, e.ResponseCreate)]


def states(*requests):
    return [request.state.name for request in requests]


def test_one_after_the_other():
    desk = Desk()
    first, second = desk.want(), desk.want()
    assert states(first, second) == ["SENT", "QUEUED"]
    desk.accept(first, "r1")
    assert states(first, second) == ["RUNNING", "QUEUED"]
    desk.feed(said.done("r1"))
    assert states(first, second) == ["DONE", "SENT"]
    desk.accept(second, "r2")
    desk.feed(said.done("r2"))
    assert not desk.sequencer.busy
    assert len(desk.creates) == 2


def test_the_servers_own_response_comes_first():
    desk = Desk()
    desk.feed(said.created("r0"))
    request = desk.want()
    assert desk.creates == []
    desk.feed(said.done("r0"))
    assert request.state is RequestState.SENT


def test_while_the_user_holds_the_floor_nothing_is_asked():
    desk = Desk()
    desk.held = True
    request = desk.want()
    assert desk.creates == []
    beside = desk.want(params=e.ResponseParams(conversation="none"))
    assert states(request, beside) == ["QUEUED", "SENT"]
    desk.held = False
    desk.proceed()
    assert request.state is RequestState.SENT


def test_a_request_that_lost_the_race_goes_out_again_when_the_other_is_over():
    desk = Desk()
    request = desk.want()
    desk.feed(said.created("server"))
    assert request.response_id == ""  # not ours: it has no tag
    refusal = said.error(ACTIVE, request.event_id)
    assert desk.sequencer.is_race(refusal.error)
    desk.feed(refusal)
    assert states(request) == ["QUEUED"]
    desk.feed(said.done("server"))
    assert states(request) == ["SENT"]
    assert len({event.event_id for event in desk.creates}) == 2
    desk.accept(request, "r1")
    assert request.response_id == "r1"


def test_a_refusal_whose_cause_is_unknown_is_waited_out():
    desk = Desk()
    request = desk.want()
    desk.feed(said.error(ACTIVE, request.event_id))
    assert desk.wait(RETRY_AFTER - 0.1) == []
    assert desk.sequencer.next_deadline() == pytest.approx(RETRY_AFTER)
    assert len(desk.wait(0.2)) == 1
    assert request.state is RequestState.SENT


def test_nobody_retries_for_ever():
    desk = Desk()
    request = desk.want()
    for n in range(MOST_RACES):
        assert desk.sequencer.is_race(said.error(ACTIVE, request.event_id).error)
        desk.feed(said.error(ACTIVE, request.event_id), said.created(f"s{n}"), said.done(f"s{n}"))
    assert not desk.sequencer.is_race(said.error(ACTIVE, request.event_id).error)
    desk.feed(said.error(ACTIVE, request.event_id))
    assert request.state is RequestState.REFUSED
    assert request.error.code == ACTIVE


def test_another_error_refuses_at_once():
    desk = Desk()
    request = desk.want()
    desk.feed(said.error("invalid_value", "somebody else's"))
    assert request.state is RequestState.SENT
    desk.feed(said.error("invalid_value", request.event_id, "no such tool"))
    assert request.state is RequestState.REFUSED
    assert request.error.message == "no such tool"
    assert not desk.sequencer.busy


def test_a_server_that_does_not_react():
    desk = Desk()
    first, second = desk.want(), desk.want()
    assert desk.sequencer.next_deadline() == REQUEST_TIMEOUT
    desk.wait(REQUEST_TIMEOUT)
    assert states(first, second) == ["REFUSED", "SENT"]
    assert first.error is None


def test_what_could_not_be_sent_is_refused():
    desk = Desk()
    request = desk.want()
    desk.sequencer.send_failed(desk.creates[0])
    assert request.state is RequestState.REFUSED


def test_what_is_not_wanted_any_more():
    desk = Desk()
    first, second = desk.want(), desk.want()
    assert not desk.sequencer.withdraw(first)
    assert desk.sequencer.withdraw(second)
    assert states(first, second) == ["SENT", "WITHDRAWN"]
    assert not desk.sequencer.withdraw(second)


def test_changes_are_told():
    told = []
    desk = Desk()
    request = desk.want(changed=lambda request: told.append(request.state))
    desk.accept(request, "r1")
    desk.feed(said.done("r1"))
    assert told == [RequestState.SENT, RequestState.RUNNING, RequestState.DONE]


# -- shared -------------------------------------------------------------------------------------


def test_a_response_that_begins_after_the_items_covers_a_shared_request():
    desk = Desk()
    desk.held = True
    request = desk.want(items=frozenset({"u1"}), shared=True)
    desk.feed(*said.user_text("u1", "Hi"), said.created("server"))
    assert states(request) == ["COVERED"]
    assert request.response_id == "server"
    assert desk.creates == []


def test_one_that_began_before_does_not():
    desk = Desk()
    desk.feed(said.created("server"))
    request = desk.want(items=frozenset({"u1"}), shared=True)
    desk.feed(*said.user_text("u1", "Hi"), said.done("server"))
    assert states(request) == ["SENT"]


def test_one_that_does_not_know_the_items_yet_does_not():
    desk = Desk()
    desk.held = True
    request = desk.want(items=frozenset({"u1"}), shared=True)
    desk.feed(said.created("server"), *said.user_text("u1", "Hi"))
    assert states(request) == ["QUEUED"]


def test_a_shared_request_that_is_refused_for_what_answers_it_is_content():
    desk = Desk()
    request = desk.want(items=frozenset({"u1"}), shared=True)
    desk.feed(*said.user_text("u1", "Hi"), said.created("server"))
    assert states(request) == ["SENT"]
    refusal = said.error(ACTIVE, request.event_id)
    assert desk.sequencer.is_race(refusal.error)
    desk.feed(refusal, said.done("server"))
    assert states(request) == ["COVERED"]
    assert len(desk.creates) == 1


def test_what_nothing_else_can_answer_goes_first_and_answers_the_others():
    desk = Desk()
    desk.feed(said.created("server"))
    shared = [desk.want(items=frozenset({f"u{n}"}), shared=True) for n in range(2)]
    own = desk.want(items=frozenset({"u9"}))
    for n in (0, 1, 9):
        desk.feed(*said.user_text(f"u{n}", "Hi"))
    desk.feed(said.done("server"))
    assert states(own, *shared) == ["SENT", "QUEUED", "QUEUED"]
    desk.accept(own, "r1")
    assert states(own, *shared) == ["RUNNING", "COVERED", "COVERED"]


def test_a_request_may_wait_for_its_items():
    desk = Desk()
    request = desk.want(items=frozenset({"u1"}), after_items=True)
    other = desk.want()
    assert states(request, other) == ["QUEUED", "SENT"]
    desk.accept(other, "r1")
    desk.feed(said.done("r1"))
    assert states(request) == ["QUEUED"]
    desk.feed(*said.user_text("u1", "Hi"))
    assert states(request) == ["SENT"]


# -- beside -------------------------------------------------------------------------------------


def test_out_of_band_requests_wait_for_nobody_and_stop_nobody():
    desk = Desk()
    first = desk.want()
    desk.accept(first, "r1")
    beside = [desk.want(params=e.ResponseParams(conversation="none")) for _ in range(3)]
    assert states(*beside) == ["SENT"] * 3
    for n, request in enumerate(reversed(beside)):  # in whatever order they begin
        desk.accept(request, f"b{n}")
    assert [request.response_id for request in beside] == ["b2", "b1", "b0"]
    desk.feed(said.done("r1"))
    last = desk.want()
    assert states(last) == ["SENT"]


def test_metadata_of_the_caller_travels_along():
    desk = Desk()
    request = desk.want(params=e.ResponseParams(metadata={"topic": "x"}))
    assert desk.creates[0].response.metadata == {"topic": "x", "rtcvoice": request.tag}
    assert request.params.metadata == {"topic": "x"}


# -- others who ask -----------------------------------------------------------------------------


def test_a_response_asked_for_by_hand_is_waited_for():
    desk = Desk(by_itself=False)
    desk.sequencer.note_untracked(e.ResponseCreate(event_id="mine"), desk.now)
    request = desk.want()
    assert desk.creates == []
    assert desk.sequencer.asked
    desk.feed(said.created("r0"))
    assert states(request) == ["QUEUED"]
    desk.feed(said.done("r0"))
    assert states(request) == ["SENT"]


@pytest.mark.parametrize("event_id", ["mine", None])
def test_one_that_is_refused_is_not(event_id):
    desk = Desk()
    desk.sequencer.note_untracked(e.ResponseCreate(event_id=event_id), desk.now)
    request = desk.want()
    desk.feed(said.error("invalid_value", event_id))
    assert states(request) == ["SENT"]


def test_one_that_never_comes_is_given_up_on():
    desk = Desk()
    desk.sequencer.note_untracked(e.ResponseCreate(), desk.now)
    request = desk.want()
    assert desk.sequencer.next_deadline() == REQUEST_TIMEOUT
    desk.wait(REQUEST_TIMEOUT)
    assert states(request) == ["SENT"]


def test_one_out_of_band_is_not_waited_for_and_covers_nothing():
    desk = Desk()
    aside = e.ResponseCreate(response=e.ResponseParams(conversation="none"))
    desk.sequencer.note_untracked(aside, desk.now)
    desk.held = True
    request = desk.want(items=frozenset({"u1"}), shared=True)
    desk.feed(*said.user_text("u1", "Hi"), said.created("aside", conversation=None))
    assert states(request) == ["QUEUED"]
    desk.held = False
    desk.proceed()
    assert states(request) == ["SENT"]


def test_a_server_that_gives_no_metadata_back():
    desk = Desk(by_itself=False)
    request = desk.want()
    desk.feed(said.created("r1", conversation=None))
    assert request.response_id == "r1"
    assert states(request) == ["RUNNING"]


# -- functions ----------------------------------------------------------------------------------


def calls(*names, response_id="r1"):
    previous, events = "u1", []
    for n, name in enumerate(names):
        events += said.call_steps(response_id, f"fc_{name}", previous, name=name, index=n)
        previous = f"fc_{name}"
    return events


def test_calls_surface_when_they_are_complete():
    desk = Desk()
    desk.feed(said.created("r1"))
    for step in calls("a"):
        assert desk.sequencer.take_calls() == []
        desk.feed(step)
    assert desk.sequencer.take_calls() == [
        CalledFunction(
            item_id="fc_a", call_id="call_fc_a", name="a", arguments="{}", response_id="r1"
        )
    ]
    assert desk.sequencer.take_calls() == []


@pytest.mark.parametrize("late", [False, True])
def test_outputs_go_in_together_and_are_answered_once(late):
    desk = Desk()
    request = desk.want()
    desk.accept(request, "r1")
    desk.feed(*calls("a", "b"))
    assert desk.sequencer.will_follow_up("r1")
    if late:
        desk.feed(said.done("r1"))
    desk.sequencer.answer("call_fc_b", "2")
    assert desk.proceed() == []
    desk.sequencer.answer("call_fc_a", "1")
    desk.sequencer.answer("call_fc_a", "once is enough")
    desk.sequencer.answer("call_nobody", "x")
    assert bool(desk.proceed()) is late
    desk.feed(said.done("r1"))
    outputs = [x.item for x in desk.sent if isinstance(x, e.ConversationItemCreate)]
    assert [(item.call_id, item.output) for item in outputs] == [
        ("call_fc_a", "1"),
        ("call_fc_b", "2"),
    ]
    assert [type(event).__name__ for event in desk.sent[-3:]] == [
        "ConversationItemCreate",
        "ConversationItemCreate",
        "ResponseCreate",
    ]
    assert len(desk.creates) == 2
    follow_up = next(iter(desk.sequencer._sent.values()))
    assert follow_up.follows == "r1"


def test_an_answer_the_user_stopped_is_not_followed_up():
    desk = Desk()
    request = desk.want()
    desk.accept(request, "r1")
    desk.feed(*calls("a"), said.done("r1", "cancelled", reason="client_cancelled"))
    assert not desk.sequencer.will_follow_up("r1")
    desk.sequencer.answer("call_fc_a", "1")
    [output] = desk.proceed()  # the model still learns what became of its call
    assert output.item.call_id == "call_fc_a"
    assert not desk.sequencer.busy


def test_an_answer_the_user_spoke_over_is():
    desk = Desk()
    desk.feed(said.created("r1"), *calls("a"))
    desk.feed(said.done("r1", "cancelled", reason="turn_detected"))
    desk.sequencer.answer("call_fc_a", "1")
    assert len(desk.proceed()) == 2


def test_calls_cut_off_or_out_of_band_or_unwanted_do_not_surface():
    desk = Desk()
    cut = said.call_item("fc_x", "x", "{", "call_x", "incomplete")
    desk.feed(said.created("r1"))
    desk.feed(e.ResponseOutputItemDone(response_id="r1", output_index=0, item=cut))
    aside = desk.want(params=e.ResponseParams(conversation="none"))
    desk.accept(aside, "r2")
    desk.feed(*calls("a", response_id="r2"))
    desk.sequencer.calls_wanted = False
    desk.feed(*calls("b"))
    assert desk.sequencer.take_calls() == []
    desk.feed(said.done("r1"), said.done("r2"))
    assert not desk.sequencer.busy


# -- repeated calls, forced calls, calls without end ---------------------------------------------


def call_done(response_id, item_id, call_id, status="completed"):
    item = said.call_item(item_id, "f", "{}", call_id, status)
    return e.ResponseOutputItemDone(response_id=response_id, output_index=0, item=item)


@pytest.mark.parametrize("again", [("fc_1", "call_1"), ("fc_2", "call_1"), ("fc_1", "call_2")])
def test_a_call_that_is_delivered_again_counts_once(again):
    desk = Desk()
    desk.feed(said.created("r1"), call_done("r1", "fc_1", "call_1"))
    assert len(desk.sequencer.take_calls()) == 1
    desk.feed(call_done("r1", *again))
    desk.feed(said.done("r1", output=[said.call_item(again[0], "f", "{}", again[1])]))
    desk.sequencer.answer("call_1", "tea")
    desk.feed(call_done("r1", *again))  # also after its answer
    assert desk.sequencer.take_calls() == []
    assert len([event for event in desk.sent if event.type == "conversation.item.create"]) == 1
    assert len(desk.creates) == 1


@pytest.mark.parametrize("told_by", ["item", "output", "arguments"])
def test_a_call_is_known_by_whichever_event_tells_of_it(told_by):
    desk = Desk()
    desk.feed(said.created("r1"))
    where = {"response_id": "r1", "item_id": "fc_1", "output_index": 0, "call_id": "call_1"}
    if told_by == "item":
        desk.feed(call_done("r1", "fc_1", "call_1"))
    if told_by == "arguments":
        desk.feed(e.ResponseFunctionCallArgumentsDone(name="f", arguments="{}", **where))
    item = said.call_item("fc_1", "f", "{}", "call_1")
    desk.feed(said.done("r1", output=[item] if told_by == "output" else []))
    (call,) = desk.sequencer.take_calls()
    assert (call.call_id, call.name, call.arguments, call.response_id) == (
        "call_1",
        "f",
        "{}",
        "r1",
    )
    desk.sequencer.answer("call_1", "tea")
    desk.proceed()
    assert len(desk.creates) == 1


def test_a_cancelled_response_has_no_calls_but_those_that_were_complete():
    desk = Desk()
    desk.feed(said.created("r1"))
    where = {"response_id": "r1", "item_id": "fc_1", "output_index": 0, "call_id": "call_1"}
    desk.feed(e.ResponseFunctionCallArgumentsDone(name="f", arguments="{}", **where))
    item = said.call_item("fc_1", "f", "{}", "call_1")
    desk.feed(said.done("r1", "cancelled", reason="turn_detected", output=[item]))
    assert desk.sequencer.take_calls() == []


@pytest.mark.parametrize(
    ("choice", "follow_up"),
    [
        (None, None),
        ("auto", None),
        ("none", None),
        ("required", "auto"),
        ({"type": "function", "name": "f"}, "auto"),
    ],
)
def test_what_the_session_forces_holds_for_the_first_response_only(choice, follow_up):
    conversation = ConversationState(Desk().new_id)
    session = e.SessionCreated(session=e.Session(tool_choice=choice))
    conversation.feed(session, 0.0)
    conversation.sequencer.calls_wanted = True
    conversation.feed(said.created("r1"), 0.0)
    conversation.feed(call_done("r1", "fc_1", "call_1"), 0.0)
    conversation.feed(said.done("r1"), 0.0)
    conversation.sequencer.answer("call_1", "tea")
    (request,) = [each for each in conversation.due(0.0) if isinstance(each, e.ResponseCreate)]
    assert request.response.tool_choice == follow_up


def test_a_model_that_calls_without_end_has_to_speak_in_the_end(caplog):
    desk = Desk()
    desk.feed(said.created("r0"), call_done("r0", "fc_0", "call_0"), said.done("r0"))
    for number in range(1, MOST_ROUNDS + 1):
        desk.sequencer.answer(f"call_{number - 1}", "more")
        desk.proceed()
        request = desk.creates[-1]
        if number == MOST_ROUNDS:
            break
        assert request.response.tool_choice is None
        response_id = f"r{number}"
        desk.feed(
            said.created(response_id, metadata=request.response.metadata),
            call_done(response_id, f"fc_{number}", f"call_{number}"),
            said.done(response_id),
        )
    assert request.response.tool_choice == "none"
    assert "rounds of function calls" in caplog.text
