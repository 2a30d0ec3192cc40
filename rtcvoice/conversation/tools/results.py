"""What a function returned, as the text that the model gets.

Text stays as it is. Everything else becomes JSON, and as much of Python as has an obvious form in
it: dataclasses, named tuples, models of pydantic's, numpy's arrays, paths, deques, iterators. A
number that JSON has no form for does not become null unseen: infinity is written as text, and only
NaN, which says that there is no number, as null. What has no form is refused with its place.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import inspect
import ipaddress
import math
import os
import types
import uuid
from collections import UserString, deque
from collections.abc import (
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
    Set,
    ValuesView,
)
from typing import Any

import msgspec

__all__ = ["BadResult", "TooLarge", "called", "encoded"]

DEEPEST = 100
"""Levels of a result; deeper ones, and those that contain themselves, are refused."""

_TIMES = (dt.date, dt.time)
"""Written as in ISO 8601; datetime is a date."""

_AS_TEXT = (
    *(decimal.Decimal, fractions.Fraction, uuid.UUID, UserString, dt.tzinfo),
    *(ipaddress.IPv4Address, ipaddress.IPv6Address),
    *(ipaddress.IPv4Network, ipaddress.IPv6Network),
    *(ipaddress.IPv4Interface, ipaddress.IPv6Interface),
)
_LISTS = (Sequence, Set, ValuesView, deque, Iterator)
_HINT = "return text, numbers, lists, dicts, dataclasses, or models of pydantic's"


class BadResult(Exception):  # noqa: N818
    """A result has no JSON form."""


class TooLarge(Exception):  # noqa: N818
    """A result is larger than the limit."""


class _NoForm(Exception):  # noqa: N818
    """A value within a result has no JSON form; `place` grows on the way out."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.place = ""


def encoded(result: Any, limit: int) -> str:
    """Return a result as the model gets it: what is written as text as text, the rest as JSON.

    Raises BadResult, and TooLarge if it takes more than `limit` bytes in the message; it is not
    read much further than that, so an iterator may be without an end.
    """
    if isinstance(result, str) and not isinstance(result, enum.Enum):
        text = _readable(result)
    else:
        try:
            made = _Plain(limit).of(result)
            json = msgspec.json.encode(made)
            text = msgspec.json.decode(json) if json[:1] == b'"' else json.decode()
        except _NoForm as exc:
            where = f" at ${exc.place}" if exc.place else ""
            raise BadResult(
                f"its result cannot be written as JSON: {exc.reason}{where}; {_HINT}"
            ) from exc
        except (TypeError, ValueError, msgspec.MsgspecError) as exc:
            raise BadResult(f"its result cannot be written as JSON: {exc}") from exc
    size = len(msgspec.json.encode(text))  # in an event it is text in JSON, escaped once more
    if size > limit:
        raise TooLarge(f"its result has {size:,} bytes, more than the {limit:,} that are allowed")
    return text


def called(
    function: Callable[..., Any], args: list[Any], kwargs: dict[str, Any], limit: int
) -> str | Awaitable[Any]:
    """Call a plain function and return its encoded result, or what it wants awaited."""
    result = function(*args, **kwargs)
    return result if inspect.isawaitable(result) else encoded(result, limit)


