"""Tools with given results: what a spec has in place of functions, which do not travel."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from rtcvoice.conversation.tools.given_tool import GivenTool
from rtcvoice.conversation.tools.toolset import MOST_TOOLS, TIMEOUT, ToolSet
from rtcvoice.errors import ConfigError

from .specs import ToolMock

__all__ = ["MockedTools"]


class MockedTools(ToolSet):
    """The functions of a spec; what they leave behind is in `state`."""

    def __init__(self, mocks: Iterable[ToolMock], state: Mapping[str, Any]) -> None:
        super().__init__()
        self.state = dict(state)
        for mock in mocks:
            if mock.name in self._tools:
                raise ConfigError(f"two tools are called {mock.name!r}")
            self._tools[mock.name] = _MockedTool(mock, self.state)
        if len(self) > MOST_TOOLS:
            raise ConfigError(f"{len(self)} tools are more than the {MOST_TOOLS} of a session")


class _MockedTool(GivenTool):
    """One function that gives what it was told to give."""

    def __init__(self, mock: ToolMock, state: dict[str, Any]) -> None:
        self._mock = mock
        self._state = state
        self._calls = 0
        timeout = max(TIMEOUT, mock.seconds + 1)
        super().__init__(mock.name, timeout=timeout, read=_arguments)
        self._check()

    @property
    def definition(self) -> dict[str, Any]:
        """What the session is told of it."""
        mock = self._mock
        described = {"description": mock.description} if mock.description else {}
        return {"type": "function", "name": mock.name, **described, "parameters": mock.parameters}

    async def give(self, **arguments: Any) -> str:
        """Return the next of the outputs; the last one again and again."""
        self._state |= {name: _filled(v, arguments) for name, v in self._mock.sets.items()}
        output = self._mock.outputs[min(self._calls, len(self._mock.outputs) - 1)]
        self._calls += 1
        await asyncio.sleep(self._mock.seconds)
        return output if isinstance(output, str) else msgspec.json.encode(output).decode()


def _filled(value: Any, arguments: Mapping[str, Any]) -> Any:
    """Return a value with what stands for an argument replaced by it."""
    if isinstance(value, str) and value[:1] == "{" and value[-1:] == "}":
        return arguments.get(value[1:-1])
    return value


def _arguments(text: str) -> dict[str, Any]:
    try:
        named = json.loads(text or "{}")
        msgspec.json.encode(named)  # not so what holds half a character, or is nested too deep
    except (ValueError, TypeError, RecursionError):
        return {}
    return named if isinstance(named, dict) else {}
