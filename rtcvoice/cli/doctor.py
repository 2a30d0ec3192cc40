"""`python -m rtcvoice doctor`: looks over what a call needs, and says of each thing what to do."""

from __future__ import annotations

import argparse
import json
import sys
import textwrap
from contextlib import AsyncExitStack
from typing import Any, TextIO

from rich.console import Console
from rich.text import Text

from rtcvoice.cli.exit_codes import exit_code
from rtcvoice.cli.network_options import network_from
from rtcvoice.cli.output import as_options, write_line
from rtcvoice.errors import (
    clean,
)

__all__ = ["run"]

_STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red", "-": "dim"}
_AREA, _LEVEL = 11, 5


async def run(options: argparse.Namespace) -> int:
    """Examine and show; return 0, or the exit code of the first failure."""
    from rtcvoice.doctor import Finding, Severity, examine, of_error

    failures: list[Finding] = []
    warnings = 0
    async with AsyncExitStack() as stack:
        given = await _given(options, stack)
        show = _json if options.json else _show
        if options.dot_env_error is not None:
            warnings += 1
            show(of_error(".env", options.dot_env_error, Severity.WARN))
        async for finding in examine(given):
            show(finding)
            warnings += finding.level is Severity.WARN
            if finding.level is Severity.FAIL:
                failures.append(finding)
    if not options.json:
        _verdict(len(failures), warnings)
    return _code(failures[0]) if failures else 0


async def _given(options: argparse.Namespace, stack: AsyncExitStack) -> dict[str, Any]:
    given = network_from(options)
    for name in ("model", "connect_timeout"):
        if (value := getattr(options, name)) is not None:
            given[name] = value
    if options.emulator:
        from rtcvoice.emulator import Emulator

        server = await stack.enter_async_context(Emulator())
        given["base_url"] = server.url
        if "credentials" not in given:
            given["api_key"] = "sk-emulator"
    return given


def _code(finding: Any) -> int:
    code = 4 if finding.area in ("dns", "tls", "http") else 1  # where there is no error to ask
    return exit_code(finding.error, without=code)


def _json(finding: Any) -> None:
    told = {"area": finding.area, "level": finding.level, "text": finding.text}
    cure = {"cure": as_options(finding.cure)} if finding.cure else {}
    write_line(sys.stdout, json.dumps(told | cure))


def _show(finding: Any) -> None:
    """Print a finding: wrapped and coloured in a terminal, a line each in a pipe."""
    text, cure = clean(finding.text), clean(as_options(finding.cure))
    if not _is_terminal(sys.stdout):
        write_line(sys.stdout, f"{finding.level:{_LEVEL}} {finding.area:{_AREA}} {text}")
        if cure:
            write_line(sys.stdout, f"{'':{_LEVEL + _AREA + 1}} -> {cure}")
        return
    console = Console(file=sys.stdout, highlight=False, soft_wrap=True)
    margin = " " * (_LEVEL + _AREA + 2)
    width = max(40, console.width) - len(margin) - 1
    lines = textwrap.wrap(text, width) or [""]
    cures = textwrap.wrap(cure, width - 3) if cure else []
    line = Text(f"{finding.level:{_LEVEL}} ", _STYLES[finding.level])
    console.print(line.append(f"{finding.area:{_AREA}} {lines[0]}", style="default not bold"))
    for more in lines[1:]:
        console.print(Text(margin + more))
    for number, more in enumerate(cures):
        console.print(Text(margin + ("-> " if not number else "   ") + more, "cyan"))


def _is_terminal(stream: TextIO | None) -> bool:
    return stream is not None and stream.isatty()


def _verdict(failures: int, warnings: int) -> None:
    if failures:
        told = f"{failures} of the above {'stops' if failures == 1 else 'stop'} calls from working"
    elif warnings:
        told = f"calls work; {warnings} {'thing' if warnings == 1 else 'things'} could be better"
    else:
        told = "all is well"
    write_line(sys.stdout, f"\n{told}")
