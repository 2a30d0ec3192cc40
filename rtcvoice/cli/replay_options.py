"""The options of `replay`."""

from __future__ import annotations

import argparse

from rtcvoice.cli.network_options import add_bad_network, add_key, add_network
from rtcvoice.cli.parser import seconds

__all__ = ["add_replay"]

_REPLAY = """\
Do again, in a new call, what the user did in a recorded one (--record), and
show both calls side by side: turns, tools, waits that differ.

examples:
  %(prog)s calls/20261129-101500-000_rtc_abc --emulator
      free: against the built-in emulator
  %(prog)s calls/20261129-101500-000_rtc_abc
      a real call, with OPENAI_API_KEY: it is charged
  %(prog)s calls/20261129-101500-000_rtc_abc --record calls
      keep the new call, too

The exit code is 8 when the turns or the tools differ: for tests, and for CI.
Waits are shown, and do not count: networks and models vary.
"""


def add_replay(parser: argparse.ArgumentParser) -> None:
    """Add the options of `replay`."""
    parser.description = _REPLAY
    parser.usage = "%(prog)s DIR [options]"
    parser.add_argument("folder", metavar="DIR", help="the folder of one recorded call")
    how = parser.add_argument_group("how it is done again")
    how.add_argument(
        "--by-clock",
        action="store_true",
        help="at the recorded times, not after the same answers",
    )
    how.add_argument(
        "--tools",
        metavar="FILE|demo",
        help="run these functions; without it, recorded results are given back",
    )
    how.add_argument("--json", action="store_true", help="print one JSON object a line")
    how.add_argument("--model", help="another model than the recorded one")
    how.add_argument("--record", metavar="DIR", help="keep the new call in a folder of its own")
    where = parser.add_argument_group("where")
    server = where.add_mutually_exclusive_group()
    server.add_argument(
        "--emulator", action="store_true", help="call the built-in emulator: no key, no network"
    )
    server.add_argument("--base-url", metavar="URL", help="default: https://api.openai.com/v1")
    add_key(where)
    add_network(where)
    add_bad_network(where)
    where.add_argument(
        "--script",
        metavar="FILE",
        help="with --emulator: what is said, turn by turn, and what is answered (YAML)",
    )
    where.add_argument(
        "--connect-timeout", type=seconds, metavar="N", help="seconds to get through (10)"
    )
