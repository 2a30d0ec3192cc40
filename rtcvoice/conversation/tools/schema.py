"""From a function's signature to the JSON schema a model reads, and from its JSON back to values.

msgspec does both, from one record type made of the parameters, so that what the schema promises is
what the function gets: Literal, Enum, dataclasses, TypedDict, Structs, unions, containers; models
of pydantic's describe and check themselves. Around it: descriptions (`Annotated[str, "text"]`, or
the docstring), the function's own defaults (a value that the model leaves out, or gives as null
where null does not fit, is not passed), schemas in the form that the service takes, and errors
that name function, parameter and cure, because they are read when a program starts.

https://platform.openai.com/docs/guides/function-calling
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from typing import Any, Union, get_args

import msgspec

from rtcvoice.errors import ConfigError
from rtcvoice.masking import SECRET

from .fitting import out_of_bounds, without_nulls
from .flat import described, flat, reference
from .hints import is_model, plain, records, text_of, user_code
from .parameters import Parameter, docs_of, parameters_of

__all__ = ["Arguments", "BadArguments", "Signature"]

_CURE = (
    "use str, int, float, bool, list, dict, Literal, an Enum, a dataclass, TypedDict or BaseModel,"
    " or one of them | None"
)
_NOTHING = ("", "null", '""')
"""How models write that there are no arguments."""
_INDESCRIBABLE = (TypeError, ValueError, NameError, AttributeError, RecursionError)
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
        self.docs = docs_of(function)
        self._parameters = parameters_of(function, label)
        for name, parameter in self._parameters.items():
            _check(name, parameter.hint, label)
        hints = [each.hint for each in self._parameters.values()]
        self.runs_user_code = any(user_code(hint) for hint in hints)
        """Whether `bind` runs code of the user's, such as a model's validators; it may block."""
        try:
            self._record = _record(self._parameters)
            self._strict = msgspec.json.Decoder(self._record, dec_hook=_validated)
            self._lax = msgspec.json.Decoder(self._record, dec_hook=_validated, strict=False)
            self.schema = self._make_schema(hints)
            """JSON schema of the arguments: an object without further properties."""
        except _INDESCRIBABLE as exc:  # together, though each of them alone was taken
            raise ConfigError(
                f"tool {label}: its parameters cannot be described: {exc}", hint=_CURE
            ) from exc

    def bind(self, arguments: str) -> Arguments:
        """Return the values in the model's JSON text. Raises BadArguments.

        A number or boolean given as text is taken for what it says, where its type asks for it.
        """
        text = arguments.strip()
        values = msgspec.structs.astuple(self._decoded("{}" if text in _NOTHING else text))
        named = dict(zip(self._parameters, values, strict=True))
        return self._arguments({k: v for k, v in named.items() if v is not msgspec.UNSET})

    def _decoded(self, text: str) -> msgspec.Struct:
        try:
            record = self._strict.decode(text)
        except _UNREADABLE as exc:
            text, record = self._mended(text, exc)
        if wrong := self._bounds_inside and self._out_of_bounds(text):
            raise BadArguments(wrong)
        return record

    def _out_of_bounds(self, text: str) -> str:
        try:
            return out_of_bounds(msgspec.json.decode(text), self.schema)
        except RecursionError:
            return "nested too deeply"

    def _mended(self, text: str, error: Exception) -> tuple[str, msgspec.Struct]:
        """Return arguments without misplaced nulls, or with numbers in place of text that says so.

        error: why they do not fit as they are.
        """
        try:
            cleaned = without_nulls(msgspec.json.decode(text), self.schema)
            text = msgspec.json.encode(cleaned).decode()
            return text, self._strict.decode(text)
        except _UNREADABLE as exc:
            error = exc if isinstance(exc, msgspec.ValidationError) else error
        try:
            return text, self._lax.decode(text)
        except _UNREADABLE:
            raise BadArguments(str(error)) from error

    def _arguments(self, given: dict[str, Any]) -> Arguments:
        args: list[Any] = []
        kwargs = dict(given)
        for name, parameter in self._parameters.items():
            if name not in given and parameter.make_default is not None:
                kwargs[name] = parameter.make_default()
        for name, parameter in self._parameters.items():
            if parameter.by_place:
                if name not in kwargs and parameter.required:
                    break
                args.append(kwargs.pop(name, parameter.default))
        return Arguments(args, kwargs, given)

    def _make_schema(self, hints: list[Any]) -> dict[str, Any]:
        classes = list(dict.fromkeys(cls for hint in hints for cls in records(hint)))
        fields = [(cls, name, hint) for cls in classes for name, hint in _noted_fields(cls)]
        self._bounds_inside = bool(fields)
        types = [*classes, *(hint for _, _, hint in fields), self._record]
        schemas, components = msgspec.json.schema_components(types, schema_hook=_own_schema)
        of_class = dict(zip(classes, (reference(each["$ref"]) for each in schemas), strict=False))
        for (cls, name, _), node in zip(fields, schemas[len(classes) :], strict=False):
            own = components[of_class[cls]].get("properties", {})
            if name in own:
                default = {"default": own[name]["default"]} if "default" in own[name] else {}
                own[name] = {**node, **default}
        for cls, component in of_class.items():
            described(components[component], cls)
        schema: dict[str, Any] = flat(schemas[-1], components)
        for name, parameter in self._parameters.items():
            node = schema["properties"][name]
            if text := text_of(parameter.hint) or self.docs.parameters.get(name, ""):
                order = node.get("description", "").rpartition("In this order: ")
                node["description"] = f"{text} {order[1]}{order[2]}" if order[1] else text
            if (default := _as_json(parameter.default)) is not None:
                node["default"] = default
        return schema


def _check(name: str, hint: Any, label: str) -> None:
    """Refuse a type that cannot be described, by its parameter."""
    try:
        read = plain(hint)
        fields = [inner for cls in records(hint) for _, inner in _noted_fields(cls)]
        schemas, components = msgspec.json.schema_components(
            [read, *fields], schema_hook=_own_schema
        )
        flat(list(schemas), components)
        msgspec.json.Decoder(Union[read, msgspec.UnsetType])  # noqa: UP007
    except _INDESCRIBABLE as exc:
        reason = (str(exc).strip() or type(exc).__name__).splitlines()[-1]
        raise ConfigError(
            f"tool {label}: parameter {name!r} has the type {_hint_text(hint)}, which a"
            f" model cannot be told: {reason}",
            hint=_CURE,
        ) from exc


def _noted_fields(cls: type) -> list[tuple[str, Any]]:
    """Return the fields of a class whose bounds msgspec does not read, with types that say them."""
    hints = typing.get_type_hints(cls, include_extras=True)
    read = {name: plain(hint) for name, hint in hints.items()}
    noted = {name: hint for name, hint in read.items() if "Meta(" in repr(hint)}
    return [(name, hint) for name, hint in noted.items() if repr(hint) != repr(hints[name])]


def _record(parameters: dict[str, Parameter]) -> type[msgspec.Struct]:
    # Fields are called a0, a1, ...: a parameter may have any name, a field may not.
    fields: list[Any] = []
    for number, parameter in enumerate(parameters.values()):
        read, field = plain(parameter.hint), f"a{number}"
        if parameter.required:
            fields.append((field, read))
        else:
            fields.append((field, Union[read, msgspec.UnsetType], msgspec.UNSET))  # noqa: UP007
    return msgspec.defstruct(
        "Arguments",
        fields,
        rename={f"a{number}": name for number, name in enumerate(parameters)},
        kw_only=True,
        forbid_unknown_fields=True,
    )


def _own_schema(cls: type) -> dict[str, Any]:
    """Return the schema of a class that msgspec does not know. Raises TypeError for most."""
    if not is_model(cls):
        raise TypeError(f"type {cls!r} is not supported")
    try:
        schema = cls.model_json_schema()  # type: ignore[attr-defined]
    except Exception as exc:  # pydantic's errors have no common base
        raise TypeError(f"{cls.__qualname__} has no JSON schema: {exc}") from exc
    made: dict[str, Any] = flat(schema, schema.get("$defs", {}))
    return made


def _validated(cls: type, value: Any) -> Any:
    """Return the value of a class that msgspec does not know. Raises ValueError."""
    try:
        return cls.model_validate(value)  # type: ignore[attr-defined]
    except ValueError as exc:
        if not callable(getattr(exc, "errors", None)):
            raise
        wrong = [(*each["loc"], each["msg"]) for each in exc.errors()]  # type: ignore[attr-defined]
        raise ValueError("; ".join(": ".join(map(str, each)) for each in wrong)) from exc


def _as_json(default: Any) -> Any:
    """Return a default as JSON values; None when there is none that could be shown."""
    if default is inspect.Parameter.empty:
        return None
    try:
        text = msgspec.json.encode(default).decode()
        return None if SECRET.search(text) else msgspec.json.decode(text)
    except (TypeError, *_UNREADABLE):
        return None


def _hint_text(hint: Any) -> str:
    return hint.__qualname__ if isinstance(hint, type) and not get_args(hint) else str(hint)
