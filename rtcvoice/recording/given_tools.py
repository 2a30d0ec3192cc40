"""Tools that give back what was recorded, in place of those that ran: nothing is done again."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from rtcvoice import events
from rtcvoice.conversation.tools.function_tool import NAME
from rtcvoice.conversation.tools.given_tool import GivenTool
from rtcvoice.conversation.tools.toolset import MOST_TOOLS, TIMEOUT, ToolSet

from .marks import client_event, server_event
from .reading import EventLine

__all__ = ["GivenTools", "ToolRun", "runs_of"]

MOST_RUNS = 10_000
MOST_OUTPUT = 1_000_000
"""Characters of what one call gave."""


@dataclass(frozen=True, kw_only=True)
class ToolRun:
    """One call of a function: what it was given and what it gave."""

    name: str
    arguments: str
    """JSON text, as the model made it."""
    output: str
    seconds: float
    """From the finished call until its output was sent."""


class GivenTools(ToolSet):
    """The functions of a recorded session; each call gets what the same call got then.

    The same: of that name, with these arguments; else the next one of that name. Definitions are
    names, descriptions and schemas: a tool that is not a function (an MCP server) is left out.
    """

    def __init__(self, definitions: Iterable[Any], runs: Iterable[ToolRun]) -> None:
        super().__init__()
        found: dict[str, list[ToolRun]] = defaultdict(list)
        for run in runs:
            found[run.name].append(run)
        for definition in definitions:
            if (
                len(self) < MOST_TOOLS
                and (name := _function(definition))
                and name not in self._tools
            ):
                self._tools[name] = _RecordedTool(name, definition, found[name])


class _RecordedTool(GivenTool):
    """One function that gives back what was recorded."""

    def __init__(self, name: str, definition: dict[str, Any], runs: list[ToolRun]) -> None:
        self._definition = definition
        super().__init__(name, timeout=TIMEOUT, read=_arguments)
        self._left = deque(runs)
        self._last = runs[-1] if runs else None

    @property
    def definition(self) -> dict[str, Any]:
        """What the session is told of it, as recorded."""
        kept = ("name", "description", "parameters")
        return {
            "type": "function",
            **{k: self._definition[k] for k in kept if self._definition.get(k)},
        }

    async def give(self, **arguments: Any) -> str:
        """Return what was recorded, after as long as it took."""
        run = self._next(arguments)
        if run is None:
            raise LookupError(f"no result of {self.name} was recorded")
        await asyncio.sleep(min(run.seconds, TIMEOUT / 2))
        return run.output

    def _next(self, arguments: dict[str, Any]) -> ToolRun | None:
        for run in self._left:
            if _arguments(run.arguments) == arguments:
                self._left.remove(run)
                return run
        return self._left.popleft() if self._left else self._last


def runs_of(lines: Iterable[EventLine]) -> list[ToolRun]:
    """Return the calls of functions that were answered, in the order of the answers."""
    asked: dict[str, tuple[float, events.FunctionCall]] = {}
    runs: list[ToolRun] = []
    for line in lines:
        if line.leg:
            continue
        if line.direction == "in":
            event = server_event(line)
            if (
                isinstance(event, events.ResponseOutputItemDone)
                and isinstance(call := event.item, events.FunctionCall)
                and len(asked) < MOST_RUNS
            ):
                asked[call.call_id or ""] = (line.time, call)
        elif line.direction == "out":
            sent = client_event(line)
            if not isinstance(sent, events.ConversationItemCreate):
                continue
            output = sent.item
            if len(runs) >= MOST_RUNS:
                break
            if isinstance(output, events.FunctionCallOutput) and output.call_id in asked:
                since, call = asked.pop(output.call_id)
                runs.append(
                    ToolRun(
                        name=call.name,
                        arguments=call.arguments,
                        output=output.output[:MOST_OUTPUT],
                        seconds=max(0.0, line.time - since),
                    )
                )
    return runs


def _function(definition: Any) -> str:
    """Return the name of a function's definition; empty where it is none that could be sent."""
    if not isinstance(definition, dict) or definition.get("type") != "function":
        return ""
    name, parameters = definition.get("name"), definition.get("parameters")
    fits = isinstance(name, str) and NAME.fullmatch(name)
    described = isinstance(definition.get("description", ""), str)
    return name if fits and described and isinstance(parameters, dict | None) else ""  # type: ignore[return-value]


def _arguments(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
