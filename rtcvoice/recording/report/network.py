"""What the statistics of a call tell of network and playout: figures of each second; pure.

`stats.jsonl` counts from the beginning of the call, in the names of webrtc-stats; a figure of a
second is what two lines differ by. What is missing, or is no number, is None.
"""

from __future__ import annotations

from typing import Any

from .checked import as_dict, number, text

__all__ = ["COLUMNS", "Network"]

MOST = 100_000
"""Lines: more than a day."""

COLUMNS = (
    "time",
    "target",
    "delay",
    "round_trip",
    "loss",
    "up_loss",
    "concealed",
    "recovered",
    "dropouts",
    "cost",
)
"""Seconds; milliseconds three times; percent three times; packets; times; US dollars so far."""

_TOTALS = (
    ("playout", "packets_received", "packets received"),
    ("playout", "packets_lost", "packets lost"),
    ("playout", "packets_recovered", "lost packets rebuilt from FEC"),
    ("playout", "packets_late", "packets that came too late"),
    ("playout", "concealment_events", "gaps that were concealed"),
    ("playout", "underruns", "times that the buffer ran dry"),
    ("uplink", "packets_sent", "packets sent"),
    ("uplink", "packets_lost", "of them lost"),
    ("microphone", "dropouts", "dropouts of the microphone"),
    ("loudspeaker", "dropouts", "dropouts of the loudspeaker"),
)


class Network:
    """Feed every line of `stats.jsonl`, in order."""

    def __init__(self) -> None:
        self.usage: dict[str, Any] = {}
        """Tokens and cost as the last line told them."""
        self._rows: list[tuple[float | None, ...]] = []
        self._last: dict[str, Any] = {}

    def feed(self, line: dict[str, Any]) -> None:
        """Take the next line."""
        stats = as_dict(line.get("stats"))
        self.usage = as_dict(line.get("usage")) or self.usage
        if len(self._rows) >= MOST or (self._rows and line["time"] < (self._rows[-1][0] or 0.0)):
            return
        self._rows.append(self._row(line["time"], stats))
        self._last = stats

    def columns(self) -> dict[str, list[float | None]]:
        """Return the figures by name, each a list with one for each line."""
        values = list(zip(*self._rows, strict=True)) or [() for _ in COLUMNS]
        return {name: list(column) for name, column in zip(COLUMNS, values, strict=True)}

    def round_trips(self) -> list[tuple[float, float]]:
        """Return when which round trip was measured, in seconds."""
        at = COLUMNS.index("round_trip")
        return [(row[0] or 0.0, value / 1000) for row in self._rows if (value := row[at])]

    def totals(self) -> list[tuple[str, str]]:
        """Return what the last line counts, as words and a figure."""
        found = []
        for part, name, told in _TOTALS:
            count = number(as_dict(self._last.get(part)).get(name))
            if count is not None:
                found.append((told, f"{count:,.0f}"))
        transport = as_dict(self._last.get("transport"))
        network = as_dict(transport.get("network"))
        for direction in ("uplink", "downlink"):
            lost = number(as_dict(network.get(direction)).get("lost"))
            if lost is not None:
                found.append((f"lost by the bad network, {direction}", f"{lost:,.0f}"))
        named = {"bad network that was asked for": network.get("asked")}
        named["way through the network"] = transport.get("candidate_pair")
        for part in ("microphone", "loudspeaker"):
            named[part] = as_dict(self._last.get(part)).get("device")
        return [*found, *((told, text(value, 300)) for told, value in named.items() if value)]

    def _row(self, time: float, stats: dict[str, Any]) -> tuple[float | None, ...]:
        playout, uplink = as_dict(stats.get("playout")), as_dict(stats.get("uplink"))
        lost, received = self._more("packets_lost"), self._more("packets_received")
        lost, received = lost(playout), received(playout)
        waited = self._more("jitter_buffer_delay")(playout)
        emitted = self._more("jitter_buffer_emitted_count")(playout)
        concealed = self._more("concealed_samples")(playout)
        played = self._more("samples_played")(playout)
        dropouts = [
            self._more("dropouts", of=part)(as_dict(stats.get(part)))
            for part in ("microphone", "loudspeaker")
        ]
        told = [each for each in dropouts if each is not None]
        return (
            round(time, 3),
            _scaled(number(playout.get("jitter_buffer_target_delay")), 1000),
            _share(waited, emitted, 1000),
            _scaled(number(stats.get("round_trip_time")), 1000),
            _share(lost, None if lost is None or received is None else lost + received, 100),
            _scaled(number(uplink.get("fraction_lost")), 100),
            _percent(_share(concealed, played, 100)),
            self._more("packets_recovered")(playout),
            sum(told) if told else None,
            number(self.usage.get("known_cost")),
        )

    def _more(self, name: str, of: str = "playout") -> Any:
        """Return what tells how much more of `name` there is than in the line before."""
        before = number(as_dict(self._last.get(of)).get(name)) or 0.0

        def more(now: dict[str, Any]) -> float | None:
            value = number(now.get(name))
            return None if value is None else max(0.0, value - before)

        return more


def _scaled(value: float | None, by: float) -> float | None:
    return None if value is None else round(value * by, 1)


def _share(part: float | None, whole: float | None, by: float) -> float | None:
    if part is None or whole is None:
        return None
    return round(part / whole * by, 1) if whole > 0 else None


def _percent(value: float | None) -> float | None:
    return None if value is None else min(100.0, value)
