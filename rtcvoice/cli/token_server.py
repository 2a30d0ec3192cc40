"""`python -m rtcvoice token-server`: hands out ephemeral tokens until it is stopped."""

from __future__ import annotations

import argparse
import asyncio
import logging
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

from rich.console import Console

from rtcvoice.cli.figures import figures
from rtcvoice.cli.network_options import network_from
from rtcvoice.errors import ConfigError
from rtcvoice.system.extras import install_extra
from rtcvoice.system.small_files import UnreadableFile, read_text
from rtcvoice.telemetry import names

if TYPE_CHECKING:
    from rtcvoice.token_server.server import TokenServer

__all__ = ["run"]

MOST_KEYS = 1 << 20
"""Bytes of a file with client keys."""


async def run(options: argparse.Namespace) -> int:
    """Serve until cancelled."""
    server = _server(options)
    console = Console(highlight=False, soft_wrap=True)
    if not options.verbose:  # what a server refuses, and why, is worth a line
        logging.getLogger("rtcvoice.token_server.server").setLevel(logging.INFO)
    async with AsyncExitStack() as stack:
        page = stack.enter_context(figures(options))
        await stack.enter_async_context(server)
        if page is not None:
            page.show_count(
                names.TOKEN_SERVER_REQUESTS,
                "Requests for tokens that were answered",
                lambda: [(n, {names.STATUS_CODE: s}) for s, n in list(server.answers.items())],
            )
        console.print(f"token server at {server.url} (Ctrl-C stops it); to call:")
        model = f" --model {options.model}" if server.begins_sessions else ""
        console.print(f"  python -m rtcvoice --token-url {server.url}{model} ...")
        if options.open:
            console.print("  whoever reaches this address gets tokens at your expense")
        await asyncio.Event().wait()
    return 0


def _server(options: argparse.Namespace) -> TokenServer:
    try:
        from rtcvoice.token_server.server import TokenServer
        from rtcvoice.token_server.session_file import session_options
    except ModuleNotFoundError as exc:
        if exc.name not in ("aiohttp", "yaml"):
            raise
        raise ConfigError(
            f"the token server needs the package {exc.name}",
            hint=install_extra("emulator"),
        ) from exc
    given: dict[str, Any] = session_options(options.session) if options.session else {}
    for name in ("model", "voice", "instructions", "safety_identifier"):
        if (value := getattr(options, name)) is not None:
            given[name] = value
    per_client = given.get("safety_identifier") == "per-client"
    if per_client:
        del given["safety_identifier"]
    return TokenServer(
        given | network_from(options),
        host=options.host,
        port=options.port,
        allow=options.allow,
        origins=options.allow_origin,
        client_keys=_client_keys(options.client_key_file),
        per_minute=options.per_minute,
        token_seconds=options.token_seconds,
        behind_proxy=options.behind_proxy,
        public_hosts=options.public_host,
        open_to_all=options.open,
        per_client_identifier=per_client,
    )


def _client_keys(path: str | None) -> list[str]:
    if path is None:
        return []
    try:
        keys = read_text(path, most_bytes=MOST_KEYS).split()
    except UnreadableFile as exc:
        raise ConfigError(
            f"the client keys in {path} cannot be read: {exc}",
            hint="write each key on a line of its own",
        ) from exc
    if not keys:
        raise ConfigError(f"{path} holds no client key", hint="write each key on a line of its own")
    return keys
