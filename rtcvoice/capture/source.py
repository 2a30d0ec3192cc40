"""Where the outgoing audio comes from: the `Source` contract and the sources without a device.

A source is read by one task, 20 ms at a time. Devices have a clock of their own; everything else is
paced here, on an absolute schedule of the event loop's clock, so that a million blocks later no
drift has added up. A reader that is late gets the missed blocks at once. One that is later than
`CATCH_UP` is told the truth instead: the next block's index jumps over the time that passed, and no
audio of the source is lost, only moved.
"""

from __future__ import annotations

import abc
import asyncio
import logging
from collections.abc import AsyncIterable, Callable
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

from rtcvoice.errors import ConfigError
from rtcvoice.masking import masked_traceback
from rtcvoice.sound import numpy_later as np
from rtcvoice.sound.ring import RingBuffer
from rtcvoice.sound.samples import (
    DEFAULT_RATE,
    Block,
    Samples,
    check_rate,
    samples_from_bytes,
)
from rtcvoice.sound.timed_ring import TimedRing
from rtcvoice.stats import DeviceStats
from rtcvoice.system import clock
from rtcvoice.system.files import FileKey
from rtcvoice.system.public import public
from rtcvoice.system.threads import settable_in_future
from rtcvoice.system.waiting import being_cancelled

from .flag import Flag
from .schedule import BLOCK, CATCH_UP, Schedule

if TYPE_CHECKING:
    from rtcvoice.events import DeviceChanged

__all__ = ["CATCH_UP", "PacedSource", "PcmChunk", "PcmSource", "Silence", "Source"]

logger = logging.getLogger(__name__)

EARLY = 0.001
"""Seconds before its time at which a block counts as due: ticks and blocks share a schedule, and
differ by what numbers of 64 bits do."""

MANY_EMPTY = 10
"""Empty chunks in a row after which the next one is waited for: nothing is there by now."""

PcmChunk: TypeAlias = "bytes | bytearray | memoryview | Samples"
"""Mono PCM: little-endian 16-bit bytes, or an int16 array of shape (n,)."""


@public
class Source(abc.ABC):
    """Something that can be heard: a microphone, a file, a program.

    One call at a time reads a source. `open` runs beside connecting; the first `read` is the moment
    the call is ready, and nothing a device captured before it may ever be returned.
    """

    rate: int
    """Sample rate of the blocks; one of the Opus rates."""

    on_change: Callable[[DeviceChanged], None] | None = None
    """Set by the call, to be told of its device, on any thread; others never call."""

    @property
    def device_stats(self) -> DeviceStats | None:
        """How the device fares; None for a source that is not a device."""
        return None

    @property
    def input_file(self) -> FileKey | None:
        """Which file it reads, of those that a sink could write to; see `files.file_key`."""
        return None

    @property
    def has_end(self) -> bool:
        """Whether it comes to an end by itself, as a file does and a microphone does not."""
        return False

    @property
    def runs_on(self) -> bool:
        """Whether it hears on while nobody reads, as a microphone does and a file does not.

        Of one that does not, nothing is lost while a call has no connection.
        """
        return True

    async def wait_finished(self) -> None:
        """Wait until the last sample was handed out; a source without an end never finishes."""
        await asyncio.get_running_loop().create_future()

    @property
    def hears_user(self) -> bool:
        """Whether the user seems to speak over the assistant, who is softer then.

        Asked every 10 ms on the thread of the sink. For sources that cannot tell: never.
        """
        return False

    def set_echo_reference(self, played: TimedRing | None) -> None:  # noqa: B027  (a default)
        """Take what the loudspeaker plays, `Sink.played`, as the reference of an echo canceller.

        Called before `open`; None where nothing is played that could be heard. A source without
        echo cancellation has no use for it.
        """

    @abc.abstractmethod
    async def open(self) -> None:
        """Get everything ready that takes time or can fail: DeviceError, ConfigError."""

    @abc.abstractmethod
    async def read(self) -> Block:
        """Wait until the next 20 ms are due and return them: exactly `rate // 50` samples.

        Safe to cancel: a cancelled read loses nothing. It does not stall: a source with nothing to
        say returns silence, since the far end's clock is the audio it receives.
        """

    @abc.abstractmethod
    async def aclose(self) -> None:
        """Let go of what `open` took. Never raises; a second call does nothing."""


