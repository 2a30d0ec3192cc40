"""Turns of both sides come out in spoken order with all their text, however the events come."""

from __future__ import annotations

from itertools import combinations, islice

import pytest
import said

from rtcvoice import events as e
from rtcvoice.conversation.state.conversation import ConversationState
from rtcvoice.conversation.state.records import Status
from rtcvoice.conversation.state.turns import (
    START_TIMEOUT,
    TRANSCRIPT_TIMEOUT,
    TRUNCATION_TIMEOUT,
)


class Listener:
    """A conversation, its clock, and the turns that became final."""

    def __init__(self, *fed, **session):
        self.now = 100.0
        self.finals = []
        self.partials = []
        self._ids = iter(range(10**6))
        self.conversation = ConversationState(lambda: f"id_{next(self._ids)}")
        self.feed(said.session(**session), *fed)

    def feed(self, *events, step=0.01):
        for event in events:
            self.now += step
            self.conversation.feed(event, self.now)
            self._take()
        return self

    def wait(self, seconds):
        self.now += seconds
        self._take()
        return self

    def _take(self):
        for turn in self.conversation.turns.take(self.now):
            (self.finals if turn.final else self.partials).append(turn)

    @property
    def said(self):
        return [(turn.role, turn.text) for turn in self.finals]


def interleavings(first, second):
    """Every way to put two sequences together without changing the order in either."""
    size = len(first) + len(second)
    for places in combinations(range(size), len(second)):
        one, two = iter(first), iter(second)
        yield [next(two) if n in places else next(one) for n in range(size)]


SPOKEN = [("user", "what"), ("assistant", "Hi there.")]


def test_the_transcript_may_come_anywhere_among_the_events_of_the_answer():
    answer = [*said.answer("r1", "a1", "Hi there.", "u1"), said.stopped("r1")]
    for events in interleavings(answer, said.transcribed("u1", "what")):
        listener = Listener(*said.spoken("u1"), *events)
        assert listener.said == SPOKEN, [event.type for event in events]
        assert all(turn.status is Status.COMPLETED for turn in listener.finals)


def test_the_transcript_may_come_before_its_item():
    speech = said.spoken("u1")
    early = said.transcribed("u1", "what")
    for events in interleavings(speech, early[:1]):
        listener = Listener(*events, early[1], *said.answer("r1", "a1", "Hi there.", "u1"))
        listener.feed(said.stopped("r1"))
        assert listener.said == SPOKEN


def test_an_answer_is_final_when_it_was_heard_not_when_it_was_made():
    listener = Listener(*said.user_text("u1", "Hi"), *said.answer("r1", "a1", "Hello you.", "u1"))
    assert listener.said == [("user", "Hi")]
    listener.wait(3.0)
    assert listener.said == [("user", "Hi")]
    listener.feed(said.stopped("r1"))
    assert listener.said == [("user", "Hi"), ("assistant", "Hello you.")]
    assert listener.finals[-1].heard_ms is None
    assert listener.finals[-1].heard_text == "Hello you."
    assert not listener.finals[-1].heard_is_estimate


def test_a_written_answer_is_final_when_it_is_made():
    events = said.answer("r1", "a1", "Hello.", "u1", audio=False)
    listener = Listener(*said.user_text("u1", "Hi"), *events[:-1], modality="text")
    assert listener.said == [("user", "Hi"), ("assistant", "Hello.")]
    assert not listener.finals[-1].spoken


def test_partial_turns_stream():
    listener = Listener(*said.user_text("u1", "Hi"), *said.answer("r1", "a1", "One two.", "u1"))
    texts = [turn.text for turn in listener.partials if turn.id == "a1"]
    assert [text for n, text in enumerate(texts) if text not in texts[:n]] == [
        "",
        "One",
        "One two.",
    ]
    assert all(turn.status is Status.IN_PROGRESS for turn in listener.partials)


# -- transcripts that are late, fail, or never come ---------------------------------------------


def test_a_transcript_that_never_comes_holds_the_answer_back_for_a_bounded_time():
    answer = [*said.answer("r1", "a1", "Hi there.", "u1"), said.stopped("r1")]
    listener = Listener(*said.spoken("u1"), *answer)
    assert listener.said == []
    listener.wait(TRANSCRIPT_TIMEOUT - 1)
    assert listener.said == []
    listener.wait(1.1)
    assert listener.said == [("user", ""), ("assistant", "Hi there.")]


