"""Source and sink of a call: what is taken, by whom, and that everything is given back."""

from __future__ import annotations

import asyncio
import gzip
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from live import calling, eventually, hold
from virtual_loop import run

import rtcvoice
from rtcvoice.call.ends import Ends, _taken, _written


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


def same_file(tmp_path: Path, how: str, stack: ExitStack) -> tuple[rtcvoice.Source, rtcvoice.Sink]:
    talk, other = tmp_path / "talk.wav", tmp_path / "other.wav"
    if how == "symlink":
        other.symlink_to(talk)
    elif how == "hard link":
        other.hardlink_to(talk)
    elif how == "descriptor":
        file = stack.enter_context(talk.open("rb"))
        return rtcvoice.PipeSource(file), rtcvoice.FileSink(talk)
    elif how == "two descriptors":
        files = [stack.enter_context(talk.open(mode)) for mode in ("rb", "ab")]
        return rtcvoice.PipeSource(files[0]), rtcvoice.PipeSink(files[1])
    elif how == "packed":
        packed = stack.enter_context(gzip.GzipFile(talk, "ab"))
        return rtcvoice.FileSource(talk), rtcvoice.PipeSink(packed)
    else:
        other = tmp_path / "folder" / ".." / "talk.wav"
        (tmp_path / "folder").mkdir()
    return rtcvoice.FileSource(talk), rtcvoice.FileSink(other)


@pytest.mark.parametrize(
    "how", ["path", "symlink", "hard link", "descriptor", "two descriptors", "packed"]
)
async def test_a_sink_never_overwrites_what_the_source_reads(tmp_path, how):
    talk = tmp_path / "talk.wav"
    talk.write_bytes(b"x" * 1000)
    with ExitStack() as stack:
        source, sink = same_file(tmp_path, how, stack)
        with pytest.raises(rtcvoice.ConfigError, match=r"same file.*file of its own"):
            rtcvoice.connect(source=source, sink=sink, api_key="sk-any")
    assert talk.read_bytes()[:1000] == b"x" * 1000


async def test_a_file_that_becomes_the_same_before_the_call_is_refused_as_well(tmp_path):
    talk, answer = tmp_path / "talk.wav", tmp_path / "answer.wav"
    talk.write_bytes(b"x" * 1000)
    ends = Ends(rtcvoice.FileSource(talk), rtcvoice.FileSink(answer))
    answer.symlink_to(talk)
    with pytest.raises(rtcvoice.ConfigError, match="same file"):
        await ends.open()
    await ends.aclose()
    assert talk.read_bytes() == b"x" * 1000


async def test_two_calls_do_not_write_to_one_file(tmp_path):
    path = tmp_path / "a.wav"
    path.touch()
    first, second = Ends(None, rtcvoice.FileSink(path)), Ends(None, rtcvoice.FileSink(path))
    await first.open()
    with pytest.raises(rtcvoice.ConfigError, match="another call writes"):
        await second.open()
    await second.aclose()
    await first.aclose()
    await second.open()
    await second.aclose()
    assert not _taken
    assert not _written


def test_what_may_be_read_and_written_at_once_is_allowed():
    with Path("/dev/null").open("rb") as nothing, Path("/dev/null").open("wb") as nowhere:
        Ends(rtcvoice.PipeSource(nothing), rtcvoice.PipeSink(nowhere))


@pytest.mark.parametrize("why", ["wrong key", "nothing listens", "the source does not open"])
async def test_a_call_that_fails_leaves_the_last_recording_alone(emulator, tmp_path, why):
    path = tmp_path / "answer.wav"
    path.write_bytes(b"x" * 1000)
    options = {
        "wrong key": {"api_key": "wrong"},
        "nothing listens": {"base_url": "http://127.0.0.1:9/v1"},
        "the source does not open": {"source": rtcvoice.FileSource(tmp_path / "missing.wav")},
    }[why]
    with pytest.raises(rtcvoice.RtcVoiceError):
        await hold(emulator, sink=rtcvoice.FileSink(path), **options)
    assert path.read_bytes() == b"x" * 1000


class Stubborn(rtcvoice.Discard):
    """Opens only when it is let, whatever is cancelled."""

    def __init__(self) -> None:
        super().__init__()
        self.let, self.done = asyncio.Event(), []

    async def open(self) -> None:
        while not self.let.is_set():
            with suppress(asyncio.CancelledError):
                await self.let.wait()
        self.done.append("open")

    async def aclose(self) -> None:
        self.done.append("close")


def test_a_sink_that_opens_for_ever_is_given_up_and_closed_when_it_has():
    async def main():
        loop, sink = asyncio.get_running_loop(), Stubborn()
        ends = Ends(None, sink)
        begun = loop.time()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2):
                await ends.open()
        await ends.aclose()
        assert loop.time() - begun < 3.1
        other = Ends(None, sink)
        with pytest.raises(rtcvoice.ConfigError, match="in use"):
            await other.open()
        await other.aclose()
        assert sink.done == []
        sink.let.set()
        await asyncio.sleep(0.1)
        assert sink.done == ["open", "close"]
        assert not _taken

    run(main())


@pytest.mark.parametrize(
    ("says", "believed"),
    [(0.3, 0.3), (float("nan"), 0.0), (-1, 0.0), (1e9, 5.0), ("soon", 0.0), (None, 0.0)],
)
def test_a_latency_that_makes_no_sense_is_not_believed(says, believed):
    class Odd(rtcvoice.Discard):
        latency = says

    assert Ends(None, Odd()).latency == believed


async def test_two_calls_do_not_write_to_one_file_that_is_not_there_yet(tmp_path):
    first, second = (Ends(None, rtcvoice.FileSink(tmp_path / "new.wav")) for _ in range(2))
    results = await asyncio.gather(first.open(), second.open(), return_exceptions=True)
    assert {type(result) for result in results} == {type(None), rtcvoice.ConfigError}
    await second.aclose()
    await first.aclose()
    assert not _written
