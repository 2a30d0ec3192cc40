"""The border to PortAudio: lists its devices, opens its streams, explains its errors.

`sounddevice` is imported when a device is first asked for, since Linux may lack the library under
it. ALL OF IT BELONGS TO THE DEVICE THREAD (`thread.py`): PortAudio is not thread-safe, and
on Windows its interfaces belong to the thread that initialised them.

A stream is 10 ms blocks of int16 mono at one of the rates of `device.rates_for`: the first that the
device takes. Input and output are streams of their own: a Bluetooth headset has another rate each
way, and two devices have two clocks.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rtcvoice.device.device import LIST_HINT, Device, Direction, choose, rates_for
from rtcvoice.errors import DeviceError

__all__ = ["PortAudio", "PortAudioStream"]

INVALID_RATE = -9997
UNAVAILABLE = -9985

_REASONS = {
    UNAVAILABLE: ("is in use by another program, or gone", "close that program, or choose another"),
    -9996: ("is gone", LIST_HINT),
    -9998: ("does not take mono sound", "choose another: " + LIST_HINT),
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


def _import_sounddevice() -> Any:
    try:
        import sounddevice
    except ImportError as exc:
        raise DeviceError(
            "the Python package sounddevice is not installed", hint="pip install sounddevice"
        ) from exc
    except OSError as exc:
        hint = _INSTALL.get(sys.platform, "reinstall the Python package sounddevice")
        raise DeviceError("the PortAudio library is not installed", hint=hint) from exc
    except Exception as exc:  # PortAudioError: its class came with the import that failed
        raise DeviceError(f"PortAudio does not start: {exc}") from exc
    return sounddevice


class PortAudioStream:
    """An open stream on `device` at `rate`."""

    def __init__(self, stream: Any, device: Device, rate: int, direction: Direction) -> None:
        self._stream = stream
        self._direction = direction
        self.device = device
        self.rate = rate

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
    """The library. `load` returns the module `sounddevice`, or what stands in for it in a test."""

    def __init__(self, load: Callable[[], Any] = _import_sounddevice) -> None:
        self._load = load
        self._loaded: Any = None

    def devices(self) -> list[Device]:
        """Return the devices as they were at the last `refresh`; disturbs no stream."""
        library = self._library()
        try:
            return _listed(library)
        except library.PortAudioError as exc:
            raise DeviceError(f"the sound devices cannot be listed: {exc}") from exc

    def refresh(self) -> None:
        """Look for devices anew. EVERY OPEN STREAM OF THE PROCESS DIES: close yours before."""
        if self._loaded is None:
            self._library()  # which is a first look
            return
        try:
            # The only way to see what was plugged in (python-sounddevice issue 125).
            self._loaded._terminate()  # noqa: SLF001
            self._loaded._initialize()  # noqa: SLF001
        except self._loaded.PortAudioError as exc:
            raise DeviceError(f"PortAudio does not start again: {exc}") from exc

    def open(
        self,
        direction: Direction,
        wanted: int | str | None,
        *,
        latency: float,
        callback: Callback,
        finished: Callable[[], None],
    ) -> PortAudioStream:
        """Open the device that is `wanted`, with `latency` seconds of buffer; not started yet.

        `callback` and `finished` are called on a thread of PortAudio's. Raises DeviceError.
        """
        library = self._library()
        device = choose(self.devices(), wanted, direction)
        options = {
            "device": device.index,
            "channels": 1,
            "dtype": "int16",
            "latency": latency,
            "callback": callback,
            "finished_callback": finished,
        }
        stream_of = (
            library.RawInputStream if direction is Direction.INPUT else library.RawOutputStream
        )
        for rate, extra in _attempts(library, device):
            try:
                with _muffled():
                    stream = stream_of(samplerate=rate, blocksize=rate // 100, **extra, **options)
            except library.PortAudioError as exc:
                if _code(exc) != INVALID_RATE:
                    raise _explained(exc, direction, device) from exc
            else:
                return PortAudioStream(stream, device, rate, direction)
        tried = ", ".join(str(rate) for rate in rates_for(device))
        raise DeviceError(
            f"the {direction.value} {device.name!r} takes none of the sample rates {tried} Hz",
            hint="choose another: " + LIST_HINT,
        )

    def _library(self) -> Any:
        if self._loaded is None:
            self._loaded = self._load()
        return self._loaded


@contextmanager
def _muffled() -> Iterator[None]:
    """Send what ALSA and PortAudio print to stderr to nowhere, as sounddevice does on starting.

    They print a page for every rate and device that is tried in vain; the DeviceError says it in a
    line. What other threads print in these milliseconds is lost, too.
    """
    try:
        kept = os.dup(2)
    except OSError:  # a program without a stderr
        yield
        return
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _listed(library: Any) -> list[Device]:
    interfaces = library.query_hostapis()
    default = interfaces[library.default.hostapi] if interfaces else {}
    return [
        Device(
            index=number,
            name=each["name"],
            host_api=interfaces[each["hostapi"]]["name"],
            inputs=each["max_input_channels"],
            outputs=each["max_output_channels"],
            default_rate=round(each["default_samplerate"]),
            is_default_input=number == default.get("default_input_device"),
            is_default_output=number == default.get("default_output_device"),
        )
        for number, each in enumerate(library.query_devices())
    ]


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


def _code(error: Exception) -> int:
    return error.args[1] if len(error.args) > 1 and isinstance(error.args[1], int) else 0


def _explained(error: Exception, direction: Direction, device: Device) -> DeviceError:
    what = f"the {direction.value} {device.name!r}"
    reason, hint = _REASONS.get(_code(error), (f"cannot be opened: {error}", LIST_HINT))
    return DeviceError(f"{what} {reason}", hint=hint)
