"""`python -m rtcvoice replay DIR`: a recorded call once more, and both side by side."""

from __future__ import annotations

import argparse
import sys
from contextlib import AsyncExitStack

import rtcvoice
from rtcvoice.cli.emulated import check_script, use_emulator
from rtcvoice.cli.exit_codes import DIFFERENT
from rtcvoice.cli.output import write_line
from rtcvoice.cli.session_options import session_from
from rtcvoice.errors import clean
from rtcvoice.system.threads import in_thread

__all__ = ["run"]


async def run(options: argparse.Namespace) -> int:
    """Replay the call and show what differs; return the exit code."""
    check_script(options)
    async with AsyncExitStack() as stack:
        if options.emulator:
            await use_emulator(options, stack)
        session = session_from(options)
        source = await in_thread(
            rtcvoice.ReplaySource,
            options.folder,
            by_clock=options.by_clock,
            tools=session.pop("tools", None),
        )
        session = {**source.options, **session}
        async with rtcvoice.connect(source=source, sink=None, **session) as call:
            result = await source.replay(call)
    for line in str(result).splitlines():
        write_line(sys.stdout, clean(line))
    differ = [each for each in result.differences if not each.startswith("wait")]
    told = f"{len(differ)} differ" if differ else "the same turns and tools"
    write_line(sys.stdout, f"{len(result.recorded.turns)} turns recorded: {told}")
    return DIFFERENT if differ else 0
