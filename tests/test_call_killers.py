"""What kills or cripples a stock aiortc call must not touch ours; real WebRTC on loopback."""

from __future__ import annotations

import asyncio
import signal

import aioice.ice
import httpx
import pytest
from live import (
    KEY,
    BentEmulator,
    Ear,
    calling,
    eventually,
    find,
    loop_lag,
    separate_emulator,
    spoil_packet,
)

from rtcvoice import CallEnded, CallState, HandlerError
from rtcvoice.emulator import Turn
from rtcvoice.emulator.voice import PromptVoice
from rtcvoice.wire import _aiortc
from rtcvoice.wire.sdp import media_sections

pytestmark = pytest.mark.usefixtures("no_stray_errors")

RATE = 24000

# -- packets ---------------------------------------------------------------------------------------


def lost(packet):
    return None


def empty(packet):
    packet.payload = b""
    return packet


def padding(packet):
    packet.payload, packet.padding_size = b"", 20
    return packet


def garbage(packet):
    packet.payload = b"\xff\xff\xff\xff"
    return packet


async def listen(spoils):
    """Have a prompt said with some of its packets spoiled, from 0.8 s into the voice on."""
    ear = Ear()
    async with (
        BentEmulator(script=[Turn(says=("repeat",))]) as server,
        calling(server, sink=ear) as call,
        loop_lag() as lag,
    ):
        await call.send("Say it.")
        await call.wait_for("output_audio_buffer.started", timeout=20)
        for number, spoil in enumerate(spoils):
            spoil_packet(server.last().peer, spoil, at=40 + 3 * number)
        heard_enough = len(ear.heard) + len(CLIP) + RATE // 2
        await eventually(lambda: len(ear.heard) >= heard_enough)
        assert call.state is CallState.ACTIVE
        return ear.heard, call._roads.player.stats, lag.worst


CLIP = PromptVoice().clip("repeat").samples[: int(1.6 * RATE)]


@pytest.mark.parametrize("spoils", [(lost,), (empty, padding, garbage)])
async def test_bad_packets_are_all_that_is_missing(spoils):
    """Stock: a lost packet makes 326 ms of nothing and +200 ms for good, an empty one silence."""
    for _ in range(3):
        heard, stats, lag = await listen(spoils)
        if lag < 0.015:
            break
    assert stats.packets_lost == sum(spoil in (lost, garbage) for spoil in spoils)
    assert stats.packets_empty == sum(spoil in (empty, padding) for spoil in spoils)
    if lag >= 0.05:  # a machine that stutters leaves sound out, too
        return
    before, _ = find(CLIP[: int(0.6 * RATE)], heard)
    after, likeness = find(CLIP[int(1.0 * RATE) :], heard)
    assert likeness > 0.3
    assert abs(after - before - RATE) < 0.15 * RATE
    if lag >= 0.015:  # a machine too busy for the network tells nothing finer about us
        return
    assert likeness > 0.7
    assert abs(after - before - RATE) < 0.05 * RATE  # the delay is what it was
    assert stats.concealed_samples <= 0.02 * RATE * len(spoils) + 0.04 * RATE
    if len(spoils) == 1:  # of one lost packet nothing is missing; it is looked for near its place
        around = heard[before + int(0.6 * RATE) :][: int(0.45 * RATE)]
        hole, likeness = find(CLIP[int(0.7 * RATE) : int(0.95 * RATE)], around)
        assert likeness > 0.5
        assert abs(hole - 0.1 * RATE) < 0.05 * RATE


# -- ICE and SDP -----------------------------------------------------------------------------------


def answer_only_use_candidate(peer, requests):
    """Make an emulated peer ignore checks without USE-CANDIDATE once it is connected."""
    receive = peer._ice.request_received

    def request_received(message, addr, protocol):
        if peer._peer.connectionState == "connected":
            nominating = "USE-CANDIDATE" in message.attributes
            requests.append(nominating)
            if not nominating:
                return
        receive(message, addr, protocol)

    peer._ice.request_received = request_received


@pytest.mark.parametrize("mended", [True, False])
async def test_consent_checks_repeat_use_candidate(monkeypatch, mended):
    """OpenAI's ICE-lite server was reported to ignore others: stock aioice then dies at 34 s."""
    monkeypatch.setattr(aioice.ice, "CONSENT_INTERVAL", 0.1)
    monkeypatch.setattr(aioice.ice, "CONSENT_FAILURES", 2)
    if not mended:
        monkeypatch.setattr(_aiortc, "end_consent_lapse", lambda connection: None)
    requests: list[bool] = []
    async with (
        BentEmulator(bend=lambda peer: answer_only_use_candidate(peer, requests)) as server,
        calling(server) as call,
    ):
        if mended:
            await eventually(lambda: len(requests) >= 8)
            assert all(requests)
            assert call.state is CallState.ACTIVE
        else:
            async with asyncio.timeout(20):
                end = await call.wait_ended()
            assert not end.normal
            assert requests
            assert not any(requests)


