"""The options of a chat in writing."""

from __future__ import annotations

import argparse

from rtcvoice.cli.figures import add_metrics
from rtcvoice.cli.network_options import add_config
from rtcvoice.cli.session_options import add_assistant, add_limits, add_tools
from rtcvoice.cli.talk_options import add_transcript, add_where

__all__ = ["add_text"]

_TEXT = """\
Chat in writing: no audio device is opened, and answers come as text.

In a terminal there is a line to write in, with the keys of a shell; Ctrl-C
stops an answer, or ends the chat, Ctrl-D ends it. In a pipe each line of
stdin is a message, and the answers go to stdout, all else to stderr.

examples:
  %(prog)s
  %(prog)s --tools demo --limit-cost 0.10
  echo "What is a jitter buffer?" | %(prog)s > answer.txt
  %(prog)s --json < questions.txt
      every event as a JSON line
"""


def add_text(parser: argparse.ArgumentParser) -> None:
    """Add the options of `text`."""
    parser.description = _TEXT
    session = parser.add_argument_group("the session")
    add_assistant(session, speaks=False)
    add_tools(session)
    add_limits(session)
    add_where(parser)
    shown = parser.add_argument_group("how it runs")
    add_transcript(shown)
    add_metrics(shown)
    add_config(shown)
    shown.add_argument(
        "--json", action="store_true", help="print the events as JSON lines instead of the answers"
    )
