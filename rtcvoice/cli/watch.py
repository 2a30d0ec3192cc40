"""What goes on beside a call in the terminal: its events and its state are shown, keys obeyed.

Each of these is one task. One that fails, because its screen has gone, ends the call.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from types import MappingProxyType
from typing import Any

from rtcvoice import Call, CallEnded, FileSink, PipeSink, RtcVoiceError
from rtcvoice.cli.call_ends import CallEnds
from rtcvoice.cli.keys import END_OF_FILE, Keyboard
from rtcvoice.cli.live import LiveScreen
from rtcvoice.cli.quality import Gauge
from rtcvoice.cli.screen import Screen
from rtcvoice.cli.status import Meter, Status
from rtcvoice.sound.samples import dbfs, peak_of

__all__ = ["Ear", "obey_keys", "show_events", "show_status", "watching"]

TICK = 0.1
"""Seconds between two looks at a call."""

LAST_WORDS = 1.0
"""Seconds that showing the last events may take."""


@asynccontextmanager
async def watching(
    call: Call, shown: Coroutine[Any, Any, None], *others: Coroutine[Any, Any, None]
) -> AsyncIterator[None]:
    """Run the watchers during the block, which hangs up at its end; raises what one failed with.

    `shown` ends by itself after the call: what came last is seen, too. The others are cancelled.
    """
    tasks = [asyncio.create_task(_or_hang_up(call, each)) for each in (shown, *others)]
    try:
        yield
    finally:
        await call.hangup()
        await asyncio.wait(tasks[:1], timeout=LAST_WORDS)
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    for result in results:
        if isinstance(result, Exception):
            raise result


async def _or_hang_up(call: Call, watcher: Coroutine[Any, Any, None]) -> None:
    try:
        await watcher
    except Exception:
        await call.hangup()
        raise


async def show_events(call: Call, *screens: Screen) -> None:
    """Show every event, and every turn as it comes, until the call ends."""
    showing = [
        asyncio.create_task(_each(call.events(), [screen.event for screen in screens])),
        asyncio.create_task(_each(call.turns(partial=True), [screen.turn for screen in screens])),
    ]
    try:
        await asyncio.gather(*showing)  # raises as soon as one cannot go on
    finally:
        for task in showing:
            task.cancel()


async def _each(stream: AsyncIterator[Any], shown: Sequence[Callable[[Any], None]]) -> None:
    with suppress(CallEnded):  # the reason is told by who waits for the end
        async for each in stream:
            for show in shown:
                show(each)


async def show_status(
    call: Call, ends: CallEnds, screen: Screen, ear: Ear, keyboard: Keyboard | None = None
) -> None:
    """Show how things are, until cancelled; a sink that cannot write any more ends the call."""
    gauge, you, assistant = Gauge(), Meter(), Meter()
    began = time.monotonic()
    while True:
        if keyboard is not None:
            keyboard.follow()
        now, stats = time.monotonic(), call.stats()
        status = Status(
            elapsed=now - began,
            you=you.feed(dbfs(stats.uplink.audio_level), now),
            assistant=assistant.feed(dbfs(ear.take()), now),
            muted=call.muted,
            quality=gauge.feed(stats, now),
            keys=keyboard is not None and keyboard.works,
        )
        screen.tick(status)
        if isinstance(ends.sink, FileSink | PipeSink) and ends.sink.error is not None:
            await call.hangup()
        await asyncio.sleep(TICK)


class Ear:
    """How loud the assistant is."""

    def __init__(self) -> None:
        self._loudest = 0

    async def listen(self, call: Call) -> None:
        """Follow what is played until the call ends."""
        async for block in call.audio():
            self._loudest = max(self._loudest, peak_of(block.samples))

    def take(self) -> float:
        """Return the loudest sample since the last time, 0 to 1."""
        loudest, self._loudest = self._loudest, 0
        return loudest / 32768


async def obey_keys(
    call: Call,
    keyboard: Keyboard,
    screen: LiveScreen,
    others: Mapping[str, Callable[[], object]] = MappingProxyType({}),
) -> None:
    """Do what is pressed until the call ends; `others` are keys that mean something else here."""
    async for key in keyboard:
        try:
            if key in ("q", END_OF_FILE):
                return await call.hangup()
            if (other := others.get(key)) is not None:
                other()
            else:
                await _obey(key, call, screen)
        except CallEnded:
            return None
        except RtcVoiceError as exc:
            screen.notice(str(exc))
    return None


async def _obey(key: str, call: Call, screen: LiveScreen) -> None:
    if key == "m":
        (call.unmute if call.muted else call.mute)()
    elif key in (" ", "i"):
        await call.interrupt()
    elif key in ("?", "h"):
        screen.toggle_keys()
