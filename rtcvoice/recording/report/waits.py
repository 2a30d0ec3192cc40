"""How long the user waited for each answer, and what for; pure.

    ended ----------- noticed --------- tools ------- started ---- heard
      detection, network    server              server      playout

`ended`: the user stopped speaking; `noticed`: the server told us that it knew, or we told it by a
commit; `started`: it told us that the answer's sound begins; `heard`: the first sound of it left
the loudspeaker. The parts add up to the whole. The network is the round trip as measured in that
second; it is told apart from where it lies.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rtcvoice import events
from rtcvoice.conversation.accounts.latency import LatencyMeter
from rtcvoice.recording.reading import EventLine

from .checked import as_dict, number, text
from .flow import Flow, ToolSpan

__all__ = ["PARTS", "Reckoner", "Wait", "WaitTable", "parts_of", "wait_of"]

PARTS = ("detection", "network", "server", "tools", "playout")
"""In the order in which they are shown."""


@dataclass(frozen=True)
class Wait:
    """The moments of one wait, in seconds from the call's beginning."""

    item_id: str
    response_id: str
    ended: float
    noticed: float
    heard: float


def wait_of(value: object) -> Wait | None:
    """Return what a line of `turns.jsonl` tells, None where that is nothing."""
    fields = as_dict(value)
    moments = [number(fields.get(name)) for name in ("ended_at", "noticed_at", "heard_at")]
    ended, noticed, heard = moments
    if ended is None or noticed is None or heard is None or not ended <= noticed <= heard:
        return None
    item, response = (text(fields.get(name), 200) for name in ("item_id", "response_id"))
    return Wait(item, response, ended, noticed, heard)


class Reckoner:
    """Reckons the waits of a recording that does not tell them, from its events.

    Nothing tells there what was heard: an answer counts as heard when its sound began.
    """

    def __init__(self) -> None:
        self._meter = LatencyMeter()

    def feed(self, line: EventLine, event: Any) -> None:
        """Take the next line; `event` is it decoded, of the server's."""
        if line.direction == "in":
            self._meter.feed(event, line.time)
            if (response := self._meter.awaited) is not None:
                self._meter.heard(response, line.time)
        elif line.direction == "out":
            self._meter.sent(events.decode_client(json.dumps(line.event)), line.time)

    def waits(self) -> list[Wait]:
        """Return what was reckoned so far."""
        return [found for each in self._meter.turns if (found := wait_of(asdict(each)))]


class WaitTable:
    """What `parts_of` needs beside a wait: the round trips of the call, by time."""

    def __init__(self, flow: Flow, round_trips: Sequence[tuple[float, float]]) -> None:
        self._flow = flow
        self._times = [time for time, _ in round_trips]
        self._round_trips = [seconds for _, seconds in round_trips]

    def row(self, wait: Wait) -> dict[str, Any]:
        """Return a wait as the page shows it."""
        span = self._flow.assistant.get(wait.response_id)
        at = bisect_right(self._times, wait.noticed) - 1
        if at < 0 and self._times:
            at = 0
        parts = parts_of(
            wait,
            started=span.begin if span else None,
            round_trip=self._round_trips[at] if self._times else 0.0,
            tools=self._flow.tools.values(),
        )
        return {
            "item": wait.item_id,
            "response": wait.response_id,
            "ended": round(wait.ended, 3),
            "total": round(wait.heard - wait.ended, 4),
            "parts": [round(parts[name], 4) for name in PARTS],
        }


def parts_of(
    wait: Wait,
    *,
    started: float | None,
    round_trip: float = 0.0,
    tools: Iterable[ToolSpan] = (),
) -> dict[str, float]:
    """Return the parts of a wait in seconds, by name; none is negative, and they add up to it.

    `started` is None where nothing told it: then what the server took and playout are one. `tools`
    are all of the call; what of them ran meanwhile counts.
    """
    begun = wait.heard if started is None else min(max(started, wait.noticed), wait.heard)
    detecting, making = wait.noticed - wait.ended, begun - wait.noticed
    network = min(max(0.0, round_trip), detecting if detecting > 0 else making)
    if detecting > 0:
        detecting -= network
    else:  # it was ended by hand: the commit travels, and so does the answer
        making -= network
    ran = min(making, _covered(tools, wait.noticed, begun))
    return {
        "detection": detecting,
        "network": network,
        "server": making - ran,
        "tools": ran,
        "playout": wait.heard - begun,
    }


def _covered(tools: Iterable[ToolSpan], begin: float, end: float) -> float:
    """Return for how many seconds between two moments a tool of ours ran."""
    covered, until = 0.0, begin
    runs = [(tool.begin, tool.end) for tool in tools if tool.end is not None and not tool.by_server]
    for start, stop in sorted(runs):
        start, stop = max(start, until), min(stop, end)
        if stop > start:
            covered, until = covered + stop - start, stop
    return covered
