"""Arguments made up from a schema: allowed by it, and with the user's words where they fit."""

import json
import math
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtcvoice.emulator.session.arguments import arguments_for
from rtcvoice.emulator.session.wording import name_words, numbers_in, spelled, told


def parameters(required=True, **properties):
    schema = {"type": "object", "properties": properties}
    return {**schema, "required": list(properties)} if required else schema


STRING, INTEGER, NUMBER = ({"type": kind} for kind in ("string", "integer", "number"))


@pytest.mark.parametrize(
    ("schema", "text", "made"),
    [
        (parameters(city=STRING), "What is the weather in Paris?", {"city": "Paris"}),
        (parameters(city=STRING), "weather in New York, please", {"city": "New York"}),
        (parameters(city=STRING), 'the weather for "sunny hills"', {"city": "sunny hills"}),
        (parameters(city=STRING), "weather, city Lyon", {"city": "Lyon"}),
        (parameters(text=STRING), "Remember that the code is 4711.", {"text": "the code is 4711"}),
        (parameters(a=NUMBER, b=NUMBER), "Please add 2 and 3.5!", {"a": 2, "b": 3.5}),
        (parameters(a=INTEGER, b=INTEGER), "add two and twenty three", {"a": 2, "b": 23}),
        (parameters(n={"type": "integer", "minimum": 5}), "add 2 and 7", {"n": 7}),
        (parameters(n={"type": "integer", "minimum": 5}), "none at all", {"n": 5}),
        (
            parameters(unit={"enum": ["celsius", "fahrenheit"]}),
            "in Fahrenheit",
            {"unit": "fahrenheit"},
        ),
        (parameters(unit={"enum": ["celsius", "fahrenheit"]}), "weather", {"unit": "celsius"}),
        (parameters(n={"enum": [1, 2, 3]}), "give me 3", {"n": 3}),
        (parameters(numbers={"type": "array", "items": NUMBER}), "1, 2, 3", {"numbers": [1, 2, 3]}),
        (parameters(when={"type": "string", "format": "date"}), "today", {"when": "2026-01-31"}),
        (
            parameters(code={"type": "string", "pattern": "^[A-Z]{3}$"}),
            "fly to JFK now",
            {"code": "JFK"},
        ),
        (
            parameters(code={"type": "string", "pattern": "^[a-z]{9}$"}),
            "Hello!",
            {"code": "a" * 9},
        ),
        (parameters(x={"const": 7}), "", {"x": 7}),
        (parameters(x={"type": ["null", "string"], "minLength": 8}), "hi", {"x": "hixxxxxx"}),
        (parameters(False, city=STRING, unit={"enum": ["c", "f"]}), "in Rome", {"city": "Rome"}),
        (parameters(False, a=STRING, limit=INTEGER), "limit 5", {"limit": 5}),
        ({}, "anything", {}),
        (None, "anything", {}),
        ({"type": "object"}, "anything", {}),
    ],
)
def test_words_of_the_user_are_used_where_they_fit(schema, text, made):
    assert arguments_for(schema, text) == made


def test_references_alternatives_and_nesting():
    schema = {
        "$defs": {"Place": parameters(city=STRING, position={"$ref": "#/$defs/Point"}),
                  "Point": parameters(x=NUMBER, y={"anyOf": [{"type": "null"}, NUMBER]})},
        "allOf": [parameters(place={"$ref": "#/$defs/Place"}), parameters(count=INTEGER)],
    }  # fmt: skip
    made = arguments_for(schema, "in Oslo")
    assert made == {"place": {"city": "Oslo", "position": {"x": 1, "y": 1}}, "count": 1}