def test_a_transcript_in_the_making_is_waited_for():
    words = said.transcribed("u1", "one two three four")
    listener = Listener(*said.spoken("u1"))
    for event in words:
        listener.wait(TRANSCRIPT_TIMEOUT - 1)
        assert listener.said == []
        listener.feed(event)
    assert listener.said == [("user", "one two three four")]


def test_a_late_transcript_is_in_the_history_and_comes_as_a_correction():
    listener = Listener(*said.spoken("u1")).wait(TRANSCRIPT_TIMEOUT + 1)
    assert listener.said == [("user", "")]
    listener.feed(*said.transcribed("u1", "at last"))
    assert listener.conversation.history[0]["text"] == "at last"
    assert listener.finals[-1].text == "at last"
    assert listener.finals[-1].id == "u1"


def test_speech_that_cannot_be_transcribed_is_a_turn_all_the_same():
    listener = Listener(*said.spoken("u1"), said.not_transcribed("u1"))
    assert listener.said == [("user", "")]
    assert listener.finals[0].reason == "unintelligible"
    assert listener.finals[0].spoken


def test_without_transcription_nothing_is_waited_for():
    assert Listener(*said.spoken("u1"), transcription=False).said == [("user", "")]


def test_transcripts_of_two_turns_may_come_in_the_wrong_order():
    listener = Listener(*said.spoken("u1"), *said.spoken("u2", "u1"))
    listener.feed(*said.transcribed("u2", "second"), *said.transcribed("u1", "first"))
    assert listener.said == [("user", "first"), ("user", "second")]


# -- items that interleave ----------------------------------------------------------------------


def test_commentary_and_calls_interleave():
    talk = said.message_steps("r1", "a1", "Let me see.", "u1", phase="commentary")
    call = said.call_steps("r1", "c1", "a1", index=1)
    base = [*said.user_text("u1", "Weather?"), said.created("r1"), *talk[:3], said.started("r1")]
    for events in islice(interleavings(talk[3:], call), 0, None, 7):  # a hundred of them
        listener = Listener(*base, *events, said.done("r1"))
        output = e.FunctionCallOutput(id="o1", call_id="call_c1", output="20")
        listener.feed(*said.item_in(output, "c1"), said.stopped("r1"))
        final = said.answer("r2", "a2", "It is 20.", "o1", phase="final_answer")
        listener.feed(*final, said.stopped("r2"))
        assert listener.said == [
            ("user", "Weather?"),
            ("assistant", "Let me see."),
            ("assistant", "It is 20."),
        ]
        assert [turn.phase for turn in listener.finals[1:]] == ["commentary", "final_answer"]
        kinds = [entry["type"] for entry in listener.conversation.history]
        assert kinds == ["message"] * 2 + ["function_call", "function_call_output", "message"]


def test_the_chain_decides_the_order():
    listener = Listener(*said.user_text("u1", "one"), *said.user_text("u3", "three", "u1"))
    listener.feed(*said.user_text("u2", "two", "u1"))
    listener.feed(*said.user_text("u0", "zero", None))
    assert [entry["text"] for entry in listener.conversation.history] == [
        "zero",
        "one",
        "two",
        "three",
    ]


def test_what_is_put_before_an_open_turn_comes_before_it():
    listener = Listener(*said.user_text("u0", "zero"), *said.spoken("u2", "u0"))
    listener.feed(*said.committed("u1", "u0"))
    listener.feed(*said.transcribed("u2", "two"), *said.transcribed("u1", "one"))
    assert [text for _, text in listener.said] == ["zero", "one", "two"]


def test_a_server_that_never_names_predecessors_appends():
    listener = Listener()
    for n in range(4):
        listener.feed(*said.user_text(f"u{n}", str(n)))
    assert listener.said == [("user", str(n)) for n in range(4)]


def test_a_done_that_forgets_the_predecessor_moves_nothing():
    # The real server does so for an answer to the first item.
    steps = said.message_steps("r1", "a1", "Hi.", "u1")
    done = next(n for n, step in enumerate(steps) if isinstance(step, e.ConversationItemDone))
    steps[done] = e.ConversationItemDone(item=steps[done].item, previous_item_id=None)
    listener = Listener(*said.user_text("u1", "Hello"), said.created("r1"), *steps)
    assert [entry["id"] for entry in listener.conversation.history] == ["u1", "a1"]


