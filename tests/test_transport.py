"""The WebRTC peer by itself, against the emulator's: stages, text, packets, liveness, closing."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import sys
import threading
import time
from itertools import pairwise

import aioice.ice
import pytest
from live import BentEmulator, Census, eventually

from rtcvoice.capture.track import SourceTrack
from rtcvoice.emulator.session.settings import validate
from rtcvoice.errors import TransportError
from rtcvoice.wire import _aiortc, closing
from rtcvoice.wire.sdp import media_sections
from rtcvoice.wire.text_channel import SEND_BUFFER_LIMIT
from rtcvoice.wire.transport import Transport

pytestmark = pytest.mark.usefixtures("no_stray_errors")


class End:
    """A transport and what its callbacks got."""

    def __init__(self, on_packet=None, ways=None):
        self.packets, self.texts, self.lost = [], [], []
        self.transport = Transport(
            track=SourceTrack(),
            on_packet=on_packet or self.packets.append,
            on_text=self.texts.append,
            on_lost=self.lost.append,
            loopback=True,
            ways=ways,
        )

    async def connect(self, server):
        offer = await self.transport.create_offer()
        answer = await server.answer(offer, validate({"type": "realtime"}), f"rtc_{id(self)}")
        await self.transport.accept_answer(answer)
        await self.transport.wait_ice()
        await self.transport.wait_dtls()
        await self.transport.wait_channel()
        return self


@pytest.fixture
async def end(emulator):
    """A connected transport, closed afterwards."""
    async with asyncio.timeout(30):
        end = await End().connect(emulator)
    yield end
    await end.transport.aclose()


# -- stages ----------------------------------------------------------------------------------------


async def test_the_offer_is_opus_111_and_a_channel_on_loopback_too():
    end = End()
    session, (audio, application) = media_sections(await end.transport.create_offer())
    assert audio[0].startswith("m=audio ")
    assert audio[0].endswith(" UDP/TLS/RTP/SAVPF 111")
    assert "a=rtpmap:111 opus/48000/2" in audio
    assert "a=fmtp:111 minptime=10;useinbandfec=1" in audio
    assert "a=sendrecv" in audio
    assert application[0].startswith("m=application ")
    candidates = [line.split() for line in audio if line.startswith("a=candidate:")]
    addresses = [words[4] for words in candidates]
    assert addresses[0] == "127.0.0.1"
    assert set(addresses[1:]) == set(aioice.ice.get_host_addresses(use_ipv4=True, use_ipv6=True))
    assert "a=group:BUNDLE 0 1" in session
    await end.transport.aclose()


async def test_text_and_packets_arrive_and_are_noticed(emulator, end):
    begun = time.monotonic()
    await eventually(lambda: end.texts)
    assert '"session.created"' in end.texts[0]
    end.transport.send_text('{"type": "output_audio_buffer.clear", "event_id": "e1"}')
    await eventually(lambda: len(end.packets) >= 5)
    numbers = [packet.sequence_number for packet in end.packets[:5]]
    assert [(after - before) % 65536 for before, after in pairwise(numbers)] == [1] * 4
    assert all(begun - 30 < packet.arrival <= time.monotonic() for packet in end.packets)
    assert end.transport.heard_at >= end.packets[4].arrival - 0.001
    assert end.transport.state == "connected"
    events = emulator.last().events
    await eventually(lambda: any(logged.event.get("event_id") == "e1" for logged in events))


async def test_no_decoder_thread_is_left_once_connected(end):
    """Neither ours nor the emulator's: it would keep the interpreter from exiting."""
    await eventually(lambda: not [t for t in threading.enumerate() if "decoder" in t.name])


async def test_a_failing_packet_handler_does_not_end_the_call(emulator, caplog):
    calls = []

    def on_packet(packet):
        calls.append(packet)
        raise KeyError("a bug")

    async with asyncio.timeout(30):
        end = await End(on_packet).connect(emulator)
    await eventually(lambda: len(calls) >= 5)
    assert end.transport.state == "connected"
    assert caplog.text.count("RTP packet handler failed") == 1
    await end.transport.aclose()


async def test_an_answer_that_cannot_be_used():
    end = End()
    await end.transport.create_offer()
    for answer in ("", "<html>", "v=0\r\n", "v=0\r\nm=audio 9 X 111\r\na=mid:7\r\n"):
        with pytest.raises(TransportError) as raised:
            await end.transport.accept_answer(answer)
        assert raised.value.stage == "answer"
    await end.transport.aclose()


