"""Sound devices as a person names them: which there are, which one is meant, what became of it.

Pure: `portaudio.py` makes the list. A device is asked for by a part of its name, by its index in
the list, or by None, which means the system's default. It is looked up anew each time one is
opened, since the indices change whenever something is plugged in; what was asked for by its index
is looked up by its `Identity` from then on.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from rtcvoice.errors import ConfigError, DeviceError
from rtcvoice.system.public import public

__all__ = [
    "RATES",
    "Device",
    "Direction",
    "Identity",
    "WantedDevice",
    "check_wanted",
    "choose",
    "equals_of",
    "identity_of",
    "rates_for",
]

RATES = (48000, 44100, 24000, 16000, 96000, 8000, 192000)
"""Sample rates to try, best first; the device's own comes second."""

LIST_HINT = "`python -m rtcvoice devices` lists what there is"


class Direction(enum.Enum):
    """Which way the sound goes; the value is what its device is called."""

    INPUT = "microphone"
    OUTPUT = "loudspeaker"


@public
@dataclass(frozen=True, kw_only=True)
class Device:
    """A sound device, as PortAudio lists it.

    `inputs` and `outputs` are numbers of channels: 0 means that it cannot capture, or play.
    """

    index: int
    name: str
    host_api: str
    """The system's interface that it is reached by: ALSA, Core Audio, Windows WASAPI ..."""
    inputs: int
    outputs: int
    default_rate: int
    """Hz; what the device prefers."""
    is_default_input: bool = False
    is_default_output: bool = False

    def channels(self, direction: Direction) -> int:
        """Return how many channels it has in that direction."""
        return self.inputs if direction is Direction.INPUT else self.outputs

    def is_default(self, direction: Direction) -> bool:
        """Whether it is the system's default in that direction."""
        return self.is_default_input if direction is Direction.INPUT else self.is_default_output


@dataclass(frozen=True)
class Identity:
    """Which device was meant, when the list changes: two equal headsets have one name."""

    name: str
    host_api: str
    number: int
    """Which of those equal ones, from 0, in the order of the list."""


WantedDevice: TypeAlias = int | str | Identity | None
"""A device as it is asked for: its index, a part of its name, one known before, the default."""


def check_wanted(wanted: int | str | None) -> int | str | None:
    """Return `wanted` if it can mean a device, else raise ConfigError."""
    if wanted is None or (isinstance(wanted, str) and wanted.strip()):
        return wanted
    if hasattr(wanted, "__index__") and not isinstance(wanted, bool):
        return int(wanted)
    raise ConfigError(
        f"{wanted!r} is not the name or number of a sound device",
        hint="a part of its name, its index in rtcvoice.devices(), or None for the default",
    )


def identity_of(devices: Sequence[Device], device: Device, direction: Direction) -> Identity:
    """Return what to look for when `device` is to be found again in another list."""
    number = equals_of(devices, device, direction).index(device)
    return Identity(device.name, device.host_api, number)


def equals_of(devices: Sequence[Device], device: Device, direction: Direction) -> list[Device]:
    """Return the devices that cannot be told from `device` by their names; itself is one."""
    return [
        each
        for each in devices
        if (each.name, each.host_api) == (device.name, device.host_api) and each.channels(direction)
    ]


def choose(devices: Sequence[Device], wanted: WantedDevice, direction: Direction) -> Device:
    """Return the device that is meant; raises DeviceError saying what else could be.

    A name is compared without case, as a whole first, then as a part. Windows lists each device
    once per interface; there WASAPI is taken, since the default one, MME, adds 100 ms and more.
    """
    able = [device for device in devices if device.channels(direction)]
    if isinstance(wanted, int):
        return _by_index(devices, wanted, direction)
    if not able:
        raise DeviceError(
            f"there is no {direction.value}",
            hint="plug one in, or check that the sound server runs; a call needs none with"
            f" {'source' if direction is Direction.INPUT else 'sink'}=None",
        )
    if wanted is None:
        return _default(able, direction)
    if isinstance(wanted, Identity):
        return _known(able, wanted, direction)
    named = [device for device in able if device.name.casefold() == wanted.casefold()]
    found = named or [device for device in able if wanted.casefold() in device.name.casefold()]
    if not found:
        raise DeviceError(f"no {direction.value} is called {wanted!r}", hint=LIST_HINT)
    names = sorted({device.name for device in found})
    if len(names) > 1:
        raise DeviceError(
            f"{wanted!r} may mean {', '.join(map(repr, names))}", hint="use more of the name"
        )
    return _best_interface(found, direction)


def rates_for(device: Device) -> list[int]:
    """Return the sample rates to try on `device`, in this order, without repetition."""
    ladder = (RATES[0], device.default_rate, *RATES[1:])
    return list(dict.fromkeys(rate for rate in ladder if rate >= 8000))


def _by_index(devices: Sequence[Device], index: int, direction: Direction) -> Device:
    for device in devices:
        if device.index == index:
            if device.channels(direction):
                return device
            raise DeviceError(f"{device.name!r} is not a {direction.value}", hint=LIST_HINT)
    raise DeviceError(f"there is no sound device {index}", hint=LIST_HINT)


def _known(able: Sequence[Device], wanted: Identity, direction: Direction) -> Device:
    equals = [d for d in able if (d.name, d.host_api) == (wanted.name, wanted.host_api)]
    if wanted.number < len(equals):
        return equals[wanted.number]
    raise DeviceError(f"the {direction.value} {wanted.name!r} is gone", hint=LIST_HINT)


def _default(able: Sequence[Device], direction: Direction) -> Device:
    default = next((device for device in able if device.is_default(direction)), able[0])
    # MME cuts names off after 31 characters, so the same device may be longer elsewhere.
    same = [each for each in able if each.name.startswith(default.name[:31])]
    return _best_interface([default, *same], direction)


def _best_interface(found: Sequence[Device], direction: Direction) -> Device:
    by_wasapi = [device for device in found if "WASAPI" in device.host_api]
    by_default = [device for device in found if device.is_default(direction)]
    return (by_wasapi or by_default or list(found))[0]
