"""What a call of a fleet is to be: values that travel as JSON or pickles, and no key among them."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import msgspec

from rtcvoice.errors import ConfigError, one_line
from rtcvoice.network.settings import Network

from .checks import Check
from .patterns import check_pattern

__all__ = ["CallSpec", "Line", "Persona", "Step", "ToolMock", "spec_from_json", "spec_to_json"]

LONGEST_CALL = 7200.0
"""Seconds: no service keeps a session for longer."""

MOST_STEPS = 1000

_KEY = re.compile(r"\b(sk|ek)[-_][A-Za-z0-9_-]{16,}")

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class Step(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """One thing that the caller does; the next begins when it is done. Exactly one of the fields.

    say: a sound file, or `prompt:NAME` for a clip that rtcvoice ships, spoken in real time.
    speak: a text, spoken by a synthesizer that is installed (flite, espeak-ng, say).
    after: with `say` or `speak`: barge in, once the other side has been heard for so many seconds.
    write: a text, sent in writing.
    wait: seconds of silence.
    listen: wait until the other side has answered and nothing more comes; seconds at most.
    hang_up: end the call now, whatever is being said.
    """

    say: str | None = None
    speak: str | None = None
    after: float | None = None
    write: str | None = None
    wait: float | None = None
    listen: float | None = None
    hang_up: bool = False

    def __post_init__(self) -> None:
        said = [self.say, self.speak, self.write, self.wait, self.listen, self.hang_up or None]
        if len([each for each in said if each is not None]) != 1:
            raise ValueError("a step is one of say, speak, write, wait, listen, hang_up")
        if self.after is not None and self.say is None and self.speak is None:
            raise ValueError("after belongs to say or speak")
        for name in ("after", "wait", "listen"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and 0 <= value <= LONGEST_CALL):
                raise ValueError(f"{name} is {value!r}, not from 0 to {LONGEST_CALL:g} s")


class Line(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """Where the caller calls from: what is done to its voice before it is sent.

    noise: a steady noise, made by the seed of the call, in dBFS (RMS), such as -45.
    telephone: through a narrow band, 300 to 3,400 Hz, and mu-law.
    level: dB louder (or softer, below 0).
    """

    noise: float | None = None
    telephone: bool = False
    level: float = 0.0

    def __post_init__(self) -> None:
        if self.noise is not None and not -100 <= self.noise <= -6:
            raise ValueError(f"noise is {self.noise!r} dBFS, not from -100 to -6")
        if not -60 <= self.level <= 40:
            raise ValueError(f"level is {self.level!r} dB, not from -60 to 40")


class ToolMock(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """A function that the model may call, and what it gives: no code, so that it can travel.

    outputs: what the calls give, one after the other; the last one is repeated.
    sets: what it leaves behind, by name, for `Check(state=)`; `"{city}"` stands for an argument.
    seconds: how long each call takes.
    """

    name: str
    description: str = ""
    parameters: dict[str, Any] = msgspec.field(
        default_factory=lambda: {"type": "object", "properties": {}}
    )
    outputs: tuple[Any, ...] = ("done",)
    sets: dict[str, Any] = {}
    seconds: float = 0.0

    def __post_init__(self) -> None:
        if not self.outputs:
            raise ValueError(f"the tool {one_line(self.name, 64)} has no output")
        if not 0 <= self.seconds <= 600:
            raise ValueError(f"the tool takes {self.seconds!r} s, not from 0 to 600")


_LISTEN = (Step(listen=30.0),)


class Persona(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """A second model as the caller, in place of steps: its call and the agent's hear each other.

    options: as `connect` takes them; `instructions` say who calls, and what for.
    begins: whether the caller speaks first; else the agent does.
    until: a pattern (regular expression): once a turn of either matches it, both are hung up.
    """

    options: dict[str, Any] = {}
    begins: bool = False
    until: str = "goodbye"

    def __post_init__(self) -> None:
        _check_options("persona: options", self.options)
        check_pattern("persona: until", self.until)


class CallSpec(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """One call. Raises ValueError (ConfigError from a file) for values that no call can have.

    run, scenario, trial, seed: together they name it; letters, digits, `.`, `_` and `-`.
    options: as `connect` takes them, those that are JSON values: `model`, `voice`, `instructions`,
        `turn_detection` and so on. No keys: they come from the environment of whoever runs the
        call, and an emulator on this machine needs none.
    persona: a model that plays the caller, in place of steps.
    steps: what the caller does. After the last one the answer is awaited and the call hung up.
    line: where the caller calls from: noise, a telephone.
    network: how bad the network of the caller is made, whatever server is called: `wifi`,
        `{uplink: {loss: 0.05}, downlink: {delay: 0.1, jitter: 0.05}}`, or what else
        `rtcvoice.Network` tells of. Its seed is that of the call, unless it names one.
    tools: functions with given results; `state`: what they find, and change by `sets`.
    checks: what the call is held to; one that it does not pass makes it a failed one.
    seconds: how long the call may take in all.
    cost: US dollars that it may cost, None for no limit; each of the two, with a persona.
    record: a folder for its recording, empty for none.
    """

    scenario: str
    run: str = "run"
    trial: int = 1
    seed: int = 0
    options: dict[str, Any] = {}
    steps: tuple[Step, ...] = _LISTEN
    persona: Persona | None = None
    line: Line = Line()
    network: dict[str, Any] | str = {}
    tools: tuple[ToolMock, ...] = ()
    state: dict[str, Any] = {}
    checks: tuple[Check, ...] = ()
    seconds: float = 300.0
    cost: float | None = None
    record: str = ""

    def __post_init__(self) -> None:
        for name in ("run", "scenario"):
            if not _NAME.fullmatch(getattr(self, name)):
                raise ValueError(
                    f"{name} is {getattr(self, name)!r:.80}: up to 100 letters, digits, . _ and -,"
                    " the first one a letter or digit"
                )
        if not 1 <= self.trial <= 1_000_000:
            raise ValueError(f"trial is {self.trial!r}, not from 1 to 1,000,000")
        if not 0 < self.seconds <= LONGEST_CALL:
            raise ValueError(f"seconds is {self.seconds!r}, not from 0 to {LONGEST_CALL:g}")
        if not 0 <= self.seed < 2**62:
            raise ValueError(f"seed is {self.seed!r:.80}, not from 0 to 2**62")
        if self.cost is not None and not 0 < self.cost < math.inf:
            raise ValueError(f"cost is {self.cost!r}, not above 0")
        if len(self.steps) > MOST_STEPS:
            raise ValueError(f"{len(self.steps)} steps are more than {MOST_STEPS}")
        if self.bad_network is not None and self.options.get("transport") == "websocket":
            raise ValueError(
                "network is made on packets of WebRTC, and transport websocket has none"
            )
        if self.persona is not None and self.steps != _LISTEN:
            raise ValueError("steps and persona are both given: a model does no steps")
        _check_options("options", self.options)
        if _KEY.search(msgspec.json.encode(self).decode()):
            raise ValueError(f"the spec holds {_A_KEY}")

    @property
    def bad_network(self) -> Network | None:
        """The network that is asked for; None where none is. Raises ConfigError."""
        if not self.network:
            return None
        if isinstance(self.network, str):
            return Network.of(f"seed={self.seed}, {self.network}", "network")
        return Network.of({"seed": self.seed, **self.network}, "network")

    @property
    def unit(self) -> str:
        """What names it within its run, fit for a file name."""
        return f"{self.scenario}.{self.trial}.{self.seed}"

    @property
    def file_name(self) -> str:
        """What names it among all runs; no two are the same that have not the same names."""
        return f"{self.run}~{self.unit}"


_NOT_OPTIONS = frozenset(
    {"api_key", "credentials", "source", "sink", "tools", "record", "limits", "guards", "history"}
    | {"ca_file", "network", "price", "reconnect"}
)
_A_KEY = "what looks like a key: set OPENAI_API_KEY where the calls run"
_INSTEAD = "a spec has its own fields for what caller, network, tools and limits are"


def _check_options(name: str, options: dict[str, Any]) -> None:
    taken = sorted(set(options) & _NOT_OPTIONS)
    if taken:
        raise ValueError(f"{name} cannot hold {', '.join(taken)}: {_INSTEAD}")
    if _KEY.search(msgspec.json.encode(options).decode()):
        raise ValueError(f"{name} hold {_A_KEY}")
    if urlsplit(str(options.get("base_url") or "")).username is not None:
        raise ValueError(f"{name}: base_url holds a name or password")


def spec_from_json(text: bytes | str, *, where: str = "the spec") -> CallSpec:
    """Return the spec that a JSON text is. Raises ConfigError."""
    return _checked(lambda: msgspec.json.decode(text, type=CallSpec), where)


def spec_from_values(values: Any, *, where: str = "the spec") -> CallSpec:
    """Return the spec that plain values are. Raises ConfigError."""
    return _checked(lambda: msgspec.convert(values, CallSpec), where)


def spec_to_json(spec: CallSpec) -> bytes:
    """Return a spec as JSON, on one line."""
    return msgspec.json.encode(spec)


def _checked(decode: Callable[[], CallSpec], where: str) -> CallSpec:
    try:
        return decode()
    except (msgspec.MsgspecError, ValueError, RecursionError) as exc:
        raise ConfigError(
            f"{where}: {one_line(_plainly(str(exc)), 500)}",
            hint=one_line(_instead_of(str(exc)), 500),
        ) from exc


_OTHER_KIND = re.compile(r"Expected `([^`]+)`, got `([^`]+)`(?: - at `\$\.?([^`]*)`)?$")
_PLACE = re.compile(r"\[(\d+)\]")
_KINDS = {
    "object": "a mapping",
    "array": "a list",
    "str": "a text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "null": "nothing",
}


def _plainly(told: str) -> str:
    """Return what msgspec tells of a value of another kind in the words of the guide."""
    found = _OTHER_KIND.search(told)
    if found is None:
        return told
    wanted = " or ".join(_KINDS.get(each, each) for each in found[1].split(" | ") if each != "null")
    place = _PLACE.sub(lambda number: f" {int(number[1]) + 1}", found[3] or "").replace(".", ", ")
    return f"{place or 'a call'} is {_KINDS.get(found[2], found[2])}, and has to be {wanted}"


_UNKNOWN = re.compile(r"unknown field `([^`]*)`(?: - at `\$\.(\w+)(?:\[[\d.]+\])?`)?$")
_PARTS: dict[str | None, Any] = {
    None: CallSpec,
    "steps": Step,
    "persona": Persona,
    "line": Line,
    "tools": ToolMock,
    "checks": Check,
}


def _instead_of(told: str) -> str:
    """Return what could be meant by a field that msgspec tells to be unknown; else nothing."""
    found = _UNKNOWN.search(told)
    if found is None or found[2] not in _PARTS:
        return ""
    names = _PARTS[found[2]].__struct_fields__
    near = difflib.get_close_matches(found[1], names, 1)
    return f"did you mean {near[0]}?" if near else f"known are: {', '.join(names)}"
