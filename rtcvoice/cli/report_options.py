"""The options of `report`."""

from __future__ import annotations

import argparse

__all__ = ["add_report"]

_REPORT = """\
Show a recorded call (--record) as one HTML page: sound, words, waits, network,
cost, every event. It needs no network, and no file but itself.

examples:
  %(prog)s calls/20261129-101500-000_rtc_abc --open
      look at it now
  %(prog)s calls/20261129-101500-000_rtc_abc -o friday.html
      into a file of your choice; it is replaced if it is there

Without -o it becomes report.html in the folder of the call, and is deleted
with it (keep_days). The page holds all that was said: only you can read it.
"""


def add_report(parser: argparse.ArgumentParser) -> None:
    """Add the options of `report`."""
    parser.description = _REPORT
    parser.usage = "%(prog)s DIR [options]"
    parser.add_argument("folder", metavar="DIR", help="the folder of one recorded call")
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="the page (- for stdout); default: report.html in DIR",
    )
    parser.add_argument("--open", action="store_true", help="open it in the browser")
