"""What can be asked for on the command line, and what the exit codes mean.

Every command is a line in `COMMANDS`: its summary, the module whose `run(options)` does it, and a
function that adds its options. `talk` is the command when none is named.
"""

from __future__ import annotations

import argparse
import itertools
import re
import sys
from collections.abc import Callable, Coroutine, Sequence
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NamedTuple

from rtcvoice.cli.devices import add_devices
from rtcvoice.cli.doctor import add_doctor
from rtcvoice.cli.exit_codes import EXIT_CODES_TOLD
from rtcvoice.cli.parser import Parser, meant, port, program
from rtcvoice.cli.talk_options import TALK, add_talk
from rtcvoice.cli.text_options import add_text
from rtcvoice.cli.token_server import add_token_server
from rtcvoice.cli.translate import add_translate
from rtcvoice.errors import (
    ConfigError,
)

__all__ = ["parse"]

_VERBOSE = re.compile(r"-v+|--verbose")


class _Command(NamedTuple):
    """One command of the command line."""

    summary: str
    module: str
    """Its `run(options)` is a coroutine function that returns the exit code."""
    add: Callable[[argparse.ArgumentParser], None]
    """Adds its options and sets its description."""


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the options; `run` among them is the command's coroutine function.

    Raises ConfigError for what cannot be understood. `argv` None: the process's own arguments.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    before = list(itertools.takewhile(_VERBOSE.fullmatch, arguments))
    name = "".join(arguments[len(before) : len(before) + 1])
    if not name or name.startswith("-"):
        name = "talk"
    elif name in COMMANDS:
        arguments = before + arguments[len(before) + 1 :]
    else:
        raise ConfigError(
            f"there is no command {name!r}",
            hint=meant(name, COMMANDS) or f"commands: {', '.join(COMMANDS)}",
        )
    options = _parser(name).parse_args(arguments)
    options.run = _imported_when_called(COMMANDS[name].module)
    return options


def _parser(name: str) -> Parser:
    command = COMMANDS[name]
    default = name == "talk"
    prog = program() if default else f"{program()} {name}"
    parser = Parser(prog=prog, usage="%(prog)s [options]")
    parser.add_argument("--version", action="version", version=_version())
    parser.add_argument(
        "-v", "--verbose", action="count", default=0, help="log to stderr; -vv for every event"
    )
    command.add(parser)
    parser.epilog = (_other_commands() if default else "") + EXIT_CODES_TOLD
    return parser


def _version() -> str:
    try:
        return version("rtcvoice")
    except PackageNotFoundError:  # a program that was frozen or vendored
        return "unknown"


def _other_commands() -> str:
    lines = [f"  {name:14}{each.summary}" for name, each in COMMANDS.items() if name != "talk"]
    return "\n".join(["other commands (each with its own --help):", *lines, "", ""])


def _imported_when_called(module: str) -> Callable[..., Coroutine[Any, Any, int]]:
    """Return the module's `run`, imported when it is called: --help should not wait for aiortc."""

    def run(options: argparse.Namespace) -> Coroutine[Any, Any, int]:
        command: Coroutine[Any, Any, int] = import_module(module).run(options)
        return command

    return run


def _add_talk(parser: argparse.ArgumentParser) -> None:
    parser.description = TALK
    add_talk(parser)


def _add_emulator(parser: argparse.ArgumentParser) -> None:
    parser.description = """\
Run a local Realtime server over real WebRTC. Any key that begins with sk- is
accepted. It speaks in recorded prompts, and knows from its script what is
said.

examples:
  %(prog)s
      at http://127.0.0.1:8080/v1, until Ctrl-C
  %(prog)s --port 0 --script shop.yaml
      on any free port, with what is said and answered in a file
  %(prog)s --record calls --fault frozen_after=5
      keeps events and audio of each call, and is gone after 5 s
  %(prog)s --fault 'downlink={loss: 0.1}'
      loses a tenth of what it says
"""
    parser.add_argument("--port", type=port, default=8080, help="default: 8080; 0 takes a free one")
    parser.add_argument(
        "--host", default="127.0.0.1", help="default: 127.0.0.1, which only this machine reaches"
    )
    parser.add_argument("--script", metavar="FILE", help="what is said and answered (YAML)")
    parser.add_argument(
        "--voice",
        metavar="NAME",
        default="prompts",
        help="prompts (the default), or a synthesizer that is installed: flite, espeak-ng, say",
    )
    parser.add_argument(
        "--audio",
        choices=("real-time", "instant"),
        default="real-time",
        help="instant: answers are silent and over at once, for tests of your own agent",
    )
    parser.add_argument(
        "--idle",
        choices=("rtp", "gap"),
        default="rtp",
        help="between answers send silence (rtp, the default) or nothing (gap)",
    )
    parser.add_argument("--record", metavar="DIR", help="keep the events and audio of each call")
    parser.add_argument(
        "--origin",
        metavar="ORIGIN",
        action="append",
        default=[],
        help="let web pages of ORIGIN call (may be repeated); pages of this machine may",
    )
    parser.add_argument(
        "--model",
        metavar="NAME",
        action="append",
        default=[],
        help="take this model's name, too (may be repeated); '*' takes every name",
    )
    parser.add_argument(
        "--fault",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="make something go wrong (may be repeated); a wrong NAME lists all",
    )


COMMANDS = {
    "talk": _Command("have a call", "rtcvoice.cli.talk", _add_talk),
    "devices": _Command("list sound devices, try two of them", "rtcvoice.cli.devices", add_devices),
    "text": _Command("chat in writing", "rtcvoice.cli.text_chat", add_text),
    "translate": _Command("have an interpreter", "rtcvoice.cli.talk", add_translate),
    "doctor": _Command("look over what a call needs", "rtcvoice.cli.doctor", add_doctor),
    "emulator": _Command("run a local Realtime server", "rtcvoice.cli.serve", _add_emulator),
    "token-server": _Command(
        "hand out tokens, so that clients need no key",
        "rtcvoice.cli.token_server",
        add_token_server,
    ),
}
"""Every command by its name, in the order in which --help shows them."""
