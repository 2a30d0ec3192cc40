"""Turns of a Live conversation, derived from words and sound: in virtual time."""

from __future__ import annotations

import json
import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from live_samples import FROM_SERVER
from live_scene import START, Scene

from rtcvoice import events
from rtcvoice.conversation.state.records import Status
from rtcvoice.events import live
from rtcvoice.live.state.live_state import LiveState
from rtcvoice.live.state.transcript import Words, insert, is_acknowledgement, joined


def near(value: float | None, right: float) -> bool:
    return value is not None and abs(value - right) < 0.1


# ---- who said what


def test_a_question_and_its_answer() -> None:
    scene = Scene()
    scene.user("What is the weather like?", 1.0, 1.5)
    scene.assistant("It is sunny and warm today.", 3.2, 2.0)
    scene.run(9.0)
    assert scene.said == [
        ("user", "What is the weather like?"),
        ("assistant", "It is sunny and warm today."),
    ]
    question, answer = scene.final
    assert question.status is answer.status is Status.COMPLETED
    assert question.spoken
    assert answer.heard_ms is None
    assert answer.heard_text == answer.text
    assert near(question.began, START + 1.0)
    assert near(answer.began, START + 3.2)
    (latency,) = scene.state.latency
    assert (latency.item_id, latency.response_id) == (question.id, answer.id)
    assert near(latency.seconds, 0.7)
    assert latency.detection is None
    assert latency.response is None
    kinds = [(event.type.removeprefix("rtcvoice."), event.turn_id) for event in scene.local]
    assert kinds == [
        ("user_started", question.id),
        ("user_stopped", question.id),
        ("assistant_started", answer.id),
        ("assistant_stopped", answer.id),
    ]
    moments = [event.at - START for event in scene.local]
    assert moments == [pytest.approx(each, abs=0.03) for each in (1.0, 2.5, 3.2, 5.2)]


def test_turns_come_in_the_making_too() -> None:
    scene = Scene()
    scene.assistant("One two three four five", 1.0, 3.0)
    scene.run(8.0)
    texts = [turn.text for turn in scene.turns]
    assert texts[0] == "One"
    assert texts == sorted(texts, key=len)
    assert [turn.final for turn in scene.turns] == [False] * (len(texts) - 1) + [True]
    assert {turn.status for turn in scene.turns[:-1]} == {Status.IN_PROGRESS}


def test_the_last_words_of_the_user_come_after_the_first_of_the_answer() -> None:
    scene = Scene()
    scene.user("Do you remember my name ?", 1.0, 1.5, delay=1.2)
    scene.assistant("You mentioned it is Anna.", 3.1, 1.6)
    scene.run(8.0)
    assert scene.said == [
        ("user", "Do you remember my name ?"),
        ("assistant", "You mentioned it is Anna."),
    ]


def test_a_pause_of_either_side_is_no_end() -> None:
    scene = Scene()
    scene.user("I would like", 1.0, 1.0)
    scene.user(" a cup of tea", 3.2, 1.0)
    scene.assistant("With milk, or", 5.0, 1.5)
    scene.assistant(" with lemon?", 7.9, 1.0)
    scene.run(13.0)
    assert scene.said == [
        ("user", "I would like a cup of tea"),
        ("assistant", "With milk, or with lemon?"),
    ]


def test_one_word_between_two_sentences_parts_them() -> None:
    scene = Scene()
    scene.assistant("Shall I book it?", 1.0, 1.5)
    scene.user("Yes.", 3.0, 0.4)
    scene.assistant("It is booked.", 4.1, 1.5)
    scene.run(9.0)
    assert scene.said == [
        ("assistant", "Shall I book it?"),
        ("user", "Yes."),
        ("assistant", "It is booked."),
    ]
    assert {turn.status for turn in scene.final} == {Status.COMPLETED}


