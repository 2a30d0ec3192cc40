"""A session in a file, which a token server gives its clients."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from rtcvoice.errors import ConfigError
from rtcvoice.system.small_files import UnreadableFile, read_text
from rtcvoice.system.whole_numbers import whole_number
from rtcvoice.system.yaml_faults import yaml_cause, yaml_place
from rtcvoice.system.yaml_reading import read_yaml

__all__ = ["session_options"]

MOST_OF_A_FILE = 1 << 20
"""Bytes of a file with a session."""


def session_options(path: str | Path) -> dict[str, Any]:
    """Read session options from a JSON or YAML file (.yaml, .yml). Raises ConfigError.

    It holds either options of `rtcvoice.connect` or a session as the API has it.
    """
    hint = "for example: voice: marin"
    try:
        text = read_text(path, most_bytes=MOST_OF_A_FILE)
        is_yaml = Path(path).suffix in (".yaml", ".yml")
        data = read_yaml(text) if is_yaml else json.loads(text, parse_int=whole_number)
    except UnreadableFile as exc:
        raise ConfigError(f"{path} cannot be read: {exc}", hint="give a file in UTF-8") from exc
    except (ValueError, RecursionError, yaml.YAMLError) as exc:
        place = yaml_place(exc, str(path))
        raise ConfigError(f"{place} cannot be understood: {yaml_cause(exc)}", hint=hint) from exc
    if not isinstance(data, dict) or not all(isinstance(name, str) for name in data):
        raise ConfigError(f"{path} holds no options", hint=hint)
    if "type" not in data and "audio" not in data:
        if "tools" not in data:
            return data
        inner = data.get("session", {})
        if not isinstance(inner, dict):
            raise ConfigError(f"session: in {path} is not a group of fields", hint=hint)
        others = {name: value for name, value in data.items() if name != "tools"}
        return others | {"session": {**inner, "tools": data["tools"]}}
    session = {name: value for name, value in data.items() if name not in ("type", "model")}
    return {"session": session} | ({"model": data["model"]} if "model" in data else {})
