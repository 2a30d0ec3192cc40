"""An argument parser whose complaints are our errors: one line, and a hint that helps.

`argparse` prints its usage and leaves the process. Here every complaint is a `ConfigError`, so that
wrong options look like any other error, and an unknown option names the one that was probably
meant.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from rtcvoice.cli.output import write_line
from rtcvoice.errors import ConfigError, clean

__all__ = [
    *("STDIO", "Parser", "above_zero", "count", "device_meant", "file_or_stdio", "meant"),
    *("message", "port", "program", "seconds", "whole_number", "words"),
]

STDIO = "-"
"""stdin, or stdout, in place of a file's name."""

_NAMES = {"/dev/stdin", "/dev/stdout"} | {
    f"{folder}/{number}" for folder in ("/dev/fd", "/proc/self/fd") for number in (0, 1)
}


def program() -> str:
    """Return how this process was started, as one would type it again."""
    started = Path(sys.argv[0]).name if sys.argv else ""
    return "rtcvoice" if started.startswith("rtcvoice") else "python -m rtcvoice"


def meant(word: str, known: Iterable[str]) -> str:
    """Return "did you mean ...?" for the known word that `word` was to be; empty if none is near.

    Near is a word with one wrong letter in three, two at most, or one that begins with `word`.
    """
    bare = word.lstrip("-")
    slips = {name: _slips(bare, name.lstrip("-")) for name in known}
    nearest = min(slips, key=lambda name: slips[name], default="")
    if nearest and slips[nearest] <= len(bare) // 3 and slips[nearest] <= 2:
        return f"did you mean {nearest}?"
    begun = [name for name in slips if len(bare) > 2 and name.lstrip("-").startswith(bare)]
    return f"did you mean {begun[0]}?" if begun else ""


def _slips(word: str, other: str) -> int:
    """Return how many letters are wrong, missing, too many, or swapped with their neighbour."""
    if abs(len(word) - len(other)) > 2:
        return len(word)
    rows = [list(range(len(other) + 1))]
    for i, letter in enumerate(word, 1):
        row = [i]
        for j, wanted in enumerate(other, 1):
            cost = min(rows[-1][j] + 1, row[-1] + 1, rows[-1][j - 1] + (letter != wanted))
            if i > 1 and j > 1 and (letter, word[i - 2]) == (other[j - 2], wanted):
                cost = min(cost, rows[-2][j - 2] + 1)
            row.append(cost)
        rows.append(row)
    return rows[-1][-1]


def above_zero(text: str) -> float:
    """Read a number above 0, as an argument's `type`."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r:.80} is not a number above 0")
    return number


seconds = above_zero
"""Reads a number of seconds above 0, as an argument's `type`."""


def port(text: str) -> int:
    """Read the number of a port, 0 for any free one, as an argument's `type`."""
    if not text.isdecimal() or len(text) > 9 or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r:.80} is not a port: 0 to 65535")
    return int(text)


def whole_number(text: str, most: int) -> int:
    """Read a whole number from 1 to `most`, for an argument's `type`."""
    if not text.isdecimal() or len(text) > 20 or not 0 < int(text) <= most:
        raise argparse.ArgumentTypeError(f"{text!r:.80} is not a whole number from 1 to {most:,}")
    return int(text)


def count(text: str) -> int:
    """Read how many of something, such as calls, as an argument's `type`."""
    return whole_number(text, 1_000_000)


def device_meant(text: str | None) -> int | str | None:
    """Return the sound device that an option means: its index for a number, a part of its name.

    None is the default one, also for "default".
    """
    if text is None or text == "default":
        return None
    return int(text) if text.isdecimal() and len(text) < 10 else text


def words(text: str) -> str:
    """Return words that are sent, as an argument's `type`: they have to be text.

    Without a locale (cron, systemd) Python takes what is not ASCII for bytes of unknown meaning.
    It is UTF-8 then, or no text at all.
    """
    try:
        return os.fsencode(text).decode()
    except UnicodeError as exc:
        raise argparse.ArgumentTypeError(f"{clean(text)!r} is not text in UTF-8") from exc


def message(text: str) -> str:
    """Return `words` of which something can be sent, as an argument's `type`."""
    if not text.strip():  # it would be told after a call has begun
        raise argparse.ArgumentTypeError("there is nothing to send")
    return words(text)


class Parser(argparse.ArgumentParser):
    """Options are spelled out in full; descriptions and epilogs are printed as they are written."""

    def __init__(self, **options: Any) -> None:
        super().__init__(
            formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, **options
        )

    @property
    def by_name(self) -> Mapping[str, argparse.Action]:
        """The options by each of their names, dashes included."""
        return self._option_string_actions

    @property
    def shown(self) -> list[argparse.Action]:
        """The options and arguments that --help shows."""
        return [action for action in self._actions if action.help != argparse.SUPPRESS]

    @property
    def exclusive(self) -> list[set[str]]:
        """The names of the options of which only one may be given, group by group."""
        return [
            {name for action in group._group_actions for name in action.option_strings}  # noqa: SLF001
            for group in self._mutually_exclusive_groups
        ]

    def parse_args(  # type: ignore[override]  # the other overloads serve nobody here
        self, args: Sequence[str], namespace: None = None
    ) -> argparse.Namespace:
        """Return the options. Raises ConfigError; `--help` and `--version` leave the process."""
        options, unknown = self.parse_known_args(args, namespace)
        if unknown:
            self._unknown(unknown[0])
        return options

    def print_help(self, file: Any = None) -> None:
        """Print the help; unlike argparse's, it fails where it cannot be written."""
        write_line(file or sys.stdout, self.format_help().rstrip())

    def error(self, message: str) -> NoReturn:
        """Raise what argparse complains of."""
        raise ConfigError(message, hint=f"see {self.prog} --help")

    def _unknown(self, word: str) -> NoReturn:
        see = f"see {self.prog} --help"
        if not word.startswith("-"):
            raise ConfigError(
                f"{word!r} is not an option, nor the value of one",
                hint=f"quote words that belong together; {see}",
            )
        name = word.partition("=")[0]
        hint = meant(name, self._option_string_actions) or see
        raise ConfigError(f"there is no option {name}", hint=hint)


def file_or_stdio(name: str) -> str:
    """Return `name`, or `STDIO` for the names that the system itself gives to stdin and stdout."""
    return STDIO if name in _NAMES else name
