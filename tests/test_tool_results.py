"""What functions return, as the model reads it."""

from __future__ import annotations

import array
import asyncio
import collections
import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import ipaddress
import json
import pathlib
import types
import uuid
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtcvoice.conversation.tools.results import BadResult, TooLarge, encoded

LIMIT = 32 * 1024


class Color(enum.Enum):
    RED = "red"


class Place(NamedTuple):
    city: str
    degrees: float


@dataclasses.dataclass
class Reading:
    value: float
    where: Place


class Weather(pydantic.BaseModel):
    degrees: float
    day: dt.date = dt.date(2026, 1, 2)


class Tagged(msgspec.Struct, tag="t", rename="camel"):
    first_name: str


class Stamp(dt.datetime):
    """As pandas' Timestamp is one."""


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("as it is", "as it is"),
        (b"from a process", "from a process"),
        (pathlib.PurePosixPath("/x"), "/x"),
        (Color.RED, "red"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (dt.date(2026, 1, 2), "2026-01-02"),
        (Stamp(2026, 1, 2), "2026-01-02T00:00:00"),
        (dt.timedelta(seconds=90), "PT90S"),
        (decimal.Decimal("1.10"), "1.10"),
        (fractions.Fraction(1, 3), "1/3"),
        (ipaddress.ip_address("::1"), "::1"),
        (collections.UserString("text"), "text"),
        ("a\udcffb", "a?b"),
        (None, "null"),
        (True, "true"),
        (2**70, str(2**70)),
        (float("nan"), "null"),
        (float("inf"), "Infinity"),
        ({"t": float("-inf")}, '{"t":"-Infinity"}'),
        (Reading(float("nan"), Place("Ulm", 2.5)), None),
        ({None: 1, True: 2, 3: 4, 1.5: 6}, '{"null":1,"true":2,"3":4,"1.5":6}'),
        ({Color.RED: 1, dt.date(2026, 1, 2): 2}, '{"red":1,"2026-01-02":2}'),
        ({np.int64(3): np.float32(0.5)}, '{"3":0.5}'),
        (Weather(degrees=21), '{"degrees":21.0,"day":"2026-01-02"}'),
        ({"all": [Weather(degrees=1)]}, '{"all":[{"degrees":1.0,"day":"2026-01-02"}]}'),
        (Tagged("Ada"), '{"type":"t","firstName":"Ada"}'),
        (types.SimpleNamespace(a=1), '{"a":1}'),
        (types.MappingProxyType({"a": 1}), '{"a":1}'),
        (collections.Counter("aab"), '{"a":2,"b":1}'),
        (range(3), "[0,1,2]"),
        (collections.deque([1]), "[1]"),
        ((x for x in "ab"), '["a","b"]'),
        (map(str, [1]), '["1"]'),
        ({"a": 1}.keys(), '["a"]'),
        ({"a": 1}.items(), '[["a",1]]'),
        ({"a": 1}.values(), "[1]"),
        (frozenset([1]), "[1]"),
        (array.array("h", [1]), "[1]"),
        (np.array([[1.5, np.nan]]), "[[1.5,null]]"),
    ],
)
def test_a_result_has_the_form_that_everybody_expects(value: Any, text: str | None) -> None:
    expected = text or '{"value":null,"where":{"city":"Ulm","degrees":2.5}}'
    assert encoded(value, LIMIT) == expected


class Broken:
    """Nothing that could be written."""

    def __repr__(self) -> str:
        raise AssertionError("nobody asks for it")


class Opaque(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(arbitrary_types_allowed=True)
    thing: Broken


async def forgotten() -> None: ...


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (Broken(), "Broken has no JSON form;"),
        ({"a": [1, Broken()]}, "Broken has no JSON form at $.a[1];"),
        (Reading(1.0, Broken()), "Broken has no JSON form at $.where;"),  # type: ignore[arg-type]
        ([{(1, 2): 3}], "a key is a tuple at $[0];"),
        ({"a": 1j}, "complex has no JSON form at $.a;"),
        ({"raw": b"\xff\xfe"}, "2 bytes that are not text in UTF-8 at $.raw;"),
        ({1: "a", "1": "b"}, "two keys are both written as '1'"),
        ([Opaque(thing=Broken())], "Opaque cannot be dumped"),
        ({"e": ValueError("x")}, "ValueError has no JSON form at $.e"),
        ([Weather], "the class Weather has no JSON form at $[0]"),
    ],
)
def test_what_has_no_form_is_refused_with_its_place(value: Any, reason: str) -> None:
    with pytest.raises(BadResult) as caught:
        encoded(value, LIMIT)
    assert reason in str(caught.value)


def test_a_coroutine_that_was_not_awaited_is_named() -> None:
    coroutine = forgotten()
    with pytest.raises(BadResult, match=r"a coroutine that was not awaited at \$\.a"):
        encoded({"a": coroutine}, LIMIT)
    asyncio.run(coroutine)


def test_what_contains_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(BadResult, match="contains itself") as caught:
        encoded(loop, LIMIT)
    assert len(str(caught.value)) < 500


def test_what_has_no_end_is_not_read_to_its_end() -> None:
    read = 0

    def numbers() -> Iterator[int]:
        nonlocal read
        while True:
            read += 1
            yield read

    with pytest.raises(TooLarge):
        encoded(numbers(), 1000)
    assert read <= 1000
    with pytest.raises(TooLarge, match="1,000,000 numbers"):
        encoded(np.zeros(1_000_000), 1000)


@settings(deadline=None, max_examples=100)
@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**63), 2**63)
        | st.floats()
        | st.text(max_size=5)
        | st.binary(max_size=3)
        | st.dates()
        | st.decimals(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.text(max_size=3) | st.integers() | st.none(), inner, max_size=3)
            | st.tuples(inner, inner)
        ),
        max_leaves=8,
    )
)
def test_any_result_is_json_or_refused(value: Any) -> None:
    try:
        text = encoded(value, LIMIT)
    except BadResult as exc:
        assert str(exc)  # noqa: PT017  (either outcome is right)
    else:
        text.encode()
        if isinstance(value, list | dict | tuple):
            json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
