"""Looks at this machine: versions, libraries and sound devices."""

from __future__ import annotations

import importlib.util
import platform
from collections.abc import AsyncIterator, Iterator
from importlib.metadata import PackageNotFoundError, version

from rtcvoice.device.device import Device, Direction
from rtcvoice.device.host import devices
from rtcvoice.doctor.finding import Finding, Severity, of_error
from rtcvoice.errors import DeviceError
from rtcvoice.sound import opus
from rtcvoice.system.extras import REINSTALL
from rtcvoice.system.threads import in_thread
from rtcvoice.wire.aiortc_release import AIORTC_RELEASE, AIORTC_REQUIREMENT

__all__ = ["look_at_devices", "look_at_machine"]

PACKAGES = ("aiortc", "aioice", "av", "numpy", "httpx", "msgspec")
PYTHONS = ("3.11", "3.12", "3.13")
SYSTEMS = ("Linux",)
"""What calls were tried with. The rest is meant to work: macOS, and Windows by design."""

UNKNOWN = "(version unknown)"


def look_at_machine() -> Iterator[Finding]:
    """Look at versions and libraries."""
    yield look_at_system(platform.system(), platform.python_version_tuple()[:2])
    yield _packages()
    try:
        yield Finding("opus", Severity.OK, opus.version())
    except Exception as exc:  # whatever a broken library does
        yield Finding("opus", Severity.FAIL, f"libopus does not work: {exc}", REINSTALL)
    yield _aiortc()
    yield _echo()


def look_at_system(system: str, python: tuple[str, ...]) -> Finding:
    """Say whether calls were tried on this system, and with this version of Python."""
    system = {"Darwin": "macOS"}.get(system, system)
    here = f"{platform.python_version()} on {system} {platform.release()} {platform.machine()}"
    untried = []
    if system not in SYSTEMS:
        untried.append(f"calls were never tried on {system}, only on {' and '.join(SYSTEMS)}")
    if ".".join(python) not in PYTHONS:
        untried.append(f"calls were tried with Python {', '.join(PYTHONS)} only")
    if not untried:
        return Finding("python", Severity.OK, here)
    cure = "if something does not work here, try it there before you look further"
    return Finding("python", Severity.WARN, f"{here}: {'; '.join(untried)}", cure)


def _packages() -> Finding:
    found = {name: _version(name) for name in ("rtcvoice", *PACKAGES)}
    missing = [name for name in found if importlib.util.find_spec(name) is None]
    text = ", ".join(f"{name} {found[name]}" for name in found if name not in missing)
    if missing:
        return Finding(
            "packages", Severity.FAIL, f"{text}; missing: {', '.join(missing)}", REINSTALL
        )
    return Finding("packages", Severity.OK, text)


def _aiortc() -> Finding:
    """Whether what calls reach for inside aiortc is there."""
    try:
        from rtcvoice.wire import _aiortc, transport  # noqa: F401  (that they can be imported)
    except Exception as exc:
        return Finding(
            "webrtc",
            Severity.FAIL,
            f"aiortc cannot be used: {exc}",
            f"install {AIORTC_REQUIREMENT}",
        )
    number = _version("aiortc")
    if number == UNKNOWN:
        text = "aiortc works; its version is unknown"
        return Finding(
            "webrtc", Severity.WARN, text, f"calls were tested with {AIORTC_REQUIREMENT}"
        )
    if not number.startswith(f"{AIORTC_RELEASE}."):
        what = f"aiortc {number} is not the release that calls were tested with"
        return Finding("webrtc", Severity.WARN, what, f'pip install "{AIORTC_REQUIREMENT}"')
    return Finding(
        "webrtc", Severity.OK, f"aiortc {number} is a release that calls were tested with"
    )


def _echo() -> Finding:
    if importlib.util.find_spec("pywebrtc_audio") is not None:
        return Finding(
            "echo", Severity.OK, f"pywebrtc-audio {_version('pywebrtc-audio')} cancels echo"
        )
    return Finding(
        "echo",
        Severity.WARN,
        "no echo cancellation: the microphone is closed while the assistant speaks",
        "pip install pywebrtc-audio, or wear headphones (--headphones)",
    )


def _version(package: str) -> str:
    """Return an installed package's version: programs that were frozen or vendored do not tell."""
    try:
        return version(package)
    except PackageNotFoundError:
        return UNKNOWN


async def look_at_devices() -> AsyncIterator[Finding]:
    """Look at the sound devices; calls from files work without any."""
    try:
        found = await in_thread(devices)
    except DeviceError as exc:
        yield of_error("sound", exc, Severity.WARN)
        return
    for direction in Direction:
        yield _device(found, direction)


def _device(found: list[Device], direction: Direction) -> Finding:
    usable = [device for device in found if device.channels(direction)]
    default = next((device for device in usable if device.is_default(direction)), None)
    area = {Direction.INPUT: "microphone", Direction.OUTPUT: "speaker"}[direction]
    if not usable:
        cure = "connect one; calls from files need none (--input, --output)"
        return Finding(area, Severity.WARN, f"there is no {direction.value}", cure)
    if default is None:
        names = ", ".join(device.name for device in usable[:3])
        return Finding(
            area, Severity.WARN, f"no default; there are: {names}", f"name one: --{area} NAME"
        )
    rate = f"{default.default_rate} Hz, {default.host_api}"
    return Finding(area, Severity.OK, f"{default.name} ({rate}; 1 of {len(usable)})")
