"""The model's arguments, made to fit the schema that it was given where they mean what it says.

Models write null for "nothing": for a field that may be left out and that null does not fit, that
is what leaving it out means. And bounds that stand deep in a record type, where msgspec does not
read them, are checked here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

__all__ = ["out_of_bounds", "without_nulls"]

_KINDS: dict[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": (int, float),
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
}
_NUMBERS: dict[str, Callable[[float, float], bool]] = {
    "minimum": lambda value, bound: value >= bound,
    "maximum": lambda value, bound: value <= bound,
    "exclusiveMinimum": lambda value, bound: value > bound,
    "exclusiveMaximum": lambda value, bound: value < bound,
    "multipleOf": lambda value, bound: _is_multiple(value, bound),
}
_SIZES: dict[str, tuple[Any, int]] = {
    "minLength": (str, 1),
    "minItems": (list, 1),
    "minProperties": (dict, 1),
    "maxLength": (str, -1),
    "maxItems": (list, -1),
    "maxProperties": (dict, -1),
}


def without_nulls(value: Any, schema: Any) -> Any:
    """Return JSON data without the nulls in optional fields that no null fits."""
    node = _branch(value, schema)
    if isinstance(value, list):
        return [without_nulls(each, node.get("items")) for each in value]
    if not isinstance(value, dict):
        return value
    needed, rest = node.get("required", ()), node.get("additionalProperties")
    kept: dict[str, Any] = {}
    for name, inner in value.items():
        known = node.get("properties", {}).get(name)
        if inner is None and known is not None and name not in needed and not _fits(None, known):
            continue
        kept[name] = without_nulls(inner, rest if known is None else known)
    return kept


def out_of_bounds(value: Any, schema: Any, place: str = "$") -> str:
    """Return what in JSON data is outside of the bounds in its schema, and where; else nothing."""
    if not isinstance(schema, dict):
        return ""
    if options := schema.get("anyOf") or schema.get("oneOf"):
        found = [out_of_bounds(value, each, place) for each in options if _fits(value, each)]
        return "" if "" in found else next(iter(found), "")
    if not isinstance(value, bool) and (wrong := _wrong(value, schema)):
        return f"{wrong} - at `{place}`"
    inner: list[tuple[Any, Any, str]] = []
    if isinstance(value, list):
        inner = [(each, schema.get("items"), f"{place}[{n}]") for n, each in enumerate(value)]
    elif isinstance(value, dict):
        known, rest = schema.get("properties", {}), schema.get("additionalProperties")
        inner = [(each, known.get(k, rest), f"{place}.{k}") for k, each in value.items()]
    return next((wrong for each in inner if (wrong := out_of_bounds(*each))), "")


def _wrong(value: Any, node: dict[str, Any]) -> str:
    number = _number(value, node)
    for name, holds in _NUMBERS.items():
        if number is not None and name in node and not holds(number, node[name]):
            return f"{value!r:.80} is against {name} {node[name]}"
    for name, (kind, sign) in _SIZES.items():
        if name in node and isinstance(value, kind) and sign * len(value) < sign * node[name]:
            return f"length {len(value)} is against {name} {node[name]}"
    if isinstance(value, str) and "pattern" in node and not re.search(node["pattern"], value):
        return f"{value!r:.80} does not match the pattern {node['pattern']!r}"
    return ""


def _is_multiple(value: float, bound: float) -> bool:
    if isinstance(value, int) and isinstance(bound, int):
        return value % bound == 0
    try:
        times = value / bound
    except OverflowError:
        return True  # no float is as exact as that
    return math.isfinite(times) and abs(times - round(times)) < 1e-9


def _number(value: Any, node: dict[str, Any]) -> float | None:
    """Return the number that a value is, or that it says where its type asks for one."""
    if isinstance(value, str) and node.get("type") in ("integer", "number"):
        try:
            return float(value)
        except ValueError:
            return None
    return value if isinstance(value, int | float) else None


def _branch(value: Any, schema: Any) -> dict[str, Any]:
    """Return the schema that applies to a value, of those in a union the first that fits it."""
    if not isinstance(schema, dict):
        return {}
    options = schema.get("anyOf") or schema.get("oneOf")
    if not options:
        return schema
    fitting = (each for each in options if isinstance(each, dict) and _fits(value, each))
    return _branch(value, next(fitting, None))


def _fits(value: Any, node: Any) -> bool:
    """Whether a value is of the kind that a schema wants, with the fields and the tag it needs."""
    if not isinstance(node, dict):
        return True
    options = node.get("anyOf") or node.get("oneOf")
    if options:
        return any(_fits(value, each) for each in options)
    if value is None and "enum" in node:
        return None in node["enum"]
    kind = _KINDS.get(node.get("type", ""))
    if kind is None:
        return True
    if (isinstance(value, bool) and kind is not bool) or not isinstance(value, kind):
        return False
    if not isinstance(value, dict):
        return True
    properties = node.get("properties", {})
    if any(name not in value for name in node.get("required", ())):
        return False
    return all(
        value[name] in inner["enum"]
        for name, inner in properties.items()
        if name in value and len(inner.get("enum", ())) == 1
    )
