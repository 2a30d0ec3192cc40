"""A chat in writing: at a prompt with the answers above it, or line by line through pipes.

No audio device is opened. One message is answered at a time; what is written meanwhile waits.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager, suppress
from typing import Any

import rtcvoice
from rtcvoice import Call, CallEnded, RtcVoiceError
from rtcvoice.cli.answers import AnswerScreen
from rtcvoice.cli.approval import Person
from rtcvoice.cli.chat_commands import HELP, HINT, Meant, meaning
from rtcvoice.cli.emulated import check_script, use_emulator
from rtcvoice.cli.figures import figures
from rtcvoice.cli.keys import Keyboard, can_be_typed_at
from rtcvoice.cli.live import LiveScreen
from rtcvoice.cli.prompt import Prompt
from rtcvoice.cli.screen import JsonScreen, Screen
from rtcvoice.cli.session_options import session_from
from rtcvoice.cli.status import Status
from rtcvoice.cli.summary import Summary
from rtcvoice.cli.transcript_file import transcript_file
from rtcvoice.cli.typed_lines import RawKeyboard, piped_lines
from rtcvoice.cli.watch import TICK, show_events, watching

__all__ = ["run"]

CONFIRM = 3.0
"""Seconds within which Ctrl-C has to be pressed again to end the chat."""

BETWEEN = 0.01
"""Seconds after an answer before the next question: a limit that it reached is told by then."""


async def run(options: argparse.Namespace) -> int:
    """Chat until the end of stdin, or of the call; return the exit code."""
    check_script(options)
    async with AsyncExitStack() as stack:
        if options.emulator:
            await use_emulator(options, stack)
        stack.enter_context(figures(options))
        with transcript_file(options.transcript) as files:
            person = Person()
            chat = _Chat(_screen(options), files, person, free=options.emulator)
            await chat.run(session_from(options, person))
    return 0


def _screen(options: argparse.Namespace) -> Screen:
    if options.json:
        return JsonScreen(sys.stdout)
    if can_be_typed_at() and sys.stdout is not None and LiveScreen.fits(sys.stdout):
        return LiveScreen(sys.stdout)
    return AnswerScreen()


class _Chat:
    """One chat, on one screen."""

    def __init__(
        self, screen: Screen, files: Sequence[Screen], person: Person, *, free: bool
    ) -> None:
        self._screen = screen
        self._screens = [screen, *files]
        self._person = person
        self._free = free
        self._waits: list[float] = []  # seconds to the first word of each answer
        self._answering = False
        self._asked_at = float("-inf")

    async def run(self, session: dict[str, Any]) -> None:
        connecting = rtcvoice.connect(
            source=None, sink=None, output_modalities=["text"], turn_detection=None, **session
        )
        with self._screen:
            async with connecting as call:
                for each in self._screens:
                    each.connected(call)
                try:
                    await self._hold(call)
                finally:
                    reason = await call.wait_ended()
                    summary = Summary(call.usage, self._waits, until="first word", free=self._free)
                    for each in self._screens:
                        each.ended(reason, "", summary)
        if not reason.normal:
            raise reason

    async def _hold(self, call: Call) -> None:
        """Return when all messages were answered, or the call has ended; and everything shown."""
        shown = show_events(call, *self._screens)
        if not isinstance(self._screen, LiveScreen):
            async with watching(call, shown, self._tick()):
                await _unless_ended(call, self._answer_all(call, piped_lines()))
            return
        screen = self._screen
        prompt, stopping = Prompt(screen, self._person.take_line), set[asyncio.Task[None]]()
        self._person.sit_down(screen.ask, with_enter=True)
        screen.hint = HINT

        def stop() -> bool:
            """Stop what can be stopped; return whether Ctrl-C has done its work by that."""
            stoppable = self._answering or prompt.written
            if not stoppable and not self._may_end(screen):
                return True
            if self._answering:
                stopping.add(asyncio.create_task(_interrupt(call)))
            prompt.clear()
            return stoppable

        keyboard = RawKeyboard(
            prompt.typed,
            may_leave=screen.may_suspend,
            on_leave=screen.leave,
            on_return=screen.come_back,
        )
        with keyboard, _ctrl_c(stop):
            prompt.draw()
            async with watching(call, shown, self._tick(keyboard)):
                await _unless_ended(call, self._answer_all(call, self._messages(prompt, screen)))

    def _may_end(self, screen: LiveScreen) -> bool:
        """Whether Ctrl-C ends the chat where nothing can be stopped: the second one does."""
        asked, self._asked_at = self._asked_at, time.monotonic()
        if self._asked_at - asked < CONFIRM:
            return True
        screen.notice("Ctrl-C again ends the chat, and so does Ctrl-D")
        return False

    @staticmethod
    async def _messages(prompt: Prompt, screen: LiveScreen) -> AsyncIterator[str]:
        """Yield the messages of the prompt; do what else is written there."""
        async for line in prompt:
            wish = meaning(line)
            match wish.meant:
                case Meant.MESSAGE:
                    yield wish.text
                case Meant.END:
                    return
                case Meant.HELP:
                    for told in HELP:
                        screen.notice(told)
                case Meant.UNKNOWN:
                    screen.notice(
                        f"{wish.text} is not a command, and was not sent; /help shows the commands,"
                        " /say sends what follows it"
                    )

    async def _answer_all(self, call: Call, messages: AsyncIterator[str]) -> None:
        """Have one message after the other answered. At the prompt, go on after what fails."""
        async for message in messages:
            self._answering = True
            try:
                await self._answer(call, message)
            except CallEnded:
                return
            except RtcVoiceError as exc:
                if not isinstance(self._screen, LiveScreen):
                    raise
                self._screen.notice(str(exc))
            finally:
                self._answering = False
            await asyncio.sleep(BETWEEN)

    async def _answer(self, call: Call, message: str) -> None:
        asked, begun = time.monotonic(), False
        reply = await call.ask(message)
        async for piece in reply:
            if not begun:
                begun = True
                self._waits.append(time.monotonic() - asked)
            if isinstance(self._screen, AnswerScreen):
                await self._screen.answer(piece)
        if isinstance(self._screen, AnswerScreen):
            await self._screen.answer("\n")

    async def _tick(self, keyboard: Keyboard | None = None) -> None:
        """Draw what has changed, and write what there was no room for, until cancelled."""
        while True:
            if keyboard is not None:
                keyboard.follow()
            if isinstance(self._screen, LiveScreen):
                self._screen.refresh()
            else:
                self._screen.tick(Status(0.0))
            await asyncio.sleep(TICK)


async def _unless_ended(call: Call, work: Coroutine[Any, Any, None]) -> None:
    """Do the work, but no longer than the call lasts, or its limits allow."""
    working = asyncio.create_task(work)
    over = asyncio.create_task(call.wait_for("rtcvoice.limit_reached"))
    try:
        await asyncio.wait({working, over}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return await working
    finally:
        for task in (working, over):
            task.cancel()
        await asyncio.gather(working, over, return_exceptions=True)
    await call.wait_ended()
    return None


async def _interrupt(call: Call) -> None:
    with suppress(RtcVoiceError):
        await call.interrupt()


@contextmanager
def _ctrl_c(stop: Callable[[], bool]) -> Iterator[None]:
    """Let Ctrl-C call `stop`; where that finds nothing to stop, it ends the command as ever."""
    loop, chat = asyncio.get_running_loop(), asyncio.current_task()
    assert chat is not None, "a chat runs in a task"

    def pressed() -> None:
        if not stop():
            loop.remove_signal_handler(signal.SIGINT)  # once more does not wait for the end
            chat.cancel()

    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        with suppress(NotImplementedError):  # Windows
            loop.add_signal_handler(signal.SIGINT, pressed)
    try:
        yield
    finally:
        with suppress(NotImplementedError):
            loop.remove_signal_handler(signal.SIGINT)
