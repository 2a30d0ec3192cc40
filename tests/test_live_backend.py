"""Work that GPT-Live hands on: the backend's function calls, this program's work, what it costs."""

from __future__ import annotations

import itertools
import json
from typing import Any

import live_types
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from live_samples import FROM_SERVER

from rtcvoice.conversation.accounts.prices import BACKEND_PRICES, ModelPrice
from rtcvoice.errors import ConfigError
from rtcvoice.events import live
from rtcvoice.live.state.backend import LONGEST_SILENCE, Backend
from rtcvoice.live.state.billing import Billing
from rtcvoice.live.state.delegations import ANSWER_TIMEOUT
from rtcvoice.live.state.live_state import LiveState
from rtcvoice.live.state.outputs import MOST_BYTES


def new_backend() -> Backend:
    ids = itertools.count(1)
    backend = Backend(lambda: f"c{next(ids)}")
    backend.calls_wanted = True
    return backend


def created(delegation: str = "d1", **fields: Any) -> live.DelegationCreated:
    given = live.Delegation(id=delegation, target="responses", response_id=None)
    return live.DelegationCreated(delegation=given, **fields)


def inner(kind: str, delegation: str = "d1", **fields: Any) -> live.ResponseEvent:
    return live.ResponseEvent(event={"type": kind, **fields}, delegation_id=delegation)


def begun(response_id: str, delegation: str = "d1") -> live.ResponseEvent:
    response = {"id": response_id, "model": "gpt-6-luna"}
    return inner("response.created", delegation, response=response)


def called(call_id: str, name: str = "weather", delegation: str = "d1") -> live.ResponseEvent:
    item = {"type": "function_call", "id": f"fc_{call_id}", "call_id": call_id, "name": name}
    return inner(
        "response.output_item.done",
        delegation,
        item={**item, "arguments": "{}", "status": "completed"},
    )


def over(
    response_id: str, delegation: str = "d1", kind: str = "completed", **response: Any
) -> live.ResponseEvent:
    response = {"id": response_id, **response}
    return inner(f"response.{kind}", delegation, response=response)


def outputs(due: list[Any]) -> dict[str, str]:
    return {
        event.item["call_id"]: event.item["output"]
        for event in due
        if isinstance(event, live.ResponseItemCreate)
    }


def send(backend: Backend, now: float) -> list[Any]:
    """What is due, sent."""
    due = backend.due(now)
    for event in due:
        backend.sent(event, now)
        assert live_types.problems_of(json.loads(live.encode(event)), "client") == ""
    return due


# ---- function calls


def test_the_outputs_of_a_response_go_in_together_with_one_request() -> None:
    backend = new_backend()
    for event in (created(), begun("r1"), called("a"), called("b")):
        backend.feed(event, 1.0)
    calls = backend.take_new_calls()
    assert [(call.call_id, call.name, call.response_id) for call in calls] == [
        ("a", "weather", "r1"),
        ("b", "weather", "r1"),
    ]
    backend.answer("a", "sunny")
    assert send(backend, 2.0) == []  # b is missing
    backend.answer("b", "rainy")
    assert send(backend, 2.0) == []  # the response is not over
    assert backend.is_busy(2.0)
    backend.feed(over("r1"), 3.0)
    due = send(backend, 3.0)
    assert outputs(due) == {"a": "sunny", "b": "rainy"}
    assert [type(event) for event in due] == [live.ResponseItemCreate] * 2 + [live.ResponseCreate]
    assert send(backend, 3.0) == []
    assert backend.is_busy(3.0)  # it goes on
    backend.feed(begun("r2"), 4.0)
    backend.feed(over("r2"), 5.0)
    assert not backend.is_busy(5.0)
    assert [entry["type"] for _, entry in backend.export()] == [
        *("function_call", "function_call", "function_call_output", "function_call_output")
    ]


def test_a_call_that_comes_twice_runs_once() -> None:
    backend = new_backend()
    for event in (begun("r1"), called("a"), called("a"), over("r1"), over("r1")):
        backend.feed(event, 1.0)
    assert len(backend.take_new_calls()) == 1
    backend.answer("a", "1")
    backend.answer("a", "2")
    assert outputs(send(backend, 2.0)) == {"a": "1"}
    backend.answer("a", "3")
    assert send(backend, 20.0) == []


