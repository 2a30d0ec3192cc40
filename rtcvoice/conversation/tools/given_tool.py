"""Tools without a function: their results are given, such as those of a recorded call."""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import Any

from .function_tool import Tool
from .schema import Arguments

__all__ = ["GivenTool"]


class GivenTool(Tool):
    """A tool whose results `give` knows; subclasses have the `definition`, before they are made.

    `read` makes the arguments, by name, of the model's text; it takes what comes.
    """

    def __init__(self, name: str, *, timeout: float, read: Callable[[str], dict[str, Any]]) -> None:
        super().__init__(_nothing, timeout=timeout, approve=None, tell_errors=True)
        self.name = name
        self.function = self.give
        self.signature = _AnyArguments(read)  # type: ignore[assignment]  # there is none to be read

    @abc.abstractmethod
    async def give(self, **arguments: Any) -> str:
        """Return the result of a call. What it raises is told as of any function."""


async def _nothing() -> str:
    """Stand in for the function that there is not."""
    return ""


class _AnyArguments:
    """A signature that takes what comes."""

    runs_user_code = False

    def __init__(self, read: Callable[[str], dict[str, Any]]) -> None:
        self._read = read

    def bind(self, arguments: str) -> Arguments:
        """Return the arguments by name."""
        named = self._read(arguments)
        return Arguments([], named, named)