@public
class PacedSource(Source):
    """A source without a clock of its own: subclasses give samples, this class gives the time."""

    def __init__(self, *, rate: int) -> None:
        self.rate = check_rate(rate)
        self._schedule = Schedule(self.rate)
        self._finished = Flag()

    @property
    def has_end(self) -> bool:
        """Whether it comes to an end by itself."""
        return True

    @property
    def runs_on(self) -> bool:
        """Whether it goes on while nobody reads: no, it waits."""
        return False

    @property
    def finished(self) -> bool:
        """Whether the last sample was handed out; only silence follows."""
        return self._finished.is_set()

    async def wait_finished(self) -> None:
        """Wait until the last sample was handed out; `Silence` and a looped file never finish."""
        await self._finished.wait()

    async def open(self) -> None:
        """Begin at the beginning, also after an earlier call."""
        self._schedule = Schedule(self.rate)
        self._finished.clear()

    @property
    def pollable(self) -> bool:
        """Whether `poll` can stand for `read`: not where a subclass overrides only the latter."""
        reading = next(cls for cls in type(self).__mro__ if "read" in vars(cls))
        return "poll" in vars(reading)

    def poll(self, now: float) -> Block | None:
        """Return the next block if it is due; for whoever asks every 10 ms, and waits for nothing.

        `now` is `rtcvoice.system.clock.now()`, or what stands for it on this loop.
        """
        if (delay := self._schedule.delay(now)) > EARLY:
            return None
        index, time = self._schedule.take(delay)
        return Block(self._next(self.rate // 50), index, time)

    async def read(self) -> Block:
        """Return the next block when it is due; see `Source.read`."""
        now = clock.of_loop(asyncio.get_running_loop())
        # Also when overdue: a reader that catches up must not keep the loop from everybody else.
        await asyncio.sleep(max(0.0, self._schedule.delay(now())))
        index, time = self._schedule.take(self._schedule.delay(now()))
        return Block(self._next(self.rate // 50), index, time)

    async def aclose(self) -> None:
        """End the waiting for `finished`."""
        self._finished.set()

    def _skip_missed(self) -> None:
        """Let the blocks that are overdue be a gap, for a source that really said nothing."""
        self._schedule.skip(clock.of_loop(asyncio.get_running_loop())())

    @abc.abstractmethod
    def _next(self, count: int) -> Samples:
        """Return the next `count` samples, now."""


@public
class Silence(PacedSource):
    """Nothing to say, said in real time."""

    has_end = False

    def __init__(self, *, rate: int = DEFAULT_RATE) -> None:
        super().__init__(rate=rate)

    @cached_property
    def _block(self) -> Samples:
        block: Samples = np.zeros(self.rate // 50, np.int16)
        block.flags.writeable = False
        return block

    def _next(self, count: int) -> Samples:
        return self._block


@public
class PcmSource(PacedSource):
    """Audio from an async iterable of PCM chunks of any length, paced by us.

    `rate` is the rate of the PCM. When the iterable is late, the listener hears silence; when it is
    fast, it waits: at most 200 ms are taken in advance, plus the chunk in hand. It is the caller's:
    we iterate it from `open` to `aclose` and never close it, but a chunk being waited for is
    cancelled at `aclose`, which ends an async generator.

    An exception of the iterable (or a chunk that is not PCM) ends the audio, not the call: silence
    follows, the error is logged once with its traceback, and `error` keeps it.
    """

    def __init__(self, chunks: AsyncIterable[PcmChunk], *, rate: int = DEFAULT_RATE) -> None:
        super().__init__(rate=rate)
        if not isinstance(chunks, AsyncIterable):
            raise ConfigError(
                f"PcmSource reads an async iterable, not {type(chunks).__name__}",
                hint="an async generator that yields bytes or int16 arrays, for example",
            )
        self.error: Exception | None = None
        self._chunks = chunks
        self._pump: asyncio.Task[None] | None = None

    @cached_property
    def _intake(self) -> _Intake:
        return _Intake(self.rate)

    async def open(self) -> None:
        """Begin to iterate, with nothing left of an earlier call."""
        await super().open()
        if self._pump is not None and self._pump.get_loop() is asyncio.get_running_loop():
            return  # open already
        self.error = None
        self._intake = _Intake(self.rate)
        self._pump = asyncio.create_task(self._run(self._intake), name="rtcvoice PcmSource")

    async def aclose(self) -> None:
        """Stop iterating; an iterable that refuses to be cancelled is left alone after 1 s."""
        await super().aclose()
        pump, self._pump = self._pump, None
        if pump is None or pump.get_loop() is not asyncio.get_running_loop():
            return  # a loop that is gone has taken its tasks along
        pump.cancel()
        _, pending = await asyncio.wait({pump}, timeout=1.0)
        if pending:
            logger.warning("x the iterable of a PcmSource ignores its cancellation")

    def _next(self, count: int) -> Samples:
        intake = self._intake
        samples = intake.ring.read(count)
        intake.room.set()
        if intake.ended and not intake.ring.available:
            self._finished.set()
        if len(samples) == count:
            return samples
        return np.concatenate((samples, np.zeros(count - len(samples), np.int16)))

    async def _run(self, intake: _Intake) -> None:
        try:
            await _iterate(self._chunks, intake)
        except KeyboardInterrupt:
            raise
        except BaseException as exc:
            if isinstance(exc, asyncio.CancelledError) and being_cancelled():
                raise
            if intake is self._intake:  # an iterable that ignored its cancellation is of no call
                self.error = settable_in_future(exc)
            logger.error(  # noqa: TRY400  (the text of the user's error may hold a key)
                "x the iterable of a PcmSource failed; silence follows\n%s", masked_traceback(exc)
            )
        finally:
            intake.ended = True


class _Intake:
    """What one call takes of the iterable; one that cannot be cancelled keeps its own."""

    def __init__(self, rate: int) -> None:
        self.ring = RingBuffer(int(rate * CATCH_UP))
        self.room = asyncio.Event()
        self.ended = False

    async def put(self, samples: Samples) -> None:
        """Add samples, as soon as there is room for them."""
        while len(samples):
            room = self.ring.capacity - self.ring.available
            if room:
                self.ring.write(samples[:room])
                samples = samples[room:]
            else:
                self.room.clear()
                await self.room.wait()


async def _iterate(chunks: AsyncIterable[PcmChunk], intake: _Intake) -> None:
    half, empty = b"", 0
    async for chunk in chunks:
        if isinstance(chunk, np.ndarray):
            samples = _as_int16(chunk)
        else:
            # A chunk of bytes may end in the middle of a sample; the next one goes on from there.
            data = half + _as_bytes(chunk)
            whole = len(data) & ~1
            half = data[whole:]
            samples = samples_from_bytes(data[:whole])
        if len(samples):
            empty = 0
            await intake.put(samples)
        else:  # perhaps the iterable never waits itself: the loop would stand still
            empty += 1
            await asyncio.sleep(BLOCK if empty > MANY_EMPTY else 0)


def _as_bytes(chunk: bytes | bytearray | memoryview) -> bytes:
    if not isinstance(chunk, bytes | bytearray | memoryview):
        raise ConfigError(
            f"PcmSource got a {type(chunk).__name__}",
            hint="yield bytes of 16-bit mono PCM, or int16 arrays",
        )
    if isinstance(chunk, memoryview) and chunk.format not in ("b", "B", "c", "h"):
        raise ConfigError(
            f"PcmSource got a memoryview of {chunk.format!r}",
            hint="yield mono int16: (samples * 32767).astype(numpy.int16) from floats",
        )
    return bytes(chunk)


def _as_int16(samples: Samples) -> Samples:
    if samples.dtype != np.int16 or samples.ndim != 1:
        raise ConfigError(
            f"PcmSource got {samples.dtype} samples of shape {samples.shape}",
            hint="yield mono int16: (samples * 32767).astype(numpy.int16) from floats",
        )
    return samples
