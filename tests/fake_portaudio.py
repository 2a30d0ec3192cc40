"""A PortAudio for tests, in place of the module `sounddevice`: its devices, clock and accidents.

Time is the fake's own: `run(seconds)` calls the streams' callbacks every 10 ms, as the device's
thread would. As with the real one, the list of devices is that of the last initialisation, and
initialising anew ends every stream.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, TypeVar

import numpy as np

from rtcvoice.device import host as host_module
from rtcvoice.device.host import DeviceHost
from rtcvoice.device.portaudio import PortAudio

End = TypeVar("End")

INVALID_RATE, INVALID_DEVICE, INVALID_CHANNELS, UNAVAILABLE = -9997, -9996, -9998, -9985


class PortAudioError(Exception):
    def __str__(self) -> str:
        return str(self.args[0])


@dataclass
class FakeDevice:
    name: str
    inputs: int = 0
    outputs: int = 0
    rates: tuple[int, ...] = (16000, 24000, 44100, 48000)
    default_rate: float = 48000.0
    interface: int = 0
    in_use: bool = False
    stereo_only: bool = False


@dataclass
class Flags:
    input_overflow: bool = False
    output_underflow: bool = False

    def __bool__(self) -> bool:
        return self.input_overflow or self.output_underflow


@dataclass
class FakeStream:
    """An open stream; what was played is in `played`, what is captured comes from `hears`."""

    library: FakePortAudio
    device: FakeDevice
    rate: int
    asked: float
    callback: Callable[..., None]
    finished: Callable[[], None]
    is_input: bool
    channels: int = 1
    latency: float = 0.0
    delay: float = 0.0
    """What the times given with each block say of the latency."""
    active: bool = False
    open: bool = True
    mute: bool = False
    """Active, but it calls nobody."""
    count: int = 0
    accidents: int = 0
    """Callbacks yet to come with a dropout."""
    played: list[np.ndarray] = field(default_factory=list)
    hears: Callable[[int, int], np.ndarray] = lambda index, count: np.zeros(count, np.int16)
    """Samples of shape (count,), the same in all channels, or (count, channels)."""

    reports_times: bool = True

    def __post_init__(self) -> None:
        self.latency = self.delay = self.asked

    def start(self) -> None:
        if self.device not in self.library.plugged:
            raise PortAudioError("Device unavailable", UNAVAILABLE)
        self.active = True

    def abort(self, ignore_errors: bool = True) -> None:
        was, self.active = self.active, False
        if was:
            self.finished()

    def close(self, ignore_errors: bool = True) -> None:
        self.open = self.active = False

    def vanish(self) -> None:
        """Be unplugged: PortAudio ends the stream and says so."""
        self.active = False
        self.finished()

    def call(self) -> None:
        frames = self.rate // 100
        flags = Flags()
        if self.accidents:
            self.accidents -= 1
            flags = Flags(input_overflow=self.is_input, output_underflow=not self.is_input)
        block = np.full((frames, self.channels), 99, np.int16)
        if self.is_input:
            heard = self.hears(self.count, frames)
            block[:] = heard if heard.ndim == 2 else heard[:, np.newaxis]
        now = 5000.0 + self.library.now  # a clock of its own
        delay = self.delay if self.reports_times else 0.0
        times = SimpleNamespace(
            currentTime=now, inputBufferAdcTime=now - delay, outputBufferDacTime=now + delay
        )
        self.callback(block.data, frames, times, flags)
        self.count += frames
        if not self.is_input:
            self.played.append(block[:, 0])
            assert (block == block[:, :1]).all()

    @property
    def heard(self) -> np.ndarray:
        return np.concatenate([np.zeros(0, np.int16), *self.played])


class FakePortAudio:
    """The module. `plugged` is what is there; `streams` every stream ever opened, newest last."""

    PortAudioError = PortAudioError

    def __init__(self, *devices: FakeDevice, interfaces: tuple[str, ...] = ("ALSA",)) -> None:
        self.clock: Callable[[], float] | None = None
        self._now = 1000.0
        self.plugged = list(devices)
        self.streams: list[FakeStream] = []
        self.initialised = 0
        self.interfaces = interfaces
        self.default = SimpleNamespace(hostapi=0)
        self._initialize()

    @property
    def now(self) -> float:
        """The time: that of `clock` where one is set, such as the loop's."""
        return self._now if self.clock is None else self.clock()

    @now.setter
    def now(self, value: float) -> None:
        self._now = value

    @property
    def open_streams(self) -> list[FakeStream]:
        return [stream for stream in self.streams if stream.open]

    def _initialize(self) -> None:
        self.initialised += 1
        self.listed = list(self.plugged)

    def _terminate(self) -> None:
        assert not self.open_streams, "a stream was open while PortAudio was ended"

    def WasapiSettings(self, auto_convert: bool) -> str:  # noqa: N802
        return f"auto_convert={auto_convert}"

    def query_hostapis(self) -> list[dict[str, Any]]:
        return [
            {
                "name": name,
                "default_input_device": self._default(number, "inputs"),
                "default_output_device": self._default(number, "outputs"),
            }
            for number, name in enumerate(self.interfaces)
        ]

    def query_devices(self) -> list[dict[str, Any]]:
        return [
            {
                "name": device.name,
                "hostapi": device.interface,
                "max_input_channels": device.inputs,
                "max_output_channels": device.outputs,
                "default_samplerate": device.default_rate,
            }
            for device in self.listed
        ]

    def RawInputStream(self, **options: Any) -> FakeStream:  # noqa: N802
        return self._stream(is_input=True, **options)

    def RawOutputStream(self, **options: Any) -> FakeStream:  # noqa: N802
        return self._stream(is_input=False, **options)

    def run(self, seconds: float, *, check: Callable[[], None] = lambda: None) -> None:
        """Let time pass, `check` ten times a second, as the device thread does."""
        for _ in range(round(seconds * 100)):
            self.step()
            if round(self.now * 100) % 10 == 0:
                check()

    def step(self) -> None:
        self._now += 0.01
        for stream in self.open_streams:
            if stream.active and not stream.mute:
                stream.call()

    def _default(self, interface: int, channels: str) -> int:
        for number, device in enumerate(self.listed):
            if device.interface == interface and getattr(device, channels):
                return number
        return -1

    def _stream(self, *, is_input: bool, **options: Any) -> FakeStream:
        device = self.listed[options["device"]]
        channels = options["channels"]
        assert options["dtype"] == "int16"
        assert channels in (1, 2)
        rate = options["samplerate"]
        assert options["blocksize"] == rate // 100
        if device not in self.plugged:
            raise PortAudioError("Invalid device", INVALID_DEVICE)
        if device.in_use:
            raise PortAudioError("Device unavailable", UNAVAILABLE)
        if channels > (device.inputs if is_input else device.outputs) or (
            device.stereo_only and channels == 1
        ):
            raise PortAudioError("Invalid number of channels", INVALID_CHANNELS)
        if rate not in device.rates and "extra_settings" not in options:
            raise PortAudioError("Invalid sample rate", INVALID_RATE)
        stream = FakeStream(
            self,
            device,
            rate,
            options["latency"],
            options["callback"],
            options["finished_callback"],
            is_input,
            channels,
        )
        self.streams.append(stream)
        return stream


class InlineRunner:
    """Runs the device thread's jobs at once, in the calling thread."""

    def start(self, tick: Callable[[], float | None]) -> None:
        pass

    def submit(self, job: Callable[[], Any]) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(job())
        except Exception as exc:
            future.set_exception(exc)
        return future


def fake_host(library: FakePortAudio) -> DeviceHost:
    """A host for the devices of `library`, in its time, without a thread."""
    return DeviceHost(PortAudio(lambda: library), runner=InlineRunner(), clock=lambda: library.now)


async def live(library: FakePortAudio, host: DeviceHost, seconds: float) -> None:
    """Let `seconds` pass for the devices and a `virtual_loop.VirtualLoop` together."""
    library.clock = asyncio.get_running_loop().time
    for _ in range(round(seconds * 100)):
        await asyncio.sleep(0.01)
        library.step()
        if round(library.now * 100) % 10 == 0:
            host.check()
        await asyncio.sleep(0)


def on_host(host: DeviceHost, make: Callable[..., End], **options: Any) -> End:
    """Make a microphone or loudspeaker whose devices are those of `host`, not of the process."""
    before, host_module._host = host_module._host, host
    try:
        return make(**options)
    finally:
        host_module._host = before
