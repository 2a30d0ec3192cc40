"""Plays a row of the fault list and says what was seen.

A row is played against the emulator over loopback, or in virtual time. Before its fault something
is said, so that there is something to know afterwards. Whatever must follow, nothing may be left
behind: no task, thread or descriptor, and asyncio has nothing to complain of.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import tempfile
import threading
import time
from collections import Counter
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from live import BentEmulator, calling
from virtual_call import VirtualCall
from virtual_loop import run

from faults.row import Ends, Fails, GoesOn, Refuses, Row, matches
from rtcvoice.call.life import CallState
from rtcvoice.emulator import Emulator

__all__ = ["Scene", "Seen", "play"]

BEFORE = "My name is Ada."
AFTER = "Are you still there?"
LONGEST = 60.0
"""Seconds after which a row has failed, whatever it waits for."""


@dataclass(frozen=True)
class Seen:
    """What followed: in words, whether it was right, and the seconds it took."""

    words: str
    right: bool
    seconds: float


class OddEmulator(BentEmulator):
    """An emulator whose events need not keep the protocol: that may be the fault."""

    async def __aexit__(self, *exc_info: Any) -> None:
        await Emulator.__aexit__(self, *exc_info)


class Scene:
    """What a strike sees: the server, the call, and a folder of its own."""

    def __init__(self, row: Row, folder: Path, patience: float = 0.0) -> None:
        self.row = row
        self.folder = folder
        self.within = row.must.within + patience
        """Seconds that what must follow may take."""
        self.server: Any = None
        self.call: Any = None
        self.options: dict[str, Any] = dict(row.options)
        self.told: Counter[str] = Counter()
        self.begun = 0.0

    @property
    def peer(self) -> Any:
        """The server's end of the newest leg."""
        return self.server.last().peer

    def begin(self) -> None:
        """The fault strikes now: seconds count from here."""
        self.begun = asyncio.get_running_loop().time()

    @property
    def seconds(self) -> float:
        return asyncio.get_running_loop().time() - self.begun


def play(row: Row, *, patience: float = 0.0) -> Seen:
    """Play a row; never raises, except for Ctrl-C.

    patience: seconds that what must follow may come later than the row says: it says what a quiet
    machine keeps to.
    """
    begun = time.monotonic()
    if row.virtual:
        return _judged(begun, lambda: run(_virtually(row)))
    before = _held()
    with _complaints() as complaints:
        seen = _judged(begun, lambda: asyncio.run(_really(row, patience)))
        gc.collect(1)
    left = _left(before)
    if complaints:
        return Seen(
            f"{seen.words}; asyncio: {complaints[0]:.80}", right=False, seconds=seen.seconds
        )
    if left:
        return Seen(f"{seen.words}; left: {dict(left)}", right=False, seconds=seen.seconds)
    return seen


def _judged(begun: float, how: Any) -> Seen:
    try:
        return how()
    except Exception as exc:
        words = f"{type(exc).__name__}: {exc}"
        return Seen(words[:300], right=False, seconds=time.monotonic() - begun)


def _but(seen: Seen, wrong: str) -> Seen:
    return Seen(f"{seen.words}; {wrong}", right=False, seconds=seen.seconds)


async def _virtually(row: Row) -> Seen:
    with tempfile.TemporaryDirectory() as folder:
        scene = Scene(row, Path(folder))
        async with row.around(scene):
            scene.begin()
            async with VirtualCall(**{"strict": False, **row.server, **row.options}) as call:
                scene.call, scene.server = call, call.server
                return await _during(row, scene)


async def _really(row: Row, patience: float) -> Seen:
    with tempfile.TemporaryDirectory() as folder:
        scene = Scene(row, Path(folder), patience)
        async with OddEmulator(**{"audio": "instant", **row.server}) as server:
            scene.server = server
            async with asyncio.timeout(LONGEST), row.around(scene):
                seen = await _called(row, scene)
            await server.end_calls()
        tasks = await _tasks_left()
    return _but(seen, f"tasks left: {tasks}") if tasks else seen


async def _called(row: Row, scene: Scene) -> Seen:
    scene.begin()
    try:
        async with calling(scene.server, **scene.options) as call:
            scene.call = call
            if type(row.must) is Fails:
                return Seen("connected", right=False, seconds=scene.seconds)
            return await _during(row, scene)
    except Exception as exc:
        if type(row.must) is not Fails:
            raise
        return _raised(exc, row.must, scene)


