"""The house's import rules, read from the code: who may import whom, and who owns what.

Leaves <- roads <- crossing <- command line. Roads never import each other; the emulator is a world
of its own that borrows the pure parts.
"""

from __future__ import annotations

import ast
import dataclasses
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

ROADS = {"capture", "playout", "conversation"}
LEAVES = {"errors", "masking", "stats", "events", "sound", "system", "wire.rtp"}

# What each room may import of rtcvoice, by the beginning of the name ("wire.rtp": only that).
# Of the entries that fit a module the longest holds.
ALLOWED: dict[str, set[str]] = {
    "errors": {"system.public", "events.from_server", "events.responses"},  # those as types
    "masking": {"errors"},
    "public_names": set(),
    "stats": {"system.public"},
    "system": {"errors", "system"},
    "system.public": set(),
    "events": {"errors", "system.public", "events"},
    "sound": {"errors", "system", "sound"},
    # What a network does to packets: of the client's wire and of the emulator alike.
    "network": {"errors", "stats", "system", "network"},
    "sound.load": {"stats", "system", "sound.thinning"},
    "device": {"masking", "errors", "events", "sound", "stats", "system", "device"},
    "capture": LEAVES | {"device", "capture"},
    "playout": LEAVES | {"device", "playout"},
    "conversation": LEAVES | {"conversation"},
    # What a conversation needs of a leg, and of what is heard: two protocols, without a road.
    "conversation.ports": {"errors", "sound", "conversation.state"},
    "conversation.state": LEAVES | {"conversation.state"},
    # What is known of a Live conversation takes its records and accounts from the other one.
    "live": LEAVES | {"conversation", "live"},
    "live.state": LEAVES | {"live.state"} | {"conversation.state", "conversation.accounts"},
    # A translation is GPT-Live's conversation with other events.
    "translation": LEAVES | {"config.session_fields", "conversation", "live", "translation"},
    # The wire and the REST side know no road: they are handed a track, `on_packet`, `on_text`.
    "wire": {"errors", "masking", "stats", "system", "wire"}
    | {"network", "rest.ice_servers", "rest.signaling", "rest.tunnels"},
    "wire.downlink": {"wire.sdp"},
    "wire.lost": {"errors"},
    "wire.rtp": set(),
    "wire.sdp": {"wire.sdp_lines"},
    "wire.sdp_lines": set(),
    "rest": {"errors", "masking", "system", "rest"},
    "config": {"errors", "network", "system", "rest", "config"},
    "config.checks": {"errors"},
    "config.end_dates": set(),
    "config.session_fields": set(),
    "token_server": {"masking", "errors", "config", "rest", "system", "token_server"},
    # Who clients are and what they may, and who asks the provider, know nothing of each other.
    "token_server.access": {"errors", "system"},
    "token_server.rate_limit": set(),
    "token_server.provider": {"errors", "config.call_config", "rest"}
    | {"token_server.access", "token_server.sessions"},
    "token_server.server": {"masking", "errors", "config", "token_server"},
    # Of the crossing: the stages know no call and no road but the track; the life knows what it
    # watches and closes, and neither sound nor network; only `connect` puts everything together.
    "call.timings": {"call.facts", "call.listeners", "system"},
    "call.life": {"masking", "errors", "system", "wire.lost", "call.roads"},
    "call.imports": {"system"},
    "call.legs": {"stats", "system.public"},
    "call.leg_time": set(),
    "call.signs": {"system"},
    "call.connecting": {"errors", "config", "network.settings", "rest", "wire.leg", "wire.downlink"}
    | {"capture.track"}
    | {"call.imports", "call.media_ways", "call.timings", "system"},
    "call.socket_connecting": {"errors", "masking", "config", "rest", "system"}
    | {"wire.websocket", "wire.websocket_leg", "capture.event_track"}
    | {"wire.sideband_leg", "capture.no_track"}
    | {"call.imports", "call.timings"},
    # A call that is only attached to: other parts in the same places.
    "call.attaching": {"errors", "config", "rest", "live.side_sound"}
    | {"wire.websocket", "wire.sideband_leg", "capture.no_track"}
    | {"call.imports", "call.socket_connecting", "call.timings"},
    "call.attached_roads": {"errors", "capture.no_track", "wire.sideband_leg"}
    | {"call.roads", "call.telling"},
    "call.attached_call": {"errors", "playout.tee"}
    | {
        "call.attached_roads",
        "call.call",
        "call.life",
        "call.live_call",
        "call.message",
        "call.roads",
    }
    | {"call.timings"},
    "call.reattaching": LEAVES | {"conversation", "live", "wire.lost", "call"},
    "call.attach": LEAVES
    | {"config", "rest", "conversation", "live", "call"}
    | {"playout.player", "recording.options", "telemetry.options", "wire.sideband_leg"},
    "call.entering": {"errors", "system", "call.call"},
    "call.racing": {"errors", "config", "call.connecting", "call.socket_connecting"}
    | {"call.telling", "call.timings"},
    "call.ways": {"config", "call.connecting", "call.racing", "call.socket_connecting"}
    | {"call.live_connecting", "call.translation_connecting", "call.timings", "wire.leg"},
    # A call of GPT-Live: another third road in the same house.
    "call.live_connecting": {"errors", "config", "rest", "call.connecting", "call.timings"},
    "call.translation_connecting": {"errors", "config", "events", "rest", "capture.event_track"}
    | {"call.connecting", "call.socket_connecting"},
    "call.translation_call": LEAVES | {"config", "conversation", "translation", "call"},
    "call.translation_reconnecting": LEAVES | {"config", "translation", "call"},
    "call.live_reconnecting": LEAVES | {"config", "rest", "wire.lost", "live", "call"},
    "call.live_call": LEAVES | {"config", "conversation", "live", "wire.lost", "call"},
    "call.live_verbs": {"errors"},
    "call.dialects": {"errors", "config", "system", "conversation", "live", "translation", "call"},
    "call.telling": LEAVES
    | {"capture.event_track", "capture.no_track", "capture.track"}
    | {"conversation", "live", "playout.player"}
    | {"wire.leg", "wire.sideband_leg", "wire.websocket_leg", "call.facts", "call.listeners"},
    "call.ends": LEAVES | {"capture.source", "playout.ducking", "playout.sink"},
    "call.roads": LEAVES
    | ROADS
    | {
        "live",
        "wire.leg",
        "wire.websocket_leg",
        "call.ends",
        "call.legs",
        "call.listeners",
        "call.telling",
    },
    "call.call": LEAVES
    | {"config", "conversation", "playout.tee"}
    | {
        "call.polite_ends",
        "call.finishing",
        "call.legs",
        "call.life",
        "call.live_verbs",
        "call.message",
    }
    | {"call.roads", "call.timings"},
    "call": LEAVES
    | ROADS
    | {"config", "rest", "wire", "device", "call", "recording.options", "recording.recorder"}
    | {"network.settings", "telemetry.options", "telemetry.listener"},
    # What is recorded: the format is a leaf that the emulator's recorder shares.
    "recording": LEAVES | {"recording", "call.facts"},
    "recording.options": {"errors", "system", "recording.format"},
    "recording.compared": LEAVES | {"recording", "conversation.state"},
    "recording.given_tools": LEAVES | {"recording", "conversation.tools"},
    "recording.hand": LEAVES | {"recording", "conversation.state", "conversation.asking"},
    "recording.replay": LEAVES
    | {
        *("recording", "capture.source", "call.call", "config.call_config"),
        *("conversation.tools", "conversation.asking"),
    },
    # What of a recording is shown: nothing of it is done again.
    "recording.report": LEAVES | {"recording", "conversation.accounts", "conversation.state"},
    "recording.format": set(),
    "recording.masks": {"masking"},
    # Spans and metrics: of facts alone. What tokens are is read from the accounts; a tool that
    # begins to run is a type of the conversation's.
    "telemetry": {"", "errors", "masking", "stats", "events", "system"}
    | {"telemetry", "call.facts"}
    | {"conversation.accounts.usage", "conversation.state.turns"}
    | {"conversation.state.function_calls"},
    "telemetry.options": {"errors", "system", "telemetry.names"},
    "telemetry.names": set(),
    "telemetry.prometheus": {"errors", "masking", "telemetry"},
    "emulator": LEAVES
    | {
        "recording.format",
        "recording.masks",
        "wire._aiortc",
        "wire._channels",
        "wire._media",
        "wire._sources",
        "wire._wall_clock",
        "wire.arrivals",
        "config.end_dates",
        "network",
        "wire._sctp",
        "wire.sdp",
        "wire.tcp_link",
        "rest.tunnels",
        "emulator",
    }
    | {"capture.source", "capture.spoken", "capture.track", "playout.engine"},
    # Many calls: a caller of the public doors, and what travels between processes.
    "fleet": LEAVES | {"fleet", "network"},
    "fleet.dry_run": {"errors", "emulator", "system"},
    "fleet.caller": LEAVES
    | {"call.call", "capture.file", "capture.spoken", "playout.sink"}
    | {"fleet.line", "fleet.spans", "fleet.specs"},
    "fleet.persona": LEAVES
    | {"call.bridge", "call.call", "call.connect", "fleet.line", "fleet.spans", "fleet.specs"},
    "fleet.mocks": LEAVES | {"conversation.tools", "fleet.specs"},
    "fleet.one_call": LEAVES
    | {"call.call", "call.connect", "conversation.accounts.limits", "recording.options"}
    | {"fleet"},
    # Pages' calls: a caller of `attach`, and of the REST side; rules shared with the token server.
    "call_server": LEAVES
    | {"config", "rest", "call_server"}
    | {"token_server.access", "token_server.rate_limit"}
    | {"call.attach", "call.attaching", "call.call", "call.reconnect", "call.timings", "call.ways"}
    | {"conversation"}
    | {"recording.options", "telemetry.options", "wire.sideband_leg"},
    "call_server.session_guard": {"conversation.state.requests"},  # what marks our own answers
    "blocking": LEAVES | ROADS | {"call", "blocking"},
    # Other people's frameworks: callers of the public doors, imported by their users alone.
    "integrations": LEAVES
    | {"integrations", "call.call", "call.connect", "capture.spoken", "playout.sink"},
    "integrations.openai_agents": LEAVES
    | {"", "integrations.openai_agents"}
    | {"config.call_config", "config.dialect", "config.session_fields", "rest.credentials"},
    "doctor": LEAVES | {"", "config", "rest", "wire", "call", "device", "doctor"},
    "cli": LEAVES
    | {
        "",
        "cli",
        "network.settings",
        "config",
        "conversation.accounts.prices",
        "doctor",
        "emulator",
        "fleet",
    }
    | {"config", "recording.report.write", "rest.addresses", "telemetry.names"}
    | {"telemetry.prometheus", "token_server"},
    "__main__": {"cli", "system"},
    "pytest_plugin": {"emulator"},
    # Imported when its names are used, but for type checkers.
    "": LEAVES
    | ROADS
    | {"live", "network"}
    | {"recording", "telemetry", "blocking", "config", "rest", "call", "device", "emulator"}
    | {"call_server", "public_names"},
}

