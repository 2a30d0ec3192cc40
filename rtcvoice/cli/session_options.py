"""The options that describe a session: the assistant, its tools, and what the call may cost."""

from __future__ import annotations

import argparse
from typing import Any

import rtcvoice
from rtcvoice.cli.network_options import network_from
from rtcvoice.cli.parser import seconds, words

__all__ = ["add_assistant", "add_limits", "add_tools", "session_from"]

_SAME_NAME = ("model", "voice", "instructions", "api_key", "connect_timeout")
"""Options that `connect` knows by the same name."""

_LIMITS = ("cost", "seconds", "tokens")


def add_assistant(group: Any, *, speaks: bool = True, instructions: bool = True) -> None:
    """Add who answers, and how."""
    group.add_argument("--model", type=words, help="default: gpt-realtime-2.1")
    if speaks:
        group.add_argument("--voice", type=words, help="such as marin or cedar")
    if instructions:
        group.add_argument(
            "--instructions", type=words, metavar="TEXT", help="how the assistant is to behave"
        )


def add_tools(group: Any) -> None:
    """Add what the assistant may do."""
    group.add_argument(
        "--tools",
        metavar="FILE|demo",
        help="let it call the functions in a Python file; demo: weather, add, remember",
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
        help="the same for time: warned of at 80 %%, and the last word is said",
    )


def session_from(options: argparse.Namespace) -> dict[str, Any]:
    """Return the options that were given, as `rtcvoice.connect` takes them. Raises ConfigError."""
    given = {name: getattr(options, name, None) for name in _SAME_NAME}
    named: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if (path := getattr(options, "tools", None)) is not None:
        from rtcvoice.cli.tool_files import load_tools  # late: --help needs none

        named["tools"] = load_tools(path)
    return named | _limits(options) | network_from(options)


def _limits(options: argparse.Namespace) -> dict[str, Any]:
    wanted: dict[str, Any] = {name: getattr(options, f"limit_{name}", None) for name in _LIMITS}
    return {"limits": rtcvoice.Limits(**wanted)} if any(wanted.values()) else {}


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number above 0")
    return int(text)