def first_section_only(sdp):
    """State credentials, setup and candidates in the first section only, as OpenAI documents it."""
    session, (first, *others) = media_sections(sdp)
    once = ("a=ice-ufrag", "a=ice-pwd", "a=setup", "a=candidate", "a=end-of-candidates")
    kept = [[line for line in section if not line.startswith(once)] for section in others]
    lines = [*session, *first, *(line for section in kept for line in section)]
    return "".join(f"{line}\r\n" for line in lines)


async def test_an_answer_that_states_its_transport_once():
    answers = []

    def rewrite(sdp):
        answers.append(first_section_only(sdp))
        return answers[-1]

    async with BentEmulator(rewrite=rewrite) as server, calling(server) as call:
        assert call.state is CallState.ACTIVE
    assert "end-of-candidates" not in answers[0]
    assert answers[0].count("a=ice-pwd") == answers[0].count("a=candidate") == 1


# -- user code that raises -------------------------------------------------------------------------


async def prove_alive(call):
    """Have something said and done: the call still works in both directions."""
    done = asyncio.create_task(call.wait_for("response.done", timeout=20))
    await asyncio.sleep(0)
    await call.send("Still there?")
    assert (await done).response.status == "completed"
    assert call.state is CallState.ACTIVE


async def test_raising_handlers_are_reported_and_change_nothing(emulator):
    """Stock: an exception in a message listener ends the whole call."""
    async with calling(emulator) as call:
        reports = call.events("rtcvoice.handler_error")

        @call.on("response.created")
        async def asynchronous(event):
            raise KeyError("async")

        @call.on("response.created")
        def in_a_thread(event):
            raise LookupError("sync")

        @call.on("rtcvoice.handler_error")
        async def reporter(event):
            raise ValueError("the reporter, too")

        await prove_alive(call)
        async with asyncio.timeout(20):
            got = [await anext(reports), await anext(reports)]
        assert all(isinstance(report, HandlerError) for report in got)
        assert {type(report.exception) for report in got} == {KeyError, LookupError}
        await prove_alive(call)


async def test_a_raising_reader_and_a_raising_where_hurt_only_themselves(emulator):
    async with calling(emulator) as call:

        async def read():
            async for _ in call:
                raise ValueError("in the loop body")

        def where(event):
            raise ZeroDivisionError

        reading = asyncio.create_task(read())
        waiting = asyncio.create_task(call.wait_for("*", where=where))
        await asyncio.sleep(0)
        await prove_alive(call)
        results = await asyncio.gather(reading, waiting, return_exceptions=True)
        assert [type(result) for result in results] == [ValueError, ZeroDivisionError]
        await prove_alive(call)


async def test_an_error_of_the_block_comes_out_and_the_call_is_closed(emulator):
    with pytest.raises(ZeroDivisionError):
        async with calling(emulator) as call:
            raise ZeroDivisionError
    assert call.state is CallState.ENDED
    await eventually(lambda: emulator.last().ended)


# -- closing under cancellation --------------------------------------------------------------------


async def cancelled_after(task, steps):
    """Cancel a task after it had `steps` turns; return whether it was still running."""
    for _ in range(steps):
        if task.done():
            return False
        await asyncio.sleep(0)
    return task.cancel()


async def turns_of(work):
    """Do it; return how many turns of the loop it took."""
    task, turns = asyncio.create_task(work), 0
    while not task.done():
        await asyncio.sleep(0)
        turns += 1
    await task
    return turns


async def test_closing_survives_a_cancellation_at_every_point(emulator):
    """Stock: `pc.close()` cancelled at 10 of 12 points makes every later close hang for ever."""
    steps, interrupted = 0, True
    while interrupted:
        steps += 1
        call = await calling(emulator)
        closing = asyncio.create_task(call.aclose())
        interrupted = await cancelled_after(closing, steps)
        async with asyncio.timeout(20):
            await asyncio.wait({closing})
            assert closing.cancelled() == interrupted
            assert call.state is CallState.ENDED
            assert await turns_of(call.aclose()) < 20
            assert await turns_of(call.hangup()) < 20
    assert steps > 10


