"""Whole numbers in text from outside: those with more digits than anybody means are refused.

Python reads and writes no whole number of more than 4,300 digits, and says so in words about a
setting of its own; a number in hexadecimal it reads, and fails where it is shown.
"""

from __future__ import annotations

__all__ = ["MOST_DIGITS", "is_too_long", "too_long", "whole_number"]

MOST_DIGITS = 1000
_TOO_LARGE: int = 10**MOST_DIGITS


def whole_number(text: str) -> int:
    """Read the digits of a number, such as those of JSON (`json.loads(parse_int=...)`).

    Raises ValueError, also for more than `MOST_DIGITS` of them.
    """
    if len(text) > MOST_DIGITS:
        raise ValueError(too_long(text))
    return int(text)


def is_too_long(number: int) -> bool:
    """Whether a number that was read in another way has more than `MOST_DIGITS` digits."""
    return abs(number) >= _TOO_LARGE


def too_long(text: str) -> str:
    """Say why a number is refused that begins with `text`."""
    return f"the number {text[:10]}... has more than {MOST_DIGITS:,} digits"
