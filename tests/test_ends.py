"""Source and sink of a call: what is taken, by whom, and that everything is given back."""

from __future__ import annotations

import asyncio

import pytest
from live import calling, eventually, hold

import rtcvoice
from rtcvoice.ends import Ends, _taken


class Recorder(rtcvoice.Silence):
    """Notes what is done to it."""

    def __init__(self, *, fails: bool = False) -> None:
        super().__init__()
        self.fails = fails
        self.done: list[str] = []

    async def open(self) -> None:
        self.done.append("open")
        if self.fails:
            raise rtcvoice.DeviceError("no such device")
        await super().open()

    async def aclose(self) -> None:
        self.done.append("close")
        await super().aclose()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"source": "question.wav", "sink": None}, r"File\w+\('a.wav'\)"),
        ({"source": None, "sink": "answer.wav"}, r"sink= is 'answer.wav'.*FileSink"),
        ({"source": rtcvoice.Silence, "sink": None}, "the class Silence"),
        ({"source": rtcvoice.Discard(), "sink": None}, r"not a rtcvoice\.Source"),
    ],
)
def test_what_is_no_source_or_sink_is_refused_at_once(options, says):
    with pytest.raises(rtcvoice.ConfigError, match=says):
        rtcvoice.connect(**options)


async def test_an_end_serves_one_call_at_a_time():
    source = Recorder()
    first, second = Ends(source, None), Ends(source, None)
    await first.open()
    with pytest.raises(rtcvoice.ConfigError, match="Recorder is in use by another call"):
        await second.open()
    await second.aclose()
    assert source.done == ["open"]  # the first call still has it
    await first.aclose()
    await first.aclose()
    assert source.done == ["open", "close"]
    await second.open()
    await second.aclose()
    assert not _taken


async def test_what_fails_to_open_is_closed_and_given_back():
    source = Recorder(fails=True)
    ends = Ends(source, None)
    with pytest.raises(rtcvoice.DeviceError):
        await ends.open()
    await ends.aclose()
    assert source.done == ["open", "close"]
    assert not _taken


async def test_a_closing_that_is_cancelled_gives_the_ends_back():
    class Stubborn(rtcvoice.Silence):
        async def aclose(self) -> None:
            await asyncio.Event().wait()

    ends = Ends(Stubborn(), None)
    await ends.open()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await ends.aclose()
    assert not _taken


async def test_a_second_call_with_the_same_ends_is_refused_and_the_first_goes_on(
    emulator, tmp_path
):
    sink = rtcvoice.FileSink(tmp_path / "a.wav")
    async with calling(emulator, sink=sink) as call:
        with pytest.raises(rtcvoice.ConfigError, match="in use"):
            await hold(emulator, sink=sink)
        assert call.state is rtcvoice.CallState.ACTIVE
        before = sink.duration
        await eventually(lambda: sink.duration > before)
    await hold(emulator, sink=sink)
