"""After a first call, every later one leaves the threads, tasks and descriptors of before.

The emulator lives in the same process, so its side of a call is counted, too. A client that gives
up before it has the answer cannot hang up, and the server waits for it for a while: those tests
end the server's calls before they count.
"""

from __future__ import annotations

import asyncio
import random
import signal
from contextlib import suppress

import pytest
from deadlines import too_late_in
from live import KEY, Census, calling, eventually, hold, separate_emulator

import rtcvoice
from rtcvoice import CallState, TransportError
from rtcvoice.conversation.road import CallConversation
from rtcvoice.wire.transport import Transport

pytestmark = pytest.mark.usefixtures("no_stray_errors")

CALLS = 50


async def warmed_up(server):
    """Make one call, which imports, caches and starts what a process has once; count then."""
    await hold(server)
    await asyncio.to_thread(int)
    await server.end_calls()
    return Census()


async def test_fifty_calls_leave_nothing_behind(emulator):
    census = await warmed_up(emulator)
    for _ in range(CALLS):
        await hold(emulator)
    assert len(emulator.calls) == CALLS + 1
    await census.check()
    assert all(call.ended for call in emulator.calls.values())  # each was told of the hang-up


async def endless():
    while True:
        yield bytes(960)


async def test_several_calls_at_once_leave_nothing_behind(emulator, tmp_path):
    census = await warmed_up(emulator)
    for _ in range(2):
        async with asyncio.TaskGroup() as calls:
            for number in range(6):
                ends = {
                    "source": rtcvoice.PcmSource(endless()),
                    "sink": rtcvoice.FileSink(tmp_path / f"{number}.wav"),
                }
                calls.create_task(hold(emulator, **ends))
    await census.check()


async def cancelled_connecting(server, wait):
    """Begin to connect, wait in the way of `wait`, cancel."""
    connecting = asyncio.create_task(calling(server).__aenter__())
    await wait(connecting)
    connecting.cancel()
    async with asyncio.timeout(20):
        await asyncio.wait({connecting})
    if not connecting.cancelled():  # it was faster than we
        await connecting.result().aclose()


async def test_connecting_cancelled_anywhere_leaves_nothing_behind(emulator):
    census = await warmed_up(emulator)
    usual = 0.05
    dice = random.Random(7)
    for number in range(40):
        turns, seconds = 3 * number, dice.uniform(0, usual)

        async def some_turns(connecting, turns=turns):
            for _ in range(turns):
                await asyncio.sleep(0)

        async def some_time(connecting, seconds=seconds):
            await asyncio.wait({connecting}, timeout=seconds)

        await cancelled_connecting(emulator, some_turns if number % 2 else some_time)
    await emulator.end_calls()
    await census.check()


@pytest.mark.parametrize("stage", ["ice", "dtls", "channel", "session"])
async def test_connecting_cancelled_at_a_stage_leaves_nothing_behind(emulator, monkeypatch, stage):
    """Stages are over in milliseconds here, so each is held up to be hit for sure."""
    census = await warmed_up(emulator)
    reached = asyncio.Event()

    async def stuck(*arguments):
        reached.set()
        await asyncio.Event().wait()

    with monkeypatch.context() as patch:
        if stage == "session":
            patch.setattr(CallConversation, "ready", stuck)
        else:
            patch.setattr(f"rtcvoice.wire.transport.Transport.wait_{stage}", stuck)

        async def until_reached(connecting):
            await reached.wait()

        async with asyncio.timeout(20):
            await cancelled_connecting(emulator, until_reached)
    await eventually(lambda: emulator.last().ended)  # the call was answered, so it was hung up
    await census.check()


async def test_a_cancellation_while_giving_up_waits_for_the_closing(emulator, monkeypatch):
    """Our deadline and the user's impatience cancel the same task; closing is one for both."""
    census = await warmed_up(emulator)
    closing, closed, release = asyncio.Event(), asyncio.Event(), asyncio.Event()
    close_peer = Transport._close_peer

    async def close_slowly(transport):
        closing.set()
        await release.wait()
        await close_peer(transport)
        closed.set()

    monkeypatch.setattr(Transport, "_close_peer", close_slowly)
    monkeypatch.setattr(Transport, "wait_ice", lambda transport: asyncio.Event().wait())
    with too_late_in("ice") as timeout:
        connecting = asyncio.create_task(calling(emulator, connect_timeout=timeout).__aenter__())
        async with asyncio.timeout(20):
            await closing.wait()
            connecting.cancel()
            await asyncio.wait({connecting}, timeout=0.05)
            assert not connecting.done()
            release.set()
            await asyncio.wait({connecting})
    assert connecting.cancelled()
    assert closed.is_set()
    await emulator.end_calls()
    await census.check()


