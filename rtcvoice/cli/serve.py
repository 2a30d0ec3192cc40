"""`python -m rtcvoice emulator`: the emulator as a server of its own, until it is stopped."""

from __future__ import annotations

import argparse
import asyncio

from rich.console import Console

from rtcvoice.emulator import ABOUT, Emulator
from rtcvoice.emulator.fault_parser import parse_options

__all__ = ["run"]


async def run(options: argparse.Namespace) -> int:
    """Serve until cancelled."""
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
        faults=parse_options(options.fault),
    ) as server:
        console.print(f"emulator listens on {server.url} (Ctrl-C stops it)")
        console.print(ABOUT)
        console.print(
            f"to call it: OPENAI_API_KEY=sk-any python -m rtcvoice --base-url {server.url} ..."
        )
        await asyncio.Event().wait()
    return 0
