"""The options of `python -m rtcvoice devices`."""

from __future__ import annotations

import argparse

from rtcvoice.cli.network_options import add_config

__all__ = ["add_devices"]

_DESCRIPTION = """\
List the microphones and loudspeakers of this machine; * marks those that are
used when none is named. --microphone and --speaker take a part of a name shown
here, or its number.

examples:
  %(prog)s
  %(prog)s --test
      plays a tone, records three seconds, shows the level, plays it back
  %(prog)s --test --microphone headset --speaker 3
"""


def add_devices(parser: argparse.ArgumentParser) -> None:
    """Add the options of `devices`."""
    parser.description = _DESCRIPTION
    parser.add_argument("--test", action="store_true", help="play a tone, record, play it back")
    parser.add_argument("--microphone", metavar="NAME", help="with --test: another microphone")
    parser.add_argument("--speaker", metavar="NAME", help="with --test: another loudspeaker")
    parser.set_defaults(usual_microphone=None, usual_speaker=None)
    add_config(parser)