async def test_a_connection_that_is_gone_already_opens_no_channel(emulator):
    """It was open, but nobody looked in time."""
    end = End()
    answer = await emulator.answer(
        await end.transport.create_offer(), validate({"type": "realtime"}), "rtc_1"
    )
    await end.transport.accept_answer(answer)
    await eventually(lambda: end.transport._channel.state == "open")
    await emulator.end_calls()
    await eventually(lambda: end.transport.state == "closed")
    with pytest.raises(TransportError) as raised:
        await end.transport.wait_channel()
    assert raised.value.stage == "channel"
    await end.transport.aclose()


async def test_an_address_that_only_mdns_knows_and_nobody_can_ask_for(emulator, monkeypatch):
    async def taken():
        raise OSError(98, "Address already in use")

    monkeypatch.setattr(aioice.ice.mdns, "create_mdns_protocol", taken)
    for only in (False, True):
        end = End()
        answer = await emulator.answer(
            await end.transport.create_offer(), validate({"type": "realtime"}), f"rtc_{only}"
        )
        name = "a=candidate:9 1 udp 2113937151 0b1c2d3e-0000-4000-8000-000000000001.local 50001 typ"
        if only:
            answer = re.sub(r"a=candidate:.*? typ", name, answer)
            with pytest.raises(TransportError, match=r"by mDNS only.*in use") as caught:
                await end.transport.accept_answer(answer)
            assert "5353" in caught.value.hint
        else:  # it costs nothing where there is another
            await end.transport.accept_answer(
                answer.replace("a=rtcp-mux", f"a=rtcp-mux\r\n{name} host")
            )
        await end.transport.aclose()


# -- text ------------------------------------------------------------------------------------------


def refused(end, text):
    with pytest.raises(TransportError) as raised:
        end.transport.send_text(text)
    assert raised.value.stage == "send"
    return str(raised.value)


async def test_nothing_is_sent_before_the_channel_is_open():
    end = End()
    assert "not open" in refused(end, "{}")
    await end.transport.aclose()
    assert "not open" in refused(end, "{}")


