"""One turn of a script, checked when it is made: YAML and Python are refused with the same words.

    Turn(hears="Is it warm in Rome?", calls={"get_weather": {"city": "Rome"}},
         then=Turn(says="It is {result.temperature} degrees."))

`script_file.py` reads the same from YAML and adds the line to what is wrong; `script.py` plays it.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, Self, TypeAlias, cast

from rtcvoice.emulator.session.hosted_script import hosted_calls, is_hosted
from rtcvoice.emulator.session.plan import Call, Failure, HostedCall
from rtcvoice.errors import ConfigError
from rtcvoice.system.options import guess

__all__ = ["DEEPEST", "VALUES", "Calls", "Turn", "check_value", "function_call"]

DEEPEST = 8
"""Answers to the results of answers to the results..."""

Calls: TypeAlias = str | Mapping[str, Any] | Sequence[str | Mapping[str, Any] | Call]
"""`{"name": {arguments}}`, or a list of such mappings and of bare names. Arguments that are a
string go over the wire as they are."""

Path: TypeAlias = "os.PathLike[str]"


@dataclass(frozen=True, kw_only=True)
class Turn:
    """One turn of a script: what the user says or writes, and the answer.

    An answer may speak, call functions, or both: a model that speaks while it calls. With neither
    the assistant chooses. Raises ConfigError for names and values that no script has.
    """

    hears: str | None = None
    """The user's words: the transcript of speech; text is compared with them. None: unknown."""
    clip: str | Path | None = None
    """The prompt or audio file that speech is to be; another sound is unrecognised."""
    says: str | Path | Sequence[str | Path] = ()
    """Prompts by name, audio files, or texts to say, one after the other. In an answer to function
    calls `{result}` stands for what they gave, `{result.field}` for a part of it."""
    calls: Calls = ()
    """Functions to call: `{"get_weather": {"city": "Rome"}}`; several, or one twice, as a list."""
    mcp: Any = ()
    """Calls that the service makes at hosted MCP servers: `{"server": "docs", "tool": "search",
    "arguments": {"for": "cats"}, "gives": "three cats"}`, or with `fails`; several as a list."""
    then: Turn | None = None
    """The answer when the functions have given their results; None: the assistant tells them."""
    wait: float = 0.0
    """Seconds before the answer begins."""
    interrupted: bool = False
    """The user will interrupt: the answer goes on until that happens, for a minute at most."""
    fails: str | Failure | Mapping[str, Any] | None = None
    """The code with which the response fails; `content_filter` and `max_output_tokens` leave it
    incomplete."""
    stalls_after: int | None = None
    """The response stops after so many words and never ends."""
    lost: bool = False
    """Nothing answers at all."""
    refused: str | None = None
    """An error with this code comes instead of a response."""
    expires: bool = False
    """The session expires when the response is done."""
    transcript: str | None = None
    """`before`, `middle` or `after` the response, or `fails`."""

    # Of Live sessions alone
    yields: bool | None = None
    """Whether the answer stops when the user talks over it; None: as the emulator's options say."""
    backchannel: bool | str | None = None
    """`True`: what the user says is an acknowledgement, which stops nothing and is not answered. A
    prompt or a text: the assistant says it while the user is still speaking."""
    delegates: bool = False
    """The work is handed over: to the client, to the backend, or to decisions."""
    decides: Any = None
    """What decisions answer: a choice, the number of a level, a probability, `refusal`; a list for
    several questions."""
    pauses: bool = False
    """The session pauses when the answer was said, if its settings let it."""

    def __new__(cls, *args: Any, **given: Any) -> Self:
        """Refuse unknown names, which would be a bare TypeError a moment later."""
        known = [field.name for field in dataclasses.fields(cls)]
        for name in given:
            if name not in known:
                raise ConfigError(f"Turn: unknown key {name!r}", hint=guess(name, known))
        return super().__new__(cls)

    def __post_init__(self) -> None:
        """Check each value; `says`, `calls` and `fails` get the one form in which they are used."""
        object.__setattr__(self, "says", _parts(self.says))
        object.__setattr__(self, "clip", _plain(self.clip))
        for name in _VALUES:
            value = getattr(self, name)
            if value is not None:
                check_value(name, value, "Turn", partial(_written, name))
        object.__setattr__(self, "calls", tuple(_calls(self.calls)))
        object.__setattr__(self, "mcp", hosted_calls(self.mcp))
        object.__setattr__(self, "fails", _failure(self.fails))
        self._check_then()

    def _check_then(self) -> None:
        then: Any = self.then
        if not isinstance(then, Turn | None):
            hint = "then=Turn(says='It is {result.temperature} degrees.')"
            raise ConfigError("Turn: then is not a Turn", hint=hint)
        depth, each = 0, then
        while each is not None:
            depth, each = depth + 1, each.then
        if depth > DEEPEST:
            raise ConfigError("Turn: then is nested too deeply", hint=f"at most {DEEPEST} levels")

    def prompts(self) -> list[str]:
        """Return what is said, one by one."""
        return list(cast("tuple[str, ...]", self.says))

    def functions(self) -> tuple[Call, ...]:
        """Return the functions to call."""
        return cast("tuple[Call, ...]", self.calls)

    def hosted_calls(self) -> tuple[HostedCall, ...]:
        """Return the calls at hosted MCP servers."""
        return cast("tuple[HostedCall, ...]", self.mcp)

    def decisions(self) -> tuple[Any, ...]:
        """Return what decisions answer, one by one."""
        if self.decides is None:
            return ()
        return tuple(self.decides) if isinstance(self.decides, list | tuple) else (self.decides,)

    @property
    def failure(self) -> Failure | None:
        """How the response fails, if it does."""
        return cast("Failure | None", self.fails)


