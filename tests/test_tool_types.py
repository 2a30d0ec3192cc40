"""Any annotation: its schema is one that the service takes, and what fits it reaches the function.

Types are drawn together with values of theirs and how a model writes them.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import datetime as dt
import enum
import functools
import inspect
import json
import typing
from typing import Annotated, Any, Literal, NamedTuple, TypedDict

import annotated_types as at
import msgspec
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtcvoice.conversation.tools.schema import BadArguments, Signature
from rtcvoice.emulator.session.session_schema import SESSION
from rtcvoice.errors import ConfigError

EMPTY = inspect.Parameter.empty


class Size(enum.Enum):
    SMALL = "s"
    LARGE = "l"


@dataclasses.dataclass
class Box:
    things: list  # type: ignore[type-arg]
    size: Size = Size.SMALL
    weight: Annotated[float, pydantic.Field(ge=0, le=50, description="in kg")] = 1.0


class Point(NamedTuple):
    x: int
    label: str


class Options(TypedDict, total=False):
    unit: str
    rounds: Annotated[int, at.Ge(1)]


class Shelf(msgspec.Struct):
    boxes: list[Box]
    codes: tuple[int, str] = (1, "a")


class Parcel(pydantic.BaseModel):
    """Something sent."""

    city: str
    note: str = "none"
    stops: list[Any] = []
    corner: tuple[int, str] = (0, "")


def function_of(*hints: Any, defaults: tuple[Any, ...] = ()) -> Any:
    """A function with a parameter of each type, called p0, p1, ..."""
    missing = (EMPTY,) * (len(hints) - len(defaults))

    def collect(**given: Any) -> dict[str, Any]:
        return given

    collect.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter(
                f"p{n}", inspect.Parameter.KEYWORD_ONLY, annotation=hint, default=default
            )
            for n, (hint, default) in enumerate(zip(hints, (*missing, *defaults), strict=True))
        ]
    )
    return collect


def schema_of(*hints: Any, **options: Any) -> dict[str, Any]:
    properties = Signature(function_of(*hints, **options), "it").schema["properties"]
    return typing.cast("dict[str, Any]", properties)


def bound(hint: Any, written: Any = EMPTY, **options: Any) -> Any:
    """What the function gets when the model writes this, or nothing, for its parameter."""
    function = function_of(hint, **options)
    text = "{}" if written is EMPTY else json.dumps({"p0": written})
    arguments = Signature(function, "it").bind(text)
    return function(*arguments.args, **arguments.kwargs).get("p0", EMPTY)


def taken_by_the_service(schema: dict[str, Any]) -> None:
    tool = {"type": "function", "name": "it", "parameters": schema}
    SESSION({"type": "realtime", "tools": [tool]}, "session")


scalars = st.sampled_from(
    [
        (str, "x", "x"),
        (int, 5, 5),
        (float, 1.5, 1.5),
        (bool, True, True),
        (Any, {"a": [1]}, {"a": [1]}),
        (Literal["a", "b"], "b", "b"),
        (Size, "l", Size.LARGE),
        (Annotated[int, "how many"], 3, 3),
        (Annotated[int, pydantic.Field(ge=1, le=5)], 5, 5),
        (Annotated[str, at.Len(1, 3)], "abc", "abc"),
        (list, [1, "a"], [1, "a"]),
        (list[Any], [None], [None]),
        (tuple, [1], (1,)),
        (set, [1], {1}),
        (frozenset, [1], frozenset({1})),
        (collections.abc.Sequence, [1], [1]),
        (typing.List, [2], [2]),  # noqa: UP006
        (tuple[int, str], [1, "a"], (1, "a")),
        (tuple[int, int], [1, 2], (1, 2)),
        (tuple[()], [], ()),
        (tuple[int, ...], [1, 2, 3], (1, 2, 3)),
        (dict, {"a": 1}, {"a": 1}),
        (collections.abc.Iterable[int], [1], [1]),
        (dt.datetime, "2026-01-02T03:04:05", dt.datetime(2026, 1, 2, 3, 4, 5)),
        (dt.date, "2026-01-02", dt.date(2026, 1, 2)),
        (Point, [1, "p"], Point(1, "p")),
        (Box, {"things": [1], "size": "l"}, Box([1], Size.LARGE)),
        (Box, {"things": [1], "size": None}, Box([1])),
        (Options, {"unit": None, "rounds": 2}, {"rounds": 2}),
        (Shelf, {"boxes": [{"things": []}], "codes": None}, Shelf([Box([])])),
        (Parcel, {"city": "Ulm", "note": None}, Parcel(city="Ulm")),
    ]
)


def nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        inner.map(lambda t: (list[t[0]], [t[1]], [t[2]])),
        inner.map(lambda t: (dict[str, t[0]], {"k": t[1]}, {"k": t[2]})),
        inner.map(lambda t: (tuple[t[0], ...], [t[1]], (t[2],))),
        inner.map(lambda t: (tuple[t[0], int], [t[1], 7], (t[2], 7))),
        inner.map(lambda t: (t[0] | None, t[1], t[2])),
        inner.map(lambda t: (t[0] | None, None, None)),
        inner.map(lambda t: (Annotated[t[0], "what it is"], t[1], t[2])),
    )


typed_values = st.recursive(scalars, nested, max_leaves=4)


@settings(deadline=None, max_examples=150)
@given(typed_values, st.booleans())
def test_any_type_has_a_schema_that_the_service_takes_and_gets_its_values(
    drawn: tuple[Any, Any, Any], optional: bool
) -> None:
    hint, written, value = drawn
    defaults = (object(),) if optional else ()
    signature = Signature(function_of(hint, defaults=defaults), "it")
    taken_by_the_service(signature.schema)
    assert signature.bind(json.dumps({"p0": written})).kwargs == {"p0": value}
    if optional:
        assert signature.bind("null").kwargs == {}


@pytest.mark.parametrize("hint", [list, tuple, set, frozenset, typing.List, list[Any]])  # noqa: UP006
def test_an_array_of_anything_says_so(hint: Any) -> None:
    assert schema_of(hint)["p0"]["items"] == {}


@pytest.mark.parametrize("hint", [typing.Final[int], Annotated[int, {"not": "hashable"}]])
def test_types_that_may_stand_nowhere_else(hint: Any) -> None:
    assert bound(hint, 1) == bound(hint, 1, defaults=(0,)) == 1
    assert bound(hint, None, defaults=(None,)) is None


def test_times_say_their_format_also_in_records() -> None:
    class Visit(TypedDict):
        at: dt.datetime

    assert schema_of(dt.datetime)["p0"] == {"type": "string", "format": "date-time"}
    assert schema_of(Visit)["p0"]["properties"]["at"]["format"] == "date-time"


def test_an_order_is_told_in_words() -> None:
    assert schema_of(tuple[int, str], Point)["p0"] == {
        "type": "array",
        "minItems": 2,
        "maxItems": 2,
        "items": {"anyOf": [{"type": "integer"}, {"type": "string"}]},
        "description": "In this order: integer, string.",
    }
    assert schema_of(Point)["p0"]["description"] == "In this order: x, label."


# -- what a partial binds -----------------------------------------------------------------------


class Database:
    """No model can make one."""


def query(sql: str, *, db: Database, limit: int = 5) -> str:
    """Ask the database."""
    return f"{sql} {limit}"


def test_what_a_partial_binds_is_neither_shown_nor_taken() -> None:
    bare = functools.partial(query, db=Database())

    @functools.wraps(bare)
    def decorated(*args: Any, **kwargs: Any) -> Any:
        return bare(*args, **kwargs)

    for function in (bare, functools.partial(bare, limit=3), decorated):
        signature = Signature(function, "query")
        assert "db" not in signature.schema["properties"]
        with pytest.raises(BadArguments, match="unknown field `db`"):
            signature.bind('{"sql":"x","db":"of somebody else"}')
        arguments = signature.bind('{"sql":"x"}')
        assert function(*arguments.args, **arguments.kwargs)[0] == "x"
    assert "limit" in Signature(bare, "query").schema["properties"]


def test_parameters_after_a_bound_one_and_of_methods() -> None:
    class Shop:
        def buy(self, what: str, count: int, price: float = 1.0) -> str:
            return f"{what} {count} {price}"

    bought = functools.partial(Shop().buy, count=2)
    arguments = Signature(bought, "buy").bind('{"what":"tea","price":3}')
    assert bought(*arguments.args, **arguments.kwargs) == "tea 2 3.0"


# -- pydantic and annotated_types ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("hint", "written"),
    [
        (Annotated[int, pydantic.Field(ge=1, le=5)], 6),
        (Annotated[int, at.Interval(ge=1, le=5)], 0),
        (Annotated[int | None, at.Ge(1)], 0),
        (Annotated[int, pydantic.Field(multiple_of=2.0)], 3),
        (Annotated[str, pydantic.Field(pattern="^a")], "b"),
        (Annotated[str, pydantic.StringConstraints(max_length=2)], "abc"),
        (Annotated[list[int], at.MinLen(1)], []),
        (pydantic.PositiveInt, 0),
        (Annotated[pydantic.PositiveInt, at.Le(3)], 4),
        (list[Annotated[int, at.Ge(1)]], [1, 0]),
        (Box, {"things": [], "weight": 51}),
        (Box, {"things": [], "weight": "51"}),
        (list[Box], [{"things": [], "weight": -1}]),
        (Options, {"rounds": 0}),
        (Parcel, {"city": 1}),
    ],
)
def test_bounds_of_any_library_are_enforced(hint: Any, written: Any) -> None:
    with pytest.raises(BadArguments, match=r"at `\$\.p0"):
        bound(hint, written)


def test_bounds_are_in_the_schema_at_any_depth() -> None:
    box = schema_of(Box)["p0"]["properties"]
    assert box["weight"] == {
        "type": "number",
        "minimum": 0,
        "maximum": 50,
        "description": "in kg",
        "default": 1.0,
    }
    assert schema_of(Annotated[int | None, at.Ge(1)])["p0"]["anyOf"][0]["minimum"] == 1


def test_a_field_as_default_is_its_default_and_its_bounds() -> None:
    hinted = schema_of(int, defaults=(pydantic.Field(5, gt=0, description="how many"),))["p0"]
    expected = {"type": "integer", "exclusiveMinimum": 0, "description": "how many", "default": 5}
    assert hinted == expected
    assert bound(int, defaults=(pydantic.Field(5, gt=0),)) == 5
    assert bound(list[int], defaults=(pydantic.Field(default_factory=list),)) == []
    with pytest.raises(BadArguments, match="missing required"):
        bound(int, defaults=(pydantic.Field(gt=0),))


def test_a_model_describes_and_checks_itself() -> None:
    schema = schema_of(Parcel)["p0"]
    assert schema["description"] == "Something sent."
    assert schema["required"] == ["city"]
    assert "items" in schema["properties"]["corner"]
    with pytest.raises(BadArguments, match=r"city: Field required - at `\$\.p0`"):
        bound(Parcel, {})
    assert Signature(function_of(list[Parcel]), "it").runs_user_code
    assert not Signature(function_of(Box), "it").runs_user_code


class Loop(pydantic.BaseModel):
    inner: Loop | None = None


@pydantic.dataclasses.dataclass
class Checked:
    x: int = pydantic.Field(5, ge=1)


@dataclasses.dataclass
class Holder:
    even: Annotated[int, at.Predicate(lambda n: n % 2 == 0)]


@pytest.mark.parametrize(
    ("hint", "cause"),
    [
        (Loop, "Loop contains itself"),
        (Checked, "use a BaseModel"),
        (list[Checked], "use a BaseModel"),
        (Holder, "Predicate cannot be enforced"),
        (Annotated[int, pydantic.AfterValidator(abs)], "AfterValidator cannot be enforced"),
        (Annotated[str, pydantic.StringConstraints(to_upper=True)], "to_upper cannot be enforced"),
        (Annotated[str, at.Ge(1)], "numeric type"),
        (Parcel | Box, "custom type"),
    ],
)
def test_what_cannot_be_enforced_or_told_is_refused_with_its_cause(hint: Any, cause: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Signature(function_of(hint), "it")
    assert cause in caught.value.message
    assert "parameter 'p0'" in caught.value.message


# -- what models write ----------------------------------------------------------------------------


@pytest.mark.parametrize("hint", [int, str, list[str], dict[str, int], Size, Box, Parcel])
def test_null_for_a_parameter_with_a_default_is_the_default(hint: Any) -> None:
    assert bound(hint, None, defaults=(object(),)) is EMPTY
    with pytest.raises(BadArguments):
        bound(hint, None)


def test_null_where_it_is_meant_stays() -> None:
    assert bound(int | None, None, defaults=(1,)) is None
    assert bound(Any, None, defaults=(1,)) is None
    assert bound(dict[str, Any], {"a": None}) == {"a": None}


def test_a_default_that_looks_like_a_key_is_not_shown() -> None:
    assert "default" not in schema_of(str, defaults=("sk-proj-0123456789abcdef",))["p0"]


# -- annotations that cannot be read ---------------------------------------------------------------


def test_annotations_evaluated_late_name_the_tool_and_the_cure() -> None:
    class Lazy:
        def __call__(self, x: int) -> None: ...

        @property
        def __signature__(self) -> inspect.Signature:  # as from Python 3.14 on
            raise NameError("name 'Decimal' is not defined")

    with pytest.raises(ConfigError, match=r"tool lazy: .*'Decimal' is not defined.*run time"):
        Signature(Lazy(), "lazy")


def test_names_around_a_function_that_are_not_set_yet_do_no_harm() -> None:
    def pick(x: int) -> int:
        return later if x else x

    assert Signature(pick, "pick").schema["required"] == ["x"]
    later = 1


@pytest.mark.parametrize("name", ["self", "cls", "async", "class", "größe", "a b", "__init__", "$"])
def test_parameters_of_any_name_reach_the_function(name: str) -> None:
    def collect(**given: Any) -> dict[str, Any]:
        return given

    odd = inspect.Parameter("odd", inspect.Parameter.KEYWORD_ONLY, annotation=int)
    object.__setattr__(odd, "_name", name)
    collect.__signature__ = inspect.Signature([odd])  # type: ignore[attr-defined]
    arguments = Signature(collect, "it").bind(json.dumps({name: 1}))
    assert collect(**arguments.kwargs) == {name: 1}


def test_very_many_parameters() -> None:
    hints = [int] * 300
    signature = Signature(function_of(*hints), "it")
    given = {f"p{n}": n for n in range(300)}
    assert signature.bind(json.dumps(given)).kwargs == given
