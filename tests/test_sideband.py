"""The sideband WebSocket, over the wire and on its own.

56. "Sideband WebSocket ?call_id=: same event stream, no session.created, commands accepted, 404 for
    unknown."
"""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from live import KEY, BentEmulator, calling

from rtcvoice.emulator import Faults
from rtcvoice.emulator.sideband import QUEUE_LIMIT, serve_sideband

pytestmark = pytest.mark.usefixtures("no_stray_errors")

UPDATE = {"type": "session.update", "session": {"type": "realtime", "instructions": "By server."}}


@asynccontextmanager
async def attached(server, call_id, key=KEY):
    """A sideband client of a call."""
    url = f"{server.url}/realtime?call_id={call_id}"
    headers = {"Authorization": f"Bearer {key}"}
    async with aiohttp.ClientSession() as http, http.ws_connect(url, headers=headers) as socket:
        yield socket


async def read_until(socket, kind, timeout=30.0):
    """Return the events up to one of that type."""
    events = []
    async with asyncio.timeout(timeout):
        while not events or events[-1]["type"] != kind:
            events.append(json.loads((await socket.receive()).data))
    return events


async def test_both_clients_see_all_events_and_either_may_command(emulator):
    async with calling(emulator) as call, attached(emulator, call.id) as socket:
        seen = call.events()
        await socket.send_json(UPDATE)
        await call.wait_for("session.updated", timeout=30)
        await call.send("Hello.")
        by_socket = await read_until(socket, "rate_limits.updated")
        assert by_socket[0]["type"] == "session.updated"
        by_channel = []
        async for event in seen:
            by_channel.append(event.event_id)
            if event.type == "rate_limits.updated":
                break
        assert [event["event_id"] for event in by_socket] == by_channel
        types = {event["type"] for event in by_socket}
        assert {"output_audio_buffer.started", "response.output_audio_transcript.delta"} <= types
        assert "response.output_audio.delta" not in types
        assert "session.created" not in types
        await socket.send_str("{}")
        assert (await read_until(socket, "error"))[-1]["error"]["code"] == "invalid_event"
    assert emulator.last().from_client("session.update") == [UPDATE]


@pytest.mark.parametrize(
    ("call_id", "key", "status"),
    [("rtc_unknown", KEY, 404), ("", KEY, 400), (None, "ek_token", 401), (None, "nonsense", 401)],
)
async def test_without_a_call_or_a_key_there_is_no_socket(emulator, call_id, key, status):
    async with calling(emulator) as call:
        with pytest.raises(aiohttp.WSServerHandshakeError) as raised:
            async with attached(emulator, call.id if call_id is None else call_id, key):
                pass
    assert raised.value.status == status


async def test_a_socket_of_an_ended_call_is_closed_and_no_other_opened(emulator):
    async with calling(emulator) as call, attached(emulator, call.id) as socket:
        await call.hangup()
        async with asyncio.timeout(30):
            async for _ in socket:
                pass
        assert socket.close_code == 1000
        with pytest.raises(aiohttp.WSServerHandshakeError, match="404"):
            async with attached(emulator, call.id):
                pass


async def test_when_the_session_expires_the_socket_is_told_why():
    async with (
        BentEmulator(faults=Faults(session_expires_after=50)) as server,
        calling(server) as call,
        attached(server, call.id) as socket,
    ):
        server.expire()
        events = await read_until(socket, "error")
        assert events[-1]["error"]["code"] == "session_expired"
        async with asyncio.timeout(30):
            assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
        assert socket.close_code == 1001


async def test_a_session_lives_from_the_offer_on_even_without_media(emulator):
    """A sideband client alone has a whole turn; nobody ever answers ICE."""
    async with calling(emulator) as call:
        offer = call._roads.leg.transport._peer.localDescription.sdp
    async with aiohttp.ClientSession() as http:
        headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/sdp"}
        answer = await http.post(f"{emulator.url}/realtime/calls", data=offer, headers=headers)
        call_id = answer.headers["Location"].rpartition("/")[2]
    async with attached(emulator, call_id) as socket:
        await socket.send_json({"type": "response.create"})
        events = await read_until(socket, "response.done")
    assert events[-1]["response"]["status"] == "completed"


class FakeCall:
    """A call that says more at once than any socket takes."""

    expired = False
    listeners = 0

    def __init__(self):
        self.ended = False
        self.left = asyncio.Event()

    def attach(self, listener):
        for _ in range(QUEUE_LIMIT + 1):
            listener("{}")

    def detach(self, listener):
        self.left.set()

    def receive_text(self, text):
        raise AssertionError(text)

    async def wait_ending(self):
        await asyncio.Event().wait()


async def test_a_reader_that_falls_too_far_behind_is_let_go_and_the_call_goes_on():
    call, app = FakeCall(), web.Application()

    async def serve(request):
        return await serve_sideband(request, call)

    app.router.add_get("/", serve)
    async with TestClient(TestServer(app)) as client, client.ws_connect("/") as socket:
        async with asyncio.timeout(30):
            async for _ in socket:
                pass
            await call.left.wait()
        assert socket.close_code == 1008
        assert not call.ended
        assert (await client.get("/")).status == 500  # a RestError: here nobody makes it a 426
