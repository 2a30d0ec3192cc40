"""From the end of the user's words to the first sound of the answer, in virtual time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rtcvoice.events as ev
from rtcvoice.conversation.accounts.latency import LatencyMeter, onset


def session(**detection: Any) -> ev.SessionCreated:
    turn_detection = ev.TurnDetection(**detection) if detection else None
    audio = ev.AudioConfig(input=ev.AudioInputConfig(turn_detection=turn_detection))
    return ev.SessionCreated(session=ev.Session(audio=audio))


VAD = session(type="server_vad", silence_duration_ms=500)


def started(item: str = "item_1") -> Any:
    return ev.InputAudioBufferSpeechStarted(audio_start_ms=0, item_id=item)


def stopped(item: str = "item_1") -> Any:
    return ev.InputAudioBufferSpeechStopped(audio_end_ms=0, item_id=item)


def created(response: str = "resp_1") -> Any:
    return ev.ResponseCreated(response=ev.RealtimeResponse(id=response))


def sounds(response: str = "resp_1") -> Any:
    return ev.OutputAudioBufferStarted(response_id=response)


def fed(meter: LatencyMeter, *events: tuple[float, Any], round_trip: float = 0.0) -> LatencyMeter:
    for now, event in events:
        meter.feed(event, now, round_trip=round_trip)
    return meter


def test_a_spoken_turn_is_measured_from_the_end_of_the_words_to_the_first_sound() -> None:
    meter = fed(
        LatencyMeter(),
        (0.0, VAD),
        (1.0, started()),
        (3.0, stopped()),
        (3.1, created()),
        (3.4, sounds()),
        round_trip=0.06,
    )
    assert meter.turns == ()
    assert meter.awaited == "resp_1"
    meter.heard("resp_1", 3.5)
    (turn,) = meter.turns
    assert (turn.item_id, turn.response_id) == ("item_1", "resp_1")
    assert turn.ended_at == pytest.approx(3.0 - 0.5 - 0.06)
    assert turn.seconds == pytest.approx(1.06)
    assert turn.detection == pytest.approx(0.56)
    assert turn.response == pytest.approx(0.5)
    assert meter.awaited is None
    meter.heard("resp_1", 9.9)  # once
    assert meter.turns == (turn,)


def test_semantic_detection_counts_from_when_the_server_noticed() -> None:
    detection = session(type="semantic_vad")
    meter = fed(LatencyMeter(), (0, detection), (3, stopped()), (3.1, created()), (3.4, sounds()))
    meter.heard("resp_1", 3.5)
    assert meter.turns[0].seconds == pytest.approx(0.5)
    assert meter.turns[0].detection == 0


def test_push_to_talk_counts_from_the_commit() -> None:
    meter = LatencyMeter()
    fed(meter, (0.0, session()))
    meter.sent(ev.InputAudioBufferCommit(), 5.0)
    committed = ev.InputAudioBufferCommitted(item_id="item_7")
    fed(meter, (5.02, committed), (5.1, created()), (5.6, sounds()))
    meter.heard("resp_1", 5.7)
    assert meter.turns[0].item_id == "item_7"
    assert meter.turns[0].seconds == pytest.approx(0.7)


def test_who_goes_on_speaking_is_measured_from_the_later_end() -> None:
    meter = fed(LatencyMeter(), (0.0, VAD), (3.0, stopped("a")), (3.1, created("r1")))
    fed(meter, (3.2, sounds("r1")), (3.3, started("b")))
    meter.heard("r1", 3.4)
    assert meter.turns == ()
    fed(meter, (5.0, stopped("b")), (5.1, created("r2")), (5.3, sounds("r2")))
    meter.heard("r2", 5.4)
    assert [(turn.item_id, turn.response_id) for turn in meter.turns] == [("b", "r2")]


def test_sound_of_an_answer_to_something_else_does_not_count() -> None:
    meter = fed(
        LatencyMeter(), (0, VAD), (1, created("old")), (3, stopped()), (3.1, created("new"))
    )
    fed(meter, (3.2, sounds("old")))
    assert meter.awaited is None
    fed(meter, (3.4, sounds("new")))
    assert meter.awaited == "new"


def test_where_no_response_is_announced_any_sound_counts() -> None:
    """Azure's `webrtcfilter` leaves out `response.created`."""
    meter = fed(LatencyMeter(), (0.0, VAD), (3.0, stopped()), (3.4, sounds("r")))
    assert meter.awaited == "r"


@pytest.mark.parametrize("end", [ev.OutputAudioBufferStopped, ev.OutputAudioBufferCleared])
def test_an_answer_that_ends_before_it_is_heard_is_no_answer(end: Any) -> None:
    meter = fed(LatencyMeter(), (0, VAD), (3, stopped()), (3.1, created()), (3.4, sounds()))
    fed(meter, (3.45, end(response_id="resp_1")))
    meter.heard("resp_1", 3.5)
    assert meter.turns == ()


def test_sound_without_a_turn_before_it_is_not_measured() -> None:
    meter = fed(LatencyMeter(), (0.0, VAD), (1.0, created()), (1.2, sounds()))
    assert meter.awaited is None
    meter.heard("resp_1", 1.3)
    assert meter.turns == ()


def test_the_first_audible_sample_of_a_block() -> None:
    block = np.zeros(240, np.int16)
    assert onset(block) is None
    block[17:] = -99
    assert onset(block) is None
    block[200] = 100
    assert onset(block) == 200
    block[100] = -32768
    assert onset(block) == 100
