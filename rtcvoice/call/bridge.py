"""Two calls that hear each other: what one model says is what the other hears.

    first call -> its sink -> crossing -> the second call's source
    second call -> its sink -> crossing -> the first call's source

A sink gives 10 ms when its clock says so, a source takes 20 ms when its own does. In between waits
as little as possible, and where the two clocks differ, what is too much is left out in a pause.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections import deque
from typing import TYPE_CHECKING, Any

from rtcvoice.capture.source import PacedSource
from rtcvoice.errors import CallEnded, ConfigError
from rtcvoice.playout.sink import HeadlessSink
from rtcvoice.sound import numpy_later as np
from rtcvoice.sound.samples import DEFAULT_RATE, Samples, peak_of
from rtcvoice.system.public import public

if TYPE_CHECKING:
    from rtcvoice.call.call import Call

__all__ = ["Bridge", "BridgeSink", "BridgeSource", "Crossing"]

logger = logging.getLogger(__name__)

TARGET = 0.02
"""Seconds that wait when all is well: one block of the source."""

MUCH = 0.06
"""Seconds from which on what is too much is left out, in the next pause."""

MOST = 0.3
"""Seconds that may wait at all: what is more is left out in the middle of a word."""

QUIET = 100
"""Peak below which a block is a pause, of 32768."""


class Crossing:
    """Samples on their way from one call to the other; pure.

    `write` and `read` in any order; a read that finds too little gets silence, and the rest waits
    until there is enough to go on with.
    """

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._blocks: deque[Samples] = deque()
        self._level = 0
        self._waits = True
        self.dropped = 0
        """Samples that were left out because the reader's clock is slower."""

    @property
    def level(self) -> float:
        """Seconds that wait."""
        return self._level / self._rate

    def write(self, samples: Samples) -> None:
        """Add samples."""
        if self._level > MUCH * self._rate and peak_of(samples) < QUIET:
            self.dropped += len(samples)
            return
        self._blocks.append(samples)
        self._level += len(samples)
        while self._level > MOST * self._rate:
            oldest = self._blocks.popleft()
            self._level -= len(oldest)
            self.dropped += len(oldest)

    def read(self, count: int) -> Samples:
        """Return the next `count` samples: silence where there are none yet."""
        if self._level < count or (self._waits and self._level < TARGET * self._rate):
            self._waits = True
            return np.zeros(count, np.int16)
        self._waits = False
        taken, missing = [], count
        while missing:
            block = self._blocks.popleft()
            taken.append(block[:missing])
            if len(block) > missing:
                self._blocks.appendleft(block[missing:])
            missing -= len(taken[-1])
        self._level -= count
        return np.concatenate(taken)


class BridgeSink(HeadlessSink):
    """The end of one call at which its model is heard."""

    def __init__(self, crossing: Crossing) -> None:
        super().__init__(rate=DEFAULT_RATE)
        self._crossing = crossing

    def write(self, samples: Samples) -> None:
        """Send the next 10 ms over."""
        self._crossing.write(samples.copy())


class BridgeSource(PacedSource):
    """The end of the other call, which is spoken into."""

    has_end = False

    def __init__(self, crossing: Crossing) -> None:
        super().__init__(rate=DEFAULT_RATE)
        self._crossing = crossing

    def _next(self, count: int) -> Samples:
        return self._crossing.read(count)


@public
class Bridge:
    """Lets two models talk with each other, in real time.

        bridge = rtcvoice.Bridge()
        async with (
            rtcvoice.connect(**bridge.first, instructions="You sell flights.") as agent,
            rtcvoice.connect(**bridge.second, instructions="You want to fly to Rome.") as caller,
        ):
            print(await bridge.run(agent, caller, seconds=120))

    `first` and `second` are the `source` and `sink` of the two calls. Each of them may be recorded
    (`record=`), and has turns, tools and limits of its own. Use it for one pair of calls.
    """

    def __init__(self) -> None:
        self.there, self.back = Crossing(DEFAULT_RATE), Crossing(DEFAULT_RATE)
        self.first: dict[str, Any] = {
            "source": BridgeSource(self.back),
            "sink": BridgeSink(self.there),
        }
        self.second: dict[str, Any] = {
            "source": BridgeSource(self.there),
            "sink": BridgeSink(self.back),
        }

    @property
    def delay(self) -> float:
        """Seconds that sound waits between the calls now, in the direction where it is more."""
        return max(self.there.level, self.back.level)

    async def run(
        self,
        first: Call,
        second: Call,
        *,
        seconds: float | None = None,
        until: str | None = None,
        begin: bool = True,
    ) -> str:
        """Let them talk until one hangs up, or an end is reached; hang both up and say why.

        seconds: the longest that they may talk.
        until: a pattern (regular expression); once the words of a turn of either match it, what is
            being said is heard to its end.
        begin: whether `first` is asked to speak first. Else somebody has to.
        Raises CallEnded when one of the calls ends otherwise than by a hang-up; the other one is
        hung up then, too. Cancelled, it hangs up nothing.
        """
        pattern = _pattern(until)
        if begin:
            await first.respond()
        ends = [asyncio.ensure_future(call.wait_ended()) for call in (first, second)]
        watches = [asyncio.create_task(_said(call, pattern)) for call in (first, second)]
        waits = {*ends, *(watches if pattern else ())}
        try:
            done, _ = await asyncio.wait(
                waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED
            )
            over = [end.result() for end in ends if end in done]
            said = [watch.result() for watch in watches if watch in done]
        finally:
            for task in (*ends, *watches):
                task.cancel()
            await asyncio.gather(*ends, *watches, return_exceptions=True)
        await asyncio.gather(*(call.hangup(drain=bool(said)) for call in (first, second)))
        for end in over:
            if not end.normal:
                raise end.again()
        if over:
            return f"one side hung up: {over[0].reason}"
        return f"it was said: {said[0]}" if said else f"{seconds:g} s are over"


def _pattern(until: str | None) -> re.Pattern[str] | None:
    if until is None:
        return None
    try:
        return re.compile(until, re.IGNORECASE)
    except (re.error, RecursionError, OverflowError) as exc:
        raise ConfigError(f"until={until!r:.100} is not a pattern: {exc}") from exc


async def _said(call: Call, pattern: re.Pattern[str] | None) -> str:
    """Return what was said once the words of a turn match."""
    try:
        async for turn in call.turns():
            if pattern is not None and (found := pattern.search(turn.text)):
                return found.group()
    except CallEnded:
        pass
    await asyncio.Event().wait()  # the call is over, which is told elsewhere
    raise AssertionError
