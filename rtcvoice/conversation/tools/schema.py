"""From a function's signature to the JSON schema a model reads, and from its JSON back to values.

msgspec does both, from one record type made of the parameters, so that what the schema promises is
what the function gets: Literal, Enum, dataclasses, TypedDict, Structs, unions, containers. Around
it: descriptions (`Annotated[str, "text"]`, or the docstring), the function's own defaults (a value
that the model leaves out is not passed), no `$ref` (models follow flat schemas better), and errors
that name function, parameter and cure, because they are read when a program starts.

https://platform.openai.com/docs/guides/function-calling
"""

from __future__ import annotations

import functools
import inspect
import types
import typing
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec

from rtcvoice.errors import ConfigError

from .docs import read_docstring

__all__ = ["Arguments", "BadArguments", "Signature"]

_CURE = (
    "use str, int, float, bool, list, dict, Literal, an Enum, a dataclass or TypedDict,"
    " or one of them | None"
)
_JSON_TYPES = {str: "string", int: "integer", bool: "boolean"}
_UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError)


class BadArguments(Exception):  # noqa: N818  (told to the model, not raised to the user)
    """The model's arguments do not fit the signature; the message says where."""


class Arguments(typing.NamedTuple):
    """How a function is to be called."""

    args: list[Any]
    """What is positional-only."""
    kwargs: dict[str, Any]
    """Everything else, by parameter name; what the model left out is not there."""
    named: dict[str, Any]
    """All that the model gave, by parameter name."""


class Signature:
    """The parameters of `function`, for a model. Raises ConfigError if they cannot be described.

    `label` names the function in errors.
    """

    def __init__(self, function: Callable[..., Any], label: str) -> None:
        self.docs = read_docstring(_documented(function).__doc__)
        self._label = label
        self._parameters = _parameters(function, label)
        hints = {name: self._hint(function, p) for name, p in self._parameters.items()}
        for name, hint in hints.items():
            self._check(name, hint)
        self._decoders = self._make_decoders(hints)
        self.schema = self._make_schema(hints)
        """JSON schema of the arguments: an object without further properties."""

    def bind(self, arguments: str) -> Arguments:
        """Return the values in the model's JSON text. Raises BadArguments.

        A number or boolean given as text is taken for what it says, where its type asks for it.
        """
        strict, lax = self._decoders
        text = arguments.strip() or "{}"
        try:
            record = strict.decode(text)
        except _UNREADABLE as exc:
            try:
                record = lax.decode(text)
            except _UNREADABLE:
                raise BadArguments(str(exc)) from exc
        values = dict(zip(self._parameters, msgspec.structs.astuple(record), strict=True))
        given = {name: value for name, value in values.items() if value is not msgspec.UNSET}
        return self._arguments(given)

    def _arguments(self, given: dict[str, Any]) -> Arguments:
        args: list[Any] = []
        kwargs = dict(given)
        for name, parameter in self._parameters.items():
            if parameter.kind is parameter.POSITIONAL_ONLY:
                if name not in given and parameter.default is parameter.empty:
                    break
                args.append(kwargs.pop(name, parameter.default))
        return Arguments(args, kwargs, given)

    def _hint(self, function: Callable[..., Any], parameter: inspect.Parameter) -> Any:
        """Return the type of a parameter with its annotations evaluated."""
        name, annotation = parameter.name, parameter.annotation
        inner = _implementation(function)
        holder = types.SimpleNamespace(__annotations__={name: annotation})
        closure = inner.__closure__ or () if inner else ()
        local = {} if inner is None else dict(zip(inner.__code__.co_freevars, closure, strict=True))
        try:
            hint = typing.get_type_hints(
                holder,
                inner.__globals__ if inner else None,
                {name: cell.cell_contents for name, cell in local.items()},
                include_extras=True,
            )[name]
        except Exception as exc:  # whatever evaluating somebody's annotation raises
            raise ConfigError(
                f"tool {self._label}: the type {annotation!r} of parameter {name!r} cannot be"
                f" evaluated: {exc}",
                hint="import or define it where the function's module can see it at run time",
            ) from exc
        return _or_none(hint) if parameter.default is None else hint

    def _check(self, name: str, hint: Any) -> None:
        """Refuse a type that cannot be described, by its parameter."""
        try:
            plain = _plain(hint)
            schemas, components = msgspec.json.schema_components([plain])
            _inlined(schemas[0], components)
            msgspec.json.Decoder(plain)
        except (TypeError, ValueError, NameError, RecursionError) as exc:
            reason = str(exc).strip().splitlines()[-1]
            raise ConfigError(
                f"tool {self._label}: parameter {name!r} has the type {_shown(hint)}, which a"
                f" model cannot be told: {reason}",
                hint=_CURE,
            ) from exc

    def _make_decoders(
        self, hints: dict[str, Any]
    ) -> tuple[msgspec.json.Decoder[Any], msgspec.json.Decoder[Any]]:
        self._record = self._make_record(hints)
        strict = msgspec.json.Decoder(self._record)
        return strict, msgspec.json.Decoder(self._record, strict=False)

    def _make_record(self, hints: dict[str, Any]) -> type[msgspec.Struct]:
        # Fields are called a0, a1, ...: a parameter may have any name, a field may not.
        fields: list[Any] = []
        for number, (name, hint) in enumerate(hints.items()):
            plain, field = _plain(hint), f"a{number}"
            if self._parameters[name].default is inspect.Parameter.empty:
                fields.append((field, plain))
            else:
                fields.append((field, Union[plain, msgspec.UnsetType], msgspec.UNSET))  # noqa: UP007
        return msgspec.defstruct(
            "Arguments",
            fields,
            rename={f"a{number}": name for number, name in enumerate(hints)},
            kw_only=True,
            forbid_unknown_fields=True,
        )

    def _make_schema(self, hints: dict[str, Any]) -> dict[str, Any]:
        classes = list(dict.fromkeys(cls for hint in hints.values() for cls in _classes(hint)))
        schemas, components = msgspec.json.schema_components([*classes, self._record])
        for cls, reference in zip(classes, schemas, strict=False):
            _describe(components[_reference(reference["$ref"])], cls)
        schema: dict[str, Any] = _inlined(schemas[-1], components)
        for name, hint in hints.items():
            node = schema["properties"][name]
            if text := _text(hint) or self.docs.parameters.get(name, ""):
                node["description"] = text
            if (default := _as_json(self._parameters[name].default)) is not None:
                node["default"] = default
        return schema


