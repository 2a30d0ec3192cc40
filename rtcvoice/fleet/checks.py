"""What a call is held to: checks of what was done, said and heard, without anybody's opinion; pure.

A check looks at a result alone, so it can be made again of a result that was kept. Words are
compared without case and punctuation.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np

from rtcvoice.errors import one_line

from .patterns import PatternTooSlow, check_pattern, found_in
from .results import CallResult, CheckResult, ToolUse
from .spans import compare
from .summary import quantile

__all__ = ["Called", "Check", "Transcript", "Within", "judge", "word_error_rate"]

LONGEST_TEXT = 20_000
"""Characters of what was said that a pattern is looked for in."""


class Called(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """A call of a tool; `arguments` are those that have to be so, others may be there."""

    name: str
    arguments: dict[str, Any] = {}

    def fits(self, use: ToolUse) -> bool:
        """Whether a call is this one."""
        same = all(
            key in use.arguments and _equal(use.arguments[key], value)
            for key, value in self.arguments.items()
        )
        return use.name == self.name and same

    def __str__(self) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in self.arguments.items())
        return f"{self.name}({given})"


class Transcript(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """Words that a side is to have said, with at most so many wrong: `most` 0.1 is one in ten."""

    text: str
    role: str = "assistant"
    most: float = 0.1

    def __post_init__(self) -> None:
        if self.role not in ("assistant", "user"):
            raise ValueError(f"role is {self.role!r}, not assistant or user")


class Within(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """Bounds of a figure; `share`: of several, such as waits, that many have to be within."""

    least: float | None = None
    most: float | None = None
    share: float = 1.0

    def __post_init__(self) -> None:
        if self.least is None and self.most is None:
            raise ValueError("least and most are both missing")
        if not all(map(math.isfinite, filter(None, (self.least, self.most)))):
            raise ValueError("least and most have to be numbers")
        if not 0 < self.share <= 1:
            raise ValueError(f"share is {self.share!r}, not from 0 to 1")

    def holds(self, value: float) -> bool:
        """Whether a value is within."""
        return (self.least is None or value >= self.least) and (
            self.most is None or value <= self.most
        )

    def __str__(self) -> str:
        bounds = [f"at least {self.least:g}"] if self.least is not None else []
        bounds += [f"at most {self.most:g}"] if self.most is not None else []
        return " and ".join(bounds)


class Check(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """One thing that a call is held to. Exactly one of the fields.

    called: a tool was called so, or, where it is a text, the one of that name; called_in_order:
        one call after the other, others between them.
    not_called: no tool of that name was called.
    said, not_said: a pattern (regular expression) in the words of the assistant; user_said: of the
        user, as the model understood them.
    transcript: the words of a side, with few of them wrong.
    first: who was heard first, `assistant` or `user`.
    latency: seconds that each answer took; dead_air: seconds of waiting, together;
    talk_over: seconds while both were heard; yields: seconds until the assistant was silent each
        time that it was interrupted.
    interruptions: answers of the assistant that were cut off.
    turns, seconds, cost, concealed: of the call. ended: a pattern in the reason of its end.
    state: values that the tools were to leave behind, see `ToolMock.sets`.
    """

    called: Called | str | None = None
    called_in_order: tuple[Called | str, ...] | None = None
    not_called: str | None = None
    said: str | None = None
    not_said: str | None = None
    user_said: str | None = None
    transcript: Transcript | None = None
    first: str | None = None
    latency: Within | None = None
    dead_air: Within | None = None
    talk_over: Within | None = None
    yields: Within | None = None
    interruptions: Within | None = None
    turns: Within | None = None
    seconds: Within | None = None
    cost: Within | None = None
    concealed: Within | None = None
    ended: str | None = None
    state: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        if len(self._given) != 1:
            raise ValueError(f"a check is one of {', '.join(self.__struct_fields__)}")
        for name in ("said", "not_said", "user_said", "ended"):
            if (pattern := getattr(self, name)) is not None:
                check_pattern(name, pattern)
        if self.first not in (None, "assistant", "user"):
            raise ValueError(f"first is {self.first!r}, not assistant or user")

    @property
    def _given(self) -> list[str]:
        return [name for name in self.__struct_fields__ if getattr(self, name) is not None]

    @property
    def kind(self) -> str:
        """The field that is given."""
        return self._given[0]


def judge(check: Check, result: CallResult) -> CheckResult:
    """Return whether a call passes a check, and what was found."""
    wanted = getattr(check, check.kind)
    try:
        passed, found = _JUDGES[check.kind](wanted, result)
    except PatternTooSlow as slow:
        passed, found = False, str(slow)
    told = msgspec.json.encode(wanted).decode() if not isinstance(wanted, str) else wanted
    return CheckResult(
        check=one_line(f"{check.kind}: {told}", 300), passed=passed, found=one_line(found, 300)
    )


def word_error_rate(said: str, wanted: str) -> float:
    """Return the words that are wrong, missing or too many, for each word that was wanted."""
    numbers: dict[str, int] = {}
    ours = [numbers.setdefault(word, len(numbers)) for word in _words(said)]
    theirs = np.array([numbers.setdefault(word, len(numbers)) for word in _words(wanted)], np.int32)
    places = np.arange(len(theirs) + 1, dtype=np.int32)
    row = places
    for number, word in enumerate(ours, 1):
        ways = np.minimum(row[1:] + 1, row[:-1] + (theirs != word))
        # What is missing counts one each: the least of all before, and the way from there.
        row = np.minimum.accumulate(np.concatenate(([number], ways)) - places) + places
    return float(row[-1]) / max(1, len(theirs))


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())[:5000]


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, str) and isinstance(other, str):
        return _words(one) == _words(other)
    return bool(one == other)


# -- what each kind looks at --------------------------------------------------------------------

_Judged = tuple[bool, str]


def _calls(result: CallResult) -> str:
    made = (str(Called(name=use.name, arguments=use.arguments)) for use in result.tools)
    return ", ".join(made) or "no tool was called"


def _called(wanted: Called | str, result: CallResult) -> _Judged:
    return _called_in_order([wanted], result)


def _called_in_order(wanted: Sequence[Called | str], result: CallResult) -> _Judged:
    left = iter(result.tools)
    each = [Called(name=one) if isinstance(one, str) else one for one in wanted]
    return all(any(one.fits(use) for use in left) for one in each), _calls(result)


def _not_called(name: str, result: CallResult) -> _Judged:
    return all(use.name != name for use in result.tools), _calls(result)


def _said_by(role: str, result: CallResult) -> str:
    return " ".join(turn.text for turn in result.turns if turn.role == role)[:LONGEST_TEXT]


def _pattern(role: str, *, wanted: bool) -> Callable[[str, CallResult], _Judged]:
    def look(pattern: str, result: CallResult) -> _Judged:
        text = _said_by(role, result)
        found = found_in(text, pattern)
        return (found is not None) is wanted, found or text or "no words are known"

    return look


def _transcript(wanted: Transcript, result: CallResult) -> _Judged:
    said = _said_by(wanted.role, result)
    rate = word_error_rate(said, wanted.text)
    return rate <= wanted.most, f"{rate:.0%} of the words are wrong: {said}"


def _first(wanted: str, result: CallResult) -> _Judged:
    user = result.spoke[0][0] if result.spoke else float("inf")
    other = result.heard[0][0] if result.heard else float("inf")
    if user == other:
        return False, "nobody was heard"
    found = "user" if user < other else "assistant"
    return found == wanted, found


def _several(values: Callable[[CallResult], Sequence[float]]) -> Callable[..., _Judged]:
    def look(wanted: Within, result: CallResult) -> _Judged:
        found = values(result)
        if not found:
            return False, "none was measured"
        good = sum(map(wanted.holds, found)) / len(found)
        told = ", ".join(f"p{q * 100:.0f} {quantile(found, q):.2f}" for q in (0.5, 0.95, 1.0))
        return good >= wanted.share, f"{good:.0%} of {len(found)} are within: {told}"

    return look


def _one(value: Callable[[CallResult], float | None]) -> Callable[..., _Judged]:
    def look(wanted: Within, result: CallResult) -> _Judged:
        found = value(result)
        return found is not None and wanted.holds(
            found
        ), "unknown" if found is None else f"{found:g}"

    return look


def _ended(pattern: str, result: CallResult) -> _Judged:
    told = result.ended or result.error
    return found_in(told, pattern) is not None, told


def _state(wanted: dict[str, Any], result: CallResult) -> _Judged:
    found = {name: result.state.get(name) for name in wanted}
    return found == wanted, msgspec.json.encode(found).decode()


def _cut_off(result: CallResult) -> float:
    cut = (t for t in result.turns if t.role == "assistant" and t.status == "interrupted")
    return float(len(list(cut)))


_JUDGES: dict[str, Callable[..., _Judged]] = {
    "called": _called,
    "called_in_order": _called_in_order,
    "not_called": _not_called,
    "said": _pattern("assistant", wanted=True),
    "not_said": _pattern("assistant", wanted=False),
    "user_said": _pattern("user", wanted=True),
    "transcript": _transcript,
    "first": _first,
    "latency": _several(lambda result: result.latencies),
    "dead_air": _one(lambda result: compare(result.spoke, result.heard).dead_air),
    "talk_over": _one(lambda result: result.talk_over),
    "yields": _several(lambda result: compare(result.spoke, result.heard).yields),
    "interruptions": _one(_cut_off),
    "turns": _one(lambda result: float(len(result.turns))),
    "seconds": _one(lambda result: result.seconds),
    "cost": _one(lambda result: result.cost),
    "concealed": _one(lambda result: result.concealed),
    "ended": _ended,
    "state": _state,
}
