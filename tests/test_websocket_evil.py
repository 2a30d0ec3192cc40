"""What a server can do to a client over a WebSocket: everything it sends has a bound."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
import socket
from contextlib import asynccontextmanager, suppress
from types import SimpleNamespace

import pytest
from live import Census, eventually
from websockets.asyncio.server import serve

from rtcvoice import events
from rtcvoice.conversation import speaking
from rtcvoice.conversation.speaking import PlayedByUs
from rtcvoice.playout.speech_queue import SpeechQueue
from rtcvoice.wire import websocket
from rtcvoice.wire.lost import LostBy
from rtcvoice.wire.websocket import LARGEST_MESSAGE, UpgradeFailed, WebSocketTransport

pytestmark = pytest.mark.usefixtures("no_stray_errors")

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def client(port):
    """Return a transport, and what it is told."""
    texts, lost = [], []
    made = WebSocketTransport(
        f"ws://127.0.0.1:{port}/", headers={}, tls=None, on_text=texts.append, on_lost=lost.append
    )
    return made, texts, lost


@asynccontextmanager
async def connected(handler):
    """Yield what a client is told by a server that does `handler(connection)`."""
    async with serve(handler, "127.0.0.1", 0, compression=None, max_size=None) as server:
        made, texts, lost = client(server.sockets[0].getsockname()[1])
        await made.connect()
        try:
            yield texts, lost
        finally:
            await made.aclose()


def sending(*messages):
    async def handler(connection):
        for message in messages:
            await connection.send(message)
        await connection.wait_closed()

    return handler


async def pieces(count):
    for _ in range(count):
        yield ""


async def test_a_message_that_never_ends_ends_the_call():
    async with connected(sending("first", pieces(5000))) as (texts, lost):
        await eventually(lambda: lost)
        assert texts == ["first"]
        assert "more than 4096 pieces" in str(lost[0])
        assert lost[0].by is LostBy.UNUSABLE


async def test_a_message_in_pieces_and_a_binary_one_are_messages():
    async def parted():
        for part in ("Grüße ", "aus ", "Köln"):
            yield part

    async with connected(sending(parted(), "Zürich".encode())) as (texts, lost):
        await eventually(lambda: len(texts) == 2)
        assert texts == ["Grüße aus Köln", "Zürich"]
        assert not lost


async def test_the_largest_message_and_one_that_is_larger():
    largest = b"x" * LARGEST_MESSAGE
    async with connected(sending(largest, largest + b"x")) as (texts, lost):
        await eventually(lambda: lost)
        assert [len(text) for text in texts] == [LARGEST_MESSAGE]
        assert "cannot be read (close code 1009)" in str(lost[0])


async def test_what_is_no_text_ends_the_call():
    async with connected(sending(b"\xff\xfe")) as (texts, lost):
        await eventually(lambda: lost)
        assert not texts
        assert "cannot be read (close code 1007)" in str(lost[0])
        assert lost[0].by is LostBy.UNUSABLE


async def handshake(reader, writer):
    head = await reader.readuntil(b"\r\n\r\n")
    key = re.search(rb"(?i)sec-websocket-key: (\S+)", head)[1]
    accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
    writer.write(b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n")
    writer.write(b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n")


@asynccontextmanager
async def raw(handler):
    async def serve_one(reader, writer):
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await handler(reader, writer)
        writer.close()

    server = await asyncio.start_server(serve_one, "127.0.0.1", 0)
    try:
        yield client(server.sockets[0].getsockname()[1])
    finally:
        server.close()


async def test_pings_whose_answers_nobody_reads_end_the_call(monkeypatch):
    monkeypatch.setattr(websocket, "MOST_UNSENT", 100_000)

    async def flood(reader, writer):
        small = writer.get_extra_info("socket")
        small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        await handshake(reader, writer)
        writer.transport.pause_reading()
        while True:
            writer.write((b"\x89\x7d" + bytes(125)) * 500)
            await writer.drain()

    async with raw(flood) as (made, _, lost):
        await made.connect()
        await eventually(lambda: lost)
        assert "broke" in str(lost[0])
        await made.aclose()


async def endless(reader, writer):
    while True:
        writer.write(b"X-More: " + b"x" * 1000 + b"\r\n")
        await writer.drain()


def saying(text, then=None):
    async def handler(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(text)
        await writer.drain()
        if then is not None:
            await then(reader, writer)

    return handler


@pytest.mark.parametrize(
    ("handler", "status"),
    [
        (saying(b"HTTP/1.1 302 Found\r\nLocation: ws://192.0.2.1/\r\n\r\n"), 302),
        (saying(b"HTTP/1.1 407 Who\r\n\r\n"), 407),
        (saying(b"HTTP/1.1 200 OK\r\n", endless), 0),
        (saying(b"HTTP/1.1 101 Yes\r\n\r\n"), 0),
        (saying(b"HTTP/1.1 500 No\r\nContent-Length: 9999999999\r\n\r\n", endless), 0),
        (saying(b"x" * 100_000), 0),
        (saying(b""), 0),
    ],
    ids=["redirect", "407", "endless", "no key", "large body", "no HTTP", "nothing"],
)
async def test_what_is_answered_in_place_of_a_websocket(handler, status):
    census = Census()
    async with raw(handler) as (made, _, _):
        with pytest.raises(UpgradeFailed) as raised:
            await asyncio.wait_for(made.connect(), 30)
        assert raised.value.status == status
        assert len(str(raised.value)) <= 250
        await made.aclose()
    await census.check()


def test_speech_in_tiny_events_takes_bounded_memory(monkeypatch):
    monkeypatch.setattr(speaking, "MOST_PIECES", 500)
    state = SimpleNamespace(
        output_format="audio/pcm",
        sequencer=SimpleNamespace(is_outside=lambda response_id: False),
    )
    queue = SpeechQueue()
    player = PlayedByUs(state, SimpleNamespace(), queue, lambda: "event_1")

    def say(response, item, delta):
        where = {"response_id": response, "item_id": item, "output_index": 0, "content_index": 0}
        player.take(events.ResponseOutputAudioDelta(delta=delta, **where))

    one = base64.b64encode(b"\1\0").decode()
    for n in range(2000):
        made = events.RealtimeResponse(id=f"resp_{n}", status="in_progress")
        player.take(events.ResponseCreated(response=made))
        say(f"resp_{n % 300}", f"item_{n % 7}", one)
        say(f"resp_{n % 300}", f"item_{n}", "")
    delivery = player._delivery
    assert queue.put_index == queue.pieces == len(delivery._pieces) == 500
    kept = (delivery._in_progress, delivery._dropped, delivery._received)
    assert all(len(each) <= 100 for each in kept)
    for _ in range(3):
        queue.get_audio(0.0)
    say("resp_new", "item_new", one * 1)
    assert queue.pieces <= 500
