"""Live sessions over real WebRTC: one call of each kind."""

from __future__ import annotations

import asyncio
import io
import re
import wave

import aiohttp
import numpy as np
import pytest
from live import eventually
from live_checks import LiveLint, accepts
from live_client import KEY, LiveClient, live_call

from rtcvoice.emulator import AnswerShape, Emulator, Faults, HttpFault, LiveOptions
from rtcvoice.emulator.voice import PromptVoice

QUICKLY = LiveOptions(close_delay=0.05, leaves_after=0.1, hearing_delay=0.1)


async def test_a_call_from_the_offer_to_the_end():
    """Statements 1, 9, 10, 13, 15, 22, 23, 27 and 34: the answer, a greeting, a question, mute."""
    async with (
        Emulator(seed=1, live=QUICKLY) as server,
        live_call(server, {"store": False}) as call,
    ):
        assert re.fullmatch(r"live_u\d_[A-Za-z0-9]{32}", call.id)
        assert call.answer.count("a=setup:passive\r\n") == 2
        assert "a=ice-lite" in call.answer
        assert "end-of-candidates" not in call.answer
        assert re.search(r"^a=max-message-size:\d{6}", call.answer, re.MULTILINE)
        assert [event["type"] for event in call.events] == ["session.started"]
        call.send(
            "session.commentary.append", content="reply-3", delegation_id=None, event_id="mine"
        )
        done = await call.until("session.commentary.appended")
        assert done["client_event_id"] == "mine"
        await eventually(lambda: max(call.heard[-50:], default=0) > 1000)
        call.microphone.say(PromptVoice().clip("stop").samples)  # over the model's words
        await call.until("session.input_transcript.delta")
        call.send("session.input_audio.mute", event_id="m")
        await call.until("session.input_audio.muted")
        call.send("session.close", event_id="c")
        closed = await call.until("session.closed")
        assert (closed["reason"], closed["client_event_id"]) == ("close_requested", "c")
        assert closed["usage"]["seconds"] > 0.5
        lint = LiveLint()
        for event in call.events:
            lint.feed(event)
        emulated = server.calls[call.id]
        assert [e["type"] for e in emulated.from_client()] == [
            "session.commentary.append",
            "session.input_audio.mute",
            "session.close",
        ]
        assert all(accepts("client", event) for event in emulated.from_client())


async def test_the_clock_stands_while_no_audio_comes():
    """Statement 12."""
    async with Emulator(seed=1, live=QUICKLY) as server, live_call(server) as call:
        session = server.calls[call.id].peer._core
        await eventually(lambda: session._hub.clock_ms > 200)
        call.microphone.stalled = True
        stood = None
        while stood != session._hub.clock_ms:
            stood = session._hub.clock_ms
            for _ in range(10):  # in pieces: a process that stood still has not waited long
                await asyncio.sleep(0.02)
        call.send("session.commentary.append", content="reply-1", delegation_id=None)
        await eventually(lambda: server.calls[call.id].from_client())
        for _ in range(10):
            await asyncio.sleep(0.02)
        assert session._hub.clock_ms == stood
        assert not [e for e in call.events if e["type"] == "session.commentary.appended"]
        call.microphone.stalled = False
        await call.until("session.commentary.appended")
        await call.until("session.output_transcript.delta")


async def test_hang_up_by_rest():
    """Statements 7, 10, 14 and 30: any label, what is no event, and what is not stored."""
    seen = AnswerShape(tcp_candidates=True, max_message_size=1073741823)
    async with (
        Emulator(seed=1, live=QUICKLY, shape=seen) as server,
        live_call(server, label="x") as call,
    ):
        assert re.search(r"^a=candidate:\S+ 1 udp .* typ host\r$", call.answer, re.MULTILINE)
        assert re.search(r"^a=candidate:\S+ 1 tcp .* tcptype passive\r$", call.answer, re.MULTILINE)
        assert "a=max-message-size:1073741823\r\n" in call.answer
        call.channel.send(b"\xff\x00")
        assert (await call.until("error"))["error"]["code"] == "invalid_event"
        second = call.peer.createDataChannel("oai-events")
        second.on("message", lambda _: pytest.fail("a second channel is used"))
        assert (await call.post(f"/{call.id}/fork", {"transport": {"type": "webrtc", "sdp": "x"}}))[
            0
        ] in range(400, 410)
        async with (
            aiohttp.ClientSession() as http,
            http.post(f"{server.url}/realtime/calls/{call.id}/hangup", headers=KEY) as response,
        ):
            assert response.status == 404  # it is no call of the other dialect
        assert await call.post(f"/{call.id}/hangup") == (200, None)
        assert (await call.until("session.closed"))["reason"] == "close_requested"
        assert await call.post(f"/{call.id}/hangup") == (
            404,
            {
                "error": {
                    "message": "No session found for the provided session_id",
                    "type": "invalid_request_error",
                    "code": "session_id_not_found",
                    "param": "session_id",
                }
            },
        )
        await eventually(lambda: server.calls[call.id].ended)
        async with aiohttp.ClientSession() as http:
            url = f"{server.url}/live/sessions/{call.id}/content"
            async with http.get(url, headers=KEY) as response:
                assert (await response.json())["error"]["code"] == "session_not_stored"


