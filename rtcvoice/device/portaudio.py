"""The border to PortAudio: lists its devices, opens its streams, explains its errors.

`sounddevice` is imported when a device is first asked for, since Linux may lack the library under
it. ALL OF IT BELONGS TO THE DEVICE THREAD (`thread.py`): PortAudio is not thread-safe, and
on Windows its interfaces belong to the thread that initialised them.

A stream is 10 ms blocks of int16 at one of the rates of `device.rates_for`: the first that the
device takes, with one channel or two. Input and output are streams of their own: a Bluetooth
headset has another rate each way, and two devices have two clocks.

The list of devices changes only when PortAudio is initialised anew, which ends every stream in it.
PortAudio counts who has initialised it, and goes down with the last one only. So a copy of the
module `sounddevice` is loaded that nobody else has, with an initialisation of its own: streams that
the program around us plays, through the `sounddevice` that it imports, keep PortAudio up.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import sys
import weakref
from collections.abc import Callable
from typing import Any

from rtcvoice.device.device import (
    LIST_HINT,
    Device,
    Direction,
    Identity,
    WantedDevice,
    choose,
    equals_of,
    identity_of,
    rates_for,
)
from rtcvoice.errors import DeviceError
from rtcvoice.system.native_stderr import diverted_elsewhere, muffled

__all__ = ["PortAudio", "PortAudioStream"]

logger = logging.getLogger(__name__)

INVALID_RATE = -9997
INVALID_CHANNELS = -9998
UNAVAILABLE = -9985

_REASONS = {
    UNAVAILABLE: ("is in use by another program, or gone", "close that program, or choose another"),
    -9996: ("is gone", LIST_HINT),
    INVALID_CHANNELS: ("takes neither one channel nor two", "choose another: " + LIST_HINT),
    -9999: ("is refused by the sound system", "check that the sound server runs; " + LIST_HINT),
    -9987: ("does not answer", "unplug it and plug it in again, or choose another"),
    -9992: ("needs more memory than there is", "close other programs"),
}
"""What PortAudio's error codes (portaudio.h, PaErrorCode) mean to a person, and the cure."""

_INSTALL = {
    "linux": "install it: `apt install libportaudio2` (Debian, Ubuntu),"
    " `dnf install portaudio` (Fedora), `pacman -S portaudio` (Arch)",
    "darwin": "install it: `brew install portaudio`, or reinstall the Python package sounddevice",
}

Callback = Callable[[Any, int, Any, Any], None]
"""What PortAudio calls for each block: buffer, frames, times, status flags."""


def _own_sounddevice() -> Any:
    """Load the module `sounddevice` once more, for us alone; raises what importing it raises."""
    spec = importlib.util.find_spec("sounddevice")
    if spec is None or spec.loader is None:
        raise ImportError("No module named 'sounddevice'")
    module = importlib.util.module_from_spec(spec)
    with diverted_elsewhere():  # it initialises PortAudio
        spec.loader.exec_module(module)
    return module


def _import_sounddevice() -> Any:
    try:
        return _own_sounddevice()
    except ImportError as exc:
        raise DeviceError(
            "the Python package sounddevice is not installed", hint="pip install sounddevice"
        ) from exc
    except OSError as exc:
        hint = _INSTALL.get(sys.platform, "reinstall the Python package sounddevice")
        raise DeviceError("the PortAudio library is not installed", hint=hint) from exc
    except Exception as exc:  # PortAudioError: its class came with the import that failed
        raise DeviceError(f"PortAudio does not start: {exc}") from exc


class PortAudioStream:
    """An open stream on `device` at `rate`, with `channels`, interleaved."""

    def __init__(
        self,
        stream: Any,
        device: Device,
        identity: Identity,
        *,
        rate: int,
        channels: int,
        direction: Direction,
    ) -> None:
        self._stream = stream
        self._direction = direction
        self.device = device
        self.identity = identity
        self.rate = rate
        self.channels = channels

    @property
    def latency(self) -> float:
        """Seconds between the program and the air, as the driver estimates it on opening."""
        return float(self._stream.latency)

    @property
    def active(self) -> bool:
        """Whether its callback is still being called, as far as PortAudio knows."""
        try:
            return bool(self._stream.active)
        except Exception:
            return False

    def start(self) -> None:
        """Begin to call the callback; raises DeviceError and closes it when that fails."""
        try:
            self._stream.start()
        except Exception as exc:
            self.close()
            raise _explained(exc, self._direction, self.device) from exc

    def close(self) -> None:
        """End it without playing what is buffered; the callback is not running any more then."""
        self._stream.abort(ignore_errors=True)
        self._stream.close(ignore_errors=True)


