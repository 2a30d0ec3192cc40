"""A call without audio: `rtcvoice.attach`, against the emulator's sidebands."""

from __future__ import annotations

import asyncio

import pytest
from live import KEY, BentEmulator, Census, calling, eventually

import rtcvoice
from rtcvoice.emulator import Emulator, LiveOptions, Turn

pytestmark = pytest.mark.usefixtures("no_stray_errors")

QUICKLY = LiveOptions(close_delay=0.05, leaves_after=0.1)
LIVE = "gpt-live-1.1"
THANKS = "Thank you, goodbye."
IDLE = rtcvoice.Limits(idle=60)


def attaching(server, call_id, **options):
    given = {"api_key": KEY, "base_url": server.url, "limits": IDLE, **options}
    return rtcvoice.attach(call_id, **given)


def weather(city: str) -> str:
    """Tell the weather."""
    return f"sunny in {city}"


def cut(call):
    """Break the TCP connection of the socket."""
    call._roads.leg.transport._socket.transport.abort()


async def test_it_sees_turns_runs_tools_and_has_the_assistant_speak():
    script = [
        Turn(calls=({"weather": {"city": "Oslo"}},), then=Turn(says="sunny")),
        Turn(says="thanks"),
    ]
    async with BentEmulator(script=script) as server:
        census = Census()
        async with (
            calling(server) as browser,
            attaching(server, browser.id, tools=[weather], instructions="Be brief.") as call,
        ):
            assert call.id == browser.id
            assert call.session.instructions == "Be brief."
            seen = browser.turns()
            turns = call.turns()
            reply = await call.ask("What is the weather like?")
            assert await asyncio.wait_for(reply.text(), 20)
            assert [(await anext(turns)).role for _ in range(2)] == ["user", "assistant"]
            assert (await anext(seen)).text == "What is the weather like?"
            kinds = [entry["type"] for entry in call.history]
            assert kinds.count("function_call") == kinds.count("function_call_output") == 1
            assert "sunny in Oslo" in str(server.last().from_client("conversation.item.create"))
            again = await call.say("Thank you.")
            assert await again.text() == THANKS
            assert call.usage.cost > 0
            await call.update(instructions="Be polite.")
            await eventually(lambda: browser.session.instructions == "Be polite.")
        assert browser.state is rtcvoice.CallState.ENDED
        await server.end_calls()
        await census.check()


async def test_leaving_leaves_the_call_and_hanging_up_ends_it_for_everybody(emulator):
    async with calling(emulator) as browser:
        async with attaching(emulator, browser.id) as call:
            pass
        assert (await call.wait_ended()).normal
        assert not emulator.last().ended
        async with attaching(emulator, browser.id) as call:
            await call.hangup()
        assert emulator.last().ended
        await asyncio.wait_for(browser.wait_ended(), 20)


async def test_a_limit_hangs_the_call_up(emulator):
    async with (
        calling(emulator) as browser,
        attaching(emulator, browser.id, limits=rtcvoice.Limits(idle=0.2)) as call,
    ):
        end = await asyncio.wait_for(call.wait_ended(), 20)
        assert end.normal
        assert "silence" in str(end)
        assert emulator.last().ended


async def test_the_end_of_the_call_is_a_normal_end(emulator):
    async with calling(emulator) as browser, attaching(emulator, browser.id) as call:
        await browser.hangup()
        end = await asyncio.wait_for(call.wait_ended(), 20)
    assert (str(end), end.normal) == ("the call has ended", True)


async def test_a_socket_that_breaks_is_opened_again_to_the_same_session():
    script = [Turn(says="twenty"), Turn(says="thanks")]
    async with (
        BentEmulator(script=script) as server,
        calling(server) as browser,
        attaching(server, browser.id) as call,
    ):
        assert await (await call.ask("How many?")).text() == "twenty"
        told = call.events("rtcvoice.reconnec*")
        cut(call)
        reply = await call.ask("Thank you.")  # waits until there is a socket again
        assert await reply.text() == THANKS
        assert [(await anext(told)).type for _ in range(2)] == [
            "rtcvoice.reconnecting",
            "rtcvoice.reconnected",
        ]
        assert {leg.id for leg in call.legs} == {browser.id}
        assert len(call.legs) == 2
        assert len(server.calls) == 1
        said = [entry["text"] for entry in call.history]
        assert said == ["How many?", "twenty", "Thank you.", THANKS]
        assert len(browser.history) == len(said)
        await call.hangup()
        assert server.last().ended


async def test_what_was_sent_before_the_loss_is_in_once(emulator):
    async with calling(emulator) as browser, attaching(emulator, browser.id) as call:
        leg = call._roads.leg
        leg.detach()  # the server's word is lost
        sending = asyncio.create_task(call.seed([{"role": "user", "text": "Once."}]))
        await eventually(lambda: browser.history)
        cut(call)
        await asyncio.wait_for(sending, 20)
        assert [entry["text"] for entry in call.history] == ["Once."]
        assert len(browser.history) == 1


async def test_a_call_that_ended_while_there_was_no_socket_is_over(emulator):
    async with calling(emulator) as browser, attaching(emulator, browser.id) as call:
        leg = call._roads.leg
        leg.detach()
        await emulator.hang_up(browser.id)
        cut(call)
        end = await asyncio.wait_for(call.wait_ended(), 20)
    assert (str(end), end.normal) == ("the call has ended", True)


