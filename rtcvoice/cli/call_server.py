"""`python -m rtcvoice call-server`: a page to talk with, until it is stopped."""

from __future__ import annotations

import argparse
import asyncio
import logging
import webbrowser
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

from rich.console import Console

import rtcvoice
from rtcvoice.cli.emulated import check_script, use_emulator
from rtcvoice.cli.session_options import session_from
from rtcvoice.errors import ConfigError
from rtcvoice.system.extras import install_extra
from rtcvoice.system.hosts import is_loopback_host
from rtcvoice.system.threads import in_thread

__all__ = ["run"]

LIMITS = rtcvoice.Limits(seconds=1800, idle=120)


async def run(options: argparse.Namespace) -> int:
    """Serve until cancelled."""
    check_script(options)
    console = Console(highlight=False, soft_wrap=True)
    if not options.verbose:  # who calls, and what is refused, is worth a line
        logging.getLogger("rtcvoice.call_server").setLevel(logging.INFO)
    async with AsyncExitStack() as stack:
        if options.emulator:
            await use_emulator(options, stack, for_browsers=True)
        server = await stack.enter_async_context(_server(options))
        console.print(f"call server at {_shown(server.url, options)} (Ctrl-C stops it)")
        if options.emulator:
            console.print("the emulator answers: it is no AI, and costs nothing")
        if options.open_to_all:
            console.print("whoever reaches this address may call, at your expense")
        if options.open and not await in_thread(webbrowser.open, _shown(server.url, options)):
            console.print("no browser opens here: open the address in one")
        await asyncio.Event().wait()
    return 0


def _server(options: argparse.Namespace) -> rtcvoice.CallServer:
    given: dict[str, Any] = session_from(options)
    limits = given.pop("limits", rtcvoice.Limits())
    given["limits"] = replace(limits, seconds=limits.seconds or LIMITS.seconds, idle=LIMITS.idle)
    given.pop("ice_servers", None)
    given.pop("transport", None)
    try:
        return rtcvoice.CallServer(
            push_to_talk=options.push_to_talk,
            callers=rtcvoice.CallerLimits(calls_per_minute=options.per_minute),
            most_calls=options.most_calls,
            title=options.title,
            show_tools=True,
            host=options.host,
            port=options.port,
            cert=options.cert,
            key=options.key,
            origins=options.allow_origin,
            public_hosts=options.public_host,
            open_to_all=options.open_to_all,
            behind_proxy=options.behind_proxy,
            **given,
        )
    except ModuleNotFoundError as exc:
        if exc.name != "aiohttp":
            raise
        raise ConfigError(
            "the call server needs the package aiohttp", hint=install_extra("server")
        ) from exc


def _shown(url: str, options: argparse.Namespace) -> str:
    """Return an address that can be opened: where all are listened on, one of this machine."""
    if is_loopback_host(options.host) or options.host not in ("0.0.0.0", "::", ""):  # noqa: S104
        return url
    scheme, _, rest = url.partition("://")
    return f"{scheme}://localhost:{rest.rpartition(':')[2]}"
