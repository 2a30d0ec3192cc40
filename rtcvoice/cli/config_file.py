"""Options that hold for every call, from a file of the user's own.

    voice = "cedar"
    headphones = true
    microphone = "USB"        # which device, where one is used

    [text]                    # for one command alone
    limit-cost = 0.10

It is looked for in the user's configuration folder alone, never in the working directory, which may
be anybody's: an address in it would get the key. A file that others can change is refused, and so
is one with a password in it that others can read. Keys and tokens have no place in it.
"""

from __future__ import annotations

import argparse
import os
import stat
import sys
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rtcvoice.cli.parser import Parser, meant
from rtcvoice.errors import ConfigError
from rtcvoice.system.environment import environment
from rtcvoice.system.small_files import UnreadableFile, read_text
from rtcvoice.system.whole_numbers import MOST_DIGITS, is_too_long

__all__ = ["apply", "read", "usual_place"]

MOST_BYTES = 64 << 10
NONE = "none"
"""In place of a file: read none."""

_NOT_HERE = {"help", "version", "config", "verbose"}
_DEVICES = {"microphone", "speaker"}
_WITH_PASSWORD = {"ice-server", "proxy"}
_REPEATED = {"ice_servers", "fault", "mcp", "origin", "allow", "allow_origin", "public_host"}
"""Options that may be given more than once, by where argparse puts them."""

_CURE = 'it holds lines like voice = "cedar", in TOML'


def usual_place() -> Path | None:
    """Return where the file is, if there is one; None where the user has no such folder."""
    if sys.platform == "win32":
        folder = environment("APPDATA")
    else:
        home = environment("HOME")
        folder = environment("XDG_CONFIG_HOME") or (home and f"{home}/.config")
    # A relative folder would be in the working directory.
    return Path(folder, "rtcvoice", "config.toml") if folder and os.path.isabs(folder) else None


def read(path: str | None) -> tuple[str, dict[str, Any]]:
    """Return the name of the file and what is in it; nothing where none is named, nor there.

    Raises ConfigError.
    """
    if path == NONE:
        return "", {}
    place = Path(path) if path is not None else usual_place()
    if place is None:
        return "", {}
    try:
        text = read_text(place, most_bytes=MOST_BYTES)
    except UnreadableFile as exc:
        if exc.is_missing and path is None:
            return "", {}
        raise ConfigError(f"{place} cannot be read: {exc}", hint=_CURE) from exc
    try:
        values = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as exc:
        raise ConfigError(f"{place} is not TOML: {exc}", hint=_CURE) from exc
    except ValueError as exc:
        raise ConfigError(f"{place} holds a number of too many digits", hint=_CURE) from exc
    _check_owner(place, values)
    return str(place), values


def _check_owner(place: Path, values: Mapping[str, Any]) -> None:
    """Refuse a file of somebody else's, or one whose passwords others can read."""
    if sys.platform == "win32":
        return
    found = place.stat()
    if not stat.S_ISREG(found.st_mode):  # a pipe of the shell's
        return
    if found.st_uid not in (0, os.geteuid()) or found.st_mode & 0o022:
        raise ConfigError(
            f"{place} can be changed by others, who could send your key to an address of theirs",
            hint=f"chmod go-w {place}, and own it",
        )
    tables = [values, *(each for each in values.values() if isinstance(each, dict))]
    given = [table.get(name) for table in tables for name in _WITH_PASSWORD]
    texts = [text for one in given for text in (one if isinstance(one, list) else [one])]
    if found.st_mode & 0o044 and any(isinstance(text, str) and "@" in text for text in texts):
        raise ConfigError(
            f"{place} holds a password and can be read by others", hint=f"chmod 600 {place}"
        )


def apply(
    parser: Parser,
    command: str,
    commands: Iterable[str],
    known: Iterable[str],
    file: tuple[str, Mapping[str, Any]],
    arguments: Sequence[str],
) -> None:
    """Let the options of `command` default to what the file says. Raises ConfigError.

    `known`: the options of all commands; what this one lacks is for others. An option that excludes
    one of the `arguments` is left out: what was typed counts.
    """
    name, values = file
    own = {option: value for option, value in values.items() if option not in set(commands)}
    for option in own:
        _check_name(option, {*known, *commands}, name)
    table = values.get(command, {})
    if not isinstance(table, dict):
        raise ConfigError(f"{name}: {command} is a table: [{command}]", hint=_CURE)
    for option, value in {**own, **table}.items():
        action = parser.by_name.get(f"--{option}")
        if action is None and option in table:
            _check_name(option, _options_of(parser), f"{name}, [{command}]")
        if action is None or _is_excluded(parser, f"--{option}", arguments):
            continue
        dest = f"usual_{action.dest}" if option in _DEVICES else action.dest
        parser.set_defaults(**{dest: _value(action, value, f"{name}: {option}")})
        action.required = False


def _options_of(parser: Parser) -> set[str]:
    """Return the options that a file may set, without their dashes."""
    return {word[2:] for word in parser.by_name if word.startswith("--")} - _NOT_HERE


def _check_name(option: str, known: set[str], place: str) -> None:
    if option in _NOT_HERE or option not in known:
        hint = meant(option, known - _NOT_HERE) or "its names are those of the options, see --help"
        if option.replace("_", "-") in ("api-key", "token", "client-secret"):
            hint = "a key has no place here: use OPENAI_API_KEY, or api-key-file"
        raise ConfigError(f"{place}: there is no option {option!r}", hint=hint)


def _is_excluded(parser: Parser, option: str, arguments: Sequence[str]) -> bool:
    typed = {word.partition("=")[0] for word in arguments}
    return any(option in group and typed & group for group in parser.exclusive)


def _value(action: argparse.Action, value: Any, place: str) -> Any:
    """Return what the option would have been on the command line. Raises ConfigError."""
    if action.nargs == 0:
        if not isinstance(value, bool):
            raise ConfigError(f"{place} is a switch", hint="true, or false")
        return action.const if value else action.default
    if action.metavar is not None and action.dest in _REPEATED:
        each = value if isinstance(value, list) else [value]
        return [_one(action, one, place) for one in each]
    return _one(action, value, place)


def _one(action: argparse.Action, value: Any, place: str) -> Any:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ConfigError(f"{place} is neither text nor a number", hint=_CURE)
    if isinstance(value, int) and is_too_long(value):
        raise ConfigError(f"{place} has more than {MOST_DIGITS:,} digits", hint=_CURE)
    convert = action.type if callable(action.type) else str
    try:
        found = convert(str(value))
    except (argparse.ArgumentTypeError, ValueError) as exc:
        raise ConfigError(f"{place}: {exc}", hint="--help tells which values it takes") from exc
    if action.choices is not None and found not in action.choices:
        choices = ", ".join(map(str, action.choices))
        raise ConfigError(f"{place} = {str(value)[:40]!r} cannot be", hint=f"one of {choices}")
    return found
