"""A signature as the model reads it, and the model's arguments as the function gets them."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import functools
import json
from collections.abc import Callable
from typing import Annotated, Any, Literal, Required, TypedDict

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtcvoice.conversation.tools.docs import read_docstring
from rtcvoice.conversation.tools.flat import lifted
from rtcvoice.conversation.tools.schema import BadArguments, Signature
from rtcvoice.conversation.tools.toolset import ToolSet
from rtcvoice.errors import ConfigError
from rtcvoice.events.function_schema import schema_fault


class Unit(enum.Enum):
    """How warmth is counted."""

    CELSIUS = "celsius"
    KELVIN = "kelvin"


@dataclasses.dataclass
class Place:
    """Somewhere.

    Args:
        country: ISO 3166
    """

    title: Annotated[str, "its name"]
    country: str = "DE"


class Route(TypedDict, total=False):
    start: Required[Place]
    stops: list[Place]


class Circle(msgspec.Struct, tag=True):
    radius: float


class Square(msgspec.Struct, tag=True):
    side: float


@dataclasses.dataclass
class Tree:
    branches: list[Tree]


def weather(
    city: Annotated[str, "the city's name"],
    unit: Unit = Unit.CELSIUS,
    days: Annotated[int, msgspec.Meta(ge=1, le=7, description="how many")] = 1,
    detail: Literal["brief", "full"] = "brief",
    at: Place | None = None,
    note: str = None,  # type: ignore[assignment]  # noqa: RUF013  (as people write it)
) -> str:
    """Tell the weather.

    Args:
        at: where exactly
    """
    raise AssertionError("only described")


def schema_of(function: Callable[..., Any]) -> dict[str, Any]:
    return Signature(function, "it").schema


def test_a_signature_becomes_an_object_schema_without_references() -> None:
    schema = schema_of(weather)
    assert schema["type"] == "object"
    assert schema["required"] == ["city"]
    assert schema["additionalProperties"] is False
    assert schema["properties"] == {
        "city": {"type": "string", "description": "the city's name"},
        "unit": {
            "type": "string",
            "enum": ["celsius", "kelvin"],
            "description": "How warmth is counted.",
            "default": "celsius",
        },
        "days": {
            "type": "integer",
            "minimum": 1,
            "maximum": 7,
            "description": "how many",
            "default": 1,
        },
        "detail": {"type": "string", "enum": ["brief", "full"], "default": "brief"},
        "at": {
            "description": "where exactly",
            "anyOf": [
                {
                    "type": "object",
                    "description": "Somewhere.",
                    "properties": {
                        "title": {"type": "string", "description": "its name"},
                        "country": {
                            "type": "string",
                            "default": "DE",
                            "description": "ISO 3166",
                        },
                    },
                    "required": ["title"],
                },
                {"type": "null"},
            ],
        },
        "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
    }


def test_arguments_arrive_as_the_types_of_the_signature() -> None:
    text = '{"city":"Ulm","unit":"kelvin","days":3,"at":{"title":"north"},"note":null}'
    bound = Signature(weather, "weather").bind(text)
    assert bound.args == []
    assert bound.kwargs == {
        "city": "Ulm",
        "unit": Unit.KELVIN,
        "days": 3,
        "at": Place("north"),
        "note": None,
    }


def test_what_the_model_leaves_out_is_left_to_the_functions_own_default() -> None:
    marker = object()

    def remember(text: str, where: str = marker) -> None:  # type: ignore[assignment]
        """A default that has no JSON form."""

    signature = Signature(remember, "remember")
    assert signature.bind('{"text":"x"}').kwargs == {"text": "x"}
    assert "default" not in signature.schema["properties"]["where"]


@pytest.mark.parametrize("text", ["", "  ", "{}", "null", ' "" '])
def test_no_arguments_may_be_written_as_nothing(text: str) -> None:
    def now() -> str:
        return ""

    assert Signature(now, "now").bind(text).kwargs == {}


def test_positional_only_parameters_are_passed_by_place() -> None:
    def add(a: int, b: int = 5, /, c: int = 7) -> int:
        return a + b + c

    bound = Signature(add, "add").bind('{"a":1,"c":3}')
    assert add(*bound.args, **bound.kwargs) == 9
    assert bound.named == {"a": 1, "c": 3}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"days":1}', "required field `city`"),
        ('{"city":1}', "Expected `str`, got `int` - at `$.city`"),
        ('{"city":"x","unit":"f"}', "Invalid enum value 'f' - at `$.unit`"),
        ('{"city":"x","days":9}', "<= 7"),
        ('{"city":"x","at":{}}', "`$.at`"),
        ('{"city":"x","town":"y"}', "unknown field `town`"),
        ('{"city":"x"', "truncated"),
        ("[]", "Expected `object`"),
        ("null", "required field `city`"),
        ('"\ud800"', "surrogate"),
    ],
)
def test_bad_arguments_say_what_and_where(text: str, words: str) -> None:
    with pytest.raises(BadArguments) as caught:
        Signature(weather, "weather").bind(text)
    assert words in str(caught.value)


def test_numbers_written_as_text_are_taken_for_numbers_but_never_for_text() -> None:
    def add(a: int, b: float, exact: bool, label: str) -> None:
        """Add."""

    bound = Signature(add, "add").bind('{"a":"2","b":"0.5","exact":"true","label":"7"}')
    assert bound.kwargs == {"a": 2, "b": 0.5, "exact": True, "label": "7"}
    assert Signature(add, "add").bind('{"a":2.0,"b":1,"exact":true,"label":""}').kwargs["a"] == 2


def test_records_and_unions_at_any_depth() -> None:
    def draw(shapes: list[Circle | Square], route: Route, by_name: dict[str, set[int]]) -> None:
        """Draw."""

    signature = Signature(draw, "draw")
    assert "$ref" not in json.dumps(signature.schema)
    assert signature.schema["properties"]["route"]["required"] == ["start"]
    bound = signature.bind(
        '{"shapes":[{"type":"Circle","radius":1},{"type":"Square","side":2}],'
        '"route":{"start":{"title":"a"}},"by_name":{"x":[1,1,2]}}'
    )
    assert bound.kwargs["shapes"] == [Circle(1), Square(2)]
    assert bound.kwargs["route"] == {"start": Place("a")}
    assert bound.kwargs["by_name"] == {"x": {1, 2}}


def test_a_parameter_may_have_any_name() -> None:
    def odd(title: str, type: str, items: int, _private: int, default: int = 1) -> None:  # noqa: A002
        """Names that mean something to a schema or to msgspec."""

    signature = Signature(odd, "odd")
    assert list(signature.schema["properties"]) == ["title", "type", "items", "_private", "default"]
    bound = signature.bind('{"title":"t","type":"u","items":1,"_private":2}')
    assert bound.kwargs == {"title": "t", "type": "u", "items": 1, "_private": 2}


def test_types_that_a_function_sees_around_it_are_found() -> None:
    class Local(enum.Enum):
        A = "a"

    def pick(one: Local) -> Local:
        return Local.A if one is Local.A else one

    assert Signature(pick, "pick").bind('{"one":"a"}').kwargs == {"one": Local.A}


class Shop:
    def buy(self, what: str, count: int = 1) -> str:
        """Buy it."""
        return what * count

    def __call__(self, what: dt.date) -> None:
        """Call it.

        Args:
            what: when to call
        """


def test_methods_partials_wrappers_and_callable_objects_are_functions_too() -> None:
    assert schema_of(Shop().buy)["required"] == ["what"]
    assert schema_of(Shop())["properties"]["what"]["format"] == "date"
    assert Signature(Shop(), "shop").docs.description == "Call it."
    assert schema_of(Shop())["properties"]["what"]["description"] == "when to call"
    assert Signature(functools.partial(Shop()), "shop").docs.description == "Call it."
    told = type("Told", (Shop,), {"__doc__": "A shop."})()
    assert Signature(told, "told").docs.description == "A shop."
    left = schema_of(functools.partial(weather, "Ulm"))
    assert "city" not in left["properties"]

    @functools.wraps(weather)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return weather(*args, **kwargs)

    assert schema_of(wrapper) == schema_of(weather)


def takes_object(thing: object) -> None: ...
def takes_untyped(thing) -> None: ...  # type: ignore[no-untyped-def]
def takes_many(*things: int) -> None: ...
def takes_anything(**things: int) -> None: ...
def takes_function(thing: Callable[[int], int]) -> None: ...
def takes_complex(thing: list[complex]) -> None: ...
def takes_either(thing: Place | Tree) -> None: ...
def takes_itself(thing: Tree) -> None: ...
def takes_unknown(thing: Nowhere) -> None: ...  # type: ignore[name-defined]  # noqa: F821
def takes_broken(thing: 1 / 0) -> None: ...  # type: ignore[valid-type]


@pytest.mark.parametrize(
    ("function", "cause", "cure"),
    [
        (takes_object, "object", "dataclass"),
        (takes_untyped, "has no type", "thing: str"),
        (takes_many, "*things", "one list"),
        (takes_anything, "**things", "dict"),
        (takes_function, "Callable", "dataclass"),
        (takes_complex, "complex", "dataclass"),
        (takes_either, "may not contain more than one", "dataclass"),
        (takes_itself, "Tree contains itself", "dataclass"),
        (takes_unknown, "'Nowhere' is not defined", "run time"),
        (takes_broken, "division by zero", "run time"),
        (Shop.buy, "'self'", "thing.it"),
    ],
)
def test_a_type_that_cannot_be_described_is_named_with_its_cure(
    function: Callable[..., Any], cause: str, cure: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        Signature(function, "it")
    assert "tool it" in caught.value.message
    assert cause in caught.value.message
    assert "thing" in caught.value.message or "self" in caught.value.message
    assert cure in caught.value.hint


GOOGLE = """Do it.

