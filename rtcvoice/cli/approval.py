"""Asks whoever sits at the terminal whether an MCP server may do something: y or n."""

from __future__ import annotations

import asyncio
import shlex
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from rtcvoice import ConfigError, McpServer, ToolCall, ToolSet
from rtcvoice.cli.tool_lines import call_line
from rtcvoice.errors import clean

__all__ = ["Person", "asked", "mcp_servers"]

NOBODY = "nobody can be asked here: there is no terminal with keys; --allow-mcp lets every call run"

_WORDS = {"y": True, "yes": True, "n": False, "no": False}


class _Question(NamedTuple):
    text: str
    answer: asyncio.Future[bool]


class Person:
    """Who is asked, one question after the other. Event loop only, but for `words`.

    Nobody can be asked until `sit_down` says how.
    """

    def __init__(self) -> None:
        self._open: deque[_Question] = deque()
        self._show: Callable[[str], None] | None = None
        self._keys = "y: yes, n: no"

    def sit_down(self, show: Callable[[str], None], *, with_enter: bool = False) -> None:
        """Say that somebody can answer; `show` shows what is asked now, or nothing.

        with_enter: whether lines are read, not single keys.
        """
        self._show = show
        if with_enter:
            self._keys = "y Enter: yes, n Enter: no"

    async def ask(self, call: ToolCall) -> bool | str:
        """Return whether the call may run; as an approval hook does."""
        if self._show is None:
            return NOBODY
        about = clean(f"{call.server}: {call_line(call.name, call.arguments)}")
        loop = asyncio.get_running_loop()
        question = _Question(f"May it do this?  {about}  {self._keys}", loop.create_future())
        self._open.append(question)
        self._show_first()
        try:
            return True if await question.answer else "the user said no"
        finally:
            self._open.remove(question)
            self._show_first()

    def answer(self, yes: bool) -> bool:
        """Answer the question that is shown; return whether there is one."""
        for question in self._open:
            if not question.answer.done():
                question.answer.set_result(yes)
                return True
        return False

    def take_line(self, line: str) -> bool:
        """Answer with a line that was written; return whether it was an answer."""
        word = line.strip().lower()
        return word in _WORDS and self.answer(_WORDS[word])

    @property
    def keys(self) -> Mapping[str, Callable[[], object]]:
        """What the keys do that answer."""
        return {"y": lambda: self.answer(True), "n": lambda: self.answer(False)}

    def _show_first(self) -> None:
        if self._show is not None:
            waiting = [each.text for each in self._open if not each.answer.done()]
            self._show(waiting[0] if waiting else "")


def mcp_servers(given: Sequence[str]) -> list[McpServer]:
    """Return the servers of `--mcp`: commands as a shell has them, and addresses."""
    return [_server(each) for each in given]


def _server(given: str) -> McpServer:
    if given.startswith(("http://", "https://")):
        return McpServer(url=given)
    try:
        command = shlex.split(given)
    except ValueError as exc:
        raise ConfigError(f"--mcp {given}: {exc}", hint="close the quotes") from exc
    return McpServer(command)


def asked(tools: ToolSet, person: Person | None, *, allow: bool) -> ToolSet:
    """Return the tools with somebody who approves what MCP servers do."""
    if allow:
        return tools.asking(_always)
    return tools if person is None else tools.asking(person.ask)


async def _always(call: ToolCall) -> bool:
    return True
