"""Work that the voice hands to this program: who does it, and that none of it stays unanswered.

The service tells of an id and of no task: what is to be done is in what was said. A function of the
user's gets both, in a task or a thread of its own; what it returns is spoken. Work that nobody
answers would leave the model waiting for ever, so it is declined aloud after a time.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from rtcvoice.conversation.owner import context_of
from rtcvoice.errors import RtcVoiceError
from rtcvoice.masking import log_error
from rtcvoice.system.public import public
from rtcvoice.system.threads import DaemonThreads, contained

from .requests import DOES_WORK

__all__ = ["DelegatedWork", "DelegationRunner", "Handler"]

logger = logging.getLogger(__name__)

HANDLER_TIMEOUT = 60.0
"""Seconds that your function gets, from its start or from what it said last."""

NOBODY_TIMEOUT = 5.0
"""Seconds that work waits where there is no such function: a program may answer it by hand."""

MOST = 16
"""Pieces of work that may be open at a time; more are declined at once."""

DECLINED = "Tell the user briefly that you cannot do this here, and go on with the conversation."
FAILED = "Tell the user briefly that this did not work just now, and go on with the conversation."
BUSY = "Tell the user briefly that too much is being worked on, and to ask again in a moment."
DONE = "This is done; there is nothing more to report."

Append = Callable[[str, str, bool], Awaitable[None]]
"""Gives the model a text for a delegation: its id, the text, whether it is to be spoken."""


@public
@dataclass(frozen=True, eq=False, kw_only=True)
class DelegatedWork:
    """Work that the voice handed on, as `on_delegation=` gets it; what that returns is spoken.

    There is no task text: `transcript` is what was said since the last such work, a line for each
    turn, "user: ..." and "assistant: ...".
    """

    id: str
    transcript: str
    _append: Append = field(repr=False)

    async def say(self, text: str) -> None:
        """Have something said meanwhile, in the model's own words. Raises ServerError."""
        await self._append(self.id, text, True)

    async def think(self, text: str) -> None:
        """Let the model know something meanwhile, silently. Raises ServerError."""
        await self._append(self.id, text, False)


class AtWork(Protocol):
    """Told that your function begins with a piece of work, and that it is done with it."""

    def __call__(self, delegation_id: str, *, on: bool) -> None:
        """Note it."""


Handler = Callable[[DelegatedWork], object]
"""`on_delegation=`: plain or async; returns text to be spoken, or None if it said all itself."""


class DelegationRunner:
    """Your function at work. Event loop only; nothing here raises to its caller.

    `append` gives the model a text. `is_answered`: whether anything was said for a piece of work.
    `at_work` is told what your function is at.
    """

    def __init__(
        self,
        handler: Handler | None,
        *,
        append: Append,
        is_answered: Callable[[str], bool],
        at_work: AtWork,
    ) -> None:
        self.owner: object = None
        self._handler = handler
        self._append = append
        self._is_answered = is_answered
        self._at_work = at_work
        self._threads = DaemonThreads(MOST)
        self._working: dict[str, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._ended = False

    @property
    def answer_timeout(self) -> float:
        """Seconds for which nobody may be silent about a piece of work."""
        return NOBODY_TIMEOUT if self._handler is None else HANDLER_TIMEOUT

    def created(self, delegation_id: str, transcript: str) -> None:
        """Begin the work, if there is a function for it."""
        if self._ended or self._handler is None or delegation_id in self._working:
            return
        if len(self._working) >= MOST:
            self._spawn(self._tell(delegation_id, BUSY))
            return
        given = DelegatedWork(id=delegation_id, transcript=transcript, _append=self._append)
        self._working[delegation_id] = self._spawn(self._serve(self._handler, given))

    def overdue(self, delegation_id: str) -> None:
        """Decline what nobody answered in time."""
        logger.warning("x delegated work was not answered in time: it is declined")
        if (task := self._working.pop(delegation_id, None)) is not None:
            task.cancel()
        self._spawn(self._tell(delegation_id, DECLINED))

    def left(self) -> None:
        """Note that the session is gone, and its work with it: the next one knows none of it."""
        for task in self._working.values():
            task.cancel()
        self._working.clear()

    def end(self) -> None:
        """Cancel everything: the call is over."""
        self._ended = True
        for task in self._tasks:
            task.cancel()
        self._working.clear()

    async def aclose(self, *, timeout: float) -> None:
        """Wait up to `timeout` s for what `end` cancelled."""
        self.end()
        if tasks := self._tasks - {asyncio.current_task()}:
            _, stuck = await asyncio.wait(tasks, timeout=timeout)
            for task in stuck:
                logger.warning("x delegated work does not stop: %s", task.get_name())

    async def _serve(self, handler: Handler, given: DelegatedWork) -> None:
        self._at_work(given.id, on=True)
        DOES_WORK.set(True)
        try:
            await self._serve_and_tell(handler, given)
        finally:
            self._at_work(given.id, on=False)

    async def _serve_and_tell(self, handler: Handler, given: DelegatedWork) -> None:
        try:
            text = await self._answer(handler, given)
        except Exception as exc:
            log_error(logger, exc, "x on_delegation failed")
            text = FAILED
        if self._working.pop(given.id, None) is None:  # it was too late
            return
        if text or not self._is_answered(given.id):
            await self._tell(given.id, text or DONE)

    async def _answer(self, handler: Handler, given: DelegatedWork) -> str:
        if inspect.iscoroutinefunction(handler):
            result = await contained(handler(given))
        else:
            context = context_of(self.owner)
            context.run(DOES_WORK.set, True)
            result = await self._threads.start(
                lambda: handler(given), name="on_delegation", context=context
            )
            if inspect.isawaitable(result):
                result = await contained(result)
        if result is None or isinstance(result, str):
            return (result or "").strip()
        raise TypeError(f"on_delegation returned a {type(result).__name__}, not text or None")

    async def _tell(self, delegation_id: str, text: str) -> None:
        try:
            await self._append(delegation_id, text, True)
        except RtcVoiceError as exc:
            logger.warning("x delegated work could not be answered: %s", exc)

    def _spawn(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.create_task(
            work, name="rtcvoice delegation", context=context_of(self.owner)
        )
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