def test_a_schema_that_contains_itself_ends():
    node = parameters(next={"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}]})
    made = arguments_for({"$defs": {"Node": node}, "$ref": "#/$defs/Node"}, "")
    assert '"next": null' in json.dumps(made)
    endless = {"$defs": {"A": {"$ref": "#/$defs/A"}}, "properties": {"a": {"$ref": "#/$defs/A"}}}
    assert isinstance(arguments_for(endless, ""), dict)


_numbers = st.integers(-50, 50)


@st.composite
def _schemas(draw, depth=0):
    kinds = ["string", "integer", "number", "boolean", "null", "enum"]
    kind = draw(st.sampled_from(kinds + (["object", "array", "anyOf"] if depth < 3 else [])))
    match kind:
        case "string":
            least = draw(st.integers(0, 12))
            return {"type": kind, "minLength": least, "maxLength": least + draw(st.integers(0, 9))}
        case "integer" | "number":
            low = draw(_numbers)
            keys = draw(st.sampled_from([("minimum", "maximum"), ("exclusiveMinimum", "maximum")]))
            schema = {"type": kind, keys[0]: low, keys[1]: low + draw(st.integers(2, 60))}
            if schema[keys[1]] - low > 20:
                schema["multipleOf"] = draw(st.sampled_from([1, 2, 5]))
            return schema
        case "enum":
            return {"enum": draw(st.lists(st.text(max_size=5) | _numbers, min_size=1, max_size=4))}
        case "object":
            names = st.sampled_from(["city", "a_b", "someThing", "x"])
            properties = draw(st.dictionaries(names, _schemas(depth + 1), max_size=3))
            required = draw(st.lists(st.sampled_from([*properties, "extra"]), unique=True))
            return {"type": kind, "properties": properties, "required": required}
        case "array":
            least = draw(st.integers(0, 3))
            return {"type": kind, "items": draw(_schemas(depth + 1)), "minItems": least,
                    "maxItems": least + draw(st.integers(0, 2))}  # fmt: skip
        case "anyOf":
            return {kind: draw(st.lists(_schemas(depth + 1), min_size=1, max_size=3))}
    return {"type": kind}


def allowed(value, schema):
    """Whether a schema of the strategy above allows a value."""
    if "enum" in schema:
        return value in schema["enum"]
    if "anyOf" in schema:
        return any(allowed(value, branch) for branch in schema["anyOf"])
    match schema.get("type"):
        case "string":
            return (
                isinstance(value, str) and schema["minLength"] <= len(value) <= schema["maxLength"]
            )
        case "boolean":
            return isinstance(value, bool)
        case "null":
            return value is None
        case "integer" | "number" as kind:
            right = isinstance(value, int if kind == "integer" else (int, float))
            return (
                right
                and schema.get("minimum", -math.inf) <= value <= schema["maximum"]
                and value > schema.get("exclusiveMinimum", -math.inf)
                and value % schema.get("multipleOf", value or 1) == 0
            )
        case "array":
            fits = (
                isinstance(value, list) and schema["minItems"] <= len(value) <= schema["maxItems"]
            )
            return fits and all(allowed(entry, schema["items"]) for entry in value)
        case "object":
            known = schema["properties"]
            return (
                isinstance(value, dict)
                and set(schema["required"]) <= value.keys()
                and all(allowed(each, known[name]) for name, each in value.items() if name in known)
            )
    return True


@settings(deadline=None, max_examples=150)
@given(_schemas(), st.sampled_from(["", "add 2 and 3", "the weather in Paris", "x is 40.5"]))
def test_what_is_made_up_is_what_the_schema_allows(schema, text):
    whole = parameters(value=schema)
    made = arguments_for(whole, text)
    assert allowed(made["value"], schema), (made, schema)


_json = st.recursive(
    st.none() | st.booleans() | _numbers | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "properties", "items", "enum", "$ref", "anyOf", "required", "x"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(deadline=None, max_examples=200)
@given(st.dictionaries(st.sampled_from(["type", "properties", "allOf", "required"]), _json))
def test_no_schema_raises(schema):
    assert isinstance(arguments_for(schema, "some 2 words"), dict)


# ---- words


def test_names_come_apart():
    assert name_words("getHTTPWeather_now-2") == ["get", "http", "weather", "now", "2"]


def test_numbers_are_read_and_understood():
    assert " ".join(spelled("It is -22.5°C, 50% of 1,234!")) == (
        "it is minus twenty two point five degrees fifty percent of one thousand two hundred"
        " thirty four"
    )
    assert numbers_in("two, twenty three, 4.5 and thirty") == [2, 23, 4.5, 30]


@settings(deadline=None, max_examples=100)
@given(st.integers(-999_999, 999_999))
def test_every_number_has_words(value):
    words = spelled(str(value))
    assert words
    assert all(re.fullmatch("[a-z]+", word) for word in words)
    assert (words[0] == "minus") == (value < 0)


@settings(deadline=None, max_examples=60)
@given(st.text() | _json.map(json.dumps))
def test_any_output_can_be_told(output):
    assert len(told(output)) <= 203


def test_an_array_of_so_many_kinds_has_one_of_each():
    kinds = [{"type": "integer"}, {"type": "string"}]
    pair = {"type": "array", "minItems": 2, "maxItems": 2, "items": {"anyOf": kinds}}
    number, text = arguments_for(parameters(pair=pair), "3 times")["pair"]
    assert number == 3
    assert isinstance(text, str)
