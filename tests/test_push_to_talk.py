"""Push to talk, in virtual time: the last syllable is in, a slip is harmless, an answer stops."""

from __future__ import annotations

import asyncio

import pytest
from test_conversation_scenarios import HEARING, PUSH, SHORT, virtual
from virtual_call import VirtualCall

from rtcvoice import ConfigError, ServerError, Status
from rtcvoice.conversation.asking.talk import SHORTEST, TAIL
from rtcvoice.emulator.session.turn import Turn
from rtcvoice.errors import CallEnded

pytestmark = pytest.mark.usefixtures("no_stray_errors")

TALKING = {"audio": {"input": {**PUSH["audio"]["input"], **HEARING["audio"]["input"]}}}


def talking(*turns, **options):
    call = VirtualCall(*turns, session={**TALKING, **options.pop("session", {})}, **options)
    call.microphone = False
    return call


@virtual
async def test_press_speak_release():
    async with talking(Turn(hears="How are you?", says="reply-1")) as call:
        async with call.talk() as talk:
            assert call.microphone
            call.speak(1.0)
            await asyncio.sleep(1.0)
        assert not call.microphone
        assert await talk.reply.text() == SHORT
        await talk.reply.played()
        await call.idle()
        assert call.said == [("user", "How are you?"), ("assistant", SHORT)]
        order = [event["type"] for event in call._sent]
        assert order == ["input_audio_buffer.clear", "input_audio_buffer.commit", "response.create"]
        assert call.errors == ([], ())


@virtual
async def test_the_last_syllable_is_in():
    async with talking(Turn(says="reply-1")) as call:
        async with call.talk():
            call.speak(1.0)
            await asyncio.sleep(1.0)
            released = asyncio.get_running_loop().time()
        turns = call.server.session._turns
        committed = call.server.time_of("input_audio_buffer.committed") + call._behind
        assert committed >= released + TAIL  # what was said until the release is long there
        assert turns.speaking is False


@virtual
async def test_the_microphone_stays_open_for_the_tail():
    async with talking() as call:
        talk = call.talk()
        await talk.__aenter__()
        await asyncio.sleep(1.0)
        leaving = asyncio.ensure_future(talk.__aexit__(None, None, None))
        await asyncio.sleep(TAIL - 0.01)
        assert call.microphone
        assert call.sent("input_audio_buffer.commit") == []
        await asyncio.sleep(0.02)
        assert not call.microphone
        assert len(call.sent("input_audio_buffer.commit")) == 1
        await leaving


@pytest.mark.parametrize("held", [0.0, SHORTEST - 0.01])
@virtual
async def test_a_slip_says_nothing(held):
    async with talking() as call:
        async with call.talk() as talk:
            await asyncio.sleep(held)
        assert talk.reply is None
        await call.settle()
        assert [event["type"] for event in call._sent] == ["input_audio_buffer.clear"] * 2
        assert call.said == []
        assert not call.microphone


@virtual
async def test_a_commit_of_too_little_is_absorbed():
    async with talking() as call:
        call._open_microphone = lambda on: None
        await call._conversation._confirmations.confirm(
            _clear(), call._conversation.send, lambda event: "cleared" in event.type, what="x"
        )
        assert await call._conversation.commands.commit_input() is None
        assert call.absorbed_errors == {"input_audio_buffer_commit_empty": 1}
        assert call.errors[1] == ()


def _clear():
    from rtcvoice.events import InputAudioBufferClear

    return InputAudioBufferClear(event_id="rtcvoice_clear")


@pytest.mark.parametrize("after", [0.5, 3.0], ids=["while generating", "while only playing"])
@virtual
async def test_a_press_stops_the_answer(after):
    async with talking(Turn(says="talk"), Turn(hears="Stop.", says="reply-1")) as call:
        first = await call.ask("Talk!")
        await call.until("output_audio_buffer.started")
        await asyncio.sleep(after)
        async with call.talk() as talk:
            assert len(call.flushes) == 1
            call.speak(0.8)
            await asyncio.sleep(0.8)
        assert await talk.reply.text() == SHORT
        assert first.status is Status.INTERRUPTED
        await talk.reply.played()
        await call.idle()
        assert [role for role, _ in call.said] == ["user", "assistant", "user", "assistant"]
        assert call.errors[1] == ()


