"""The options of `python -m rtcvoice translate`."""

from __future__ import annotations

import argparse

from rtcvoice.cli.parser import words
from rtcvoice.cli.session_options import add_assistant, add_hearing, add_limits, add_push_to_talk
from rtcvoice.cli.talk_options import add_ends, add_shown, add_where

__all__ = ["add_translate"]

_TRANSLATE = """\
Have everything that is said translated, and nothing else: an interpreter.
The service's own is used where there is one (gpt-realtime-translate); else a
Realtime model is told by instructions to be one.

examples:
  %(prog)s --to French
      what is said in any language is heard in French, while it is said
  %(prog)s --to French --from English --both
      between two people: English becomes French, and French becomes English
  %(prog)s --to Spanish --input talk.wav --output es.wav
      from file to file; the words of both appear in the terminal
  cat talk.wav | %(prog)s --to German --input - \\
      --output - | aplay
"""


def add_translate(parser: argparse.ArgumentParser) -> None:
    """Add the options of `translate`."""
    parser.description = _TRANSLATE
    languages = parser.add_argument_group("languages", "In any words that the model understands.")
    languages.add_argument(
        "--to", type=words, metavar="LANG", required=True, help="what to translate into"
    )
    languages.add_argument(
        "--from",
        type=words,
        metavar="LANG",
        dest="from_language",
        help="what is spoken (default: anything)",
    )
    languages.add_argument(
        "--both",
        action="store_true",
        help="also the other way round; needs --from; by instructions",
    )
    languages.add_argument(
        "--by-instructions",
        action="store_true",
        help="tell a Realtime model to interpret, turn by turn; also with another --model, --voice,"
        " --speed, --language or --push-to-talk",
    )
    add_ends(parser)
    session = parser.add_argument_group("the session")
    add_assistant(session, instructions=False)
    add_hearing(session)
    add_push_to_talk(session)
    add_limits(session)
    add_where(parser)
    add_shown(parser)
