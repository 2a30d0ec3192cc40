"""Code that strangers gave: what it raises, returns and never does ends neither call nor program.

Seen with command line tools whose functions were made tools (`sys.exit` in them), with functions of
mocks, with text classes of template engines, and with generators where functions belong.
"""

from __future__ import annotations

import asyncio
import io
import os
from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pytest
from virtual_loop import run

from rtcvoice.call.ends import Ends
from rtcvoice.capture.event_track import EventTrack
from rtcvoice.capture.feed import SourceFeed
from rtcvoice.capture.pipe import PipeSource
from rtcvoice.capture.source import PacedSource, PcmSource, Source
from rtcvoice.capture.track import SourceTrack
from rtcvoice.conversation.listening.dispatcher import Dispatcher
from rtcvoice.conversation.tools.docs import read_docstring
from rtcvoice.conversation.tools.results import encoded
from rtcvoice.conversation.tools.toolset import ToolSet
from rtcvoice.errors import ConfigError, CredentialsError, DeviceError
from rtcvoice.events import HandlerError, InputAudioBufferCleared
from rtcvoice.masking import masked
from rtcvoice.playout.pipe import PipeSink
from rtcvoice.playout.player import Player
from rtcvoice.playout.sink import HeadlessSink
from rtcvoice.rest.credentials import resolved
from rtcvoice.sound.samples import Block
from rtcvoice.sound.sound_file import SoundFile
from rtcvoice.system.threads import contained


class Own(BaseException):
    """What somebody derived from BaseException."""


@pytest.mark.parametrize(
    "error", [SystemExit(3), Own("gone"), SystemExit(), asyncio.CancelledError()]
)
def test_what_ends_programs_ends_only_the_code_that_raised_it(error):
    async def raises():
        raise error

    async def main():
        with pytest.raises(RuntimeError, match=f"raised {type(error).__name__}"):
            await contained(raises())

    run(main())


def test_ctrl_c_and_cancellations_are_passed_on():
    async def raises(error):
        raise error

    for error in (KeyboardInterrupt(), ValueError()):
        with pytest.raises(type(error)):
            contained(raises(error)).send(None)

    async def main():
        task = asyncio.create_task(contained(asyncio.Event().wait()))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(main())


class Odd(Source):
    """A source that does something odd in place of its 20th block."""

    rate = 24_000

    def __init__(self, does):
        self.does = does
        self.given = 0

    async def open(self):
        pass

    async def read(self):
        await asyncio.sleep(0.02)
        block = Block(np.ones(480, np.int16), 480 * self.given, clock_of_loop())
        self.given += 1
        return self.does(block) if self.given == 20 else block

    async def aclose(self):
        pass


class OddlyPaced(PacedSource):
    """The same of one that is polled."""

    def __init__(self, does):
        super().__init__(rate=24_000)
        self.does = does
        self.given = 0

    def _next(self, count):
        samples = np.ones(count, np.int16)
        self.given += 1
        return self.does(Block(samples, 0, 0.0)).samples if self.given == 20 else samples


def clock_of_loop():
    return asyncio.get_running_loop().time()


def raising(error):
    def does(block):
        raise error

    return does


ODD_BLOCKS = [
    (raising(SystemExit(3)), "SystemExit: 3"),
    (raising(asyncio.CancelledError()), "CancelledError"),
    (raising(Own("gone")), "Own: gone"),
    (lambda block: block._replace(samples=block.samples / 2), "float64"),
    (lambda block: block._replace(samples=block.samples[:, None]), "480, 1"),
    (lambda block: block._replace(samples=list(block.samples)), "list"),
    (lambda block: block._replace(samples=block.samples[:0]), "int16 of shape"),
]
ODD_ONLY_BLOCKS = [
    (lambda block: None, "NoneType, not a Block"),
    (lambda block: block.samples, "ndarray, not a Block"),
    (lambda block: block._replace(index=480.5), "index=480.5"),
    (lambda block: block._replace(time=float("nan")), "time=nan"),
    (lambda block: block._replace(time="now"), "time='now'"),
    (lambda block: block._replace(time=float("-inf")), "time=-inf"),
    (lambda block: block._replace(time=10**400), "time=1000"),
]


@pytest.mark.parametrize(
    ("kind", "does", "says"),
    [(kind, *each) for kind in (Odd, OddlyPaced) for each in ODD_BLOCKS]
    + [(Odd, *each) for each in ODD_ONLY_BLOCKS],
)
@pytest.mark.parametrize("leg", ["RTP", "events"])
def test_a_source_that_does_something_odd_becomes_silence(kind, does, says, leg, caplog):
    async def main():
        sent = []
        track = SourceTrack() if leg == "RTP" else EventTrack()
        track.start(SourceFeed(kind(does)).reader())
        if isinstance(track, EventTrack):
            track.send_by(SimpleNamespace(send_audio=sent.append, round_trip=0.0))
        else:
            sending = asyncio.create_task(track.run(lambda payload, ticks: sent.append(payload)))
        await asyncio.sleep(1)
        assert len(sent) > 40
        assert says in str(track.error)
        track.stop()
        if isinstance(track, SourceTrack):
            await sending

    run(main())
    caplog.clear()


