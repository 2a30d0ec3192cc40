"""What a single option may be, before anything is sent; pure. Each check raises ConfigError.

Only kinds are checked here, and what no server could take. What else is inside the server judges.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from numbers import Real
from typing import Any

import msgspec

from rtcvoice.errors import ConfigError

__all__ = [
    "check_kinds",
    "check_sendable",
    "header_value",
    "line_rate",
    "path_of",
    "seconds",
    "short",
    "text_of",
]

_OPTIONAL = (Mapping, str, type(None))
_KINDS: dict[str, tuple[tuple[type, ...], str]] = {
    "direct": ((bool,), "True or False"),
    "instructions": ((str,), "text"),
    "max_output_tokens": ((int, str), "a number or 'inf'"),
    "noise_reduction": (_OPTIONAL, "a dict, text such as 'near_field', or None"),
    "output_modalities": ((list, tuple), "a list with one of 'audio' and 'text'"),
    "speed": ((int, float), "a number such as 1.2"),
    "tool_choice": ((str, dict), "text such as 'auto', or a dict"),
    "transcription": (_OPTIONAL, "a dict, the name of a model, or None"),
    "turn_detection": (_OPTIONAL, "a dict, text such as 'semantic_vad', or None"),
    "voice": ((str, dict), "text such as 'marin', or a dict"),
}

LONGEST_SECONDS = 1e9
LEAST_BPS, MOST_BPS = 20_000, 10**12
"""Bits per second of a line: on less, nothing can be understood beside the headers of packets."""

DEEPEST = 100
"""Levels of a session within each other."""


def check_kinds(values: Mapping[str, Any]) -> None:
    """Check the options in `values`, those that were set, for the kinds of value they take."""
    for name, value in values.items():
        kinds, what = _KINDS.get(name, ((object,), ""))
        if not isinstance(value, kinds) or (isinstance(value, bool) and not _takes_bool(kinds)):
            raise ConfigError(
                f"{name}=None" if value is None else f"{name}= is a {type(value).__name__}",
                hint=f"it has to be {what}{_cure(name, value)}",
            )
    most = values.get("max_output_tokens", "inf")
    if isinstance(most, str) and most != "inf":
        raise ConfigError(
            f"max_output_tokens={short(most)} is text", hint="give a number such as 4096, or 'inf'"
        )


def _takes_bool(kinds: tuple[type, ...]) -> bool:
    return bool in kinds or object in kinds


def _cure(name: str, value: Any) -> str:
    if value is None:
        return ", or left out"
    if isinstance(value, os.PathLike):
        return f": {name}=path.read_text()"
    return ""


def text_of(name: str, value: Any, example: str) -> str:
    """Return a text without spaces around it; it has to hold something."""
    if not isinstance(value, str):
        raise ConfigError(f"{name}= is a {type(value).__name__}", hint=f"for example {example}")
    if not value.strip():
        raise ConfigError(f"{name}= is empty", hint=f"for example {example}")
    return value.strip()


def seconds(name: str, value: Any) -> float:
    """Return a number of seconds above 0; infinity is one."""
    if not isinstance(value, bool) and isinstance(value, Real):
        try:
            number = float(value)
        except OverflowError:
            number = 0.0
        if 0 < number <= LONGEST_SECONDS or number == math.inf:
            return number
    raise ConfigError(
        f"{name}={short(value)} must be a number of seconds above 0", hint=f"such as {name}=10"
    )


def line_rate(name: str, value: Any) -> float:
    """Return the bits per second that a line carries: enough for speech."""
    is_number = not isinstance(value, bool) and isinstance(value, int | float)
    if is_number and LEAST_BPS <= value <= MOST_BPS:
        return float(value)
    raise ConfigError(
        f"{name}={short(value)} must be bits per second, from {LEAST_BPS} on",
        hint=f"such as {name}=40_000; left out where sound comes in time",
    )


def header_value(name: str, value: Any) -> str:
    """Return what an HTTP header can hold: printable ASCII, without spaces around it."""
    if isinstance(value, str):
        text = value.strip()
        if text.isascii() and text.isprintable():
            return text
    raise ConfigError(
        f"{name} {short(value)} cannot be sent: only printable ASCII can", hint="take the rest out"
    )


def path_of(name: str, value: Any) -> None:
    """Check that a value can name a file."""
    if not isinstance(value, str | os.PathLike) or not os.fspath(value):
        raise ConfigError(f"{name}={short(value)} names no file", hint="give its path as text")


def check_sendable(session: Any) -> None:
    """Check that a session can be written as JSON without becoming another."""
    _check_finite(session, "", 0)
    try:
        msgspec.json.encode(session)
    except (TypeError, ValueError, RecursionError, OverflowError, msgspec.MsgspecError) as exc:
        raise ConfigError(
            f"the session cannot be written as JSON: {exc}",
            hint="use text, numbers, booleans, None, lists and dicts with text keys",
        ) from exc


def _check_finite(value: Any, place: str, depth: int) -> None:
    """Look for numbers that JSON lacks: they would be sent as null."""
    if depth > DEEPEST:
        raise ConfigError("the session is nested too deeply", hint="does it contain itself?")
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{place or 'the session'} is {value}", hint="give a finite number")
    if isinstance(value, Mapping):
        for name, inner in value.items():
            _check_finite(inner, f"{place}.{name}" if place else str(name), depth + 1)
    elif isinstance(value, list | tuple):
        for number, inner in enumerate(value):
            _check_finite(inner, f"{place}[{number}]", depth + 1)


def short(value: Any) -> str:
    """Return what a message shows of a value that may be anything."""
    try:
        text = repr(value)
    except Exception:  # whatever a stranger's object does
        text = type(value).__name__
    return text if len(text) <= 60 else f"{text[:57]}..."
