"""Tools: what may be one, and what becomes of each call of it. Without a network."""

from __future__ import annotations

import asyncio
import contextvars
import dataclasses
import enum
import functools
import json
import math
import multiprocessing
import os
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import numpy as np
import pytest
from live import Census, eventually

from rtcvoice import events
from rtcvoice.conversation.state.function_calls import CalledFunction
from rtcvoice.conversation.tools.function_tool import ToolCall, tool
from rtcvoice.conversation.tools.runner import WAITING, ToolRunner
from rtcvoice.conversation.tools.toolset import ToolSet
from rtcvoice.errors import ConfigError
from rtcvoice.events import (
    ToolCancelled,
    ToolFailed,
    ToolFailure,
    ToolFinished,
    ToolStarted,
)

pytestmark = pytest.mark.usefixtures("no_stray_errors")


class Runs:
    """A runner with a conversation that notes what it is told, and the events."""

    def __init__(self, tools: ToolSet | list[Any]) -> None:
        self.outputs: dict[str, str] = {}
        self.events: list[Any] = []
        self.left: list[str] = []
        self.told: list[tuple[str, bool]] = []
        self.wanted = False
        self.function_names = {"by_hand"}
        self.message_limit = 65536
        self.on_calls: Callable[[list[CalledFunction]], None]
        self.runner = ToolRunner(ToolSet.of(tools), self, self.events.append)

    def want_calls(self, on: bool) -> None:
        self.wanted = on

    def answer_call(self, call_id: str, output: str, *, speak: bool = True) -> None:
        assert call_id not in self.outputs, "answered twice"
        self.outputs[call_id] = output

    async def tell_later(self, news: Callable[[], tuple[str, bool]]) -> None:
        self.told.append(news())

    def ignore_call(self, call_id: str) -> None:
        self.left.append(call_id)

    def start(self, name: str, arguments: str = "{}", call_id: str = "call_1") -> None:
        call = CalledFunction(
            item_id=f"item_{call_id}",
            call_id=call_id,
            name=name,
            arguments=arguments,
            response_id="resp_1",
        )
        self.on_calls([call])

    async def output(self, name: str, /, **arguments: Any) -> str:
        """Run one call and return its output."""
        call_id = f"call_{len(self.outputs)}"
        self.start(name, json.dumps(arguments), call_id)
        await eventually(lambda: call_id in self.outputs)
        return self.outputs[call_id]

    def of(self, cls: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, cls)]

    async def failure(self, name: str, /, **arguments: Any) -> ToolFailed:
        """Run one call that fails; the model and the user are told the same."""
        output = await self.output(name, **arguments)
        failed = self.of(ToolFailed)[-1]
        assert json.loads(output) == {"error": failed.message}
        assert isinstance(failed, ToolFailed)
        return failed


@asynccontextmanager
async def running(*tools: Any, **options: Any) -> AsyncIterator[Runs]:
    runs = Runs(ToolSet(tools, **options))
    try:
        yield runs
    finally:
        runs.runner.end()
        await runs.runner.aclose(timeout=2)


def add(a: int, b: int = 1) -> int:
    """Add two numbers."""
    return a + b


async def greet(name: str) -> str:
    """Greet somebody."""
    await asyncio.sleep(0)
    return f"Hello, {name}"


def doze(seconds: float) -> str:
    """Do nothing."""
    time.sleep(seconds)
    return "awake"


# -- what a tool is ---------------------------------------------------------------------------


def test_a_plain_function_is_a_tool() -> None:
    (definition,) = ToolSet([add]).definitions
    assert definition["type"] == "function"
    assert (definition["name"], definition["description"]) == ("add", "Add two numbers.")
    assert definition["parameters"]["required"] == ["a"]