@pytest.mark.parametrize("error", [SystemExit(3), asyncio.CancelledError(), Own("gone")])
def test_a_source_that_is_read_by_a_plain_function_that_exits_becomes_silence(error, caplog):
    class Plain(Odd):
        def read(self):
            if self.given == 20:
                raise error
            return super().read()

    async def main():
        track = EventTrack()
        track.start(SourceFeed(Plain(lambda block: block)).reader())
        track.send_by(SimpleNamespace(send_audio=lambda data: None, round_trip=0.0))
        await asyncio.sleep(1)
        assert type(error).__name__ in str(track.error)
        track.stop()

    run(main())
    caplog.clear()


@pytest.mark.parametrize("error", [SystemExit(3), asyncio.CancelledError(), Own("gone")])
@pytest.mark.parametrize("plain", [False, True])
def test_an_end_that_does_not_open_or_close_is_told_of(error, plain, caplog):
    class Fails(Odd):
        opens = False

        async def open(self):
            if not self.opens:
                raise error

        async def aclose(self):
            raise error

    class FailsAtOnce(Odd):
        opens = False

        def open(self):
            if not self.opens:
                raise error
            return super().open()

        def aclose(self):
            raise error

    async def main():
        ends = Ends((FailsAtOnce if plain else Fails)(None), None)
        with pytest.raises(RuntimeError, match=type(error).__name__):
            await ends.open()
        await ends.aclose()
        ends.source.opens = True
        await ends.open()
        await ends.aclose()

    run(main())
    assert caplog.text.count("a source or sink failed to close") == 2
    assert type(error).__name__ in caplog.text
    caplog.clear()


@pytest.mark.parametrize("error", [SystemExit(3), asyncio.CancelledError(), Own("full")])
def test_a_sink_that_ends_programs_ends_its_own_writing(error, caplog):
    class Ends(HeadlessSink):
        def write(self, samples):
            raise error

    async def main():
        sink, player = Ends(), Player(24_000)
        sink.start(player)
        await asyncio.sleep(0.5)
        assert type(error).__name__ in str(sink.error)
        assert player.position > 40 * 240
        await sink.aclose()

    run(main())
    caplog.clear()


def test_a_handler_that_exits_is_reported_and_called_again(caplog):
    async def main():
        dispatcher = Dispatcher()
        errors = dispatcher.subscribe(HandlerError)
        calls = []

        async def exits(event):
            calls.append(event)
            raise SystemExit(8)

        dispatcher.on(InputAudioBufferCleared, handler=exits)
        for number in range(2):
            dispatcher.publish(InputAudioBufferCleared(event_id=f"event_{number}"))
            assert "SystemExit: 8" in str((await anext(errors)).exception)
        assert len(calls) == 2
        await dispatcher.aclose(timeout=1)

    run(main())
    caplog.clear()


@pytest.mark.parametrize("kind", ["plain", "async"])
def test_a_handler_that_yields_would_never_run(kind):
    def plain(event):
        yield event

    async def asynchronous(event):
        yield event

    async def main():
        with pytest.raises(ConfigError, match="yields"):
            Dispatcher().on("*", handler=plain if kind == "plain" else asynchronous)

    run(main())


@pytest.mark.parametrize("timeout", ["5", float("nan"), b"1"])
def test_a_timeout_that_is_no_number_is_refused(timeout):
    async def main():
        with pytest.raises(ConfigError, match="seconds"):
            Dispatcher().expect("*", timeout=timeout)

    run(main())


def test_where_has_to_be_a_plain_function_and_may_even_exit():
    async def never(event):
        return False

    def exits(event):
        raise SystemExit(7)

    async def main():
        dispatcher = Dispatcher()
        for wrong in (never, "final"):
            with pytest.raises(ConfigError, match="plain function"):
                dispatcher.expect("*", where=wrong)
        expected = dispatcher.expect("*", where=exits)
        dispatcher.publish(InputAudioBufferCleared(event_id="event_1"))
        with pytest.raises(RuntimeError, match="SystemExit: 7"):
            await expected

    run(main())


@pytest.mark.parametrize("error", [SystemExit("no vault"), asyncio.CancelledError("no vault")])
def test_a_function_for_the_key_that_exits_is_an_error_of_the_key(error):
    async def key():
        raise error

    async def main():
        with pytest.raises(CredentialsError, match=f"{type(error).__name__}: no vault"):
            await resolved(key, fetch=None)

    run(main())


@pytest.mark.parametrize("error", [SystemExit(4), Own("x"), asyncio.CancelledError()])
def test_an_iterable_that_ends_by_any_exception_is_told_of(error, caplog):
    async def chunks():
        yield b"\1\0" * 480
        raise error

    async def main():
        source = PcmSource(chunks())
        await source.open()
        while not source.finished:
            await source.read()
        assert type(error).__name__ in str(source.error)
        await source.aclose()

    run(main())
    caplog.clear()