ONLY_IMPORTERS = {
    "httpx": {"rtcvoice.rest.client"},
    "aiohttp": {
        "rtcvoice.call_server.server",  # as a type
        "rtcvoice.call_server.web_app",
        "rtcvoice.emulator.",
        "rtcvoice.token_server.server",
    },
    "yaml": {
        "rtcvoice.emulator.",
        "rtcvoice.fleet.spec_file",
        "rtcvoice.system.yaml_reading",
        "rtcvoice.token_server.session_file",
    },
    "rich": {"rtcvoice.cli."},
    "dotenv": {"rtcvoice.cli."},
    "ctypes": {"rtcvoice.sound.opus"},
    "sounddevice": {"rtcvoice.device.portaudio"},
    "websockets": {"rtcvoice.wire.websocket"},
    "pywebrtc_audio": {"rtcvoice.capture.echo.canceller"},
    "agents": {"rtcvoice.integrations."},
    "openai": {"rtcvoice.integrations."},
    "opentelemetry": {"rtcvoice.telemetry."},
    "prometheus_client": {"rtcvoice.telemetry.prometheus"},
    "aioice": {
        "rtcvoice.emulator.ice_lite",
        "rtcvoice.wire._aioice",
        "rtcvoice.wire._aiortc",
        "rtcvoice.wire._ice",
        "rtcvoice.wire._ice_tcp",
    },
    "aiortc": {
        "rtcvoice.wire._aiortc",
        "rtcvoice.wire._channels",
        "rtcvoice.wire._media",
        "rtcvoice.wire._rtp_receiver",
        "rtcvoice.wire._rtp_sender",
        "rtcvoice.wire._sctp",
        "rtcvoice.wire._sources",
        "rtcvoice.wire._wall_clock",
        "rtcvoice.wire.transport",
        "rtcvoice.wire.leg",
        "rtcvoice.capture.track",
        "rtcvoice.emulator.connection",
        "rtcvoice.emulator.peer",
        "rtcvoice.emulator.plain_track",
    },
}

