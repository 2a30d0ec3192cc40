"""One MCP server that runs: its owner's task, what it offers, and its calls.

The owner's task opens the connection, looks after it, and closes it: nobody else does. It ends by
itself when the server does; what is called then fails with why.
"""

from __future__ import annotations

import asyncio
import enum
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    suppress,
)
from typing import Any

from rtcvoice.conversation.tools.failures import Failed
from rtcvoice.errors import ConfigError, one_line
from rtcvoice.events import ToolFailure
from rtcvoice.masking import masked
from rtcvoice.system.states import StateTable
from rtcvoice.system.waiting import wait_done

from .environment import environment
from .offered import MOST_OFFERS, Offer, readable_offers
from .package import loaded
from .process import Process
from .server import McpServer

__all__ = ["McpConnection", "ServerState"]

logger = logging.getLogger(__name__)

LIST_TIMEOUT = 10.0
"""Seconds until a server must have told its tools again."""

MOST_PAGES = 50
"""Pages of a list of tools."""

BETWEEN_LISTS = 1.0
"""Seconds between two looks at the tools of a server that says they changed."""


class ServerState(enum.Enum):
    """How far an MCP server is."""

    STARTING = "It was begun, and has not told its tools."
    RUNNING = "Its tools can be called."
    FAILED = "It ended, or broke the protocol: nothing of it can be called."
    STOPPED = "It was stopped, with the call or because its tools are not wanted any more."


SERVER = StateTable(
    {
        ServerState.STARTING: {ServerState.RUNNING, ServerState.FAILED, ServerState.STOPPED},
        ServerState.RUNNING: {ServerState.FAILED, ServerState.STOPPED},
        ServerState.FAILED: {ServerState.STOPPED},
        ServerState.STOPPED: set(),
    }
)