async def test_a_close_cancelled_again_and_again_still_closes(emulator):
    call = await calling(emulator)
    closing = asyncio.create_task(call.aclose())
    await asyncio.sleep(0)
    async with asyncio.timeout(20):
        while not closing.done():
            closing.cancel()
            await asyncio.sleep(0)
    assert closing.cancelled()
    assert call.state is CallState.ENDED
    await eventually(lambda: emulator.last().ended)


@pytest.mark.parametrize("steps", [1, 3, 10])
async def test_a_cancelled_hangup_still_ends_the_call(emulator, steps):
    async with calling(emulator) as call:
        hanging_up = asyncio.create_task(call.hangup())
        await cancelled_after(hanging_up, steps)
        async with asyncio.timeout(20):
            assert (await call.wait_ended()).normal


async def test_a_handler_may_hang_up(emulator):
    async with calling(emulator) as call:

        @call.on("response.created")
        async def enough(event):
            await call.hangup()

        await call.send("Say it.")
        async with asyncio.timeout(20):
            assert (await call.wait_ended()).normal


# -- servers that go away --------------------------------------------------------------------------


async def check_end(call, readers, waiting, end):
    """Check that everybody learns of an end that nobody wanted, and why it came."""
    assert not end.normal
    assert end.__cause__ is not None
    assert call.state is CallState.ENDED
    for reader in readers:
        with pytest.raises(CallEnded) as raised:
            async for _ in reader:
                pass
        assert raised.value.reason == end.reason
        assert raised.value.__cause__ is end.__cause__
    with pytest.raises(CallEnded):
        await waiting
    for verb in (
        lambda: call.send("hello"),
        lambda: call.send_event({"type": "response.create"}),
        lambda: call.update(instructions="Be brief."),
        lambda: call.wait_for("*"),
    ):
        with pytest.raises(CallEnded):
            await verb()
    await call.hangup()


async def wait_for_end(call, timeout):
    """Wait for the call to end by itself and check what everybody is told."""
    readers = [aiter(call), call.events("response.*")]
    waiting = asyncio.create_task(call.wait_for("response.cancelled_never_comes", timeout=30))
    async with asyncio.timeout(timeout):
        end = await call.wait_ended()
    await check_end(call, readers, waiting, end)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
async def test_a_server_that_dies_ends_the_call_in_time(how):
    """Stock: aiortc notices after 32 s. A stopped process still has its ports open."""
    async with separate_emulator() as process, calling(process, liveness_timeout=1.5) as call:
        process.send_signal(how)
        await wait_for_end(call, timeout=20)
        assert await turns_of(call.aclose()) < 20


async def test_a_silent_server_that_is_alive_ends_nothing(emulator, monkeypatch):
    """No RTP, no RTCP, no events: consent checks alone show that it is there."""
    monkeypatch.setattr(aioice.ice, "CONSENT_INTERVAL", 0.1)
    async with calling(emulator) as call:
        send_nothing(emulator.last().peer)
        begun = call._roads.heard_at
        await eventually(lambda: call._roads.heard_at > begun + 0.6)
        assert call.state is CallState.ACTIVE


def send_nothing(peer):
    """Send no RTP and no RTCP any more."""

    async def send_rtp(data: bytes) -> None:
        return

    peer._peer.getSenders()[0].transport._send_rtp = send_rtp


async def hang_up_by_rest(server):
    async with httpx.AsyncClient(trust_env=False) as http:
        call_id = next(iter(server.calls))
        path = f"{server.url}/realtime/calls/{call_id}/hangup"
        response = await http.post(path, headers={"Authorization": f"Bearer {KEY}"})
    assert response.status_code == 200


async def close_channel(server):
    server.last().peer._channel.close()


async def close_peer(server):
    await server.last().peer.aclose()


@pytest.mark.parametrize("leave", [hang_up_by_rest, close_channel, close_peer])
async def test_a_server_that_leaves_ends_the_call_at_once(emulator, leave):
    async with calling(emulator, liveness_timeout=60) as call:
        leaving = asyncio.create_task(leave(emulator))
        await wait_for_end(call, timeout=20)
        await leaving


async def test_what_was_queued_before_the_end_can_still_be_read(emulator):
    async with calling(emulator) as call:
        reader = aiter(call)
        created = call.expect("response.created")
        await call.send("Say it.")
        await asyncio.wait_for(created, 20)
        await call.hangup()
        types = [event.type async for event in reader]
    assert "response.created" in types
