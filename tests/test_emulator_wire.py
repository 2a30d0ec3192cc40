"""What leaves the emulator and when: RTP at its pace, one channel, HTTP that hangs in the air."""

from __future__ import annotations

import asyncio
import contextlib
import json
import statistics
import time
from itertools import pairwise
from types import SimpleNamespace

import aiortc
import pytest
from aiortc import RTCPeerConnection, RTCSessionDescription
from live import BentEmulator, Census, again_if_late, calling, eventually, hold

from rtcvoice.emulator import Pace, Turn
from rtcvoice.emulator.channel import EventChannel
from rtcvoice.emulator.session.settings import validate

pytestmark = pytest.mark.usefixtures("no_stray_errors")


# 17. "Outgoing RTP 20 ms, real-time pace (<= +40 ms ahead), no burst; both idle modes (silence RTP
#     / gap with advancing timestamps)."


def note_rtp(peer):
    """Return a list that gets (seconds, sequence number, timestamp) of every packet sent."""
    sent, transport = [], peer._peer.getSenders()[0].transport
    send = transport._send_rtp

    async def send_rtp(data):
        if not 192 <= data[1] <= 223:
            packet = aiortc.rtp.RtpPacket.parse(data)
            sent.append((time.monotonic(), packet.sequence_number, packet.timestamp))
        await send(data)

    transport._send_rtp = send_rtp
    return sent


@pytest.mark.parametrize("gap", [False, True])
@again_if_late
async def test_rtp_keeps_the_pace_of_speech_and_of_silence(gap):
    sent = []
    server = BentEmulator(
        gap=gap,
        pace=Pace(response_latency=0.15),
        script=[Turn(says=("two",)), Turn(says=("two",))],
        bend=lambda peer: sent.append(note_rtp(peer)),
    )
    async with server, calling(server) as call:
        for _ in range(2):
            await call.send("Hello.")
            await call.wait_for("output_audio_buffer.stopped", timeout=20)
    (packets,) = sent
    began, first, origin = packets[0]
    late = [when - began - (stamp - origin) % 2**32 / 48_000 for when, _, stamp in packets]
    assert statistics.median(late) - min(late) < 0.04  # none much earlier than they usually are
    assert [(number - first) % 2**16 for _, number, _ in packets] == list(range(len(packets)))
    steps = {(b[2] - a[2]) % 2**32 for a, b in pairwise(packets)}
    if gap:
        assert max(steps) > 4800  # more than 100 ms of nothing, and the clock went on
        assert all(step % 960 == 0 for step in steps)
        assert len(packets) < 75  # twice half a second and not what lay between
    else:
        assert steps == {960}


# 18. "Any DC label accepted; only the first channel is used."
# 57. "Client closing DC/PC frees the session <= a few s; no event after close."


async def test_the_first_channel_counts_whatever_its_label_and_its_end_is_the_calls(monkeypatch):
    monkeypatch.setattr("aioice.ice.get_host_addresses", lambda *_, **__: ["127.0.0.1"])
    peer, events = RTCPeerConnection(), []
    peer.addTransceiver("audio")
    for label in ("realtime-channel", "oai-events"):
        channel = peer.createDataChannel(label)
        channel.on("message", lambda text, label=label: events.append((label, json.loads(text))))
        if label == "realtime-channel":
            first = channel
    await peer.setLocalDescription(await peer.createOffer())
    async with BentEmulator() as server:
        answer = await server.answer(
            peer.localDescription.sdp, validate({"type": "realtime"}), "rtc_two"
        )
        await peer.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        await eventually(lambda: channel.readyState == "open" and events)
        channel.send('{"type": "response.create"}')  # on the second: nobody hears it
        first.send('{"type": "nonsense"}')
        await eventually(lambda: len(events) > 1)
        assert [(label, event["type"]) for label, event in events] == [
            ("realtime-channel", "session.created"),
            ("realtime-channel", "error"),
        ]
        call = server.calls["rtc_two"]
        first.close()
        await eventually(lambda: call.ended, timeout=20)
        assert len(call.events) == 3
    await peer.close()


