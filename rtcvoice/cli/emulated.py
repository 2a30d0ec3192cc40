"""`--emulator`: the server of a call in this very process, with its script."""

from __future__ import annotations

import argparse
from contextlib import AsyncExitStack

import rtcvoice
from rtcvoice import ConfigError, RtcVoiceError
from rtcvoice.cli.demo_options import DEMO_FILE
from rtcvoice.system.threads import in_thread

__all__ = ["check_script", "choose_output", "use_emulator"]


def check_script(options: argparse.Namespace) -> None:
    """Raise ConfigError for a script that nobody would follow."""
    if options.script is not None and not options.emulator:
        raise ConfigError("--script works only with --emulator", hint="add --emulator")


async def use_emulator(
    options: argparse.Namespace, stack: AsyncExitStack, *, for_browsers: bool = False
) -> None:
    """Start an emulator that ends with the stack, and let the options lead there.

    for_browsers: also those of other machines, and those that reach no loopback by WebRTC.
    """
    from rtcvoice.emulator import Emulator

    server = await stack.enter_async_context(
        Emulator(script=options.script, all_addresses=for_browsers)
    )
    options.base_url = server.url
    options.api_key = "sk-emulator"


async def choose_output(options: argparse.Namespace) -> None:
    """Let a demo be heard where there is a loudspeaker; elsewhere it is kept in a file."""
    if not options.demo or options.output is not None or options.speaker is not None:
        return
    try:
        found = await in_thread(rtcvoice.devices)
    except RtcVoiceError:
        found = []
    if any(device.outputs for device in found):
        options.speaker = options.usual_speaker or "default"
    else:
        options.output = DEMO_FILE
