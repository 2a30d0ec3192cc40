"""A conversation moves to another session: the real verbs, two session cores, virtual time."""

from __future__ import annotations

import asyncio
import base64

import numpy as np
import pytest
import virtual_loop
from emulator_driver import silence, speech
from moving_call import LOST, MovingCall, NewSession

from rtcvoice import Limits, ServerError, Status
from rtcvoice.conversation.state.replay import CUT_OFF, GO_ON, UNHEARD
from rtcvoice.emulator.session.turn import Turn
from rtcvoice.errors import CallEnded

pytestmark = pytest.mark.usefixtures("no_stray_errors")

SHORT = "This is the first short answer."
SECOND = "And this is the second one."
LONG = " ".join(f"Word{n}" for n in range(60))
TEXT = {"output_modalities": ["text"]}
HEARING = {"audio": {"input": {"transcription": {"model": "gpt-transcribe"}}}}
DEAF = {"audio": {"input": {"transcription": None}}}
MANUAL = {"audio": {"input": {"turn_detection": {"type": "server_vad", "create_response": False}}}}
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


virtual = virtual_loop.within(600)


def texts(call):
    return [(entry["role"], entry["text"]) for entry in call.history if entry["type"] == "message"]


def created(server):
    return len(server.of("response.created"))


# -- what was said ------------------------------------------------------------------------------


@virtual
async def test_the_next_answer_knows_what_was_said_and_nobody_notices_the_move():
    async with MovingCall(Turn(says="reply-1")) as call:
        await (await call.ask("First question?")).played()
        await call.idle()
        before = call.history
        call.shown.clear()
        move = await call.lose_and_reconnect()
        await asyncio.sleep(5.0)
        assert call.history == before
        assert call.known_to_server == [
            ("user", "First question?"),
            ("assistant", SHORT),
            ("system", GO_ON),
        ]
        assert (move.report.replayed, move.report.dropped) == (2, 0)
        assert call.shown == []  # of what was given to the new session
        await (await call.ask("Second question?")).played()
        await call.idle()
        assert texts(call)[2:] == [("user", "Second question?"), ("assistant", SHORT)]
        assert call.said == texts(call)
        assert call.errors == ([], ())


@virtual
async def test_over_many_sessions_the_history_is_whole_and_in_order():
    async with MovingCall(Turn(says="reply-1"), session=TEXT) as call:
        asked = []
        for number in range(5):
            await (await call.ask(f"Question {number}?")).text()
            asked += [("user", f"Question {number}?"), ("assistant", SHORT)]
            await call.idle()
            await call.lose_and_reconnect()
            assert [one for one in call.known_to_server if one[0] != "system"] == asked
        assert texts(call) == asked == call.said


@virtual
async def test_images_and_pairs_of_calls_come_along():
    turn = Turn(says="reply-1", calls="a", then=Turn(says="reply-2"))
    async with MovingCall(turn, session=TEXT) as call:
        call._conversation.state.sequencer.calls_wanted = True
        call._conversation.on_calls = lambda calls: [
            call._conversation.answer_call(one.call_id, "42") for one in calls
        ]
        await (await call.ask("What is this?", images=[PNG])).text()
        await call.idle()
        before = call.history
        await call.lose_and_reconnect()
        created = [event["item"] for event in call.sent("conversation.item.create")]
        again = created[len(created) - 6 :]
        assert [item["type"] for item in again] == [
            "message",
            "message",
            "function_call",
            "function_call_output",
            "message",
            "message",
        ]
        assert again[0]["content"][0]["type"] == "input_image"
        assert again[2]["call_id"] == again[3]["call_id"]
        assert again[3]["output"] == "42"
        assert call.history == before


@virtual
async def test_an_answer_that_is_spoken_ends_as_interrupted_with_what_was_heard():
    async with MovingCall(Turn(says=LONG), hears=True) as call:
        reply = await call.ask("Tell me.")
        await asyncio.sleep(5.0)
        call.lose()
        assert call.flushes[-1] == call._loop.time()  # the ear is silent at once
        assert await reply.text() == LONG
        await reply.played()
        assert reply.status is Status.INTERRUPTED
        await asyncio.sleep(3.0)
        await call.reconnect()
        entry = call.history[-1]
        assert entry["status"] == "interrupted"
        assert 3500 <= entry["heard_ms"] <= 5000
        assert 0 < len(entry["heard_text"]) < len(LONG)
        assert ("assistant", f"{entry['heard_text']} {CUT_OFF}") in call.known_to_server
        assert call.said[-1] == ("assistant", LONG)
        assert call.collected[-1].heard_text == entry["heard_text"]
        assert created(call.server) == 0  # it is not said again