def test_a_deleted_item_is_no_turn_and_holds_nobody_back():
    listener = Listener(*said.spoken("u1"), *said.user_text("u2", "Hi", "u1"))
    assert listener.said == []
    listener.feed(e.ConversationItemDeleted(item_id="u1"))
    assert listener.said == [("user", "Hi")]
    assert [entry["id"] for entry in listener.conversation.history] == ["u2"]


def test_what_is_out_of_band_is_no_turn():
    steps = said.message_steps("r9", "x1", "Secret.", None, audio=False, in_conversation=False)
    before = [*said.answer("r1", "a1", "Hi.", None), said.stopped("r1")]
    listener = Listener(*before, said.created("r9", conversation=None), *steps, said.done("r9"))
    assert listener.said == [("assistant", "Hi.")]
    assert [entry["id"] for entry in listener.conversation.history] == ["a1"]


def test_text_that_only_the_end_brings_is_not_lost():
    steps = said.message_steps("r1", "a1", "Hello you.", None)
    without = [s for s in steps if not isinstance(s, e.ResponseOutputAudioTranscriptDelta)]
    only_done = [s for s in without if not isinstance(s, e.ResponseOutputAudioTranscriptDone)]
    for events in (without, only_done):
        listener = Listener(said.created("r1"), *events, said.done("r1"))
        listener.feed(said.started("r1"), said.stopped("r1"))
        assert listener.said == [("assistant", "Hello you.")]


def test_an_item_whose_end_was_missed_ends_with_its_response():
    steps = said.message_steps("r1", "a1", "Hi.", None, audio=False)[:-2]
    final = said.done("r1", output=[said.message("a1", "Hi.", audio=False)])
    assert Listener(said.created("r1"), *steps, final).said == [("assistant", "Hi.")]


# -- interruptions ------------------------------------------------------------------------------

LONG = "one two three four five six seven eight nine ten eleven twelve"


def interrupted(events, *, held=0.08, pause=0.0):
    """Speech of which 1.2 s were sent when the user barged in; 80 ms of it still unheard."""
    listener = Listener(*said.user_text("u1", "Tell me"), *events)
    listener.wait(1.2)
    barge_in = e.InputAudioBufferSpeechStarted(audio_start_ms=0, item_id="u2")
    listener.feed(barge_in)
    listener.conversation.flushed(listener.now, held)
    return listener.wait(pause)


def test_barge_in_while_only_playing():
    listener = interrupted(said.answer("r1", "a1", LONG, "u1"))
    listener.feed(said.cleared("r1"), said.truncated("a1", 1200), step=0.0)
    turn = listener.finals[-1]
    assert (turn.status, turn.heard_ms) == (Status.INTERRUPTED, 1120)
    assert turn.text == LONG
    assert LONG.startswith(turn.heard_text)
    assert turn.heard_text == "one two three"  # 1.12 s at 15 characters a second, whole words
    assert turn.heard_is_estimate


CUT = said.message_steps("r1", "a1", LONG, "u1", until=8)
CANCELLED = said.done("r1", "cancelled", reason="turn_detected")


@pytest.mark.parametrize("early", range(7))
def test_barge_in_while_generating_in_every_order(early):
    # What order the server has here is not documented: the two groups may come anyhow.
    generating = [said.created("r1"), *CUT[:4], said.started("r1"), *CUT[4:-5]]
    closing, playing = [*CUT[-5:], CANCELLED], [said.cleared("r1"), said.truncated("a1", 1200)]
    for n, events in enumerate(interleavings(closing, playing)):
        if n % 7 != early:
            continue
        listener = interrupted(generating)
        listener.feed(*events, step=0.0)
        turn = listener.finals[-1]
        assert (turn.id, turn.status, turn.heard_ms) == ("a1", Status.INTERRUPTED, 1120)
        assert turn.text == "one two three four five six seven eight"
        assert turn.reason == "turn_detected" or "cancelled" in str(listener.finals)
        listener.feed(*said.committed("u2", "a1"), *said.transcribed("u2", "stop"))
        assert listener.said[-1] == ("user", "stop")