class PortAudio:
    """The library. `load` returns the module `sounddevice`, or what stands in for it in a test.

    In a process that was forked when PortAudio was in use already, everything raises DeviceError:
    its connections to the sound system stayed behind.
    """

    def __init__(self, load: Callable[[], Any] | None = None) -> None:
        self.is_ours_alone = load is None
        """Whether nobody else's streams can end with our initialisation."""
        self._load = load or _import_sounddevice
        self._loaded: Any = None
        self._left_behind = False
        _all.add(self)

    def forked(self) -> None:
        """Note that this is a forked process now."""
        self._left_behind = self._loaded is not None or "sounddevice" in sys.modules

    def devices(self) -> list[Device]:
        """Return the devices as they were at the last `refresh`; disturbs no stream."""
        library = self._library()
        try:
            return _listed(library)
        except library.PortAudioError as exc:
            raise DeviceError(f"the sound devices cannot be listed: {exc}") from exc

    def refresh(self) -> None:
        """Look for devices anew. EVERY STREAM OPENED HERE DIES: close them before."""
        if self._loaded is None:
            self._library()  # which is a first look
            return
        try:
            # The only way to see what was plugged in (python-sounddevice issue 125).
            with diverted_elsewhere():
                self._library()._terminate()  # noqa: SLF001
                self._loaded._initialize()  # noqa: SLF001
        except self._loaded.PortAudioError as exc:
            raise DeviceError(f"PortAudio does not start again: {exc}") from exc

    def open(
        self,
        direction: Direction,
        wanted: WantedDevice,
        *,
        latency: float,
        callback: Callback,
        finished: Callable[[], None],
        channel: int | None = None,
    ) -> PortAudioStream:
        """Open the device that is `wanted`, with `latency` seconds of buffer; not started yet.

        `callback` and `finished` are called on a thread of PortAudio's. `channel`, from 1: one that
        has to be among those that are opened. Raises DeviceError.
        """
        library = self._library()
        devices = self.devices()
        device = choose(devices, wanted, direction)
        identity = identity_of(devices, device, direction)
        if isinstance(wanted, str) and len(equals_of(devices, device, direction)) > 1:
            logger.warning(
                "x several devices are called %r: number %d is taken; a number chooses another",
                device.name,
                device.index,
            )
        options = {
            "device": device.index,
            "dtype": "int16",
            "latency": latency,
            "callback": callback,
            "finished_callback": finished,
        }
        stream_of = (
            library.RawInputStream if direction is Direction.INPUT else library.RawOutputStream
        )
        counts = _channel_counts(device, direction, channel)
        refusal: Exception | None = None
        for rate, extra in _attempts(library, device):
            for channels in counts:
                options |= {"samplerate": rate, "blocksize": rate // 100, "channels": channels}
                try:
                    with muffled():
                        stream = stream_of(**extra, **options)
                except library.PortAudioError as exc:
                    if _code(exc) not in (INVALID_RATE, INVALID_CHANNELS) and (
                        channels == counts[-1]
                    ):
                        raise _explained(exc, direction, device) from exc
                    refusal = exc
                else:
                    return PortAudioStream(
                        stream,
                        device,
                        identity,
                        rate=rate,
                        channels=channels,
                        direction=direction,
                    )
        if refusal is not None and _code(refusal) == INVALID_CHANNELS:
            raise _explained(refusal, direction, device) from refusal
        tried = ", ".join(str(rate) for rate in rates_for(device))
        raise DeviceError(
            f"the {direction.value} {device.name!r} takes none of the sample rates {tried} Hz",
            hint="choose another: " + LIST_HINT,
        )

    def _library(self) -> Any:
        if self._left_behind:
            raise DeviceError(
                "this process was forked from one that uses sound devices, so it cannot",
                hint="start it with multiprocessing's method 'spawn', or go without: source=None",
            )
        if self._loaded is None:
            self._loaded = self._load()
        return self._loaded


_all: weakref.WeakSet[PortAudio] = weakref.WeakSet()


def _forked() -> None:
    for each in _all:
        each.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


def _listed(library: Any) -> list[Device]:
    interfaces = library.query_hostapis()
    by_input, by_output = _defaults(interfaces, library.default.hostapi)
    return [
        Device(
            index=number,
            name=each["name"],
            host_api=interfaces[each["hostapi"]]["name"],
            inputs=each["max_input_channels"],
            outputs=each["max_output_channels"],
            default_rate=round(each["default_samplerate"]),
            is_default_input=number == by_input,
            is_default_output=number == by_output,
        )
        for number, each in enumerate(library.query_devices())
    ]


def _defaults(interfaces: Any, default: int) -> tuple[int, int]:
    """Return the numbers of the default devices, -1 for none.

    Those of WASAPI where there is one: it is the interface to be used (`device.choose`), and of two
    equal devices it alone can say which one the system means.
    """
    if not interfaces:
        return -1, -1
    wasapi = [each for each in interfaces if "WASAPI" in each["name"]]
    ranked = [*wasapi, interfaces[default]]
    by_input, by_output = (
        next((each[key] for each in ranked if each[key] >= 0), -1)
        for key in ("default_input_device", "default_output_device")
    )
    return by_input, by_output


def _attempts(library: Any, device: Device) -> list[tuple[int, dict[str, Any]]]:
    """Return the rates to try with the extra options for each.

    WASAPI in shared mode takes only the rate of the system's mixer; it converts when told to, but
    some microphones are silent then, so that comes last.
    """
    plain: list[tuple[int, dict[str, Any]]] = [(rate, {}) for rate in rates_for(device)]
    if "WASAPI" not in device.host_api:
        return plain
    converted = {"extra_settings": library.WasapiSettings(auto_convert=True)}
    return [*plain, (plain[0][0], converted)]


def _channel_counts(device: Device, direction: Direction, channel: int | None) -> list[int]:
    """Return the numbers of channels to try.

    Where a device has two inputs, a single channel may be the one that nothing is plugged into.
    """
    there = device.channels(direction)
    if channel is not None:
        if channel > there:
            raise DeviceError(
                f"the {direction.value} {device.name!r} has no channel {channel}, only {there}",
                hint="channel=1 is the first; None takes the one in which something is heard",
            )
        return [channel] if channel > 1 else [1, 2]
    return [2, 1] if direction is Direction.INPUT and there > 1 else [1, 2]


def _code(error: Exception) -> int:
    return error.args[1] if len(error.args) > 1 and isinstance(error.args[1], int) else 0


def _explained(error: Exception, direction: Direction, device: Device) -> DeviceError:
    what = f"the {direction.value} {device.name!r}"
    reason, hint = _REASONS.get(_code(error), (f"cannot be opened: {error}", LIST_HINT))
    return DeviceError(f"{what} {reason}", hint=hint)
