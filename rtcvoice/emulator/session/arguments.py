"""Arguments for a function call, made up from its JSON Schema and from what the user said.

The words of the user come first where they fit: a value of an enum that was named, numbers in the
order in which they were said, the place after "in", what was put in quotes. Where nothing fits, the
least value that the schema allows. Optional fields are left out unless the text speaks of them.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from rtcvoice.emulator.session.wording import name_words, numbers_in, plain_words

__all__ = ["arguments_for"]

_DEEPEST = 12
_LONGEST_STRING = 10_000
_LONGEST_MATCHED = 64
_FORMATS = {
    "date": "2026-01-31",
    "time": "12:00:00Z",
    "date-time": "2026-01-31T12:00:00Z",
    "duration": "PT1H",
    "email": "someone@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "url": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}
_TRIED = (
    *("", "en", "en-US", "EUR", "+15550100", "#000000", "2026-01-31", "12:00", "a@example.com"),
    *(letter * length for length in range(1, 17) for letter in "aA1"),
    *("a1", "A1", "A-1", "AB-123", "abc-123", "ABC123", "1.0", "1.0.0", "01234567-89ab-cdef"),
)
_QUOTED = re.compile(r"[\"“”«»](.+?)[\"“”«»]")
_AFTER = re.compile(r"\b(?:that|to|in|at|for|from|about|called|named|is)\s+(.+)", re.IGNORECASE)
_PROPER = re.compile(r"(?<!^)(?<![.!?]\s)\b[A-Z][\w-]+(?:\s+[A-Z][\w-]+)*")


def arguments_for(schema: Mapping[str, Any] | None, text: str) -> dict[str, Any]:
    """Return arguments that `schema` allows: the `parameters` of a tool; None means no parameters.

    Understands type, enum, const, default, examples, properties, required, items, bounds of
    numbers, lengths and arrays, multipleOf, format, anyOf, oneOf, allOf and references inside the
    schema. A `pattern` is met if a word of the text, or one of a few usual values, meets it. What
    is not a schema at all, such as `properties: true`, gives no arguments.
    """
    if not schema:
        return {}
    try:
        value = _Maker(schema, text).make(schema, "", 0)
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


class _Maker:
    def __init__(self, root: Mapping[str, Any], text: str) -> None:
        self._root = root
        self._text = text
        self._words = plain_words(text)
        self._numbers = numbers_in(text)
        self._phrases = _phrases(text)

    def make(self, schema: Any, name: str, depth: int) -> Any:
        schema = self._resolved(schema, depth)
        if depth > _DEEPEST or not isinstance(schema, Mapping):
            return None
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return self._chosen(schema["enum"])
        match _type(schema):
            case "object":
                return self._object(schema, depth)
            case "array":
                return self._array(schema, name, depth)
            case "integer" | "number" as kind:
                return self._number(schema, whole=kind == "integer")
            case "boolean":
                return bool(schema.get("default", True))
            case "null":
                return None
        return self._string(schema, name)

    def _resolved(self, schema: Any, depth: int) -> Any:
        """Return the schema with references, alternatives and conjunctions put into one object."""
        for _ in range(_DEEPEST):
            if not isinstance(schema, Mapping):
                return schema
            if isinstance(schema.get("$ref"), str):
                rest = {k: v for k, v in schema.items() if k != "$ref"}
                schema = {**rest, **self._referred(schema["$ref"])}
            elif parts := [p for p in schema.get("allOf") or () if isinstance(p, Mapping)]:
                rest = {k: v for k, v in schema.items() if k != "allOf"}
                schema = _merged([rest, *(self._resolved(part, depth) for part in parts)])
            elif branches := schema.get("anyOf") or schema.get("oneOf"):
                rest = {k: v for k, v in schema.items() if k not in ("anyOf", "oneOf")}
                schema = _merged([rest, self._best(branches, depth)])
            else:
                return schema
        return {}

    def _referred(self, reference: str) -> Mapping[str, Any]:
        value: Any = self._root
        for part in reference.lstrip("#").strip("/").split("/"):
            key = part.replace("~1", "/").replace("~0", "~")
            value = value.get(key) if isinstance(value, Mapping) else None
        return value if isinstance(value, Mapping) else {}

    def _best(self, branches: Any, depth: int) -> Mapping[str, Any]:
        """Return the first branch that is not null; deep down, the first that is not an object."""
        found = [b for b in branches if isinstance(b, Mapping)]
        useful = [b for b in found if b.get("type") != "null"]
        if depth >= _DEEPEST // 2:
            flat = [b for b in found if not {"$ref", "properties"} & b.keys()]
            useful = flat or useful
        return next(iter(useful or found), {})

    def _chosen(self, values: list[Any]) -> Any:
        for value in values:
            if isinstance(value, str) and set(name_words(value)) & set(self._words):
                return value
        numbers = [v for v in values if v in self._numbers and not isinstance(v, bool)]
        return numbers[0] if numbers else values[0]

    # ---- objects and arrays

    def _object(self, schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
        properties = schema.get("properties") or {}
        required = [name for name in schema.get("required") or () if isinstance(name, str)]
        made = {name: self.make(properties.get(name, {}), name, depth + 1) for name in required}
        for name, content in properties.items():
            if name not in made and self._speaks_of(name, self._resolved(content, depth)):
                made[name] = self.make(content, name, depth + 1)
        if not made and properties and depth == 0:  # all optional: better one than none
            first = next(iter(properties))
            made[first] = self.make(properties[first], first, 1)
        return made

    def _speaks_of(self, name: str, schema: Any) -> bool:
        if not isinstance(schema, Mapping):
            return False
        named = {word for v in schema.get("enum") or () for word in name_words(str(v))}
        return bool((named | set(name_words(name))) & set(self._words))

    def _array(self, schema: Mapping[str, Any], name: str, depth: int) -> list[Any]:
        items = schema.get("items", {"type": "string"})
        least = int(schema.get("minItems", 0))
        places = items.get("anyOf", ()) if isinstance(items, Mapping) else ()
        if places and least == schema.get("maxItems") == len(places):  # a tuple, each of its kinds
            return [self.make(place, name, depth + 1) for place in places]
        wanted = max(least, min(1, int(schema.get("maxItems", 1))))
        if _type(self._resolved(items, depth)) in ("integer", "number") and self._numbers:
            most = int(schema.get("maxItems", len(self._numbers)))
            wanted = max(least, min(most, len(self._numbers)))
        if depth >= _DEEPEST // 2:
            wanted = least
        made: list[Any] = []
        for _ in range(min(wanted, 100)):
            value = self.make(items, name, depth + 1)
            if schema.get("uniqueItems") and value in made:
                value = _other(self._resolved(items, depth), made)
            made.append(value)
        return made

    # ---- numbers and strings

    def _number(self, schema: Mapping[str, Any], *, whole: bool) -> float:
        low, high, step = _bounds(schema, whole=whole)
        for index, said in enumerate(self._numbers):
            if low <= said <= high and _divides(step, said) and (not whole or said == int(said)):
                del self._numbers[index]
                return int(said) if said == int(said) else said
        value = schema.get("default", 1)
        usable = isinstance(value, int | float) and not isinstance(value, bool)
        if not usable or not low <= value <= high or not _divides(step, value):
            value = 0 if low <= 0 <= high else low if math.isfinite(low) else high
            value = value if not step else math.ceil(value / step) * step
        return int(value) if whole or value == int(value) else value

    def _string(self, schema: Mapping[str, Any], name: str) -> str:
        least = min(_LONGEST_STRING, int(schema.get("minLength", 0)))
        most = int(schema.get("maxLength", 1000))
        known = [schema.get("default"), *(schema.get("examples") or ())]
        given = [value for value in known if isinstance(value, str)]
        if schema.get("format") in _FORMATS:
            candidates = [*given, _FORMATS[schema["format"]]]
        else:
            candidates = [*self._after_name(name), *self._phrases, *given, name or "text"]
        if isinstance(schema.get("pattern"), str):
            words = re.findall(r"[\w.+-]+", self._text)
            candidates += [*words, *_TRIED]
            candidates = [c for c in candidates if _matches(schema["pattern"], c)] or candidates
        fitting = [c for c in candidates if least <= len(c) <= most]
        chosen = fitting[0] if fitting else candidates[0][:most]
        return chosen + "x" * max(0, least - len(chosen))

    def _after_name(self, name: str) -> list[str]:
        """Return what follows the parameter's own name in the text: "the city Paris" -> Paris."""
        words = name_words(name)
        if not words:
            return []
        pattern = r"\W+".join(map(re.escape, words)) + r"\s+(?:is\s+|to\s+)?(\S.*)"
        found = re.search(rf"\b{pattern}", self._text, re.IGNORECASE)
        return [_trimmed(found[1])] if found else []


