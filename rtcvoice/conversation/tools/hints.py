"""Annotations as people write them, made into types that msgspec reads; pure.

Texts in `Annotated` become descriptions, and the bounds of pydantic's `Field` and of
annotated_types become msgspec's, so that they are in the schema and enforced. Neither library is
imported: whoever uses one has it. What cannot be enforced is refused (TypeError), not dropped.
"""

from __future__ import annotations

import collections.abc
import datetime as dt
import types
import typing
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec

__all__ = ["is_field", "is_model", "or_none", "plain", "records", "text_of", "user_code"]

_BOUNDS = ("ge", "gt", "le", "lt", "multiple_of", "min_length", "max_length", "pattern")
_LIBRARIES = ("annotated_types", "pydantic")
_HARMLESS = ("strict", "union_mode", "fail_fast", "allow_inf_nan")
"""Of pydantic's notes: they change how it checks, not what is right."""
_CHANGING = ("Predicate", "Not", "LowerCase", "UpperCase", "IsDigit", "IsAscii", "Timezone")
_CHANGING_SUFFIX = "Validator"
_FORMATS: dict[Any, str] = {dt.datetime: "date-time", dt.time: "time"}
"""Formats that msgspec leaves out, because a time need not have a zone."""
_ALIAS: Any = getattr(typing, "TypeAliasType", ())
"""What `type X = ...` makes, from Python 3.12 on."""


def plain(hint: Any) -> Any:
    """Return the type as msgspec reads it. Raises TypeError for bounds that it cannot enforce."""
    while isinstance(hint, _ALIAS):
        hint = hint.__value__
    origin, args = get_origin(hint), get_args(hint)
    if origin in (typing.Required, typing.NotRequired, typing.Final):
        return plain(args[0])
    if isinstance(hint, type) and hint in _FORMATS:
        return Annotated[hint, msgspec.Meta(extra_json_schema={"format": _FORMATS[hint]})]
    if collections.abc.Iterable in (hint, origin):
        return list[plain(args[0])] if args else list  # type: ignore[misc]
    if origin is Annotated:
        bounds = _bounds_of(args[1:])
        inner = _bounded(plain(args[0]), bounds)
        metas = [m for m in args[1:] if isinstance(m, msgspec.Meta)]
        metas = [m for m in map(_without_bounds, metas) if m is not None]
        if text := text_of(hint):
            metas.append(msgspec.Meta(description=text))
        return Annotated[(inner, *metas)] if metas else inner
    if origin in (Union, types.UnionType):
        return Union[tuple(plain(arg) for arg in args)]  # noqa: UP007
    if origin is None or origin is Literal or not args:
        return hint
    try:
        return origin[tuple(plain(arg) for arg in args)]
    except TypeError:  # a special form; msgspec says what it thinks of it
        return hint


def _bounded(hint: Any, bounds: dict[str, Any]) -> Any:
    """Return a type with bounds; of a union each type that is not None has them."""
    if not bounds:
        return hint
    if get_origin(hint) is Union:
        members = (m if m is types.NoneType else _bounded(m, bounds) for m in get_args(hint))
        return Union[tuple(members)]  # noqa: UP007
    whole = hint is int or get_args(hint)[:1] == (int,)
    given = {name: _whole(value) if whole else value for name, value in bounds.items()}
    return Annotated[(hint, msgspec.Meta(**given))]


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _bounds_of(notes: tuple[Any, ...]) -> dict[str, Any]:
    """Return the bounds in the notes of `Annotated`; of two that say the same the closer one."""
    found: dict[str, Any] = {}
    for note in notes:
        for name, value in _said(note):
            if name not in found:
                found[name] = value
            elif name in ("ge", "gt", "min_length"):
                found[name] = max(found[name], value)
            elif name in ("le", "lt", "max_length"):
                found[name] = min(found[name], value)
            elif found[name] != value:
                raise TypeError(f"{name} is given twice")
    return found