@virtual
async def test_nobody_speaks_into_the_users_words():
    async with talking(Turn(says="talk"), Turn(says="reply-1")) as call:
        await call.ask("Talk!")
        await call.send("Something else.")  # it waits for its turn
        async with call.talk() as talk:
            call.speak(2.0)
            await asyncio.sleep(2.0)
            assert len(call.server.of("response.created")) == 1
        assert await talk.reply.text()
        await call.idle()
        assert len(call.server.of("response.created")) == 2  # one answer to both


@virtual
async def test_an_exception_in_the_block_says_nothing():
    async with talking() as call:
        with pytest.raises(KeyError):  # noqa: PT012
            async with call.talk():
                await asyncio.sleep(1.0)
                raise KeyError
        await call.settle()
        assert call.sent("input_audio_buffer.commit") == []
        assert not call.microphone
        async with call.talk() as talk:  # and one can talk again
            await asyncio.sleep(0.5)
        assert talk.reply is not None


@pytest.mark.parametrize("after", [0.3, 1.05])
@virtual
async def test_a_cancelled_talk_closes_the_microphone(after):
    async with talking() as call:

        async def hold():
            async with call.talk():
                await asyncio.sleep(1.0)

        holding = asyncio.ensure_future(hold())
        await asyncio.sleep(after)
        holding.cancel()
        with pytest.raises(asyncio.CancelledError):
            await holding
        await call.settle()
        assert not call.microphone
        assert call.sent("input_audio_buffer.commit") == []
        assert call.said == []


@virtual
async def test_two_cannot_talk_at_once():
    async with talking() as call, call.talk():
        with pytest.raises(ConfigError, match="somebody talks already"):
            async with call.talk():
                pass
        await asyncio.sleep(0.3)


@virtual
async def test_with_turn_detection_on_it_is_refused_with_the_cure():
    async with VirtualCall() as call:
        with pytest.raises(ConfigError, match="turn_detection=None"):
            async with call.talk():
                pass
        assert call.microphone


@virtual
async def test_without_an_answer():
    async with talking(Turn(hears="A note.")) as call:
        async with call.talk(respond=False) as talk:
            await asyncio.sleep(0.5)
        await call.settle(2.0)
        assert talk.reply is None
        assert call.said == [("user", "A note.")]
        assert call.sent("response.create") == []


@virtual
async def test_dictation_by_push_to_talk():
    async with talking(Turn(hears="A note."), session={"type": "transcription"}) as call:
        async with call.talk() as talk:
            await asyncio.sleep(0.5)
        await call.settle(2.0)
        assert talk.reply is None
        assert call.said == [("user", "A note.")]


@virtual
async def test_a_refused_answer_is_raised_at_the_release():
    async with talking(Turn(refused="server_error")) as call:
        talk = call.talk()
        await talk.__aenter__()
        await asyncio.sleep(0.5)
        with pytest.raises(ServerError):
            await talk.__aexit__(None, None, None)
        assert not call.microphone


@virtual
async def test_the_call_ends_while_the_key_is_held():
    async with talking() as call:
        with pytest.raises(CallEnded, match="gone"):  # noqa: PT012
            async with call.talk():
                await asyncio.sleep(0.5)
                call.end(CallEnded("gone", normal=False))
        assert not call.microphone


@virtual
async def test_once_closed_a_press_opens_nothing():
    async with talking() as call:
        call._conversation.requests.close(CallEnded("the limit was reached", normal=True))
        with pytest.raises(CallEnded, match="the limit was reached"):
            async with call.talk():
                raise AssertionError("the microphone is open")
        assert not call.microphone
        assert call._sent == ()
