"""Calls of GPT-Live to the emulator, over real WebRTC: the verbs, the end, another session."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from deadlines import too_late_in
from live import Ear, calling, eventually

import rtcvoice
from rtcvoice import events
from rtcvoice.config.dialect import config_for
from rtcvoice.doctor.finding import Severity
from rtcvoice.doctor.trial import look_at_call
from rtcvoice.emulator import Emulator, Turn
from rtcvoice.emulator.live.options import LiveOptions
from rtcvoice.emulator.voice import PromptVoice
from rtcvoice.events import live
from rtcvoice.rest.credentials import ApiKey
from rtcvoice.rest.live_signaling import LiveSignaling

QUICK = LiveOptions(close_delay=0.05, leaves_after=0.2)
CLIP = PromptVoice().clip("stop").samples


def live_calling(server, **options):
    return calling(server, model="gpt-live-1.1", **options)


def sent(server, call):
    """Return the types of what the server was sent, in order."""
    return [event["type"] for event in server.calls[call.id].from_client()]


async def test_a_call_says_is_silenced_muted_changed_and_closed():
    ear = Ear()
    async with Emulator(seed=1, live=QUICK) as server:
        async with live_calling(server, sink=ear, backend="gpt-6-sol", voice="cedar") as call:
            assert call.session.audio.output.voice == "cedar"
            assert call.id.startswith("live_u")
            async with call.expect(events.AssistantStarted, timeout=30) as started:
                reply = await call.say("Please tell me a very long story about a jitter buffer.")
                await started
            call.mute()
            await call.wait_for(live.InputAudioMuted, timeout=30)
            assert call.muted
            session = await call.update(backend="gpt-6-luna", acknowledge_after=0.5)
            assert session.model == "gpt-live-1.1"
            await call.think("The user likes tea.")
            await call.interrupt()
            assert reply.status is rtcvoice.Status.INTERRUPTED
            await call.wait_for(live.InstructionsAppended, timeout=30)
            call.unmute()
            await call.wait_for(live.InputAudioUnmuted, timeout=30)
            call_id = call.id
        end = await call.wait_ended()
        assert (end.normal, end.reason) == (True, "hung up")
        emulated = server.calls[call_id]
        assert sent(server, call) == [
            "session.commentary.append",
            "session.input_audio.mute",
            "session.update",
            "session.thinking.append",
            "session.instructions.append",
            "session.input_audio.unmute",
            "session.close",
        ]
        assert emulated.ended
        assert call.usage.seconds > 0.5
        assert call.usage.cost == pytest.approx(call.usage.seconds / 60 * 0.05)


async def test_verbs_that_gpt_live_lacks_say_what_there_is():
    async with Emulator(seed=1, live=QUICK) as server, live_calling(server) as call:
        for verb, hint in (
            (call.seed([]), "history="),
            (call.delete("item"), "instruct"),
            (call.ask("Hello", metadata={"a": "b"}), "text"),
            (call.respond(conversation="none"), "instructions"),
            (call.send("Look", images=[b"\x89PNG\r\n\x1a\n"]), "backend"),
            (call.send(audio=np.zeros(100, np.int16)), "FileSource"),
            (call.ask(audio=CLIP, images=["x"]), "send(images=...)"),
            (call.update(instructions="Be brief."), "instruct"),
            (call.update(voice="cedar"), "backend"),
            (call.update(backend="gpt-6-sol"), "backend"),
            (call.say(" "), ""),
            (call.send_event({"type": "response.cancel"}), "session.close"),
        ):
            with pytest.raises(rtcvoice.ConfigError) as error:
                await verb
            assert hint in error.value.hint
        with pytest.raises(rtcvoice.ConfigError):
            call.talk(respond=False)
        with pytest.raises(rtcvoice.ConfigError, match="by itself"):
            call.resume_after_noise()
        with pytest.raises(rtcvoice.ConfigError, match="not stored"):
            call.fork()
        assert sent(server, call) == []


async def test_push_to_talk_and_a_clip_that_is_heard_as_if_the_user_said_it():
    script = [Turn(hears="Stop, please.", clip="stop", says=("it-is-done",))]
    async with Emulator(seed=1, live=QUICK, script=script) as server, live_calling(server) as call:
        call.mute()
        with pytest.raises(rtcvoice.ConfigError, match="muted"):
            await call.send(audio=CLIP)
        async with call.talk() as talk:
            assert not call.muted
            reply = await call.ask("The user speaks now.", audio=CLIP)
        assert call.muted
        assert "It" in await anext(aiter(reply))
        assert talk.reply is not None
        await eventually(lambda: server.calls[call.id].peer._core._muted)
        assert sent(server, call) == [
            "session.input_audio.mute",
            "session.input_audio.unmute",
            "session.thinking.append",
            "session.input_audio.mute",
        ]


async def test_verbs_of_gpt_live_on_a_call_of_the_realtime_api():
    async with Emulator(seed=1) as server, calling(server) as call:
        for verb in (call.think("x"), call.instruct("x")):
            with pytest.raises(rtcvoice.ConfigError, match="GPT-Live"):
                await verb
        with pytest.raises(rtcvoice.ConfigError, match="GPT-Live"):
            call.fork()


async def test_a_call_that_is_lost_goes_on_in_another_session_which_knows_what_was_said():
    async with Emulator(seed=1, live=QUICK) as server:
        history = [{"role": "user", "text": "My name is Ada."}]
        async with live_calling(
            server, reconnect=rtcvoice.Reconnect(window=20), history=history
        ) as call:
            first = call.id
            assert server.calls[first].peer._core.settings["input"][0]["role"] == "user"
            await call.instruct("Speak slowly.")
            await (await call.say("Hello.")).text()
            async with call.expect(events.Reconnected, timeout=30) as back:
                await server.calls[first].peer.aclose()
                call_back = await back
            assert call.id != first
            assert not call_back.renewed
            said = [part["content"][0]["text"] for part in _input(server, call)]
            assert "My name is Ada." in said
            assert "Hello." in said
            assert "Speak slowly." in said
            assert len(call.legs) == 2
            assert [entry["text"] for entry in call.history] == ["My name is Ada.", "Hello."]


def _input(server, call):
    return server.calls[call.id].peer._core.settings["input"]


async def test_a_stored_call_goes_on_in_a_fork():
    async with Emulator(seed=1, live=QUICK) as server:
        async with live_calling(server, store=True, instructions="Be brief.") as call:
            await call.say("Hello Ada.")
            with pytest.raises(rtcvoice.ConfigError, match="over"):
                call.fork()
        with pytest.raises(rtcvoice.ConfigError, match="voice="):
            call.fork(voice="cedar")
        async with call.fork(store=False) as another:
            assert another.id != call.id
            assert another.session.instructions == "Be brief."
            heard = [entry.get("heard_text", entry["text"]) for entry in call.history]
            assert [entry["text"] for entry in another.history] == [text for text in heard if text]


async def test_a_session_that_is_lost_is_forked_where_it_was_stored():
    async with Emulator(seed=1, live=QUICK) as server:
        reconnect = rtcvoice.Reconnect(window=20)
        async with live_calling(server, store=True, reconnect=reconnect) as call:
            first = call.id
            async with call.expect(events.Reconnected, timeout=30) as back:
                await server.calls[first].peer.aclose()
                await back
            assert _input(server, call) == []
            assert call.id != first


async def test_a_session_that_does_not_come_about_is_hung_up():
    """It exists, and costs, from the answer on: here its first event may not come."""
    async with Emulator(seed=1) as server:
        mute = {"client": {"data_channel": {"allowed_server_events": []}}}
        with (
            too_late_in("session") as timeout,
            pytest.raises(rtcvoice.TransportError) as error,
        ):
            async with live_calling(server, connect_timeout=timeout, session=mute):
                pass
        assert error.value.stage == "session"
        (call,) = server.calls.values()
        assert call.ended


async def test_a_session_that_the_server_refuses_to_start():
    async with Emulator(seed=1, live=LiveOptions(no_credit=True)) as server:
        with pytest.raises(rtcvoice.TransportError, match="does not start") as error:
            async with live_calling(server):
                pass
        assert "no credit" in error.value.hint


async def test_a_prepared_call_has_the_options_that_it_is_made_with():
    async with Emulator(seed=1, live=QUICK) as server:
        given = {"api_key": "sk-any", "base_url": server.url, "source": None, "sink": None}
        async with rtcvoice.prepare(model="gpt-live-1.1", **given) as prepared:
            assert prepared.is_ready
            assert not server.calls  # a session that is created costs
            async with prepared.connect(voice="cedar", reconnect=None) as call:
                assert call.session.audio.output.voice == "cedar"
                assert call.timings.offer is None


async def test_somebody_ends_the_session():
    async with Emulator(seed=1, live=QUICK) as server, live_calling(server) as call:
        signaling = LiveSignaling(base_url=server.url, credentials=ApiKey("sk-any"))
        await signaling.hang_up(call.id)
        await signaling.aclose()
        end = await call.wait_ended()
        assert (end.normal, end.reason) == (True, "the session was closed")


async def test_a_session_whose_time_is_over_goes_on_in_another():
    async with Emulator(seed=1, live=QUICK) as server:
        reconnect = rtcvoice.Reconnect(window=20)
        async with live_calling(server, reconnect=reconnect, tools=[lucky]) as call:
            await call.update(backend="gpt-6-sol")
            first = call.id
            async with call.expect(events.Reconnected, timeout=30) as back:
                server.calls[first].peer._core._life.expire()
                await back
            assert call.legs[0].why == "the server's time for the session is over"
            delegation = server.calls[call.id].peer._core.settings["delegation"]
            assert delegation["responses"]["model"] == "gpt-6-sol"
            assert [tool["name"] for tool in delegation["responses"]["tools"]] == ["lucky"]


async def test_a_recorded_call_says_that_it_cannot_be_done_again(tmp_path):
    async with Emulator(seed=1, live=QUICK) as server:
        async with live_calling(server, record=tmp_path) as call:
            await call.think("The user likes tea.")
        (folder,) = tmp_path.iterdir()
        lines = (folder / "events.jsonl").read_text()
        assert "session.thinking.append" in lines
        assert "session.closed" in lines
        with pytest.raises(rtcvoice.ConfigError, match="GPT-Live"):
            rtcvoice.ReplaySource(folder)


async def test_a_tool_behind_the_backend():
    async with (
        Emulator(seed=1, live=QUICK) as server,
        live_calling(server, tools=[lucky]) as call,
        call.expect(events.ToolFinished, timeout=30) as finished,
        call.expect(live.OutputTranscriptDelta, timeout=30) as spoken,
    ):
        reply = await call.ask("What is my lucky number?")
        assert (await finished).output == "7"
        await spoken
        assert reply.status is rtcvoice.Status.IN_PROGRESS
        kinds = [entry["type"] for entry in call.history]
        assert kinds[:3] == ["message", "function_call", "function_call_output"]


def lucky() -> int:
    """Return the lucky number."""
    return 7


async def test_a_call_that_stands_by_and_wakes():
    async def voice():
        await silent.wait()
        yield PromptVoice().clip("question").samples
        await asyncio.Event().wait()

    silent = asyncio.Event()
    source = rtcvoice.PcmSource(voice(), rate=24000)
    async with (
        Emulator(seed=1, live=QUICK) as server,
        live_calling(server, source=source, standby=1) as call,
    ):
        await call.wait_for(live.SessionPaused, timeout=30)
        async with call.expect(live.SessionResumed, timeout=30) as resumed:
            silent.set()
            await resumed
        assert call.usage.standby_seconds > 0


async def test_the_doctor_makes_a_call_without_a_token():
    async with Emulator(seed=1, live=QUICK) as server:
        options = {"base_url": server.url, "api_key": "sk-any", "model": "gpt-live-1.1"}
        found = [finding async for finding in look_at_call(config_for(options), options)]
    levels = {finding.area: finding.level for finding in found}
    assert levels["token"] is Severity.SKIP
    assert levels["session"] is Severity.OK
