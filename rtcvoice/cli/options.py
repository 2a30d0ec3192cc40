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
from typing import Any, NamedTuple

from rtcvoice import __version__
from rtcvoice.cli.batch_options import add_batch, add_load
from rtcvoice.cli.call_server_options import add_call_server
from rtcvoice.cli.completion import add_completion
from rtcvoice.cli.demo_options import add_demo
from rtcvoice.cli.devices_options import add_devices
from rtcvoice.cli.doctor_options import add_doctor
from rtcvoice.cli.emulator_options import add_emulator
from rtcvoice.cli.exit_codes import EXIT_CODES_TOLD
from rtcvoice.cli.known import add_models, add_voices
from rtcvoice.cli.parser import Parser, meant, program
from rtcvoice.cli.replay_options import add_replay
from rtcvoice.cli.report_options import add_report
from rtcvoice.cli.talk_options import TALK, add_talk
from rtcvoice.cli.text_options import add_text
from rtcvoice.cli.token_server_options import add_token_server
from rtcvoice.cli.translate_options import add_translate
from rtcvoice.errors import ConfigError

__all__ = ["COMMANDS", "all_parsers", "parse", "summaries"]

_VERBOSE = re.compile(r"-v+|--verbose")


class _Command(NamedTuple):
    """One command of the command line."""

    summary: str
    module: str
    """Its `function(options)` is a coroutine function that returns the exit code."""
    add: Callable[[argparse.ArgumentParser], None]
    """Adds its options and sets its description."""
    function: str = "run"


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the options; `run` among them is the command's coroutine function.

    Raises ConfigError for what cannot be understood. `argv` None: the process's own arguments.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    before = list(itertools.takewhile(_VERBOSE.fullmatch, arguments))
    name = "".join(arguments[len(before) : len(before) + 1])
    if name == "help":
        return parse([*arguments[len(before) + 1 :][:1], "--help"])
    if not name or name.startswith("-"):
        name = "talk"
    elif name in COMMANDS:
        arguments = before + arguments[len(before) + 1 :]
    else:
        raise ConfigError(
            f"there is no command {name!r}",
            hint=meant(name, [*COMMANDS, "help"]) or f"commands: {', '.join(COMMANDS)}",
        )
    parser = _parser(name)
    if "--config" in parser.by_name:
        _apply_config(parser, name, arguments)
    options = parser.parse_args(arguments)
    options.parsers, options.summaries = all_parsers, summaries  # for those who list them
    options.run = _imported_when_called(COMMANDS[name])
    return options


def all_parsers() -> dict[str, Parser]:
    """Return the parser of every command by its name."""
    return {name: _parser(name) for name in COMMANDS}


def summaries() -> dict[str, str]:
    """Return what every command does, in a few words."""
    return {name: command.summary for name, command in COMMANDS.items()}


def _apply_config(parser: Parser, name: str, arguments: Sequence[str]) -> None:
    """Let the user's own file say what nobody typed. Raises ConfigError."""
    from rtcvoice.cli import config_file  # late: most have no such file

    named = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    named.add_argument("--config")
    try:
        path = named.parse_known_args(arguments)[0].config
    except argparse.ArgumentError:
        return  # the real parser complains of it
    if path is None and not ((usual := config_file.usual_place()) and usual.exists()):
        return
    file = config_file.read(path)
    known = {word[2:] for each in all_parsers().values() for word in each.by_name}
    config_file.apply(parser, name, COMMANDS, known, file, arguments)


def _parser(name: str) -> Parser:
    command = COMMANDS[name]
    default = name == "talk"
    prog = program() if default else f"{program()} {name}"
    parser = Parser(prog=prog, usage="%(prog)s [options]")
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument(
        "-v", "--verbose", action="count", default=0, help="log to stderr; -vv for every event"
    )
    command.add(parser)
    parser.epilog = (_other_commands() if default else "") + EXIT_CODES_TOLD
    return parser


def _other_commands() -> str:
    lines = [f"  {name:14}{each.summary}" for name, each in COMMANDS.items()]
    return "\n".join(["commands (help COMMAND shows more of each):", *lines, "", ""])


def _imported_when_called(command: _Command) -> Callable[..., Coroutine[Any, Any, int]]:
    """Return the command's function, imported when it is called: --help should not wait for it."""

    def run(options: argparse.Namespace) -> Coroutine[Any, Any, int]:
        function = getattr(import_module(command.module), command.function)
        running: Coroutine[Any, Any, int] = function(options)
        return running

    return run


def _add_talk(parser: argparse.ArgumentParser) -> None:
    parser.description = TALK
    add_talk(parser)


COMMANDS = {
    "talk": _Command("have a call; also when no command is named", "rtcvoice.cli.talk", _add_talk),
    "demo": _Command("try it: a call on this machine, free", "rtcvoice.cli.talk", add_demo),
    "devices": _Command("list sound devices, try two of them", "rtcvoice.cli.devices", add_devices),
    "text": _Command("chat in writing", "rtcvoice.cli.text_chat", add_text),
    "translate": _Command("have an interpreter", "rtcvoice.cli.talk", add_translate),
    "doctor": _Command("look over what a call needs", "rtcvoice.cli.doctor", add_doctor),
    "emulator": _Command("run a local Realtime server", "rtcvoice.cli.serve", add_emulator),
    "token-server": _Command(
        "hand out tokens, so that clients need no key",
        "rtcvoice.cli.token_server",
        add_token_server,
    ),
    "call-server": _Command(
        "talk with a web page, and serve it", "rtcvoice.cli.call_server", add_call_server
    ),
    "replay": _Command("do a recorded call again", "rtcvoice.cli.replay", add_replay),
    "report": _Command("show a recorded call as a page", "rtcvoice.cli.report", add_report),
    "batch": _Command("make many calls, and keep them", "rtcvoice.cli.batch", add_batch),
    "load": _Command("load your own server", "rtcvoice.cli.batch", add_load, "run_load"),
    "voices": _Command("list voices", "rtcvoice.cli.known", add_voices, "run_voices"),
    "models": _Command("list models and prices", "rtcvoice.cli.known", add_models, "run_models"),
    "completion": _Command("complete in your shell", "rtcvoice.cli.completion", add_completion),
}
"""Every command by its name, in the order in which --help shows them."""
