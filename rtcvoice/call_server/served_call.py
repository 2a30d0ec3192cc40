"""One caller's call: made, attached to, given to its agent, and ended with all that belongs to it.

It ends when the page has left, when the agent fails, at its limits, when the service ends it, or
with the server. Whoever is first counts; all of it is closed then, the agent included.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any

from rtcvoice.conversation.owner import context_of
from rtcvoice.errors import CallEnded, RtcVoiceError
from rtcvoice.events import Reconnected
from rtcvoice.masking import log_error
from rtcvoice.system import clock
from rtcvoice.system.waiting import wait_done
from rtcvoice.token_server.rate_limit import RequestLimit

from .http import Socket
from .page_events import PageEvents, ended_told
from .session_guard import Foreign

if TYPE_CHECKING:
    from rtcvoice.call.call import Call

    from .creating import ServiceCall

__all__ = ["Agent", "PageSocket", "ServedCall"]

logger = logging.getLogger(__name__)

Agent = Callable[["Call"], Awaitable[object]]

PAGE_GRACE = 8.0
"""Seconds that a page whose socket closed has to open another."""

AGENT_GRACE = 3.0
"""Seconds that an agent has to stop once its call has ended."""

MOST_UNDONE = 20
"""Times a minute that what a page did to the session is undone; then its call is ended."""

MOST_WAITING = 2000
"""Messages that wait for a page that reads slowly; then its socket is closed."""


class PageSocket:
    """One socket of a page, with what waits for it. FULL: it is closed."""

    def __init__(self, socket: Socket) -> None:
        self._socket = socket
        self._waiting: deque[str] = deque()
        self._news = asyncio.Event()
        self._over = False

    def put(self, message: dict[str, Any]) -> None:
        """Send a message later."""
        if self._over:
            return
        if len(self._waiting) >= MOST_WAITING:
            self._waiting.clear()
            self._over = True
        else:
            self._waiting.append(json.dumps(message))
        self._news.set()

    def end(self) -> None:
        """Close it once all is sent that waits."""
        self._over = True
        self._news.set()

    async def send_all(self) -> None:
        """Send what is put in, until the end; then close."""
        try:
            while True:
                while self._waiting:
                    await self._socket.send(self._waiting.popleft())
                if self._over:
                    break
                self._news.clear()
                await self._news.wait()
        except ConnectionError:
            pass
        await self._socket.close()


class ServedCall:
    """A call that is up. Event loop only; `on_end` is told once all of it is closed.

    agent: the user's; None: there is none. foreign: "undo" or "end", what becomes of what a page
    does to the session. reads_back: ask what the session is once the connection was lost: somebody
    may have changed it meanwhile.
    """

    def __init__(
        self,
        handle: str,
        caller: str,
        service_call: ServiceCall,
        *,
        agent: Agent | None,
        foreign: str,
        show_tools: bool,
        reads_back: bool,
        on_end: Callable[[ServedCall], None],
    ) -> None:
        self.handle = handle
        self.caller = caller
        self._service_call = service_call
        self._agent = agent
        self._foreign = foreign
        self._show_tools = show_tools
        self._reads_back = reads_back
        self._on_end = on_end
        self.call: Call | None = None
        self._reason: CallEnded | None = None
        self._undone = RequestLimit(MOST_UNDONE)
        self._undoing: set[asyncio.Task[None]] = set()
        self._page: PageSocket | None = None
        self._leaving: asyncio.TimerHandle | None = None
        self._events: PageEvents | None = None
        self._attaching: asyncio.Task[Call] | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self, call: Call) -> None:
        """Give a call that is attached to to its agent, and see it through to its end."""
        self.call = call
        self._task = asyncio.create_task(self._live(), name="rtcvoice served call")

    def start_attaching(self, attach: Coroutine[Any, Any, Call]) -> None:
        """Attach first; then as `start`."""
        self._attaching = asyncio.create_task(attach, name="rtcvoice attaching")
        self._task = asyncio.create_task(self._live(), name="rtcvoice served call")

    @property
    def cost(self) -> float | None:
        """US dollars so far, as far as they are known."""
        return 0.0 if self.call is None else self.call.usage.cost

    async def end(self, reason: str, *, normal: bool = True) -> None:
        """Hang up and wait until all is closed; the first reason given counts. Never raises."""
        self._end_soon(reason, normal=normal)
        if self._task is not None:
            await wait_done(self._task)

    # -- the page -------------------------------------------------------------------------------

    def attach_page(self, socket: Socket) -> PageSocket:
        """Return the page's socket with all it has to know; it takes the place of another."""
        if self._page is not None:
            self._page.end()
        page = self._page = PageSocket(socket)
        for message in self._events.told_at_once() if self._events is not None else ():
            page.put(message)
        if self._leaving is not None:
            self._leaving.cancel()
            self._leaving = None
        if self._reason is not None:
            self._dismiss(page)
        return page

    def detach_page(self, page: PageSocket) -> None:
        """Note that a socket has closed: the page has left if it does not come back."""
        page.end()
        if page is not self._page:
            return
        self._page = None
        if self._reason is None:
            loop = asyncio.get_running_loop()
            self._leaving = loop.call_later(PAGE_GRACE, self._end_soon, "the page has left")

    def _tell(self, message: dict[str, Any]) -> None:
        if self._page is not None:
            self._page.put(message)

    def _dismiss(self, page: PageSocket) -> None:
        assert self._reason is not None
        page.put(ended_told(self._reason))
        page.end()

    # -- what a page does to the session ----------------------------------------------------------

    def foreign(self, foreign: Foreign) -> None:
        """Undo what somebody else did, or end the call for it."""
        too_often = not foreign.usual and bool(self._undone.take("", clock.now()))
        level = logging.INFO if foreign.usual else logging.WARNING
        logger.log(level, "x the page of call %s: %s", self.handle[:6], foreign.what)
        if self._foreign == "end" or too_often:
            self._end_soon("the page changed the session", normal=False)
            return
        task = asyncio.create_task(self._undo(foreign), name="rtcvoice undoing")
        self._undoing.add(task)
        task.add_done_callback(self._undoing.discard)

    async def _undo(self, foreign: Foreign) -> None:
        call = self.call
        if call is None:
            return
        try:
            for event in foreign.undo:
                await call.send_event(event)
        except CallEnded:
            pass
        except RtcVoiceError as exc:
            logger.error("x what the page did cannot be undone: %s", exc)  # noqa: TRY400
            self._end_soon("the page changed the session", normal=False)

    # -- the life of it ---------------------------------------------------------------------------

    def _end_soon(self, reason: str, *, normal: bool = True) -> None:
        if self._reason is None:
            self._reason = CallEnded(reason, normal=normal)
            if self.call is not None:
                self._hang_up(self.call)
            elif self._attaching is not None:
                self._attaching.cancel()

    def _hang_up(self, call: Call) -> None:
        hanging_up = asyncio.create_task(call.hangup(), name="rtcvoice hanging up")
        self._undoing.add(hanging_up)
        hanging_up.add_done_callback(self._undoing.discard)

    async def _live(self) -> None:
        try:
            if (call := self.call or await self._attached()) is not None:
                await self._run(call)
        finally:
            await self._close()

    async def _attached(self) -> Call | None:
        """Return the call once it is attached to; None where that comes to nothing."""
        assert self._attaching is not None
        await asyncio.wait({self._attaching})
        if self._attaching.cancelled():
            return None
        if (error := self._attaching.exception()) is not None:
            log_error(logger, error, "x attaching to a call failed")
            return None
        self.call = self._attaching.result()
        return self.call

    async def _run(self, call: Call) -> None:
        if self._reason is not None:  # while it was attached to
            self._hang_up(call)
        self._events = PageEvents(call, self._tell, show_tools=self._show_tools)
        for message in self._events.told_at_once():
            self._tell(message)
        if self._reads_back:
            call.on(Reconnected)(self._read_back)
        agent = asyncio.create_task(
            self._serve(call), name="rtcvoice agent", context=context_of(call)
        )
        telling = asyncio.create_task(self._events.run(), name="rtcvoice page events")
        end = await call.wait_ended()
        self._reason = self._reason or end
        await asyncio.gather(self._stop(agent), call.aclose())
        telling.cancel()
        await wait_done(telling)

    async def _close(self) -> None:
        """Hang up, whatever was said before; tell the page, and whoever waits."""
        if self._leaving is not None:
            self._leaving.cancel()
        self._reason = self._reason or CallEnded("the call failed", normal=False)
        logger.info("= call %s of %s ended: %s", self.handle[:6], self.caller, self._reason)
        if self._page is not None:
            self._dismiss(self._page)
        await self._service_call.hang_up()
        await self._service_call.aclose()
        for task in list(self._undoing):
            task.cancel()
            await wait_done(task)
        self._on_end(self)

    async def _read_back(self, event: Reconnected) -> None:
        if self.call is not None:
            await self.call.update()  # of nothing: it is answered with the session as it is

    async def _serve(self, call: Call) -> None:
        if self._agent is None:
            return
        try:
            await self._agent(call)
        except CallEnded:
            pass
        except Exception as exc:
            log_error(logger, exc, "x the agent of a call failed")
            self._end_soon("the agent failed", normal=False)

    async def _stop(self, agent: asyncio.Task[None]) -> None:
        """Have the agent stop; one that does not is left behind, and told of."""
        agent.cancel()
        await asyncio.wait({agent}, timeout=AGENT_GRACE)
        if not agent.done():
            logger.error("x an agent does not stop %g s after its call has ended", AGENT_GRACE)
            _left_behind.add(agent)
            agent.add_done_callback(_left_behind.discard)
        elif not agent.cancelled() and (error := agent.exception()) is not None:
            log_error(logger, error, "x the agent of a call failed")


_left_behind: set[asyncio.Task[None]] = set()