@virtual
async def test_of_silence_before_the_loss_nothing_counts_as_heard():
    async with MovingCall(Turn(says=LONG), hears=True) as call:
        await call.ask("Tell me.")
        await asyncio.sleep(3.0)
        call._cut_wires()
        call._sound()
        call._cut(call._loop.time())  # nothing more arrives
        await asyncio.sleep(10.0)
        call._conversation.leave(LOST)
        await call.idle()
        assert call.history[-1]["heard_ms"] < 3000


@virtual
async def test_a_reply_that_is_made_only_in_part_is_interrupted():
    async with MovingCall(Turn(says=LONG), session=TEXT) as call:
        reply = await call.ask("Tell me.")
        pieces = aiter(reply)
        first = await anext(pieces)
        call.lose()
        assert await reply.text() == first + "".join([piece async for piece in pieces])
        assert reply.status is Status.INTERRUPTED
        assert reply.reason == "connection_lost"
        await call.reconnect()
        assert call.known_to_server[1][1] == f"{reply.text_so_far} {CUT_OFF}"


# -- what was under way -------------------------------------------------------------------------


@pytest.mark.parametrize("after", [0.0, 0.01, 0.02, 0.03, 0.04, 0.05, 0.06])
@pytest.mark.parametrize("text", ["Hello?", None])
@virtual
async def test_what_had_not_begun_is_asked_again_once(after, text):
    async with MovingCall(Turn(says="reply-1"), session=TEXT) as call:
        asked = asyncio.ensure_future(call.ask(text) if text else call.respond())
        await asyncio.sleep(after)
        call.lose()
        await asyncio.sleep(30.0)
        await call.reconnect()
        reply = await asked
        assert await reply.text() == SHORT
        assert reply.status is Status.COMPLETED
        await call.idle()
        assert texts(call) == [("user", text)] * bool(text) + [("assistant", SHORT)]
        assert [one for one in call.known_to_server if one[0] == "user"] == [("user", text)] * bool(
            text
        )
        assert created(call.server) == 1
        assert call.errors == ([], ())


@virtual
async def test_verbs_wait_for_the_connection_and_interrupt_does_not():
    async with MovingCall(Turn(says="reply-1"), session=TEXT) as call:
        call.lose()
        send = asyncio.ensure_future(call.send("One."))
        ask = asyncio.ensure_future(call.ask("Two?"))
        update = asyncio.ensure_future(call.update(instructions="Be brief."))
        seed = asyncio.ensure_future(call.seed([{"role": "user", "text": "Zero."}]))
        event = asyncio.ensure_future(
            call.send_event({"type": "session.update", "session": {"type": "realtime"}})
        )
        await asyncio.sleep(60.0)
        waiting = (send, ask, update, seed, event)
        assert not any(each.done() for each in waiting)
        await asyncio.wait_for(call.interrupt(), 0.001)
        await call.reconnect()
        await asyncio.wait_for(asyncio.gather(send, update, seed, event), 5.0)
        assert await (await ask).text() == SHORT
        await call.idle()
        assert call.session.instructions == "Be brief."
        said = [one for one in call.known_to_server if one[0] == "user"]
        assert sorted(said) == [("user", "One."), ("user", "Two?"), ("user", "Zero.")]
        assert created(call.server) in (1, 2)


@virtual
async def test_what_waits_ends_with_the_call():
    async with MovingCall(Turn(says="reply-1")) as call:
        call.lose()
        verbs = [
            call.send("One."),
            call.ask("Two?"),
            call.respond(),
            call.update(instructions="a"),
            call.seed([{"role": "user", "text": "a"}]),
            call.send_event({"type": "input_audio_buffer.clear"}),
            call.delete("item_1"),
        ]
        waiting = [asyncio.ensure_future(verb) for verb in verbs]
        await asyncio.sleep(100.0)
        call.end(CallEnded("no connection for 100 s", normal=False))
        for result in await asyncio.gather(*waiting, return_exceptions=True):
            assert isinstance(result, CallEnded)