def test_a_sign_of_listening_is_no_turn() -> None:
    scene = Scene()
    scene.assistant("This is a very long story about a king and his three sons.", 1.0, 6.0)
    scene.user("Mm-hmm.", 3.0, 0.4)
    scene.run(12.0)
    assert [role for role, _ in scene.said] == ["assistant"]
    assert scene.final[0].status is Status.COMPLETED
    assert scene.state.user.backchannels == 1
    assert not any(turn.role == "user" for turn in scene.turns)
    # The same word as an answer is one.
    scene = Scene()
    scene.assistant("Ready?", 1.0, 0.6)
    scene.user("Okay.", 2.5, 0.4)
    scene.run(8.0)
    assert scene.said == [("assistant", "Ready?"), ("user", "Okay.")]


def test_an_interruption_and_what_was_heard() -> None:
    scene = Scene()
    words = "one two three four five six seven eight nine ten"
    scene.assistant(words, 1.0, 6.0, heard=2.6, yields=True)
    scene.user("Stop, please stop that.", 3.0, 1.4)
    scene.assistant("Sure.", 5.2, 0.5)
    scene.run(12.0)
    assert [role for role, _ in scene.said] == ["assistant", "user", "assistant"]
    cut = scene.final[0]
    assert cut.status is Status.INTERRUPTED
    assert cut.heard_is_estimate
    assert cut.heard_ms == pytest.approx(2600, abs=40)
    assert cut.heard_text == "one two three four five"
    assert cut.text == "one two three four five six"  # the model had said more than was heard
    entry = scene.state.history[0]
    assert (entry["status"], entry["heard_text"]) == ("interrupted", "one two three four five")  # type: ignore[typeddict-item]


def test_the_user_may_interrupt_in_vain() -> None:
    scene = Scene()
    scene.assistant("I will tell you all of it whether you like it or not at all.", 1.0, 8.0)
    scene.user("Could you please stop talking now?", 3.0, 1.5)
    scene.run(14.0)
    first, second = sorted(scene.final, key=lambda turn: turn.began)
    assert (first.role, first.status) == ("assistant", Status.COMPLETED)
    assert (second.role, second.text) == ("user", "Could you please stop talking now?")


def test_an_ear_that_is_silenced_hears_no_more() -> None:
    scene = Scene()
    scene.assistant("one two three four five six seven eight", 1.0, 4.8, heard=1.5)
    scene.run(2.5)
    scene.state.flushed(scene.now)
    scene.run(10.0)
    (turn,) = scene.final
    assert turn.status is Status.INTERRUPTED
    assert turn.text == "one two three four five six seven eight"
    assert turn.heard_ms == pytest.approx(1500, abs=40)
    assert turn.heard_text == "one two three"
    scene.assistant("Again.", 11.0, 0.5)
    scene.run(16.0)
    assert scene.final[-1].status is Status.COMPLETED


def test_noise_is_no_turn_and_words_that_nobody_said_are_none() -> None:
    scene = Scene()
    scene.noise(1.0, 0.7)
    scene.run(6.0)
    assert scene.turns == []
    assert [type(event) for event in scene.local] == [events.UserStarted, events.UserStopped]
    scene = Scene(room=0)
    scene.event(5.0, live.InputTranscriptDelta(delta="Tell him this.", start_ms=4000, end_ms=4200))
    scene.run(10.0)
    assert scene.turns == []
    assert scene.state.user.phantoms == 1


def test_noise_that_does_not_end_holds_no_turn_open() -> None:
    scene = Scene()
    scene.user("Turn the music on please", 1.0, 1.5)
    scene.noise(2.5, 60.0)
    scene.run(12.0)
    assert scene.said == [("user", "Turn the music on please")]
    scene.run(20.0)
    assert scene.state.is_idle(scene.now)  # such noise does not keep a call alive
    scene.user("Louder", 22.0, 0.5)
    scene.run(31.0)
    assert scene.said[1:] == [("user", "Louder")]


def test_a_low_voice_in_a_loud_room_is_heard_by_its_words() -> None:
    scene = Scene(room=900)  # a fan, as loud as the voice
    scene.user("Can you hear me?", 3.0, 1.0)
    scene.run(3.1)
    scene._user[:] = [(3.0, 4.0, 1000)]
    scene.run(9.0)
    assert scene.said == [("user", "Can you hear me?")]