# ------------------------------------------------------------------------------------------- calls


def function_call(name: Any, arguments: Any, place: str) -> Call:
    """Return one call. Raises ConfigError that names `place`."""
    if not isinstance(name, str) or not name:
        raise ConfigError(
            f"{place}: calls needs the names of functions and their arguments", hint=_CALLS
        )
    if arguments is None or arguments == "":
        return Call(name)
    if isinstance(arguments, str):
        return Call(name, arguments)
    if not isinstance(arguments, Mapping):
        hint = f"{_CALLS}, or a string to be sent as it is"
        raise ConfigError(f"{place}: the arguments of a call are a mapping", hint=hint)
    try:
        return Call(name, json.dumps(dict(arguments), allow_nan=False))
    except (TypeError, ValueError, RecursionError) as exc:
        hint = "put dates in quotes"
        raise ConfigError(f"{place}: these arguments are not JSON: {exc}", hint=hint) from exc


def _calls(value: Any) -> list[Call]:
    if isinstance(value, Call):
        return [function_call(value.name, value.arguments, "Turn")]
    if isinstance(value, str):
        return [function_call(value, None, "Turn")]
    if isinstance(value, Mapping):
        return [function_call(name, given, "Turn") for name, given in value.items()]
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return [call for each in value for call in _calls_of_entry(each)]
    raise ConfigError(
        "Turn: calls= needs the names of functions and their arguments", hint=f"calls={_CALLS}"
    )


def _calls_of_entry(value: Any) -> list[Call]:
    if isinstance(value, str | Mapping | Call):
        return _calls(value)
    raise ConfigError(f"Turn: calls has {value!r:.80}", hint=f"calls=[{_CALLS}]")


_CALLS = "{'get_weather': {'city': 'Paris'}}"


def _failure(value: Any) -> Failure | None:
    match value:
        case None | Failure():
            return value
        case str():
            return Failure(value)
        case Mapping() if "code" in value:
            return Failure(**value)
        case Mapping():
            raise ConfigError("Turn: fails without a code", hint="fails='server_error'")
    hint = "fails='server_error', or fails={'code': 'server_error', 'after': 3}"
    raise ConfigError("Turn: fails has the keys code, after, message", hint=hint)


# ------------------------------------------------------------------------------------------ values


def check_value(name: str, value: Any, place: str, write: Callable[[Any], str]) -> None:
    """Raise ConfigError for a value that the key `name` of a turn cannot have.

    `write` gives an example as the script's author would write it: in Python, or in YAML.
    """
    what, fits = _VALUES[name]
    if not fits(value):
        raise ConfigError(f"{place}: {name} is {what}", hint=_hint(name, value, write))


def _hint(name: str, value: Any, write: Callable[[Any], str]) -> str:
    if name == "hears" or (name in ("says", "clip") and isinstance(value, int | float)):
        return f"put it in quotes: '{value}'"
    return {
        "clip": "name a prompt or an audio file",
        "says": "name a prompt, an audio file, a text, or a list of them",
        "transcript": "before, middle, after or fails",
    }.get(name, f"for example {write(_EXAMPLES.get(name, True))}")


def _written(name: str, example: Any) -> str:
    return f"{name}={example!r}"


def _plain(value: Any) -> Any:
    """Return a path as text, anything else as it is."""
    return os.fsdecode(value) if isinstance(value, os.PathLike) else value


def _parts(says: Any) -> Any:
    """Return what is said as a tuple; what is nothing to say, as it is."""
    if isinstance(says, str | os.PathLike):
        return (_plain(says),)
    return tuple(map(_plain, says)) if isinstance(says, list | tuple) else says


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _texts(value: Any) -> bool:
    return _text(value) or (isinstance(value, list | tuple) and all(map(_text, value)))


def _yes_or_no(value: Any) -> bool:
    return isinstance(value, bool)


def _seconds(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e6


def _count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _yes_no_or_text(value: Any) -> bool:
    return isinstance(value, bool | str)


def _decided(value: Any) -> bool:
    plain = isinstance(value, str | bool | int | float)
    return plain or (isinstance(value, list | tuple) and all(map(_decided, value)))


_EXAMPLES = {
    "mcp": {"server": "docs", "tool": "search", "gives": "three cats"},
    "decides": "urgent",
    "wait": 2.5,
    "stalls_after": 5,
    "refused": "server_error",
}
_VALUES: Mapping[str, tuple[str, Callable[[Any], bool]]] = MappingProxyType(
    {
        "hears": ("not text", _text),
        "clip": ("not the name of a prompt or file", _text),
        "says": ("not something to say", _texts),
        "mcp": ("not a call of an MCP server, with a server and a tool", is_hosted),
        "wait": ("not a number of seconds", _seconds),
        "interrupted": ("not yes or no", _yes_or_no),
        "stalls_after": ("not a number of words", _count),
        "lost": ("not yes or no", _yes_or_no),
        "refused": ("not an error code", _text),
        "expires": ("not yes or no", _yes_or_no),
        "transcript": (
            "not a moment",
            lambda value: _text(value) and value in ("before", "middle", "after", "fails"),
        ),
        "yields": ("not yes or no", _yes_or_no),
        "backchannel": ("not yes, and nothing to say", _yes_no_or_text),
        "delegates": ("not yes or no", _yes_or_no),
        "decides": ("not an answer of decisions", _decided),
        "pauses": ("not yes or no", _yes_or_no),
    }
)
VALUES = tuple(_VALUES)
"""The keys that `check_value` knows."""
