"""`python -m rtcvoice report DIR`: a recorded call as one page."""

from __future__ import annotations

import argparse
import sys
import webbrowser

import rtcvoice
from rtcvoice.cli.output import write_line
from rtcvoice.system.threads import in_thread

__all__ = ["run"]


async def run(options: argparse.Namespace) -> int:
    """Make the page, say where it is, and open it if that is wanted; return the exit code."""
    page = await in_thread(rtcvoice.report, options.folder, options.output)
    write_line(sys.stdout, str(page))
    if options.open and not await in_thread(webbrowser.open, page.absolute().as_uri()):
        write_line(sys.stderr, "there is no browser here that could open it")
    return 0
