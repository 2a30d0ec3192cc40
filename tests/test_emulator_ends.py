"""How a session ends, how a server comes back, and what is lost in between."""

from __future__ import annotations

import asyncio

import aioice.ice
import httpx
import pytest
from emulator_driver import Driver, types
from live import KEY, BentEmulator, calling, eventually

from rtcvoice import Network
from rtcvoice.emulator import BackgroundEmulator, Faults, SessionEnd, Strike
from rtcvoice.emulator.session.faults import SessionFaults

pytestmark = pytest.mark.usefixtures("no_stray_errors")

TOLD = [SessionEnd.ERROR_CLOSE, SessionEnd.ERROR_CHANNEL]

# -- in the core ---------------------------------------------------------------------------------


@pytest.mark.parametrize("way", SessionEnd)
def test_the_time_of_a_session_is_over_as_it_said(way):
    """60 minutes at the service; here as short as a test wants it."""
    driver = Driver(faults=SessionFaults(session_end=way), duration=90.0)
    assert driver.of("session.created")[0]["session"]["expires_at"] == 1_800_000_090
    driver.run(89.9)
    assert driver.closed_for is None
    events = driver.run(0.2)
    assert types(events) == (["error"] if way in TOLD else [])
    assert driver.closed_for == "session_expired"
    if way in TOLD:
        error = events[0]["error"]
        assert error["code"] == "session_expired"
        assert error["message"] == "Your session hit the maximum duration of 1.5 minutes."


def test_in_the_middle_of_an_answer_it_falls_silent():
    driver = Driver(duration=3.0)
    driver.say("Tell me a long story.")
    driver.send("response.create")
    driver.run(5.0)
    assert driver.stops == [103.0]
    assert driver.send("response.create") == []


# -- over the wire -------------------------------------------------------------------------------


async def hang_up(server, call_id):
    """Hang up by REST; return the status."""
    async with httpx.AsyncClient() as http:
        url = f"{server.url}/realtime/calls/{call_id}/hangup"
        return (await http.post(url, headers={"Authorization": f"Bearer {KEY}"})).status_code


@pytest.mark.parametrize("way", [way for way in SessionEnd if way is not SessionEnd.SILENCE])
async def test_an_end_reaches_the_client_at_once(way):
    async with BentEmulator(faults=Faults(session_end=way)) as server:
        async with calling(server) as call, asyncio.timeout(20):
            server.expire()
            end = await call.wait_ended()
        told = [each["error"]["code"] for each in server.calls[call.id].from_server("error")]
        assert told == (["session_expired"] if way in TOLD else [])
        assert not end.normal
        assert "nothing was received" not in end.reason
        await server.end_calls()


async def test_an_end_in_silence_is_found_out_by_the_client_alone_and_can_be_hung_up():
    async with BentEmulator(faults=Faults(session_end=SessionEnd.SILENCE)) as server:
        async with calling(server, liveness_timeout=0.3) as call, asyncio.timeout(20):
            server.expire()
            end = await call.wait_ended()
        assert "received" in end.reason
        assert server.calls[call.id].from_server("error") == []


async def test_a_session_whose_channel_is_closed_is_still_there_to_be_hung_up():
    async with BentEmulator() as server, calling(server) as call:
        server.last().strike(Strike.FREEZE)
        assert await hang_up(server, call.id) == 200
        assert server.last().ended
        assert await hang_up(server, call.id) == 404


async def test_a_server_comes_back_on_its_port_without_its_calls():
    async with BentEmulator() as server:
        url, old = server.url, None
        async with httpx.AsyncClient() as http:
            headers = {"Authorization": f"Bearer {KEY}"}
            minted = await http.post(f"{url}/realtime/client_secrets", headers=headers, json={})
        token = minted.json()["value"]
        refused, reopen = asyncio.Event(), server._door.reopen

        async def reopen_later():
            await refused.wait()
            await reopen()

        server._door.reopen = reopen_later
        async with calling(server, liveness_timeout=0.3) as call:
            old = call.id
            back = asyncio.create_task(server.restart())
            await eventually(lambda: server.calls[old].ended)
            async with httpx.AsyncClient() as http:
                with pytest.raises(httpx.TransportError):
                    await http.get(url)
            refused.set()
            async with asyncio.timeout(20):
                await back
                assert not (await call.wait_ended()).normal
        assert server.url == url
        assert await hang_up(server, old) == 404
        async with calling(server, api_key=token) as call:
            assert call.id != old


async def test_an_outage_is_over_and_the_call_goes_on():
    faults = Faults(outage_after=0.05, outage_for=0.3)
    async with BentEmulator(faults=faults, audio="instant") as server:

        async def ask_in_the_outage():
            await eventually(lambda: server._http_faults.unreachable, 20)
            status = await hang_up(server, "rtc_nobody")
            return status, server._http_faults.unreachable

        asking = asyncio.create_task(ask_in_the_outage())  # it may be over when the call is ready
        async with calling(server) as call:
            assert await asking == (404, False)
            async with asyncio.timeout(30):
                assert await (await call.ask("Still there?")).text()
        assert [each.event["type"] for each in server.last().events if each.direction == "in"]


async def test_an_outage_of_all_calls_is_made_from_a_test():
    async with BentEmulator() as server, calling(server) as one, calling(server) as two:
        outage = asyncio.create_task(server.outage(0.2, http=False))
        await asyncio.sleep(0)
        assert await hang_up(server, "rtc_nobody") == 404
        await outage
        async with asyncio.timeout(30):
            for call in (one, two):
                assert await (await call.ask("Still there?")).text()


def test_from_another_thread_too():
    with BackgroundEmulator() as server:
        url = server.url
        server.restart()
        server.outage(0.01)
        assert server.url == url
        assert httpx.get(url).status_code == 404


async def test_a_client_whose_address_changes_is_followed(monkeypatch):
    """As soon as it checks with USE-CANDIDATE again: aioice does that every 5 s or so."""
    monkeypatch.setattr(aioice.ice, "CONSENT_INTERVAL", 0.05)
    faults = Faults(network=Network())
    async with BentEmulator(faults=faults, audio="instant") as server, calling(server) as call:
        struck = []
        server.last().peer.on_strike(struck.append)
        server.last().strike(Strike.CHANGE_ADDRESS)
        assert struck == [Strike.CHANGE_ADDRESS]
        async with asyncio.timeout(20):
            assert await (await call.ask("Still there?")).text()