class McpConnection:
    """A server while it runs. Event loop only.

    on_change: called when it offers other tools than before.
    on_failure: called with why, when it ends of itself.
    """

    def __init__(
        self,
        server: McpServer,
        *,
        on_change: Callable[[], None],
        on_failure: Callable[[str], None],
    ) -> None:
        self.state = ServerState.STARTING
        self.offers: list[Offer] = []
        """What it offers now."""
        self._server = server
        self._on_change = on_change
        self._on_failure = on_failure
        self._client: Any = None
        self._process: Process | None = None
        self._why = ""
        self._ready = asyncio.Event()
        self._stir = asyncio.Event()
        self._over = asyncio.Event()
        self._changed = self._stopping = False
        self._owner: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start it and learn its tools. Raises ConfigError."""
        self._owner = asyncio.create_task(self._own(), name=f"rtcvoice MCP server {self.name}")
        ready = asyncio.create_task(self._ready.wait())
        try:
            await asyncio.wait(
                {ready, self._owner},
                timeout=self._server.start_timeout,
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            ready.cancel()
        if self.state is ServerState.RUNNING:
            return
        late = not self._owner.done()
        why = f"it told no tools within {self._server.start_timeout:g} s" if late else self._why
        words = self._process.last_words if self._process is not None else ""
        said = f"; it said: {words}" if words else ""
        await self.aclose(timeout=0.0)
        raise ConfigError(
            f"the MCP server {self.name} did not start: {why}{said}", hint=self._cure(late=late)
        )

    def _cure(self, *, late: bool) -> str:
        if late:
            return "McpServer(start_timeout=) for one that takes longer"
        if self._server.command is None:
            return "check its address, that it runs, and that it can be reached from here"
        return "run its command in a terminal, or see its log"

    @property
    def name(self) -> str:
        """What the server is called."""
        return self._server.name

    async def call(self, name: str, arguments: dict[str, Any]) -> Any:
        """Call a tool of the server, by the server's name for it. Raises Failed."""
        if self.state is not ServerState.RUNNING:
            raise Failed(ToolFailure.MCP_SERVER, f"the MCP server {self.name} {self._end}")
        over = asyncio.create_task(self._over.wait())
        work = asyncio.ensure_future(self._client.call_tool(name, arguments))
        try:
            await asyncio.wait({work, over}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                return work.result()
        except Exception as exc:  # of the package: they have no common base
            await asyncio.sleep(0)  # for what ended it to be known
            running = self.state is ServerState.RUNNING
            why = f"failed: {_told(exc)}" if running else self._end
            raise Failed(ToolFailure.MCP_SERVER, f"the MCP server {self.name} {why}") from exc
        finally:
            over.cancel()
            work.cancel()
        raise Failed(ToolFailure.MCP_SERVER, f"the MCP server {self.name} ended meanwhile")

    def stop(self) -> None:
        """Let it end."""
        self._stopping = True
        self._over.set()
        self._stir.set()

    async def aclose(self, *, timeout: float) -> None:
        """Stop it, and wait until it is gone: after `timeout` s it is cancelled. Idempotent."""
        self.stop()
        if self._owner is None:
            return
        await asyncio.wait({self._owner}, timeout=timeout)
        self._owner.cancel()
        await wait_done(self._owner)

    # -- the owner ------------------------------------------------------------------------------

    @property
    def _end(self) -> str:
        """Why nothing can be called."""
        if self.state is ServerState.STOPPED:
            return "was stopped"
        return f"does not run any more: {self._why}" if self._why else "does not run yet"

    async def _own(self) -> None:
        why = "it ended"
        try:
            async with self._opened() as client:
                self._client = client
                self.offers = await self._list()
                self._become(ServerState.RUNNING)
                self._ready.set()
                await self._look_after()
            if self._process is not None and self._process.exit_code is not None:
                why = f"it ended, exit code {self._process.exit_code}"
        except ConfigError as exc:
            why = str(exc)
        except FileNotFoundError as exc:
            missing = exc.filename or (self._server.command or [""])[0]
            why = f"there is no {one_line(str(missing), 200)!r}"
        except Exception as exc:
            why = _told(exc)
        finally:
            if self._stopping:
                self._become(ServerState.STOPPED)
        if not self._stopping:
            self._fail(why)

    def _fail(self, why: str) -> None:
        ran, self._why = self.state is ServerState.RUNNING, why
        self._become(ServerState.FAILED)
        if ran:
            self._on_failure(why)

    async def _look_after(self) -> None:
        """Return when it is to stop, or is gone; list its tools again when they change."""
        while True:
            await self._stir.wait()
            self._stir.clear()
            if self._over.is_set():
                return
            if self._changed:
                self._changed = False
                await self._list_again()

    async def _list_again(self) -> None:
        try:
            async with asyncio.timeout(LIST_TIMEOUT):
                offers = await self._list()
        except Exception as exc:
            logger.warning(
                "x MCP server %r did not tell its tools again: %s", self.name, _told(exc)
            )
        else:
            if offers != self.offers:
                self.offers = offers
                self._on_change()
        with suppress(TimeoutError):  # whatever a server does, it is not asked more often
            async with asyncio.timeout(BETWEEN_LISTS):
                await self._over.wait()

    async def _list(self) -> list[Offer]:
        """Return what it offers, page by page."""
        tools: list[Any] = []
        cursor = None
        for _ in range(MOST_PAGES):
            page = await self._client.list_tools(cursor=cursor)
            tools += page.tools
            cursor = page.next_cursor
            if cursor is None or len(tools) >= MOST_OFFERS:
                break
        return readable_offers(tools, self._server.only)

    async def _heard(self, message: Any) -> None:
        """Take what the server tells of its own accord."""
        if getattr(message, "method", "") == "notifications/tools/list_changed":
            self._changed = True
            self._stir.set()

    def _lost(self) -> None:
        self._over.set()
        self._stir.set()

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[Any]:
        """Open the connection, and close it again."""
        package = await loaded()
        async with AsyncExitStack() as stack:
            transport: AbstractAsyncContextManager[Any]
            if self._server.command is None:
                web = await stack.enter_async_context(package.web_client(self._server.headers))
                transport = package.over_http(self._server.url, http_client=web)
            else:
                self._process = Process(
                    self._server.command,
                    env=environment(self._server.env),
                    cwd=self._server.cwd,
                    label=self.name,
                    on_gone=self._lost,
                )
                transport = self._process.transport(package)
            yield await stack.enter_async_context(package.open(transport, self._heard))

    def _become(self, state: ServerState) -> None:
        if self.state is not state:
            self.state = SERVER.change(self.state, state, f"MCP server {self.name}")


def _told(error: BaseException) -> str:
    """Return what an error says, of a group its first."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    try:
        text = str(error)
    except Exception:
        text = ""
    return masked(one_line(f"{type(error).__name__}: {text}", 500))
