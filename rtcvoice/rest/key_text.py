"""A key as people have it: what editors, env files and headers leave around it; pure."""

from __future__ import annotations

import re

__all__ = ["bare", "is_placeholder", "odd_in"]

_PAIRS = {('"', '"'), ("'", "'"), ("`", "`"), ("\u201c", "\u201d"), ("\u2018", "\u2019")}
_QUOTES = {quote for pair in _PAIRS for quote in pair}
_INVISIBLE = dict.fromkeys((0xFEFF, 0x200B, 0x200C, 0x200D, 0x2060))
_ASSIGNMENT = re.compile(r"^(?:(?:export\s+)?[A-Z0-9_]*(?:KEY|TOKEN)\s*=|bearer\s)\s*", re.I | re.A)
_PLACEHOLDER = re.compile(r"\.\.\.|[<>]|your[-_ ].*(?:key|token)", re.I)

LONGEST_KEY_FILE = 16 << 10
"""Characters of a key or token; access tokens have some thousands."""

MOST_LAYERS = 10
"""Such as quotes within quotes."""


def odd_in(value: str) -> str | None:
    """Return what is in a secret that cannot be: it travels in an HTTP header."""
    if len(value) > LONGEST_KEY_FILE:
        return f"more than {LONGEST_KEY_FILE} characters"
    if "\n" in value or "\r" in value:
        return "a line break"
    if any(quote in value for quote in _QUOTES):
        return "quotes"
    if not value.isascii():
        odd = next(character for character in value if not character.isascii())
        return f"the character U+{ord(odd):04X}"
    return None if value.isprintable() and " " not in value else "spaces or control characters"


def bare(text: str) -> str:
    """Return a key without what editors, env files and headers put around it."""
    if len(text) > LONGEST_KEY_FILE:
        return text
    before = None
    for _ in range(MOST_LAYERS):
        if text == before:
            break
        before = text
        text = _ASSIGNMENT.sub("", text.translate(_INVISIBLE).strip())
        if len(text) > 1 and (text[0], text[-1]) in _PAIRS:
            text = text[1:-1]
    return text


def is_placeholder(value: str) -> bool:
    """Whether a key is one out of an example, such as `sk-...` or `your-api-key`."""
    return _PLACEHOLDER.search(value) is not None