# Event names of the API belong to those who speak the protocol.
EVENT_NAME = re.compile(
    r"^(session|response|conversation|input_audio_buffer|output_audio_buffer|rate_limits)\.[a-z_.]+$"
)
SPEAKERS = (
    "rtcvoice.events",
    "rtcvoice.conversation",
    "rtcvoice.live",
    "rtcvoice.config.live_config",  # which events a client may get is an option of GPT-Live
    "rtcvoice.rest.signaling",
    "rtcvoice.emulator",
    "rtcvoice.call_server.session_guard",  # it reads along what goes by the channel
)

# A file named in a docstring or a comment, with or without its folder: `device/host.py`.
FILE_NAME = re.compile(r"(?<![\w./<-])((?:\w+/)*\w+\.py)\b")
FILES_OF_USERS = {"mine.py", "mytools.py", "my_tools.py", "tools.py"}

# A dotted name in backticks, as `line.End` or `rtcvoice.clock.now()`; what follows it is left out.
DOTTED_NAME = re.compile(r"`(\w+(?:\.\w+)+)(?:\([^`]*\))?`")
NOT_NAMES = re.compile(r"rtcvoice\.[a-z]+(_[a-z]+)+$|\w+\.(py|toml|wav|env|json|ini|md|pem)$")
"""Types of local events, and files."""