def _raised(exc: Exception, must: Fails, scene: Scene) -> Seen:
    seconds = scene.seconds
    right = matches(exc, must) and seconds <= scene.within
    facts = [f"{name} {getattr(exc, name, None)}" for name in must.having]
    return Seen(", ".join([type(exc).__name__, *facts, f"{exc}"[:100]]), right, seconds)


async def _during(row: Row, scene: Scene) -> Seen:
    call, must = scene.call, row.must
    listening = asyncio.create_task(_listen(scene))
    await asyncio.sleep(0)
    try:
        if not isinstance(must, Refuses):
            await _answered(call, BEFORE)
        scene.begin()
        await row.strike(scene)
        if isinstance(must, Ends):
            return await _ended(call, must, scene)
        if isinstance(must, Refuses):
            return await _refused(call, must, scene)
        assert isinstance(must, GoesOn)
        return await _went_on(call, must, scene)
    finally:
        listening.cancel()
        await asyncio.wait({listening})


async def _listen(scene: Scene) -> None:
    with suppress(Exception):  # the end of the call
        async for event in scene.call:
            scene.told[event.type] += 1


async def _answered(call: Any, text: str) -> None:
    reply = await call.ask(text)
    if not await reply.text():
        raise AssertionError("the answer is empty")


async def _ended(call: Any, must: Ends, scene: Scene) -> Seen:
    async with asyncio.timeout(scene.within + 2):
        end = await call.wait_ended()
    right = must.saying.lower() in f"{end}".lower() and end.normal == must.normal
    words = f"ended{' normally' if end.normal else ''}: {end.reason}"
    return Seen(words, right and scene.seconds <= scene.within, scene.seconds)


async def _refused(call: Any, must: Refuses, scene: Scene) -> Seen:
    try:
        async with asyncio.timeout(scene.within + 2):
            await _answered(call, BEFORE)
    except Exception as exc:
        seen = _raised(exc, must, scene)
    else:
        return Seen("was answered", right=False, seconds=scene.seconds)
    if not scene.row.virtual and call.state is not CallState.ACTIVE:
        return Seen(f"{seen.words}; the call is {call.state.name}", False, seen.seconds)
    return seen


async def _went_on(call: Any, must: GoesOn, scene: Scene) -> Seen:
    async with asyncio.timeout(scene.within + 5):
        await _answered(call, AFTER)
    seconds = scene.seconds
    legs = len(getattr(call, "legs", "1"))
    wrong = []
    if seconds > scene.within:
        wrong.append("late")
    if legs != must.legs:
        wrong.append(f"{legs} legs")
    if must.told and not scene.told[must.told]:
        wrong.append(f"nothing told of {must.told}")
    if not scene.row.virtual:
        if call.state is not CallState.ACTIVE:
            wrong.append(call.state.name)
        if (known := _known(scene)) != [BEFORE, AFTER]:
            wrong.append(f"the server knows {known}")
    return Seen(", ".join(["went on", *wrong]), not wrong, seconds)


def _known(scene: Scene) -> list[str]:
    """What the newest leg's server was told of these two, in order."""
    texts = []
    for logged in scene.server.last().events:
        if logged.direction == "in" and logged.event.get("type") == "conversation.item.create":
            for part in logged.event["item"].get("content", ()):
                texts += [text for text in (BEFORE, AFTER) if part.get("text") == text]
    return texts


# -- what is left behind ---------------------------------------------------------------------------


def _held() -> Counter[str]:
    held = Counter(thread.name for thread in threading.enumerate())
    held["descriptors"] = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").is_dir() else 0
    return held


def _left(before: Counter[str]) -> Counter[str]:
    deadline = time.monotonic() + 10.0
    while (left := _held() - before) and time.monotonic() < deadline:
        gc.collect()
        time.sleep(0.01)
    return left


async def _tasks_left() -> list[str]:
    deadline = time.monotonic() + 10.0
    while time.monotonic() < deadline:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        if not tasks:
            return []
        await asyncio.sleep(0.01)
    return [task.get_name() for task in tasks]


@contextmanager
def _complaints() -> Any:
    """What asyncio complains of meanwhile, such as an error that nobody retrieved."""

    class Notes(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            told.append(record.getMessage())

    told: list[str] = []
    notes = Notes(logging.WARNING)
    logger = logging.getLogger("asyncio")
    logger.addHandler(notes)
    try:
        yield told
    finally:
        logger.removeHandler(notes)