def test_without_any_sound_words_alone_make_turns() -> None:
    scene = Scene(hears=False)
    scene.user("What time is it?", 1.0, 1.2)
    scene.assistant("Half past nine.", 3.2, 1.2)
    scene.user("And where?", 8.0, 0.6)
    scene.assistant("In Paris.", 9.5, 0.8)
    scene.run(16.0)
    assert scene.said == [
        ("user", "What time is it?"),
        ("assistant", "Half past nine."),
        ("user", "And where?"),
        ("assistant", "In Paris."),
    ]


def test_muted_words_are_nobodys() -> None:
    scene = Scene(hears=False)
    scene.state.sent(live.InputAudioMute(), START)
    scene.user("Nobody hears this.", 1.0, 1.0)
    scene.run(5.0)
    assert scene.turns == []
    scene.event(5.0, live.InputAudioUnmuted())
    scene.user("But this.", 6.0, 1.0)
    scene.run(11.0)
    assert scene.said == [("user", "But this.")]


def test_a_repeated_event_counts_once() -> None:
    scene = Scene(hears=False)
    delta = live.InputTranscriptDelta(event_id="e1", delta="Hello", start_ms=1000, end_ms=1200)
    assert scene.state.feed(delta, START + 2)
    assert not scene.state.feed(delta, START + 3)
    scene.run(8.0)
    assert scene.said == [("user", "Hello")]


def test_the_end_lets_everything_be_final() -> None:
    scene = Scene()
    scene.user("Good bye", 1.0, 1.0)
    scene.assistant("Good bye, and have a nice", 3.0, 3.0)
    scene.run(4.0)
    scene.state.end(scene.now)
    scene.turns += scene.state.turns.take(scene.now)
    assert [(turn.role, turn.status) for turn in scene.final] == [
        ("user", Status.COMPLETED),
        ("assistant", Status.INTERRUPTED),
    ]
    assert scene.state.turns.settled


def test_another_session_begins_its_clock_anew() -> None:
    scene = Scene()
    scene.user("Where were we", 60.0, 1.0)
    scene.assistant("We spoke of horses and the weather", 62.0, 3.0)
    scene.run(63.0)
    scene.state.left(scene.now)
    state, now = scene.state, scene.now + 2.0
    state.feed(live.SessionStarted(session=live.Session(id="live_2")), now)
    for start, text in ((62400, "Back"), (62600, " again.")):  # as far as the old one, by then
        words = live.OutputTranscriptDelta(delta=text, start_ms=start, end_ms=start + 200)
        state.feed(words, now + start / 1000 + 0.25)
    state.end(now + 70)
    scene.turns += state.turns.take(now + 70)
    assert [turn.text for turn in scene.final][0::2] == ["Where were we", "Back again."]
    assert scene.final[1].status is Status.INTERRUPTED


def test_words_from_the_end_of_time_are_of_now() -> None:
    scene = Scene(hears=False)
    wild = live.OutputTranscriptDelta(delta="Wild.", start_ms=2**53 - 200, end_ms=2**53)
    scene.event(1.0, wild)
    scene.assistant("And now the weather.", 6.0, 1.0)
    scene.run(12.0)
    assert scene.said == [("assistant", "Wild."), ("assistant", "And now the weather.")]


def test_a_clip_that_we_asked_for_is_no_answer() -> None:
    scene = Scene()
    scene.user("Hello there friend", 1.0, 1.0)
    scene.run(3.0)
    scene.state.sent(live.CommentaryAppend(content="x", delegation_id=None), scene.now)
    scene.assistant("Welcome.", 3.6, 1.0)
    scene.run(8.0)
    assert scene.state.latency == ()
    assert len(scene.final) == 2


# ---- idle


