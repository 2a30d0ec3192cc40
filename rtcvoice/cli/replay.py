"""`python -m rtcvoice replay DIR`: a recorded call once more, and both side by side."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import AsyncExitStack
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

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
            _announce(source.acts, source.seconds)
            result = await source.replay(call)
    show = _show_json if options.json else _show_table if _is_terminal() else _show_lines
    show(result)
    return DIFFERENT if _differ(result) else 0


def _announce(acts: int, lasted: float) -> None:
    """Say on a terminal what is going on: a replay takes as long as the call did."""
    if sys.stderr is not None and sys.stderr.isatty():
        minutes, seconds = divmod(round(lasted), 60)
        things = "1 thing" if acts == 1 else f"{acts} things"
        told = f"doing {things} again: it takes about {minutes}:{seconds:02}"
        write_line(sys.stderr, told)


def _differ(result: rtcvoice.ReplayResult) -> list[Any]:
    """Return what decides the exit code; waits do not: networks and models vary."""
    return [each for each in result.pairs if not each.same and each.what != "wait"]


def _verdict(result: rtcvoice.ReplayResult) -> str:
    differ = _differ(result)
    waits = [each for each in result.pairs if not each.same and each.what == "wait"]
    told = "the same turns and tools"
    if differ:
        whole = sum(each.what != "wait" for each in result.pairs)
        told = f"{len(differ)} of {whole} turns and tools {'differs' if whole == 1 else 'differ'}"
    longer = f"; waits that differ by half a second or more: {len(waits)}" if waits else ""
    return f"{len(result.recorded.turns)} turns recorded: {told}{longer}"


def _show_lines(result: rtcvoice.ReplayResult) -> None:
    for line in str(result).splitlines():
        write_line(sys.stdout, clean(line))
    write_line(sys.stdout, _verdict(result))


def _show_json(result: rtcvoice.ReplayResult) -> None:
    """Print an object a line: each pair, what was left out, and the verdict last."""
    for each in result.pairs:
        write_line(sys.stdout, json.dumps(each._asdict()))
    for line in result.left_out:
        write_line(sys.stdout, json.dumps({"what": "left out", "text": line}))
    verdict = {"what": "verdict", "same": not _differ(result), "text": _verdict(result)}
    write_line(sys.stdout, json.dumps(verdict))


def _show_table(result: rtcvoice.ReplayResult) -> None:
    """Print both calls beside each other, what differs in colours."""
    table = Table(box=box.SIMPLE_HEAD, expand=True, pad_edge=False)
    table.add_column("", no_wrap=True)
    table.add_column("recorded", ratio=1, overflow="fold")
    table.add_column("now", ratio=1, overflow="fold")
    before = ""
    for each in result.pairs:
        if before and each.what != before:
            table.add_section()
        before = each.what
        sign = Text(f"{'=' if each.same else '!'} {each.what} {each.number}")
        sign.stylize("dim" if each.same else "bold red")
        left, right = ("", "") if each.same else ("green", "red")
        cells = Text(each.recorded or "-", left), Text(each.now or "-", right)
        table.add_row(sign, *cells)
    console = Console(file=sys.stdout, highlight=False)
    console.print(table)
    for line in result.left_out:
        console.print(Text(f"left out: {line}", "yellow"))
    console.print(Text(_verdict(result), "bold red" if _differ(result) else "bold green"))


def _is_terminal() -> bool:
    return sys.stdout is not None and sys.stdout.isatty()
