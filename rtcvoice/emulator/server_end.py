"""The server's end of one call, whatever it goes by: a session core, and what is to go wrong.

What arrives is handed to the core together with the time, and its outputs are carried out before
anything else happens. In what the core fails is told to the client, and the call goes on.
"""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Any

from rtcvoice.emulator.channel import parsed
from rtcvoice.emulator.core import Core
from rtcvoice.emulator.failures import Failures
from rtcvoice.emulator.faults import Faults, Strike
from rtcvoice.emulator.recording import AudioRecorder
from rtcvoice.masking import log_error
from rtcvoice.system import clock

__all__ = ["Observer", "ServerEnd"]

logger = logging.getLogger(__name__)

KILLED = 137
"""The exit code of a process that SIGKILL ended, as shells report it."""

Observer = Callable[[str, dict[str, Any]], None]


class ServerEnd:
    """What a WebRTC connection and a WebSocket have in common as a call. Event loop only.

    `observe(direction, event)` sees every event, "in" from a client and "out" to it; `recorder`
    what is heard and said.
    """

    def __init__(
        self, session: Core, *, faults: Faults, observe: Observer, recorder: AudioRecorder
    ) -> None:
        self._session = session
        self._faults = faults
        self._observe = observe
        self._recorder = recorder
        self._failures = Failures()
        self._planned = deque(faults.strikes())
        self._on_strike: list[Callable[[Strike], None]] = []
        self._at_end: list[Callable[[], Awaitable[None]]] = []

    # -- what it has in its own way ----------------------------------------------------------------

    @property
    def ended(self) -> bool:
        """Whether the connection is closed and everything freed."""
        raise NotImplementedError

    def end(self) -> None:
        """Make the call end; `aclose` waits for it."""
        raise NotImplementedError

    async def aclose(self) -> None:
        """End the call and wait until everything is closed; idempotent."""
        raise NotImplementedError

    def _do(self, strike: Strike) -> None:
        """Make this happen to the connection."""
        raise NotImplementedError

    def _put(self, event: dict[str, Any]) -> None:
        """Send an event, and let it be observed."""
        raise NotImplementedError

    def _carry_out(self, outputs: Iterable[Any]) -> None:
        """Do what the core wants done, in order."""
        raise NotImplementedError

    # -- what is to go wrong -----------------------------------------------------------------------

    def strike(self, strike: Strike) -> None:
        """Make something happen to the call, now; what its connection does not have is nothing."""
        logger.info("= %s", strike)
        for told in self._on_strike:
            told(strike)
        if strike is Strike.KILL:
            os._exit(KILLED)
        self._do(strike)

    def on_strike(self, told: Callable[[Strike], None]) -> None:
        """Have `told` called with everything that happens to the call, just before it does."""
        self._on_strike.append(told)

    def _strike_when_due(self, elapsed: float) -> None:
        """Let happen what is planned for now, so many seconds after the beginning."""
        while self._planned and elapsed >= self._planned[0][0]:
            self.strike(self._planned.popleft()[1])

    @property
    def warnings(self) -> Sequence[str]:
        """What did not go by the script, oldest first, and in what the emulator itself failed."""
        return [*self._session.warnings, *self._failures.told]

    # -- the core ----------------------------------------------------------------------------------

    def receive_text(self, text: str) -> None:
        """Take a client event, from whichever client."""
        self._take(text, partial(self._session.receive_text, text))

    def _take(self, text: str, step: Callable[[float], None]) -> None:
        """Let an event be observed, and hand it to the core by `step`."""
        event = parsed(text)
        self._observe("in", event if event is not None else {"type": "", "text": text})
        self._guarded(step, client_event=None if event is None else event.get("event_id"))

    def _guarded(
        self, step: Callable[..., None], *arguments: Any, client_event: object = None
    ) -> None:
        """Do a step of the core, the time being its last argument, and what it wants done."""
        try:
            step(*arguments, clock.now())
            self._carry_out(self._session.drain())
        except Exception as exc:
            log_error(logger, exc, "x the emulator failed")
            self._put(self._failures.event(exc, client_event))
            if self._failures.too_many:
                self.end()

    # -- its end -----------------------------------------------------------------------------------

    def at_end(self, clean_up: Callable[[], Awaitable[None]]) -> None:
        """Have `clean_up` awaited when the connection is closed."""
        self._at_end.append(clean_up)

    async def _clean_up(self) -> None:
        for clean_up in self._at_end:
            await clean_up()
