"""Reads server events that do not fit their structs: whatever can be used of them is used.

Servers and gateways in the field send 100.0 or "100" for 100, 400 for "400", a list for null. One
such field must not cost the event that ends an answer. So each field is read for itself: a number
is taken from text or from a float, a text from a number; what cannot be used counts as missing.
An object is given up only if something is missing without which it means nothing: the type, or
the id of what it is about.

The walk follows the structs and not the data, so its depth is theirs; of a list that does not fit,
no more than MOST entries are read.
"""

from __future__ import annotations

import functools
import json
import math
import re
import types
from collections.abc import Iterator
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec

from rtcvoice.events.base import Tagged, Wire
from rtcvoice.events.from_server import ErrorDetail
from rtcvoice.events.items import ITEM_TYPES, UnknownItem
from rtcvoice.events.responses import FailureDetail
from rtcvoice.events.session import FormatConfig, NoiseReduction, TranscriptionConfig, TurnDetection

__all__ = ["LenientReader", "UnusableError", "loose_json"]

MOST = 1000
"""Entries of a list that are read one by one, because it does not fit as a whole."""

MOST_TEXT = 1 << 20
"""Characters of a text that is read although it is not good JSON."""

_UNFIT = (msgspec.MsgspecError, TypeError, ValueError, OverflowError, RecursionError)

# Texts that may be empty: the event still says that something happened.
_MAY_BE_EMPTY = frozenset(
    {
        *("arguments", "delta", "event", "message", "output", "server_label", "speaker", "text"),
        "transcript",
    }
)
# Texts for which some servers send the object that the text would be.
_MAY_BE_OBJECTS = frozenset({"arguments", "message", "output"})
# Objects for which some servers send one word, and the field that it is.
_WORDS: dict[type, str] = {
    ErrorDetail: "message",
    FailureDetail: "message",
    FormatConfig: "type",
    NoiseReduction: "type",
    TranscriptionConfig: "model",
    TurnDetection: "type",
}
_BOOLEANS = {"true": True, "false": False, "1": True, "0": False}
_SURROGATE = re.compile("[\ud800-\udfff]")


class UnusableError(ValueError):
    """Something that cannot be done without is missing, or of no use; says what."""


class LenientReader:
    """Reads one event. `odd` names what could not be used, such as "$.response.usage"."""

    def __init__(self) -> None:
        self.odd: set[str] = set()

    def struct(self, cls: type[Wire], data: dict[str, Any], path: str = "$") -> Any:
        """Return `data` as a `cls`. Raises UnusableError if something essential is missing."""
        values: dict[str, Any] = {}
        for field in _fields(cls):
            name, where = field.encode_name, f"{path}.{field.encode_name}"
            if name in data:
                try:
                    values[field.name] = self._value(data[name], field.type, where)
                    continue
                except UnusableError:
                    self.odd.add(where)
            if field.required:
                values[field.name] = self._instead(field.type, name, where)
        return cls(**values)

    def item(self, data: dict[str, Any], path: str = "$.item") -> Tagged | UnknownItem:
        """Return an item, typed if it can be."""
        name = data.get("type")
        if not isinstance(name, str):
            return UnknownItem("", data, "no type: the item has no text of that name")
        cls = ITEM_TYPES.get(name)
        if cls is None:
            return UnknownItem(name, data)
        try:
            return self.struct(cls, data, path)  # type: ignore[no-any-return]
        except UnusableError as exc:
            return UnknownItem(name, data, str(exc))

    def _instead(self, annotation: Any, name: str, where: str) -> Any:
        """Return what stands for a required field that is missing."""
        kinds = list(_members(annotation))
        if str in kinds and name in _MAY_BE_EMPTY:
            return ""
        if any(get_origin(kind) is list for kind in kinds):
            return []
        if len(kinds) == 1 and _is_struct(kinds[0]):
            return self.struct(kinds[0], {}, where)
        raise UnusableError(f"`{where}` is missing or cannot be used")

    def _value(self, value: Any, annotation: Any, path: str) -> Any:
        try:
            return msgspec.convert(value, annotation)
        except _UNFIT:
            pass
        kinds = list(_members(annotation))
        if isinstance(value, dict) and any(_is_item(kind) for kind in kinds):
            return self.item(value, path)
        for kind in kinds:
            try:
                # Again by msgspec: it knows the bounds of numbers.
                read = self._read(value, kind, path)
                return read if isinstance(read, Wire | list) else msgspec.convert(read, annotation)
            except _UNFIT:
                continue
        raise UnusableError(f"`{path}` cannot be used")

    def _read(self, value: Any, kind: Any, path: str) -> Any:
        if kind is bool:
            return _boolean(value)
        if kind is int:
            return _whole(value)
        if kind is float:
            return _number(value)
        if kind is str:
            return _text(value, as_json=path.rpartition(".")[2] in _MAY_BE_OBJECTS)
        if get_origin(kind) is list and isinstance(value, list):
            return list(self._entries(value, get_args(kind)[0], f"{path}[]"))
        if _is_struct(kind):
            if isinstance(value, dict):
                return self.struct(kind, value, path)
            word = next((_WORDS[base] for base in kind.__mro__ if base in _WORDS), None)
            if isinstance(value, str) and word is not None:
                return self.struct(kind, {word: value}, path)
        raise UnusableError(f"`{path}` cannot be used")

    def _entries(self, values: list[Any], annotation: Any, path: str) -> Iterator[Any]:
        for value in values[:MOST]:
            try:
                yield self._value(value, annotation, path)
            except UnusableError:
                self.odd.add(path)