async def test_a_stored_session_is_forked_and_heard_again():
    """Statements 8 and 13 (gaps), and the recording: left the user, right the model."""
    async with Emulator(seed=1, live=QUICKLY, gap=True) as server:
        async with live_call(server, {"store": True, "instructions": "Be brief."}) as call:
            call.send("session.commentary.append", content="reply-1", delegation_id=None)
            await call.until("session.output_transcript.delta")
            status, _ = await call.post(
                f"/{call.id}/fork", {"transport": {"type": "webrtc", "sdp": await _offer(server)}}
            )
            assert status == 409  # it is not over
            await eventually(lambda: max(call.heard[-50:], default=0) > 1000)
            call.send("session.close")
            await call.until("session.closed")
        await eventually(lambda: server.calls[call.id].ended)
        async with aiohttp.ClientSession() as http:
            url = f"{server.url}/live/sessions/{call.id}/content"
            async with http.get(url, headers=KEY) as response:
                assert response.content_type == "audio/wav"
                kept = io.BytesIO(await response.read())
        with wave.open(kept) as sound:
            assert (sound.getnchannels(), sound.getframerate()) == (2, 24000)
            sides = np.frombuffer(sound.readframes(sound.getnframes()), "<i2").reshape(-1, 2)
        assert np.abs(sides[:, 1].astype(int)).max() > 1000
        fork = LiveClient(server)
        try:
            await fork.connect(fork_of=call.id, session={"store": False})
            started = await fork.until("session.started")
            assert fork.id != call.id
            assert started["session"]["input"] == []
            assert started["session"]["instructions"] == "Be brief."
            history = server.calls[fork.id].peer._core.history
            assert history[0]["content"][0]["text"].startswith("I heard")
        finally:
            await fork.close()


async def _offer(server):
    client = LiveClient(server)
    try:
        return await client.offer()
    finally:
        await client.close()


async def test_a_sideband_sees_the_last_events_and_steers():
    """Statement 46: replay, sound of both sides, commands, an abrupt end and a graceful one."""
    async with (
        Emulator(seed=1) as server,
        live_call(server) as call,
        aiohttp.ClientSession() as http,
    ):
        url = f"{server.url}/live/sessions/{call.id}/attach"
        async with (
            http.ws_connect(url, headers=KEY) as abrupt,
            http.ws_connect(f"{url}?graceful_close=true", headers=KEY) as graceful,
        ):
            first = await abrupt.receive_json()
            assert first == call.events[0]
            await abrupt.send_json({"type": "session.update", "session": {}, "event_id": "u"})
            seen = await _until(graceful, "session.updated")
            assert seen[-1]["client_event_id"] == "u"
            sound = await _until(abrupt, "session.output_audio.delta")
            assert sound[-1]["end_ms"] - sound[-1]["start_ms"] == 200
            await graceful.send_json({"type": "session.close"})
            await _until(graceful, "session.closed")
            async with asyncio.timeout(30):
                while not (abrupt.closed and graceful.closed):
                    await asyncio.gather(abrupt.receive(), graceful.receive())
            assert (abrupt.close_code, graceful.close_code) == (1006, 1000)
        async with http.get(url, headers=KEY) as response:
            assert response.status == 404


async def _until(socket, kind):
    events = []
    async with asyncio.timeout(30):
        while not events or events[-1]["type"] != kind:
            events.append(await socket.receive_json())
    return events


async def test_an_offer_without_a_channel_and_a_client_that_vanishes():
    """Statements 6 and 35: a sideband alone follows the session, and sees it being given up."""
    options = LiveOptions(lost_after=0.5)
    async with Emulator(seed=1, live=options) as server, aiohttp.ClientSession() as http:
        client = LiveClient(server)
        await client.connect(channel=False, candidates=False)
        url = f"{server.url}/live/sessions/{client.id}/attach"
        async with http.ws_connect(url, headers=KEY) as socket:
            await _until(socket, "session.started")
            await client.close()
            events = await _until(socket, "session.closed")
        assert events[-1]["reason"] == "connection_lost"
        await eventually(lambda: server.calls[client.id].ended)


@pytest.mark.parametrize(("kept", "wanted"), [("close", "closed"), ("drop", "open")])
async def test_a_session_that_is_too_large_for_the_clients_channel(kept, wanted):
    """Statement 11."""
    async with Emulator(seed=1, live=LiveOptions(large_events=kept)) as server:
        client = LiveClient(server)
        try:
            await client.connect({"instructions": "x" * 20_000}, largest=16_384)
            await eventually(lambda: client.peer.connectionState == "connected")
            await eventually(lambda: client.channel.readyState == wanted)
            assert client.events == []
        finally:
            await client.close()


@pytest.mark.parametrize(
    ("fault", "status", "kind"),
    [
        (HttpFault.RATE_LIMIT, 429, "application/json"),
        (HttpFault.SERVER_ERROR, 500, "application/json"),
        (HttpFault.HTML_OK, 200, "text/html"),
    ],
)
async def test_http_goes_wrong(fault, status, kind):
    """Statement 9; "201 and then no ICE" is the fault `ice_silent`."""
    async with (
        Emulator(faults=Faults(http=fault, http_delay=0.05)) as server,
        aiohttp.ClientSession() as http,
        http.post(f"{server.url}/live/sessions", json={}, headers=KEY) as response,
    ):
        assert (response.status, response.content_type) == (status, kind)
