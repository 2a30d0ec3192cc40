"""Reads `Faults` from a YAML mapping or the command line, with errors that name what is wrong.

The fields' own annotations are the grammar (`session/checking.py`): a fault added to the vocabulary
can be written in a script without a line here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml

from rtcvoice.emulator.faults import Faults
from rtcvoice.emulator.session.checking import parse
from rtcvoice.errors import ConfigError

__all__ = ["parse_faults", "parse_options"]


def parse_faults(value: Any, *, source: str = "faults") -> Faults:
    """Return the faults that a YAML mapping names. Raises ConfigError that names the key at fault.

    Keys are the fields of `Faults`; `uplink` and `downlink` are mappings of `Network`'s.
    """
    return parse(Faults, value, source)


def parse_options(options: Sequence[str]) -> Faults:
    """Return the faults of options such as `frozen_after=2`, the values being YAML.

    Raises ConfigError.
    """
    given = {}
    for option in options:
        name, equals, value = option.partition("=")
        if not equals:
            raise ConfigError(f"--fault {option} has no value", hint="--fault frozen_after=2")
        try:
            given[name.strip()] = yaml.safe_load(value)
        except (yaml.YAMLError, ValueError, RecursionError) as exc:
            hint = "such as 'downlink={loss: 0.05}'"
            raise ConfigError(f"--fault {option}: the value is not YAML", hint=hint) from exc
    return parse_faults(given, source="--fault")
