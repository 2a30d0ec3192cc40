"""Tools of hosted MCP servers, which the service runs itself: approvals, and what is told of them.

    mcp_approval_request -> hook -> mcp_approval_response -> the service goes on by itself
    mcp_call             -> the same events as for the user's own functions

Only calls at servers in the call's own ToolSet are approved or declined here; those of servers that
the user put into the session otherwise are left to the user.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple, Protocol

import msgspec

from rtcvoice import events
from rtcvoice.errors import RtcVoiceError, one_line
from rtcvoice.events import (
    McpApprovalRequest,
    McpCall,
    McpServerFailed,
    ToolCancelled,
    ToolFailed,
    ToolFailure,
    ToolFinished,
    ToolStarted,
)
from rtcvoice.masking import masked, masked_traceback

from .failures import readable
from .function_tool import Approval, ToolCall
from .toolset import ToolSet

__all__ = ["GiveVerdict", "HostedCalls"]

logger = logging.getLogger(__name__)

REMEMBERED = 500
"""Calls, approvals and servers of which is known what was told of them."""

NOBODY = "nobody is there to approve it"
"""What the model is told where there is no hook."""

GiveVerdict = Callable[[str, bool, str], Coroutine[Any, Any, None]]
"""Sends a verdict: the id of the request, yes or no, and why not."""


class Running(Protocol):
    """What is needed of the runner of the user's own functions: a `ToolRunner`."""

    @property
    def tools(self) -> ToolSet:
        """The tools of the call."""

    async def verdict(self, hook: Approval, asked: ToolCall) -> Any:
        """Ask a hook; raises what it raises."""

    def spawn(self, coroutine: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        """Start a task in the user's context."""


class _Known(NamedTuple):
    """What is known of a call at a server."""

    name: str
    server: str
    arguments: str
    response_id: str
    began: float | None = None
    """When it began to run; None: it does not run yet."""


class HostedCalls:
    """The calls at hosted MCP servers in one call. Event loop only; nothing here raises.

    ask: notes that a response asks for an approval; returns what sends the verdict.
    publish: takes the events for the user.
    """

    def __init__(
        self,
        runner: Running,
        ask: Callable[[str], GiveVerdict],
        publish: Callable[[Any], None],
        *,
        clock: Callable[[], float],
    ) -> None:
        self._runner = runner
        self._await_verdict = ask
        self._publish = publish
        self._clock = clock
        self._open: dict[str, _Known] = {}  # by item
        self._over: dict[str, None] = {}  # items of calls and approvals that were told
        self._servers: dict[str, str] = {}  # labels, by the item of their tools
        self._tasks: set[asyncio.Task[Any]] = set()
        self._ended = False

    def feed(self, event: Any) -> None:
        """Take the next event of the server."""
        match event:
            case events.ResponseOutputItemAdded(item=McpCall() as call):
                self._note(call, event.response_id)
            case events.ResponseMcpCallArgumentsDone():
                if (known := self._open.get(event.item_id)) is not None:
                    self._open[event.item_id] = known._replace(arguments=event.arguments)
            case events.ResponseMcpCallInProgress():
                self._start(event.item_id)
            case events.ResponseOutputItemDone(item=McpCall() as call):
                self._finish(call, event.response_id)
            case events.ResponseOutputItemDone(item=McpApprovalRequest() as request):
                self._ask(request, event.response_id)
            case events.ResponseDone():
                self._response_done(event.response)
            case events.ConversationItemAdded(item=events.McpListTools() as tools):
                _remember(self._servers, tools.id or "", tools.server_label)
            case events.ConversationItemDone(item=events.McpListTools() as tools):
                _remember(self._servers, tools.id or "", tools.server_label)
            case events.McpListToolsFailed():
                self._list_failed(event.item_id)

    def leave(self) -> None:
        """Note that the session is gone, and with it what ran in it."""
        for item_id in list(self._open):
            self._cancel(item_id)

    def end(self) -> None:
        """Ask and tell nothing more: the call is over."""
        if self._ended:
            return
        self._ended = True
        self.leave()
        for task in list(self._tasks):
            task.cancel()

    async def aclose(self, *, timeout: float) -> None:
        """Wait up to `timeout` s for what `end` cancelled."""
        self.end()
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=timeout)

    # -- calls ----------------------------------------------------------------------------------

    def _note(self, call: McpCall, response_id: str) -> None:
        if call.id and call.id not in self._over:
            known = _Known(call.name, call.server_label, call.arguments, response_id)
            _remember(self._open, call.id, known)

    def _start(self, item_id: str) -> None:
        known = self._open.get(item_id)
        if known is None or known.began is not None:
            return
        self._open[item_id] = known._replace(began=self._clock())
        about = _about(item_id, known.name, known.server)
        self._publish(ToolStarted(**about, arguments=_mapping(known.arguments)))

    def _finish(self, call: McpCall, response_id: str) -> None:
        """Tell how a call ended; one without a result or an error was not made."""
        item_id = call.id or ""
        if item_id in self._over or (call.output is None and call.error is None):
            return
        if item_id not in self._open or not self._open[item_id].arguments:
            known = _Known(call.name, call.server_label, call.arguments, response_id)
            began = self._open.get(item_id, known).began
            _remember(self._open, item_id, known._replace(began=began))
        self._start(item_id)
        known = self._open.pop(item_id)
        _remember(self._over, item_id, None)
        about = _about(item_id, known.name, known.server)
        if call.error is None:
            seconds = self._clock() - (known.began or 0.0)
            self._publish(ToolFinished(**about, output=call.output or "", seconds=seconds))
            return
        raised = call.error.type == "tool_execution_error"
        failure = ToolFailure.RAISED if raised else ToolFailure.MCP_SERVER
        code = "" if call.error.code is None else f" {call.error.code}"
        why = call.error.message or "without a word"
        self._fail(about, failure, f"{call.error.type}{code}: {why}")

    def _response_done(self, response: events.RealtimeResponse) -> None:
        for item in response.output or []:
            match item:
                case McpCall():
                    self._finish(item, response.id or "")
                case McpApprovalRequest():
                    self._ask(item, response.id or "")
        for item_id, known in list(self._open.items()):
            if known.response_id == response.id:
                self._cancel(item_id)

    def _cancel(self, item_id: str) -> None:
        """Tell of a call that began and will not end; of one that did not begin, nothing."""
        known = self._open.pop(item_id)
        _remember(self._over, item_id, None)
        if known.began is not None:
            self._publish(ToolCancelled(**_about(item_id, known.name, known.server)))

    def _fail(
        self,
        about: dict[str, str],
        failure: ToolFailure,
        message: str,
        cause: BaseException | None = None,
    ) -> None:
        told = readable(message)
        place = f"{about['name']!r} of the MCP server {about['server']!r}"
        if cause is None:
            logger.warning("x tool %s: %s", place, told)
        else:
            logger.error("x tool %s: %s\n%s", place, told, masked_traceback(cause))
        self._publish(ToolFailed(**about, failure=failure, message=told, exception=cause))

    def _list_failed(self, item_id: str) -> None:
        server = _shown(self._servers.get(item_id, ""))
        message = "it did not tell its tools: none of them can be called"
        logger.warning("x MCP server %r: %s", server, message)
        self._publish(McpServerFailed(server=server, message=message))

    # -- approvals ------------------------------------------------------------------------------

    def _ask(self, request: McpApprovalRequest, response_id: str) -> None:
        """Have a call approved or declined; each is asked for once."""
        request_id = request.id or ""
        ours = request.server_label in self._runner.tools.hosted_labels
        if self._ended or not request_id or request_id in self._over or not ours:
            return
        _remember(self._over, request_id, None)
        give = self._await_verdict(response_id)
        task = self._runner.spawn(self._decide(request, give), "rtcvoice MCP approval")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _decide(self, request: McpApprovalRequest, give: GiveVerdict) -> None:
        why, cause = await self._objection(request)
        about = _about(request.id or "", request.name, request.server_label)
        if why is not None:
            self._fail(about, ToolFailure.REFUSED, why, cause)
        try:
            await give(request.id or "", why is None, readable(why or ""))
        except RtcVoiceError as exc:
            logger.warning("x the approval of an MCP call was not sent: %s", exc)

    async def _objection(self, request: McpApprovalRequest) -> tuple[str | None, Any]:
        """Return why a call may not be made, None if it may; and what the hook raised."""
        hook = self._runner.tools.approve
        if hook is None:
            hint = "ToolSet(approve=...) decides, or 'require_approval': 'never'"
            return f"not approved: {NOBODY}; {hint}", None
        asked = ToolCall(
            name=_shown(request.name),
            arguments=_mapping(request.arguments),
            call_id=request.id or "",
            server=_shown(request.server_label),
        )
        try:
            verdict = await self._runner.verdict(hook, asked)
        except Exception as exc:
            return "the approval of this call failed", exc
        if isinstance(verdict, str):
            return f"not approved: {verdict}", None
        return (None if verdict is True else "not approved"), None


def _about(item_id: str, name: str, server: str) -> dict[str, str]:
    """Return the fields of a tool's event that say which call it is about."""
    shown = {"name": _shown(name), "server": _shown(server)}
    return {**shown, "call_id": item_id, "item_id": item_id}


def _shown(name: str) -> str:
    return masked(one_line(name, 64))


def _mapping(arguments: str) -> dict[str, Any]:
    """Return the arguments of a call, none where they are not a JSON object."""
    try:
        made = msgspec.json.decode(arguments or "{}")
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return {}
    return made if isinstance(made, dict) else {}


def _remember(what: dict[str, Any], key: str, value: Any) -> None:
    """Note something; of too many, the oldest is forgotten."""
    what[key] = value
    while len(what) > REMEMBERED:
        del what[next(iter(what))]