def _phrases(text: str) -> list[str]:
    """Return what could be meant in `text`, the likeliest first."""
    found = _QUOTED.findall(text) + [match.strip() for match in _PROPER.findall(text)]
    found += [match[1] for match in [_AFTER.search(text)] if match]
    return [phrase for phrase in map(_trimmed, [*found, text]) if phrase]


def _trimmed(phrase: str) -> str:
    return phrase.strip().rstrip(".!?,;:").strip()


def _type(schema: Any) -> str:
    if not isinstance(schema, Mapping):
        return "string"
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((k for k in kind if k != "null"), "null")
    if isinstance(kind, str):
        return kind
    if "properties" in schema or "required" in schema:
        return "object"
    if "items" in schema or "minItems" in schema:
        return "array"
    numeric = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
    return "number" if any(key in schema for key in numeric) else "string"


def _merged(schemas: list[Any]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for schema in schemas:
        for key, value in schema.items() if isinstance(schema, Mapping) else ():
            if key == "properties" and isinstance(value, Mapping):
                result[key] = {**result.get(key, {}), **value}
            elif key == "required" and isinstance(value, list):
                result[key] = [*result.get(key, []), *value]
            else:
                result[key] = value
    return result


def _bounds(schema: Mapping[str, Any], *, whole: bool) -> tuple[float, float, float]:
    step = schema.get("multipleOf") or 0
    nudge = 1 if whole else step or 1e-3
    low: float = schema.get("minimum", -math.inf)
    high: float = schema.get("maximum", math.inf)
    for key, sign in (("exclusiveMinimum", 1), ("exclusiveMaximum", -1)):
        value = schema.get(key)
        if isinstance(value, int | float) and not isinstance(value, bool):
            near = value + sign * nudge
            low, high = (max(low, near), high) if sign > 0 else (low, min(high, near))
    if whole:
        low, high = (math.ceil(low) if math.isfinite(low) else low), high
    return low, high, step


def _divides(step: float, value: float) -> bool:
    return not step or math.isclose(value / step, round(value / step), abs_tol=1e-9)


def _matches(pattern: str, value: str) -> bool:
    if len(value) > _LONGEST_MATCHED:  # an unlucky pattern takes for ever on a long text
        return False
    try:
        return re.search(pattern, value) is not None
    except re.error:
        return True


def _other(schema: Any, taken: list[Any]) -> Any:
    """Return another value for an array whose elements have to differ."""
    if isinstance(schema, Mapping) and schema.get("enum"):
        left = [value for value in schema["enum"] if value not in taken]
        return left[0] if left else schema["enum"][0]
    last = taken[-1]
    if isinstance(last, int | float) and not isinstance(last, bool):
        return max(value for value in taken) + 1
    return f"{last}-{len(taken)}" if isinstance(last, str) else json.loads(json.dumps(last))
