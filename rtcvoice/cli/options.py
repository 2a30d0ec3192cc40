"""What can be asked for on the command line, and what the exit codes mean."""

from __future__ import annotations

import argparse
from collections.abc import Coroutine, Sequence
from importlib import import_module
from importlib.metadata import version
from typing import Any

from rtcvoice.errors import (
    CallEnded,
    ConfigError,
    CredentialsError,
    DeviceError,
    RtcVoiceError,
    ServerError,
    SignalingError,
    TransportError,
)

__all__ = ["EXIT_CODES", "parse"]

EXIT_CODES: list[tuple[type[RtcVoiceError], int]] = [
    (ConfigError, 2),
    (CredentialsError, 3),
    (SignalingError, 4),
    (TransportError, 5),
    (DeviceError, 6),
    (ServerError, 7),
    (CallEnded, 7),
    (RtcVoiceError, 1),
]

_DESCRIPTION = """\
Talk to a realtime voice model over WebRTC, from files or in writing.

examples:
  python -m rtcvoice --emulator
      no key, no network: a recorded question to the built-in emulator
  python -m rtcvoice --input question.wav --output answer.wav
      the same to the real service (OPENAI_API_KEY in the environment or in .env)
  python -m rtcvoice --text "Tell me a joke." --output joke.wav
  python -m rtcvoice emulator --port 8080
      a local server for other programs, at http://127.0.0.1:8080/v1
"""

_EPILOG = """\
exit codes: 0 done, 2 wrong options, 3 no usable key, 4 refused or unreachable (HTTP),
  5 no connection (WebRTC), 6 audio file or device, 7 ended by the server, 130 Ctrl-C,
  141 the reader of stdout left, 143 SIGTERM
"""


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the options; `run` among them is the command's coroutine function."""
    arguments = list(argv) if argv is not None else None
    options = _parser().parse_args(arguments)
    if not hasattr(options, "run"):
        options.run = _command("rtcvoice.cli.talk")
    return options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rtcvoice",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=version("rtcvoice"))
    _add_verbose(parser)
    _add_talk(parser)
    commands = parser.add_subparsers(title="other commands", metavar="command")
    _add_emulator(commands)
    return parser


def _add_talk(parser: argparse.ArgumentParser) -> None:
    what = parser.add_argument_group("what is said and heard")
    what.add_argument("--input", metavar="FILE", help="what you say: any audio file")
    what.add_argument("--text", help="what you write, once connected")
    what.add_argument("--output", metavar="FILE", help="write what is heard to this WAV file")
    what.add_argument(
        "--seconds", type=_seconds, metavar="N", help="hang up after N seconds at the latest"
    )
    what.add_argument(
        "--json", action="store_true", help="print the events as JSON lines instead of a transcript"
    )
    session = parser.add_argument_group("the session")
    session.add_argument("--model", help="default: gpt-realtime-2.1")
    session.add_argument("--voice", help="such as marin or cedar")
    session.add_argument("--instructions", help="how the assistant is to behave")
    where = parser.add_argument_group("where").add_mutually_exclusive_group()
    where.add_argument(
        "--emulator", action="store_true", help="call the built-in emulator: no key, no network"
    )
    where.add_argument("--base-url", metavar="URL", help="default: https://api.openai.com/v1")
    parser.add_argument(
        "--script",
        metavar="FILE",
        help="with --emulator: what is said, turn by turn, and what is answered (YAML)",
    )


def _add_emulator(commands: Any) -> None:
    parser = commands.add_parser(
        "emulator",
        help="run a local Realtime server",
        description="Run a local Realtime server over real WebRTC. Any key that begins with sk-"
        " is accepted. It speaks in recorded prompts and understands nothing but its script.",
    )
    _add_verbose(parser)
    parser.add_argument("--port", type=int, default=8080, help="default: 8080; 0 takes a free one")
    parser.add_argument(
        "--host", default="127.0.0.1", help="default: 127.0.0.1, which only this machine reaches"
    )
    parser.add_argument("--script", metavar="FILE", help="what is said and answered (YAML)")
    parser.add_argument(
        "--idle",
        choices=("rtp", "gap"),
        default="rtp",
        help="between answers send silence (rtp, the default) or nothing (gap)",
    )
    parser.set_defaults(run=_command("rtcvoice.cli.serve"))


def _add_verbose(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-v", "--verbose", action="count", default=0, help="log to stderr; -vv for every event"
    )


def _command(module: str) -> Any:
    """Return the module's `run`, imported when it is called: --help should not wait for aiortc."""

    def run(options: argparse.Namespace) -> Coroutine[Any, Any, int]:
        command: Coroutine[Any, Any, int] = import_module(module).run(options)
        return command

    return run


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not seconds > 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0")
    return seconds
