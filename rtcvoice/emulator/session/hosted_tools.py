"""The hosted MCP servers of one session: their tools are listed, and their calls approved.

A server is listed once, when it is new in the session's tools. An approval that was asked for
waits, with what the answer was to say after the call, until the client's verdict comes; then the
service goes on by itself, in a new response.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from rtcvoice.emulator.session.conversation import Entry
from rtcvoice.emulator.session.hosted_calls import servers_of
from rtcvoice.emulator.session.items import Item, Tokens
from rtcvoice.emulator.session.plan import HostedCall, Output, Plan, Say
from rtcvoice.emulator.session.schema import RequestError
from rtcvoice.emulator.session.settings import Settings
from rtcvoice.emulator.session.shared import Shared

__all__ = ["HostedTools"]

MOST_WAITING = 100
"""Approvals that may wait; then the oldest are forgotten."""

_DECLINED = Say("All right, I will not do that.")


class HostedTools:
    """What the service does at MCP servers. `tools_of`: by label, the tools that scripts use."""

    def __init__(self, shared: Shared, tools_of: Mapping[str, Sequence[str]], *, fails: bool):
        self._shared = shared
        self._tools_of = tools_of
        self._fails = fails
        self._listed: set[str] = set()
        self._waiting: dict[str, tuple[Output, ...]] = {}
        self._owed: deque[Plan] = deque()

    # ---- the tools

    def configure(self, settings: Settings) -> None:
        """Ask the servers for their tools that are new in the session."""
        servers = servers_of(settings)
        self._listed &= servers.keys()
        for label, server in servers.items():
            if label not in self._listed:
                self._listed.add(label)
                self._list(label, server)

    def _list(self, label: str, server: dict[str, Any]) -> None:
        item_id = self._shared.ids.item()
        self._shared.outbox.send("mcp_list_tools.in_progress", item_id=item_id)
        names = [] if self._fails else self._names(label, server)
        tools = [_described(name) for name in names]
        item = {"id": item_id, "type": "mcp_list_tools", "server_label": label, "tools": tools}
        latency = self._shared.pace.response_latency
        self._shared.agenda.after(latency, lambda: self._tell(item))

    def _tell(self, item: Item) -> None:
        conversation, send = self._shared.conversation, self._shared.outbox.send
        previous = conversation.last_id
        conversation.add(Entry(item, Tokens()))
        for kind in ("added", "done"):
            copy = conversation.snapshot(item["id"])
            send(f"conversation.item.{kind}", previous_item_id=previous, item=copy)
        how = "failed" if self._fails else "completed"
        send(f"mcp_list_tools.{how}", item_id=item["id"])

    def _names(self, label: str, server: dict[str, Any]) -> list[str]:
        allowed = server.get("allowed_tools") or ()
        if isinstance(allowed, dict):
            allowed = allowed.get("tool_names") or ()
        own = self._tools_of.get(label) or allowed or ("search",)
        return [name for name in own if not allowed or name in allowed]

    # ---- approvals

    def ask(self, request_id: str, outputs: tuple[Output, ...]) -> None:
        """Note an approval that was asked for, and what is to follow: the call, and the rest."""
        self._waiting[request_id] = outputs
        while len(self._waiting) > MOST_WAITING:
            del self._waiting[next(iter(self._waiting))]

    def check(self, item: Item) -> None:
        """Raise RequestError for a verdict that nobody waits for."""
        request_id = item["approval_request_id"]
        if request_id not in self._waiting:
            message = f"Approval request '{request_id}' not found, or answered already."
            raise RequestError("invalid_value", message, "item.approval_request_id")

    def decide(self, item: Item) -> None:
        """Take a verdict that `check` let pass; `take` gives what is to be said then."""
        request_id = item["approval_request_id"]
        first, *rest = self._waiting.pop(request_id)
        if not item["approve"]:
            self._owed.append(Plan((_DECLINED,)))
        elif isinstance(first, HostedCall):
            call = replace(first, approval_request_id=request_id)
            self._owed.append(Plan((call, *rest)))

    def take(self, begin: Callable[[Plan], None]) -> bool:
        """Begin the next response that is owed for a verdict; return whether there was one."""
        if not self._owed:
            return False
        begin(self._owed.popleft())
        return True


def _described(name: str) -> dict[str, Any]:
    schema = {"type": "object", "properties": {}, "additionalProperties": True}
    return {
        "name": name,
        "description": f"The tool {name} of the emulator.",
        "input_schema": schema,
        "annotations": {"read_only": False},
    }
