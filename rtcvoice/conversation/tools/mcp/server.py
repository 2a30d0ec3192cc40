"""An MCP server that the user names: a command to run, or an address on the web."""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath
from urllib.parse import urlsplit

from rtcvoice.conversation.tools.function_tool import NAME, Approval, check_number, shown
from rtcvoice.errors import ConfigError
from rtcvoice.system.extras import install_extra
from rtcvoice.system.public import public

__all__ = ["McpServer"]

START_TIMEOUT = 30.0
"""Seconds until a server must have told its tools: its command may fetch it from the web first."""

_LAUNCHERS = frozenset(
    ("bun", "bunx", "deno", "docker", "node", "npx", "podman", "python", "uv", "uvx")
)
"""Commands that are not the server, but begin it."""
_STEPS = frozenset(("run", "exec", "tool", "x"))
_LOCAL = ("localhost", "127.0.0.1", "::1")


@public
class McpServer:
    """An MCP server whose tools the model may call: `tools=[McpServer(["uvx", "server"])]`.

    It is started with each call that has it among its tools, and ends with the call.

    command: the program and its arguments, one by one; no shell reads them. It sees PATH, HOME, the
        language and the like of our environment, and no keys; `env` adds variables.
    url, headers: the address of a server on the web (streamable HTTP) in place of a command, and
        what is sent with each request. They are not sent on to another address.
    approve: asked before each call, as in `ToolSet`; True lets every call run. Without it the
        ToolSet's hook is asked, and there must be one.
    tools: the names of those tools of the server that the model may call; all of them if not given.
    name: what the server is called in events, in the log, and before tools whose names are taken.
    cwd: the folder in which the command runs.
    timeout: seconds that a call of a tool may take; the ToolSet's if not given.
    start_timeout: seconds until it must have told its tools (30).

    Needs the package mcp: `pip install "rtcvoice[mcp]"`. Raises ConfigError.
    """

    def __init__(
        self,
        command: Sequence[str] | None = None,
        *,
        url: str | None = None,
        headers: Mapping[str, str] | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str | os.PathLike[str] | None = None,
        approve: Approval | bool | None = None,
        tools: Iterable[str] | None = None,
        name: str | None = None,
        timeout: float | None = None,
        start_timeout: float = START_TIMEOUT,
    ) -> None:
        self.command = None if command is None else _checked_command(command)
        self.url = None if url is None else _checked_url(url, secret=bool(headers))
        if (self.command is None) == (self.url is None):
            raise ConfigError(
                "an MCP server has a command or a url", hint='McpServer(["uvx", "the-server"])'
            )
        self.headers = _texts("headers", headers)
        self.env = _texts("env", env)
        if (self.headers and self.url is None) or (self.env and self.command is None):
            raise ConfigError("headers= are for a url, and env= is for a command")
        self.cwd = cwd
        if not (approve is None or approve is True or callable(approve)):
            raise ConfigError(
                f"approve={shown(approve)} of an MCP server",
                hint="a function that takes a ToolCall; True lets every call run",
            )
        self.approve = approve
        self.only = None if tools is None else _names(tools)
        self.name = _default_name(self.command, self.url) if name is None else name
        if not isinstance(self.name, str) or not NAME.fullmatch(self.name):
            raise ConfigError(
                f"an MCP server cannot be called {self.name!r:.80}",
                hint="up to 64 letters, digits, _ and -",
            )
        if timeout is not None:
            check_number("timeout", timeout, least=0.001)
        check_number("start_timeout", start_timeout, least=0.001)
        self.timeout, self.start_timeout = timeout, start_timeout
        if importlib.util.find_spec("mcp") is None:
            raise ConfigError("MCP servers need the package mcp", hint=install_extra("mcp"))

    def __repr__(self) -> str:
        return f"<McpServer {self.name}>"


def _checked_command(command: object) -> list[str]:
    if isinstance(command, str) or not isinstance(command, Sequence) or not command:
        raise ConfigError(
            "the command of an MCP server is not a list",
            hint='one text for each argument: McpServer(["uvx", "the-server"])',
        )
    made = [os.fsdecode(each) if isinstance(each, os.PathLike) else each for each in command]
    if not all(isinstance(each, str) and "\0" not in each for each in made) or not made[0]:
        raise ConfigError("the command of an MCP server has an argument that is not text")
    return made


def _checked_url(url: object, *, secret: bool) -> str:
    try:
        parts = urlsplit(url) if isinstance(url, str) else None
        host = parts.hostname if parts is not None else None
    except ValueError:
        parts = host = None
    if parts is None or not host or parts.scheme not in ("http", "https"):
        raise ConfigError(
            "the url of an MCP server is no address", hint='url="https://mcp.example/mcp"'
        )
    if parts.username or parts.password:
        raise ConfigError("the url of an MCP server holds a password", hint="put it into headers=")
    if secret and parts.scheme == "http" and host not in _LOCAL:
        raise ConfigError(
            "headers= would go to the MCP server unencrypted", hint="use an https:// address"
        )
    return str(url)


def _texts(option: str, given: object) -> dict[str, str]:
    if given is None:
        return {}
    if not isinstance(given, Mapping) or not all(
        isinstance(name, str) and isinstance(value, str) for name, value in given.items()
    ):
        raise ConfigError(f"{option}= of an MCP server is not a mapping of texts")
    return dict(given)


def _names(tools: object) -> frozenset[str]:
    if isinstance(tools, str) or not isinstance(tools, Iterable):
        raise ConfigError("tools= of an MCP server is not a list of names")
    return frozenset(map(str, tools))


def _default_name(command: list[str] | None, url: str | None) -> str:
    """Return what a server is called that was given no name."""
    if command is None:
        return _legal(urlsplit(url or "").hostname or "")
    first, *rest = command
    stem = PurePath(first).stem
    if re.sub(r"[\d.]+$", "", stem.lower()) in _LAUNCHERS:
        words = [each for each in rest if not each.startswith("-") and each not in _STEPS]
        stem = PurePath(words[0].partition("@")[0] or words[0]).stem if words else stem
    return _legal(stem)


def _legal(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "_", name).strip("_")[:64] or "mcp"