@pytest.mark.parametrize("after", [0.0, 0.03])
@virtual
async def test_a_change_of_the_session_under_way_is_made_again(after):
    async with MovingCall(Turn(says="reply-1")) as call:
        await call.update(instructions="First.")
        change = asyncio.ensure_future(call.update(instructions="Second.", voice="cedar"))
        await asyncio.sleep(after)
        call.lose()
        await asyncio.sleep(12.0)
        assert call._conversation.session_updates["instructions"] == "First."
        await call.reconnect(changes=call._conversation.session_updates)
        await change
        assert call.session.instructions == "Second."
        updates = [event["session"] for event in call.server.of("session.updated")]
        assert [update["instructions"] for update in updates] == ["First.", "Second."]
        assert call._conversation.session_updates["instructions"] == "Second."


@pytest.mark.parametrize("ready", [0.5, 5.0, 15.0])
@virtual
async def test_a_tool_that_runs_goes_on_and_its_result_comes_as_a_pair_once(ready):
    turn = Turn(says="reply-1", calls=("a", "b"), then=Turn(says="reply-2"))
    async with MovingCall(turn, again=[Turn(says="reply-2")], session=TEXT) as call:
        ran = running(call, ready)
        reply = await call.ask("Do it.")
        await call.until("response.done")
        call.lose()
        await asyncio.sleep(10.0)
        await call.reconnect()
        await call.settle(20.0)
        assert ran == ["a", "b"]
        said = [kind for kind, _ in call.known_to_server if kind not in ("system",)]
        assert said[:2] == ["user", "assistant"]
        assert sorted(said[2:6]) == ["function_call"] * 2 + ["function_call_output"] * 2
        outputs = [one for one in call.known_to_server if one[0] == "function_call_output"]
        assert outputs == [("function_call_output", f"result of {name}") for name in "ab"]
        assert created(call.server) == 1
        assert len(reply.response_ids) == 2  # the answer to the results belongs to it
        assert reply.done
        kinds = [entry["type"] for entry in call.history]
        assert sorted(kinds) == sorted(
            ["message"] * 3 + ["function_call"] * 2 + ["function_call_output"] * 2
        )
        assert kinds[-1] == "message"
        assert call.errors == ([], ())


@virtual
async def test_a_call_with_a_long_id_has_a_short_one_everywhere():
    turn = Turn(says="reply-1", calls="a", then=Turn(says="reply-2"))
    long_id = "call_" + "x" * 60

    def lengthen(event):
        if event.get("call_id"):
            event["call_id"] = long_id
        for item in [event.get("item"), *(event.get("response") or {}).get("output", [])]:
            if item and item.get("call_id"):
                item["call_id"] = long_id
        return event

    async with MovingCall(
        turn, again=[Turn(says="reply-2")], session=TEXT, change=lengthen
    ) as call:
        surfaced = []
        call._conversation.state.sequencer.calls_wanted = True
        call._conversation.on_calls = surfaced.extend
        await call.ask("Do it.")
        await call.until("response.done")
        await call.lose_and_reconnect()
        call._conversation.answer_call(long_id, "42")
        await call.settle()
        assert [one.call_id for one in surfaced] == [long_id]
        assert ("function_call_output", "42") in call.known_to_server
        assert {entry["call_id"] for entry in call.history if "call_id" in entry} == {long_id}
        await call.lose_and_reconnect()
        assert ("function_call_output", "42") in call.known_to_server
        assert call.errors == ([], ())


@pytest.mark.parametrize("asked", [True, False])
@virtual
async def test_a_call_whose_arguments_were_not_complete_never_was(asked):
    turn = Turn(says=(), calls="a", then=Turn(says="reply-2"))
    async with MovingCall(turn, session=TEXT if asked else HEARING) as call:
        ran = running(call, 0.1)
        if asked:
            reply = asyncio.ensure_future(call.ask("Do it."))
        else:
            call.speak(1.0)
        await call.until("response.output_item.added")
        call.lose()
        assert [entry["type"] for entry in call.history] == ["message"]
        await asyncio.sleep(1.0)
        await call.reconnect()
        await call.settle(3.0)
        assert ran == ["a"]
        kinds = [entry["type"] for entry in call.history]
        assert kinds == ["message", "function_call", "function_call_output", "message"]
        if asked:
            assert await (await reply).text() == SECOND


