"""What a tool tells the model beside its one output: how far it is, and a result that came late.

A function call has one output, and the model waits for it. A tool in the background is answered at
once, so its result goes in later as a message; and so does what a tool reports while it runs.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Collection, Coroutine, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, Protocol

import msgspec

from rtcvoice.conversation.state.function_calls import CURRENT_CALL, CalledFunction, CurrentCall
from rtcvoice.errors import ConfigError, RtcVoiceError, clean, one_line
from rtcvoice.events import ToolProgress
from rtcvoice.masking import masked

__all__ = ["Later", "as_output", "tool_progress"]

logger = logging.getLogger(__name__)

MOST_REPORTS = 100
"""Reports of one call that may wait for the event loop; of more, the newest."""

LONGEST_REPORT = 1000
"""Characters of one report of a tool that the model is told."""


class Telling(Protocol):
    """What is needed of the conversation."""

    async def tell_later(self, news: Callable[[], tuple[str, bool]]) -> None:
        """Tell the model something that no call waits for, at a moment when nobody speaks.

        `news` is asked at that moment: what it is, nothing where that is empty, and whether the
        model is asked to speak of it.
        """


def tool_progress(text: str, *, speak: bool = False) -> None:
    """Tell the model how far a tool is. Called by the tool itself, in a thread too.

    The model knows it from the next moment on in which nobody speaks; with `speak` it is asked to
    say it, which only a tool with `background=True` may want. Of reports that come faster than they
    can be told, the newest is told. Each one is an `rtcvoice.tool_progress` event at once, but for
    the oldest of a hundred that come in the same moment.

    text: up to 1,000 characters. Raises ConfigError outside tools, and in a tool whose call was
    answered long ago. In a process of its own (`process=True`) a tool cannot report.
    """
    current = CURRENT_CALL.get()
    if current is None or current.report is None:
        raise ConfigError(
            "tool_progress() was called outside a tool that runs",
            hint="call it in the function itself; with process=True it cannot be called",
        )
    if speak and not current.answered:
        raise ConfigError(
            "tool_progress(speak=True) in a tool whose call the model still waits for",
            hint="@rtcvoice.tool(background=True)",
        )
    current.report(str(text), speak)


def as_output(status: str) -> str:
    """Return an output that says how a call fares."""
    return msgspec.json.encode({"status": status}).decode()


class Later:
    """What is yet to be told of the calls of one conversation. Event loop only.

    `spawn` starts a coroutine in a task that ends with the call.
    """

    def __init__(
        self,
        conversation: Telling,
        publish: Callable[[Any], None],
        spawn: Callable[[Coroutine[Any, Any, None], str], asyncio.Task[None]],
    ) -> None:
        self._conversation = conversation
        self._publish = publish
        self._spawn = spawn
        self._expected: set[str] = set()
        self._reports: dict[str, tuple[str, bool]] = {}  # by call, not told yet
        self.tasks: set[asyncio.Task[None]] = set()
        """Those that wait to tell a report."""

    def end(self) -> None:
        """Tell nothing more: the call is over."""
        for task in list(self.tasks):
            task.cancel()

    def expected(self, but: Collection[str] = ()) -> bool:
        """Whether a result will be spoken of later, of other calls than `but`."""
        return bool(self._expected.difference(but))

    def begin(self, call: CalledFunction, *, speak: bool) -> None:
        """Note that a call is answered, and its result comes later."""
        if (current := CURRENT_CALL.get()) is not None:
            current.answered = True
        if speak:
            self._expected.add(call.call_id)

    async def give(self, call: CalledFunction, output: str, *, speak: bool) -> None:
        """Tell the model the result of a call that was answered before. Never raises an error."""
        text = (
            f"The function {_shown(call)} ran in the background and is done. Its output: {output}"
        )
        try:
            await self._tell(lambda: (text, speak))
        finally:
            self._expected.discard(call.call_id)

    @contextmanager
    def reporting(self, current: CurrentCall) -> Iterator[None]:
        """Let the tool that runs for a call report how far it is, inside the block."""
        loop = asyncio.get_running_loop()
        waiting: deque[tuple[str, bool]] = deque(maxlen=MOST_REPORTS)
        scheduled = False

        def report(text: str, speak: bool) -> None:
            nonlocal scheduled
            waiting.append((text[: 4 * LONGEST_REPORT], speak))
            if not scheduled:  # a thread that does nothing else leaves the loop its time
                scheduled = True
                with suppress(RuntimeError):  # the loop is closed: nobody is there to be told
                    loop.call_soon_threadsafe(take)

        def take() -> None:
            nonlocal scheduled
            scheduled = False
            for _ in range(len(waiting)):
                self._report(current, *waiting.popleft())

        current.report = report
        try:
            yield
        finally:
            current.report = None
            self._reports.pop(current.call.call_id, None)

    def _report(self, current: CurrentCall, text: str, speak: bool) -> None:
        call = current.call
        if current.report is None:  # over meanwhile
            return
        told = masked(clean(text))[:LONGEST_REPORT]
        self._publish(
            ToolProgress(name=call.name, call_id=call.call_id, item_id=call.item_id, text=told)
        )
        waiting = call.call_id in self._reports
        self._reports[call.call_id] = told, speak
        if not waiting:
            newest = partial(self._newest_report, call)
            task = self._spawn(self._tell(newest), "rtcvoice tool progress")
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    def _newest_report(self, call: CalledFunction) -> tuple[str, bool]:
        told, speak = self._reports.pop(call.call_id, ("", False))
        return told and f"The function {_shown(call)} is still running: {told}", speak

    async def _tell(self, news: Callable[[], tuple[str, bool]]) -> None:
        try:
            await self._conversation.tell_later(news)
        except RtcVoiceError as exc:
            logger.warning("x the model was not told of a tool: %s", exc)


def _shown(call: CalledFunction) -> str:
    return f"{one_line(call.name, 64)} (call {one_line(call.call_id, 64)})"
