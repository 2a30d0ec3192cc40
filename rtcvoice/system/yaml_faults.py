"""What is wrong with a YAML text, in one line that names the file; needs no YAML reader.

PyYAML's own words are of several lines, and call every text "<unicode string>". `exc` is what
reading a text raised: one of PyYAML's errors, ValueError for a value, RecursionError.
"""

from __future__ import annotations

__all__ = ["yaml_cause", "yaml_place"]

MOST = 200
"""Characters of the cause."""


def yaml_place(exc: Exception, name: str) -> str:
    """Return where it is, such as `calls.yaml, line 3`; `name` alone where that is not known."""
    mark = getattr(exc, "problem_mark", None)
    return f"{name}, line {mark.line + 1}" if mark is not None else name


def yaml_cause(exc: Exception) -> str:
    """Return what it is, such as `expected ',' or ']'`."""
    if isinstance(exc, RecursionError):
        return "it is nested too deeply"
    cause = getattr(exc, "problem", None) or getattr(exc, "reason", None) or exc
    return " ".join(str(cause).split())[:MOST]