def test_the_decorator_notes_options_and_leaves_the_function_as_it_is() -> None:
    @tool(name="sum_of", description="Sum.", timeout=2, concurrency=1)
    def plus(a: int, b: int) -> int:
        return a + b

    assert plus(1, 2) == 3
    tools = ToolSet([plus, tool(add)])
    described, bare = tools.definitions
    assert (described["name"], described["description"]) == ("sum_of", "Sum.")
    assert bare["name"] == "add"
    made = tools.get("sum_of")
    assert made is not None
    assert (made.timeout, made.concurrency) == (2, 1)
    assert tools.get("plus") is None


def test_options_are_found_through_partials_and_methods() -> None:
    class Shop:
        @tool(name="purchase")
        def buy(self, what: str) -> str:
            return what

    assert [each.name for each in ToolSet([Shop().buy])] == ["purchase"]
    assert [each.name for each in ToolSet([functools.partial(add, 1)])] == ["add"]


def test_dicts_are_sent_as_they_are() -> None:
    remote = {"type": "mcp", "server_label": "docs", "server_url": "https://example.com"}
    by_hand = {"type": "function", "name": "by_hand", "parameters": {}}
    tools = ToolSet([add, remote, by_hand])
    assert tools.definitions[1:] == [remote, by_hand]
    assert len(tools) == 1
    assert tools.get("by_hand") is None


Huge = enum.Enum("Huge", {f"V{n}": f"value number {n}" for n in range(3000)})  # type: ignore[misc]


def takes_a_huge_enum(one: Huge) -> None: ...


def generating() -> Any:
    yield 1


def nested() -> Callable[[], int]:
    def inner() -> int:
        return 1

    return inner


