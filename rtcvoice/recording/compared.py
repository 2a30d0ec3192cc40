"""How a call went, and how another one went beside it: turns, tools, waits; pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from functools import cached_property
from itertools import zip_longest
from typing import Any, Literal, NamedTuple, TypeAlias, TypeVar

from rtcvoice import events
from rtcvoice.conversation.state.conversation import ConversationState
from rtcvoice.conversation.state.turns import Turn
from rtcvoice.errors import one_line
from rtcvoice.system.public import public

from .marks import client_event, server_event
from .reading import LONGEST, EventLine, RecordedCall

__all__ = ["Course", "ReplayResult", "Said", "course_of", "turns_made_out"]

T = TypeVar("T")
_Beside: TypeAlias = "tuple[int, tuple[T | None, T | None]]"

SLOWER = 0.5
"""Seconds by which waits have to differ to be told: networks and models vary."""

MOST = 10_000
"""Turns, and calls of tools, that are looked at."""

MOST_TEXT = 100_000
"""Characters of one of them."""

MOST_FOUND_AGAIN = 2000
"""Of both calls together, in which what only one has is looked for: it takes the square."""


class Said(NamedTuple):
    """One turn."""

    role: str
    text: str
    status: str
    """completed, interrupted or failed."""


@dataclass
class Course:
    """How a call went, in order."""

    turns: list[Said] = field(default_factory=list)
    tools: list[str] = field(default_factory=list)
    """Calls of functions, such as `weather({"city": "Paris"})`."""
    waits: list[float] = field(default_factory=list)
    """Seconds that each spoken turn waited for its answer."""

    def turn(self, role: str, text: str, status: str) -> None:
        """Note a turn that is final."""
        if len(self.turns) < MOST:
            self.turns.append(Said(role, text[:MOST_TEXT], status))

    def feed(self, event: Any) -> None:
        """Note the calls of functions among the events of the server."""
        if isinstance(event, events.ResponseOutputItemDone) and len(self.tools) < MOST:
            item = event.item
            if isinstance(item, events.FunctionCall):
                self.tools.append(_called(item.name, item.arguments)[:MOST_TEXT])


class Pair(NamedTuple):
    """One thing of both calls, beside each other."""

    what: Literal["turn", "tool", "wait"]
    number: int
    recorded: str | None
    """None where there was none of it."""
    now: str | None
    same: bool


@public
@dataclass(frozen=True)
class ReplayResult:
    """A recorded call and its replay, side by side; `str()` of it is a table for people."""

    recorded: Course
    now: Course
    left_out: tuple[str, ...] = ()
    """What the recorded user did that was not done again, in a line each."""

    @cached_property
    def pairs(self) -> list[Pair]:
        """Both calls beside each other: turns, calls of tools, waits.

        Words are compared without case and punctuation, waits where they differ by half a second.
        Where one call has more, what follows is found again.
        """
        then, now = self.recorded, self.now
        turns = _beside(then.turns, now.turns, _key_of_turn)
        tools = _beside(then.tools, now.tools, _bare)
        waits = zip_longest(then.waits, now.waits)
        return [
            *(Pair("turn", n, _turn(a), _turn(b), _alike(a, b)) for n, (a, b) in turns),
            *(
                Pair("tool", n, _shown(a), _shown(b), bool(a and b and _bare(a) == _bare(b)))
                for n, (a, b) in tools
            ),
            *(
                Pair("wait", n, _seconds(a), _seconds(b), _as_long(a, b))
                for n, (a, b) in enumerate(waits, 1)
            ),
        ]

    @property
    def differences(self) -> list[str]:
        """What is not the same, in a line each; empty when both calls went alike."""
        return [
            f"{each.what} {each.number}: {each.recorded or '-'} -> {each.now or '-'}"
            for each in self.pairs
            if not each.same
        ]

    @property
    def same_turns(self) -> bool:
        """Whether the same was said by both sides, and interrupted alike."""
        return all(each.same for each in self.pairs if each.what == "turn")

    def __str__(self) -> str:
        lines = []
        for each in self.pairs:
            if each.what == "wait" and each.same:
                continue
            sign = "=" if each.same else "!"
            name = f"{each.what} {each.number}"
            lines += [f"{sign} {name:8} recorded  {each.recorded or '-'}"]
            if each.now != each.recorded:
                lines += [f"  {'':8} now       {each.now or '-'}"]
        return "\n".join([*lines, *(f"left out: {each}" for each in self.left_out)])


def course_of(recorded: RecordedCall) -> Course:
    """Return how a recorded call went; the turns of the emulator's are made out from its events."""
    course = Course()
    turns: dict[str, dict[str, Any]] = {}
    for line in recorded.turns():
        turn, latency = line.get("turn"), line.get("latency")
        if isinstance(turn, dict) and len(turns) < MOST:
            turns[str(turn.get("id"))] = turn
        elif isinstance(latency, dict) and len(course.waits) < MOST:
            course.waits.append(_number(latency, "heard_at") - _number(latency, "ended_at"))
    for turn in turns.values():
        course.turn(*(str(turn.get(name) or "") for name in ("role", "text", "status")))
    if recorded.is_emulators:
        for made_out in turns_made_out(recorded.events()):
            course.turn(made_out.role, made_out.text, made_out.status.value)
    for event in recorded.events():
        if event.direction == "in" and not event.leg:
            course.feed(server_event(event))
    return course


