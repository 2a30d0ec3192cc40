"""What a microphone hears as the voice of a call.

The device calls every 10 ms on a thread of PortAudio's: the samples go into a ring, at the rate of
the blocks whatever the device's own is, and once in 20 ms, when a block is whole and its reader
waits, the event loop is told. When the device is lost, blocks of silence go on in time until it is
found again (`device/host.py`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from rtcvoice.device.device import Direction
from rtcvoice.device.host import device_host
from rtcvoice.device.line import Line
from rtcvoice.errors import ConfigError
from rtcvoice.sound.resampler import PassThrough, Resampler, resampler
from rtcvoice.sound.samples import Block, Samples, check_rate, peak_of
from rtcvoice.sound.timed_ring import TimedRing
from rtcvoice.stats import DeviceStats
from rtcvoice.system.public import public

from .cutter import Cutter
from .echo.conditioning import Conditioner, Conditioning, NoConditioning, conditioner
from .source import Source

if TYPE_CHECKING:
    from rtcvoice.events import DeviceChanged

__all__ = ["Microphone"]

logger = logging.getLogger(__name__)

LATENCY = 0.03
"""Seconds of buffer asked of the device: about 5 ms from a sound's end to the program on a sound
server. A device that drops samples gets twice as much, again and again up to 240 ms."""

MOST_CHANNELS = 64
"""Channels that a device may have."""

QUIET_PEAK = 400
"""Below this peak (-38 dBFS) nobody is speaking into the microphone."""

QUIET_FOR = 0.3
"""Seconds of that after which nobody is in the middle of a word."""


@public
class Microphone(Source):
    """Speak into the call through a microphone.

    `device` is a part of its name, its index in `rtcvoice.devices()`, or None for the system's
    default. `rate` is that of the blocks, an Opus rate: a device with another one is converted.
    `latency` is the buffer asked of the device in seconds; it grows when samples are lost.
    `channel` is the input of an interface with several, 1 for the first; None takes the one in
    which something is heard.
    `echo_cancellation` takes the loudspeaker out where the other end of the call is a `Speaker`;
    with headphones it is not needed. `noise_suppression` and `gain_control` are WebRTC's.

    `open` raises DeviceError: no such device, in use, no PortAudio. A device lost during the call
    is silence until one is found. The call is told of that, and of a device that gives nothing but
    zeros for 10 s (`rtcvoice.device_changed`).
    """

    def __init__(
        self,
        device: int | str | None = None,
        *,
        rate: int = 48000,
        latency: float = LATENCY,
        channel: int | None = None,
        echo_cancellation: bool = True,
        noise_suppression: bool = False,
        gain_control: bool = False,
    ) -> None:
        self.rate = check_rate(rate)
        if not 0 < latency <= 1:
            raise ConfigError(f"latency={latency!r} is not a buffer of up to 1 s")
        if channel is not None and not 1 <= channel <= MOST_CHANNELS:
            raise ConfigError(
                f"channel={channel!r} is not a channel of a device", hint="the first one is 1"
            )
        self._wanted = Conditioning(
            echo_cancellation=echo_cancellation,
            noise_suppression=noise_suppression,
            gain_control=gain_control,
        )
        self._speaker: TimedRing | None = None
        self._conditioner: Conditioner = NoConditioning()
        self.on_change: Callable[[DeviceChanged], None] | None = None
        self._host = device_host()
        self._line = Line(
            self,
            Direction.INPUT,
            device,
            latency=latency,
            clock=self._host.clock,
            channel=channel,
        )
        self._cutter = Cutter(self.rate)
        self._resampler: Resampler = PassThrough()
        self._loud_at = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._more = asyncio.Event()
        self._waiting = False

    @property
    def latency(self) -> float:
        """Seconds from a sound until the program has it, measured of late."""
        return self._line.latency

    @property
    def hears_user(self) -> bool:
        """Whether the user seems to speak over the assistant. May be read from any thread."""
        return self._conditioner.speaking

    def set_echo_reference(self, played: TimedRing | None) -> None:
        """Take out the echo of what `played` holds, from the next `open` on; None for none."""
        self._speaker = played

    @property
    def device_stats(self) -> DeviceStats | None:
        """How the device fares."""
        return self._line.stats

    async def open(self) -> None:
        """Open the device; what it captures is thrown away until the first `read`."""
        self._loop = asyncio.get_running_loop()
        self._more = asyncio.Event()
        self._cutter.stop()
        self._conditioner = conditioner(self._wanted, rate=self.rate, speaker=self._speaker)
        await asyncio.wrap_future(self._host.attach(self._line))

    async def read(self) -> Block:
        """Return the next 20 ms when they are here; see `Source.read`.

        The time of a block is that at which its first sample was sound, by the device's clock; what
        conditions the samples delays them, so it is a little earlier than the index alone says.
        """
        cutter, clock = self._cutter, self._host.clock
        if not cutter.started:
            cutter.start(clock())
        while (block := cutter.take(clock())) is None:
            await self._wait(cutter.deadline - clock())
        return self._conditioner.process(block)

    async def aclose(self) -> None:
        """Close the device; one that does not close is left alone after 2 s."""
        await self._host.close(self._line)

    async def _wait(self, seconds: float) -> None:
        """Wait until a block is here, at most `seconds`."""
        assert self._loop is not None, "open() comes first"
        self._more.clear()
        self._waiting = True
        timer = self._loop.call_later(max(0.0, seconds), self._more.set)
        try:
            if not self._cutter.ready:  # the device may have brought it before it saw us waiting
                await self._more.wait()
            else:
                await asyncio.sleep(0)
        finally:
            self._waiting = False
            timer.cancel()

    # -- the line's side ----------------------------------------------------------------------

    def opened(self, rate: int) -> None:
        """Get ready for a device at `rate`; see `line.End`."""
        self._resampler = resampler(from_rate=rate, to_rate=self.rate)
        self._cutter.begin()

    def process(self, samples: Samples, time: float) -> None:
        """Keep what was captured; see `line.End`."""
        if peak_of(samples) > QUIET_PEAK:
            self._loud_at = time
        self._cutter.latency = self._line.latency
        self._cutter.write(self._resampler.process(samples), time)
        if self._waiting and self._cutter.ready and self._loop is not None:
            self._waiting = False
            with suppress(RuntimeError):  # the loop is closed: nobody reads any more
                self._loop.call_soon_threadsafe(self._more.set)

    def quiet(self, now: float) -> bool:
        """Whether nobody speaks; see `line.End`."""
        return now - self._loud_at > QUIET_FOR

    def closed(self) -> None:
        """Do nothing: the reader sees by itself that nothing comes; see `line.End`."""

    def changed(self, event: DeviceChanged) -> None:
        """Hand the news on; see `line.End`."""
        if self.on_change is not None:
            self.on_change(event)
