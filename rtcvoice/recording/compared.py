"""How a call went, and how another one went beside it: turns, tools, waits; pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any, NamedTuple

from rtcvoice import events
from rtcvoice.conversation.state.conversation import ConversationState
from rtcvoice.conversation.state.turns import Turn
from rtcvoice.errors import one_line
from rtcvoice.system.public import public

from .given_tools import runs_of
from .marks import server_event
from .reading import EventLine, RecordedCall

__all__ = ["Course", "ReplayResult", "Said", "course_of", "turns_made_out"]

SLOWER = 0.5
"""Seconds by which waits have to differ to be told: networks and models vary."""

MOST = 10_000
"""Turns, and calls of tools, that are looked at."""


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
            self.turns.append(Said(role, text, status))

    def feed(self, event: Any) -> None:
        """Note the calls of functions among the events of the server."""
        if isinstance(event, events.ResponseOutputItemDone) and len(self.tools) < MOST:
            item = event.item
            if isinstance(item, events.FunctionCall):
                self.tools.append(_called(item.name, item.arguments))


@public
@dataclass(frozen=True)
class ReplayResult:
    """A recorded call and its replay, side by side; `str()` of it is a table for people."""

    recorded: Course
    now: Course
    left_out: tuple[str, ...] = ()
    """What the recorded user did that was not done again, in a line each."""

    @property
    def differences(self) -> list[str]:
        """What is not the same, in a line each; empty when both calls went alike.

        Words are compared without case and punctuation, waits where they differ by half a second.
        """
        found = []
        for number, (then, now) in enumerate(zip_longest(self.recorded.turns, self.now.turns), 1):
            if not _alike(then, now):
                found.append(f"turn {number}: {_turn(then)} -> {_turn(now)}")
        for number, (was, ran) in enumerate(zip_longest(self.recorded.tools, self.now.tools), 1):
            if was is None or ran is None or _bare(was) != _bare(ran):
                found.append(f"tool {number}: {_shown(was)} -> {_shown(ran)}")
        for number, (before, wait) in enumerate(
            zip(self.recorded.waits, self.now.waits, strict=False), 1
        ):
            if abs(before - wait) >= SLOWER:
                found.append(f"wait {number}: {before:.2f} s -> {wait:.2f} s")
        return found

    @property
    def same_turns(self) -> bool:
        """Whether the same was said by both sides, and interrupted alike."""
        return not any(each.startswith("turn") for each in self.differences)

    def __str__(self) -> str:
        lines = []
        for then, now in zip_longest(self.recorded.turns, self.now.turns):
            sign = "=" if _alike(then, now) else "!"
            lines += [f"{sign} recorded  {_turn(then)}", f"  now       {_turn(now)}"]
        others = [each for each in self.differences if not each.startswith("turn")]
        return "\n".join([*lines, *others, *(f"left out: {each}" for each in self.left_out)])


def course_of(recorded: RecordedCall) -> Course:
    """Return how a recorded call went; the turns of the emulator's are made out from its events."""
    course, turns, waits = Course(), {}, []
    for line in recorded.turns():
        turn, latency = line.get("turn"), line.get("latency")
        if isinstance(turn, dict):
            turns[str(turn.get("id"))] = turn
        elif isinstance(latency, dict):
            waits.append(_number(latency, "heard_at") - _number(latency, "ended_at"))
    for turn in turns.values():
        course.turn(*(str(turn.get(name) or "") for name in ("role", "text", "status")))
    if recorded.is_emulators:
        for made_out in turns_made_out(recorded.events()):
            course.turn(made_out.role, made_out.text, made_out.status.value)
    course.waits = waits
    course.tools = [_called(run.name, run.arguments) for run in runs_of(recorded.events())]
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
            sent = events.decode_client(json.dumps(line.event))
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


def _turn(said: Said | None) -> str:
    if said is None:
        return _shown(None)
    status = "" if said.status == "completed" else f" ({said.status})"
    return f"{_shown(f'{said.role}: {said.text}')}{status}"


def _called(name: str, arguments: str) -> str:
    return f"{name}({arguments.strip() or '{}'})"


def _bare(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))


def _shown(text: str | None) -> str:
    return "-" if text is None else one_line(text, 200)


def _number(values: dict[str, Any], name: str) -> float:
    value = values.get(name)
    return float(value) if isinstance(value, int | float) else 0.0
