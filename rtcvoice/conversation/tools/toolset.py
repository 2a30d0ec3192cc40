"""The tools of a call: what users hold.

A `ToolSet` checks everything when it is made, which is before anything is sent.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import NoneType
from typing import Any, TypeAlias

import msgspec

from rtcvoice.errors import ConfigError
from rtcvoice.system.public import public

from .flat import lifted
from .function_tool import NAME, Approval, Tool, check_hook, check_number, shown
from .mcp.server import McpServer

__all__ = ["AnyTool", "ToolSet"]

AnyTool: TypeAlias = Callable[..., object] | Mapping[str, object] | McpServer
"""What may stand in `tools=`: a function, a definition as in the API, an MCP server."""

TIMEOUT = 30.0
"""Seconds that a tool may take: the user waits in silence for it."""

CONCURRENCY = 8
"""Calls that run at the same time; more of them wait their turn."""

OUTPUT_LIMIT = 32 * 1024
"""Bytes of a result: about 8,000 tokens, which are billed again with every later response."""

LARGEST_OUTPUT = 60_000
"""Bytes that fit into one message of 64 KiB, the least that every peer accepts (RFC 8841 §6.1)."""

MOST_TOOLS = 128
"""Tools that the service takes in one session."""


@public
class ToolSet:
    """The tools of a call: functions, MCP servers, and definitions of what is handled elsewhere.

    A dict is sent as it is; calls of a function that is defined by a dict are left to you, as
    events. `{"type": "mcp", ...}` is a hosted MCP server, whose tools the service runs: `approve`
    is asked where the service wants an approval, and without it such a call is declined.

    timeout: seconds that a call may take, unless the tool says otherwise (30). A function that is
        late is cancelled; in a thread it runs on, and what it returns is dropped.
    concurrency: calls that run at the same time (8); the rest wait.
    output_limit: bytes of JSON or text that a result may have (32 KiB, at most 60,000).
    approve: called before each call with a `ToolCall`; returns True, False, or a text that tells
        the model why not. A coroutine function, or a plain one, which may block: it gets a thread.
        It may take any time, for a person may be asked, and holds one of the places meanwhile;
        bound it yourself (`asyncio.timeout`) where nobody may be there to answer.
    tell_errors: tell the model what a function raised, in its words, keys masked: models make
        good use of it. False where such texts may hold what the user must not hear, such as paths
        or names: the model is then told that the function failed; events and log have the text.
    """

    def __init__(
        self,
        tools: Iterable[AnyTool] = (),
        *,
        timeout: float = TIMEOUT,
        concurrency: int = CONCURRENCY,
        output_limit: int = OUTPUT_LIMIT,
        approve: Approval | None = None,
        tell_errors: bool = True,
    ) -> None:
        check_number("timeout", timeout, least=0.001)
        check_number("concurrency", concurrency, least=1, kind=int)
        check_hook("approve=", approve)
        check_number("output_limit", output_limit, least=100, most=LARGEST_OUTPUT)
        self.concurrency = concurrency
        self.output_limit = output_limit
        self.timeout = timeout
        self.tell_errors = tell_errors
        self.approve = approve
        """Asked before each call, also before those at hosted MCP servers that want an approval."""
        self._tools: dict[str, Tool] = {}
        self._foreign: list[dict[str, Any]] = []
        self._served: dict[str, Tool] = {}
        self.servers: list[McpServer] = []
        """The MCP servers among them, which a call starts."""
        for each in _listed(tools):
            if isinstance(each, McpServer):
                self.add_server(each)
            elif isinstance(each, Mapping):
                self._add_definition(dict(each))
            else:
                new = Tool(
                    _checked(each), timeout=timeout, approve=approve, tell_errors=tell_errors
                )
                self._add(new)
        if len(self.definitions) > MOST_TOOLS:
            raise ConfigError(
                f"{len(self.definitions)} tools are more than the {MOST_TOOLS} that a session has",
                hint="models choose better among fewer tools: put some together, or change the list"
                " during the call with call.update(tools=...)",
            )

    @classmethod
    def of(cls, tools: ToolSet | Iterable[AnyTool] | None) -> ToolSet:
        """Return `tools` as a ToolSet: itself, or a new one with the default options."""
        return tools if isinstance(tools, ToolSet) else cls(tools or ())

    @property
    def definitions(self) -> list[dict[str, Any]]:
        """What the session is told: the value of its `tools`."""
        return [*(each.definition for each in self), *self._foreign]

    @property
    def room(self) -> int:
        """How many tools of MCP servers a session has room for beside these."""
        return MOST_TOOLS - len(self._tools) - len(self._foreign)

    @property
    def own_names(self) -> list[str]:
        """The names of the functions among them, without those of MCP servers."""
        foreign = [each["name"] for each in self._foreign if each["type"] == "function"]
        return [*self._tools, *foreign]

    def with_served(self, tools: Iterable[Tool]) -> ToolSet:
        """Return these tools and, in place of earlier ones, those of MCP servers that run."""
        made = copy.copy(self)
        made.__dict__["_served"] = {each.name: each for each in tools}
        return made

    def with_servers(self, servers: Iterable[McpServer]) -> ToolSet:
        """Return these tools and more MCP servers. Raises ConfigError for names that are taken."""
        made = copy.copy(self)
        made.servers = []
        for each in (*self.servers, *servers):
            made.add_server(each)
        return made

    def asking(self, approve: Approval) -> ToolSet:
        """Return these tools with a hook for those of MCP servers that have none."""
        if self.approve is not None:
            return self
        made = copy.copy(self)
        made.approve = approve
        return made

    def check_servers(self) -> None:
        """Raise ConfigError where nobody approves the calls of an MCP server."""
        for server in self.servers:
            if server.approve is None and self.approve is None:
                raise ConfigError(
                    f"nobody approves what the MCP server {server.name} is to do",
                    hint="ToolSet([...], approve=hook); McpServer(..., approve=True) if every"
                    " call may run",
                )

    @property
    def hosted_labels(self) -> set[str]:
        """The labels of the hosted MCP servers."""
        labels = (each.get("server_label") for each in self._foreign if each["type"] == "mcp")
        return {label for label in labels if isinstance(label, str)}

    def get(self, name: str) -> Tool | None:
        """Return the tool of that name, None when there is none here."""
        return self._tools.get(name) or self._served.get(name)

    def __iter__(self) -> Iterator[Tool]:
        return iter([*self._tools.values(), *self._served.values()])

    def __len__(self) -> int:
        return len(self._tools) + len(self._served)

    def __repr__(self) -> str:
        servers = [*(each.name for each in self.servers), *sorted(self.hosted_labels)]
        names = [*self.own_names, *self._served, *(f"MCP server {each}" for each in servers)]
        names = names or ["without tools"]
        return f"<ToolSet {', '.join(names)}>"

    def add_server(self, server: McpServer) -> None:
        """Take one more. Raises ConfigError for a name that is taken."""
        if server.name in (each.name for each in self.servers):
            raise ConfigError(
                f"two MCP servers are called {server.name!r}", hint="McpServer(name=...)"
            )
        self.servers.append(server)

    def _add(self, new: Tool) -> None:
        self._claim(new.name)
        self._tools[new.name] = new

    def _add_definition(self, definition: dict[str, Any]) -> None:
        kind, name = definition.get("type"), definition.get("name")
        if not isinstance(kind, str):
            raise ConfigError("a tool given as a dict has no 'type'", hint="'function' or 'mcp'")
        if kind == "function":
            if name is None and isinstance(definition.get("function"), dict):
                raise ConfigError(
                    "a function given as a dict has its name inside 'function'",
                    hint="the Realtime API has name, description and parameters beside the type",
                )
            if not isinstance(name, str) or not NAME.fullmatch(name):
                raise ConfigError(f"a function given as a dict has the name {name!r:.80}")
            if not isinstance(definition.get("parameters"), dict | NoneType):
                raise ConfigError(
                    f"the parameters of the function {name!r} are not a dict", hint="a JSON schema"
                )
            self._claim(name)
        try:
            msgspec.json.encode(definition)
            if isinstance(definition.get("parameters"), dict):
                definition["parameters"] = lifted(definition["parameters"])
        except (TypeError, ValueError, RecursionError) as exc:
            raise ConfigError(f"a tool given as a dict is not JSON: {exc}") from exc
        self._foreign.append(definition)

    def _claim(self, name: str) -> None:
        if name in self.own_names:
            raise ConfigError(
                f"two tools are called {name!r}", hint="@rtcvoice.tool(name=...) renames one"
            )


def _listed(tools: Any) -> list[Any]:
    if isinstance(tools, Mapping | str) or callable(tools):
        raise ConfigError(f"tools={shown(tools)} is not a list", hint="tools=[...]")
    try:
        return list(tools)
    except TypeError as exc:
        raise ConfigError(f"tools={shown(tools)} is not a list", hint="tools=[...]") from exc


def _checked(function: Any) -> Callable[..., Any]:
    if isinstance(function, type) or not callable(function):
        raise ConfigError(
            f"{shown(function)} is not a tool",
            hint="pass functions, MCP servers, or dicts as in the API",
        )
    return function  # type: ignore[no-any-return]
