"""Does again, in a new call, what the user did in a recorded one, and compares the two.

    source = rtcvoice.ReplaySource("calls/20261129-...")
    async with rtcvoice.connect(source=source, **source.options) as call:
        print(await source.replay(call))

What was said is played, what was written is sent, at the same moments relative to the other side's
answers, or by the clock. Tools give back what was recorded. Of the recording only sound, words and
settings of the session are taken: no address, no key, no path, no code.
"""

from __future__ import annotations

import asyncio
import logging
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from rtcvoice.capture.source import PacedSource
from rtcvoice.errors import CallEnded, ConfigError
from rtcvoice.sound import numpy_later as np
from rtcvoice.sound.samples import DEFAULT_RATE, OPUS_RATES, Samples
from rtcvoice.system import clock
from rtcvoice.system.public import public
from rtcvoice.system.threads import in_thread

from .acts import READY, Act, ActKind, Mark, MarkKind, Marks, acts_of
from .compared import Course, ReplayResult, course_of
from .given_tools import GivenTools, runs_of
from .reading import RecordedCall
from .session_taken import session_taken

if TYPE_CHECKING:
    from rtcvoice.call.call import Call

__all__ = ["ReplaySource"]

logger = logging.getLogger(__name__)

PATIENCE = 10.0
"""Seconds more than in the recorded call that an answer is waited for: it may never come."""

QUIET_AFTER_SPEECH, QUIET_AFTER_TEXT = 1.5, 0.3
"""Seconds without an event after which no answer to the last act will come."""

LONGEST_WAIT = 120.0
"""Seconds that one act waits at most, whatever the recording says."""


@public
class ReplaySource(PacedSource):
    """The user of a recorded call, as the source of another one. Raises ConfigError.

    folder: of one call, the client's recording or the emulator's.
    by_clock: act at the recorded times, whatever the other side does meanwhile.
    """

    def __init__(self, folder: str | os.PathLike[str], *, by_clock: bool = False) -> None:
        recorded = RecordedCall(folder)
        with recorded.audio() as audio:
            rate = audio.rate or DEFAULT_RATE
        if rate not in OPUS_RATES:
            raise ConfigError(f"{folder} is recorded at {rate} Hz, which no call has")
        super().__init__(rate=rate)
        self._recorded = recorded
        self._by_clock = by_clock
        self._acts, self._marks_then = acts_of(recorded.events())
        taken = session_taken(recorded)
        self.tools = GivenTools(taken.tools, runs_of(recorded.events()))
        """The session's functions: each gives back what was recorded."""
        self.options: dict[str, Any] = {**taken.options, "tools": self.tools}
        """The settings of the recorded session, as `connect` takes them; with `tools`."""
        self.recorded: Course = course_of(recorded)
        """How the recorded call went."""
        self._speech: Samples = np.zeros(0, np.int16)
        self._spoken = asyncio.Event()
        self._marks = Marks()
        self._reached = asyncio.Event()

    async def replay(self, call: Call) -> ReplayResult:
        """Do everything that the user did; return how both calls went, once all is answered.

        Raises CallEnded when the new call ends before that by a failure.
        """
        course, began = Course(), clock.now()
        watching = [
            asyncio.create_task(self._watch(call, course, began)),
            asyncio.create_task(_note_turns(call, course)),
        ]
        try:
            self._reach(READY, began)
            for number, act in enumerate(self._acts):
                await self._wait_for(act, began)
                await self._do(act, call)
                self._reach(Mark(MarkKind.ACTED, number), clock.now())
            self._finished.set()
            await self._answered(call)
        finally:
            self._finished.set()
            for task in watching:
                task.cancel()
            await asyncio.gather(*watching, return_exceptions=True)
        course.waits = [latency.seconds for latency in call.latency]
        return ReplayResult(recorded=self.recorded, now=course)

    def _next(self, count: int) -> Samples:
        part, self._speech = self._speech[:count], self._speech[count:]
        if not len(self._speech):
            self._spoken.set()
        if len(part) == count:
            return part
        return np.concatenate((part, np.zeros(count - len(part), np.int16)))

    # -- acts -----------------------------------------------------------------------------------

    async def _wait_for(self, act: Act, began: float) -> None:
        """Return when it is time for an act."""
        ready = self._marks_then.times.get(READY, 0.0)
        if self._by_clock:
            await _sleep_until(began + act.begin - ready)
            return
        at = self._marks.times.get(act.mark)
        if at is None:
            since = self._marks_then.times.get(act.mark, act.begin)
            last = max((t for t in self._marks_then.times.values() if t < since), default=since)
            patience = min(since - last + PATIENCE, LONGEST_WAIT)
            with suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    while (at := self._marks.times.get(act.mark)) is None:
                        self._reached.clear()
                        await self._reached.wait()
        if at is None:
            logger.warning("x the answer that was waited for does not come: the replay goes on")
            return
        await _sleep_until(min(at + act.delay, clock.now() + LONGEST_WAIT))

    async def _answered(self, call: Call) -> None:
        """Return when the call is idle and stays so, or has ended normally."""
        spoke = any(act.kind is not ActKind.WRITES for act in self._acts[-1:])
        quiet = QUIET_AFTER_SPEECH if spoke else QUIET_AFTER_TEXT
        try:
            while True:
                with suppress(TimeoutError):
                    await call.wait_for("*", timeout=quiet)
                    continue
                if call.is_idle:
                    return
        except CallEnded as end:
            if not end.normal:
                raise

    async def _do(self, act: Act, call: Call) -> None:
        match act.kind:
            case ActKind.SPEAKS:
                await self._say(act.begin, act.end)
            case ActKind.WRITES:
                await call.send(act.text)
            case ActKind.COMMITS:
                from rtcvoice.events import InputAudioBufferCommit

                await call.send_event(InputAudioBufferCommit())
                if act.answered:
                    await call.respond()
            case ActKind.ASKS:
                await call.respond()

    async def _say(self, begin: float, end: float) -> None:
        """Play a stretch of the recorded user's voice, and return when it was said."""
        heard = await in_thread(self._read, begin, end)
        if len(heard):
            self._spoken.clear()
            self._speech = heard
            await self._spoken.wait()

    def _read(self, begin: float, end: float) -> Samples:
        with self._recorded.audio() as audio:
            samples: Samples = np.ascontiguousarray(audio.read(begin, end)[:, 0])
        return samples

    # -- what the other side does ---------------------------------------------------------------

    def _reach(self, mark: Mark, time: float) -> None:
        self._marks.note(mark, time)
        self._reached.set()

    async def _watch(self, call: Call, course: Course, began: float) -> None:
        with suppress(CallEnded):
            async for event in call:
                self._marks.feed(event, clock.now())
                course.feed(event)
                self._reached.set()


async def _note_turns(call: Call, course: Course) -> None:
    with suppress(CallEnded):
        async for turn in call.turns():
            course.turn(turn.role, turn.text, turn.status.value)


async def _sleep_until(moment: float) -> None:
    await asyncio.sleep(max(0.0, moment - clock.now()))
