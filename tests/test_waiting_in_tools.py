"""What a tool waits for while it runs: never for itself, nor for what follows its own result."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import virtual_loop
from virtual_call import VirtualCall

from rtcvoice.conversation.tools.runner import ToolRunner
from rtcvoice.conversation.tools.toolset import ToolSet
from rtcvoice.emulator.session.turn import Turn

pytestmark = pytest.mark.usefixtures("no_stray_errors")

WORDS = "This is the first short answer."
AFTER = "And this is the second one."


class Scene:
    """A call whose model says something and calls `names`; then it speaks of the results."""

    def __init__(self, *functions: Any) -> None:
        self.functions = functions
        self.failed: list[Any] = []

    async def play(self, after: Any) -> Any:
        calls = tuple(function.__name__ for function in self.functions)
        self.call = VirtualCall(
            Turn(says="reply-1", calls=calls, then=Turn(says="reply-2")),
            session={"tools": ToolSet(list(self.functions)).definitions},
        )
        async with self.call as call:
            dialogue = call._conversation
            clock = asyncio.get_running_loop().time
            runner = ToolRunner(ToolSet(list(self.functions)), dialogue, self._told, clock=clock)
            self.reply = await call.ask("Go.")
            result = await after(self.reply)
            await call.idle()
            runner.end()
            await runner.aclose(timeout=1)
        assert not self.failed
        return result

    def _told(self, event: Any) -> None:
        if event.type == "rtcvoice.tool_failed":
            self.failed.append(event)

    async def until_idle(self) -> None:
        while not self.call._conversation.is_idle:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


def run(main: Any) -> Any:
    return virtual_loop.run(asyncio.wait_for(main, 600))


@pytest.mark.parametrize("how", ["text", "played", "pieces", "idle"])
def test_a_tool_does_not_wait_for_what_follows_its_own_result(how: str) -> None:
    async def look() -> str:
        """Wait for the answer that this very tool delays."""
        if how == "text":
            return await scene.reply.text()
        if how == "pieces":
            return "".join([piece async for piece in scene.reply])
        if how == "played":
            await scene.reply.played()
        else:
            await scene.until_idle()
        return "heard"

    scene = Scene(look)

    async def main() -> None:
        begun = asyncio.get_running_loop().time()
        text = await scene.play(lambda reply: reply.text())
        assert text == f"{WORDS}\n{AFTER}"
        assert asyncio.get_running_loop().time() - begun < 10
        output = scene.call.sent("conversation.item.create")[-1]["item"]["output"]
        assert output == (WORDS if how in ("text", "pieces") else "heard")

    run(main())


def test_two_tools_that_wait_until_all_is_idle_do_not_wait_for_each_other() -> None:
    async def first() -> str:
        """Wait."""
        await scene.until_idle()
        return "1"

    async def second() -> str:
        """Wait."""
        await scene.until_idle()
        return "2"

    scene = Scene(first, second)
    assert run(scene.play(lambda reply: reply.text())) == f"{WORDS}\n{AFTER}"


def test_from_outside_a_call_with_a_running_tool_is_not_idle() -> None:
    seen = []

    async def slow() -> str:
        """Take a while."""
        assert not seen
        await asyncio.sleep(10)
        seen.append("over")
        return "done"

    scene = Scene(slow)

    async def after(reply: Any) -> None:
        await asyncio.sleep(5)
        assert not scene.call._conversation.is_idle
        await scene.until_idle()
        assert seen == ["over"]
        assert reply.done

    run(scene.play(after))


def test_a_task_that_outlives_its_tool_waits_for_the_whole_reply() -> None:
    left: list[asyncio.Task[str]] = []

    async def start() -> str:
        """Leave a task behind."""

        async def later() -> str:
            await asyncio.sleep(0.2)
            return str(await scene.reply.text())

        left.append(asyncio.create_task(later()))
        return "started"

    scene = Scene(start)

    async def after(reply: Any) -> str:
        await reply.text()
        return await left[0]

    assert run(scene.play(after)) == f"{WORDS}\n{AFTER}"


def test_a_plain_function_in_its_thread_does_not_wait_for_itself_either() -> None:
    """The context of the call is there, too, so what it hands to the loop is known to be its."""
    idle = []

    def look() -> str:
        """Ask from a thread."""
        idle.append(scene.call._conversation.is_idle)
        return "looked"

    async def slow() -> str:
        """Let the other one ask when all else is over."""
        await scene.until_idle()
        return "waited"

    scene = Scene(slow, look)
    assert run(scene.play(lambda reply: reply.text())) == f"{WORDS}\n{AFTER}"
    assert len(idle) == 1
