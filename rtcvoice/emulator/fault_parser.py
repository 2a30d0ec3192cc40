"""Reads `Faults`, and the switches of Live, from YAML or the command line.

Errors name what is wrong. The fields' own annotations are the grammar (`system/options.py`): what
is added to the vocabulary can be written in a script without a line here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml

from rtcvoice.emulator.faults import Faults
from rtcvoice.emulator.live.options import LiveOptions
from rtcvoice.errors import ConfigError
from rtcvoice.system.options import parse
from rtcvoice.system.yaml_faults import yaml_cause
from rtcvoice.system.yaml_reading import read_yaml

__all__ = ["parse_faults", "parse_live", "parse_options"]


def parse_faults(value: Any, *, source: str = "faults") -> Faults:
    """Return the faults that a YAML mapping names. Raises ConfigError that names the key at fault.

    Keys are the fields of `Faults`; `network` as the option of a call.
    """
    return parse(Faults, value, source)


def parse_options(options: Sequence[str]) -> Faults:
    """Return the faults of options such as `frozen_after=2`, the values being YAML.

    Raises ConfigError.
    """
    given = _given(options, "--fault", ("frozen_after=2", "network={downlink: {loss: 0.05}}"))
    return parse_faults(given, source="--fault")


def parse_live(options: Sequence[str]) -> LiveOptions:
    """Return how Live sessions behave, of options such as `yields=false`. Raises ConfigError."""
    given = _given(options, "--gpt-live", ("yields=false", "hearing_delay=1.2"))
    return parse(LiveOptions, given, "--gpt-live")


def _given(options: Sequence[str], flag: str, examples: tuple[str, str]) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for option in options:
        name, equals, value = option.partition("=")
        if not equals:
            raise ConfigError(f"{flag} {option[:80]} has no value", hint=f"{flag} {examples[0]}")
        try:
            given[name.strip()] = read_yaml(value)
        except (yaml.YAMLError, ValueError, RecursionError) as exc:
            hint = f"such as '{examples[1]}'"
            cause = f"the value is not YAML: {yaml_cause(exc)}"
            raise ConfigError(f"{flag} {option[:80]}: {cause}", hint=hint) from exc
    return given
