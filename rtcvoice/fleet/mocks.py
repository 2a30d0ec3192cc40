"""Tools with given results: what a spec has in place of functions, which do not travel."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from rtcvoice.conversation.tools.function_tool import Tool
from rtcvoice.conversation.tools.schema import Arguments
from rtcvoice.conversation.tools.toolset import MOST_TOOLS, TIMEOUT, ToolSet
from rtcvoice.errors import ConfigError

from .specs import ToolMock

__all__ = ["MockedTools"]


class MockedTools(ToolSet):
    """The functions of a spec. `on_call` is told of each call's name and arguments."""

    def __init__(
        self, mocks: Iterable[ToolMock], on_call: Callable[[str, dict[str, Any]], None]
    ) -> None:
        super().__init__()
        for mock in mocks:
            if mock.name in self._tools:
                raise ConfigError(f"two tools are called {mock.name!r}")
            self._tools[mock.name] = _MockedTool(mock, on_call)
        if len(self) > MOST_TOOLS:
            raise ConfigError(f"{len(self)} tools are more than the {MOST_TOOLS} of a session")


class _MockedTool(Tool):
    """One function that gives what it was told to give."""

    def __init__(self, mock: ToolMock, on_call: Callable[[str, dict[str, Any]], None]) -> None:
        # Not Tool's own: there is no function with a signature to be read.
        self.name = mock.name
        self.function = self._give
        self.signature = _AnyArguments()  # type: ignore[assignment]
        self.timeout = max(TIMEOUT, mock.seconds + 1)
        self.concurrency = None
        self.process = self.background = False
        self.speak = True
        self.approve = None
        self.tell_errors = True
        self.is_async = True
        self._mock = mock
        self._on_call = on_call
        self._calls = 0
        self._description = mock.description
        self._check()

    @property
    def definition(self) -> dict[str, Any]:
        """What the session is told of it."""
        mock = self._mock
        described = {"description": mock.description} if mock.description else {}
        return {"type": "function", "name": mock.name, **described, "parameters": mock.parameters}

    async def _give(self, **arguments: Any) -> str:
        self._on_call(self.name, arguments)
        output = self._mock.outputs[min(self._calls, len(self._mock.outputs) - 1)]
        self._calls += 1
        await asyncio.sleep(self._mock.seconds)
        return output if isinstance(output, str) else msgspec.json.encode(output).decode()


class _AnyArguments:
    """A signature that takes what comes."""

    runs_user_code = False

    def bind(self, arguments: str) -> Arguments:
        """Return the arguments by name."""
        try:
            named = json.loads(arguments or "{}")
        except (ValueError, RecursionError):
            named = {}
        named = named if isinstance(named, dict) else {}
        return Arguments([], named, named)
