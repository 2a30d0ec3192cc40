"""The assistant's voice on a loudspeaker.

The device calls every 10 ms on a thread of PortAudio's, which pulls from the player and does
nothing else: no lock is waited for, no event loop is in the way. Everything handed out is kept for
two seconds with the time at which it is heard (`played`). While the device is lost, the ticker of
the event loop pulls in its place, so that nothing old piles up to be heard later.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from rtcvoice.device.device import Direction
from rtcvoice.device.host import device_host
from rtcvoice.device.line import Line
from rtcvoice.errors import ConfigError
from rtcvoice.sound import numpy_later as np
from rtcvoice.sound.resampler import PassThrough, Resampler, resampler
from rtcvoice.sound.samples import TICK, Samples, check_rate, peak_of
from rtcvoice.sound.ticker import ticker
from rtcvoice.sound.timed_ring import TimedRing
from rtcvoice.stats import DeviceStats
from rtcvoice.system.public import public

from .sink import Puller, Sink

if TYPE_CHECKING:
    from rtcvoice.events import DeviceChanged

__all__ = ["Speaker"]

logger = logging.getLogger(__name__)

LATENCY = 0.03
"""Seconds of buffer asked of the device: 40 ms to the ear on a sound server. A device that runs dry
gets twice as much, again and again up to 240 ms."""

QUIET_PEAK = 100
"""Below this peak (-50 dBFS) nothing is being said."""

QUIET_FOR = 0.2
"""Seconds of that after which an interruption is not noticed."""

LONGEST_CATCH_UP = 1.0
"""Seconds of a device's absence that are pulled at once when the timer takes over."""


@public
class Speaker(Sink):
    """Hear the call on a loudspeaker.

    `device` is a part of its name, its index in `rtcvoice.devices()`, or None for the system's
    default. `rate` is that of the pulled audio, an Opus rate: a device with another one is
    converted. `latency` is the buffer asked of the device in seconds; it grows when it runs dry.

    `open` raises DeviceError: no such device, in use, no PortAudio. When the device is lost during
    the call, the call goes on unheard until one is found, and is told (`rtcvoice.device_changed`).
    """

    def __init__(
        self,
        device: int | str | None = None,
        *,
        rate: int = 48000,
        latency: float = LATENCY,
    ) -> None:
        self.rate = check_rate(rate)
        if not 0 < latency <= 1:
            raise ConfigError(f"latency={latency!r} is not a buffer of up to 1 s")
        self.played: TimedRing = TimedRing(self.rate)
        self.on_change: Callable[[DeviceChanged], None] | None = None
        self._host = device_host()
        self._line = Line(self, Direction.OUTPUT, device, latency=latency, clock=self._host.clock)
        self._player: Puller | None = None
        self._silence: Samples = np.zeros(self.rate // 100, np.int16)
        self._pull_lock = threading.Lock()
        self._resampler: Resampler = PassThrough()
        self._left: Samples = np.zeros(0, np.int16)
        self._device_rate = self.rate
        self._pulled_at = self._loud_at = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._flowing = False
        self._on_timer = False

    @property
    def latency(self) -> float:
        """Seconds from a pull to the ear, measured of late."""
        return self._line.latency

    @property
    def device_stats(self) -> DeviceStats | None:
        """How the device fares."""
        return self._line.stats

    async def open(self) -> None:
        """Open the device; it plays silence until `start`."""
        self._loop = asyncio.get_running_loop()
        await asyncio.wrap_future(self._host.attach(self._line))

    def start(self, player: Puller) -> None:
        """Let the device pull from `player` from its next callback on."""
        self._pulled_at = self._host.clock()
        self._player = player

    async def aclose(self) -> None:
        """Close the device; one that does not close is left alone after 2 s."""
        self._player = None
        await self._host.close(self._line)
        self._stop_timer()
        self._loop = None

    # -- the line's side ----------------------------------------------------------------------

    def opened(self, rate: int) -> None:
        """Get ready for a device at `rate`; see `line.End`."""
        self._device_rate = rate
        self._resampler = resampler(from_rate=self.rate, to_rate=rate)
        # A resampler holds back less than a millisecond: with that in advance there is enough.
        self._left = np.zeros(0 if rate == self.rate else rate // 1000, np.int16)

    def process(self, samples: Samples, time: float) -> None:
        """Fill `samples` with what is heard from `time` on; see `line.End`."""
        # Never waited for: it is taken only while the timer still pulls.
        if not self._pull_lock.acquire(blocking=False):
            samples.fill(0)
            return
        try:
            self._flowing = True
            self._fill(samples, time)
        finally:
            self._pull_lock.release()
        if self._on_timer:
            self._on_loop(self._stop_timer)

    def quiet(self, now: float) -> bool:
        """Whether nothing is being said; see `line.End`."""
        return now - self._loud_at > QUIET_FOR

    def closed(self) -> None:
        """Let the loop pull while there is no device; see `line.End`."""
        self._flowing = False
        self._on_loop(self._start_timer)

    def changed(self, event: DeviceChanged) -> None:
        """Hand the news on; see `line.End`."""
        if self.on_change is not None:
            self.on_change(event)

    def _fill(self, samples: Samples, time: float) -> None:
        left, need = self._left, len(samples)
        while len(left) < need:
            block = self._pull(self._host.clock())
            self.played.write(block, time + len(left) / self._device_rate)
            more = self._resampler.process(block)
            left = np.concatenate((left, more)) if len(left) else more
        samples[:] = left[:need]
        self._left = left[need:]

    def _pull(self, now: float) -> Samples:
        self._pulled_at, player = now, self._player
        if player is None:
            return self._silence
        block = player.pull(now)
        if peak_of(block) > QUIET_PEAK:
            self._loud_at = now
        return block

    # -- the timer, while there is no device (event loop) ------------------------------------

    def _on_loop(self, what: Callable[[], None]) -> None:
        if (loop := self._loop) is not None:
            with suppress(RuntimeError):  # the loop is closed, and the call with it
                loop.call_soon_threadsafe(what)

    def _start_timer(self) -> None:
        if not self._on_timer and self._player is not None:
            self._on_timer = True
            ticker().add(self._tick)

    def _stop_timer(self) -> None:
        if self._on_timer:
            self._on_timer = False
            ticker().remove(self._tick)

    def _tick(self, now: float) -> None:
        """Pull for the time since the last pull; nobody hears it."""
        if not self._pull_lock.acquire(blocking=False):
            return
        try:
            now = self._host.clock()
            self._pulled_at = max(self._pulled_at, now - LONGEST_CATCH_UP)
            while not self._flowing and self._pulled_at + TICK <= now:
                self._pull(self._pulled_at + TICK)
                self.played.write(self._silence, self._pulled_at)
        finally:
            self._pull_lock.release()