@virtual
async def test_an_answer_that_the_server_owed_the_user_comes_on_the_new_connection():
    async with MovingCall(Turn(says="reply-1"), session=HEARING, limit=1 << 20) as call:
        call.speak(1.0)
        await call.until("input_audio_buffer.committed")
        call.lose()
        await asyncio.sleep(2.0)
        await call.reconnect()
        await call.settle(3.0)
        assert created(call.server) == 1
        assert [role for role, _ in texts(call)] == ["user", "assistant"]


# -- what the user said -------------------------------------------------------------------------


@virtual
async def test_a_turn_without_a_transcript_goes_as_its_sound_or_as_a_note():
    async with MovingCall(Turn(says="reply-1"), session=DEAF) as call:
        for _ in range(2):
            call.speak(1.0)
            await call.settle(4.0)
        first, second = [entry["id"] for entry in call.history if entry["role"] == "user"]
        call.kept_audio[second] = speech(1.0)
        await call.lose_and_reconnect()
        sent = {
            e["item"]["id"]: e["item"]["content"] for e in call.sent("conversation.item.create")
        }
        assert sent[first] == [{"type": "input_text", "text": UNHEARD}]
        assert [part["type"] for part in sent[second]] == ["input_audio"]
        assert len(base64.b64decode(sent[second][0]["audio"])) == 48000
        assert call.errors == ([], ())


@virtual
async def test_words_in_the_gap_are_answered_once():
    async with MovingCall(Turn(says="reply-1"), session=HEARING, limit=1 << 20) as call:
        call.lose()
        await asyncio.sleep(3.0)
        await call.reconnect(words=np.concatenate([silence(1.0), speech(1.5), silence(1.0)]))
        await call.settle(5.0)
        assert [role for role, _ in call.known_to_server] == ["user", "assistant"]
        assert created(call.server) == 1
        assert [role for role, _ in texts(call)] == ["user", "assistant"]


@virtual
async def test_words_in_the_gap_and_a_turn_before_them_get_one_answer():
    async with MovingCall(Turn(says="reply-1"), session=HEARING, limit=1 << 20) as call:
        call.speak(1.0)
        await call.until("input_audio_buffer.committed")
        call.lose()
        await asyncio.sleep(3.0)
        await call.reconnect(words=speech(1.5))
        await call.settle(5.0)
        assert created(call.server) == 1
        assert [role for role, _ in texts(call)] == ["user", "user", "assistant"]


@virtual
async def test_who_goes_on_speaking_gets_one_answer():
    async with MovingCall(Turn(says="reply-1"), session=HEARING, limit=1 << 20) as call:
        call.lose()
        call._speech = np.zeros(0, np.int16)
        await asyncio.sleep(3.0)
        call.speak(3.0)
        await call.reconnect(words=speech(2.0))
        await call.settle(8.0)
        assert [role for role, _ in texts(call)][-1] == "assistant"
        assert [role for role, _ in texts(call)].count("user") == 2
        assert call.server.of("response.done")[-1]["response"]["status"] == "completed"
        done = [e["response"]["status"] for e in call.server.of("response.done")]
        assert done.count("completed") == 1


@pytest.mark.parametrize(
    ("session", "words"),
    [
        (HEARING, silence(5.0)),
        (HEARING, np.random.default_rng(1).normal(0, 300, 120_000).astype(np.int16)),
        (HEARING, np.zeros(100, np.int16)),
        (MANUAL, speech(3.0)),
        ({"audio": {"input": {"turn_detection": None}}}, speech(3.0)),
    ],
    ids=["silence", "noise", "nothing", "no create_response", "push to talk"],
)
@virtual
async def test_a_gap_without_words_to_answer_costs_nothing(session, words):
    async with MovingCall(Turn(says="reply-1"), session=session) as call:
        call.lose()
        await call.reconnect(words=words)
        await call.settle(3.0)
        assert call.known_to_server == []
        assert created(call.server) == 0


