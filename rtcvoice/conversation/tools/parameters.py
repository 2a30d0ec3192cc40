"""The parameters of a function that a model has to give, with their annotations evaluated.

Functions come in many forms: methods, partials, decorated ones, objects that can be called. What
`functools.partial` binds is not a parameter any more: neither shown to the model nor taken from it.
"""

from __future__ import annotations

import functools
import inspect
import types
import typing
from collections.abc import Callable
from typing import Annotated, Any

from rtcvoice.errors import ConfigError

from .docs import Docs, read_docstring
from .hints import is_field, or_none

__all__ = ["Parameter", "docs_of", "parameters_of"]


class Parameter(typing.NamedTuple):
    """One parameter as a model may give it."""

    hint: Any
    """Its type, evaluated."""
    default: Any
    """What is there when it is left out; `inspect.Parameter.empty` if it must be given."""
    by_place: bool
    """It is positional-only."""
    make_default: Callable[[], Any] | None = None
    """Makes the value to pass when it is left out; None leaves that to the function."""

    @property
    def required(self) -> bool:
        """Whether it must be given."""
        return self.default is inspect.Parameter.empty


def parameters_of(function: Callable[..., Any], label: str) -> dict[str, Parameter]:
    """Return the parameters by name; `label` names the function in errors. Raises ConfigError."""
    bound = _bound_by_keyword(function)
    try:
        signature = inspect.signature(function)
    except Exception as exc:  # TypeError, ValueError, and what an annotation raises (Python 3.14)
        late = isinstance(exc, NameError | AttributeError)
        raise ConfigError(
            f"tool {label}: its parameters cannot be read: {exc}",
            hint="import or define the types where the function's module can see them at run time"
            if late
            else "wrap it in a function with annotated parameters",
        ) from exc
    found = {n: p for n, p in signature.parameters.items() if n not in bound}
    for name, parameter in found.items():
        _check(name, parameter, label)
    return {name: _evaluated(function, each, label) for name, each in found.items()}


def docs_of(function: Callable[..., Any]) -> Docs:
    """Return what is said about it: a partial has that of its class, so it is looked into.

    Of an object that can be called its class and its `__call__` may say something.
    """
    function = _whole(function)
    docs = read_docstring(function.__doc__)
    if isinstance(function, type) or inspect.isroutine(function):
        return docs
    inner = read_docstring(getattr(type(function).__call__, "__doc__", None))
    return Docs(docs.description or inner.description, inner.parameters | docs.parameters)


def _whole(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return what partials have bound arguments of."""
    while isinstance(function, functools.partial):
        function = function.func
    return function


def _bound_by_keyword(function: Any) -> set[str]:
    """Return the names that partials have bound, also those under decorators."""
    bound: set[str] = set()
    while True:
        if isinstance(function, functools.partial):
            bound |= function.keywords.keys()
            function = function.func
        elif hasattr(function, "__wrapped__") and not hasattr(function, "__signature__"):
            function = function.__wrapped__
        else:
            return bound


def _check(name: str, parameter: inspect.Parameter, label: str) -> None:
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


def _evaluated(function: Callable[..., Any], parameter: inspect.Parameter, label: str) -> Parameter:
    hint, default = _hint(function, parameter, label), parameter.default
    by_place = parameter.kind is parameter.POSITIONAL_ONLY
    make = None
    if is_field(default):  # `x: int = Field(5, gt=0)`: a note and a default in one
        field = default
        hint = Annotated[hint, field]
        if field.is_required():
            default = parameter.empty
        else:
            make = functools.partial(field.get_default, call_default_factory=True)
            default = field.default if field.default_factory is None else None
            hint = or_none(hint) if field.default is None else hint
    elif default is None:
        hint = or_none(hint)
    return Parameter(hint, default, by_place, make)


def _hint(function: Callable[..., Any], parameter: inspect.Parameter, label: str) -> Any:
    """Return the type of a parameter with its annotations evaluated."""
    name, annotation = parameter.name, parameter.annotation
    inner = _implementation(function)
    holder = types.SimpleNamespace(__annotations__={name: annotation})
    try:
        return typing.get_type_hints(
            holder,
            inner.__globals__ if inner else None,
            _closure(inner) if inner else {},
            include_extras=True,
        )[name]
    except Exception as exc:  # whatever evaluating somebody's annotation raises
        raise ConfigError(
            f"tool {label}: the type {annotation!r} of parameter {name!r} cannot be"
            f" evaluated: {exc}",
            hint="import or define it where the function's module can see it at run time",
        ) from exc


def _closure(function: types.FunctionType) -> dict[str, Any]:
    """Return the names that a function sees in the functions around it, as far as they are set."""
    seen: dict[str, Any] = {}
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=False)
    for name, cell in cells:
        try:
            seen[name] = cell.cell_contents
        except ValueError:  # not assigned yet
            continue
    return seen


def _implementation(function: Callable[..., Any]) -> types.FunctionType | None:
    """Return the plain function behind methods, partials, decorators and callable objects."""
    inner: Any = _whole(inspect.unwrap(_whole(function)))
    if not isinstance(inner, types.FunctionType | types.MethodType):
        inner = getattr(type(inner), "__call__", None)  # noqa: B004
    inner = getattr(inner, "__func__", inner)
    return inner if isinstance(inner, types.FunctionType) else None