def test_the_way_of_a_clear_to_the_server_is_not_heard():
    # A manual interrupt silences the ear at once; the server goes on sending until it is told.
    listener = interrupted(said.answer("r1", "a1", LONG, "u1"), held=0.05, pause=0.2)
    listener.feed(said.cleared("r1"), said.truncated("a1", 1400), step=0.0)
    assert listener.finals[-1].heard_ms == 1150


def test_of_several_flushes_the_first_counts():
    listener = interrupted(said.answer("r1", "a1", LONG, "u1"))
    listener.feed(said.cleared("r1"), step=0.0)
    listener.conversation.flushed(listener.now, 0.0)  # the ear is empty already
    listener.feed(said.truncated("a1", 1200), step=0.0)
    assert listener.finals[-1].heard_ms == 1120


def test_the_pace_of_the_voice_is_learnt():
    listener = Listener(*said.user_text("u1", "Hi"), *said.answer("r1", "a1", "x" * 60, "u1"))
    began = listener.conversation.playback.of("r1").started_at
    listener.wait(began + 2.0 - listener.now).feed(said.stopped("r1"), step=0.0)  # 30 a second
    listener.feed(*said.answer("r2", "a2", LONG, "a1"))
    listener.conversation.flushed(listener.now, 0.0)
    listener.feed(said.cleared("r2"), said.truncated("a2", 1000), step=0.0)
    assert listener.finals[-1].heard_text == "one two three four five six"


def test_speech_behind_what_was_cleared_was_not_heard():
    listener = Listener(*said.user_text("u1", "Hi"), *said.answer("r1", "a1", "First.", "u1"))
    queued = [
        event for event in said.answer("r2", "a2", "Second.", "a1") if event.type[:6] != "output"
    ]
    listener.feed(*queued).conversation.flushed(listener.now, 0.0)
    listener.feed(said.cleared("r1"), said.truncated("a1", 300))
    listener.wait(TRUNCATION_TIMEOUT + 0.1)
    assert [(t.id, t.heard_ms) for t in listener.finals[1:]] == [("a1", 300 - 10 * 2), ("a2", 0)]
    assert listener.finals[-1].heard_text == ""


def test_an_answer_in_the_making_outlives_the_clearing_of_the_one_before():
    second = said.answer("r2", "a2", "Second one.", "a1")
    listener = Listener(*said.user_text("u1", "Hi"), *said.answer("r1", "a1", "First.", "u1"))
    listener.feed(*second[:5], said.cleared("r1"), said.truncated("a1", 300))
    listener.wait(TRUNCATION_TIMEOUT + 0.5)  # somebody cleared, but did not cancel
    assert [turn.id for turn in listener.finals] == ["u1", "a1"]
    listener.feed(*second[5:], said.stopped("r2"))
    assert listener.finals[-1].status is Status.COMPLETED


def test_what_was_played_before_the_item_that_was_cut_was_heard():
    first = said.message_steps("r1", "a1", "First.", "u1")
    second = said.message_steps("r1", "a2", "Second one.", "a1", index=1)
    listener = Listener(*said.user_text("u1", "Hi"), said.created("r1"), *first)
    listener.feed(said.started("r1"), *second, said.done("r1"))
    listener.conversation.flushed(listener.now, 0.0)
    listener.feed(said.truncated("a2", 200), said.cleared("r1"), step=0.0)
    listener.wait(TRUNCATION_TIMEOUT + 0.1)
    assert [(t.status, t.heard_ms) for t in listener.finals[1:]] == [
        (Status.COMPLETED, None),
        (Status.INTERRUPTED, 200),
    ]


def test_without_a_truncation_our_own_clock_tells_what_was_heard():
    listener = interrupted(said.answer("r1", "a1", LONG, "u1"), held=0.2)
    listener.feed(said.cleared("r1")).wait(TRUNCATION_TIMEOUT + 0.1)
    turn = listener.finals[-1]
    assert turn.status is Status.INTERRUPTED
    assert 1000 < turn.heard_ms < 1250


def test_an_answer_cancelled_before_it_was_heard():
    events = [said.created("r1"), *CUT, said.done("r1", "cancelled", reason="client_cancelled")]
    listener = Listener(*said.user_text("u1", "Hi"), *events).wait(TRUNCATION_TIMEOUT + 0.1)
    turn = listener.finals[-1]
    assert (turn.status, turn.heard_ms, turn.reason) == (Status.INTERRUPTED, 0, "client_cancelled")


