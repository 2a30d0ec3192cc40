"""Checks for JSON data that refuse with the error codes and parameter paths of the service.

A check is a function of a value and its path (`session.audio.output.voice`) that returns nothing
or raises `RequestError`. Small functions build larger checks; `record` is the one that knows about
missing and unknown fields, and names the successor of a field of the removed beta interface.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

__all__ = [
    "Check",
    "RequestError",
    "anything",
    "array",
    "boolean",
    "integer",
    "invalid",
    "mapping",
    "nullable",
    "number",
    "one_of",
    "one_of_or",
    "record",
    "string",
    "tagged",
]

Check: TypeAlias = Callable[[Any, str], None]


class RequestError(Exception):
    """A request that the service would refuse; the fields of its `error` object.

    `code` is None where the service has none. `param` is the path of the culprit, or None.
    """

    def __init__(self, code: str | None, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.param = param


def invalid(path: str, message: str) -> RequestError:
    """Return the error for a value that does not fit."""
    return RequestError("invalid_value", message, path)


def _wrong_type(value: Any, path: str, expected: str) -> RequestError:
    kinds = {dict: "an object", list: "an array", str: "a string", bool: "a boolean"}
    kind = "null" if value is None else kinds.get(type(value), "a number")
    return invalid(path, f"Invalid type for '{path}': expected {expected}, but got {kind} instead.")


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else text[:77] + "..."


def anything(value: Any, path: str) -> None:
    """Accept whatever it is."""


def boolean(value: Any, path: str) -> None:
    """Accept true and false."""
    if not isinstance(value, bool):
        raise _wrong_type(value, path, "a boolean")


def string(*, longest: int | None = None, pattern: str | None = None) -> Check:
    """Accept strings of at most `longest` characters that match `pattern` entirely."""

    def check(value: Any, path: str) -> None:
        if not isinstance(value, str):
            raise _wrong_type(value, path, "a string")
        if longest is not None and len(value) > longest:
            raise invalid(path, f"'{path}' is too long: at most {longest} characters are allowed.")
        if pattern is not None and not re.fullmatch(pattern, value):
            raise invalid(path, f"'{path}' must match the pattern {pattern}.")

    return check


def number(low: float, high: float, *, whole: bool = False) -> Check:
    """Accept numbers from `low` to `high`; only integers if `whole`."""

    def check(value: Any, path: str) -> None:
        if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
            raise _wrong_type(value, path, "an integer" if whole else "a number")
        if not low <= value <= high:
            raise invalid(path, f"Invalid '{path}': expected a value from {low} to {high}.")

    return check


def integer(low: int, high: int = 2**31 - 1) -> Check:
    """Accept integers from `low` to `high`."""
    return number(low, high, whole=True)


def one_of(*values: str) -> Check:
    """Accept exactly these strings."""

    def check(value: Any, path: str) -> None:
        if not (isinstance(value, str) and value in values):
            names = ", ".join(f"'{v}'" for v in values)
            raise invalid(path, f"Invalid value: {_short(value)}. Supported values are: {names}.")

    return check


def one_of_or(kind: type | tuple[type, ...], other: Check, *values: str) -> Check:
    """Accept one of these strings, or what `other` accepts if the value is of type `kind`."""
    names = one_of(*values)

    def check(value: Any, path: str) -> None:
        (other if isinstance(value, kind) and not isinstance(value, bool) else names)(value, path)

    return check


def nullable(check: Check) -> Check:
    """Accept null besides what `check` accepts."""

    def or_null(value: Any, path: str) -> None:
        if value is not None:
            check(value, path)

    return or_null


def array(element: Check, *, longest: int = 1024) -> Check:
    """Accept arrays of at most `longest` elements, each accepted by `element`."""

    def check(value: Any, path: str) -> None:
        if not isinstance(value, list):
            raise _wrong_type(value, path, "an array")
        if len(value) > longest:
            raise invalid(path, f"'{path}' is too long: at most {longest} elements are allowed.")
        for index, entry in enumerate(value):
            element(entry, f"{path}[{index}]")

    return check


def mapping(entry: Check, *, most: int | None = None, longest_key: int | None = None) -> Check:
    """Accept objects with any keys and values that `entry` accepts."""

    def check(value: Any, path: str) -> None:
        if not isinstance(value, dict):
            raise _wrong_type(value, path, "an object")
        if most is not None and len(value) > most:
            raise invalid(path, f"'{path}' has too many entries: at most {most} are allowed.")
        for key, content in value.items():
            if longest_key is not None and len(key) > longest_key:
                raise invalid(path, f"'{path}' has a key of more than {longest_key} characters.")
            entry(content, f"{path}.{key}")

    return check


def record(
    fields: Mapping[str, Check],
    *,
    required: Sequence[str] = (),
    beta: Mapping[str, str] | None = None,
) -> Check:
    """Accept objects with these fields and no others.

    `beta` maps field names of the removed beta interface to what to write instead.
    """
    hints = beta or {}

    def check(value: Any, path: str) -> None:
        if not isinstance(value, dict):
            raise _wrong_type(value, path, "an object")
        for name in required:
            if name not in value:
                where = f"{path}.{name}" if path else name
                raise RequestError(
                    "missing_required_parameter", f"Missing required parameter: '{where}'.", where
                )
        for name, content in value.items():
            where = f"{path}.{name}" if path else name
            if name not in fields:
                hint = f" It is a field of the removed beta; {hints[name]}" if name in hints else ""
                message = f"Unknown parameter: '{where}'.{hint}"
                raise RequestError("unknown_parameter", message, where)
            fields[name](content, where)

    return check


def tagged(key: str, branches: Mapping[str, Check]) -> Check:
    """Accept objects whose field `key` names the check that applies to the rest."""

    def check(value: Any, path: str) -> None:
        record(dict.fromkeys(value, anything) if isinstance(value, dict) else {}, required=(key,))(
            value, path
        )
        one_of(*branches)(value[key], f"{path}.{key}" if path else key)
        branches[value[key]](value, path)

    return check
