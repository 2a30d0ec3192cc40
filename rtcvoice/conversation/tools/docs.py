"""Reads a function's docstring: what it does, and what its parameters mean; pure.

Three styles are understood, as people write them: Google (`Args:` and indented `name: text`),
NumPy (`Parameters` underlined, `name : type` and indented text) and Sphinx (`:param name: text`).
What is not understood is left out; nothing raises.
"""

from __future__ import annotations

import inspect
import re
from typing import NamedTuple

__all__ = ["Docs", "read_docstring"]

_GOOGLE = re.compile(r"^(args|arguments|parameters|params):$", re.IGNORECASE)
_SECTION = re.compile(
    r"^(args|arguments|parameters|params|returns?|yields?|raises|examples?|notes?|see also|"
    r"warnings?|attributes|references|todo):?$",
    re.IGNORECASE,
)
_UNDERLINE = re.compile(r"^-{3,}$")
_FIELD = re.compile(r"^:(\w+)(?:\s+([^:]*))?:\s*(.*)$")
_PARAMETER = ("param", "parameter", "arg", "argument")
_GOOGLE_ENTRY = re.compile(r"^\*{0,2}(\w+)\s*(?:\([^)]*\))?\s*:\s*(.*)$")
_NUMPY_ENTRY = re.compile(r"^\*{0,2}(\w+)\s*(?::.*)?$")


class Docs(NamedTuple):
    """What a docstring says; texts are single lines."""

    description: str
    """Everything before the first section, paragraphs and all."""
    parameters: dict[str, str]
    """Descriptions by parameter name, those that are there."""


def read_docstring(text: object) -> Docs:
    """Return what the docstring `text` says; what is not text (mocks have such) says nothing."""
    lines = inspect.cleandoc(text if isinstance(text, str) else "").splitlines()
    head = next((n for n in range(len(lines)) if _starts_section(lines, n)), len(lines))
    parameters: dict[str, str] = {}
    for number in range(head, len(lines)):
        line = lines[number].strip()
        if _GOOGLE.match(line):
            parameters |= _entries(lines[number + 1 :], _GOOGLE_ENTRY)
        elif line.lower() == "parameters" and _underlined(lines, number):
            parameters |= _entries(lines[number + 2 :], _NUMPY_ENTRY)
        elif (match := _FIELD.match(line)) and match[1] in _PARAMETER and match[2]:
            name = match[2].split()[-1].lstrip("*")  # a type may stand before it
            parameters[name] = _joined([match[3], *_indented(lines[number + 1 :], 0)])
    described = {name: text for name, text in parameters.items() if text}
    return Docs(_paragraphs(lines[:head]), described)


def _starts_section(lines: list[str], number: int) -> bool:
    line = lines[number]
    if _FIELD.match(line):
        return True
    return bool(_SECTION.match(line)) and (line.endswith(":") or _underlined(lines, number))


def _underlined(lines: list[str], number: int) -> bool:
    return number + 1 < len(lines) and bool(_UNDERLINE.match(lines[number + 1].strip()))


def _entries(lines: list[str], entry: re.Pattern[str]) -> dict[str, str]:
    """Read `name ...` lines, each with the deeper lines below it, until the section ends."""
    found: dict[str, str] = {}
    margin: int | None = None
    for number, line in enumerate(lines):
        if not line.strip():
            continue
        indent = _indent(line)
        margin = indent if margin is None else margin
        if indent < margin or _starts_section(lines, number):
            break
        if indent == margin and (match := entry.match(line.strip())):
            first = match[2] if entry is _GOOGLE_ENTRY else ""
            found[match[1]] = _joined([first, *_indented(lines[number + 1 :], margin)])
    return found


def _indented(lines: list[str], margin: int) -> list[str]:
    """Return the lines up to the first that is not deeper than `margin`."""
    body: list[str] = []
    for line in lines:
        if line.strip() and _indent(line) <= margin:
            break
        body.append(line)
    return body


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _joined(lines: list[str]) -> str:
    return " ".join(" ".join(lines).split())


def _paragraphs(lines: list[str]) -> str:
    blocks = "\n".join(lines).strip().split("\n\n")
    return "\n".join(_joined([block]) for block in blocks if block.strip())