def _said(note: Any) -> Iterator[tuple[str, Any]]:
    """Yield the bounds that one note says. Raises TypeError for what msgspec cannot enforce."""
    library = type(note).__module__.partition(".")[0]
    if not isinstance(note, msgspec.Meta) and library not in _LIBRARIES:
        return  # another library's note, or a text
    if is_field(note):
        for inner in note.metadata:
            yield from _said(inner)
        return
    if getattr(note, "__is_annotated_types_grouped_metadata__", False):
        for inner in note:
            yield from _said(inner)
        return
    name = type(note).__name__
    if name.endswith(_CHANGING_SUFFIX) or name in _CHANGING:
        raise TypeError(f"{name} cannot be enforced here: check the value in the function")
    for name in _BOUNDS:
        if (value := getattr(note, name, None)) is not None:
            yield name, getattr(value, "pattern", value)
    for name, value in getattr(note, "__dict__", {}).items():
        if value and name not in (*_BOUNDS, *_HARMLESS) and "Metadata" in type(note).__name__:
            raise TypeError(f"{name} cannot be enforced here: check the value in the function")


def _without_bounds(meta: msgspec.Meta) -> msgspec.Meta | None:
    """Return what else a Meta says, None if that is nothing: its bounds are put further in."""
    names = ("title", "examples", "extra_json_schema", "extra")
    kept = {name: value for name in names if (value := getattr(meta, name)) is not None}
    return msgspec.Meta(**kept) if kept else None


def or_none(hint: Any) -> Any:
    """Return the type that also takes None, for `text: str = None` as people write it."""
    if get_origin(hint) is typing.Final:
        hint = get_args(hint)[0]
    inner = get_args(hint)[0] if get_origin(hint) is Annotated else hint
    if types.NoneType in get_args(inner) or inner in (None, types.NoneType, Any):
        return hint
    optional: Any = Union[(inner, None)]  # noqa: UP007
    if inner is hint:
        return optional
    return Annotated[(optional, *get_args(hint)[1:])]


def text_of(hint: Any) -> str:
    """Return what `Annotated` says in words: a text, or an object that carries one."""
    if get_origin(hint) is not Annotated:
        return ""
    said: list[str] = []
    for note in get_args(hint)[1:]:
        # As text; as typing_extensions.Doc; as msgspec.Meta or pydantic.Field.
        attributes = (getattr(note, name, None) for name in ("documentation", "description"))
        said += [text for text in (note, *attributes) if isinstance(text, str)]
    return " ".join(" ".join(said).split())


def is_field(thing: Any) -> bool:
    """Whether it is what pydantic's `Field()` returns."""
    return type(thing).__module__.startswith("pydantic.") and hasattr(thing, "get_default")


def is_model(cls: Any) -> bool:
    """Whether it is a class of pydantic's models, which describes and checks itself."""
    names = ("model_validate", "model_json_schema")
    return isinstance(cls, type) and all(callable(getattr(cls, name, None)) for name in names)


def records(hint: Any, seen: tuple[Any, ...] = ()) -> Iterator[type]:
    """Yield the classes with fields in a type, however deep, each once for every place."""
    for arg in get_args(hint):
        yield from records(arg, seen)
    if isinstance(hint, type) and hint not in seen and _is_record(hint):
        yield hint
        for inner in typing.get_type_hints(hint, include_extras=True).values():
            yield from records(inner, (*seen, hint))


def _is_record(cls: type) -> bool:
    if is_model(cls):
        return False
    if hasattr(cls, "__pydantic_validator__"):
        raise TypeError(
            f"{cls.__qualname__} is a dataclass of pydantic's: use a BaseModel,"
            " or a dataclass of the standard library"
        )
    if issubclass(cls, tuple):
        return hasattr(cls, "_fields")
    record = hasattr(cls, "__dataclass_fields__") or hasattr(cls, "__attrs_attrs__")
    return record or typing.is_typeddict(cls) or issubclass(cls, msgspec.Struct)


def user_code(hint: Any) -> bool:
    """Whether making a value of this type runs code of the user's, which may block."""
    if _mentions_model(hint):
        return True
    classes = list(records(hint))
    fields = [inner for cls in classes for inner in typing.get_type_hints(cls).values()]
    made = any(hasattr(cls, "__post_init__") for cls in classes)
    return made or any(_mentions_model(inner) for inner in fields)


def _mentions_model(hint: Any) -> bool:
    return is_model(hint) or any(_mentions_model(arg) for arg in get_args(hint))
