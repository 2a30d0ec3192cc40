"""What an MCP server offers, as tools that the service takes; what it would refuse is left out.

Names get the form that the service takes, and differ; schemas lose their references, as far as they
stay small; descriptions are cut to what services take.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Collection, Iterable
from typing import Any, NamedTuple

import msgspec

from rtcvoice.conversation.tools.docs import Docs
from rtcvoice.conversation.tools.failures import Failed
from rtcvoice.conversation.tools.flat import flat, lifted
from rtcvoice.conversation.tools.function_tool import (
    LARGEST_DEFINITION,
    LONGEST_DESCRIPTION,
    Approval,
    Tool,
)
from rtcvoice.conversation.tools.schema import Arguments, BadArguments, Signature
from rtcvoice.errors import clean, one_line
from rtcvoice.events import ToolFailure
from rtcvoice.events.function_schema import schema_fault

from .results import shortened, text_of

__all__ = ["McpTool", "Offer", "fitting", "readable_offers"]

LARGEST_FLAT = 2000
"""Parts of a schema without its references; a larger one keeps them."""

MOST_OFFERS = 1000
"""Tools of a server that are looked at."""

Call = Callable[[str, dict[str, Any]], Awaitable[Any]]
"""Calls a tool of a server by its own name, with arguments; raises Failed."""


class Offer(NamedTuple):
    """A tool as a server describes it."""

    name: str
    description: str
    schema: Any


class Terms(NamedTuple):
    """What holds for all tools of a server in a call."""

    server: str
    """Its name."""
    timeout: float
    approve: Approval | None
    tell_errors: bool
    limit: int
    """Bytes that a result may have; more is cut off."""


class McpTool(Tool):
    """A tool of an MCP server that runs; `call` calls it there."""

    def __init__(
        self, offer: Offer, name: str, schema: dict[str, Any], terms: Terms, call: Call
    ) -> None:
        self.name = name
        self.server = terms.server
        self.signature = _AnyArguments(offer.description, schema)
        self.background = self.process = False
        self.speak = self.is_async = True
        self.timeout = terms.timeout
        self.concurrency = None
        self.approve = terms.approve
        self.tell_errors = terms.tell_errors
        self._description = None

        async def function(**arguments: Any) -> str:
            result = await call(offer.name, arguments)
            text = text_of(result)
            if getattr(result, "is_error", False):
                raise Failed(ToolFailure.RAISED, text or "the tool failed without a word")
            return shortened(text, terms.limit)

        self.function = function


class _AnyArguments(Signature):
    """Takes any JSON object: the server checks what is in it."""

    def __init__(self, description: str, schema: dict[str, Any]) -> None:
        self.docs = Docs(description, {})
        self.schema = schema
        self.runs_user_code = False

    def bind(self, arguments: str) -> Arguments:
        try:
            values = msgspec.json.decode(arguments.strip() or "{}")
        except (msgspec.MsgspecError, ValueError, RecursionError) as exc:
            raise BadArguments(str(exc)) from exc
        values = {} if values is None else values
        if not isinstance(values, dict):
            raise BadArguments("the arguments are not an object")
        return Arguments([], values, values)


def readable_offers(tools: Iterable[Any], only: Collection[str] | None) -> list[Offer]:
    """Return what a server's list says, without tools that are not wanted."""
    found = [
        Offer(str(tool.name), str(tool.description or ""), tool.input_schema) for tool in tools
    ]
    return [offer for offer in found[:MOST_OFFERS] if only is None or offer.name in only]


def fitting(
    offers: Iterable[Offer], terms: Terms, call: Call, *, taken: set[str], room: int
) -> tuple[list[McpTool], list[str]]:
    """Return tools for what is offered, at most `room`, and why others are left out.

    taken: names that are not free; grows by those that are given here.
    """
    tools: list[McpTool] = []
    left_out: list[str] = []
    for offer in offers:
        if len(tools) >= room:
            left_out.append(f"{_shown(offer.name)}: a session has no room for more tools")
            continue
        name = _free_name(offer.name, terms.server, taken)
        schema, wrong = _usable(offer, name)
        if wrong:
            left_out.append(f"{_shown(offer.name)}: {wrong}")
            continue
        taken.add(name)
        description = _description(offer)
        tools.append(McpTool(offer._replace(description=description), name, schema, terms, call))
    return tools, left_out


def _free_name(name: str, server: str, taken: Collection[str]) -> str:
    """Return a name that the service takes, "" where none is free."""
    made = re.sub(r"[^A-Za-z0-9_-]+", "_", name)[:64] or "tool"
    longer = f"{server}_{made}"[:64]
    return next((each for each in (made, longer) if each not in taken), "")


def _usable(offer: Offer, name: str) -> tuple[dict[str, Any], str]:
    """Return the schema as the service takes it, or why it does not take the tool."""
    if not name:
        return {}, "another tool has its name"
    try:
        size = len(msgspec.json.encode(offer.schema))
    except (TypeError, ValueError, RecursionError):
        return {}, "its schema is not JSON"
    if size > LARGEST_DEFINITION - 4 * LONGEST_DESCRIPTION:
        return {}, f"its schema takes {size:,} bytes"
    given = offer.schema if isinstance(offer.schema, dict) else {}
    try:
        given = lifted(given)
    except RecursionError:
        return {}, "its schema is nested too deeply"
    schema = _without_references(given)
    schema = {key: value for key, value in schema.items() if key not in ("$schema", "title")}
    schema = {"type": "object", "properties": {}} | schema
    fault = schema_fault(name, schema)
    return schema, one_line(fault, 300)


def _without_references(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema flat, where that can be and is not much longer."""
    defs, old = schema.get("$defs"), schema.get("definitions")
    parts: dict[str, Any] = dict(defs) if isinstance(defs, dict) else {}
    if isinstance(old, dict):
        parts |= {f"#/definitions/{name}": part for name, part in old.items()}
    try:
        if _flat_size(schema, parts, {}) > LARGEST_FLAT:
            return schema
        made = flat(schema, parts)
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError):
        return schema
    made.pop("definitions", None)
    return made if isinstance(made, dict) else schema


def _flat_size(node: Any, parts: dict[str, Any], known: dict[str, int]) -> int:
    """Return how many parts a schema has without references; each of them is counted once only."""
    if isinstance(node, list):
        return 1 + sum(_flat_size(each, parts, known) for each in node)
    if not isinstance(node, dict):
        return 1
    size = 1 + sum(_flat_size(v, parts, known) for k, v in node.items() if k not in _PARTS)
    if isinstance(ref := node.get("$ref"), str):
        name = ref.removeprefix("#/$defs/")
        if name not in known:
            known[name] = LARGEST_FLAT + 1  # for one that contains itself
            known[name] = _flat_size(parts[name], parts, known)
        size += known[name]
    return size


_PARTS = ("$defs", "definitions")


def _description(offer: Offer) -> str:
    text = clean(offer.description[: 2 * LONGEST_DESCRIPTION]).strip()
    return text if len(text) <= LONGEST_DESCRIPTION else f"{text[: LONGEST_DESCRIPTION - 4]} ..."


def _shown(name: str) -> str:
    return one_line(name, 64)
