"""Real calls over a WebSocket: speech and text, an answer that is talked over, tools, refusals."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

import numpy as np
import pytest
from certificates import self_signed, server_context
from deadlines import NEVER, too_late_in
from live import KEY, QUICK, Ear, again_if_late, calling, eventually, find
from test_conversation_live import Mouth

import rtcvoice
from rtcvoice import ConfigError, SignalingError, Status
from rtcvoice.call import ways
from rtcvoice.call.imports import FOR_OFFER, imported
from rtcvoice.emulator import Emulator, Faults, HttpFault, Pace, Strike, Turn
from rtcvoice.emulator.voice import PromptVoice
from rtcvoice.wire import websocket

pytestmark = pytest.mark.usefixtures("no_stray_errors")


def over_socket(server, **options):
    return calling(server, transport="websocket", **options)


@again_if_late
async def test_speech_text_and_tools() -> None:
    def double(number: int) -> int:
        return 2 * number

    script = [
        Turn(says="twenty"),
        Turn(says=(), calls=({"double": {"number": 21}},), then=Turn(says="It is {result}.")),
    ]
    async with Emulator(script=script, pace=QUICK) as server:  # noqa: SIM117
        async with over_socket(server, tools=[double]) as call:
            assert call.id.startswith("sess_")
            assert call.timings.websocket is not None
            audio = call.session.audio
            assert audio.input.format.type == audio.output.format.type == "audio/pcm"
            reply = await call.ask("How many?")
            assert await reply.text() == "twenty"
            await reply.played()
            _, likeness = find(PromptVoice().clip("twenty").samples, reply.audio)
            assert likeness > 0.99
            stats = call.stats()
            assert (stats.transport.route, stats.transport.via) == ("websocket", "direct")
            assert stats.uplink.packets_sent > 10
            assert stats.playout.underruns == 0
            assert "42" in await (await call.ask("Twice?", output_modalities=["text"])).text()


@again_if_late
async def test_what_was_heard_of_an_answer_that_was_talked_over() -> None:
    mouth, ear = Mouth("stop"), Ear()
    script = [Turn(says="jitter-buffer"), Turn(says=())]
    async with Emulator(script=script, pace=QUICK) as server:
        async with over_socket(server, source=mouth.source, sink=ear) as call:
            turns = call.turns()
            truncated = asyncio.create_task(call.wait_for("conversation.item.truncated"))
            await call.ask("Talk!")
            await asyncio.sleep(0.3)
            await mouth.speak()
            cut = await asyncio.wait_for(truncated, 15)
            await asyncio.sleep(0.1)
            heard = ear.heard
            said = [await anext(turns) for _ in range(2)][1]
        assert said.status is Status.INTERRUPTED
        assert said.heard_ms == cut.audio_end_ms
        clip = PromptVoice().clip("jitter-buffer").samples
        at, _ = find(clip[:2400], heard)
        sounds = np.flatnonzero(np.abs(heard) > 0)
        assert abs((sounds[-1] + 1 - at) / 24 - cut.audio_end_ms) <= 20
        assert not call.absorbed_errors


@again_if_late
async def test_push_to_talk_and_an_answer_stopped_by_hand() -> None:
    mouth, ear = Mouth("stop"), Ear()
    script = [Turn(hears="What is it?", says="jitter-buffer"), Turn(says="twenty")]
    async with Emulator(script=script, pace=QUICK) as server:
        options = {"source": mouth.source, "sink": ear, "turn_detection": None}
        async with over_socket(server, **options) as call:
            async with call.talk() as talk:
                await mouth.speak()
            await talk.reply.text()
            await eventually(lambda: ear.heard.any())
            await call.interrupt()
            await talk.reply.played()
            assert talk.reply.status is Status.INTERRUPTED
            assert await (await call.ask("And how many?")).text() == "twenty"
            assert [entry["role"] for entry in call.history] == ["user", "assistant"] * 2
            assert 0 < call.history[1]["heard_ms"] < 10_000


@again_if_late
async def test_dictation_at_the_quality_of_a_telephone() -> None:
    mouth = Mouth("stop")
    session = {"audio": {"input": {"format": {"type": "audio/pcmu"}}}}
    options = {"type": "transcription", "source": mouth.source, "session": session}
    async with Emulator(pace=QUICK) as server:  # noqa: SIM117
        async with over_socket(server, **options) as call:
            await mouth.speak()
            async with asyncio.timeout(15):
                async for turn in call.turns():
                    if turn.final:
                        assert (turn.role, turn.text) == ("user", "Stop, please.")
                        break
            assert call.stats().transport.route == "websocket"
            assert call.stats().uplink.bitrate == 64_000


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        (HttpFault.INVALID_KEY, 401, "invalid_api_key"),
        (HttpFault.QUOTA, 429, "insufficient_quota"),
        (HttpFault.HTML, 502, None),
        (HttpFault.HTML_OK, 200, None),
        (HttpFault.CUT, None, None),
    ],
)
async def test_what_is_refused_says_why_and_tells_no_key(caplog, fault, status, code) -> None:
    caplog.set_level(logging.DEBUG)
    async with Emulator(faults=Faults(http=fault)) as server:
        with pytest.raises(SignalingError) as refused:
            async with over_socket(server):
                pass
    assert (refused.value.status, refused.value.code) == (status, code)
    assert KEY not in caplog.text + str(refused.value)


async def test_a_server_that_does_not_answer_is_not_waited_for_any_longer() -> None:
    async with Emulator(faults=Faults(http=HttpFault.HANG)) as server:
        with too_late_in("websocket") as timeout, pytest.raises(rtcvoice.TransportError) as late:
            async with over_socket(server, connect_timeout=timeout):
                pass
    assert late.value.stage == "websocket"


async def test_a_server_that_has_nothing_to_say_is_not_taken_for_lost(monkeypatch) -> None:
    monkeypatch.setattr(websocket, "PULSE", 0.05)
    async with Emulator(pace=QUICK) as server:  # noqa: SIM117
        async with over_socket(server) as call:
            seen = call.events()
            begun = call._roads.heard_at
            await eventually(lambda: call._roads.heard_at > begun + 0.3)
            assert await (await call.ask("Still there?")).text()
            assert "item" in (await anext(seen)).type  # nothing was said before


async def test_nobody_listens_there() -> None:
    async with Emulator() as server:
        url = server.url
    with pytest.raises(SignalingError, match="nothing listens there"):
        async with rtcvoice.connect(
            base_url=url, api_key=KEY, source=None, sink=None, transport="websocket"
        ):
            pass


@pytest.mark.parametrize(
    "where",
    [
        {"base_url": "http://192.0.2.1/v1"},
        {"base_url": "http://127.0.0.1/v1", "proxy": "http://192.0.2.1:3128"},
    ],
)
def test_a_key_does_not_travel_unencrypted(where) -> None:
    with pytest.raises(ConfigError, match="unencrypted"):
        rtcvoice.connect(api_key=KEY, transport="websocket", **where)


@pytest.mark.parametrize(
    ("strike", "why"), [(Strike.CLOSE_CHANNEL, "broke"), (Strike.CLOSE_PEER, "closed")]
)
async def test_a_connection_that_ends_ends_the_call(strike, why) -> None:
    async with Emulator(pace=Pace()) as server, over_socket(server, reconnect=None) as call:
        await eventually(lambda: server.calls)
        list(server.calls.values())[-1].strike(strike)
        ended = await asyncio.wait_for(call.wait_ended(), 30)
        assert not ended.normal
        assert why in ended.reason


@again_if_late
async def test_a_network_that_lets_no_media_out(monkeypatch) -> None:
    monkeypatch.setattr(ways, "SOCKET_DELAY", 0.5)
    faults = Faults(ice_silent=True)
    await imported(FOR_OFFER)  # the answer is to be there before the WebSocket is tried
    async with (
        Emulator(faults=faults, pace=QUICK) as server,
        calling(server, transport="auto") as call,
    ):
        assert call.stats().transport.route == "websocket"
        assert call.timings.websocket is not None
        webrtc, _ = server.calls.values()
        await eventually(lambda: webrtc.ended)  # the other one was hung up


@again_if_late
async def test_a_lost_socket_is_followed_by_another_and_the_call_goes_on(monkeypatch) -> None:
    script = [Turn(says="twenty"), Turn(says="it-is")]
    async with Emulator(pace=QUICK, script=script) as server:  # noqa: SIM117
        async with over_socket(server, reconnect=rtcvoice.Reconnect()) as call:
            reply = await call.ask("How many?")
            await reply.text()
            first = call.id
            again = asyncio.create_task(call.wait_for("rtcvoice.reconnected"))
            await asyncio.sleep(0.1)
            list(server.calls.values())[-1].strike(Strike.CLOSE_CHANNEL)
            await asyncio.wait_for(again, 30)
            assert call.id != first
            assert [leg.route for leg in call.legs] == ["websocket"] * 2
            assert [leg.id for leg in call.legs] == [first, call.id]
            assert call.history[1]["status"] == "interrupted"
            assert 0 < call.history[1]["heard_ms"] <= 300
            reply = await call.ask("And?")
            await reply.played()
            assert np.abs(reply.audio).max() > 1000


@asynccontextmanager
async def in_front_of(url, *, tls=None, answer=None):
    """A server that carries bytes to the one at `url`: after `tls`, or a CONNECT with `answer`."""
    asked = []

    async def carry(reader, writer):
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def serve(reader, writer):
        if answer is not None:
            asked.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(answer)
            if b" 200 " not in answer:
                writer.close()
                return
        parts = urlsplit(url)
        there = await asyncio.open_connection(parts.hostname, parts.port)
        await asyncio.gather(carry(reader, there[1]), carry(there[0], writer))

    front = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    try:
        yield f"127.0.0.1:{front.sockets[0].getsockname()[1]}", asked
    finally:
        front.close()


async def test_through_a_proxy_and_what_it_refuses() -> None:
    async with Emulator(pace=QUICK) as server:
        async with in_front_of(server.url, answer=b"HTTP/1.1 200 OK\r\n\r\n") as (proxy, asked):
            proxied = over_socket(server, proxy=f"http://me:secret@{proxy}")
            async with proxied as call:
                assert call.stats().transport.via == "http-proxy"
            assert b"CONNECT 127.0.0.1:" in asked[0]
            assert b"Proxy-Authorization: Basic bWU6c2VjcmV0" in asked[0]
            assert KEY.encode() not in asked[0]
        async with in_front_of(server.url, answer=b"HTTP/1.1 407 No\r\n\r\n") as (proxy, _):
            with pytest.raises(SignalingError, match="wants a user name and password") as refused:
                async with over_socket(server, proxy=f"http://me:secret@{proxy}"):
                    pass
            assert refused.value.status == 407
            assert "secret" not in str(refused.value)


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_that_never_answers_is_left(scheme, tmp_path) -> None:
    connected, left = asyncio.Event(), asyncio.Event()
    path = self_signed(tmp_path)

    async def wait_for_the_end(reader, writer):
        connected.set()
        with suppress(ConnectionError):
            await reader.read()
        left.set()
        writer.close()

    tls = server_context(path) if scheme == "https" else None
    async with await asyncio.start_server(wait_for_the_end, "127.0.0.1", 0, ssl=tls) as proxy:
        port = proxy.sockets[0].getsockname()[1]
        options = {"base_url": "https://api.example.com/v1", "api_key": KEY, "reconnect": None}
        call = rtcvoice.connect(
            transport="websocket",
            proxy=f"{scheme}://127.0.0.1:{port}",
            ca_file=path,
            source=None,
            sink=None,
            connect_timeout=NEVER,
            **options,
        )
        with (
            too_late_in("websocket", once=connected.is_set),
            pytest.raises(rtcvoice.TransportError),
        ):
            await call.__aenter__()
        await asyncio.wait_for(left.wait(), 30)
        assert connected.is_set()


@pytest.mark.parametrize("server_scheme", ["http", "https"])
async def test_through_a_proxy_that_is_encrypted_itself(server_scheme, tmp_path) -> None:
    path = self_signed(tmp_path)
    tls = server_context(path)
    ok = b"HTTP/1.1 200 OK\r\n\r\n"
    async with (
        Emulator(pace=QUICK) as server,
        in_front_of(server.url, tls=tls if server_scheme == "https" else None) as (place, _),
        in_front_of(f"{server_scheme}://{place}", tls=tls, answer=ok) as (proxy, asked),
    ):
        options = {"base_url": f"{server_scheme}://{place}/v1", "proxy": f"https://{proxy}"}
        async with over_socket(server, ca_file=path, **options) as call:
            stats = call.stats().transport
            assert (stats.route, stats.via) == ("websocket", "http-proxy")
            assert await (await call.ask("Hello.")).text()
        assert asked[0].startswith(f"CONNECT {place} HTTP/1.1".encode())


async def test_a_server_that_is_silent_behind_a_proxy_is_left(tmp_path) -> None:
    path = self_signed(tmp_path)
    asked, left = asyncio.Event(), asyncio.Event()

    async def let_through_and_wait(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        with suppress(ConnectionError):
            await reader.read()  # the TLS handshake, which nobody answers
        left.set()
        writer.close()

    tls = server_context(path)
    async with await asyncio.start_server(let_through_and_wait, "127.0.0.1", 0, ssl=tls) as proxy:
        call = rtcvoice.connect(
            transport="websocket",
            proxy=f"https://127.0.0.1:{proxy.sockets[0].getsockname()[1]}",
            base_url="https://api.example.com/v1",
            api_key=KEY,
            ca_file=path,
            source=None,
            sink=None,
            connect_timeout=NEVER,
            reconnect=None,
        )
        with (
            too_late_in("websocket", once=asked.is_set),
            pytest.raises(rtcvoice.TransportError),
        ):
            await call.__aenter__()
        await asyncio.wait_for(left.wait(), 30)


async def test_an_encrypted_connection_and_a_certificate_that_is_not_trusted(tmp_path) -> None:
    path = self_signed(tmp_path)
    async with (
        Emulator(pace=QUICK) as server,
        in_front_of(server.url, tls=server_context(path)) as (place, _),
    ):
        options = {"base_url": f"https://{place}/v1", "transport": "websocket"}
        async with calling(server, ca_file=path, **options) as call:
            assert call.session.model
        with pytest.raises(SignalingError, match="its certificate is not trusted"):
            async with calling(server, **options):
                pass