def test_two_delegations_share_one_request() -> None:
    backend = new_backend()
    for event in (begun("r1", "d1"), begun("r2", "d2"), called("a", delegation="d1")):
        backend.feed(event, 1.0)
    backend.feed(called("b", delegation="d2"), 1.0)
    backend.feed(over("r1", "d1"), 2.0)
    backend.answer("a", "A")
    assert send(backend, 2.0) == []  # the service wants b's output before it goes on
    backend.feed(over("r2", "d2"), 3.0)
    backend.answer("b", "B")
    due = send(backend, 3.0)
    assert outputs(due) == {"a": "A", "b": "B"}
    assert sum(isinstance(event, live.ResponseCreate) for event in due) == 1


def test_too_long_outputs_are_replaced_and_the_small_ones_stay() -> None:
    backend = new_backend()
    for event in (begun("r1"), called("a"), called("b"), called("c"), over("r1")):
        backend.feed(event, 1.0)
    backend.answer("a", "x" * 20_000)
    backend.answer("b", "\u00e9" * 10_000)  # two bytes each
    backend.answer("c", "short")
    due = send(backend, 1.0)
    given = outputs(due)
    assert given["c"] == "short"
    assert "too large" in given["a"] or "too large" in given["b"]
    sizes = [len(live.encode(event).encode()) for event in due]
    assert sum(sizes) < MOST_BYTES + 1000
    assert "too large" not in given["a"] or "too large" not in given["b"]


def test_what_the_service_finds_too_large_is_given_shortly() -> None:
    backend = new_backend()
    for event in (begun("r1"), called("a"), over("r1")):
        backend.feed(event, 1.0)
    backend.answer("a", "x" * 30_000)
    item, request = send(backend, 1.0)
    full = live.ErrorDetail(
        message="m", code="response_input_buffer_full", client_event_id=item.event_id
    )
    needed = live.ErrorDetail(message="m", code="function_call_outputs_required")
    backend.feed(live.ErrorEvent(error=full), 1.1)
    assert send(backend, 1.1) == []
    backend.feed(live.ErrorEvent(error=needed, client_event_id=request.event_id), 1.2)
    again = send(backend, 1.2)
    assert "too large" in outputs(again)["a"]
    assert isinstance(again[-1], live.ResponseCreate)
    full = live.ErrorDetail(
        message="m", code="response_input_buffer_full", client_event_id=again[0].event_id
    )
    backend.feed(live.ErrorEvent(error=full), 1.3)
    backend.feed(live.ErrorEvent(error=needed, client_event_id=again[-1].event_id), 1.3)
    assert send(backend, 1.3) == []  # not for ever
    assert not backend.is_busy(1.3)


def test_a_failed_response_wants_no_outputs_and_an_endless_one_is_left() -> None:
    backend = new_backend()
    for event in (begun("r1"), called("a"), over("r1", kind="failed")):
        backend.feed(event, 1.0)
    backend.answer("a", "A")
    assert send(backend, 1.0) == []
    assert not backend.is_busy(1.0)
    backend.feed(begun("r2"), 2.0)
    deadline = backend.next_deadline()
    assert deadline == 2.0 + LONGEST_SILENCE
    assert backend.is_busy(deadline - 1)
    assert not backend.is_busy(deadline)


def test_a_chain_of_calls_without_end_is_broken() -> None:
    backend, now, requests = new_backend(), 1.0, 0
    for number in range(40):
        for event in (begun(f"r{number}"), called(f"c{number}"), over(f"r{number}")):
            backend.feed(event, now)
        backend.answer(f"c{number}", "again")
        due = send(backend, now)
        requests += sum(isinstance(event, live.ResponseCreate) for event in due)
        now += 30.0  # what was not asked for is given up on
    assert requests == 25