@dataclasses.dataclass(frozen=True, slots=True)
class Facts:
    """What the rules ask of one module: it is parsed and walked once for all of them."""

    text: str
    has_docstring: bool
    imports: set[str]
    """Every module that it imports, absolute; also inside functions and TYPE_CHECKING."""
    events: list[str]
    """Its strings that are names of events, with their lines."""
    defined: set[str]
    """Every name that it defines or imports, inside its classes too."""
    top_classes: set[str]
    named: set[str]
    """Every dotted name in its docstrings and comments."""


@functools.cache
def facts(path: Path) -> Facts:
    text = path.read_text()
    tree = ast.parse(text)
    package = ("rtcvoice", *path.relative_to(ROOT).parent.parts)
    imports: set[str] = set()
    events: list[str] = []
    defined: set[str] = set()
    prose = [line.split("#", 1)[1] for line in text.splitlines() if "#" in line]
    for node in ast.walk(tree):
        match node:
            case ast.Import():
                imports |= {alias.name for alias in node.names}
            case ast.ImportFrom():
                base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
                module = ".".join(part for part in (base, node.module) if part)
                names = {f"{module}.{alias.name}" for alias in node.names}
                imports |= names & MODULES.keys() or {module}
            case ast.alias():
                defined.add((node.asname or node.name).split(".")[0])
            case ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
                defined.add(node.name)
            case ast.Name(ctx=ast.Store()):
                defined.add(node.id)
            case ast.Attribute(value=ast.Name(id="self"), ctx=ast.Store()):
                defined.add(node.attr)
            case ast.Constant(value=str(value)) if EVENT_NAME.match(value):
                events.append(f"{node.lineno}: {value}")
            case ast.Expr(value=ast.Constant(value=str(value))):
                prose.append(value)
    return Facts(
        text=text,
        has_docstring=bool(ast.get_docstring(tree)),
        imports=imports,
        events=events,
        defined=defined,
        top_classes={n.name for n in tree.body if isinstance(n, ast.ClassDef)},
        named={name for part in prose for name in DOTTED_NAME.findall(part)},
    )


def inner(module: str) -> str:
    return module.removeprefix("rtcvoice").removeprefix(".")


def beginnings(name: str) -> set[str]:
    """Every beginning of a dotted name that ends at a dot, and the name itself."""
    parts = name.split(".")
    return {".".join(parts[: n + 1]) for n in range(len(parts))}


