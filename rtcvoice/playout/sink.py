"""Where the incoming audio goes: the `Sink` contract, and sinks without a device.

A sink pulls. A device does so on its own thread, at its own rate; everything else is driven by the
ticker of the event loop, 10 ms at a time, through `HeadlessSink.write`.
"""

from __future__ import annotations

import abc
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from rtcvoice.errors import ConfigError, DeviceError
from rtcvoice.masking import masked_traceback
from rtcvoice.sound.samples import DEFAULT_RATE, Samples, is_whole
from rtcvoice.sound.ticker import ticker
from rtcvoice.sound.timed_ring import TimedRing
from rtcvoice.stats import DeviceStats
from rtcvoice.system.files import FileKey
from rtcvoice.system.public import public
from rtcvoice.system.threads import settable_in_future

if TYPE_CHECKING:
    from rtcvoice.events import DeviceChanged

__all__ = ["Discard", "HeadlessSink", "Puller", "Sink", "check_sink_rate"]

logger = logging.getLogger(__name__)

RATES = range(8000, 192001)
"""Sample rates in Hz that a sink can have."""


def check_sink_rate(rate: int) -> int:
    """Return `rate` if it is a whole number from 8000 to 192000, else raise ConfigError."""
    if is_whole(rate) and rate in RATES:
        return int(rate)
    raise ConfigError(
        f"{rate!r} is not a sample rate that a sink can have",
        hint=f"a whole number of samples a second from {RATES[0]} to {RATES[-1]}, such as 24000",
    )


class Puller(Protocol):
    """What a sink needs of a `Player`."""

    def pull(self, now: float) -> Samples:
        """Return the next 10 ms; see `Player.pull`."""


@public
class Sink(abc.ABC):
    """Something that makes audio heard, kept or ignored. One call at a time uses it.

    `open` runs beside connecting, which may still fail; `start` means that the call is up. Whatever
    can be lost, such as a file that is replaced, is not touched before `start`.
    """

    rate: int
    """Sample rate it wants, from 8000 to 192000; known once `open` has returned."""
    on_change: Callable[[DeviceChanged], None] | None = None
    """Set by the call, to be told of its device, on any thread; others never call."""
    played: TimedRing | None = None
    """What a loudspeaker was given of late, with the times at which it is heard: for the source to
    take its echo out of what it hears. None for a sink that no microphone can hear."""
    has_clock = True
    """Whether it pulls by a clock of its own, as a device does: what the event loop is late to hand
    on is late then. Without, pulls are made as of their time, however late they come."""

    @property
    def latency(self) -> float:
        """Seconds from a pull to the ear, as well as it is known; may change during a call."""
        return 0.0

    @property
    def device_stats(self) -> DeviceStats | None:
        """How the device fares; None for a sink that is not a device."""
        return None

    @property
    def output_file(self) -> FileKey | None:
        """Which file it writes to; None where it writes to none, or the file is not there yet.

        A call whose source reads that very file is refused.
        """
        return None

    @abc.abstractmethod
    async def open(self) -> None:
        """Get everything ready that takes time or can fail: DeviceError, ConfigError."""

    @abc.abstractmethod
    def start(self, player: Puller) -> None:
        """Begin to pull, every 10 ms, the audio of 10 ms. Does not wait, does not raise."""

    @abc.abstractmethod
    async def aclose(self) -> None:
        """Stop pulling and let go of what `open` took. Never raises; idempotent."""


@public
class HeadlessSink(Sink):
    """A sink without a clock: subclasses write, the ticker pulls.

    A `write` that raises does not end the call: the error is logged once and kept in `error`, no
    more is written, and the pulling goes on, so that the call's audio keeps its time. The next call
    begins without an error.
    """

    has_clock = False

    def __init__(self, *, rate: int = DEFAULT_RATE) -> None:
        self.rate = check_sink_rate(rate)
        self.error: Exception | None = None
        self._player: Puller | None = None

    @abc.abstractmethod
    def write(self, samples: Samples) -> None:
        """Take the next 10 ms: int16 mono, to be read only. On the event loop: do not wait."""

    async def open(self) -> None:
        """Forget the error of an earlier call; there is nothing to get ready."""
        self.error = None

    def start(self, player: Puller) -> None:
        """Begin to pull from `player` at the next tick."""
        if self._player is None:
            self.error = None  # also for a subclass whose `open` does not ask this class
            ticker().add(self._tick)
        self._player = player

    async def aclose(self) -> None:
        """Stop pulling."""
        if self._player is not None:
            ticker().remove(self._tick)
            self._player = None

    def _tick(self, moment: float) -> None:
        if self._player is None:  # closed within this very tick
            return
        samples = self._player.pull(moment)
        if self.error is not None:
            return
        try:
            self.write(samples)
        except KeyboardInterrupt:
            raise
        except BaseException as exc:  # such as the SystemExit of a `sys.exit()`
            self._fail(settable_in_future(exc))

    def _fail(self, error: Exception) -> None:
        self.error = error
        expected = isinstance(error, DeviceError)  # a full disk is no bug: it needs no traceback
        logger.log(
            logging.WARNING if expected else logging.ERROR,
            "x %s cannot write; the call goes on without: %s",
            type(self).__name__,
            error if expected else masked_traceback(error),
        )


@public
class Discard(HeadlessSink):
    """Hears everything, keeps nothing. The audio is still played in time for `call.audio()`."""

    def write(self, samples: Samples) -> None:
        """Do nothing."""