def test_written_questions_wait_until_the_backend_is_free() -> None:
    backend = new_backend()
    backend.feed(begun("r1"), 1.0)
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]}
    request = backend.ask([item])
    assert send(backend, 1.0) == []
    backend.feed(over("r1"), 2.0)
    first, second = send(backend, 2.0)
    assert first.item == item
    assert second == live.ResponseCreate(event_id=request)
    assert backend.is_busy(3.0)
    refused = live.ErrorDetail(message="m", client_event_id=request)
    backend.feed(live.ErrorEvent(error=refused), 3.0)
    assert not backend.is_busy(3.0)
    with pytest.raises(ConfigError, match="32768 bytes"):
        backend.ask([{**item, "content": "x" * 40_000}])


def test_calls_that_nobody_here_answers_are_left_alone() -> None:
    backend = new_backend()
    backend.calls_wanted = False
    for event in (begun("r1"), called("a"), over("r1")):
        backend.feed(event, 1.0)
    assert backend.take_new_calls() == []
    assert not backend.is_busy(1.0)
    backend.calls_wanted = True
    for event in (begun("r2"), called("b"), over("r2")):
        backend.feed(event, 2.0)
    backend.ignore("b")
    assert not backend.is_busy(2.0)
    assert send(backend, 2.0) == []


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("created"), st.integers(0, 3), st.integers(0, 2)),
        st.tuples(st.just("called"), st.integers(0, 9), st.integers(0, 2)),
        st.tuples(st.just("over"), st.integers(0, 3), st.integers(0, 2)),
        st.tuples(st.just("answer"), st.integers(0, 9), st.just(0)),
    ),
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(steps=STEPS)
def test_in_any_order_each_call_is_answered_at_most_once(
    steps: list[tuple[str, int, int]],
) -> None:
    backend, sent, now = new_backend(), [], 0.0
    for what, number, delegation in steps:
        now += 0.1
        match what:
            case "created":
                backend.feed(begun(f"r{number}", f"d{delegation}"), now)
            case "called":
                backend.feed(called(f"c{number}", delegation=f"d{delegation}"), now)
            case "over":
                backend.feed(over(f"r{number}", f"d{delegation}"), now)
            case "answer":
                backend.answer(f"c{number}", "x")
        due = send(backend, now)
        sent += [event.item["call_id"] for event in due if hasattr(event, "item")]
        assert sum(isinstance(event, live.ResponseCreate) for event in due) <= 1
        assert not due or isinstance(due[-1], live.ResponseCreate)
    assert len(sent) == len(set(sent))
    for number in range(10):
        backend.answer(f"c{number}", "x")
    for delegation in range(3):
        backend.feed(over("r9", f"d{delegation}"), now)
    for _ in range(10):
        now += 400.0
        sent += outputs(send(backend, now))
    assert not backend.is_busy(now + 400.0)
    assert len(sent) == len(set(sent))


ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda each: st.lists(each, max_size=2) | st.dictionaries(st.text(max_size=4), each),
    max_leaves=6,
)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_no_inner_event_breaks_anything(data: st.DataObject) -> None:
    ids = itertools.count(1)
    state = LiveState(lambda: f"c{next(ids)}")
    state.backend.calls_wanted = True
    kinds = [json.loads(line)["event"] for line in FROM_SERVER if "response.event" in line]
    for _ in range(6):
        event = dict(data.draw(st.sampled_from(kinds)))
        event[data.draw(st.sampled_from(["type", "item", "response", "sequence_number"]))] = (
            data.draw(ODD)
        )
        if isinstance(event.get("item"), dict) and data.draw(st.booleans()):
            event["item"] = {**event["item"], data.draw(st.sampled_from(["name", "id"])): 5}
        state.feed(live.ResponseEvent(event=event, delegation_id="d1"), 1.0)
        state.listen(1.0)
        state.due(1.0)
    state.usage(2.0)


# ---- work of this program


def new_state() -> LiveState:
    ids = itertools.count(1)
    state = LiveState(lambda: f"id_{next(ids)}", model="gpt-live-1.1")
    state.feed(live.SessionStarted(session=live.Session(model="gpt-live-1.1")), 0.0)
    return state