def turns_made_out(lines: Iterable[EventLine]) -> list[Turn]:
    """Return the turns that the events tell of, each as it was in the end, in order."""
    state, time = ConversationState(lambda: ""), 0.0
    found: dict[str, Turn] = {}
    for line in lines:
        if line.leg:  # of a session that was being prepared: it repeats what was said
            continue
        time = line.time
        if line.direction == "in":
            state.feed(server_event(line), time)
        elif line.direction == "out":
            sent = client_event(line)
            if not isinstance(sent, events.UnknownEvent):
                state.sent(sent, time)
        found |= {turn.id: turn for turn in state.turns.take(time, partial=False) if turn.final}
    state.turns.end(time)
    found |= {turn.id: turn for turn in state.turns.take(time, partial=False)}
    return list(found.values())


def _alike(a: Said | None, b: Said | None) -> bool:
    """Whether two turns are the same; of answers that were cut the shorter one decides."""
    if a is None or b is None or (a.role, a.status) != (b.role, b.status):
        return False
    then, now = _bare(a.text), _bare(b.text)
    if a.status == "interrupted":
        return then.startswith(now) or now.startswith(then)
    return then == now


def _beside(then: list[T], now: list[T], key: Callable[[T], object]) -> list[_Beside[T]]:
    """Return pairs, numbered; what only one of both has stands alone."""
    matcher = SequenceMatcher(
        None, [key(each) for each in then], [key(each) for each in now], False
    )
    pairs: list[tuple[T | None, T | None]] = []
    if len(then) + len(now) > MOST_FOUND_AGAIN:
        pairs += zip_longest(then, now)
    else:
        for _, a, b, c, d in matcher.get_opcodes():
            pairs += zip_longest(then[a:b], now[c:d])
    return list(enumerate(pairs, 1))


def _key_of_turn(said: Said) -> object:
    return (said.role, said.status, _bare(said.text))


def _turn(said: Said | None) -> str | None:
    if said is None:
        return None
    status = "" if said.status == "completed" else f" ({said.status})"
    return f"{_shown(f'{said.role}: {said.text}')}{status}"


def _seconds(wait: float | None) -> str | None:
    return None if wait is None else f"{wait:.2f} s"


def _as_long(a: float | None, b: float | None) -> bool:
    """Whether two waits are; one that was not measured in both calls tells nothing."""
    return a is None or b is None or abs(a - b) < SLOWER


def _called(name: str, arguments: str) -> str:
    return f"{name}({(arguments or '').strip() or '{}'})"


def _bare(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))


def _shown(text: str | None) -> str | None:
    return None if text is None else one_line(text, 200)


def _number(values: dict[str, Any], name: str) -> float:
    value = values.get(name)
    fits = isinstance(value, int | float) and abs(value) <= LONGEST
    return float(value) if fits else 0.0  # type: ignore[arg-type]  # NaN does not fit
