"""The emulator on a thread of its own, for tests that have no event loop or keep theirs blocked.

Everything that changes the emulator is handed to its loop; what is read (`url`, `calls`, their
events) can be read from any thread.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from dataclasses import fields
from types import TracebackType
from typing import Any, Self

from rtcvoice.emulator.faults import Faults, Strike
from rtcvoice.emulator.options import EmulatorOptions
from rtcvoice.emulator.server import EmulatedCall, Emulator
from rtcvoice.errors import ConfigError
from rtcvoice.system.options import guess

__all__ = ["BackgroundEmulator"]

OPTIONS = tuple(field.name for field in fields(EmulatorOptions))

START_TIMEOUT = 30.0
STOP_TIMEOUT = 15.0
CALL_TIMEOUT = 5.0


class BackgroundEmulator:
    """`with BackgroundEmulator(**options) as server:`, the options being `Emulator`'s.

    Its methods may be called from any thread but its own. Raises ConfigError as `Emulator` does.
    """

    def __init__(self, **options: Any) -> None:
        for name in options:
            if name not in OPTIONS:
                raise ConfigError(f"Emulator: there is no {name!r}", hint=guess(name, OPTIONS))
        self._options = options
        self._emulator: Emulator | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._started = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="rtcvoice emulator", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._started.wait(START_TIMEOUT):
            raise ConfigError(f"the emulator did not start in {START_TIMEOUT:g} s")
        if self._error is not None:
            raise self._error
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._loop is not None and self._stop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(STOP_TIMEOUT)

    @property
    def url(self) -> str:
        """The API's root, for `base_url=`."""
        return self._running.url

    @property
    def calls(self) -> list[EmulatedCall]:
        """Every call so far, in order; those that ended stay readable."""
        return list(self._running.calls.values())

    @property
    def last_call(self) -> EmulatedCall:
        """The newest call. Raises LookupError when there was none."""
        if not self.calls:
            raise LookupError(f"nobody has called {self.url} yet")
        return self.calls[-1]

    @property
    def faults(self) -> Faults:
        """What goes wrong; set anew, it concerns the requests and calls from then on."""
        return self._running.faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self._running.faults = faults

    def strike(self, strike: Strike) -> None:
        """Make something go wrong with the newest call, now."""
        self._on_loop(self.last_call.strike, strike)

    def restart(self, *, down: float = 0.0) -> None:
        """Be gone for `down` seconds, as `Emulator.restart`; returns when it is back."""
        self._wait_for(self._running.restart(down=down), down)

    def outage(self, seconds: float, *, http: bool = True) -> None:
        """Lose everything for so long, as `Emulator.outage`; returns when it is over."""
        self._wait_for(self._running.outage(seconds, http=http), seconds)

    @property
    def _running(self) -> Emulator:
        if self._emulator is None:
            raise RuntimeError("the emulator runs only inside its `with` block")
        return self._emulator

    def _on_loop(self, function: Callable[..., None], *arguments: Any) -> None:
        """Have the emulator's loop call a function, and wait until it has."""

        async def call() -> None:
            function(*arguments)

        self._wait_for(call(), 0.0)

    def _wait_for(self, coroutine: Coroutine[Any, Any, None], seconds: float) -> None:
        assert self._loop is not None
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        future.result(CALL_TIMEOUT + seconds)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as exc:  # the thread that entered the block raises it
            self._error = exc
        finally:
            self._started.set()

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        async with Emulator(**self._options) as self._emulator:
            self._started.set()
            await self._stop.wait()
