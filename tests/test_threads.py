"""The user's code in threads of rtcvoice: bounded, and no program waits for it at its end."""

from __future__ import annotations

import asyncio
import contextvars
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import rtcvoice.system.threads as threads_module
from rtcvoice.conversation.asking.content import read_image
from rtcvoice.rest.credentials import ApiKey, ApiKeyFile, TokenUrl, resolved
from rtcvoice.system.threads import DaemonThreads, ThreadsBusy, in_thread

user = contextvars.ContextVar("user", default="nobody")


async def no_token(url: TokenUrl) -> ApiKey:
    raise AssertionError("nothing is fetched")


async def test_a_function_gets_its_arguments_and_the_context_in_a_daemon_thread() -> None:
    def told(a: int, *, b: int) -> tuple[int, str, bool]:
        return a + b, user.get(), threading.current_thread().daemon

    user.set("ann")
    assert await in_thread(told, 1, b=2) == (3, "ann", True)


@pytest.mark.parametrize("error", [StopIteration("x"), SystemExit(3), KeyboardInterrupt()])
async def test_what_no_future_can_carry_arrives_as_an_error(error: BaseException) -> None:
    def fail() -> None:
        raise error

    with pytest.raises(RuntimeError, match=type(error).__name__):
        await in_thread(fail)


async def test_one_too_many_is_refused_or_waits() -> None:
    gate = threading.Event()
    strict, patient = DaemonThreads(1), DaemonThreads(1, wait=True)
    first = asyncio.wrap_future(strict.submit(gate.wait, 10))
    with pytest.raises(ThreadsBusy):
        strict.submit(gate.wait)
    order: list[int] = []
    jobs = [patient.submit(gate.wait, 10), *(patient.submit(order.append, n) for n in range(3))]
    assert order == []
    gate.set()
    await asyncio.gather(first, *map(asyncio.wrap_future, jobs))
    assert order == [0, 1, 2]


async def test_what_was_given_up_on_before_it_began_takes_no_room() -> None:
    gate = threading.Event()
    threads = DaemonThreads(2, wait=True)
    running = [asyncio.wrap_future(threads.submit(gate.wait, 10)) for _ in range(2)]
    for _ in range(20):
        threads.submit(gate.wait, 10).cancel()
    assert len(threads._waiting) <= 3
    gate.set()
    await asyncio.gather(*running)


async def test_threads_are_kept_for_the_next_function_until_shutdown() -> None:
    threads = DaemonThreads(4, keep=4)
    one, two = [
        await asyncio.wrap_future(threads.submit(threading.current_thread)) for _ in range(2)
    ]
    assert one is two
    threads.shutdown()
    one.join(5)
    assert not one.is_alive()
    with pytest.raises(RuntimeError, match="shut down"):
        threads.submit(print)


async def test_shutdown_cancels_what_waits_and_leaves_what_runs() -> None:
    gate = threading.Event()
    threads = DaemonThreads(1, wait=True)
    running, waiting = threads.submit(gate.wait, 10), threads.submit(gate.wait, 10)
    threads.shutdown()
    assert waiting.cancelled()
    gate.set()
    assert await asyncio.wrap_future(running)


ENDS = """
import asyncio, sys, threading
from rtcvoice.conversation.listening.dispatcher import Dispatcher
import rtcvoice.system.threads as threads_module
from rtcvoice.conversation.asking.content import read_image
from rtcvoice.rest.credentials import ApiKeyFile, resolved
from rtcvoice.system.threads import in_thread

class Event:
    type = "error"

async def main(pipe):
    stuck = threading.Event()
    dispatcher = Dispatcher()
    dispatcher.on("error", handler=lambda event: stuck.wait())
    dispatcher.publish(Event())
    for waiting in (
        resolved(stuck.wait, None), resolved(ApiKeyFile(pipe), None), in_thread(read_image, pipe)
    ):
        try:
            await asyncio.wait_for(waiting, 0.01)
        except TimeoutError:
            print("late")
    await dispatcher.aclose(timeout=0.01)

asyncio.run(main(sys.argv[1]))
print("ended")
"""


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_nothing_of_the_users_holds_up_the_end_of_the_program(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    ran = subprocess.run(
        [sys.executable, "-c", ENDS, pipe], capture_output=True, text=True, timeout=120, check=True
    )
    assert ran.stdout.split() == ["late"] * 3 + ["ended"], ran.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_has_threads_of_its_own() -> None:
    with threads_module._shared._lock:  # as if another thread held it just now
        child = os.fork()
        if child == 0:
            signal.alarm(20)  # ends the child, should it hang: this process waits for it
            code = 1
            try:
                code = asyncio.run(in_thread(lambda: 7))
            finally:
                os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 7


async def test_a_key_file_may_be_a_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writing = asyncio.create_task(in_thread(pipe.write_text, "sk-0123456789\n"))
    assert await resolved(ApiKeyFile(pipe), no_token) == ApiKey("sk-0123456789")
    await writing


def test_a_device_without_an_end_is_no_image(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rtcvoice.conversation.asking.content.LARGEST_IMAGE", 1000)
    assert len(read_image("/dev/zero")) == 1001