def loose_json(text: str | bytes) -> Any:
    """Return the values of a text that is nearly JSON: with NaN, cut characters, huge numbers.

    What JSON cannot say becomes None, half a character U+FFFD. Raises ValueError, RecursionError.
    """
    if len(text) > MOST_TEXT:
        raise ValueError("it is too long")
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    numbers: Any = _finite
    value = json.loads(
        text, parse_constant=lambda name: None, parse_float=numbers, parse_int=numbers
    )
    # Half a character may come raw or escaped; whole ones are together again by now.
    return msgspec.json.decode(_SURROGATE.sub("\ufffd", json.dumps(value, ensure_ascii=False)))


def _finite(digits: str) -> int | float | None:
    if len(digits) < 40 and digits.lstrip("-").isdigit():
        return int(digits)
    number = float(digits)
    return number if math.isfinite(number) else None


@functools.cache
def _fields(cls: type[Wire]) -> tuple[msgspec.structs.FieldInfo, ...]:
    return msgspec.structs.fields(cls)


@functools.cache
def _kinds(annotation: Any) -> tuple[Any, ...]:
    origin = get_origin(annotation)
    if origin is Annotated:
        return _kinds(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        return tuple(kind for each in get_args(annotation) for kind in _kinds(each))
    return () if annotation is type(None) else (annotation,)


def _members(annotation: Any) -> Iterator[Any]:
    """Give the alternatives of an annotation, without None and without bounds."""
    yield from _kinds(annotation)


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Wire)


def _is_item(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Tagged)


def _boolean(value: Any) -> bool:
    word = str(value).lower() if isinstance(value, int | str) else ""
    if word not in _BOOLEANS:
        raise UnusableError("neither true nor false")
    return _BOOLEANS[word]


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise UnusableError("no number")
    number = float(value[:40] if isinstance(value, str) else value)
    if not math.isfinite(number):
        raise UnusableError("no number")
    return number


def _whole(value: Any) -> int:
    """Return a whole number; a fraction is cut off."""
    return int(_number(value))


def _text(value: Any, *, as_json: bool) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value:.15g}"
    if as_json and isinstance(value, dict | list):
        return msgspec.json.encode(value).decode()
    raise UnusableError("no text")
