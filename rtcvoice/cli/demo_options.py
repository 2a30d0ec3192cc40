"""`demo`: the first call of a newcomer, and what is said about it before and after."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import textwrap
from pathlib import Path
from typing import TextIO

from rtcvoice.cli.output import write_line
from rtcvoice.cli.parser import STDIO, program
from rtcvoice.cli.talk_options import add_talk
from rtcvoice.system.environment import environment

__all__ = ["DEMO_FILE", "add_demo", "farewell", "greet", "is_drawn"]

DEMO_FILE = "answer.wav"
"""Where the answer goes when it cannot be heard, in the working directory."""

_DEMO = """\
A call to try: a recorded question goes to a server on this machine, over real
WebRTC, and its recorded answer comes back. It needs no key and no network, and
costs nothing. It is heard on the loudspeaker; without one it is kept in
answer.wav.

examples:
  %(prog)s
  %(prog)s --text "And what happens when a packet gets lost?"
      a question of your own: the server knows few answers
"""

_WHAT_IT_IS = (
    "A call on this machine: a recorded question goes to the built-in emulator, and its recorded"
    " answer comes back over WebRTC. Nothing is charged, and nothing leaves this machine."
)
_LIMITED = (
    "The emulator runs on this machine and costs nothing. It is not an AI: it understands its own"
    " recorded clips only, and answers in recorded words."
)
_NO_TRANSLATION = (
    "The emulator runs on this machine and costs nothing. It cannot translate: it shows how the"
    " call goes, and answers in English."
)
_PLAYERS = ("paplay", "pw-play", "aplay", "afplay", "ffplay", "mpv")


def add_demo(parser: argparse.ArgumentParser) -> None:
    """Add the options of `demo`: those of a call, to the emulator."""
    parser.description = _DEMO
    add_talk(parser)
    parser.set_defaults(emulator=True, demo=True)


def greet(options: argparse.Namespace) -> None:
    """Say what an emulated call is, before anything is loaded; nothing in JSON or scripts."""
    stream = _where(options)
    if stream is None:
        return
    if getattr(options, "to", None) is not None:
        _say(stream, _NO_TRANSLATION)
    else:
        _say(stream, _WHAT_IT_IS if options.demo or _is_demo(options) else _LIMITED)


def _where(options: argparse.Namespace) -> TextIO | None:
    """Return where to say it: where the words go, if anybody looks; a demo says it anyway."""
    if not hasattr(options, "demo") or not options.emulator or options.json:
        return None
    stream = _words_go_to(options)
    return stream if options.demo or _is_seen(stream) else None


def is_drawn(options: argparse.Namespace) -> bool:
    """Whether the call will be drawn on a terminal, so that keys are not to be echoed into it."""
    return (
        hasattr(options, "demo")
        and not options.json
        and _is_seen(_words_go_to(options))
        and environment("TERM") not in ("dumb", "unknown")
    )


def _words_go_to(options: argparse.Namespace) -> TextIO | None:
    return sys.stderr if getattr(options, "output", None) == STDIO else sys.stdout


def _is_seen(stream: TextIO | None) -> bool:
    return stream is not None and stream.isatty()


def farewell(kept_in: Path | None) -> None:
    """Say how to play the file, if there is one, and what to try next."""
    here = _program_here()
    if kept_in is not None:
        player = next(filter(shutil.which, _PLAYERS), None)
        _say(sys.stdout, f"To hear the answer: {player or 'play'} {kept_in}")
    _say(sys.stdout, "What to try next:")
    for command, does in (
        ("text --emulator --tools demo", "write to the emulator; it calls functions"),
        ("doctor", "whether this machine is ready for a real call"),
        ("", "a real call, with OPENAI_API_KEY set"),
    ):
        write_line(sys.stdout, f"  {here} {command}".rstrip())
        _say(sys.stdout, does, indent="      ")


def _is_demo(options: argparse.Namespace) -> bool:
    """Whether nobody named what is said, so that the shipped question is."""
    named = ("input", "text", "microphone", "script")
    return hasattr(options, "text") and all(getattr(options, each) is None for each in named)


def _say(stream: TextIO | None, text: str, *, indent: str = "") -> None:
    width = shutil.get_terminal_size().columns if _is_seen(stream) else 10_000
    for line in textwrap.wrap(
        text, max(20, width - 1), initial_indent=indent, subsequent_indent=indent
    ):
        write_line(stream, line)


def _program_here() -> str:
    """Return what starts this program from the working directory, as it may be typed."""
    beside = Path(sys.executable).with_name("rtcvoice.exe" if os.name == "nt" else "rtcvoice")
    found = shutil.which("rtcvoice")
    if found is not None and Path(found) == beside:
        return "rtcvoice"
    if not beside.exists():
        return program()
    try:
        return str(beside.relative_to(Path.cwd()))
    except ValueError:
        return str(beside)
