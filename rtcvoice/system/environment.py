"""The only place that reads and writes environment variables: a blank one counts as missing."""

from __future__ import annotations

import os
from collections.abc import Container, Mapping

__all__ = ["complete_environment", "environment", "seen_environment"]


def environment(name: str) -> str | None:
    """Return an environment variable's value, None when it is missing or blank.

    Quotes around it go: files that are not shell scripts keep them, such as Docker's --env-file.
    """
    text = os.environ.get(name, "").strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        text = text[1:-1].strip()
    return text or None


def seen_environment(names: Container[str]) -> dict[str, str]:
    """Return the variables of these names, written in capitals."""
    return {name: value for name, value in os.environ.items() if name.upper() in names}


def complete_environment(values: Mapping[str, str]) -> None:
    """Set variables that are missing or blank; the others stay."""
    os.environ.update({name: value for name, value in values.items() if not environment(name)})
