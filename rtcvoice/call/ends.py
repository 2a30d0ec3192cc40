"""The two ends of a call, its source and its sink: checked, taken, opened and closed together.

An end serves one call at a time: two that pulled at one file would each get half of it. So a call
takes its ends before it opens them, and gives them back once they are closed.
"""

from __future__ import annotations

import asyncio
import enum
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from rtcvoice.capture.source import Silence, Source
from rtcvoice.errors import ConfigError
from rtcvoice.masking import log_error
from rtcvoice.playout.ducking import Ducking
from rtcvoice.playout.sink import Discard, Puller, Sink
from rtcvoice.system.files import FileKey
from rtcvoice.system.threads import contained, contained_call

if TYPE_CHECKING:
    from rtcvoice.events import DeviceChanged

__all__ = ["Default", "Ends"]

logger = logging.getLogger(__name__)

GIVE_UP = 1.0
"""Seconds that an end which is still being opened has to stop when the call does not come about."""

LONGEST_LATENCY = 5.0
"""Seconds of a sink's latency that are believed."""

_taken: dict[int, Ends] = {}
"""Who uses a source or sink now, by its id()."""

_written: dict[FileKey, Ends] = {}
"""Who writes to a file now."""

_late: set[asyncio.Task[None]] = set()
"""Closings of ends that were still being opened when their call was over."""


class Default(enum.Enum):
    """What an end of a call is when nobody says anything."""

    DEVICE = "The system's default microphone, or loudspeaker."


class Ends:
    """Source and sink of one call; None stands for `Silence` and `Discard`.

    Raises ConfigError for anything that is no `Source`, or no `Sink`, and for a sink that would
    replace the very file that the source reads.
    """

    def __init__(self, source: Source | None, sink: Sink | None) -> None:
        _check("source", source, Source)
        _check("sink", sink, Sink)
        self.source = source if source is not None else Silence()
        self.sink = sink if sink is not None else Discard()
        self.on_change: Callable[[DeviceChanged], None] = lambda event: None
        """Called on the event loop when something happens to a device."""
        self._opening: list[tuple[Source | Sink, asyncio.Task[None]]] = []
        self._latency_failed = False
        self._check_files()

    @property
    def latency(self) -> float:
        """Seconds from a pull to the ear as the sink tells it; 0 where that makes no sense."""
        try:
            latency = float(self.sink.latency)
        except Exception as exc:
            if not self._latency_failed:
                self._latency_failed = True
                log_error(logger, exc, "x the latency of a sink cannot be read; 0 instead")
            return 0.0
        return min(latency, LONGEST_LATENCY) if latency > 0 else 0.0  # it may be no number

    async def open(self) -> None:
        """Open both, side by side; raises what the first failure was.

        One that does not stop opening when that is cancelled is left alone after a second, and
        closed when it is open after all.
        Raises ConfigError when another call uses one of them, or the sink's file, or when the sink
        would write to the source's; nothing is touched then.
        """
        self._check_files()  # again: files can be moved and linked at any time
        self._take()
        self._listen()
        self.source.set_echo_reference(self.sink.played)
        ends: tuple[Source | Sink, ...] = (self.source, self.sink)
        self._opening = [(end, asyncio.create_task(_open(end))) for end in ends]
        tasks = [task for _, task in self._opening]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            for task in sorted(done, key=tasks.index):
                await task
            self._take_file()  # again: it may be there only now
        except BaseException:
            for task in tasks:
                task.cancel()
            with suppress(asyncio.CancelledError):  # what made us give up is raised anyway
                await asyncio.wait(tasks, timeout=GIVE_UP)
            for task in tasks:
                task.add_done_callback(_noted)
            raise

    def start(self, player: Puller) -> None:
        """Let the sink play: softer while the source hears the user over the loudspeaker.

        The call is up: from now on the sink may write over what its file holds.
        """
        source = self.source
        if self.sink.played is not None:
            player = Ducking(player, lambda: source.hears_user)
        self.sink.start(player)

    async def aclose(self) -> None:
        """Close what was opened, and give it back, also when cancelled; idempotent, never raises.

        What another call uses is left alone.
        """
        busy = [(end, task) for end, task in self._opening if not task.done()]
        self._opening = []
        for end, task in busy:
            late = asyncio.create_task(self._close_late(end, task), name="rtcvoice late closing")
            _late.add(late)
            late.add_done_callback(_late.discard)
        ends = [end for end in (self.source, self.sink) if all(end is not each for each, _ in busy)]
        await self._close(ends)

    async def _close(self, ends: Sequence[Source | Sink]) -> None:
        try:
            closing = [_aclose(end) for end in ends if self._has(end)]
            for result in await asyncio.gather(*closing, return_exceptions=True):
                if isinstance(result, BaseException):
                    log_error(logger, result, "x a source or sink failed to close")
        finally:
            for end in ends:
                if self._has(end):
                    end.on_change = None
                    del _taken[id(end)]
            if self.sink in ends:
                for file in [file for file, user in _written.items() if user is self]:
                    del _written[file]

    async def _close_late(self, end: Source | Sink, opening: asyncio.Task[None]) -> None:
        """Close what is still being opened, once it is: nothing is closed while it opens."""
        logger.warning("x %s is still being opened, and not stopped by that", type(end).__name__)
        await asyncio.wait([opening])
        await self._close([end])

    def _listen(self) -> None:
        loop = asyncio.get_running_loop()

        def tell(event: DeviceChanged) -> None:  # on a thread of the devices
            with suppress(RuntimeError):  # the loop is closed, and the call with it
                loop.call_soon_threadsafe(self._changed, event)

        self.source.on_change = self.sink.on_change = tell

    def _changed(self, event: DeviceChanged) -> None:
        self.on_change(event)

    def _check_files(self) -> None:
        written = self.sink.output_file
        if written is not None and written == self.source.input_file:
            raise ConfigError(
                "source and sink are the same file: what is to be said would be overwritten",
                hint="give the sink a file of its own",
            )

    def _take(self) -> None:
        for end in (self.source, self.sink):
            if _taken.setdefault(id(end), self) is not self:
                raise ConfigError(
                    f"this {type(end).__name__} is in use by another call",
                    hint="give each call one of its own; after a call it may be used again",
                )
        self._take_file()

    def _take_file(self) -> None:
        written = self.sink.output_file
        if written is not None and _written.setdefault(written, self) is not self:
            raise ConfigError(
                "another call writes to the sink's file", hint="give each call a file of its own"
            )

    def _has(self, end: Source | Sink) -> bool:
        return _taken.get(id(end)) is self


async def _open(end: Source | Sink) -> None:
    await contained(contained_call(end.open))


async def _aclose(end: Source | Sink) -> None:
    await contained(contained_call(end.aclose))


def _noted(task: asyncio.Task[None]) -> None:
    """See what a task failed with: the first failure alone is told."""
    if not task.cancelled():
        task.exception()


def _check(option: str, end: object, kind: type[Any]) -> None:
    if end is not None and not isinstance(end, kind):
        given = f"the class {end.__name__}" if isinstance(end, type) else repr(end)
        raise ConfigError(
            f"{option}= is {given}, not a rtcvoice.{kind.__name__}",
            hint=f"for example {option}=rtcvoice.File{kind.__name__}('a.wav')",
        )
