"""`call.finished()`: everything was said, answered and heard; in virtual time."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

from rtcvoice.call.finishing import QUIET_AFTER_SPEECH, QUIET_AFTER_TEXT, wait_finished
from rtcvoice.capture.source import PcmSource, Silence, Source
from rtcvoice.errors import CallEnded
from tests.virtual_loop import run


class Answering:
    """A call that is answering from one moment to another; then it may end."""

    def __init__(self, *, until: float = 0.0, end: tuple[float, CallEnded] | None = None) -> None:
        self._began = asyncio.get_running_loop().time()
        self._until, self._end = until, end

    @property
    def now(self) -> float:
        return asyncio.get_running_loop().time() - self._began

    @property
    def is_idle(self) -> bool:
        return self.now >= self._until

    async def wait_for(self, pattern: str, *, timeout: float | None = None) -> Any:
        """While it answers there is an event each 0.1 s."""
        assert timeout is not None
        if self._end is not None and self.now + timeout >= self._end[0]:
            await asyncio.sleep(max(0.0, self._end[0] - self.now))
            raise self._end[1]
        if self.now < self._until:
            await asyncio.sleep(0.1)
            return "event"
        await asyncio.sleep(timeout)
        raise TimeoutError

    async def wait_ended(self) -> CallEnded:
        if self._end is None:
            return await asyncio.Event().wait()  # type: ignore[return-value]
        await asyncio.sleep(self._end[0] - self.now)
        return self._end[1]


class Endless(Source):
    """As a microphone: it has no end."""

    rate = 24000

    async def open(self) -> None:
        pass

    async def read(self) -> Any:
        raise NotImplementedError

    async def aclose(self) -> None:
        pass


def waited(source: Source, **answering: Any) -> float:
    async def main() -> float:
        call = Answering(**answering)
        await wait_finished(call, source)
        return call.now

    return run(main())


@pytest.mark.parametrize(
    ("source", "quiet"), [(Silence(), QUIET_AFTER_TEXT), (Endless(), QUIET_AFTER_SPEECH)]
)
def test_without_an_end_of_the_source_the_answer_is_waited_for(source, quiet):
    assert waited(source, until=3.0) == pytest.approx(3.0 + quiet, abs=0.2)


def test_a_source_with_an_end_is_waited_for():
    async def main() -> float:
        async def chunks():
            yield np.zeros(24000, np.int16)

        source = PcmSource(chunks(), rate=24000)
        call = Answering()
        await source.open()
        reading = asyncio.create_task(forever(source))
        await wait_finished(call, source)
        reading.cancel()
        return call.now

    async def forever(source: Source) -> None:
        while True:
            await source.read()

    assert run(main()) == pytest.approx(1.0 + QUIET_AFTER_SPEECH, abs=0.2)


def test_a_normal_end_is_an_end_and_another_is_raised():
    hung_up = CallEnded("hung up", normal=True)
    assert waited(Endless(), until=60.0, end=(2.0, hung_up)) == pytest.approx(2.0, abs=0.2)
    lost = CallEnded("the network is gone", normal=False)
    with pytest.raises(CallEnded, match="gone"):
        waited(Endless(), until=60.0, end=(2.0, lost))


def test_a_source_that_never_ends_does_not_outlast_the_call():
    async def never():
        await asyncio.Event().wait()
        yield b""

    hung_up = CallEnded("hung up", normal=True)
    source = PcmSource(never(), rate=24000)
    assert waited(source, until=60.0, end=(2.0, hung_up)) == pytest.approx(2.0, abs=0.2)


class Reading(Endless):
    """A source of somebody's own, that is no `PacedSource`, and is over after 5 s."""

    has_end = True

    async def wait_finished(self) -> None:
        await asyncio.sleep(5.0)


def test_a_source_of_ones_own_may_have_an_end():
    assert waited(Reading()) == pytest.approx(5.0 + QUIET_AFTER_SPEECH, abs=0.2)
