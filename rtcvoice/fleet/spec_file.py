"""A file of calls: YAML or JSON with what all share written once, or JSON lines, a call in each.

    run: nightly
    trials: 3
    options: {model: gpt-realtime-2.1, instructions: Be brief.}
    calls:
      - scenario: greeting
        steps: [{say: hello.wav}, {listen: 20}]

What stands beside `calls` holds for each call that does not say otherwise; `options` are put
together. Sound files are looked for beside the file.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from rtcvoice.errors import ConfigError, one_line
from rtcvoice.system.extras import install_extra
from rtcvoice.system.small_files import UnreadableFile, read_text
from rtcvoice.system.whole_numbers import whole_number
from rtcvoice.system.yaml_faults import yaml_cause, yaml_place

from .caller import PROMPT
from .specs import CallSpec, spec_from_values

__all__ = ["read_specs", "with_trials"]

LARGEST_FILE = 64 * 1024 * 1024
LARGEST_YAML = 4 * 1024 * 1024
"""Bytes: YAML is read at less than a megabyte in a second."""

MOST_CALLS = 1_000_000

MOST_VALUES = 3_000_000


def read_specs(file: str | Path, *, trials: int | None = None) -> list[CallSpec]:
    """Return the calls of a file. Raises ConfigError, which names the place.

    trials: how often each call is made, in place of what the file says.
    """
    path = Path(file)
    try:
        text = read_text(path, most_bytes=LARGEST_FILE)
    except UnreadableFile as exc:
        hint = f"relative paths start at {Path.cwd()}" if exc.is_missing else ""
        raise ConfigError(f"{path} cannot be read: {exc}", hint=hint) from exc
    if path.suffix == ".jsonl":
        values = _lines(text, str(path))
    else:
        values = _together(_parsed(text, path), str(path), once=trials is not None)
    specs = [spec_from_values(_beside(each, path.parent), where=where) for where, each in values]
    if not specs:
        raise ConfigError(f"there is no call in {path}", hint="calls: [{scenario: ...}]")
    return specs if trials is None else with_trials(specs, trials)


def with_trials(specs: Iterable[CallSpec], trials: int) -> list[CallSpec]:
    """Return each call so many times, with seeds of their own."""
    if not 1 <= trials <= 100_000:
        raise ConfigError(f"trials={trials} is not from 1 to 100,000")
    return [
        replace(spec, trial=spec.trial + number, seed=spec.seed + number)
        for spec in specs
        for number in range(trials)
    ]


def _parsed(text: str, path: Path) -> Any:
    try:
        if path.suffix == ".json":
            return json.loads(text, parse_int=whole_number)
        import yaml

        from rtcvoice.system.yaml_reading import read_yaml
    except ImportError as exc:
        raise ConfigError(
            f"{path} is YAML, which needs a package", hint=install_extra("emulator")
        ) from exc
    except (ValueError, RecursionError) as exc:
        raise ConfigError(f"{path} is not JSON: {one_line(str(exc), 200)}") from exc
    try:
        if len(text) > LARGEST_YAML:
            raise ConfigError(
                f"{path} is larger than {LARGEST_YAML >> 20} MiB, too large for YAML",
                hint="JSON lines: a call in each line of a .jsonl file",
            )
        values = read_yaml(text)
        if _size(values, {}) > MOST_VALUES:
            raise ConfigError(
                f"{path} has more than {MOST_VALUES:,} values, with those of its aliases"
            )
        return values
    except (yaml.YAMLError, ValueError, RecursionError) as exc:
        raise ConfigError(
            f"{yaml_place(exc, str(path))}: this is not YAML: {yaml_cause(exc)}",
            hint="mend the file there; batch --help shows one",
        ) from exc


def _size(value: Any, known: dict[int, int]) -> int:
    """Return how many values there are, those under an alias each time that it is used.

    Raises ValueError for what holds itself.
    """
    if not isinstance(value, dict | list):
        return 1
    if id(value) not in known:
        known[id(value)] = -1
        inside = value.values() if isinstance(value, dict) else value
        known[id(value)] = 1 + sum(_size(each, known) for each in inside)
    if known[id(value)] < 0:
        raise ValueError("a value holds itself")
    return known[id(value)]


def _lines(text: str, name: str) -> Iterator[tuple[str, Any]]:
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                yield f"{name}, line {number}", json.loads(line, parse_int=whole_number)
            except (ValueError, RecursionError) as exc:
                raise ConfigError(f"{name}, line {number} is not JSON: {exc}") from exc


def _together(values: Any, name: str, *, once: bool) -> Iterator[tuple[str, Any]]:
    if isinstance(values, list):
        values = {"calls": values}
    if not isinstance(values, Mapping) or not isinstance(values.get("calls"), list):
        raise ConfigError(f"{name} has no list of calls", hint="calls: [{scenario: ...}]")
    shared = {key: value for key, value in values.items() if key not in ("calls", "trials")}
    trials = values.get("trials", 1)
    if not isinstance(trials, int) or isinstance(trials, bool) or not 1 <= trials <= 100_000:
        raise ConfigError(f"{name}: trials is {trials!r:.80}, not from 1 to 100,000")
    if once:
        trials = 1
    if len(values["calls"]) * trials > MOST_CALLS:
        raise ConfigError(f"{name} has more than {MOST_CALLS:,} calls")
    for number, call in enumerate(values["calls"], 1):
        where = f"{name}, call {number}"
        if not isinstance(call, Mapping):
            raise ConfigError(f"{where} is {call!r:.80}, not a mapping")
        whole = {**shared, **call}
        both = (shared.get("options"), call.get("options"))
        if all(isinstance(each, Mapping) for each in both):
            whole["options"] = {**both[0], **both[1]}  # type: ignore[dict-item]
        for trial in range(trials):
            numbers = {"trial": trial + 1, "seed": trial} if trials > 1 else {}
            yield where, {**whole, **numbers}


def _beside(call: Any, folder: Path) -> Any:
    """Return a call with its sound files found beside its file."""
    if not isinstance(call, Mapping) or not isinstance(call.get("steps"), list):
        return call
    steps = []
    for step in call["steps"]:
        said = step.get("say") if isinstance(step, Mapping) else None
        if isinstance(said, str) and not said.startswith(PROMPT):
            step = {**step, "say": str(folder / said)}
        steps.append(step)
    return {**call, "steps": steps}
