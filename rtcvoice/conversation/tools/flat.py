"""JSON schemas in the form that the service takes; pure.

No `$ref`, for models follow flat schemas better; `items` in every array, for the service refuses a
session whose tools have an array without; no `prefixItems`, which it does not know.
"""

from __future__ import annotations

import typing
from typing import Any

from .docs import read_docstring
from .hints import text_of

__all__ = ["described", "flat", "lifted", "reference"]

_JSON_TYPES = {str: "string", int: "integer", bool: "boolean"}
_SUBSCHEMAS = ("anyOf", "oneOf", "allOf", "items", "prefixItems", "additionalProperties")


def reference(ref: str) -> str:
    """Return the name of the component that a `$ref` points to."""
    return ref.removeprefix("#/$defs/")


def flat(node: Any, components: dict[str, Any], trail: tuple[str, ...] = ()) -> Any:
    """Return a schema with its references replaced by what they name, and without titles.

    Raises ValueError for a type that contains itself.
    """
    if isinstance(node, list):
        return [flat(each, components, trail) for each in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        name = reference(node["$ref"])
        if name in trail:
            raise ValueError(f"{name} contains itself")
        target = flat(components[name], components, (*trail, name))
        return {**target, **{key: value for key, value in node.items() if key != "$ref"}}
    made: dict[str, Any] = {}
    for key, value in node.items():
        if key == "properties":
            made[key] = {name: flat(v, components, trail) for name, v in value.items()}
        elif key in _SUBSCHEMAS:
            made[key] = flat(value, components, trail)
        elif key not in ("title", "discriminator", "$defs"):
            made[key] = value
    kinds = {type(value) for value in made.get("enum", ())}
    if len(kinds) == 1 and (kind := _JSON_TYPES.get(kinds.pop())):
        made.setdefault("type", kind)
    return _with_items(made) if made.get("type") == "array" else made


def lifted(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema with all its `$defs` at the top: the service looks for them nowhere else.

    As it was, where they are there already. Raises RecursionError for one without a bottom.
    """
    top: dict[str, Any] = dict(schema["$defs"]) if isinstance(schema.get("$defs"), dict) else {}
    before = len(top)
    made = _lifted({key: value for key, value in schema.items() if key != "$defs"}, top, {})
    for name in list(top)[:before]:
        top[name] = _lifted(top[name], top, {})
    return {**made, "$defs": top} if len(top) > before else schema


def _lifted(node: Any, top: dict[str, Any], names: dict[str, str]) -> Any:
    """Return a part without `$defs`, which go to the top; `names`: what those around are called."""
    if isinstance(node, list):
        return [_lifted(each, top, names) for each in node]
    if not isinstance(node, dict):
        return node
    own = node.get("$defs")
    if isinstance(own, dict):
        names = names | {name: _free(name, top) for name in own}
        top.update({names[name]: None for name in own})
        top.update({names[name]: _lifted(part, top, names) for name, part in own.items()})
    made: dict[str, Any] = {}
    for key, value in node.items():
        if key == "properties" and isinstance(value, dict):
            made[key] = {name: _lifted(each, top, names) for name, each in value.items()}
        elif key == "$ref" and isinstance(value, str) and reference(value) in names:
            made[key] = f"#/$defs/{names[reference(value)]}"
        elif key != "$defs":
            made[key] = _lifted(value, top, names)
    return made


def _free(name: str, top: dict[str, Any]) -> str:
    number, made = 1, name
    while made in top:
        number += 1
        made = f"{name}_{number}"
    return made


def _with_items(node: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of an array with `items`, and with its order in words if it has one."""
    places = node.pop("prefixItems", None)
    if not places:
        return {**node, "items": node.get("items") or {}}
    kinds = [each for n, each in enumerate(places) if each not in places[:n]]
    order = ", ".join(str(each.get("description") or each.get("type", "any")) for each in places)
    said = f"{node['description']} " if node.get("description") else ""
    node["items"] = kinds[0] if len(kinds) == 1 else {"anyOf": kinds}
    return {**node, "description": f"{said}In this order: {order}."}


def described(component: dict[str, Any], cls: type) -> None:
    """Put what a class with fields says about itself and its fields into its schema."""
    description, documented = read_docstring(cls.__doc__)
    if "description" in component:
        component["description"] = description
    hints = typing.get_type_hints(cls, include_extras=True)
    places = component.get("prefixItems", ())
    nodes = component.get("properties") or dict(zip(hints, places, strict=False))
    for name, hint in hints.items():
        node = nodes.get(name)
        if node is None:
            continue
        if text := text_of(hint) or documented.get(name, ""):
            node["description"] = text
        if places:
            node["description"] = f"{name}: {text}" if text else name