def said(state: LiveState, text: str, ms: int, now: float) -> None:
    state.feed(live.InputTranscriptDelta(delta=text, start_ms=ms, end_ms=ms + 200), now)


def handed(state: LiveState, name: str, now: float, target: str = "client") -> None:
    given = live.Delegation(id=name, target=target)
    state.feed(live.DelegationCreated(delegation=given, offset_ms=0), now)


def test_the_word_of_work_waits_for_the_last_words() -> None:
    state = new_state()
    said(state, "Please book", 1000, 1.9)
    handed(state, "d1", 2.0)
    assert state.listen(2.0) == []
    assert not state.is_idle(2.0)
    said(state, " a table.", 1400, 2.3)
    assert state.next_deadline(2.3) is not None
    assert state.listen(2.5) == []
    (event,) = state.listen(2.8)
    assert (event.id, event.target, event.at) == ("d1", "client", 2.0)  # type: ignore[attr-defined]
    assert event.transcript == "user: Please book a table."  # type: ignore[attr-defined]
    assert [each.id for each in state.delegations.open] == ["d1"]
    # What was said before is not told again.
    said(state, "And a taxi.", 9000, 9.8)
    handed(state, "d2", 10.0)
    (event,) = state.listen(11.6)
    assert event.transcript == "user: And a taxi."  # type: ignore[attr-defined]


def test_something_to_say_is_an_answer_and_news_is_none() -> None:
    state = new_state()
    handed(state, "d1", 1.0)
    state.listen(3.0)
    state.sent(live.ThinkingAppend(content="searching", delegation_id="d1"), 50.0)
    assert state.delegations.overdue(1.0 + ANSWER_TIMEOUT) == []
    assert not state.is_idle(70.0)
    state.sent(live.CommentaryAppend(content="booked", delegation_id="d1"), 70.0)
    assert state.delegations.open == []
    assert state.delegations.overdue(1000.0) == []
    assert state.is_idle(80.0)


def test_what_nobody_answers_is_overdue_once() -> None:
    state = new_state()
    handed(state, "d1", 1.0)
    handed(state, "d1", 2.0)
    handed(state, "d2", 1.0, target="decisions")
    assert len(state.listen(3.0)) == 2
    assert state.next_deadline(3.0) == 1.0 + ANSWER_TIMEOUT
    assert state.delegations.overdue(1.0 + ANSWER_TIMEOUT) == ["d1"]
    assert state.delegations.overdue(900.0) == []
    assert state.delegations.open == []  # the classifier's is not waited for either
    state.sent(live.CommentaryAppend(content="I cannot do that.", delegation_id="d1"), 61.0)
    answered = live.DecisionEvent(
        event=live.DecisionResult(decision=live.Decision()), delegation_id="d2"
    )
    state.feed(answered, 62.0)
    assert state.delegations.open == []


def test_work_that_goes_on_is_open_whatever_was_said_meanwhile() -> None:
    state = new_state()
    handed(state, "d1", 1.0)
    state.listen(3.0)
    state.delegations.at_work("d1", on=True)
    state.sent(live.CommentaryAppend(content="One moment.", delegation_id="d1"), 3.0)
    assert state.delegations.overdue(500.0) == []
    assert not state.is_idle(500.0)
    state.delegations.at_work("d1", on=False)
    assert state.is_idle(500.0)


def test_a_lost_session_leaves_nothing_open() -> None:
    state = new_state()
    handed(state, "d1", 1.0)
    state.feed(begun("r1"), 1.0)
    said(state, "Hello", 500, 1.2)
    state.left(2.0)
    assert state.is_idle(20.0)
    assert state.delegations.open == []
    assert state.listen(20.0) == []
    (turn,) = state.turns.take(20.0)
    assert turn.final
    state.feed(live.SessionStarted(session=live.Session(id="live_2")), 21.0)
    said(state, "Again", 400, 22.2)
    assert [entry["text"] for entry in state.history] == ["Hello", "Again"]  # type: ignore[typeddict-item]


# ---- what it costs


def usage(seconds: float, paused: float | None = None) -> live.UsageUpdated:
    return live.UsageUpdated(usage=live.SessionUsage(seconds=seconds, paused_seconds=paused))