@pytest.mark.parametrize("released", [1.0, 5.0, 8.0])
@virtual
async def test_a_key_that_is_held_over_the_gap_loses_no_word(released):
    push = {"audio": {"input": {"turn_detection": None}}}
    async with MovingCall(Turn(says="reply-1"), session=push, limit=1 << 20) as call:
        call.mute()
        talking = asyncio.ensure_future(hold(call, released))
        await asyncio.sleep(0.5)
        call.lose()
        await asyncio.sleep(6.0)
        await call.reconnect(words=speech(1.5))
        talk = await talking
        assert await talk.reply.text() == SHORT
        await call.settle()
        after = released > 6.5  # then what came after the gap is an item of its own
        users = ["user"] * (1 + after)
        assert [role for role, _ in call.known_to_server] == [*users, "assistant"]
        assert created(call.server) == 1


async def hold(call, seconds):
    async with call.talk() as talk:
        await asyncio.sleep(seconds)
    return talk


@virtual
async def test_words_of_one_gap_are_known_after_the_next():
    async with MovingCall(Turn(says="reply-1"), session=HEARING, limit=1 << 20) as call:
        await call.lose_and_reconnect(words=speech(1.5))
        assert call._conversation.unconfirmed_since > call._loop.time() - 0.1  # not to come again
        await call.settle(5.0)
        await call.lose_and_reconnect()
        again = [event["item"] for event in call.sent("conversation.item.create")]
        clips = [item["content"][0] for item in again if item["role"] == "user"]
        assert [clip["type"] for clip in clips] == ["input_audio", "input_audio"]
        assert clips[0]["audio"] == clips[1]["audio"]
        assert created(call.server) == 0


@pytest.mark.parametrize("after", [0.0, 0.01, 0.03, 0.05, 0.1, 0.3])
@virtual
async def test_words_of_a_gap_outlive_a_connection_that_dies_young(after):
    async with MovingCall(Turn(says="reply-1"), session=HEARING, limit=1 << 20) as call:
        call.lose()
        new = NewSession(call, seed=50)
        await new.move.ready()
        await new.move.seed()
        call.exchange(new, words=speech(1.5))
        finishing = asyncio.ensure_future(new.move.finish())
        await asyncio.sleep(after)
        await call.lose_and_reconnect(words=silence(2.0))
        await finishing
        await call.settle(5.0)
        assert [role for role, _ in call.known_to_server] == ["user", "assistant"]
        assert [role for role, _ in texts(call)] == ["user", "assistant"]
        assert created(call.server) == 1


# -- what the user is told ----------------------------------------------------------------------


@virtual
async def test_who_waits_for_the_end_of_a_response_is_told_of_it():
    async with MovingCall(Turn(says=LONG), hears=True) as call:
        await call.ask("Tell me.")
        await asyncio.sleep(3.0)
        done = asyncio.ensure_future(call.wait_for("output_audio_buffer.cleared"))
        await asyncio.sleep(0)
        call.lose()
        assert (await done).response_id == call.usage.responses[-1].response_id
        await call.reconnect()
        await call.ask("Again.")
        await asyncio.sleep(0.1)
        over = asyncio.ensure_future(call.wait_for("response.done"))
        await asyncio.sleep(0)
        call.lose()
        event = await over
        begun = [each["response"]["id"] for each in call.server.of("response.created")]
        assert [event.response.id] == begun
        assert event.response.status_details.reason == "connection_lost"
        assert call.usage.cost is None  # what that one used is never told
        await call.reconnect()
        await call.idle()
        assert call.collected[1].reason == "connection_lost"


@virtual
async def test_answers_in_writing_stay_so_and_spoken_ones_are_asked_for_as_such():
    async with MovingCall(Turn(says="reply-1")) as call:
        await (await call.ask("One?")).played()
        await call.idle()
        await call.lose_and_reconnect()
        await (await call.ask("Two?")).played()
        asked = call.sent("response.create")[-1]["response"]
        assert asked["output_modalities"] == ["audio"]
        await call.update(output_modalities=["text"])
        await (await call.ask("Three?")).text()
        assert call.sent("response.create")[-1]["response"]["output_modalities"] == ["text"]
        await (await call.ask("Four?", output_modalities=["audio"])).text()
        assert call.sent("response.create")[-1]["response"]["output_modalities"] == ["audio"]