def test_imports_only_what_its_place_allows() -> None:
    bad = []
    for module, path in MODULES.items():
        allowed = ALLOWED[max(beginnings(inner(module)) & ALLOWED.keys(), key=len)]
        bad += [
            f"{module} may not import {name}"
            for name in facts(path).imports
            if name.split(".")[0] == "rtcvoice" and not beginnings(inner(name)) & allowed
        ]
    assert not bad


@pytest.mark.parametrize("package", ONLY_IMPORTERS)
def test_foreign_packages_are_imported_at_their_border_only(package: str) -> None:
    borders = ONLY_IMPORTERS[package]
    for module, path in MODULES.items():
        if any(name.split(".")[0] == package for name in facts(path).imports):
            at_border = any(
                module == border or (border.endswith(".") and module.startswith(border))
                for border in borders
            )
            assert at_border, f"{module} imports {package}"


def test_only_the_command_line_and_the_pytest_plugin_import_the_emulator() -> None:
    may = ("", "cli", "emulator", "pytest_plugin")
    for module, path in MODULES.items():
        if inner(module).split(".")[0] not in may and module != "rtcvoice.fleet.dry_run":
            assert not any(n.startswith("rtcvoice.emulator") for n in facts(path).imports), module


def test_event_names_are_spoken_only_by_those_who_know_the_protocol() -> None:
    for module, path in MODULES.items():
        if not module.startswith(SPEAKERS):
            assert not facts(path).events, module


def test_one_module_reads_the_environment() -> None:
    for module, path in MODULES.items():
        if module != "rtcvoice.system.environment":
            assert not re.search(r"os\.environ|os\.getenv|getenv\(", facts(path).text), module


def test_moments_that_are_compared_come_from_one_clock() -> None:
    rooms_with_their_own = {"cli", "doctor", "emulator", "integrations", "system", "token_server"}
    for module, path in MODULES.items():
        if inner(module).split(".")[0] not in rooms_with_their_own:
            assert not re.search(r"time\.(monotonic|perf_counter)\b", facts(path).text), module


def test_modules_stay_readable_in_one_sitting() -> None:
    lines = {module: len(facts(path).text.splitlines()) for module, path in MODULES.items()}
    assert not {module: count for module, count in lines.items() if count > 400}


def test_every_module_says_what_it_is_for() -> None:
    assert not [module for module, path in MODULES.items() if not facts(path).has_docstring]


def test_public_names_are_sorted_and_there() -> None:
    assert rtcvoice.__all__ == sorted(rtcvoice.__all__)
    for name in rtcvoice.__all__:
        assert getattr(rtcvoice, name).__doc__, name


def test_there_is_no_circle() -> None:
    graph = {m: {n for n in facts(p).imports if n in MODULES} for m, p in MODULES.items()}
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


def test_files_that_are_named_exist() -> None:
    there = {path.relative_to(ROOT.parent).as_posix() for path in MODULES.values()}
    there |= {path.relative_to(ROOT.parent).as_posix() for path in ROOT.parent.glob("tests/*.py")}
    endings = {"/".join(p.split("/")[n:]) for p in there for n in range(p.count("/") + 1)}
    bad = [
        f"{module} names {name}"
        for module, path in MODULES.items()
        for name in FILE_NAME.findall(facts(path).text)
        if name not in endings | FILES_OF_USERS
    ]
    assert not bad


@functools.cache
def places_of(name: str) -> list[Path]:
    """Return the modules that are called `name`, or have a class of that name."""
    return [
        path
        for module, path in MODULES.items()
        if module.split(".")[-1] == name or name in facts(path).top_classes
    ]


def is_there(name: str) -> bool:
    """`module.Class`, `Class.attribute`, `rtcvoice.name`: whether what is named exists."""
    first, second, *_ = name.split(".")
    if NOT_NAMES.search(name) or second == "type":
        return True
    if first == "rtcvoice":
        return f"rtcvoice.{second}" in MODULES or hasattr(rtcvoice, second)
    if first[:1].isupper() or second[:1].isupper():
        places = places_of(first)
        return not places or any(second in facts(path).defined for path in places)
    return True  # `call.turns()` is an object of the user's, and no module


def test_names_in_backticks_exist() -> None:
    bad = [
        f"{module} names {name}"
        for module, path in MODULES.items()
        for name in facts(path).named
        if not is_there(name)
    ]
    assert not bad