async def test_without_reconnect_the_loss_is_the_end_of_our_part(emulator):
    async with (
        calling(emulator) as browser,
        attaching(emulator, browser.id, reconnect=None) as call,
    ):
        cut(call)
        end = await asyncio.wait_for(call.wait_ended(), 20)
        assert not end.normal
        assert not emulator.last().ended


async def test_what_needs_the_audio_says_that_it_is_elsewhere(emulator):
    async with calling(emulator) as browser, attaching(emulator, browser.id) as call:
        for verb in (call.audio, call.mute, call.unmute):
            with pytest.raises(rtcvoice.ConfigError, match="its audio goes past this program"):
                verb()
        with pytest.raises(rtcvoice.ConfigError, match="finished"):
            await call.finished()


def holds_audio(server):
    """Whether the emulator has got as much since the buffer was cleared as can be committed."""
    return server.last().peer._session._turns._buffered() > 2400


async def test_the_key_of_a_talk_is_held_by_the_other_side():
    async with (
        BentEmulator(script=[Turn(says="thanks")]) as server,
        calling(server, turn_detection=None) as browser,
        attaching(server, browser.id) as call,
    ):
        cleared = call.expect("input_audio_buffer.cleared", timeout=20)
        async with call.talk() as talk:
            await cleared
            await eventually(lambda: holds_audio(server))
        assert talk.reply is not None
        assert await talk.reply.text() == THANKS


@pytest.mark.parametrize("call_id", ["", "rtc_a/b", "..", "rtc_\n", 7, None])
def test_what_is_no_id_is_refused_before_anything_is_sent(call_id):
    with pytest.raises(rtcvoice.ConfigError, match="id"):
        rtcvoice.attach(call_id, api_key=KEY)


@pytest.mark.parametrize("name", ["network", "transport", "ice_servers", "source", "history"])
def test_what_is_about_audio_is_refused_where_the_audio_is_somebody_elses(name):
    async def agent(call):
        """Do nothing."""

    with pytest.raises(rtcvoice.ConfigError, match=f"{name}= is no option of attach.*goes past"):
        rtcvoice.attach("rtc_1", api_key=KEY, **{name: "far"})
    with pytest.raises(rtcvoice.ConfigError, match=f"{name}= is no option of a CallServer"):
        rtcvoice.CallServer(agent, api_key=KEY, **{name: "far"})


def test_tokens_and_unencrypted_ways_are_refused():
    with pytest.raises(rtcvoice.CredentialsError, match="API key"):
        rtcvoice.attach("rtc_1", credentials=rtcvoice.EphemeralToken("ek_1"))
    with pytest.raises(rtcvoice.ConfigError, match="unencrypted"):
        rtcvoice.attach("rtc_1", api_key=KEY, base_url="http://192.0.2.1/v1")
    with pytest.raises(rtcvoice.ConfigError, match="instructions="):
        rtcvoice.attach("live_u1_1", api_key=KEY, instructions="Be brief.")


async def test_an_unknown_call_is_named_so(emulator):
    with pytest.raises(rtcvoice.SignalingError, match="404") as raised:
        async with attaching(emulator, "rtc_unknown"):
            pass
    assert raised.value.status == 404
    assert "the call is over" in raised.value.hint


async def test_a_call_of_realtime_without_a_limit_on_silence_says_so(emulator, caplog):
    async with calling(emulator) as browser, attaching(emulator, browser.id, limits=None):
        pass
    assert "nobody tells this program when the other side leaves" in caplog.text


async def test_without_asyncio(emulator):
    def program(call_id):
        options = {"api_key": KEY, "base_url": emulator.url, "limits": IDLE}
        with rtcvoice.blocking.attach(call_id, **options) as call:
            return call.ask("Hello.").text()

    async with calling(emulator) as browser:
        assert await asyncio.to_thread(program, browser.id)


# -- GPT-Live --------------------------------------------------------------------------------------


async def test_a_live_session_is_seen_and_steered():
    turn = Turn(calls=({"weather": {"city": "Oslo"}},), then=Turn(says="sunny"))
    async with Emulator(seed=1, live=QUICKLY, script=[turn]) as server:
        census = Census()
        async with (
            calling(server, model=LIVE, backend={"model": "gpt-6-luna"}) as browser,
            attaching(server, browser.id, tools=[weather]) as call,
        ):
            assert (call.id, call.session.model) == (browser.id, LIVE)
            turns = call.turns()
            reply = await call.ask("What is the weather like?")
            assert await asyncio.wait_for(reply.text(), 30)
            said = [await asyncio.wait_for(anext(turns), 30) for _ in range(2)]
            assert [turn.role for turn in said] == ["user", "assistant"]
            assert call.latency is not None
            call.mute()
            await call.wait_for("session.input_audio.muted", timeout=20)
            assert call.muted
            assert call.usage.cost > 0
            cut(call)
            await call.wait_for("rtcvoice.reconnected", timeout=20)
            await call.instruct("Be brief.")
            assert len({leg.id for leg in call.legs}) == 1
            with pytest.raises(rtcvoice.ConfigError, match="fork"):
                call.fork()
            await call.hangup()
            await eventually(lambda: server.calls[browser.id].ended)
        await census.check()


async def test_leaving_a_live_session_leaves_it_and_its_end_is_told():
    async with (
        Emulator(seed=1, live=QUICKLY) as server,
        calling(server, model=LIVE) as browser,
    ):
        async with attaching(server, browser.id):
            pass
        assert not server.calls[browser.id].ended
        async with attaching(server, browser.id) as call:
            await browser.hangup()
            end = await asyncio.wait_for(call.wait_ended(), 20)
            assert end.normal
