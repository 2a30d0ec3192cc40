"""One function that the model may call: `@tool` for its options, `Tool` for what is made of both.

A plain typed function is a tool as it stands: its name, docstring and annotations say the rest.
`@tool(...)` only notes options on the function and returns it, so it can still be called, tested
and pickled.
"""

from __future__ import annotations

import functools
import inspect
import logging
import multiprocessing
import pickle
import re
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, overload

import msgspec

from rtcvoice.errors import ConfigError
from rtcvoice.masking import masked
from rtcvoice.system.public import public

from .schema import Signature

__all__ = ["NAME", "Approval", "Tool", "ToolCall", "check_hook", "check_number", "shown", "tool"]

logger = logging.getLogger(__name__)

LARGEST_DEFINITION = 32 * 1024
"""Bytes of one tool's definition: half of the tokens that all instructions and tools may take."""

LONGEST_DESCRIPTION = 1024
"""Characters of a description, above which services are known to refuse it."""

BACKGROUND_TIMEOUT = 600.0
"""Seconds that a tool may take in the background: nobody waits in silence for it."""

NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""Names that the service takes."""

_OPTIONS = "__rtcvoice_tool__"

F = TypeVar("F", bound=Callable[..., Any])


@public
@dataclass(frozen=True, kw_only=True)
class ToolCall:
    """One call of a tool, as an approval hook sees it; `arguments` are checked and typed."""

    name: str
    arguments: Mapping[str, Any]
    call_id: str
    server: str = ""
    """The MCP server that is to run it; empty for your own functions."""


Approval = Callable[[ToolCall], bool | str | Awaitable[bool | str]]
"""Says whether a call may run: True, False, or why not, as the model is to be told."""


@dataclass(frozen=True, kw_only=True)
class _Options:
    """What `@tool` notes on a function; None leaves it to the ToolSet."""

    name: str | None = None
    description: str | None = None
    timeout: float | None = None
    concurrency: int | None = None
    process: bool = False
    approve: Approval | None = None
    tell_errors: bool | None = None
    background: bool = False
    speak: bool = True

    def __post_init__(self) -> None:
        for option, text in (("name", self.name), ("description", self.description)):
            if not (text is None or isinstance(text, str)):
                raise ConfigError(f"@tool({option}={text!r:.80}) is not text")
        for option, flag in (("background", self.background), ("speak", self.speak)):
            if not isinstance(flag, bool):
                raise ConfigError(f"@tool({option}={flag!r:.80}) is not True or False")
        check_hook("@tool(approve=)", self.approve)


@overload
def tool(function: F, /) -> F: ...


@overload
def tool(
    *,
    name: str | None = None,
    description: str | None = None,
    timeout: float | None = None,
    concurrency: int | None = None,
    process: bool = False,
    approve: Approval | None = None,
    tell_errors: bool | None = None,
    background: bool = False,
    speak: bool = True,
) -> Callable[[F], F]: ...


def tool(function: F | None = None, /, **options: Any) -> F | Callable[[F], F]:
    """Set options of a function that is used as a tool; the function itself is not changed.

    name, description: what the model reads, instead of the function's own.
    timeout: seconds that a call may take (30; 600 in the background).
    concurrency: how many calls of this tool may run at a time, beside the ToolSet's limit; 1 for
        what is not thread-safe.
    process: run it in a process of its own, killed at the timeout: for plain functions that
        compute. A thread would take the interpreter lock from the audio. The function must be at
        the top level of a module, its arguments and result must pickle; context variables are not
        there, and the first call starts a process, which takes up to a second.
    approve: asked before each call; see `ToolSet`.
    tell_errors: whether the model is told the text of what the function raises; see `ToolSet`.
    background: let the conversation go on while it runs. The model gets `{"status": "running"}` at
        once, and the result later, as a message: spoken of at a moment when nobody speaks.
        Such a call takes none of the ToolSet's places.
    speak: False puts the result into the conversation without asking the model to speak of it, now
        or, with `background`, later.
    """

    noted = _Options(**options)

    def note(inner: F) -> F:
        try:
            setattr(inner, _OPTIONS, noted)
        except AttributeError as exc:
            raise ConfigError(
                f"@tool cannot be put on {shown(inner)}", hint="put it on a function of your own"
            ) from exc
        return inner

    return note if function is None else note(function)


class Tool:
    """One function with its schema and options. Raises ConfigError where it cannot be a tool."""

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        timeout: float,
        approve: Approval | None,
        tell_errors: bool,
    ) -> None:
        options = _options_of(function)
        self.function = function
        self.name = _name_of(function, options)
        self.server = ""
        """The MCP server that has it; empty for your own functions."""
        self.signature = Signature(function, self.name)
        self.background = options.background
        self.speak = options.speak
        default = BACKGROUND_TIMEOUT if options.background else timeout
        self.timeout = options.timeout if options.timeout is not None else default
        self.concurrency = options.concurrency
        self.process = options.process
        self.approve = options.approve if options.approve is not None else approve
        told = options.tell_errors
        self.tell_errors = told if told is not None else tell_errors
        self.is_async = _is_async(function)
        self._description = options.description
        self._check()

    @property
    def definition(self) -> dict[str, Any]:
        """What the session is told of it: an element of its `tools`."""
        description = self._description or self.signature.docs.description
        return {
            "type": "function",
            "name": self.name,
            **({"description": description} if description else {}),
            "parameters": self.signature.schema,
        }

    def __repr__(self) -> str:
        return f"<Tool {self.name}>"

    def _check(self) -> None:
        if not NAME.fullmatch(self.name):
            raise ConfigError(
                f"a tool cannot be called {self.name!r}",
                hint="@rtcvoice.tool(name=...) with up to 64 letters, digits, _ and -",
            )
        check_number(f"tool {self.name}: timeout", self.timeout, least=0.001)
        if self.concurrency is not None:
            check_number(f"tool {self.name}: concurrency", self.concurrency, least=1, kind=int)
        if inspect.isgeneratorfunction(self.function) or inspect.isasyncgenfunction(self.function):
            raise ConfigError(
                f"tool {self.name} yields, but a model gets one result",
                hint="return a value, for example a list",
            )
        if self.process:
            self._check_process()
        self._check_size()

    def _check_size(self) -> None:
        try:
            size = len(msgspec.json.encode(self.definition))
        except UnicodeEncodeError as exc:
            raise ConfigError(
                f"tool {self.name}: its texts hold characters that cannot be sent: {exc}"
            ) from exc
        if size > LARGEST_DEFINITION:
            raise ConfigError(
                f"tool {self.name} takes {size:,} bytes to describe, more than the"
                f" {LARGEST_DEFINITION:,} that a model can be told",
                hint="take text in place of a large Literal or Enum, and shorten the descriptions",
            )
        length = len(self.definition.get("description", ""))
        if length > LONGEST_DESCRIPTION:
            logger.warning(
                "x the description of tool %s has %d characters; some services take only %d",
                *(self.name, length, LONGEST_DESCRIPTION),
            )

    def _check_process(self) -> None:
        if self.is_async:
            raise ConfigError(
                f"tool {self.name} is a coroutine function and process=True",
                hint="leave process=True out: a coroutine runs on the event loop",
            )
        try:
            pickle.dumps(self.function)
            main = sys.modules["__main__"]
            if self.function.__module__ == "__main__" and not hasattr(main, "__file__"):
                raise TypeError("its module is not a file")
        except Exception as exc:  # pickle raises whatever a __reduce__ does
            raise ConfigError(
                f"tool {self.name} cannot run in a process of its own: {exc}",
                hint="define it at the top level of a module",
            ) from exc
        if getattr(multiprocessing.current_process(), "_inheriting", False):
            # The process for a tool imports the program's main module. Without a guard around
            # what that does, it would make the call once more.
            raise ConfigError(
                f"tool {self.name}: the program would begin again in the process of the tool",
                hint='begin it under: if __name__ == "__main__":',
            )


def _options_of(function: Callable[..., Any]) -> _Options:
    """Return what `@tool` noted, on the function or on what it wraps."""
    while True:
        found = getattr(function, _OPTIONS, None)
        if isinstance(found, _Options):
            return found
        if not isinstance(function, functools.partial):
            return _Options()
        function = function.func


def _name_of(function: Any, options: _Options) -> str:
    if options.name is not None:
        return options.name
    while isinstance(function, functools.partial):
        function = function.func
    return str(getattr(function, "__name__", None) or type(function).__name__)


def _is_async(function: Callable[..., Any]) -> bool:
    call = getattr(type(function), "__call__", None)  # noqa: B004  (objects with async __call__)
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call)


def shown(thing: Any) -> str:
    """Return what it is, for an error: a partial shows the keys that it binds."""
    return masked(repr(thing))[:200]


def check_hook(name: str, hook: Any) -> None:
    """Refuse a hook that cannot be called."""
    if hook is not None and not callable(hook):
        raise ConfigError(f"{name} is {shown(hook)}", hint="pass a function that takes a ToolCall")


def check_number(
    name: str,
    value: Any,
    *,
    least: float,
    most: float = float("inf"),
    kind: Any = int | float,
) -> None:
    """Refuse what is not a number, or one out of bounds."""
    if not isinstance(value, kind) or not least <= value <= most:
        what = "whole number" if kind is int else "number"
        bounds = f"of at least {least:g}" if most == float("inf") else f"from {least:g} to {most:g}"
        raise ConfigError(f"{name}={shown(value)} must be a {what} {bounds}")
