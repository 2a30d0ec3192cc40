"""The options of a call from the terminal."""

from __future__ import annotations

import argparse
from typing import Any

from rtcvoice.cli.figures import add_metrics
from rtcvoice.cli.network_options import (
    add_bad_network,
    add_config,
    add_key,
    add_network,
    add_relay,
)
from rtcvoice.cli.parser import file_or_stdio, message, seconds
from rtcvoice.cli.session_options import (
    add_assistant,
    add_hearing,
    add_limits,
    add_live,
    add_tools,
    add_turns,
)

__all__ = ["TALK", "add_ends", "add_shown", "add_talk", "add_transcript", "add_where"]

TALK = """\
Talk to a realtime voice model over WebRTC: live, from files, or in writing.

examples:
  %(prog)s
      a live call with microphone and loudspeaker (OPENAI_API_KEY in the
      environment or in .env); q hangs up, ? shows the other keys
  %(prog)s --headphones --microphone USB --voice cedar
      no echo to cancel, and a microphone by a part of its name
  %(prog)s --emulator
      no key, no network, no device: a recorded question to a local server
  %(prog)s --input question.wav --output answer.wav
      from a file into a file; ends when everything was said and answered
  %(prog)s --push-to-talk --tools demo --limit-cost 0.50
      heard only while space is held; the model may call functions; what the
      call may cost
  %(prog)s --text "Tell me a joke." --output joke.wav
  cat question.wav | %(prog)s --input - --output - | aplay
      in a pipe: WAV or raw 16-bit mono at 24 kHz; the words go to stderr
"""


def add_talk(parser: argparse.ArgumentParser) -> None:
    """Add the options of `talk`."""
    add_ends(parser)
    session = parser.add_argument_group("the session")
    add_assistant(session)
    add_hearing(session)
    add_turns(session)
    add_tools(session)
    add_live(session)
    add_limits(session)
    add_where(parser)
    add_shown(parser)
    parser.set_defaults(to=None)


def add_ends(parser: argparse.ArgumentParser) -> None:
    """Add what is said and heard."""
    parser.set_defaults(usual_microphone=None, usual_speaker=None)
    ends = parser.add_argument_group(
        "what is said and heard",
        "Microphone and loudspeaker by default. With --input, --text or --emulator a\n"
        "device is opened only where one is named.",
    )
    said = ends.add_mutually_exclusive_group()
    said.add_argument(
        "--input",
        type=file_or_stdio,
        metavar="FILE|-|none",
        help="what you say: any audio file, stdin, or silence",
    )
    said.add_argument(
        "--microphone", metavar="NAME|INDEX", help="speak into this device (also: --device-in)"
    )
    said.add_argument("--device-in", dest="microphone", help=argparse.SUPPRESS)
    heard = ends.add_mutually_exclusive_group()
    heard.add_argument(
        "--output",
        type=file_or_stdio,
        metavar="FILE|-|none",
        help="what is heard: a WAV file, stdout, or nowhere",
    )
    heard.add_argument(
        "--speaker", metavar="NAME|INDEX", help="play it on this device (also: --device-out)"
    )
    heard.add_argument("--device-out", dest="speaker", help=argparse.SUPPRESS)
    ends.add_argument("--text", type=message, help="what you write, once connected")
    ends.add_argument(
        "--headphones",
        action="store_true",
        help="you wear headphones: no echo cancellation is needed",
    )
    ends.add_argument(
        "--raw", action="store_true", help="with --output -: samples without a WAV header"
    )
    ends.add_argument(
        "--live",
        action="store_true",
        help="with --input -: the other program records now; drop sound that arrives too late",
    )


def add_where(parser: argparse.ArgumentParser) -> None:
    """Add which server is called, and how."""
    parser.set_defaults(demo=False)
    where = parser.add_argument_group("where")
    server = where.add_mutually_exclusive_group()
    server.add_argument(
        "--emulator", action="store_true", help="call the built-in emulator: no key, no network"
    )
    server.add_argument("--base-url", metavar="URL", help="default: https://api.openai.com/v1")
    add_key(where)
    add_network(where)
    add_relay(where)
    add_bad_network(where)
    where.add_argument(
        "--direct",
        action="store_const",
        const=True,
        help="offer the call with the key itself, without a token first",
    )
    where.add_argument(
        "--connect-timeout", type=seconds, metavar="N", help="seconds to get through (10)"
    )
    where.add_argument(
        "--script",
        metavar="FILE",
        help="with --emulator: what is said, turn by turn, and what is answered (YAML)",
    )


def add_shown(parser: argparse.ArgumentParser) -> None:
    """Add how long it lasts, and what is printed."""
    shown = parser.add_argument_group("how it runs")
    shown.add_argument(
        "--seconds",
        type=seconds,
        metavar="N",
        help="hang up after N seconds, whatever is being said",
    )
    add_transcript(shown)
    add_metrics(shown)
    add_config(shown)
    shown.add_argument(
        "--json", action="store_true", help="print the events as JSON lines instead of a transcript"
    )


def add_transcript(group: Any) -> None:
    """Add where the words, and the whole call, are kept."""
    group.add_argument(
        "--transcript",
        metavar="FILE",
        help="add what both sides say, with the time of day, to a text file as it is said",
    )
    group.add_argument(
        "--record",
        metavar="DIR",
        help="keep sound, events and figures of the call in a folder of its own there;"
        " ask those who will be heard first",
    )
