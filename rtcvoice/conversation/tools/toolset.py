"""Functions that the model may call: `@tool` for their options, `ToolSet` for a call's tools.

A plain typed function is a tool as it stands: its name, docstring and annotations say the rest.
`@tool(...)` only notes options on the function and returns it, so it can still be called, tested
and pickled. A `ToolSet` checks everything when it is made, which is before anything is sent.
"""

from __future__ import annotations

import functools
import inspect
import logging
import multiprocessing
import pickle
import re
import sys
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, overload

import msgspec

from rtcvoice.errors import ConfigError
from rtcvoice.masking import masked

from .schema import Signature

__all__ = ["Approval", "Tool", "ToolCall", "ToolSet", "tool"]

logger = logging.getLogger(__name__)

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

LARGEST_DEFINITION = 32 * 1024
"""Bytes of one tool's definition: half of the tokens that all instructions and tools may take."""

LONGEST_DESCRIPTION = 1024
"""Characters of a description, above which services are known to refuse it."""

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_OPTIONS = "__rtcvoice_tool__"

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, kw_only=True)
class ToolCall:
    """One call of a tool, as an approval hook sees it; `arguments` are checked and typed."""

    name: str
    arguments: Mapping[str, Any]
    call_id: str


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

    def __post_init__(self) -> None:
        for option, text in (("name", self.name), ("description", self.description)):
            if not (text is None or isinstance(text, str)):
                raise ConfigError(f"@tool({option}={text!r:.80}) is no text")
        _check_hook("@tool(approve=)", self.approve)


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
) -> Callable[[F], F]: ...


