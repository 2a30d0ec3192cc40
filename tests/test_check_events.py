"""The judge itself: `check_events` passes good traffic and finds each kind of fault."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import check_events
import pytest
from event_samples import TURN

DELTA: dict[str, Any] = {
    "type": "response.output_text.delta",
    "event_id": "event_1",
    "response_id": "resp_1",
    "item_id": "item_1",
    "output_index": 0,
    "content_index": 0,
    "delta": "Hi",
}


def errors(event: Any, which: str = "server", extra: str = "warn") -> list[str]:
    return [str(p) for p in check_events.check_event(event, which, extra) if p.level == "error"]


def lint(lines: list[dict[str, Any]]) -> list[str]:
    order = check_events.OrderLint()
    found = [problem for line in lines for problem in order.feed(line)] + order.end()
    return [str(problem) for problem in found if problem.level == "error"]


def test_a_recorded_turn_passes_with_its_order() -> None:
    turn = [json.loads(line) for line in TURN]
    assert [errors(event, extra="error") for event in turn] == [[]] * len(turn)
    assert lint(turn) == []


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"delta": None}, "delta"),
        ({"delta": 5}, "delta"),
        ({"output_index": "0"}, "output_index"),
        ({"output_index": 0.0}, "output_index"),
        ({"content_index": True}, "content_index"),
        ({"content_index": -1}, "content_index"),
        ({"type": "response.text.delta"}, "response.output_text.delta"),
        ({"type": "response.novel"}, "unknown server event"),
        ({"type": None}, "type"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_a_fault_is_found_where_it_is(change: dict[str, Any], place: str) -> None:
    assert errors(DELTA) == []
    found = errors(DELTA | change, extra="error")
    assert found
    assert place in found[0]


@pytest.mark.parametrize(
    "event",
    [
        {"type": "session.update", "session": {"instructions": "no type"}},
        {"type": "session.update", "session": {"type": "realtime", "temperature": 0.8}},
        {"type": "response.create", "response": {"modalities": ["text"]}},
        {"type": "conversation.item.truncate", "item_id": "i", "content_index": 0},
        {"type": "output_audio_buffer.started", "response_id": "r"},
    ],
    ids=json.dumps,
)
def test_bad_client_events_are_found(event: dict[str, Any]) -> None:
    assert errors(event, "client", extra="error")


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda turn: turn.insert(9, turn[8]), "repeated"),
        (lambda turn: turn.pop(7), "is not open"),
        (lambda turn: turn.pop(13), "differs from the joined deltas"),
        (lambda turn: turn.pop(18), "no response.output_item.done"),
        (lambda turn: turn.pop(19), "never got response.done"),
        (lambda turn: turn.pop(12), "is not playing"),
        (lambda turn: turn.pop(5), "conversation.item.added is missing"),
    ],
)
def test_faults_of_the_order_are_found(spoil: Any, complaint: str) -> None:
    turn = [json.loads(line) for line in TURN]
    spoil(turn)
    assert any(complaint in problem for problem in lint(turn))


def test_the_command_counts_and_sets_its_exit_status(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = tmp_path / "good.jsonl", tmp_path / "bad.jsonl"
    good.write_text("\n".join(TURN))
    bad.write_text("\n".join([*TURN[:3], "{", json.dumps(DELTA | {"delta": 5})]))
    assert check_events.main(["--order", str(good)]) == 0
    assert "24 events, 0 errors" in capsys.readouterr().err
    assert check_events.main([str(bad)]) == 1
    out = capsys.readouterr()
    assert "5 events, 2 errors" in out.err
    assert f"{bad}:4:" in out.out
