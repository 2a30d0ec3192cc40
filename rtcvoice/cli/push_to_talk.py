"""Push to talk in the terminal: hold the space bar while you talk, or press it before and after.

A terminal tells of keys that go down, never of keys that come up. But one that is held repeats
itself, after half a second or so, every 30 to 90 ms. So the first press opens the microphone; a
later one means the end, unless yet another follows at once: then the key is held, and its end is
the silence after the last repetition. Held or tapped, nobody has to say which.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.text import Text

from rtcvoice import Call, CallEnded, ConfigError, FileSource, RtcVoiceError, Source
from rtcvoice.cli.call_ends import CallEnds
from rtcvoice.cli.keys import Keyboard, can_be_typed_at
from rtcvoice.cli.live import LiveScreen
from rtcvoice.cli.parser import STDIO
from rtcvoice.cli.status import SUSPEND
from rtcvoice.cli.watch import obey_keys

__all__ = ["Clips", "PushKey", "obey_push_keys"]

PUSH_KEYS = (("space", "talk"), ("i", "interrupt"), ("q", "hang up"), SUSPEND, ("?", "keys"))
"""What can be pressed during such a call."""

RELEASE = 0.25
"""Seconds without a repetition after which the key is up: three of a slow keyboard, over SSH."""

PATIENCE = 0.5
"""Seconds that a press waits for what was said before it to be handed in."""

CLOSED = "space: talk (hold it, or press it again when done)"
OPEN = "on the air; let go of space, or press it again"


class PushKey:
    """Decides when the user talks, from the moments at which a key goes down; pure.

    Calls with `now`, in seconds of any one clock.
    """

    def __init__(self) -> None:
        self.talks = False
        """Whether the user talks."""
        self.until: float | None = None
        """When talking ends if no further press comes; None while that is open."""

    def press(self, now: float) -> None:
        """Take a press, or a repetition."""
        if self.talks:
            self.until = now + RELEASE
        self.talks = True

    def check(self, now: float) -> None:
        """Let go when it is time."""
        if self.until is not None and now >= self.until:
            self.talks, self.until = False, None


class Clips(Source):
    """Recordings as what is said: each press says the next one, from its beginning, then silence.

    For a push-to-talk call without a microphone. Raises DeviceError as `FileSource` does.
    """

    def __init__(self, paths: Sequence[str | Path]) -> None:
        self._clips = [FileSource(path) for path in paths]
        self._spoken = -1
        self._fresh = False
        self._index = 0
        self.rate = self._clips[0].rate

    @property
    def runs_on(self) -> bool:
        """Whether it goes on while nobody reads: no, as files do not."""
        return False

    def begin(self) -> None:
        """Say the next one from now on."""
        self._spoken, self._fresh = (self._spoken + 1) % len(self._clips), True

    async def open(self) -> None:
        """Decode all of them."""
        for clip in self._clips:
            await clip.open()

    async def read(self) -> Any:
        """Return the next 20 ms when they are due."""
        clip = self._clips[max(0, self._spoken)]
        if self._fresh:
            self._fresh = False
            await clip.open()  # decoded already: this only goes back to its beginning
        block = await clip.read()
        self._index += len(block.samples)
        return block._replace(index=self._index - len(block.samples))

    async def aclose(self) -> None:
        """Let go of them."""
        for clip in self._clips:
            await clip.aclose()


class _Button:
    """Turns presses into `call.talk()` blocks, one after the other."""

    def __init__(self, call: Call, screen: LiveScreen, on_press: Callable[[], None]) -> None:
        self._call = call
        self._screen = screen
        self._on_press = on_press
        self._key = PushKey()
        self._changed = asyncio.Event()

    def press(self) -> None:
        self._key.press(time.monotonic())
        self._changed.set()

    async def run(self) -> None:
        """Talk whenever the key says so, until cancelled or the call ends."""
        said: asyncio.Task[None] | None = None
        try:
            while True:
                self._screen.prompt = Text(CLOSED, "cyan")
                await self._until(talks=True)
                if said is not None:
                    await asyncio.wait({said}, timeout=PATIENCE)
                    said.cancel()  # its answer has not begun, and is not wanted any more
                    await asyncio.gather(said, return_exceptions=True)
                released = asyncio.Event()
                said = asyncio.create_task(self._talk(released))
                await self._until(talks=False)
                released.set()
        finally:
            if said is not None:
                said.cancel()
                await asyncio.gather(said, return_exceptions=True)

    async def _until(self, *, talks: bool) -> None:
        while self._key.talks is not talks:
            self._changed.clear()
            until = self._key.until
            with suppress(TimeoutError):
                async with asyncio.timeout(until and max(0.0, until - time.monotonic())):
                    await self._changed.wait()
            self._key.check(time.monotonic())

    async def _talk(self, released: asyncio.Event) -> None:
        try:
            async with self._call.talk():
                self._on_press()
                self._screen.prompt = Text(OPEN, "bold red")
                await released.wait()
        except CallEnded:
            pass  # told elsewhere
        except RtcVoiceError as exc:
            self._screen.notice(str(exc))


def pushed_ends(ends: CallEnds, options: argparse.Namespace) -> CallEnds:
    """Return the ends of a call by push to talk: it lasts, and each press begins a file anew.

    Raises ConfigError where there is no key to press, or nothing to be heard.
    """
    words = sys.stderr if options.output == STDIO else sys.stdout
    seen = words is not None and LiveScreen.fits(words)
    if options.json or not seen or not can_be_typed_at():
        raise ConfigError(
            "--push-to-talk needs a terminal, where the space bar can be pressed",
            hint="leave out --json, and what leads stdin or the words elsewhere",
        )
    source = ends.source
    if isinstance(source, FileSource) and source.path is not None:
        source = Clips(_clips(source.path, options))
    if source is None:
        raise ConfigError(
            "--push-to-talk, and nothing to be heard", hint="name a --microphone, or an --input"
        )
    return replace(ends, source=source, live=True)


def _clips(path: Path, options: argparse.Namespace) -> list[Path]:
    """Return what the presses say: one file, or what the demo's user says."""
    if not options.emulator:
        return [path]
    from rtcvoice.emulator import prompt_path

    demo = [prompt_path(name) for name in ("question", "follow-up", "stop")]
    return demo if path == demo[0] else [path]


async def obey_push_keys(
    call: Call,
    keyboard: Keyboard,
    screen: LiveScreen,
    source: Source | None,
    others: Mapping[str, Callable[[], object]],
) -> None:
    """Do what is pressed until the call ends. The microphone is closed but for the presses."""
    keys = {**others, "m": _explain_mute(screen)}
    call.mute()
    screen.keys, screen.shows_muted = PUSH_KEYS, False
    button = _Button(call, screen, source.begin if isinstance(source, Clips) else lambda: None)
    talking = asyncio.create_task(button.run())
    try:
        await obey_keys(call, keyboard, screen, {**keys, " ": button.press})
    finally:
        talking.cancel()
        await asyncio.gather(talking, return_exceptions=True)


def _explain_mute(screen: LiveScreen) -> Callable[[], None]:
    return lambda: screen.notice("the microphone is open only while you talk")