async def test_the_limit_is_the_servers_and_counts_bytes(end):
    limit = end.transport.max_message_size
    assert limit >= 65536
    assert str(limit) in refused(end, "é" * (limit // 2 + 1))
    end.transport.send_text('"' + "x" * (limit - 2) + '"')  # exactly as large as allowed


async def test_a_server_that_says_nothing_takes_64_kib():
    def unsaid(sdp):
        return "".join(
            line for line in sdp.splitlines(keepends=True) if "max-message-size" not in line
        )

    async with BentEmulator(rewrite=unsaid) as server, asyncio.timeout(30):
        end = await End().connect(server)
        assert end.transport.max_message_size == 65536
        refused(end, "x" * 65537)
        await end.transport.aclose()


async def test_what_has_left_is_what_the_other_side_has(end):
    await eventually(lambda: end.transport.progress == (0, 0))
    for _ in range(3):
        end.transport.send_text("ä" * 20_000)
    assert end.transport.progress == (120_000, 0)
    await eventually(lambda: end.transport.progress == (120_000, 120_000))


async def test_a_network_that_stands_still_fills_a_bounded_buffer(end):
    text = "x" * 60000
    while end.transport._channel._channel.bufferedAmount + len(text) <= SEND_BUFFER_LIMIT:
        end.transport.send_text(text)
    assert "already wait" in refused(end, text)
    end.transport.send_text("{}")  # what still fits may go
    assert end.transport._channel._channel.bufferedAmount <= SEND_BUFFER_LIMIT


async def test_binary_messages_are_ignored(emulator, end):
    await eventually(lambda: end.texts)
    channel = emulator.last().peer._channel._channel  # aiortc's own
    channel.send(b"\x00\xff")
    channel.send("text")
    await eventually(lambda: "text" in end.texts)
    assert all(isinstance(text, str) for text in end.texts)
    assert end.transport.state == "connected"


# -- the end ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("leave", ["channel", "peer"])
async def test_a_loss_is_told_once(emulator, end, leave):
    peer = emulator.last().peer
    if leave == "channel":
        peer._channel._channel.close()
    else:
        await peer.aclose()
    await eventually(lambda: end.lost)
    await eventually(lambda: emulator.last().ended)
    await end.transport.aclose()
    assert len(end.lost) == 1
    assert end.lost[0].stage == "connected"


async def test_closing_is_no_loss_and_idempotent(emulator, end):
    await asyncio.gather(*(end.transport.aclose() for _ in range(3)))
    took = []
    for _ in range(3):  # the machine may stand still in one of them
        begun = time.monotonic()
        await end.transport.aclose()
        took.append(time.monotonic() - begun)
    assert min(took) < 0.05
    assert end.transport.state == "closed"
    assert end.lost == []
    await eventually(lambda: emulator.last().ended)


@pytest.mark.parametrize("stage", ["made", "offered", "answered", "ice", "dtls"])
async def test_closing_at_any_stage_leaves_nothing_behind(emulator, stage):
    census = Census()
    end = End()
    while stage != "made":
        offer = await end.transport.create_offer()
        if stage == "offered":
            break
        answer = await emulator.answer(offer, validate({"type": "realtime"}), "rtc_1")
        await end.transport.accept_answer(answer)
        if stage == "answered":
            break
        await end.transport.wait_ice()
        if stage == "dtls":
            await end.transport.wait_dtls()
        break
    async with asyncio.timeout(30):
        await end.transport.aclose()
    assert end.transport.state == "closed"
    await emulator.end_calls()
    await census.check()


async def test_a_stage_being_waited_for_fails_when_closed(emulator):
    end = End()
    await end.transport.create_offer()
    waiting = [asyncio.create_task(end.transport.wait_ice())]
    waiting.append(asyncio.create_task(end.transport.wait_channel()))
    await asyncio.sleep(0)
    await end.transport.aclose()
    async with asyncio.timeout(30):
        errors = await asyncio.gather(*waiting, return_exceptions=True)
    assert [error.stage for error in errors] == ["ice", "channel"]


async def test_closing_survives_a_cancellation_at_every_point(emulator):
    """Stock: closing again after one that was cancelled hangs at 10 of 12 points."""
    census, steps, interrupted = Census(), 0, True
    while interrupted:
        steps += 1
        async with asyncio.timeout(30):
            end = await End().connect(emulator)
        ending = asyncio.create_task(end.transport.aclose())
        for _ in range(steps):
            await asyncio.sleep(0)
        interrupted = ending.cancel()
        async with asyncio.timeout(30):
            await asyncio.wait({ending})
            await end.transport.aclose()
        assert end.transport.state == "closed"
    assert steps > 5
    await emulator.end_calls()
    await census.check()


async def test_a_close_that_never_ends_is_parked_and_named(emulator, end, monkeypatch, caplog):
    monkeypatch.setattr(closing, "PEER_CLOSE_TIMEOUT", 0.1)
    release, close_peer = asyncio.Event(), Transport._close_peer

    async def stuck(transport):
        await release.wait()
        await close_peer(transport)

    monkeypatch.setattr(Transport, "_close_peer", stuck)
    with caplog.at_level(logging.WARNING):
        async with asyncio.timeout(30):
            await end.transport.aclose()
    assert "closing the peer connection takes over" in caplog.text
    (parked,) = closing._parked
    release.set()  # it was not cancelled: it still gets there
    async with asyncio.timeout(30):
        await asyncio.wait({parked})
    assert not parked.cancelled()
    assert end.transport.state == "closed"
    await eventually(lambda: not closing._parked)


def test_a_close_that_fails_is_logged(caplog, monkeypatch):
    async def broken(transport):
        raise OSError("no more of this")

    async def main():
        end = End()
        with monkeypatch.context() as patch:
            patch.setattr(Transport, "_close_peer", broken)
            await end.transport.aclose()
        await end.transport._close_peer()

    asyncio.run(main())
    assert "no more of this" in caplog.text


async def test_a_call_left_open_does_not_keep_the_interpreter(emulator):
    """Stock: the decoder thread of a connection that nobody closed keeps the process for ever."""
    script = (
        "import asyncio, sys, threading\n"
        "import rtcvoice\n"
        "loop = asyncio.new_event_loop()\n"
        "async def main():\n"
        "    call = await rtcvoice.connect(source=None, sink=None).__aenter__()\n"
        "    print([t.name for t in threading.enumerate() if not t.daemon], call.state.name)\n"
        "    return call\n"
        "call = loop.run_until_complete(main())\n"
        "sys.stderr.close()\n"  # asyncio complains of tasks and sockets left, rightly
    )
    environment = {**os.environ, "OPENAI_BASE_URL": emulator.url, "OPENAI_API_KEY": "sk-any"}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE, env=environment
    )
    try:
        async with asyncio.timeout(60):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert output.decode().split()[-1] == "ACTIVE"
    assert "decoder" not in output.decode()
    assert process.returncode == 0


async def test_it_says_what_a_newer_aiortc_lacks(monkeypatch):
    """Each private name is asked for by name, so that a release without it fails with a reason."""
    monkeypatch.delattr("aiortc.RTCPeerConnection._RTCPeerConnection__connect")
    with pytest.raises(_aiortc.UnsupportedAiortc) as raised:
        End()
    assert "__connect" in str(raised.value)