@virtual
async def test_a_session_that_only_writes_down_is_given_nothing():
    async with MovingCall(session=HEARING, limit=1 << 20) as call:
        call.speak(1.0)
        await call.settle(3.0)
        assert call.history
        call._conversation.state.session = type(call.session)(type="transcription")
        call.lose()
        new = NewSession(call, seed=50)
        await new.move.seed()
        assert new.move.caught_up
        assert new.move.tokens.total == 0
        assert new.server.of("conversation.item.added") == []
        new.move.abandon(CallEnded("over", normal=True))


@virtual
async def test_what_the_replay_costs_is_known_before_it_is_sent():
    async with MovingCall(Turn(says="reply-1"), session=TEXT) as call:
        await (await call.ask("What is this?" * 100, images=[PNG])).text()
        await call.idle()
        call._conversation.accounts._limits = Limits(tokens=2000)
        call.lose()
        new = NewSession(call, seed=50)
        assert new.move.tokens.input_text > 400
        assert new.move.tokens.input_image > 0
        assert 0.001 < new.move.cost < 0.1
        used = call.usage.tokens.total
        call._conversation.accounts._limits = Limits(tokens=used + new.move.tokens.total + 1)
        assert new.move.affordable
        call._conversation.accounts._limits = Limits(tokens=used + new.move.tokens.total)
        assert not new.move.affordable
        new.move.abandon(CallEnded("over", normal=True))


@virtual
async def test_a_history_that_is_being_brought_in_is_in_once_and_in_order():
    async with MovingCall(Turn(says="reply-1"), session=TEXT, uplink=2000) as call:
        history = [{"role": "user", "text": f"{n} " + "x" * 300} for n in range(80)]
        seeding = asyncio.ensure_future(call.seed(history))
        await asyncio.sleep(5.0)
        assert 0 < len(call.history) < 80
        await call.lose_and_reconnect()
        await seeding
        wanted = [("user", entry["text"]) for entry in history]
        assert texts(call) == wanted
        assert [one for one in call.known_to_server if one[0] == "user"] == wanted


# -- make before break --------------------------------------------------------------------------


@virtual
async def test_what_ends_while_the_next_session_is_prepared_comes_along():
    async with MovingCall(Turn(says="reply-1")) as call:
        await (await call.ask("One?")).played()
        await call.idle()
        new = NewSession(call, seed=50)
        await new.move.ready()
        await new.move.seed()
        assert new.move.caught_up
        reply = await call.ask("Two?")
        assert not new.move.caught_up
        assert not call._conversation.is_quiet
        await new.move.catch_up()
        await reply.played()
        await call.idle()
        assert call._conversation.is_quiet
        await new.move.catch_up()
        assert new.move.caught_up
        flushes = len(call.flushes)
        call.exchange(new)
        assert len(call.flushes) == flushes  # nothing was cut
        await new.move.finish()
        await (await call.ask("Three?")).played()
        await call.idle()
        answered = [one for one in call.known_to_server if one[0] != "system"]
        expected = []
        for word in ("One?", "Two?"):
            expected += [("user", word), ("assistant", SHORT)]
        assert answered[:4] == expected
        assert texts(call) == [*expected, ("user", "Three?"), ("assistant", SHORT)] == call.said
        assert reply.status is Status.COMPLETED


@virtual
async def test_an_exchange_in_the_middle_of_an_answer_cuts_it():
    async with MovingCall(Turn(says=LONG), hears=True) as call:
        reply = await call.ask("Tell me.")
        await asyncio.sleep(3.0)
        new = NewSession(call, seed=50)
        await new.move.ready()
        await new.move.seed()
        call._conversation.leave(LOST)
        await new.move.catch_up()
        call.exchange(new)
        await reply.played()
        assert reply.status is Status.INTERRUPTED
        assert call.known_to_server[-1][1].endswith(CUT_OFF)
        assert await (await call.ask("Go on.")).text() == LONG


