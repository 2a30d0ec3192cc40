"""Reads a script from YAML; every error names the line and says how to mend it.

    - hears: What is the weather in Paris?    # the user's words, spoken or written
      clip: ask-weather                        # the sound that it has to be (optional)
      says: one-moment                         # a prompt, an audio file, a text, or a list of them
      calls: {get_weather: {city: Paris}}      # functions to call, with their arguments
      then:                                    # the answer when their results are there
        says: It is {result.temperature} degrees.
    - says: talk
      interrupted: yes                         # goes on until somebody interrupts
    - fails: server_error                      # the response fails

The keys are the fields of `Turn`. A file may also be a mapping of `turns` and `faults`: what goes
wrong in the whole call.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import yaml

from rtcvoice.emulator.session.clips import Voice
from rtcvoice.emulator.session.plan import Call, Failure
from rtcvoice.emulator.session.script import check_turn
from rtcvoice.emulator.session.turn import DEEPEST, VALUES, Turn, check_value, function_call
from rtcvoice.errors import ConfigError
from rtcvoice.system.small_files import UnreadableFile, read_text
from rtcvoice.system.yaml_faults import yaml_cause, yaml_place
from rtcvoice.system.yaml_reading import PlainLoader

__all__ = ["Script", "load_script", "parse_script", "read_script"]

_EXAMPLE = "write '- hears: What time is it?' and below it '  says: reply-1'"


@dataclass(frozen=True)
class Script:
    """What a file holds."""

    turns: list[Turn]
    faults: dict[str, Any] = field(default_factory=dict)
    """The mapping `faults`, as it was written."""


MOST_BYTES = 1 << 20
"""Of a script; a longer one is not a script."""


def read_script(path: Path | str, voice: Voice | None = None) -> Script:
    """Read a YAML file; audio files in it are relative to its folder.

    With a `voice`, what it cannot play is an error too. Raises ConfigError with the line at fault.
    """
    try:
        text = read_text(path, most_bytes=MOST_BYTES)
    except UnreadableFile as exc:
        raise ConfigError(f"the script {path} cannot be read: {exc}", hint=_EXAMPLE) from exc
    return _Reader(str(path), Path(path).parent, voice).read(text)


def load_script(path: Path | str) -> list[Turn]:
    """Read the turns of a YAML file. Raises ConfigError with the line at fault."""
    return read_script(path).turns


def parse_script(text: str, *, source: str = "script", voice: Voice | None = None) -> Script:
    """Read a script from YAML text; `source` names it in errors. Raises ConfigError."""
    return _Reader(source, Path(), voice).read(text)


class _Reader:
    def __init__(self, source: str, folder: Path, voice: Voice | None) -> None:
        self._source = source
        self._folder = folder
        self._voice = voice

    def read(self, text: str) -> Script:
        try:
            root = yaml.compose(text, Loader=PlainLoader)
        except yaml.YAMLError as exc:
            hint = f"{_EXAMPLE}; a text with : # {{ or ? in it needs quotes"
            place = yaml_place(exc, self._source)
            raise ConfigError(f"{place}: this is not YAML: {yaml_cause(exc)}", hint=hint) from exc
        if isinstance(root, yaml.MappingNode):
            parts = self._mapping(root, ("turns", "faults"), "a script")
            faults = self._plain(parts["faults"]) if "faults" in parts else {}
            if not isinstance(faults, dict):
                self._fail(parts["faults"], "faults is not a mapping", "reply_delay: 2.0")
            return Script(self._turns(parts.get("turns")), faults)
        return Script(self._turns(root))

    # ---- nodes

    def _fail(self, node: yaml.Node | None, message: str, hint: str) -> NoReturn:
        place = self._source if node is None else self._place(node)
        raise ConfigError(f"{place}: {message}", hint=hint)

    def _place(self, node: yaml.Node) -> str:
        return f"{self._source}, line {node.start_mark.line + 1}"

    def _plain(self, node: yaml.Node) -> Any:
        try:
            return PlainLoader("").construct_object(node, deep=True)
        except (yaml.YAMLError, ValueError, RecursionError) as exc:
            self._fail(node, f"this value cannot be read: {yaml_cause(exc)}", "put it in quotes")

    def _mapping(self, node: yaml.Node, known: tuple[str, ...], what: str) -> dict[str, yaml.Node]:
        if not isinstance(node, yaml.MappingNode):
            self._fail(node, f"{what} has the keys {', '.join(known)}", _EXAMPLE)
        found: dict[str, yaml.Node] = {}
        for key, value in node.value:
            name = str(getattr(key, "value", ""))
            if name not in known:
                near = difflib.get_close_matches(name, known, 1)
                guess = f"did you mean {near[0]!r}? " if near else ""
                self._fail(key, f"unknown key {name!r}", f"{guess}known are: {', '.join(known)}")
            if name in found:
                self._fail(key, f"{name!r} is there twice", "remove one of them")
            found[name] = value
        return found

    # ---- turns

    def _turns(self, node: yaml.Node | None) -> list[Turn]:
        if not isinstance(node, yaml.SequenceNode):
            self._fail(node, "a script is a list of turns", _EXAMPLE)
        return [self._checked(entry) for entry in node.value]

    def _checked(self, node: yaml.Node) -> Turn:
        turn = self._turn(node, 0)
        if self._voice is not None:
            check_turn(turn, self._voice, self._place(node))
        return turn

    def _turn(self, node: yaml.Node, depth: int) -> Turn:
        if depth > DEEPEST:
            self._fail(node, "then is nested too deeply", f"at most {DEEPEST} levels")
        parts = self._mapping(node, (*VALUES, "calls", "then", "fails"), "a turn")
        given: dict[str, Any] = {}
        for name, part in parts.items():
            if name in VALUES:
                given[name] = self._plain(part)
                check_value(name, given[name], self._place(part), partial(_written, name))
        if "calls" in parts:
            given["calls"] = self._calls(parts["calls"])
        if "then" in parts:
            given["then"] = self._turn(parts["then"], depth + 1)
        if "fails" in parts:
            given["fails"] = self._failure(parts["fails"])
        return self._located(Turn(**given))

    def _located(self, turn: Turn) -> Turn:
        """Return the turn with audio files named as seen from here."""
        says = [self._file(part) for part in turn.prompts()]
        return replace(turn, says=says, clip=turn.clip and self._file(str(turn.clip)))

    def _file(self, name: str) -> str:
        beside = self._folder / name
        return str(beside) if "." in name and " " not in name and beside.is_file() else name

    def _calls(self, node: yaml.Node) -> tuple[Call, ...]:
        """Read `{name: arguments}`, or a list of such mappings and of bare names."""
        if isinstance(node, yaml.SequenceNode):
            return tuple(call for entry in node.value for call in self._calls(entry))
        if isinstance(node, yaml.MappingNode):
            return tuple(
                function_call(str(self._plain(key)), self._plain(value), self._place(value))
                for key, value in node.value
            )
        return (function_call(self._plain(node), None, self._place(node)),)

    def _failure(self, node: yaml.Node) -> Failure:
        if isinstance(node, yaml.ScalarNode) and isinstance(code := self._plain(node), str):
            return Failure(code)
        parts = self._mapping(node, ("code", "after", "message"), "fails")
        given = {name: self._plain(part) for name, part in parts.items()}
        kinds = {"code": str, "after": int, "message": str}
        for name, value in given.items():
            if type(value) is not kinds[name]:
                self._fail(parts[name], f"{name} is {value!r}", "{code: server_error, after: 3}")
        if "code" not in given:
            self._fail(node, "fails without a code", "fails: server_error")
        return Failure(**given)


def _written(name: str, example: Any) -> str:
    """Return an example of a key as YAML has it."""
    return f"{name}: {'yes' if example is True else example}"