def test_time_is_billed_from_creation_on() -> None:
    billing = Billing("gpt-live-1.1")
    assert billing.snapshot(0.0).seconds == 0.0
    billing.created(100.0)
    assert billing.seconds(101.0) == (15.0, 0.0)  # what creating costs
    assert billing.seconds(160.0) == (60.0, 0.0)
    assert billing.snapshot(160.0).cost == pytest.approx(0.05)
    assert billing.most_cost(160.0) == pytest.approx(0.05)
    billing.feed(usage(58.0), 160.0)
    assert billing.seconds(162.0) == (60.0, 0.0)
    closed = live.SessionClosed(reason="expired", usage=live.SessionUsage(seconds=62.0))
    billing.feed(closed, 163.0)
    assert billing.seconds(500.0) == (62.0, 0.0)
    assert str(billing.snapshot(500.0)).startswith("1 min 2 s; US$ 0.0517")
    billing.created(600.0)  # another session of the same call
    billing.ended(601.0)
    assert billing.seconds(900.0) == (77.0, 0.0)


def test_standby_costs_less() -> None:
    billing = Billing("gpt-live-1")
    billing.created(0.0)
    billing.feed(live.SessionPaused(), 60.0)
    billing.feed(live.SessionResumed(), 120.0)
    assert billing.seconds(180.0) == (120.0, 60.0)
    snapshot = billing.snapshot(180.0)
    assert snapshot.cost == pytest.approx(2 * 0.05 + 0.02)
    assert "3 min 0 s (60 s standby)" in str(snapshot)
    billing.feed(usage(180.0, paused=50.0), 180.0)
    assert billing.seconds(180.0) == (130.0, 50.0)


def test_the_backend_costs_its_own_price() -> None:
    price = BACKEND_PRICES["gpt-6-luna"]
    assert (price.text_input, price.text_cached, price.text_output) == (0.10, 0.01, 0.50)
    state = new_state()
    counts = {
        "input_tokens": 1_000_000,
        "input_tokens_details": {"cached_tokens": 400_000, "cache_write_tokens": 100_000},
        "output_tokens": 100_000,
        "output_tokens_details": {"reasoning_tokens": 40_000},
    }
    state.feed(over("r1", usage=counts, model="gpt-6-luna"), 15.0)
    snapshot = state.usage(15.0)
    tokens = 0.6 * 0.10 + 0.4 * 0.01 + 0.1 * 0.25 * 0.10 + 0.1 * 0.50
    assert snapshot.cost == pytest.approx(15 / 60 * 0.05 + tokens)
    assert (snapshot.tokens.cached, snapshot.tokens.reasoning) == (400_000, 40_000)
    state.feed(over("r2", usage=counts, model="my-deployment"), 15.0)
    assert state.usage(15.0).cost is None
    assert state.usage(15.0).known_cost == pytest.approx(15 / 60 * 0.05 + tokens)
    mine = Billing("gpt-live-1", backend_price=ModelPrice(text_input=1.0, text_output=2.0))
    assert mine.snapshot(0.0).cost == 0.0


def test_unknown_prices_make_the_cost_unknown() -> None:
    billing = Billing("a-deployment")
    billing.created(0.0)
    assert billing.snapshot(60.0).cost is None
    assert billing.snapshot(60.0).seconds == 60.0
    priced = Billing("a-deployment", price=ModelPrice(active_minute=0.1))
    priced.created(0.0)
    assert priced.snapshot(60.0).cost == pytest.approx(0.1)
    flex = Billing("gpt-live-1")
    responses = live.ResponsesConfig(model="gpt-6-luna", service_tier="priority")
    delegation = live.DelegationConfig(type="responses", responses=responses)
    flex.feed(live.SessionStarted(session=live.Session(delegation=delegation)), 0.0)
    state = new_state()
    state.billing = flex
    state.feed(over("r1", usage={"input_tokens": 10, "output_tokens": 1}, model="gpt-6-luna"), 1.0)
    assert flex.snapshot(1.0).cost is None
