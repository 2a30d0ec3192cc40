"""What the service refuses in the JSON Schema of a function's parameters, in its words; pure.

It looks at these schemas when a session is configured, and refuses the whole session for one that
it cannot turn into a grammar: an array that does not say of what, a type that there is not, a
reference to nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

__all__ = ["schema_fault"]

_TYPES = ("array", "boolean", "integer", "null", "number", "object", "string")
_DEEPEST = 100
_NAMED = ("properties", "$defs", "definitions", "patternProperties")
"""Keys whose values are schemas by name."""
_LISTED = ("anyOf", "oneOf", "allOf", "prefixItems")
_SINGLE = ("items", "additionalProperties", "not")


_NOT_AT_TOP = ("anyOf", "oneOf", "allOf", "enum", "not")
"""Keys that the schema of all parameters may not have beside its type."""


def schema_fault(name: str, schema: Any) -> str:
    """Return why the `parameters` of the function `name` are refused; nothing if they are taken."""
    if not isinstance(schema, dict) or schema.get("type") != "object":
        kind = schema.get("type") if isinstance(schema, dict) else schema
        wrong = f"""schema must be a JSON Schema of 'type: "object"', got 'type: "{kind!s:.80}"'."""
    elif any(key in schema for key in _NOT_AT_TOP):
        wrong = (
            "schema must have type 'object' and not have"
            " 'oneOf'/'anyOf'/'allOf'/'enum'/'not' at the top level."
        )
    else:
        wrong = next(_faults(schema, ()), "") or next(_lost(schema), "")
    return f"Invalid schema for function '{name}': {wrong}" if wrong else ""


def _lost(schema: dict[str, Any]) -> Iterator[str]:
    """Yield references to what the schema does not have; `_faults` has seen how deep it is."""
    waiting: list[tuple[Any, tuple[str, ...]]] = [(schema, ())]
    while waiting:
        node, context = waiting.pop()
        if not isinstance(node, dict):
            continue
        if "$ref" in node and not _points(schema, node["$ref"]):
            shown = f"{node['$ref']!r:.80}"
            yield f"In context={context}, reference to component {shown} which was not found."
        for key in _NAMED:
            waiting += [(each, (*context, key, n)) for n, each in _entries(node.get(key))]
        for key in _LISTED:
            listed = node[key] if isinstance(node.get(key), list) else ()
            waiting += [(each, (*context, key, str(n))) for n, each in enumerate(listed)]
        waiting += [(node[key], (*context, key)) for key in _SINGLE if key in node]


def _points(schema: dict[str, Any], ref: Any) -> bool:
    """Whether a reference leads to a schema within this one."""
    if not isinstance(ref, str) or not ref.startswith("#"):
        return False
    node: Any = schema
    for part in ref[1:].split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if not isinstance(node, dict) or key not in node:
            return False
        node = node[key]
    return isinstance(node, dict)


def _faults(node: Any, context: tuple[str, ...]) -> Iterator[str]:
    """Yield what is wrong in a schema and below it."""
    if len(context) > _DEEPEST:
        yield f"In context={context[:8]}, the schema is nested too deeply."
        return
    if isinstance(node, bool) and context[-1:] != ("items",):
        return
    if not isinstance(node, dict):
        yield f"In context={context}, {node!r:.80} is not of type 'object'."
        return
    for wrong in _own_faults(node):
        yield f"In context={context}, {wrong}"
    for key in _NAMED:
        for name, inner in _entries(node.get(key)):
            yield from _faults(inner, (*context, key, name))
    for key in _LISTED:
        for number, inner in enumerate(node[key] if isinstance(node.get(key), list) else ()):
            yield from _faults(inner, (*context, key, str(number)))
    for key in _SINGLE:
        if key in node:
            yield from _faults(node[key], (*context, key))


def _own_faults(node: dict[str, Any]) -> Iterator[str]:
    kinds = node.get("type", [])
    for kind in kinds if isinstance(kinds, list) else [kinds]:
        if kind not in _TYPES:
            yield f"{kind!r:.80} is not valid under any of the given schemas."
        elif kind == "array" and "items" not in node:
            yield "array schema missing items."
    enum = node.get("enum", [None])
    if not isinstance(enum, list) or not enum:
        yield f"enum {enum!r:.80} is not a list of at least one value."
    required = node.get("required", [])
    if not isinstance(required, list) or not all(isinstance(each, str) for each in required):
        yield f"required {required!r:.80} is not a list of names."
    for key in _NAMED:
        if key in node and not isinstance(node[key], dict):
            yield f"{node[key]!r:.80} is not of type 'object'."
    for key in _LISTED:
        if key in node and not (isinstance(node[key], list) and node[key]):
            yield f"{key} {node[key]!r:.80} is not a list of schemas."


def _entries(node: Any) -> list[tuple[str, Any]]:
    return list(node.items()) if isinstance(node, dict) else []