def test_idle_is_when_nobody_speaks_or_is_about_to() -> None:
    scene = Scene()
    scene.run(1.0)
    state = scene.state
    assert state.is_idle(scene.now)
    scene.user("Hello there", 1.0, 1.0)
    scene.run(1.5)
    assert not state.is_quiet(scene.now)
    scene.run(3.5)
    assert not state.is_quiet(scene.now)  # an answer is to come
    scene.assistant("Good day to you.", 3.6, 1.0)
    scene.run(4.0)
    assert state.is_answering(scene.now)
    assert state.idle_since(scene.now) is None
    scene.run(8.0)
    assert state.is_idle(scene.now)
    since = state.idle_since(scene.now)
    assert since is not None
    assert 4.5 < since - START < 6.0
    scene.noise(10.0, 0.5)
    scene.run(60.0)
    assert state.idle_since(scene.now) == pytest.approx(since, abs=12.0)


def test_there_is_always_a_time_to_look_again() -> None:
    scene = Scene()
    scene.user("Hello there", 1.0, 1.0)
    scene.assistant("Good day.", 2.9, 1.0)
    scene.run(4.5)
    state = scene.state
    now, turns = scene.now, list(scene.turns)
    for _ in range(50):  # no further block comes: time alone
        if (deadline := state.next_deadline(now)) is None:
            break
        assert deadline > now
        now = deadline + 0.001
        state.listen(now)
        turns += state.turns.take(now)
    else:
        pytest.fail("it never comes to rest")
    assert {turn.text for turn in turns if turn.final} == {"Hello there", "Good day."}


# ---- long calls


def test_half_an_hour_without_drift() -> None:
    """Model time goes from 0, ours from START; words stay with their sound to the last."""
    scene = Scene()
    rng = random.Random(7)
    at, expected = 2.0, []
    while at < 30 * 60:
        number = len(expected)
        question, answer = f"Question {number} for you ?", f"Answer {number} is this one."
        scene.user(question, at, 1.5, delay=rng.uniform(0.5, 1.2))
        begins = at + 1.5 + rng.uniform(0.6, 1.2)
        scene.assistant(answer, begins, 2.0)
        expected += [("user", question, at), ("assistant", answer, begins)]
        at = begins + 2.0 + rng.uniform(3.0, 20.0)
    scene.run(at)
    assert scene.said == [(role, text) for role, text, _ in expected]
    for turn, (_, _, began) in zip(scene.final, expected, strict=True):
        assert turn.began - START == pytest.approx(began, abs=0.05)
    assert len(scene.state.latency) == len(expected) // 2
    assert all(0.5 < each.seconds < 1.3 for each in scene.state.latency)
    assert scene.state.clock.ours(0) == pytest.approx(START + 0.05, abs=0.21)


def test_a_model_that_was_frozen_keeps_words_and_sound_together() -> None:
    scene = Scene()
    scene.user("Before it froze", 1.0, 1.2)
    scene.assistant("Still here.", 3.0, 1.0)
    scene.run(6.0)
    state, late = scene.state, 30.0  # the uplink stood for half a minute
    for number in range(4):
        begin = 8000 + number * 400
        at = START + begin / 1000 + 0.2 + late
        delta = live.OutputTranscriptDelta(delta=f" w{number}", start_ms=begin, end_ms=begin + 200)
        state.feed(delta, at)
    assert state.clock.ours(8000) == pytest.approx(START + 8.0 + late, abs=0.1)


# ---- properties

ODD: st.SearchStrategy[object] = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**60), 2**60), st.floats(), st.text(max_size=4)
)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_no_event_breaks_the_state(data: st.DataObject) -> None:
    ids = iter(range(10**6))
    state, now = LiveState(lambda: f"id_{next(ids)}", model="gpt-live-1.1"), 100.0
    for _ in range(12):
        event = json.loads(data.draw(st.sampled_from(FROM_SERVER)))
        event.pop("event_id", None)
        place = event
        for _ in range(data.draw(st.integers(0, 3))):
            name = data.draw(st.sampled_from(sorted(place)))
            if not isinstance(place[name], dict) or not place[name]:
                place[name] = data.draw(ODD)
                break
            place = place[name]
        now += data.draw(st.floats(0, 20))
        state.feed(live.decode(json.dumps(event)), now)
        state.assistant_heard(data.draw(st.integers(0, 32768)), now)
        state.user_sent(data.draw(st.integers(0, 32768)), now)
        state.listen(now)
        state.due(now)
        state.turns.take(now)
        deadline = state.next_deadline(now)
        assert deadline is None or now < deadline < now + 1000
        usage = state.usage(now)
        assert usage.seconds is not None
        assert usage.seconds >= 0
        assert math.isfinite(usage.known_cost)
        json.dumps(state.history)
    state.end(now)
    state.turns.take(now)
    assert state.turns.settled