def _documented(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return what carries the docstring: a partial has that of its class."""
    while isinstance(function, functools.partial):
        function = function.func
    return function


def _implementation(function: Callable[..., Any]) -> types.FunctionType | None:
    """Return the plain function behind methods, partials, decorators and callable objects."""
    inner: Any = _documented(inspect.unwrap(_documented(function)))
    if not isinstance(inner, types.FunctionType | types.MethodType):
        inner = getattr(type(inner), "__call__", None)  # noqa: B004
    inner = getattr(inner, "__func__", inner)
    return inner if isinstance(inner, types.FunctionType) else None


def _parameters(function: Callable[..., Any], label: str) -> dict[str, inspect.Parameter]:
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError) as exc:
        raise ConfigError(
            f"tool {label}: its parameters cannot be read: {exc}",
            hint="wrap it in a function with annotated parameters",
        ) from exc
    for name, parameter in signature.parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise ConfigError(
                f"tool {label}: a model cannot be told what {str(parameter).split(':')[0]} takes",
                hint="give each parameter a name and a type, or take one list or dict",
            )
        if parameter.annotation is parameter.empty:
            unbound = name in ("self", "cls")
            raise ConfigError(
                f"tool {label}: parameter {name!r} has no type",
                hint=f"pass the method of an object: thing.{label}"
                if unbound
                else f"annotate it, for example {name}: str",
            )
    return dict(signature.parameters)


def _plain(hint: Any) -> Any:
    """Return the type as msgspec reads it: texts in `Annotated` become its own descriptions."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        inner, metadata = _plain(args[0]), [m for m in args[1:] if isinstance(m, msgspec.Meta)]
        if text := _text(hint):
            metadata.append(msgspec.Meta(description=text))
        return Annotated[(inner, *metadata)] if metadata else inner
    if origin in (Union, types.UnionType):
        return Union[tuple(_plain(arg) for arg in args)]  # noqa: UP007
    if origin is None or origin is Literal or not args:
        return hint
    try:
        return origin[tuple(_plain(arg) for arg in args)]
    except TypeError:  # a special form; msgspec says what it thinks of it
        return hint


def _or_none(hint: Any) -> Any:
    """Return the type that also takes None, for `text: str = None` as people write it."""
    inner = get_args(hint)[0] if get_origin(hint) is Annotated else hint
    if types.NoneType in get_args(inner) or inner in (None, types.NoneType, Any):
        return hint
    optional: Any = Union[(inner, None)]  # noqa: UP007
    if inner is hint:
        return optional
    return Annotated[(optional, *get_args(hint)[1:])]


def _text(hint: Any) -> str:
    """Return what `Annotated` says in words: a text, or an object that carries one."""
    if get_origin(hint) is not Annotated:
        return ""
    said: list[str] = []
    for note in get_args(hint)[1:]:
        # As text; as typing_extensions.Doc; as msgspec.Meta or pydantic.Field.
        attributes = (getattr(note, name, None) for name in ("documentation", "description"))
        said += [text for text in (note, *attributes) if isinstance(text, str)]
    return " ".join(" ".join(said).split())


def _classes(hint: Any, seen: tuple[Any, ...] = ()) -> Iterator[type]:
    """Yield the record types in a type, however deep, each once for every place."""
    for arg in get_args(hint):
        yield from _classes(arg, seen)
    if isinstance(hint, type) and hint not in seen and _is_record(hint):
        yield hint
        for inner in typing.get_type_hints(hint, include_extras=True).values():
            yield from _classes(inner, (*seen, hint))


def _is_record(cls: type) -> bool:
    record = hasattr(cls, "__dataclass_fields__") or typing.is_typeddict(cls)
    return record or issubclass(cls, msgspec.Struct)


def _describe(component: dict[str, Any], cls: type) -> None:
    """Put what a record type says about itself and its fields into its schema."""
    description, documented = read_docstring(cls.__doc__)
    if "description" in component:
        component["description"] = description
    for name, hint in typing.get_type_hints(cls, include_extras=True).items():
        node = component.get("properties", {}).get(name)
        if node is not None and (text := _text(hint) or documented.get(name, "")):
            node["description"] = text


def _reference(ref: str) -> str:
    return ref.removeprefix("#/$defs/")


def _inlined(node: Any, components: dict[str, Any], trail: tuple[str, ...] = ()) -> Any:
    """Return a schema with its references replaced by what they name, and without titles."""
    if isinstance(node, list):
        return [_inlined(each, components, trail) for each in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        name = _reference(node["$ref"])
        if name in trail:
            raise ValueError(f"{name} contains itself")
        target = _inlined(components[name], components, (*trail, name))
        return {**target, **{key: value for key, value in node.items() if key != "$ref"}}
    made: dict[str, Any] = {}
    for key, value in node.items():
        if key == "properties":
            made[key] = {name: _inlined(v, components, trail) for name, v in value.items()}
        elif key in ("anyOf", "oneOf", "allOf", "items", "prefixItems", "additionalProperties"):
            made[key] = _inlined(value, components, trail)
        elif key not in ("title", "discriminator"):
            made[key] = value
    kinds = {type(value) for value in made.get("enum", ())}
    if len(kinds) == 1 and (kind := _JSON_TYPES.get(kinds.pop())):
        made.setdefault("type", kind)
    return made


def _as_json(default: Any) -> Any:
    """Return a default as JSON values; None when there is none that could be shown."""
    if default is inspect.Parameter.empty:
        return None
    try:
        return msgspec.json.decode(msgspec.json.encode(default))
    except (TypeError, *_UNREADABLE):
        return None


def _shown(hint: Any) -> str:
    return hint.__qualname__ if isinstance(hint, type) and not get_args(hint) else str(hint)