def test_an_iterable_that_never_waits_and_has_nothing_leaves_the_loop_to_others():
    async def chunks():
        while True:
            yield b""

    async def main():
        source = PcmSource(chunks())
        await source.open()
        assert not (await source.read()).samples.any()
        await source.aclose()

    run(main())


def test_bytes_of_floats_are_no_samples(caplog):
    async def chunks():
        yield memoryview(np.ones(480, np.float32))

    async def main():
        source = PcmSource(chunks())
        await source.open()
        while not source.finished:
            assert not (await source.read()).samples.any()
        assert "memoryview of 'f'" in str(source.error)
        await source.aclose()

    run(main())
    caplog.clear()


class Reader(io.BytesIO):
    """A file object whose `read` does what it wants."""

    def __init__(self, data, does):
        super().__init__(data)
        self.does = does

    def read(self, size=-1):
        return self.does(super().read(-1))


def exits(data):
    raise SystemExit(3)


@pytest.mark.parametrize(
    ("does", "reason"),
    [
        (
            lambda data: data,
            r"read\(\d+\) returns 96044 bytes",
        ),  # more than its caller has room for
        (lambda data: "text", "returns str"),
        (lambda data: None, "returns NoneType"),
        (exits, "raised SystemExit"),
    ],
)
def test_a_file_object_that_breaks_its_promise_is_an_error_and_no_crash(
    wav_of_two_seconds, does, reason
):
    with pytest.raises(DeviceError, match=reason):
        SoundFile(Reader(wav_of_two_seconds, does), rate=24_000)


@pytest.fixture
def wav_of_two_seconds(tmp_path):
    import wave

    with wave.open(str(tmp_path / "two.wav"), "wb") as file:
        file.setparams((1, 2, 24_000, 0, "NONE", ""))
        file.writeframes(b"\1\0" * 48_000)
    return (tmp_path / "two.wav").read_bytes()


async def until(condition):
    """Wait for a thread; in time, or never."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


async def test_a_pipe_whose_object_exits_says_so(caplog):
    class Exits:
        def read(self, size):
            raise SystemExit("sk-proj-abcdefghijklmnop1234")

    source = PipeSource(Exits())
    await source.open()
    await until(lambda: source.error)
    assert "SystemExit: sk-***" in str(source.error)
    await source.aclose()
    caplog.clear()


@pytest.mark.parametrize(
    "raises", [SystemExit("sk-proj-abcdefghijklmnop1234"), ValueError("sk-abcdefghijk")]
)
async def test_a_sink_whose_object_raises_says_so_without_keys(raises, caplog):
    class Raises:
        def write(self, data):
            raise raises

    sink = PipeSink(Raises())
    await sink.open()
    sink._writer.put(b"\0\0")
    await until(lambda: sink.error)
    assert "sk-***" in str(sink.error)
    assert "abcdef" not in str(sink.error)
    await sink.aclose()
    caplog.clear()


async def test_an_object_that_takes_a_part_at_a_time_gets_all():
    class Partial:
        taken = b""

        def write(self, data):
            self.taken += bytes(data[:7])
            return min(7, len(data))

    target = Partial()
    sink = PipeSink(target, wav=False)
    await sink.open()
    for _ in range(3):
        sink._writer.put(b"abcdefghij")
    await sink.aclose()
    assert target.taken == b"abcdefghij" * 3


@pytest.mark.parametrize(
    "text",
    [
        b'{"error": {"message": "You exceeded your quota", "code": 429}}\n' * 4,
        b'Traceback (most recent call last):\n  File "say.py", line 1' * 4,
    ],
)
async def test_text_in_a_pipe_is_not_played(text, caplog):
    reading, writing = os.pipe()
    os.write(writing, text)
    os.close(writing)
    source = PipeSource(reading)
    await source.open()
    await until(lambda: source.error)
    assert "this is text" in str(source.error)
    await source.aclose()
    os.close(reading)
    caplog.clear()


def test_texts_of_other_classes_are_text():
    class Markup(str):
        __slots__ = ()

        def __str__(self):
            return "not this"

    assert encoded(Markup("fine"), 1000) == "fine"
    assert encoded({"a": [Markup("fine")], Markup("k"): 1}, 1000) == '{"a":["fine"],"k":1}'


def test_a_docstring_that_is_no_text_says_nothing():
    assert read_docstring(Mock()) == ("", {})
    assert read_docstring(property()) == ("", {})


@pytest.mark.parametrize(
    ("definition", "reason"),
    [
        ({"type": "function", "function": {"name": "a", "parameters": {}}}, "inside 'function'"),
        ({"type": "function", "name": "a", "parameters": "{}"}, "are not a dict"),
        ({"type": "function", "name": "a", "parameters": {"default": print}}, "not JSON"),
    ],
)
def test_definitions_of_another_api_are_explained(definition, reason):
    with pytest.raises(ConfigError, match=reason):
        ToolSet([definition])


def test_what_follows_bearer_is_masked_whatever_it_looks_like():
    assert masked("Authorization: Bearer abcDEF1234567890abcDEF") == "Authorization: Bearer ***"
    assert (
        masked("the bearer of bad news is responsible") == "the bearer of bad news is responsible"
    )