DELTAS = st.lists(
    st.tuples(
        st.sampled_from(("user", "assistant")),
        st.integers(0, 3000).map(lambda step: step * 200),
        st.floats(0, 3),
    ),
    max_size=30,
)


@settings(max_examples=60, deadline=None)
@given(deltas=DELTAS, loud=st.lists(st.booleans(), max_size=30), order=st.randoms())
def test_no_order_of_words_loses_or_doubles_any(
    deltas: list[tuple[str, int, float]], loud: list[bool], order: random.Random
) -> None:
    ids = iter(range(10**6))
    state = LiveState(lambda: f"id_{next(ids)}")
    state.feed(live.SessionStarted(session=live.Session()), 0.0)
    order.shuffle(deltas)
    now, turns = 600.0, []
    for number, (side, start, pause) in enumerate(deltas):
        now += pause
        kind = live.InputTranscriptDelta if side == "user" else live.OutputTranscriptDelta
        state.feed(kind(delta=f" {side[0]}{number}.", start_ms=start, end_ms=start + 200), now)
        if number < len(loud) and loud[number]:
            for block in range(10):
                state.assistant_heard(5000, now + block * 0.02)
            now += 0.2
        state.listen(now)
        turns += state.turns.take(now)
    state.end(now)
    turns += state.turns.take(now)
    final = {turn.id: turn for turn in turns if turn.final}
    words = sorted(word for turn in final.values() for word in turn.text.split())
    assert words == sorted(f"{side[0]}{number}." for number, (side, _, _) in enumerate(deltas))
    for turn in final.values():
        assert turn.status is not Status.IN_PROGRESS
        assert {word[0] for word in turn.text.split()} == {turn.role[0]}
    begun = [each.began for each in sorted(state.turns.all, key=lambda each: each.began)]
    assert begun == sorted(begun)
    assert [entry["text"] for entry in state.history] == [  # type: ignore[typeddict-item]
        final[entry["id"]].text for entry in state.history
    ]


@settings(max_examples=60, deadline=None)
@given(
    peaks=st.lists(st.tuples(st.integers(0, 32768), st.integers(1, 60)), max_size=20),
)
def test_local_events_alternate_and_never_go_back(peaks: list[tuple[int, int]]) -> None:
    ids = iter(range(10**6))
    state = LiveState(lambda: f"id_{next(ids)}")
    now, local = 10.0, []
    for peak, blocks in peaks:
        for _ in range(blocks):
            state.user_sent(peak, now)
            state.assistant_heard(peak, now)
            now += 0.02
            local += state.listen(now)
    local += state.listen(now + 5)
    for started, stopped in (
        (events.UserStarted, events.UserStopped),
        (events.AssistantStarted, events.AssistantStopped),
    ):
        mine = [event for event in local if isinstance(event, started | stopped)]
        kinds = [type(event) for event in mine]
        assert kinds == [started, stopped] * (len(kinds) // 2)
        assert [event.at for event in mine] == sorted(event.at for event in mine)


def test_text_is_put_together_by_place() -> None:
    words: list[Words] = []
    for new in (
        Words(400, 600, "Next one"),
        Words(0, 200, " It"),
        Words(200, 400, " is."),
        Words(400, 600, " here"),
    ):
        insert(words, new)
    assert joined(words) == "It is. Next one here"
    assert joined([]) == ""
    assert is_acknowledgement("Mm-hmm, yeah.")
    assert is_acknowledgement("Ja, genau!")
    assert not is_acknowledgement("Yes, but no")
    assert not is_acknowledgement("...")
