"""The small parts of the conversation on GPT-Live: pieces of text, the ear's gate, histories."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtcvoice.conversation.state.records import Status
from rtcvoice.errors import ConfigError
from rtcvoice.events import live
from rtcvoice.live.answer import LiveAnswer
from rtcvoice.live.appends import PIECE_TOKENS, estimated_tokens, in_pieces
from rtcvoice.live.by_hand import checked
from rtcvoice.live.changes import over
from rtcvoice.live.gate import EarGate
from rtcvoice.live.seeding import messages_of_history, said_in


@given(st.text(min_size=1, max_size=4000))
def test_a_text_goes_in_pieces_that_fit_and_loses_nothing_but_spaces(text):
    if not text.strip():
        with pytest.raises(ConfigError):
            in_pieces(text, "it", most=None)
        return
    pieces = in_pieces(text, "it", most=None)
    assert all(0 < estimated_tokens(piece) <= PIECE_TOKENS + 1 for piece in pieces)
    assert "".join("".join(pieces).split()) == "".join(text.split())


def test_sentences_stay_whole():
    sentence = "This is one of many sentences, and it is a rather long one. "
    pieces = in_pieces(sentence * 60, "it")
    assert len(pieces) > 1
    assert all(piece.endswith("one.") for piece in pieces)
    with pytest.raises(ConfigError, match="2000"):
        in_pieces(sentence * 300, "it")
    with pytest.raises(ConfigError, match="no text"):
        in_pieces(5, "it")


def test_the_estimate_is_on_the_safe_side():
    """Known lengths: 12 English words are 13 tokens or so, a Chinese character is one or two."""
    assert (
        12 <= estimated_tokens("The quick brown fox jumps over the lazy dog, and it sleeps.") <= 20
    )
    assert 6 <= estimated_tokens("今天天气很好") <= 12


def test_the_gate_opens_when_what_was_said_is_over():
    gate = EarGate()
    assert gate.next_deadline() is None
    gate.close(10.0)
    gate.words(10.5)
    assert (gate.is_closed, gate.due(11.0), gate.next_deadline()) == (True, False, 11.3)
    assert gate.due(11.3)
    assert not gate.is_closed
    gate.close(20.0)
    for tick in range(50):
        gate.words(20.0 + tick / 10)
    assert gate.due(25.0)  # whatever it says
    gate.close(30.0)
    assert gate.user_speaks()
    assert not gate.user_speaks()


def test_an_answer_is_late_when_nobody_says_anything():
    answer = LiveAnswer(5.0)
    assert not answer.is_late(24.9)
    assert answer.is_late(25.0)
    answer.said("t", "Hello")
    assert not answer.is_late(100.0)
    answer.finish(Status.COMPLETED)
    assert (answer.done, answer.heard, answer.pieces) == (True, True, ["Hello"])


def test_a_history_as_messages_has_what_was_heard_and_leaves_out_the_rest():
    history = [
        {"role": "user", "text": "Hello", "type": "message"},
        {"type": "function_call", "name": "f", "call_id": "c", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "1"},
        {"role": "assistant", "text": "Good day to you", "heard_text": "Good day"},
    ]
    messages, left_out = messages_of_history(history)
    assert list(said_in(messages)) == [("user", "Hello"), ("assistant", "Good day")]
    assert left_out == 2


def test_a_long_message_keeps_its_end():
    (message,), _ = messages_of_history([{"role": "user", "text": "word " * 20_000 + "end"}])
    text = message["content"][0]["text"]
    assert estimated_tokens(text) <= 4000
    assert text.endswith("end")


def test_changes_of_a_session_add_up_as_the_service_merges_them():
    before = {"delegation": {"type": "responses", "responses": {"model": "a", "tools": [1]}}}
    changes = {"delegation": {"type": "responses", "responses": {"tools": []}}, "triggers": []}
    assert over(before, changes) == {
        "delegation": {"type": "responses", "responses": {"model": "a", "tools": []}},
        "triggers": [],
    }


def test_events_by_hand():
    event, text = checked({"type": "session.update", "session": {}, "extra": None})
    assert isinstance(event, live.SessionUpdate)
    assert '"extra":null' in text
    assert checked(live.SessionClose()) == (live.SessionClose(), None)
    for wrong in (
        {"type": "response.cancel"},
        {"type": "session.start", "session": {}},
        {"type": "session.update"},
        {"type": "session.close", "x": object()},
        live.SessionClosed(reason="x"),
        {},
        5,
    ):
        with pytest.raises(ConfigError):
            checked(wrong)
