"""Scenes of other tests, recorded and done again against the same script: the same turns.

A sample of them; `scripts/replays` does it with all.
"""

from __future__ import annotations

import pytest
import replaying
import test_conversation_scenarios as scenes
import test_push_to_talk as pressing
import test_websocket_scenarios as over_a_socket
from replaying import VirtualCall

pytestmark = pytest.mark.usefixtures("no_stray_errors")

SCENES = {
    "a question in writing": scenes.test_a_question_is_asked_in_writing_and_answered_aloud,
    "what is sent meanwhile": scenes.test_what_is_sent_meanwhile_is_answered_once_together,
    "barge-in": lambda: scenes.test_barge_in(2.5),
    "interrupted by the program": lambda: scenes.test_interrupt(0.5),
    "speech and writing": lambda: scenes.test_a_wish_at_the_moment_when_the_server_answers_speech(
        0.1
    ),
    "silence is answered": scenes.test_silence_is_answered_too,
    "two tools": lambda: scenes.test_parallel_calls_with_commentary_are_answered_together(0.1),
    "speech while tools run": (
        scenes.test_a_user_who_speaks_while_tools_run_gets_one_answer_to_both
    ),
    "stopped by hand": scenes.test_what_was_stopped_by_hand_is_not_taken_up_again,
    "refused": scenes.test_a_refusal_is_raised_where_it_belongs,
    "taken back": scenes.test_a_question_that_nobody_waits_for_any_more,
    "beside the conversation": scenes.test_out_of_band_responses_run_beside_the_others,
    "images": scenes.test_images_that_do_not_fit_together_go_one_by_one,
    "a clip": scenes.test_a_long_clip_is_parted_where_it_is_quiet,
    "a history": scenes.test_a_history_may_be_made_up,
    "transcription": scenes.test_a_transcription_session_has_turns_of_the_user_only,
    "push to talk": pressing.test_press_speak_release,
    "the key stops the answer": lambda: pressing.test_a_press_stops_the_answer(0.5),
    "the key is held": pressing.test_nobody_speaks_into_the_users_words,
    "dictation": pressing.test_dictation_by_push_to_talk,
}

OVER_A_SOCKET = {
    "two interruptions": over_a_socket.test_two_interruptions_are_one,
    "two answers": over_a_socket.test_what_is_heard_is_told_as_the_server_would,
    "cut by hand": (
        lambda: over_a_socket.test_what_was_heard_of_an_answer_that_was_cut_is_known_to_20_ms(
            2.5, 0.2, "by hand"
        )
    ),
}


def replayed(monkeypatch, scene, **options):
    with replaying.recording(monkeypatch, scenes, pressing, over_a_socket) as made:
        scene()
        results = replaying.replay_all(made, **options)
    assert results
    for result in results:
        assert result.same_turns, f"the replay is another call\n{result}"
    return results


@pytest.mark.parametrize("name", SCENES)
def test_a_scene_is_done_again(name, monkeypatch):
    (*_, result) = replayed(monkeypatch, SCENES[name])
    assert result.now.turns or name in ("a history",)
    assert not result.left_out


@pytest.mark.parametrize("name", OVER_A_SOCKET)
def test_a_scene_over_a_websocket_is_done_again(name, monkeypatch):
    monkeypatch.setattr(VirtualCall, "socket", True)
    (result,) = replayed(monkeypatch, OVER_A_SOCKET[name])
    assert result.now.turns


def test_by_the_clock_it_is_the_same_where_the_server_takes_as_long(monkeypatch):
    replayed(monkeypatch, SCENES["barge-in"], by_clock=True)
