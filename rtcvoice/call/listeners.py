"""Hands the facts of a call to its listeners, which can neither hold it up nor break it.

Each listener works in a thread of its own and gets its facts in batches. FULL queue: what is new is
dropped and counted, but for the last fact, the end. Without a listener nothing is made and nothing
is called: whoever tells asks `if facts` first.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from rtcvoice.call.facts import Audio, CallOver, Fact, FactListener
from rtcvoice.masking import log_error
from rtcvoice.system import clock

if TYPE_CHECKING:
    from rtcvoice.conversation.accounts.usage import CallUsage
    from rtcvoice.conversation.state.function_calls import OnStart
    from rtcvoice.errors import CallEnded

__all__ = ["Facts"]

logger = logging.getLogger(__name__)

MOST_FACTS = 8192
"""Facts that wait for one listener: with audio, which is 150 of them a second, 50 s."""

MOST_BYTES = 32 << 20
"""Characters of events that wait for one listener."""

PAUSE = 0.1
"""Seconds between two looks of a listener's thread: to wake it for each block would cost more."""


class Facts:
    """What one call tells. False while nobody listens.

    `tell` may be called on any thread and never waits or raises; the rest on the event loop.
    """

    def __init__(self, *, clock: Callable[[], float] = clock.now) -> None:
        self.now = clock
        self._readers: tuple[_Reader, ...] = ()
        self._audio_readers: tuple[_Reader, ...] = ()
        self._seers: tuple[Callable[[Fact], None], ...] = ()
        self._over = False
        self.on_tool: OnStart | None = None
        """Told that a tool is about to run."""

    def __bool__(self) -> bool:
        return bool(self._readers)

    @property
    def wants_audio(self) -> bool:
        """Whether anybody wants to be told of audio."""
        return bool(self._audio_readers)

    def listen(
        self, listener: FactListener, *, name: str, see: Callable[[Fact], None] | None = None
    ) -> None:
        """Tell `listener` everything from now on, in a thread called `name`.

        `see` gets everything but audio at the moment when it is told, on the event loop: it has to
        be quick, and must not raise.
        """
        if see is not None:
            self._seers = (*self._seers, see)
        reader = _Reader(listener, name)
        self._readers = (*self._readers, reader)
        if listener.wants_audio:
            self._audio_readers = (*self._audio_readers, reader)

    def tell(self, fact: Fact, *, size: int = 0) -> None:
        """Tell everybody but of audio; `size` is the length of an event's text. Event loop."""
        for see in self._seers:
            see(fact)
        for reader in self._readers:
            reader.put(fact, size)

    def tell_audio(self, fact: Audio) -> None:
        """Tell those who want audio. Any thread."""
        for reader in self._audio_readers:
            reader.put(fact)

    def end(self, reason: CallEnded, usage: CallUsage | None) -> None:
        """Tell of the end, once; what comes later is told to nobody."""
        if not self._over:
            self._over = True
            over = CallOver(time=self.now(), reason=reason, usage=usage)
            for reader in self._readers:
                reader.end(over)

    async def aclose(self, *, timeout: float) -> None:
        """Wait until the listeners have everything, at most `timeout` seconds."""
        waits = [asyncio.ensure_future(reader.done()) for reader in self._readers]
        self._readers = self._audio_readers = ()
        if waits:
            _, late = await asyncio.wait(waits, timeout=timeout)
            for wait in late:
                wait.cancel()
                logger.warning("x a listener to the call's facts has not finished: it is left")


class _Reader:
    """The queue and the thread of one listener."""

    def __init__(self, listener: FactListener, name: str) -> None:
        self._listener = listener
        self._facts: deque[tuple[Fact, int]] = deque()
        self._put_bytes = self._taken_bytes = 0  # each is counted by one thread
        self._dropped = 0
        self._last: CallOver | None = None
        self._wake = threading.Event()
        self._finished = threading.Event()
        self._on_finish: Callable[[], None] = lambda: None
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def put(self, fact: Fact, size: int = 0) -> None:
        """Let a fact wait for its turn. Any thread; never waits, never raises."""
        if self._last is not None or self._finished.is_set():
            return
        waiting = self._put_bytes - self._taken_bytes
        if len(self._facts) >= MOST_FACTS or (size and waiting + size > MOST_BYTES):
            self._dropped += 1
            return
        if size:
            self._put_bytes += size
        self._facts.append((fact, size))

    def end(self, over: CallOver) -> None:
        """Let this be the last fact."""
        self._last = over
        self._wake.set()

    async def done(self) -> None:
        """Wait until the listener has had the last fact, or failed."""
        loop, done = asyncio.get_running_loop(), asyncio.Event()

        def finish() -> None:
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(done.set)

        self._on_finish = finish
        self._wake.set()
        if not self._finished.is_set():
            await done.wait()

    def _run(self) -> None:
        try:
            over = False
            while not over:
                self._wake.wait(PAUSE)
                over = self._last is not None
                self._hand_over(over)
        except Exception as exc:
            log_error(logger, exc, "x a listener to the call's facts failed; it is told no more")
        finally:
            self._finished.set()
            self._facts.clear()
            self._on_finish()

    def _hand_over(self, over: bool) -> None:
        batch: list[Fact] = []
        for _ in range(len(self._facts)):
            fact, size = self._facts.popleft()
            self._taken_bytes += size
            batch.append(fact)
        if over and self._last is not None:
            batch.append(self._last)
        dropped, self._dropped = self._dropped, 0
        if batch or dropped:
            self._listener.take(batch, dropped)
