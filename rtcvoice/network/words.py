"""Bad networks in words: "loss=5%, uplink.delay=100ms"; pure.

Numbers may have the unit that people write: `5%`, `100ms`, `2s`, `500k` (bits per second), `2M`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from rtcvoice.errors import ConfigError
from rtcvoice.system.options import guess

__all__ = ["mapping_from", "values_from"]

LONGEST_TEXT = 1000
LONGEST_NUMBER = 50

_SHARES = frozenset({"loss", "reorder", "duplicate", "corrupt"})
_TIMES = frozenset({"delay", "jitter", "stall", "stall_every"})
_RATES = frozenset({"rate_bps"})
_KNOWN = _SHARES | _TIMES | _RATES | {"loss_burst", "wifi", "limit", "seed"}
_UNITS = {
    "%": (0.01, _SHARES),
    "ms": (0.001, _TIMES),
    "s": (1.0, _TIMES),
    "k": (1e3, _RATES),
    "M": (1e6, _RATES),
}
_NUMBER = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?)\s*(%|[A-Za-z]*)", re.ASCII)
_EXAMPLE = "such as loss=5%, uplink.delay=100ms"


def mapping_from(
    text: str, place: str, *, named: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """Return the mapping that a text means; `named`: words that stand for several values.

    Raises ConfigError that names `place`.
    """
    if len(text) > LONGEST_TEXT:
        raise ConfigError(f"{place} has more than {LONGEST_TEXT} characters", hint=_EXAMPLE)
    found: dict[str, Any] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, value = (each.strip() for each in part.partition("="))
        if not equals:
            if name not in named:
                known = f"{guess(name, named)}; or {_EXAMPLE}"
                raise ConfigError(f"{place}: there is no network {name!r:.80}", hint=known)
            found |= named[name]
            continue
        direction, dot, inner = name.partition(".")
        if direction in ("uplink", "downlink") and (dot or value in named):
            own = {inner: _plain(inner, value, place)} if dot else named[value]
            found[direction] = {**found.get(direction, {}), **own}
        else:
            found[name] = _plain(name, value, place)
    if not found:
        raise ConfigError(f"{place} is empty", hint=f"{_EXAMPLE}, or {', '.join(named)}")
    return found


def values_from(given: Mapping[Any, Any], place: str) -> dict[Any, Any]:
    """Return a mapping whose texts are the numbers that they mean. Raises ConfigError."""
    return {
        name: _plain(name, value, place) if isinstance(value, str) else value
        for name, value in given.items()
    }


def _plain(name: Any, text: str, place: str) -> Any:
    """Return the number or truth value that a text means; of an unknown name the text itself."""
    if name not in _KNOWN:
        return text
    truths = {"true": True, "yes": True, "false": False, "no": False}
    if text.lower() in truths:
        return truths[text.lower()]
    # A number that is longer says nothing more, and would be read for a long time.
    number = _NUMBER.fullmatch(text.strip()) if len(text) <= LONGEST_NUMBER else None
    if number is None:
        raise ConfigError(f"{place}, {name}: {text!r:.80} is no number", hint=_EXAMPLE)
    value, unit = number.groups()
    if unit:
        factor, of = _UNITS.get(unit, (1.0, frozenset()))
        if name not in of:
            fitting = [unit for unit, (_, names) in _UNITS.items() if name in names]
            raise ConfigError(
                f"{place}, {name}: the unit {unit!r:.20} does not fit",
                hint=f"it may be {', '.join(fitting)}" if fitting else "it is a number alone",
            )
        return float(value) * factor
    return int(value) if value.lstrip("+-").isdecimal() else float(value)
