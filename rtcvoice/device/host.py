"""Keeps the sound devices of the process: every line in use is opened, watched and healed here.

Ten times a second each line is looked at, on the device thread. One whose device is gone is opened
again at growing intervals, on the device wished for or else the default one. PortAudio sees what
was plugged in or restarted only when it is initialised anew, which ends every open stream: lines
that work are interrupted for that at most twice a minute.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future

from rtcvoice.device.device import Device
from rtcvoice.device.line import Line, LineState
from rtcvoice.device.portaudio import PortAudio
from rtcvoice.device.thread import DeviceThread, Runner
from rtcvoice.errors import DeviceError
from rtcvoice.system import clock

__all__ = ["DeviceHost", "device_host", "devices"]

logger = logging.getLogger(__name__)

CHECK_EVERY = 0.1
"""Seconds between two looks at the open lines."""

CLOSE_TIMEOUT = 2.0
"""Seconds that a device may take to close before it is left to itself."""

BACK_OFF = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0)
"""Seconds from one attempt to find a device to the next; the last one is repeated."""

RESTRAINT = 30.0
"""Seconds between two interruptions of devices that work, to look for one that does not."""

FRESH = 2.0
"""Seconds for which a list of devices is not made anew."""


class DeviceHost:
    """The lines in use, by way of `portaudio`, on the thread of `runner`.

    The methods that return a future may be called on any thread and never wait; `check` is for the
    runner.
    """

    def __init__(
        self,
        portaudio: PortAudio | None = None,
        *,
        runner: Runner | None = None,
        clock: Callable[[], float] = clock.now,
    ) -> None:
        self.clock = clock
        self._portaudio = portaudio or PortAudio()
        self._runner = runner or DeviceThread()
        self._lines: list[Line] = []
        self._attempts: dict[Line, tuple[int, float]] = {}
        self._refreshed_at = self._interrupted_at = float("-inf")
        self._checked_at = self._excused_until = clock()
        self._runner.start(self._tick)
        _all.add(self)

    def devices(self, *, refresh: bool = False) -> Future[list[Device]]:
        """Return the devices as they were when last looked for, or with `refresh` as they are now.

        Looking anew would end the streams of lines in use, so while there are any the list is as
        old as they are. The future raises DeviceError.
        """
        return self._runner.submit(lambda: self._listed(refresh=refresh))

    def forked(self) -> None:
        """Forget the lines: this is a forked process, and they stayed in the other."""
        self._lines.clear()
        self._attempts.clear()

    def attach(self, line: Line) -> Future[None]:
        """Open the line and look after it until it is detached. The future raises DeviceError."""
        line.on_finished = self._look_soon
        return self._runner.submit(lambda: self._attach(line))

    def detach(self, line: Line) -> Future[None]:
        """Close the line; one that is not attached is left alone."""
        return self._runner.submit(lambda: self._detach(line))

    async def close(self, line: Line) -> None:
        """Detach the line and wait for it; after 2 s a device that does not close is left alone."""
        _, pending = await asyncio.wait(
            {asyncio.wrap_future(self.detach(line))}, timeout=CLOSE_TIMEOUT
        )
        if pending:
            logger.warning("x the %s %r does not close", line.direction.value, line.device)

    def check(self) -> None:
        """Look at every line once. Device thread."""
        now = self.clock()
        if now - self._checked_at > 3 * CHECK_EVERY:
            # The machine slept, or somebody held the GIL: then no device could call, either.
            self._excused_until = now
        self._checked_at = now
        for line in self._lines:
            if fault := line.fault(now, excused_until=self._excused_until):
                line.lose(fault)
                self._attempts[line] = (0, now)
            elif line.needs_room(now):
                self._try(line, line.widen)
            else:
                line.notice_silence(now, excused_until=self._excused_until)
        due = [line for line in self._lines if self._is_due(line, now)]
        if due:
            self._find_again(due, now)

    def _look_soon(self) -> None:
        """Check the lines now rather than at the next tick. Any thread."""
        self._runner.submit(lambda: None)

    def _tick(self) -> float | None:
        if not self._lines:
            return None
        self.check()
        return CHECK_EVERY

    def _listed(self, *, refresh: bool) -> list[Device]:
        if refresh or not self._portaudio.devices():  # a sound server may have come up since
            self._refresh_if_idle()
        return self._portaudio.devices()

    def _attach(self, line: Line) -> None:
        if self._portaudio.is_ours_alone:
            self._refresh_if_idle()
        try:
            line.open(self._portaudio)
        except DeviceError:
            if not self._refresh_if_idle():
                raise
            line.open(self._portaudio)  # it was plugged in since
        self._checked_at = self.clock()
        self._lines.append(line)

    def _detach(self, line: Line) -> None:
        if line in self._lines:
            self._lines.remove(line)
            self._attempts.pop(line, None)
            line.close()

    def _refresh_if_idle(self) -> bool:
        """Look for devices anew, unless that was done just now, or would end a line of ours."""
        now = self.clock()
        if self._lines or now - self._refreshed_at <= FRESH:
            return False
        self._portaudio.refresh()
        self._refreshed_at = now
        return True

    def _is_due(self, line: Line, now: float) -> bool:
        return line.state is LineState.LOST and self._attempts[line][1] <= now

    def _find_again(self, lost: list[Line], now: float) -> None:
        """Try with the devices that are known, and where that fails with a new list."""
        lost = [line for line in lost if not self._try(line, line.reopen)]
        working = [line for line in self._lines if line.state is not LineState.LOST]
        if lost and (not working or now - self._interrupted_at > RESTRAINT):
            self._interrupted_at = now if working else self._interrupted_at
            self._look_anew(working)
            lost = [line for line in lost if not self._try(line, line.reopen)]
        for line in lost:
            attempt = self._attempts[line][0] + 1
            wait = BACK_OFF[min(attempt, len(BACK_OFF) - 1)]
            self._attempts[line] = (attempt, self.clock() + wait)

    def _look_anew(self, working: list[Line]) -> None:
        for line in working:
            line.close()
        try:
            self._portaudio.refresh()
            self._refreshed_at = self.clock()
        except DeviceError as exc:
            logger.debug("x %s", exc)
        for line in working:
            self._try(line, line.reopen)

    def _try(self, line: Line, opening: Callable[[PortAudio], None]) -> bool:
        """Open a line in the way of `opening`; one that fails, and was not lost, is lost now."""
        try:
            opening(self._portaudio)
        except DeviceError as exc:
            logger.debug("x %s", exc)
            if line.state is not LineState.LOST:
                line.lose(exc.message)
                self._attempts[line] = (0, self.clock())
            return False
        return True


_lock = threading.Lock()
_host: DeviceHost | None = None
_all: weakref.WeakSet[DeviceHost] = weakref.WeakSet()


def _forked() -> None:
    global _lock
    _lock = threading.Lock()
    for each in _all:
        each.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


def device_host() -> DeviceHost:
    """Return the host of this process's devices."""
    global _host
    with _lock:
        if _host is None:
            _host = DeviceHost()
        return _host


def devices(*, refresh: bool = False) -> list[Device]:
    """Return the sound devices of this machine; the defaults are marked.

    They are those that were there when devices were last looked for: at the first question, or
    when a call opened one. `refresh` looks again, unless a call uses a device now; so it does where
    none was found. Neither disturbs anybody's sound. It waits for the sound system, some 50 ms; in
    a coroutine that matters use `await asyncio.to_thread(rtcvoice.devices)`. Raises DeviceError
    when PortAudio is not installed, and in a process that was forked from one that uses sound
    devices.
    """
    return device_host().devices(refresh=refresh).result()