def test_an_answer_that_failed():
    events = [said.created("r1"), *CUT, said.done("r1", "failed", message="out of luck")]
    listener = Listener(*said.user_text("u1", "Hi"), *events).wait(TRUNCATION_TIMEOUT + 0.1)
    assert listener.finals[-1].status is Status.FAILED
    assert listener.finals[-1].reason == "out of luck"


def test_a_limit_cuts_short():
    cut = said.message_steps("r1", "a1", "One two three.", "u1", until=2, audio=False)
    done = said.done("r1", "incomplete", reason="max_output_tokens")
    listener = Listener(*said.user_text("u1", "Hi"), said.created("r1"), *cut, done)
    assert listener.finals[-1].status is Status.INTERRUPTED
    assert listener.finals[-1].text == "One two"


# -- servers that say less ----------------------------------------------------------------------


def test_a_server_that_does_not_tell_of_playing_delays_the_first_answer_only():
    mute = [
        x
        for x in said.answer("r1", "a1", "One.", None)
        if not isinstance(x, e.OutputAudioBufferStarted)
    ]
    listener = Listener(*mute)
    assert listener.said == []
    listener.wait(START_TIMEOUT + 0.1)
    assert listener.said == [("assistant", "One.")]
    assert listener.finals[0].status is Status.COMPLETED
    again = [
        x
        for x in said.answer("r2", "a2", "Two.", "a1")
        if not isinstance(x, e.OutputAudioBufferStarted)
    ]
    listener.feed(*again)
    assert listener.said[1:] == [("assistant", "Two.")]


def test_a_filtered_channel_still_gives_turns():
    # Azure's webrtcfilter leaves only these.
    events = [
        *said.committed("u1")[1:2],
        *said.transcribed("u1", "hello")[-1:],
        *(
            x
            for x in said.answer("r1", "a1", "Hi you.", "u1")
            if isinstance(
                x,
                e.ConversationItemAdded
                | e.OutputAudioBufferStarted
                | e.ResponseOutputAudioTranscriptDelta
                | e.ResponseOutputAudioTranscriptDone,
            )
        ),
        said.stopped("r1"),
    ]
    listener = Listener(*events).wait(20.0).wait(20.0)
    assert next(text for _, text in listener.said) == "hello"


def test_a_stopped_that_was_missed_does_not_hold_back_for_ever():
    listener = Listener(*said.answer("r1", "a1", "Hi.", None), *said.user_text("u1", "Yes", "a1"))
    assert listener.said == []
    listener.wait(60.0)
    assert listener.said == [("assistant", "Hi."), ("user", "Yes")]


def test_the_next_answer_that_plays_ends_the_one_before():
    listener = Listener(
        *said.answer("r1", "a1", "Hi.", None), *said.answer("r2", "a2", "Ho.", "a1")
    )
    assert listener.said == [("assistant", "Hi.")]
    assert listener.finals[0].status is Status.COMPLETED


def test_events_of_the_beta_are_understood():
    item = said.user_item("u1", "Hi")
    listener = Listener(e.ConversationItemCreated(item=item, previous_item_id=None))
    listener.wait(TRANSCRIPT_TIMEOUT + 0.1)
    assert listener.said == [("user", "Hi")]


# -- the end ------------------------------------------------------------------------------------


def test_the_end_of_the_call_loses_no_text():
    listener = Listener(*said.spoken("u1"), *said.answer("r1", "a1", "Hi there.", "u1"))
    listener.feed(*said.transcribed("u1", "half a")[:2]).wait(0.5)
    listener.conversation.turns.end(listener.now)
    listener.wait(0.0)
    assert listener.said == [("user", "half a"), ("assistant", "Hi there.")]
    assert listener.finals[-1].status is Status.INTERRUPTED
    assert 500 <= listener.finals[-1].heard_ms <= 700


def test_a_transcription_session_has_turns_of_the_user_only():
    listener = Listener(kind="transcription")
    for n in range(3):
        listener.feed(*said.spoken(f"u{n}", f"u{n - 1}" if n else None))
        listener.feed(*said.transcribed(f"u{n}", f"sentence {n}"))
    assert listener.said == [("user", f"sentence {n}") for n in range(3)]
    assert listener.conversation.is_idle(listener.now)
