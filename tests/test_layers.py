"""The house's import rules, read from the code: who may import whom, and who owns what.

Leaves <- roads <- crossing <- command line. Roads never import each other; the emulator is a world
of its own that borrows the pure parts.
"""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path

import pytest

import rtcvoice

ROOT = Path(rtcvoice.__file__).parent
MODULES = {
    ".".join(("rtcvoice", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(
        ".__init__"
    ): path
    for path in sorted(ROOT.rglob("*.py"))
}

PURE = {
    *("audio", "downmix", "end_dates", "ogg_links", "resampler", "rtp", "sdp", "signatures"),
    *("stats", "timed_ring"),
}
LEAVES = {
    *("clock", "errors", "files", "masking", "threads", "timings", "opus", "events", "sound_file"),
    *PURE,
}
ROADS = {"capture", "playout", "conversation"}
CONNECTION = {
    *("addresses", "credentials", "environment", "ice_servers", "config", "proxies", "rest"),
    *("key_text", "option_checks", "rest_answers", "signaling", "small_files"),
    *("transport", "_aioice", "_aiortc", "_channels", "_ice", "_sctp", "_wall_clock"),
    *("leg", "supervisor", "waiting"),
}
CROSSING = {"connect", "call", "ends"}

# What each room may import of rtcvoice, by the first part of the name ("capture.track": only that).
ALLOWED: dict[str, set[str]] = {
    **{leaf: {"errors", leaf} for leaf in LEAVES},
    **{road: LEAVES | {road} for road in ROADS},
    "capture": LEAVES | {"device", "capture"},
    "playout": LEAVES | {"device", "playout"},
    "errors": set(),
    "files": set(),
    "_starting": set(),
    "rtp": set(),
    "sdp": set(),
    "audio": {"errors"},
    "opus": {"errors", "audio"},
    "timed_ring": {"errors", "audio"},
    "resampler": {"audio"},
    "downmix": {"audio"},
    "signatures": set(),
    "ogg_links": set(),
    "sound_file": {"errors", "audio", "downmix", "ogg_links", "signatures"},
    "device": {"errors", "audio", "native_stderr", "stats", "device"},
    "native_stderr": set(),
    "small_files": set(),
    "key_text": set(),
    "credentials": {"errors", "key_text", "masking", "small_files", "threads"},
    "addresses": {"errors"},
    "environment": set(),
    "ice_servers": {"errors"},
    "option_checks": {"errors"},
    "config": {"errors", "addresses", "credentials", "environment", "ice_servers"}
    | {"end_dates", "option_checks"},
    "proxies": {"addresses", "environment"},
    "rest_answers": {"errors", "masking"},
    "rest": {"errors", "masking", "addresses", "proxies", "rest_answers"},
    "signaling": {"errors", "masking", "addresses", "credentials", "rest", "rest_answers"},
    "supervisor": {"errors", "waiting"},
    "waiting": set(),
    "clock": set(),
    "_aiortc": {"errors", "rtp"},
    "rate_limit": set(),
    "token_access": {"errors"},
    "token_server": {"errors", "config", "credentials", "rate_limit", "signaling"}
    | {"small_files", "token_access"},
    "_aioice": {"_aiortc", "_wall_clock", "errors", "ice_servers"},
    "_ice": {"_aiortc"},
    "_channels": {"_aiortc"},
    "_wall_clock": {"_aiortc"},
    "_sctp": {"_aiortc"},
    "transport": {
        *("errors", "masking", "rtp", "sdp", "stats", "ice_servers"),
        *("_aioice", "_aiortc", "_channels", "_ice", "_sctp", "_wall_clock"),
    },
    "leg": {"errors", "rtp", "ice_servers", "signaling", "transport"},
    "ends": {"errors", "files", "device.device", "capture", "playout"},
    "wiring": {"errors", "rtp", "timings", "config", "leg", "capture.track"},
    "call": LEAVES | ROADS | {"config", "credentials", "ends", "supervisor", "leg", "wiring"},
    "connect": LEAVES | ROADS | CONNECTION | {"call", "ends", "wiring"},
    "emulator": LEAVES
    | {"_aiortc", "_channels", "_sctp", "emulator", "capture.source", "capture.track"}
    | {"playout.engine"},
    "checkup": LEAVES | CONNECTION | {"", "call", "connect", "device", "checkup"},
    "cli": LEAVES
    | {
        "",
        "cli",
        "addresses",
        "checkup",
        "emulator",
        "environment",
        "native_stderr",
        "small_files",
        "token_server",
    },
    "__main__": {"cli"},
    "": LEAVES | ROADS | CROSSING | CONNECTION | {"device", "_starting"},
}

ONLY_IMPORTERS = {
    "httpx": {"rtcvoice.rest"},
    "aiohttp": {"rtcvoice.emulator.", "rtcvoice.token_server"},
    "yaml": {"rtcvoice.emulator.", "rtcvoice.token_server"},
    "rich": {"rtcvoice.cli."},
    "dotenv": {"rtcvoice.cli."},
    "ctypes": {"rtcvoice.opus"},
    "sounddevice": {"rtcvoice.device.portaudio"},
    "pywebrtc_audio": {"rtcvoice.capture.echo"},
    "aioice": {"rtcvoice._aioice", "rtcvoice._aiortc", "rtcvoice._ice"},
    "aiortc": {
        "rtcvoice._aiortc",
        "rtcvoice._channels",
        "rtcvoice._sctp",
        "rtcvoice._wall_clock",
        "rtcvoice.transport",
        "rtcvoice.leg",
        "rtcvoice.capture.track",
        "rtcvoice.emulator.peer",
        "rtcvoice.emulator.plain_track",
    },
}

# Event names of the API belong to those who speak the protocol.
EVENT_NAME = re.compile(
    r"^(session|response|conversation|input_audio_buffer|output_audio_buffer|rate_limits)\.[a-z_.]+$"
)
SPEAKERS = ("rtcvoice.events", "rtcvoice.conversation", "rtcvoice.signaling", "rtcvoice.emulator")


@functools.cache
def imports(path: Path) -> set[str]:
    """Every module that a file imports, absolute; also inside functions and TYPE_CHECKING."""
    package = ("rtcvoice", *path.relative_to(ROOT).parent.parts)
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (base, node.module) if part)
            names = {f"{module}.{alias.name}" for alias in node.names}
            found |= names & MODULES.keys() or {module}
    return found


def inner(module: str) -> str:
    return module.removeprefix("rtcvoice").removeprefix(".")


@pytest.mark.parametrize("module", MODULES)
def test_imports_only_what_its_place_allows(module: str) -> None:
    room = inner(module).split(".")[0]
    allowed = ALLOWED[room] | {"clock"}  # which everybody may ask
    for name in imports(MODULES[module]):
        if name.split(".")[0] != "rtcvoice":
            continue
        parts = inner(name).split(".")
        prefixes = {".".join(parts[: n + 1]) for n in range(len(parts))}
        assert prefixes & allowed, f"{module} may not import {name}"


@pytest.mark.parametrize("package", ONLY_IMPORTERS)
def test_foreign_packages_are_imported_at_their_border_only(package: str) -> None:
    borders = ONLY_IMPORTERS[package]
    for module, path in MODULES.items():
        if any(name.split(".")[0] == package for name in imports(path)):
            at_border = any(
                module == border or (border.endswith(".") and module.startswith(border))
                for border in borders
            )
            assert at_border, f"{module} imports {package}"


def test_only_the_command_line_imports_the_emulator() -> None:
    for module, path in MODULES.items():
        if inner(module).split(".")[0] not in ("cli", "emulator"):
            assert not any(name.startswith("rtcvoice.emulator") for name in imports(path)), module


def test_event_names_are_spoken_only_by_those_who_know_the_protocol() -> None:
    for module, path in MODULES.items():
        if module.startswith(SPEAKERS):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert not EVENT_NAME.match(node.value), f"{module}:{node.lineno}: {node.value}"


def test_one_module_reads_the_environment() -> None:
    for module, path in MODULES.items():
        if module != "rtcvoice.environment":
            assert not re.search(r"os\.environ|os\.getenv|getenv\(", path.read_text()), module


def test_moments_that_are_compared_come_from_one_clock() -> None:
    rooms_with_their_own = {"clock", "cli", "checkup", "emulator", "small_files", "token_server"}
    for module, path in MODULES.items():
        if inner(module).split(".")[0] not in rooms_with_their_own:
            assert not re.search(r"time\.(monotonic|perf_counter)\b", path.read_text()), module


@pytest.mark.parametrize("module", MODULES)
def test_modules_stay_readable_in_one_sitting(module: str) -> None:
    assert len(MODULES[module].read_text().splitlines()) <= 400


@pytest.mark.parametrize("module", MODULES)
def test_every_module_says_what_it_is_for(module: str) -> None:
    tree = ast.parse(MODULES[module].read_text())
    assert ast.get_docstring(tree), f"{module} has no docstring"


def test_public_names_are_sorted_and_there() -> None:
    assert rtcvoice.__all__ == sorted(rtcvoice.__all__)
    for name in rtcvoice.__all__:
        assert getattr(rtcvoice, name).__doc__, name


def test_there_is_no_circle() -> None:
    graph = {m: {n for n in imports(p) if n in MODULES} for m, p in MODULES.items()}
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join((*path, module))
        if module in done:
            return
        for name in graph[module]:
            visit(name, (*path, module))
        done.add(module)

    for module in MODULES:
        visit(module, ())
