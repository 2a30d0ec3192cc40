"""`--emulator`: the server of a call in this very process, with its script."""

from __future__ import annotations

import argparse
from contextlib import AsyncExitStack

from rtcvoice import ConfigError

__all__ = ["check_script", "use_emulator"]


def check_script(options: argparse.Namespace) -> None:
    """Raise ConfigError for a script that nobody would follow."""
    if options.script is not None and not options.emulator:
        raise ConfigError("--script belongs to --emulator", hint="add --emulator")


async def use_emulator(options: argparse.Namespace, stack: AsyncExitStack) -> None:
    """Start an emulator that ends with the stack, and let the options lead there."""
    from rtcvoice.emulator import Emulator

    server = await stack.enter_async_context(Emulator(script=options.script))
    options.base_url = server.url
    options.api_key = "sk-emulator"