def nested_async() -> Callable[[], Awaitable[int]]:
    async def inner() -> int:
        return 1

    return inner


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: ToolSet([add, add]), "two tools are called 'add'"),
        (lambda: ToolSet([add, {"type": "function", "name": "add"}]), "two tools"),
        (lambda: ToolSet([lambda: 1]), "cannot be called '<lambda>'"),
        (lambda: ToolSet([tool(name="a b")(nested())]), "cannot be called 'a b'"),
        (lambda: ToolSet([generating]), "yields"),
        (lambda: ToolSet([tool(process=True)(nested())]), "process of its own"),
        (lambda: ToolSet([tool(process=True)(nested_async())]), "coroutine"),
        (lambda: ToolSet([tool(timeout=0)(nested())]), "timeout=0"),
        (lambda: ToolSet([tool(concurrency=0)(nested())]), "concurrency=0"),
        (lambda: ToolSet([add], timeout=-1), "timeout=-1"),
        (lambda: ToolSet([add], timeout="1"), "timeout='1'"),
        (lambda: ToolSet([add], concurrency=0), "concurrency=0"),
        (lambda: ToolSet([add], output_limit=10**6), "from 100 to 60000"),
        (lambda: ToolSet(add), "not a list"),
        (lambda: ToolSet({"type": "mcp"}), "not a list"),
        (lambda: ToolSet(5), "not a list"),
        (lambda: ToolSet(["add"]), "not a tool"),
        (lambda: ToolSet([dict]), "not a tool"),
        (lambda: ToolSet([{"name": "x"}]), "no 'type'"),
        (lambda: ToolSet([{"type": "function"}]), "name None"),
        (lambda: ToolSet([tool(name=f"t{n}")(nested()) for n in range(129)]), "129 tools"),
        (lambda: ToolSet([takes_a_huge_enum]), "bytes to describe"),
        (lambda: ToolSet(functools.partial(add, b=KEY)), "sk-***"),
        (lambda: tool(len), "cannot be put on"),
        (lambda: tool(name=5), "name=5"),
        (lambda: tool(description=["x"]), "description="),
        (lambda: tool(approve=True), "approve=) is True"),
        (lambda: ToolSet([add], approve="yes"), "approve= is 'yes'"),
        (lambda: ToolSet([add], concurrency=1.5), "must be a whole number"),
        (lambda: ToolSet([add], timeout=math.nan), "timeout=nan"),
        (lambda: ToolSet([tool(description="\udcff")(nested())]), "cannot be sent"),
    ],
)
def test_what_cannot_be_a_tool_is_refused_when_the_set_is_made(make: Any, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make()
    assert words in caught.value.message


def test_a_description_that_services_may_refuse_is_told(caplog: pytest.LogCaptureFixture) -> None:
    ToolSet([tool(description="x" * 1024)(nested())])
    assert not caplog.records
    ToolSet([tool(description="x" * 1025)(nested())])
    assert "1025 characters" in caplog.text


def test_a_program_that_would_begin_again_in_the_process_of_a_tool_is_stopped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A spawned process imports the main module; without a guard that would make a second call."""
    monkeypatch.setattr(multiprocessing.current_process(), "_inheriting", True, raising=False)
    with pytest.raises(ConfigError) as caught:
        ToolSet([hypotenuse])
    assert "__main__" in caught.value.hint


# -- a call that goes well --------------------------------------------------------------------


async def test_plain_and_coroutine_functions_answer_and_are_told_of() -> None:
    async with running(add, greet) as runs:
        assert await runs.output("add", a=2, b=3) == "5"
        assert await runs.output("greet", name="Ada") == "Hello, Ada"
    started, finished = runs.of(ToolStarted), runs.of(ToolFinished)
    assert [(s.name, dict(s.arguments)) for s in started] == [
        ("add", {"a": 2, "b": 3}),
        ("greet", {"name": "Ada"}),
    ]
    assert [(f.name, f.output, f.call_id, f.item_id) for f in finished] == [
        ("add", "5", "call_0", "item_call_0"),
        ("greet", "Hello, Ada", "call_1", "item_call_1"),
    ]
    assert all(0 <= f.seconds < 1 for f in finished)


@pytest.mark.parametrize(
    ("value", "output"),
    [
        ("as it is: \u00fc", "as it is: \u00fc"),
        (None, "null"),
        ({"a": [1, True, 0.5]}, '{"a":[1,true,0.5]}'),
        (np.float32(0.5), "0.5"),
        (np.arange(3), "[0,1,2]"),
        (
            ToolCall(name="n", arguments={}, call_id="c", server="s"),
            '{"name":"n","arguments":{},"call_id":"c","server":"s"}',
        ),
    ],
)
async def test_results_are_text_as_it_is_or_json(value: Any, output: str) -> None:
    def plain() -> Any:
        return value

    async def coroutine() -> Any:
        return value

    async with running(plain, coroutine) as runs:
        assert await runs.output("plain") == output
        assert await runs.output("coroutine") == output


async def test_plain_functions_run_beside_the_loop_and_see_its_context() -> None:
    user = contextvars.ContextVar("user", default="nobody")

    def who() -> list[str]:
        user.set("changed")
        return [threading.current_thread().name, user.get()]

    async def who_async() -> str:
        return user.get()

    user.set("Ada")
    runs = Runs([who, who_async])
    user.set("Grace")  # after the call began: not the tools' business
    assert json.loads(await runs.output("who")) == ["rtcvoice tool who", "changed"]
    assert await runs.output("who_async") == "Ada"
    await runs.runner.aclose(timeout=1)


async def test_a_plain_function_may_give_a_coroutine() -> None:
    def wrapped(name: str) -> Awaitable[str]:
        return greet(name)

    async with running(wrapped) as runs:
        assert await runs.output("wrapped", name="Ada") == "Hello, Ada"


async def test_calls_run_side_by_side_as_far_as_allowed() -> None:
    most = now = 0

    async def work() -> None:
        nonlocal most, now
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.01)
        now -= 1

    alone = tool(name="alone", concurrency=1)(functools.partial(work))
    async with running(work, alone, concurrency=3) as runs:
        for number in range(9):
            runs.start("work", "{}", f"w{number}")
        await eventually(lambda: len(runs.outputs) == 9)
        assert most == 3
        most = 0
        for number in range(4):
            runs.start("alone", "{}", f"a{number}")
        await eventually(lambda: len(runs.outputs) == 13)
        assert most == 1


# -- a call that fails ------------------------------------------------------------------------


async def test_an_unknown_name_and_bad_arguments_are_told_to_model_and_user() -> None:
    async with running(add) as runs:
        failed = await runs.failure("subtract", a=1)
        assert failed.failure is ToolFailure.UNKNOWN_NAME
        assert "'subtract'" in failed.message
        failed = await runs.failure("add", a="one")
        assert failed.failure is ToolFailure.BAD_ARGUMENTS
        assert "`$.a`" in failed.message
        assert runs.of(ToolStarted) == []


async def test_what_a_function_raises_is_an_error_output() -> None:
    def broken() -> None:
        raise LookupError("no such city")

    async def broken_async() -> None:
        raise LookupError("no such city")

    def quits() -> None:
        sys.exit("bye")

    async def quits_async() -> None:
        sys.exit("bye")

    def stops() -> None:
        next(iter(()))

    async def cancels_itself() -> None:
        raise asyncio.CancelledError

    async def gives_up() -> None:
        raise TimeoutError("the database")

    tools = (broken, broken_async, quits, quits_async, stops, cancels_itself, gives_up)
    async with running(*tools) as runs:
        for name in ("broken", "broken_async"):
            failed = await runs.failure(name)
            assert failed.failure is ToolFailure.RAISED
            assert failed.message == "LookupError: no such city"
            assert isinstance(failed.exception, LookupError)
        for name in ("quits", "quits_async", "stops", "cancels_itself"):
            failed = await runs.failure(name)
            assert failed.failure is ToolFailure.RAISED
        failed = await runs.failure("gives_up")
        assert (failed.failure, failed.message) == (
            ToolFailure.RAISED,
            "TimeoutError: the database",
        )


async def test_events_of_tools_can_be_written_as_json() -> None:
    def broken() -> None:
        raise LookupError("no such city")

    async with running(add, broken) as runs:
        await runs.output("add", a=1)
        await runs.failure("broken")
    written = [json.loads(json.dumps(events.as_dict(event))) for event in runs.events]
    assert [each["type"] for each in written] == [
        "rtcvoice.tool_started",
        "rtcvoice.tool_finished",
        "rtcvoice.tool_started",
        "rtcvoice.tool_failed",
    ]
    assert written[-1]["failure"] == "raised"
    assert written[-1]["exception"] == "LookupError: no such city"


async def test_a_function_that_is_late_is_given_up_on() -> None:
    stopped = asyncio.Event()

    async def sleeps() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            stopped.set()

    async def stubborn() -> str:
        for _ in range(20):
            try:
                await asyncio.sleep(0.01)
            except asyncio.CancelledError:
                continue
        return "at last"

    def stuck() -> None:
        gate.wait(60)

    gate = threading.Event()
    async with running(sleeps, stuck, stubborn, timeout=0.05) as runs:
        failed = await runs.failure("sleeps")
        assert failed.failure is ToolFailure.TIMED_OUT
        assert failed.message == "it took longer than 0.05 s"
        await eventually(stopped.is_set)
        began = time.monotonic()
        assert (await runs.failure("stuck")).failure is ToolFailure.TIMED_OUT
        assert time.monotonic() - began < 30
        gate.set()
        assert (await runs.failure("stubborn")).failure is ToolFailure.TIMED_OUT
    assert len(runs.outputs) == 3  # what came late is dropped


async def test_a_result_of_a_megabyte_is_refused_on_both_sides() -> None:
    def plain() -> str:
        return "x" * 1_000_000

    async def coroutine() -> dict[str, str]:
        return {"x": "x" * 1_000_000}

    async with running(plain, coroutine) as runs:
        for name in ("plain", "coroutine"):
            failed = await runs.failure(name)
            assert failed.failure is ToolFailure.TOO_LARGE
            assert "more than the 32,768" in failed.message
        assert max(len(output) for output in runs.outputs.values()) < 200


async def test_the_limit_counts_what_a_result_takes_in_the_message() -> None:
    async def quotes(count: int) -> str:
        return '"' * count  # each is two bytes there

    async with running(quotes, output_limit=100) as runs:
        assert await runs.output("quotes", count=49) == '"' * 49
        assert (await runs.failure("quotes", count=50)).failure is ToolFailure.TOO_LARGE


async def test_no_result_is_larger_than_the_server_takes() -> None:
    async def text() -> str:
        return "x" * 10_000

    async with running(text) as runs:
        runs.message_limit = 11_000
        assert (await runs.failure("text")).failure is ToolFailure.TOO_LARGE
        runs.message_limit = 12_000
        assert await runs.output("text") == "x" * 10_000


async def test_a_result_without_json_form_is_refused() -> None:
    async with running(nested, lone_surrogate) as runs:
        failed = await runs.failure("nested")
        assert failed.failure is ToolFailure.BAD_RESULT
        assert "function has no JSON form" in failed.message
        assert await runs.output("lone_surrogate") == "?"  # as file names may have it


def lone_surrogate() -> str:
    return "\ud800"


async def test_a_flood_of_calls_is_bounded() -> None:
    gate = asyncio.Event()

    async def waits() -> None:
        await gate.wait()

    async with running(waits) as runs:
        for number in range(WAITING + 1):
            runs.start("waits", "{}", f"call_{number}")
        assert [failed.failure for failed in runs.of(ToolFailed)] == [ToolFailure.BUSY]
        gate.set()
        await eventually(lambda: len(runs.outputs) == WAITING + 1)


async def test_functions_that_never_return_cannot_take_all_threads() -> None:
    gate = threading.Event()

    def hangs() -> None:
        gate.wait(60)

    try:
        async with running(hangs, timeout=0.01, concurrency=64) as runs:
            runs.runner._threads._limit = 3
            for number in range(5):
                runs.start("hangs", "{}", f"call_{number}")
            await eventually(lambda: len(runs.outputs) == 5)
            failures = sorted(failed.failure for failed in runs.of(ToolFailed))
            assert failures == [ToolFailure.BUSY] * 2 + [ToolFailure.TIMED_OUT] * 3
    finally:
        gate.set()


async def test_calls_are_wanted_only_where_there_are_tools_and_those_by_hand_are_left() -> None:
    async with running() as runs:
        assert not runs.wanted
    async with running(add) as runs:
        assert runs.wanted
        runs.start("by_hand", "{}", "call_x")
        assert runs.left == ["call_x"]
        assert await runs.output("add", a=1) == "2"
    assert list(runs.outputs) == ["call_0"]


async def test_tools_are_replaced_once_the_server_agrees_and_both_serve_until_then() -> None:
    async with running(add) as runs:
        with suppress(ValueError), runs.runner.replacing(ToolSet([greet])):
            assert await runs.output("greet", name="A") == "Hello, A"
            raise ValueError("refused by the server")
        assert (await runs.failure("greet", name="A")).failure is ToolFailure.UNKNOWN_NAME
        with runs.runner.replacing(ToolSet([greet])):
            assert await runs.output("add", a=1) == "2"
        assert await runs.output("greet", name="A") == "Hello, A"
        assert (await runs.failure("add", a=1)).failure is ToolFailure.UNKNOWN_NAME
        with runs.runner.replacing(ToolSet()):
            pass
        assert not runs.wanted


# -- what the model, the user and the log are told ----------------------------------------------

KEY = "sk-proj-4WYDeCqfVYt8Kq0R3tJzqKzq"


def leaks(how: str = "raise") -> Any:
    """Fail with a key in the text."""
    if how == "result":
        return {(KEY, 1): KEY}
    raise RuntimeError(f"401 for https://x/?appid={KEY}\x1b[2J")


async def leaks_too() -> None:
    try:
        leaks()
    except RuntimeError as exc:
        raise KeyError(KEY) from exc


def takes_a_number(n: int) -> None: ...


async def test_no_error_shows_a_key_wherever_it_goes(caplog: pytest.LogCaptureFixture) -> None:
    async with running(leaks, leaks_too, takes_a_number) as runs:
        failed = await runs.failure("leaks")
        assert failed.message == "RuntimeError: 401 for https://x/?appid=sk-***[2J"
        assert (await runs.failure("leaks_too")).message == "KeyError: 'sk-***'"
        await runs.failure("leaks", how="result")
        await runs.failure("takes_a_number", n=KEY)
        await runs.failure(KEY)
        await runs.failure("takes_a_number", **{KEY: 1})
    assert KEY not in caplog.text
    assert KEY not in "".join(runs.outputs.values())
    assert "in leaks\n" in caplog.text  # where it was raised
    assert KEY in str(failed.exception)  # the user's own object is left alone


async def test_the_model_need_not_be_told_what_a_function_raises() -> None:
    told = tool(tell_errors=True)(leaks_too)
    async with running(leaks, told, takes_a_number, tell_errors=False) as runs:
        for arguments in ({}, {"how": "result"}):
            output = await runs.output("leaks", **arguments)
            assert json.loads(output) == {"error": "the function failed"}
        raised, bad = runs.of(ToolFailed)
        assert raised.message.startswith("RuntimeError: 401")
        assert "a key is a tuple" in bad.message
        assert "KeyError" in (await runs.failure("leaks_too")).message
        assert "n" in (await runs.failure("takes_a_number")).message
    leaks_too.__dict__.clear()


async def test_names_that_the_model_makes_up_are_cleaned_and_bounded(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with running(add) as runs:
        failed = await runs.failure("a\x1b[2J\u202e\n" + "b" * 100_000)
        assert failed.name.startswith("a[2J b")
        assert len(failed.name) == 64
        assert len(failed.message) < 200
    assert "\x1b" not in caplog.text
    assert len(caplog.text) < 1000


class Unprintable(Exception):  # noqa: N818
    def __str__(self) -> str:
        raise ValueError("not even this")


async def test_an_error_without_a_readable_text_is_an_error_too() -> None:
    async def fails() -> None:
        raise Unprintable

    async with running(fails) as runs:
        assert "Unprintable" in (await runs.failure("fails")).message


@dataclasses.dataclass
class Slow:
    """Its check takes its time, or fails in a way of its own."""

    n: int

    def __post_init__(self) -> None:
        if self.n < 0:
            raise LookupError("no such number")
        thread_of_checks.append(threading.current_thread())


thread_of_checks: list[threading.Thread] = []


async def test_code_of_the_users_that_checks_arguments_runs_beside_the_loop() -> None:
    def show(value: Slow) -> int:
        return value.n

    async with running(show) as runs:
        assert await runs.output("show", value={"n": 3}) == "3"
        failed = await runs.failure("show", value={"n": -1})
        assert failed.failure is ToolFailure.RAISED
        assert failed.message == "LookupError: no such number"
    assert threading.current_thread() not in thread_of_checks


# -- approval ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verdict", "message"),
    [(True, None), (False, "not approved"), (None, "not approved"), ("it is late", "it is late")],
)
async def test_an_approval_hook_decides(verdict: Any, message: str | None) -> None:
    asked: list[ToolCall] = []

    def plain(call: ToolCall) -> Any:
        asked.append(call)
        return verdict

    async def coroutine(call: ToolCall) -> Any:
        return plain(call)

    class Object:
        async def __call__(self, call: ToolCall) -> Any:
            return plain(call)

    for approve in (plain, coroutine, Object()):
        async with running(add, approve=approve) as runs:
            if message is None:
                assert await runs.output("add", a=1) == "2"
            else:
                failed = await runs.failure("add", a=1)
                assert failed.failure is ToolFailure.REFUSED
                assert message in failed.message
    assert asked == [ToolCall(name="add", arguments={"a": 1}, call_id="call_0")] * 3


async def test_an_approval_that_fails_refuses_and_one_of_the_tool_comes_first() -> None:
    def fails(call: ToolCall) -> bool:
        raise RuntimeError("no terminal")

    @tool(approve=lambda call: True)
    def harmless() -> str:
        return "done"

    async with running(add, harmless, approve=fails) as runs:
        failed = await runs.failure("add", a=1)
        assert failed.failure is ToolFailure.REFUSED
        assert isinstance(failed.exception, RuntimeError)
        assert "no terminal" not in failed.message
        assert await runs.output("harmless") == "done"


# -- the end ----------------------------------------------------------------------------------


async def test_the_end_of_the_call_cancels_what_runs_and_nobody_is_answered() -> None:
    cleaned = asyncio.Event()
    census = Census()

    async def slow() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            cleaned.set()

    def stuck() -> None:
        gate.wait(60)

    gate = threading.Event()
    runs = Runs([slow, stuck])
    runs.start("slow", "{}", "a")
    runs.start("stuck", "{}", "b")
    await eventually(lambda: len(runs.of(ToolStarted)) == 2)
    runs.runner.end()
    assert [event.call_id for event in runs.of(ToolCancelled)] == ["a", "b"]
    runs.start("slow", "{}", "c")
    await runs.runner.aclose(timeout=30)
    gate.set()
    assert cleaned.is_set()
    assert runs.outputs == {}
    await census.check()  # the thread ends with its function


async def test_a_tool_that_ignores_the_end_is_named_and_left(
    caplog: pytest.LogCaptureFixture,
) -> None:
    released = asyncio.Event()

    async def stubborn() -> None:
        while not released.is_set():
            try:
                await released.wait()
            except asyncio.CancelledError:
                continue

    runs = Runs([stubborn])
    runs.start("stubborn")
    await eventually(lambda: runs.of(ToolStarted))
    try:
        await runs.runner.aclose(timeout=0.05)
        assert "a tool does not stop" in caplog.text
    finally:
        released.set()
    await eventually(lambda: not runs.runner._jobs)


# -- processes --------------------------------------------------------------------------------


@tool(process=True)
def hypotenuse(a: float, b: float) -> dict[str, Any]:
    """Compute."""
    return {"c": math.hypot(a, b), "pid": os.getpid()}


@tool(process=True)
def explode(how: str) -> str:
    """Fail."""
    if how == "die":
        os._exit(3)
    if how == "large":
        return "x" * 1_000_000
    if how == "sleep":
        time.sleep(60)
    raise ValueError(how)


async def test_heavy_tools_run_in_processes_that_are_reused_and_can_be_killed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # What multiprocessing keeps for good; and as in the worker of a task queue, which is daemonic.
    config = multiprocessing.current_process()._config  # type: ignore[attr-defined]
    monkeypatch.setitem(config, "daemon", True)
    async with running(hypotenuse) as runs:
        await asyncio.wait_for(_slow(runs, "hypotenuse", a=0, b=0), 60)
    assert config["daemon"]
    monkeypatch.setitem(config, "daemon", False)
    census = Census()
    async with running(hypotenuse, explode, timeout=60) as runs:
        first = json.loads(await asyncio.wait_for(_slow(runs, "hypotenuse", a=3, b=4), 60))
        again = json.loads(await runs.output("hypotenuse", a=6, b=8))
        assert (first["c"], again["c"]) == (5, 10)
        assert first["pid"] == again["pid"] != os.getpid()
        failed = await runs.failure("explode", how="raise")
        assert (failed.failure, failed.message) == (ToolFailure.RAISED, "ValueError: raise")
        assert "explode" in "".join(failed.exception.__notes__)  # where it happened, over there
        assert (await runs.failure("explode", how="large")).failure is ToolFailure.TOO_LARGE
        failed = await runs.failure("explode", how="die")
        assert "exit code 3" in failed.message
        runs.start("explode", '{"how":"sleep"}', "asleep")
        await eventually(lambda: len(runs.runner._processes._all) == 1)
    assert "asleep" not in runs.outputs
    await census.check()


async def _slow(runs: Runs, name: str, /, **arguments: Any) -> str:
    runs.start(name, json.dumps(arguments), "slow")
    await eventually(lambda: "slow" in runs.outputs, timeout=60)
    return runs.outputs["slow"]
