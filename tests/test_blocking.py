"""Calls without asyncio: the verbs wait, in any thread, and refuse what would stop a loop."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import Iterator

import pytest

import rtcvoice
from rtcvoice import blocking, events
from rtcvoice.emulator import BackgroundEmulator, Turn
from rtcvoice.errors import CallEnded, ConcurrencyError, ConfigError


@pytest.fixture(scope="module")
def server() -> Iterator[BackgroundEmulator]:
    with BackgroundEmulator(audio="instant") as server:
        yield server


def connect(server: BackgroundEmulator, **options) -> blocking.Connection:
    options = {"source": None, "sink": None, **options}
    return blocking.connect(base_url=server.url, api_key="sk-emulator", **options)


def test_a_call_from_a_script(server) -> None:
    before = threading.active_count()
    with connect(server) as call:
        assert call.state is rtcvoice.CallState.ACTIVE
        turns, stream = call.turns(), call.events(events.ResponseDone)
        reply = call.ask("Hello!")
        text = reply.text()
        assert text == "".join(reply)
        reply.played()
        assert (next(turns).role, next(turns).text) == ("user", text)
        assert next(stream).type == "response.done"
        with call.expect(events.SessionUpdated, timeout=20) as updated:
            assert call.update(instructions="Be brief.").instructions == "Be brief."
            assert updated.get().session.instructions == "Be brief."
        call.mute()
        assert call.muted
        assert next(call.audio()).samples.dtype == "int16"
        with pytest.raises(TimeoutError):
            call.wait_for(events.ErrorEvent, timeout=0.01)
        with pytest.raises(TimeoutError):
            stream.get(0.01)
        thread = call.link
    assert [entry["type"] for entry in call.history] == ["message", "message"]  # also afterwards
    assert call.usage.responses
    assert list(stream) == []  # it ended normally
    assert thread.closed.is_set()
    assert reply.text() == text
    reply.played()
    with pytest.raises(CallEnded):
        call.ask("Are you there?")
    assert threading.active_count() <= before


def test_tools_and_handlers_are_plain_functions_that_use_the_call() -> None:
    seen: list[str] = []
    done = threading.Event()

    def clean(room: str) -> str:
        """Clean a room."""
        call = blocking.current_call()
        seen.append(call.state.name)
        inner = rtcvoice.current_call()
        seen.append(inner.from_thread(inner.events, "error").__class__.__name__)
        call.mute()
        return f"{room} is clean"

    script = [Turn(calls={"clean": {"room": "kitchen"}}, says="Done.")]
    with (
        BackgroundEmulator(audio="instant", script=script) as server,
        connect(server, tools=[clean]) as call,
    ):

        @call.on(events.ToolFinished)
        def finished(event: events.ToolFinished) -> None:
            seen.append(blocking.current_call().id)
            call.unmute()
            done.set()

        call.ask("Clean the kitchen.").text()
        assert done.wait(20)
        call.off(finished)
        assert seen == ["ACTIVE", "Subscription", call.id]
        assert not call.muted


def test_several_threads_use_one_call_but_not_one_stream(server) -> None:
    with connect(server) as call:
        stream = call.events()
        reading = threading.Thread(target=list, args=(stream,))
        reading.start()
        eventually(lambda: stream._stream._one_reader._waiting)
        with pytest.raises(ConcurrencyError):
            stream.get(1)
        texts: list[str] = []
        askers = [
            threading.Thread(target=lambda: texts.append(call.ask("Hello!").text()))
            for _ in range(3)
        ]
        for asker in askers:
            asker.start()
        for asker in askers:
            asker.join(20)
        assert len(texts) == 3
    reading.join(20)
    assert not reading.is_alive()


def test_where_an_event_loop_runs_it_is_refused(server) -> None:
    async def inside() -> None:
        with pytest.raises(ConfigError, match="stop that loop"):
            connect(server).open()
        with pytest.raises(ConfigError, match="stop that loop"):
            call.ask("Hello!")

    with connect(server) as call:
        asyncio.run(inside())
        raised: list[BaseException] = []
        came = threading.Event()

        @call.on(events.ResponseDone)
        async def on_the_loop(event: events.ResponseDone) -> None:
            try:
                call.interrupt()
            except ConfigError as exc:
                raised.append(exc)
            assert call.history  # what does not wait may be looked at
            came.set()

        call.ask("Hello!").text()
        assert came.wait(20)
        assert len(raised) == 1


def test_ctrl_c_interrupts_what_waits_and_the_block_is_closed(server) -> None:
    if threading.current_thread() is not threading.main_thread():
        pytest.skip("signals come to the main thread only")
    began = time.monotonic()
    connection = connect(server)
    with pytest.raises(KeyboardInterrupt):
        wait_in(connection)
    assert time.monotonic() - began < 30
    call = calls.pop()
    assert call.state is rtcvoice.CallState.ENDED
    assert call.link.closed.is_set()


calls: list[blocking.Call] = []


def wait_in(connection: blocking.Connection) -> None:
    with connection as call:
        calls.append(call)
        threading.Thread(target=interrupt, args=(call,)).start()
        call.wait_for("error")


def interrupt(call: blocking.Call) -> None:
    eventually(lambda: call.link.look(lambda: len(call.inner._dispatcher._waiters)) > 0)
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


def test_failing_to_connect_leaves_nothing() -> None:
    before = threading.active_count()
    with pytest.raises(rtcvoice.SignalingError):
        blocking.connect(
            base_url="http://127.0.0.1:9/v1", api_key="sk-x", source=None, sink=None
        ).open()
    assert threading.active_count() <= before
    with pytest.raises(ConfigError):
        blocking.connect(base_url="nonsense", api_key="sk-x")


def test_without_a_block(server) -> None:
    connection = connect(server)
    call = connection.open()
    with pytest.raises(ConfigError, match="already opened"):
        connection.open()
    call.hangup()
    assert call.wait_ended().normal
    connection.close()
    connection.close()
    assert call.link.closed.is_set()


# -- the call that is current, and threads of an async program ------------------------------------


def test_a_stored_call_of_gpt_live_goes_on_in_another(server) -> None:
    with connect(server, model="gpt-live-1.1", store=True) as call:
        call.say("Hello Ada.")
        call.think("It rains.")
        with pytest.raises(rtcvoice.ConfigError, match="over"):
            call.fork()
    with call.fork() as another:
        assert another.id != call.id
        assert [entry["text"] for entry in another.history] == [
            entry["text"] for entry in call.history
        ]


def test_nothing_is_current_outside_of_tools_and_handlers() -> None:
    for current in (rtcvoice.current_call, blocking.current_call):
        with pytest.raises(ConfigError, match="no call is current"):
            current()


async def test_threads_of_an_async_program(server) -> None:
    options = {"base_url": server.url, "api_key": "sk-emulator", "source": None, "sink": None}
    currents, both = [], asyncio.Event()
    async with rtcvoice.connect(**options) as call, rtcvoice.connect(**options) as other:
        for each in (call, other):

            @each.on(events.ResponseDone)
            async def handler(event):
                currents.append(rtcvoice.current_call())
                if len(currents) == 2:
                    both.set()

        assert call.loop is asyncio.get_running_loop()
        reply = await asyncio.to_thread(call.from_thread, call.ask, "Hello!")
        await reply.text()
        await (await other.ask("Hello!")).text()
        await asyncio.to_thread(call.from_thread, call.mute)
        assert call.muted
        with pytest.raises(ConfigError, match="stop that loop"):
            call.from_thread(call.unmute)
        with pytest.raises(rtcvoice.ServerError):
            await asyncio.to_thread(call.from_thread, call.update, voice="nobody")
        async with asyncio.timeout(20):
            await both.wait()
        assert currents == [call, other]


def eventually(condition) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)
