"""A persona with a script: what the user will say turn by turn, and what to answer.

    - hears: What is the capital of France?     # the transcript; leave it out if unknown
      says: reply-1                              # the name of a prompt, or a list of names
    - says: [one-moment, talk]

The script is the emulator's only knowledge of what was said. After its last turn the `Assistant`
takes over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from rtcvoice.emulator.session.persona import Assistant, Context, Reply, Voice, join
from rtcvoice.errors import ConfigError

__all__ = ["Scripted", "Turn", "load_script", "parse_script"]


@dataclass(frozen=True, kw_only=True)
class Turn:
    """One turn of a script: what the user says (None: unknown) and the prompts that answer it."""

    hears: str | None = None
    says: tuple[str, ...] = ()
    """Names of prompts, said one after the other. Empty: the assistant chooses."""


def load_script(path: Path | str) -> list[Turn]:
    """Read a script from a YAML file. Raises ConfigError that names the turn or line at fault."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as exc:
        raise ConfigError(
            f"the script {path} cannot be read: {exc.strerror}", hint="name a YAML file"
        ) from exc
    except UnicodeDecodeError as exc:
        raise ConfigError(f"the script {path} is not text", hint=_EXAMPLE) from exc
    return parse_script(text, source=str(path))


def parse_script(text: str, *, source: str = "script") -> list[Turn]:
    """Read a script from YAML text; `source` names it in errors. Raises ConfigError."""
    try:
        turns = yaml.safe_load(text)
    except yaml.YAMLError as exc:
        mark = getattr(exc, "problem_mark", None)
        place = f"{source}, line {mark.line + 1}" if mark else source
        what = getattr(exc, "problem", None) or str(exc)
        raise ConfigError(f"{place}: this is not YAML: {what}", hint=_EXAMPLE) from exc
    if not isinstance(turns, list):
        raise ConfigError(f"{source}: a script is a list of turns", hint=_EXAMPLE)
    return [_turn(turn, f"{source}, turn {n}") for n, turn in enumerate(turns, 1)]


_EXAMPLE = "write '- hears: What time is it?' and below it '  says: reply-1'"


def _turn(turn: Any, place: str) -> Turn:
    if not isinstance(turn, dict):
        raise ConfigError(f"{place}: a turn has the keys hears and says", hint=_EXAMPLE)
    unknown = [str(key) for key in turn if key not in ("hears", "says")]
    if unknown:
        raise ConfigError(f"{place}: unknown key {unknown[0]!r}", hint="use hears and says")
    hears, says = turn.get("hears"), turn.get("says", [])
    if hears is not None and not isinstance(hears, str):
        raise ConfigError(f"{place}: hears is not text", hint=f"put it in quotes: '{hears}'")
    names = [says] if isinstance(says, str) else says
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ConfigError(f"{place}: says is not a prompt's name", hint="or a list of names")
    return Turn(hears=hears, says=tuple(names))


class Scripted:
    """Plays a script. A spoken turn, or an answer to something not spoken, moves it forward.

    Raises ConfigError when a turn wants to say a prompt that `voice` does not have.
    """

    def __init__(self, turns: Sequence[Turn], voice: Voice) -> None:
        self._turns = list(turns)
        self._voice = voice
        self._fallback = Assistant(voice)
        self._position = -1
        self._unanswered = False
        known = voice.names()
        for number, turn in enumerate(self._turns, 1):
            for name in turn.says:
                if name not in known:
                    hint = f"the prompts are: {', '.join(known)}"
                    raise ConfigError(f"Turn {number}: there is no prompt {name!r}", hint=hint)

    def _turn(self) -> Turn:
        return self._turns[self._position] if self._position < len(self._turns) else Turn()

    def hear(self) -> str | None:
        """Return what the script says the user said, and move to that turn."""
        self._position += 1
        self._unanswered = True
        return self._turn().hears

    def respond(self, context: Context) -> Reply:
        """Answer as the script says; what is out of band or beyond the script, the assistant."""
        if context.out_of_band or context.user_silent:
            return self._fallback.respond(context)
        if not self._unanswered:
            self._position += 1
        self._unanswered = False
        says = self._turn().says
        if not says:
            return self._fallback.respond(context)
        clip = join([self._voice.clip(name) for name in says])
        return Reply(clip.text, clip)