It takes
a while.

Args:
    city (str): the city,
        as people say it
    days: how many

Returns:
    nothing: really
"""
NUMPY = """Do it.

It takes
a while.

Parameters
----------
city : str
    the city,
    as people say it
days
    how many

Returns
-------
nothing
    really
"""
SPHINX = """Do it.

It takes
a while.

:param city: the city,
    as people say it
:param int days: how many
:type days: int
:returns: nothing
"""


@pytest.mark.parametrize("text", [GOOGLE, NUMPY, SPHINX])
def test_docstrings_in_three_styles(text: str) -> None:
    description, parameters = read_docstring(text)
    assert description == "Do it.\nIt takes a while."
    assert parameters == {"city": "the city, as people say it", "days": "how many"}


@pytest.mark.parametrize("text", [None, "", "Args:", "Parameters\n---", ":param:", ":param : x"])
def test_docstrings_that_say_nothing(text: str | None) -> None:
    assert read_docstring(text) == ("", {})


@settings(deadline=None, max_examples=60)
@given(st.text(alphabet=":Args \n\tparameters-xy*()", max_size=80))
def test_no_docstring_is_too_strange(text: str) -> None:
    read_docstring(text)


@settings(deadline=None, max_examples=100)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["city", "days", "at", "title"]), inner, max_size=3)
        ),
        max_leaves=8,
    )
    | st.text(max_size=20)
)
def test_arguments_are_bound_or_refused_whatever_the_model_makes_up(value: Any) -> None:
    text = value if isinstance(value, str) else json.dumps(value)
    try:
        bound = SIGNATURE.bind(text)
    except BadArguments as exc:
        assert str(exc)  # noqa: PT017  (either outcome is right)
    else:
        assert isinstance(bound.kwargs["city"], str)


SIGNATURE = Signature(weather, "weather")


def test_definitions_of_a_dict_go_to_the_top_where_the_service_looks_for_them() -> None:
    town = {"type": "object", "properties": {"name": {"type": "string"}}}
    nested = {"$ref": "#/$defs/Town", "$defs": {"Town": town}}
    given: dict[str, Any] = {"type": "object", "properties": {"a": nested, "$defs": town}}
    (tool,) = ToolSet([{"type": "function", "name": "f", "parameters": given}]).definitions
    assert tool["parameters"] == {
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/Town"}, "$defs": town},
        "$defs": {"Town": town},
    }
    assert schema_fault("f", given)
    assert not schema_fault("f", tool["parameters"])
    assert given["properties"]["a"] == nested  # the user's own is as it was
    same = {"type": "object", "properties": {"a": {"$ref": "#/$defs/T"}}, "$defs": {"T": town}}
    assert lifted(same) is same


def test_definitions_of_the_same_name_stay_apart() -> None:
    one, two, tree = {"type": "string"}, {"type": "integer"}, {"$ref": "#/$defs/T"}
    given: dict[str, Any] = {
        "type": "object",
        "properties": {
            "a": {"$ref": "#/$defs/T"},
            "b": {"$ref": "#/$defs/T", "$defs": {"T": two}},
            "c": {"items": tree, "type": "array", "$defs": {"T": {"items": tree, "type": "array"}}},
        },
        "$defs": {"T": one},
    }
    made = lifted(given)
    assert made["properties"]["a"] == {"$ref": "#/$defs/T"}
    assert made["properties"]["b"] == {"$ref": "#/$defs/T_2"}
    assert made["$defs"]["T"] == one
    assert made["$defs"]["T_2"] == two
    assert made["$defs"]["T_3"] == {"items": {"$ref": "#/$defs/T_3"}, "type": "array"}
    assert not schema_fault("f", made)
    deep: dict[str, Any] = {}
    for _ in range(100_000):
        deep = {"not": deep}
    with pytest.raises(ConfigError, match="is not JSON"):
        ToolSet([{"type": "function", "name": "f", "parameters": deep}])