def tool(function: F | None = None, /, **options: Any) -> F | Callable[[F], F]:
    """Note how a function is to serve as a tool; it stays the function that it is.

    name, description: what the model reads, instead of the function's own.
    timeout: seconds that a call may take (30).
    concurrency: how many calls of this tool may run at a time, beside the ToolSet's limit; 1 for
        what is not thread-safe.
    process: run it in a process of its own, killed at the timeout: for plain functions that
        compute. A thread would take the interpreter lock from the audio. The function must be at
        the top level of a module, its arguments and result must pickle; context variables are not
        there, and the first call starts a process, which takes up to a second.
    approve: asked before each call; see `ToolSet`.
    tell_errors: whether the model is told the text of what the function raises; see `ToolSet`.
    """

    noted = _Options(**options)

    def note(inner: F) -> F:
        try:
            setattr(inner, _OPTIONS, noted)
        except AttributeError as exc:
            raise ConfigError(
                f"@tool cannot be put on {_repr(inner)}", hint="put it on a function of your own"
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
        self.signature = Signature(function, self.name)
        self.timeout = options.timeout if options.timeout is not None else timeout
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
        if not _NAME.fullmatch(self.name):
            raise ConfigError(
                f"a tool cannot be called {self.name!r}",
                hint="@rtcvoice.tool(name=...) with up to 64 letters, digits, _ and -",
            )
        _check_number(f"tool {self.name}: timeout", self.timeout, least=0.001)
        if self.concurrency is not None:
            _check_number(f"tool {self.name}: concurrency", self.concurrency, least=1, kind=int)
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


class ToolSet:
    """The tools of a call: functions, and definitions (dicts) of what is handled elsewhere.

    A dict is sent as it is, such as `{"type": "mcp", ...}`; calls of a function that is defined
    by a dict are left to you, as events.

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
        tools: Iterable[Callable[..., Any] | dict[str, Any]] = (),
        *,
        timeout: float = TIMEOUT,
        concurrency: int = CONCURRENCY,
        output_limit: int = OUTPUT_LIMIT,
        approve: Approval | None = None,
        tell_errors: bool = True,
    ) -> None:
        _check_number("timeout", timeout, least=0.001)
        _check_number("concurrency", concurrency, least=1, kind=int)
        _check_hook("approve=", approve)
        _check_number("output_limit", output_limit, least=100, most=LARGEST_OUTPUT)
        self.concurrency = concurrency
        self.output_limit = output_limit
        self._tools: dict[str, Tool] = {}
        self._foreign: list[dict[str, Any]] = []
        for each in _listed(tools):
            if isinstance(each, dict):
                self._add_definition(each)
            else:
                new = Tool(
                    _checked(each), timeout=timeout, approve=approve, tell_errors=tell_errors
                )
                self._add(new)
        if len(self.definitions) > MOST_TOOLS:
            raise ConfigError(
                f"{len(self.definitions)} tools are more than the {MOST_TOOLS} that a session has",
                hint="models choose better among few: merge them, or change them as the call goes",
            )

    @classmethod
    def of(cls, tools: ToolSet | Iterable[Callable[..., Any] | dict[str, Any]] | None) -> ToolSet:
        """Return `tools` as a ToolSet: itself, or a new one with the default options."""
        return tools if isinstance(tools, cls) else cls(tools or ())  # type: ignore[arg-type]

    @property
    def definitions(self) -> list[dict[str, Any]]:
        """What the session is told: the value of its `tools`."""
        return [*(each.definition for each in self), *self._foreign]

    def get(self, name: str) -> Tool | None:
        """Return the tool of that name, None when there is none here."""
        return self._tools.get(name)

    def __iter__(self) -> Iterator[Tool]:
        return iter(self._tools.values())

    def __len__(self) -> int:
        return len(self._tools)

    def __repr__(self) -> str:
        return f"<ToolSet {', '.join(self._names()) or 'without tools'}>"

    def _names(self) -> list[str]:
        foreign = [each["name"] for each in self._foreign if each["type"] == "function"]
        return [*self._tools, *foreign]

    def _add(self, new: Tool) -> None:
        self._claim(new.name)
        self._tools[new.name] = new

    def _add_definition(self, definition: dict[str, Any]) -> None:
        kind, name = definition.get("type"), definition.get("name")
        if not isinstance(kind, str):
            raise ConfigError("a tool given as a dict has no 'type'", hint="'function' or 'mcp'")
        if kind == "function":
            if not isinstance(name, str) or not _NAME.fullmatch(name):
                raise ConfigError(f"a function given as a dict has the name {name!r}")
            self._claim(name)
        self._foreign.append(definition)

    def _claim(self, name: str) -> None:
        if name in self._names():
            raise ConfigError(
                f"two tools are called {name!r}", hint="@rtcvoice.tool(name=...) renames one"
            )


def _listed(tools: Any) -> list[Any]:
    if isinstance(tools, dict | str) or callable(tools):
        raise ConfigError(f"tools={_repr(tools)} is no list", hint="tools=[...]")
    try:
        return list(tools)
    except TypeError as exc:
        raise ConfigError(f"tools={_repr(tools)} is no list", hint="tools=[...]") from exc


def _repr(thing: Any) -> str:
    """Return what it is, for an error: a partial shows the keys that it binds."""
    return masked(repr(thing))[:200]


def _checked(function: Any) -> Callable[..., Any]:
    if isinstance(function, type) or not callable(function):
        raise ConfigError(
            f"{_repr(function)} is no tool", hint="pass functions, or dicts as in the API"
        )
    return function  # type: ignore[no-any-return]


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


def _check_hook(name: str, hook: Any) -> None:
    if hook is not None and not callable(hook):
        raise ConfigError(f"{name} is {_repr(hook)}", hint="pass a function that takes a ToolCall")


def _check_number(
    name: str,
    value: Any,
    *,
    least: float,
    most: float = float("inf"),
    kind: Any = int | float,
) -> None:
    if not isinstance(value, kind) or not least <= value <= most:
        what = "whole number" if kind is int else "number"
        bounds = f"of at least {least:g}" if most == float("inf") else f"from {least:g} to {most:g}"
        raise ConfigError(f"{name}={_repr(value)} must be a {what} {bounds}")
