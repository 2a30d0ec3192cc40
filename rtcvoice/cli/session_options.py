"""The options that describe a session: the assistant, its tools, and what the call may cost."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

import rtcvoice
from rtcvoice.cli.network_options import network_from
from rtcvoice.cli.parser import seconds, whole_number, words
from rtcvoice.errors import ConfigError
from rtcvoice.system.small_files import UnreadableFile, read_text

if TYPE_CHECKING:
    from rtcvoice.cli.approval import Person

__all__ = [
    "add_assistant",
    "add_hearing",
    "add_limits",
    "add_live",
    "add_push_to_talk",
    "add_tools",
    "add_turns",
    "session_from",
]

_SAME_NAME = (
    *("model", "voice", "instructions", "api_key", "connect_timeout", "record", "telemetry"),
    *("backend", "standby"),
)
"""Options that `connect` knows by the same name."""

MOST_BYTES = 64 << 10
"""Of a file with instructions: more than an event can carry."""

_LIMITS = ("cost", "seconds", "tokens")


def add_assistant(group: Any, *, speaks: bool = True, instructions: bool = True) -> None:
    """Add who answers, and how."""
    group.add_argument("--model", type=words, help="default: gpt-realtime-2.1 (command models)")
    if speaks:
        group.add_argument("--voice", type=words, help="such as marin or cedar (command voices)")
        group.add_argument(
            "--speed", type=_speed, metavar="N", help="how fast it speaks: 0.25 to 1.5 (1)"
        )
    if instructions:
        told = group.add_mutually_exclusive_group()
        told.add_argument(
            "--instructions", type=words, metavar="TEXT", help="how the assistant is to behave"
        )
        told.add_argument(
            "--instructions-file", metavar="FILE", help="the same, from a text file in UTF-8"
        )


def add_hearing(group: Any) -> None:
    """Add how the user is heard."""
    group.add_argument(
        "--language",
        type=words,
        metavar="CODE",
        help="what the user speaks, such as de: for the transcript",
    )
    group.add_argument(
        "--noise-reduction",
        choices=("near_field", "far_field", "none"),
        help="for a headset, for a microphone in the room, or none",
    )


def add_turns(group: Any) -> None:
    """Add who decides when a turn of the user is over."""
    turns = group.add_mutually_exclusive_group()
    turns.add_argument(
        "--turn-detection",
        choices=("server_vad", "semantic_vad"),
        help="a turn is over after a silence, or when the words sound finished",
    )
    add_push_to_talk(turns)


def add_push_to_talk(group: Any) -> None:
    """Add the key that decides it."""
    group.add_argument(
        "--push-to-talk",
        action="store_true",
        help="be heard only while space is held, or between two presses of it",
    )


def add_tools(group: Any) -> None:
    """Add what the assistant may do."""
    group.add_argument(
        "--tools",
        metavar="FILE|demo",
        help="let it call the functions in a Python file; demo: weather, add, remember",
    )
    group.add_argument(
        "--mcp",
        type=words,
        action="append",
        metavar="COMMAND|URL",
        help="let it use the tools of an MCP server, such as 'uvx mcp-server-time'; each call is"
        " asked for: y or n. May be given more than once",
    )
    group.add_argument(
        "--allow-mcp",
        action="store_true",
        help="let every call of an MCP server run without asking",
    )


def add_live(group: Any) -> None:
    """Add what only GPT-Live has."""
    group.add_argument(
        "--backend",
        type=words,
        metavar="MODEL",
        help="with gpt-live-...: the text model that calls the functions",
    )
    group.add_argument(
        "--standby",
        type=_whole_seconds,
        metavar="SECONDS",
        help="with gpt-live-...: pause after so long a silence, until somebody speaks",
    )


def add_limits(group: Any) -> None:
    """Add what a call may use at most."""
    group.add_argument(
        "--limit-cost",
        type=seconds,
        metavar="USD",
        help="hang up when this was spent, as far as prices are known",
    )
    group.add_argument(
        "--limit-tokens", type=_count, metavar="N", help="the same for tokens, in and out"
    )
    group.add_argument(
        "--limit-seconds",
        type=seconds,
        metavar="N",
        help="the same for time, but the answer under way is finished first; --seconds"
        " ends a call in the middle of a word",
    )
    group.add_argument(
        "--idle",
        type=_seconds_or_0,
        metavar="SECONDS",
        help="hang up when nobody has spoken for so long (300 with gpt-live-..., else never);"
        " 0: never",
    )
    group.add_argument(
        "--reconnect",
        type=_seconds_or_0,
        metavar="SECONDS",
        help="how long to try again when the connection is lost (120); 0 ends the call then",
    )


def session_from(options: argparse.Namespace, person: Person | None = None) -> dict[str, Any]:
    """Return the options that were given, as `rtcvoice.connect` takes them. Raises ConfigError.

    person: who is asked what an MCP server may do.
    """
    given = {name: getattr(options, name, None) for name in _SAME_NAME}
    named: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if (tools := _tools(options, person)) is not None:
        named["tools"] = tools
    return named | _spoken(options) | _limits(options) | network_from(options)


def _tools(options: argparse.Namespace, person: Person | None) -> rtcvoice.ToolSet | None:
    path, servers = getattr(options, "tools", None), getattr(options, "mcp", None)
    if path is None and not servers:
        return None
    from rtcvoice.cli.approval import asked, mcp_servers  # late: --help needs none
    from rtcvoice.cli.tool_files import load_tools

    tools = rtcvoice.ToolSet() if path is None else load_tools(path)
    allow = getattr(options, "allow_mcp", False)
    return asked(tools.with_servers(mcp_servers(servers or ())), person, allow=allow)


def _spoken(options: argparse.Namespace) -> dict[str, Any]:
    """Return how the assistant speaks, what it was told, and how the user is heard."""
    given = {name: getattr(options, name, None) for name in ("speed", "turn_detection")}
    named: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if (language := getattr(options, "language", None)) is not None:
        named["transcription"] = {"language": language}
    if (noise := getattr(options, "noise_reduction", None)) is not None:
        named["noise_reduction"] = None if noise == "none" else noise
    if (path := getattr(options, "instructions_file", None)) is not None:
        try:
            named["instructions"] = read_text(path, most_bytes=MOST_BYTES).strip()
        except UnreadableFile as exc:
            raise ConfigError(
                f"--instructions-file {path} cannot be read: {exc}", hint="a text file in UTF-8"
            ) from exc
    return named


def _limits(options: argparse.Namespace) -> dict[str, Any]:
    wanted: dict[str, Any] = {name: getattr(options, f"limit_{name}", None) for name in _LIMITS}
    wanted = {name: value for name, value in wanted.items() if value is not None}
    if (idle := getattr(options, "idle", None)) is not None:
        wanted["idle"] = idle or None
    given: dict[str, Any] = {"limits": rtcvoice.Limits(**wanted)} if wanted else {}
    if (window := getattr(options, "reconnect", None)) is not None:
        given["reconnect"] = rtcvoice.Reconnect(window=window) if window else None
    return given


def _speed(text: str) -> float:
    number = seconds(text)
    if not 0.25 <= number <= 1.5:
        raise argparse.ArgumentTypeError(f"{text:.80} is not between 0.25 and 1.5")
    return number


def _seconds_or_0(text: str) -> float:
    return 0.0 if text.strip() in ("0", "0.0") else seconds(text)


def _whole_seconds(text: str) -> int:
    try:
        return _count(text)
    except argparse.ArgumentTypeError as exc:
        raise argparse.ArgumentTypeError(f"{text!r:.80} is not a whole number of seconds") from exc


def _count(text: str) -> int:
    return whole_number(text, 1_000_000_000_000)
