"""Writes what a response does at a hosted MCP server: it asks for an approval, or makes a call.

Whether a call needs an approval is said by the `require_approval` of its server, in the session's
tools: `always` (also where nothing is said), `never`, or a filter for each of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rtcvoice.emulator.session.items import Item, Tokens, weigh
from rtcvoice.emulator.session.output_items import OutputItem, Owner
from rtcvoice.emulator.session.plan import HostedCall
from rtcvoice.emulator.session.settings import Settings

__all__ = ["ApprovalWriter", "HostedCallWriter", "needs_approval", "servers_of"]

_PIECE = 8  # characters of a delta: a few tokens
_MOST_PIECES = 200  # of long arguments the pieces are longer, not more


def servers_of(settings: Settings) -> dict[str, dict[str, Any]]:
    """Return the hosted MCP servers in the session's tools, by label."""
    tools = settings.get("tools") or []
    return {tool["server_label"]: tool for tool in tools if tool["type"] == "mcp"}


def needs_approval(settings: Settings, call: HostedCall) -> bool:
    """Whether somebody has to approve a call before it is made."""
    if call.approval_request_id is not None:
        return False
    server = servers_of(settings).get(call.server, {})
    rule = server.get("require_approval") or "always"
    if isinstance(rule, str):
        return rule == "always"
    if "always" in rule and _covers(rule["always"], call.tool):
        return True
    return not ("never" in rule and _covers(rule["never"], call.tool))


def _covers(which: dict[str, Any], tool: str) -> bool:
    """Whether a filter names a tool; one without names is for every tool."""
    return tool in which.get("tool_names", (tool,))


class HostedCallWriter(OutputItem):
    """One call at a hosted MCP server, which the service makes itself, with its result."""

    def __init__(self, response: Owner, call: HostedCall) -> None:
        super().__init__(response)
        self._call = call
        self._arguments = ""
        self._answered = False

    def item(self) -> Item:
        """Return a fresh copy of the item as it stands."""
        call, over = self._call, self._answered
        wrong = {"type": "tool_execution_error", "message": call.fails} if call.fails else None
        return {
            "id": self.id,
            "type": "mcp_call",
            "server_label": call.server,
            "name": call.tool,
            "arguments": self._arguments if self.status != "in_progress" or over else "",
            "output": call.gives if over and not call.fails else None,
            "error": wrong if over else None,
            "approval_request_id": call.approval_request_id,
        }

    @property
    def tokens(self) -> Tokens:
        """What has been generated of it so far."""
        return weigh({"name": self._call.tool, "arguments": self._arguments})

    def _opened(self) -> None:
        """Say nothing more than that it was added."""

    def _deltas(self) -> Iterator[None]:
        send, whole = self.shared.outbox.send, self._call.arguments
        size = max(_PIECE, -(-len(whole) // _MOST_PIECES))
        for start in range(0, len(whole), size):
            piece = whole[start : start + size]
            self._arguments += piece
            padding = self.shared.ids.obfuscation(piece)
            kind = "response.mcp_call_arguments.delta"
            send(kind, **self.where(), delta=piece, obfuscation=padding)
            yield
        send("response.mcp_call_arguments.done", **self.where(), arguments=whole)
        self._tell("in_progress")
        yield
        self._answered = True
        self._tell("failed" if self._call.fails else "completed")

    def _tell(self, how: str) -> None:
        """Say how the call fares; these events do not name the response."""
        send = self.shared.outbox.send
        send(f"response.mcp_call.{how}", item_id=self.id, output_index=self.index)

    def _closed(self) -> None:
        """Say nothing more than that it is done."""


class ApprovalWriter(OutputItem):
    """The question whether a call may be made."""

    def __init__(self, response: Owner, call: HostedCall) -> None:
        super().__init__(response)
        self._call = call

    def item(self) -> Item:
        """Return a fresh copy of the item."""
        return {
            "id": self.id,
            "type": "mcp_approval_request",
            "server_label": self._call.server,
            "name": self._call.tool,
            "arguments": self._call.arguments,
        }

    @property
    def tokens(self) -> Tokens:
        """What has been generated of it."""
        return weigh({"name": self._call.tool, "arguments": self._call.arguments})

    def _opened(self) -> None:
        """Say nothing more than that it was added."""

    def _deltas(self) -> Iterator[None]:
        yield

    def _closed(self) -> None:
        """Say nothing more than that it is done."""