@virtual
async def test_a_verb_that_is_under_way_at_the_exchange_is_not_lost():
    async with MovingCall(Turn(says="reply-1"), session=TEXT) as call:
        new = NewSession(call, seed=50)
        await new.move.ready()
        await new.move.seed()
        asked = asyncio.ensure_future(call.ask("Now?"))
        await asyncio.sleep(0.01)
        call.exchange(new)
        assert await (await asked).text() == SHORT
        await call.idle()
        assert texts(call) == [("user", "Now?"), ("assistant", SHORT)]


@virtual
async def test_a_session_that_is_given_up_lets_nobody_wait():
    async with MovingCall(Turn(says="reply-1"), session=TEXT) as call:
        await (await call.ask("One?")).text()
        await call.idle()
        new = NewSession(call, seed=50)
        await new.move.ready()
        new.cut()
        seeding = asyncio.ensure_future(new.move.seed())
        await asyncio.sleep(1.0)
        new.move.abandon(CallEnded("it is gone", normal=False))
        with pytest.raises(CallEnded, match="it is gone"):
            await seeding
        with pytest.raises(CallEnded):
            await NewSessionless(call).ready()
        assert await (await call.ask("Two?")).text() == SHORT


class NewSessionless:
    """A move whose leg is gone before its session has come."""

    def __init__(self, call):
        new = NewSession(call, seed=51, rename=lambda event: None)
        self.ready = new.move.ready
        call._loop.call_later(1.0, new.move.abandon, CallEnded("it is gone", normal=False))


# -- other servers ------------------------------------------------------------------------------


@virtual
async def test_a_server_that_makes_up_its_own_ids():
    names = {}

    def rename(event):
        item = event.get("item")
        if item and len(names) < 3:
            names.setdefault(item["id"], f"srv_{len(names)}")

        def swap(value):
            return names.get(value, value)

        if item:
            item["id"] = swap(item["id"])
        for key in ("item_id", "previous_item_id"):
            if event.get(key):
                event[key] = swap(event[key])
        return event

    async with MovingCall(Turn(says="reply-1"), session=TEXT) as call:
        await (await call.ask("One?")).text()
        await call.idle()
        before = call.history
        await call.lose_and_reconnect(rename=rename)
        assert names
        assert call.history == before
        await asyncio.sleep(1.0)
        await (await call.respond()).text()
        await call.idle()
        assert texts(call)[2:] == [("assistant", SHORT)]
        assert call.history[:2] == before


@virtual
async def test_what_a_server_refuses_is_left_out_and_counted():
    async with MovingCall(Turn(says="reply-1"), session=TEXT) as call:
        await (await call.ask("One?")).text()
        await call.idle()
        call.lose()
        new = NewSession(call, seed=50)
        await new.move.ready()
        first = call.history[0]["id"]
        new.server.say("In the way.", id=first)  # there is an item of that id already
        await asyncio.sleep(1.0)
        await new.move.seed()
        assert (new.move.report.replayed, new.move.report.dropped) == (1, 1)
        call.exchange(new)
        assert await (await call.ask("Two?")).text() == SHORT


@virtual
async def test_an_item_is_deleted_here_and_there():
    async with MovingCall(Turn(says="reply-1"), session=TEXT) as call:
        await call.update(session={"truncation": "disabled"})
        await (await call.ask("One?")).text()
        await call.idle()
        assert call._conversation.session_updates["truncation"] == "disabled"
        first, second = [entry["id"] for entry in call.history]
        await call.delete(first)
        assert [entry["id"] for entry in call.history] == [second]
        await call.lose_and_reconnect(max_items=0)
        assert call.known_to_server == []
        await call.delete(second)  # the session does not have it
        assert call.history == []
        await call.delete("nobody")
        with pytest.raises(ServerError):
            await call.update(tool_choice="nonsense")


def running(call, seconds):
    """Answer the calls of functions after some seconds; return the names of those that ran."""
    ran = []

    async def run(one):
        ran.append(one.name)
        await asyncio.sleep(seconds)
        call._conversation.answer_call(one.call_id, f"result of {one.name}")

    tasks = set()
    call._conversation.state.sequencer.calls_wanted = True
    call._conversation.on_calls = lambda calls: tasks.update(
        asyncio.ensure_future(run(one)) for one in calls
    )
    return ran