class _Plain:
    """Makes values of Python's simplest types of one result, of at most `limit` bytes."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._left = limit

    def of(self, value: Any, depth: int = 0) -> Any:
        """Return a value as str, int, float, bool, None, list or dict. Raises _NoForm, TooLarge."""
        self._left -= 1  # each takes that much at least
        if self._left < 0:
            raise TooLarge(f"its result has more than the {self._limit:,} bytes that are allowed")
        if depth > DEEPEST:
            raise _NoForm(f"it is nested more than {DEEPEST} deep, or contains itself")
        if value is None or value is True or value is False:
            return value
        if isinstance(value, enum.Enum):
            return self.of(value.value, depth + 1)
        if isinstance(value, str):
            self._left -= len(value)
            return _readable(value)
        if isinstance(value, int):
            return int(value)
        if isinstance(value, float):
            return _number(float(value))
        return self._record(value, depth)

    def _record(self, value: Any, depth: int) -> Any:
        if isinstance(value, _TIMES):
            return value.isoformat()
        if isinstance(value, dt.timedelta):  # msgspec knows its form, of this very class
            return dt.timedelta(value.days, value.seconds, value.microseconds)
        if isinstance(value, _AS_TEXT):
            return str(value)
        if isinstance(value, os.PathLike):
            return _readable(os.fsdecode(value))
        if isinstance(value, bytes | bytearray | memoryview):
            return self.of(_decoded(bytes(value)), depth)
        if isinstance(value, type) or inspect.isawaitable(value):
            raise _NoForm(_kind(value))
        if (fields := _fields(value)) is not None:
            return self._object(fields, depth)
        if callable(dump := getattr(value, "model_dump", None)):  # pydantic's
            return self.of(_dumped(value, dump), depth + 1)
        if callable(as_list := getattr(value, "tolist", None)):  # numpy's and its kin
            self._check_size(value)
            return self.of(as_list(), depth + 1)
        if isinstance(value, _LISTS):
            return self._list(value, depth)
        raise _NoForm(_kind(value))

    def _object(self, fields: Mapping[Any, Any], depth: int) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for name, inner in fields.items():
            key = _key(name)
            if key in made:
                raise _NoForm(f"two keys are both written as {key!r:.80}")
            self._left -= len(key)
            made[key] = self._inner(inner, depth, f".{key:.80}")
        return made

    def _list(self, values: Iterable[Any], depth: int) -> list[Any]:
        return [self._inner(each, depth, f"[{n}]") for n, each in enumerate(values)]

    def _inner(self, value: Any, depth: int, place: str) -> Any:
        try:
            return self.of(value, depth + 1)
        except _NoForm as exc:
            if len(exc.place) < 200:
                exc.place = f"{place}{exc.place}"
            raise

    def _check_size(self, array: Any) -> None:
        size = getattr(array, "size", 0)
        if isinstance(size, int) and size > self._left:
            raise TooLarge(f"its result has {size:,} numbers, more than the limit allows")


def _fields(value: Any) -> Mapping[Any, Any] | None:
    """Return what has names of its own as a mapping; None if it has none."""
    if isinstance(value, Mapping):
        return value
    if isinstance(value, types.SimpleNamespace):
        return vars(value)
    if isinstance(value, msgspec.Struct):
        pairs = zip(value.__struct_encode_fields__, value.__struct_fields__, strict=True)
        config = value.__struct_config__
        tag = {} if config.tag_field is None else {config.tag_field: config.tag}
        made = {name: getattr(value, field) for name, field in pairs}
        return tag | {k: v for k, v in made.items() if v is not msgspec.UNSET}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return value._asdict()  # type: ignore[no-any-return]
    names: list[str] | None = None
    if dataclasses.is_dataclass(value):
        names = [each.name for each in dataclasses.fields(value)]
    elif hasattr(type(value), "__attrs_attrs__"):
        names = [each.name for each in type(value).__attrs_attrs__]
    if names is None:
        return None
    return {name: getattr(value, name) for name in names if hasattr(value, name)}


def _key(key: Any) -> str:
    """Return the text that stands for a key, as json.dumps writes it and some more."""
    if isinstance(key, enum.Enum):
        return _key(key.value)
    if isinstance(key, str):
        return _readable(key)
    if key is None or isinstance(key, bool):
        return {None: "null", True: "true", False: "false"}[key]
    if isinstance(key, int | float):
        return str(key)
    if isinstance(key, _TIMES):
        return key.isoformat()
    if isinstance(key, _AS_TEXT):
        return str(key)
    if isinstance(key, os.PathLike):
        return _readable(os.fsdecode(key))
    if callable(item := getattr(key, "item", None)) and getattr(key, "shape", None) == ():
        return _key(item())  # a number of numpy's
    raise _NoForm(f"a key is a {type(key).__name__}")


def _number(value: float) -> float | str | None:
    if math.isfinite(value):
        return value
    if math.isnan(value):
        return None
    return "Infinity" if value > 0 else "-Infinity"


def _readable(text: str) -> str:
    """Return the text as UTF-8 can carry it: file names may hold lone surrogates."""
    # A str itself, whatever class the text has: msgspec writes no other.
    return str.__str__(text) if text.isascii() else text.encode("utf-8", "replace").decode()


def _decoded(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as exc:
        raise _NoForm(f"{len(data)} bytes that are not text in UTF-8") from exc


def _dumped(value: Any, dump: Callable[..., Any]) -> Any:
    try:
        return dump(mode="json")
    except (TypeError, ValueError) as exc:
        raise _NoForm(f"{type(value).__name__} cannot be dumped: {exc}") from exc


def _kind(value: Any) -> str:
    if inspect.isawaitable(value):
        return f"a {type(value).__name__} that was not awaited"
    if isinstance(value, type):
        return f"the class {value.__name__} has no JSON form"
    return f"{type(value).__name__} has no JSON form"
