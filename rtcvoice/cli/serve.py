"""`python -m rtcvoice emulator`: the emulator as a server of its own, until it is stopped."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich.console import Console

from rtcvoice.cli.figures import figures
from rtcvoice.emulator import ABOUT, Emulator
from rtcvoice.emulator.fault_parser import parse_live, parse_options
from rtcvoice.telemetry import names

if TYPE_CHECKING:
    from rtcvoice.telemetry.prometheus import MetricsPage

__all__ = ["run"]


async def run(options: argparse.Namespace) -> int:
    """Serve until cancelled."""
    with figures(options) as page:
        await _serve(options, page)
    return 0


async def _serve(options: argparse.Namespace, page: MetricsPage | None) -> None:
    console = Console(highlight=False, soft_wrap=True)
    async with Emulator(
        host=options.host,
        port=options.port,
        script=options.script,
        voice=options.voice,
        audio=options.audio,
        gap=options.idle == "gap",
        no_udp=options.no_udp,
        record=options.record,
        origins=options.origin,
        models=options.model,
        live=parse_live(options.gpt_live),
        faults=parse_options(options.fault),
    ) as server:
        if page is not None:
            answered = _Answered()
            page.show_level(
                names.EMULATED_ACTIVE_CALLS,
                "Calls that the emulator has now",
                lambda: [(sum(not call.ended for call in list(server.calls.values())), {})],
            )
            page.show_count(
                names.EMULATED_CALLS,
                "Calls that the emulator has answered",
                lambda: [(answered(server.calls), {})],
            )
        console.print(f"emulator listens on {server.url} (Ctrl-C stops it)")
        console.print(ABOUT, soft_wrap=not console.is_terminal)
        console.print(
            f"to call it: OPENAI_API_KEY=sk-any python -m rtcvoice --base-url {server.url} ..."
        )
        await asyncio.Event().wait()


class _Answered:
    """Counts calls; those that ended long ago are forgotten by the emulator, but not here."""

    def __init__(self) -> None:
        self._count = 0
        self._seen: set[str] = set()

    def __call__(self, calls: Mapping[str, object]) -> int:
        """Return how many there were so far."""
        ids = set(calls)
        self._count += len(ids - self._seen)
        self._seen = ids
        return self._count
