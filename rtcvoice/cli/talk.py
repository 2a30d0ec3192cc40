"""One call from files or text, on the public API."""

from __future__ import annotations

import argparse
import asyncio
from contextlib import AsyncExitStack, suppress
from typing import Any

import rtcvoice
from rtcvoice import CallEnded, ConfigError, FileSink, FileSource
from rtcvoice.cli.screen import JsonScreen, Screen, TranscriptScreen

__all__ = ["run"]

SETTLE = 1.5
"""Seconds of idleness after which everything has been said: a server needs a moment to begin."""


async def run(options: argparse.Namespace) -> int:
    """Make the call that the options describe; return the exit code."""
    async with AsyncExitStack() as stack:
        if options.emulator:
            await _use_emulator(options, stack)
        elif options.script is not None:
            raise ConfigError("--script belongs to --emulator", hint="add --emulator")
        if options.input is None and options.text is None:
            raise ConfigError(
                "there is nothing to say",
                hint="give --input FILE or --text TEXT, or try --emulator by itself",
            )
        return await _talk(options)


async def _use_emulator(options: argparse.Namespace, stack: AsyncExitStack) -> None:
    """Start an emulator for this call; with nothing to say, say the shipped question."""
    from rtcvoice.emulator import Emulator, prompt_path

    if options.input is None and options.text is None:
        question = prompt_path("question")
        options.input = str(question)
        options.script = options.script or str(question.parent / "demo.yaml")
    server = await stack.enter_async_context(Emulator(script=options.script))
    options.base_url = server.url
    options.api_key = "sk-emulator"


async def _talk(options: argparse.Namespace) -> int:
    source = FileSource(options.input) if options.input is not None else None
    sink = FileSink(options.output) if options.output is not None else None
    session = {
        name: value
        for name in ("model", "voice", "instructions", "base_url", "api_key")
        if (value := getattr(options, name, None)) is not None
    }
    screen: Screen = JsonScreen() if options.json else TranscriptScreen()
    with screen:
        async with rtcvoice.connect(source=source, sink=sink, **session) as call:
            watching = asyncio.create_task(_watch(call, screen))
            screen.connected(call)
            try:
                async with asyncio.timeout(options.seconds):
                    await _say_everything(call, source, options.text)
                await call.hangup(drain=options.seconds is None)
            except TimeoutError:
                await call.hangup()
            except CallEnded:
                pass  # told below, with its reason
        await watching
        reason = await call.wait_ended()
        screen.ended(reason, _note(sink))
    if sink is not None and sink.error is not None:
        raise sink.error
    if not reason.normal:
        raise reason
    return 0


async def _say_everything(call: rtcvoice.Call, source: FileSource | None, text: str | None) -> None:
    """Return when the file and the text have been said and answered."""
    if text is not None:
        await call.send(text)
    finished = asyncio.ensure_future(source.wait_finished()) if source is not None else None
    ended = asyncio.ensure_future(call.wait_ended())
    try:
        if finished is not None:
            await asyncio.wait({finished, ended}, return_when=asyncio.FIRST_COMPLETED)
        await _settled(call)
    finally:
        for future in (finished, ended):
            if future is not None:
                future.cancel()


async def _settled(call: rtcvoice.Call) -> None:
    """Wait until the call has been idle for SETTLE seconds without an event that changes that."""
    while True:
        try:
            await call.wait_for("*", timeout=SETTLE)
        except TimeoutError:
            if call.is_idle:
                return


async def _watch(call: rtcvoice.Call, screen: Screen) -> None:
    """Show every event until the call ends; a screen that fails ends it."""
    events: Any = call.events()
    with suppress(CallEnded):  # the reason is told by who waits for the end
        try:
            async for event in events:
                screen.event(event)
        finally:
            await call.hangup()


def _note(sink: FileSink | None) -> str:
    return f"{sink.path} has {sink.duration:.1f} s" if sink is not None else ""
