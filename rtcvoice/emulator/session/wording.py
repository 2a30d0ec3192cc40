"""Words: of texts to compare, of names of functions, of numbers to say, of results to tell."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

__all__ = [
    "failed",
    "name_words",
    "numbers_in",
    "plain_words",
    "spelled",
    "told",
]

_ONES = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *("eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen"),
    *("eighteen", "nineteen"),
)
_TENS = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_SIGNS = {"%": "percent", "°": "degrees", "°c": "degrees", "°f": "degrees"}
_TOKEN = re.compile(r"-?\d+(?:\.\d+)?|°[cf]?|%|[^\W\d_]+(?:'[^\W\d_]+)?")
_VALUES = {word: n for n, word in enumerate(_ONES)} | {
    word: 10 * n for n, word in enumerate(_TENS) if word
}
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_LONGEST_TOLD = 200
_MOST_FACTS = 4


def plain_words(text: str) -> list[str]:
    """Return the words of `text`, lower case, without punctuation: what counts in a comparison."""
    return re.findall(r"\w+", text.lower().replace("'", ""))


def name_words(name: str) -> list[str]:
    """Return the words in the name of a function: `getWeather_now` -> get, weather, now."""
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    return plain_words(parted.replace("_", " "))


def spoken_number(value: int) -> Iterator[str]:
    """Yield the words of a number below a million; of a larger one, its digits."""
    if value < 0:
        yield "minus"
        yield from spoken_number(-value)
    elif value < 20:
        yield _ONES[value]
    elif value < 100:
        yield _TENS[value // 10]
        if value % 10:
            yield _ONES[value % 10]
    elif value < 1_000_000:
        size, unit = (100, "hundred") if value < 1000 else (1000, "thousand")
        yield from spoken_number(value // size)
        yield unit
        if value % size:
            yield from spoken_number(value % size)
    else:
        yield from (_ONES[int(digit)] for digit in str(value))


def spelled(text: str) -> list[str]:
    """Return the words as one would read `text` aloud: numbers and signs become words."""
    plain = _THOUSANDS.sub("", text.lower())
    return [word for token in _TOKEN.findall(plain) for word in _read(token)]


def numbers_in(text: str) -> list[float]:
    """Return the numbers in `text`, in digits or in words below a hundred, in their order."""
    found: list[float] = []
    tens = False  # whether the last word was one of twenty, thirty...
    for token in _TOKEN.findall(_THOUSANDS.sub("", text.lower())):
        value = _VALUES.get(token)
        if token[-1].isdecimal():
            found.append(float(token[:30]))
        elif value is not None and tens and 0 < value < 10:
            found[-1] += value
        elif value is not None:
            found.append(float(value))
        tens = value is not None and value >= 20
    return found


def _read(token: str) -> Iterator[str]:
    if token in _SIGNS:
        yield _SIGNS[token]
    elif token[-1].isdecimal():
        whole, _, decimals = token.partition(".")
        if whole == "-0":
            yield "minus"
        yield from spoken_number(int(whole[:18]))
        if decimals:
            yield "point"
            yield from (_ONES[int(digit)] for digit in decimals[:18])
    else:
        yield token


def _json(output: str) -> Any:
    try:
        return json.loads(output)
    except (ValueError, RecursionError):
        return output


def failed(output: str) -> bool:
    """Return whether the result of a function tells of an error."""
    value = _json(output)
    return isinstance(value, dict) and bool(value.get("error"))


def told(output: str) -> str:
    """Return the result of a function in words; empty if there is nothing to tell."""
    text = _fact(_json(output))
    return text if len(text) <= _LONGEST_TOLD else text[:_LONGEST_TOLD].rsplit(" ", 1)[0] + "..."


def _fact(value: Any) -> str:
    match value:
        case None | True:
            return ""
        case False:
            return "no"
        case float() if value.is_integer():
            return str(int(value))
        case dict():
            facts = [(" ".join(name_words(str(key))), _fact(v)) for key, v in value.items()]
            kept = [(name, fact) for name, fact in facts if fact][:_MOST_FACTS]
            if len(kept) == 1:
                return kept[0][1]
            return ", ".join(f"{name} {fact}" for name, fact in kept)
        case list():
            return ", ".join(fact for fact in map(_fact, value[:_MOST_FACTS]) if fact)
    return " ".join(str(value).split())