async def test_a_refusal_is_not_hidden_by_the_deadline_that_passes_while_closing(
    emulator, monkeypatch
):
    closing, close_peer = asyncio.Event(), Transport._close_peer

    async def close_slowly(transport):
        closing.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(0.3):
                await asyncio.Event().wait()
        await close_peer(transport)

    with monkeypatch.context() as patch, too_late_in("answer", once=closing.is_set) as timeout:
        patch.setattr(Transport, "_close_peer", close_slowly)
        with pytest.raises(rtcvoice.SignalingError) as raised:
            await hold(emulator, api_key="wrong", direct=True, connect_timeout=timeout)
    assert closing.is_set()
    assert raised.value.status == 401


async def test_servers_killed_mid_call_leave_nothing_behind(emulator):
    census = await warmed_up(emulator)
    async with separate_emulator() as process:
        begun = [calling(process, liveness_timeout=0.5).__aenter__() for _ in range(3)]
        calls = await asyncio.gather(*begun)
        process.send_signal(signal.SIGKILL)
        async with asyncio.timeout(20):
            ends = await asyncio.gather(*(call.wait_ended() for call in calls))
        assert not any(end.normal for end in ends)
        await asyncio.gather(*(call.aclose() for call in calls))
    await census.check()


async def test_raising_handlers_and_open_iterators_leave_nothing_behind(emulator):
    census = await warmed_up(emulator)
    async with calling(emulator) as call:

        @call.on("*")
        async def raising(event):
            raise ValueError

        @call.on("*")
        def raising_in_a_thread(event):
            raise ValueError

        @call.on("*")
        async def endless(event):
            await asyncio.Event().wait()

        aiter(call)
        call.events("response.*")
        call.audio()
        waiting = asyncio.create_task(call.wait_for("response.done"))
        await call.send("Say it.")
        await waiting
    assert call.state is CallState.ENDED
    await census.check()


async def test_cancelled_closing_leaves_nothing_behind(emulator):
    census = await warmed_up(emulator)
    for turns in range(1, 40, 4):
        call = await calling(emulator)
        closing = asyncio.create_task(call.aclose())
        for _ in range(turns):
            await asyncio.sleep(0)
        closing.cancel()
        await asyncio.wait({closing})
    await census.check()


async def test_a_block_that_is_cancelled_leaves_nothing_behind(emulator):
    census = await warmed_up(emulator)
    inside = asyncio.Event()

    async def talk():
        async with calling(emulator) as call:
            inside.set()
            async for _ in call:
                pass

    for _ in range(3):
        inside.clear()
        talking = asyncio.create_task(talk())
        await inside.wait()
        talking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await talking
    await census.check()


async def test_failed_connecting_leaves_nothing_behind(emulator, tmp_path):
    census = await warmed_up(emulator)
    port = emulator.url.split(":")[2].split("/")[0]
    for options, error in (
        ({"base_url": "http://127.0.0.1:9/v1"}, rtcvoice.SignalingError),
        ({"base_url": f"http://127.0.0.1:{port}/nowhere"}, rtcvoice.SignalingError),
        ({"source": rtcvoice.FileSource(tmp_path / "none.wav")}, rtcvoice.DeviceError),
        ({"sink": rtcvoice.FileSink(tmp_path / "none" / "a.wav")}, rtcvoice.DeviceError),
        ({"connect_timeout": 0.001}, TransportError),
    ):
        with pytest.raises(error):
            await hold(emulator, **options)
    await emulator.end_calls()
    await census.check()


async def test_closing_gives_up_on_a_part_that_does_not_close(emulator, caplog):
    """Even then everything else is closed, and the call ends."""
    census = await warmed_up(emulator)

    class Stubborn(rtcvoice.Silence):
        async def aclose(self):
            await asyncio.Event().wait()

    async with calling(emulator, source=Stubborn(), close_timeout=0.3) as call:
        pass
    assert call.state is CallState.ENDED
    assert "took over" in caplog.text
    await census.check()
    assert KEY not in caplog.text


async def test_a_server_that_never_confirms_the_hang_up_leaves_nothing_behind(emulator):
    """The deadline cuts the waiting short; the HTTP connection is closed all the same."""
    census = await warmed_up(emulator)
    over = asyncio.Event()

    async def hang_up(call_id):
        return await over.wait()

    emulator.hang_up = hang_up
    call = await calling(emulator, close_timeout=0.2)
    leg = call._roads.leg
    await call.aclose()
    assert call.state is CallState.ENDED
    await eventually(lambda: leg.signaling._rest._http.is_closed)
    over.set()
    await emulator.end_calls()
    await census.check()