class FakeChannel:
    """A data channel that is open and never empties its buffer."""

    label = "x"

    def __init__(self):
        self.sent = []
        self.readyState, self.bufferedAmount = "open", 5
        self.transport = SimpleNamespace(transport=SimpleNamespace(state="connected"))

    def on(self, name, listener):
        self.listeners = {name: listener}

    def remove_listener(self, name, listener):
        del self.listeners[name]

    def close(self):
        self.readyState = "closing"

    def send(self, text):
        self.sent.append(text)


async def test_a_channel_sends_no_more_than_the_client_takes(monkeypatch, caplog):
    monkeypatch.setattr("rtcvoice.emulator.channel.FLUSH_TIMEOUT", 0.01)
    channel = EventChannel(on_text=print, on_close=print, limit=lambda: 30)
    channel.send({"type": "error"})  # to nobody
    assert channel.open(fake := FakeChannel())
    assert not channel.open(FakeChannel())
    channel.send({"type": "error"})
    channel.send_text("x" * 31)
    channel._receive("y" * 65_537)
    channel._receive("y" * 65_537)  # one more on its way while it closes
    assert fake.sent == ['{"type": "error"}']
    assert "more than the client takes" in caplog.text
    await channel.flush()


async def test_nothing_is_sent_to_a_client_that_has_said_goodbye():
    """aiortc's data channel stays open for a while, and a task of its own would fail."""
    channel = EventChannel(on_text=print, on_close=print, limit=lambda: 100)
    channel.open(fake := FakeChannel())
    channel.send({"type": "error"})
    fake.transport.transport.state = "closed"
    channel.send({"type": "error"})
    channel.send_text("x")
    channel.send_bytes(b"x")
    channel.close()
    assert fake.sent == ['{"type": "error"}']


# -- "REST survives garbage bodies, huge headers, half-open connections" (bodies: test_rest_bodies)


async def exchange(server, data, *, eof=True):
    """Send raw bytes and return what comes back, at once or when the server has had enough."""
    host, port = server.url.split("/")[2].split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(data)
        if eof:
            writer.write_eof()
        async with asyncio.timeout(20):
            with contextlib.suppress(ConnectionResetError):  # it need not read all that it refuses
                return await reader.read()
        return b""
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


HEAD = b"POST /v1/realtime/calls HTTP/1.1\r\nHost: x\r\n"


@pytest.mark.parametrize(
    "data",
    [
        HEAD + b"X-Huge: " + b"a" * 100_000 + b"\r\n\r\n",
        HEAD + b"".join(b"X-%d: a\r\n" % n for n in range(20_000)) + b"\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS, to a port without
        b"GET / HTTP/9.9\r\n\r\n",
        HEAD + b"Content-Length: -5\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nzzz\r\n",
        HEAD + b"Content-Length: 1000\r\n\r\nv=0\r\n",
        b"",
    ],
    ids=["header", "headers", "tls", "version", "length", "chunks", "cut short", "nothing"],
)
async def test_what_is_no_request_is_refused_and_harms_nobody(emulator, data):
    answer = await exchange(emulator, data)
    assert not answer or answer.split()[1].startswith(b"4")
    await hold(emulator)


async def test_half_open_connections_keep_nobody_waiting():
    census = Census()
    async with BentEmulator() as server:
        host, port = server.url.split("/")[2].split(":")
        half = [await asyncio.open_connection(host, int(port)) for _ in range(50)]
        for n, (_, writer) in enumerate(half):
            writer.write((HEAD + b"Content-Length: 1000\r\n\r\nv=0")[: 10 + 3 * n])
        await hold(server)
        leaving = time.monotonic()
    assert time.monotonic() - leaving < 20
    for _, writer in half:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
    await census.check()
