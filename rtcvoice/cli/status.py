"""The line under a call: time, both sides' levels, the network, in whatever room there is; pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from rich.cells import cell_len
from rich.text import Text

from rtcvoice.cli.quality import Grade, Quality

__all__ = ["KEYS", "SUSPEND", "Meter", "Status", "keys_line", "status_line"]

QUIET, LOUD = -60.0, -6.0
"""dB below full scale at which a meter begins to show something, and is full."""

FALL = 40.0
"""dB a second by which a meter sinks: fast enough for syllables, slow enough for eyes."""

NARROW, WIDE = 64, 100
"""Columns below which everything is said more briefly, and from which at more length."""

SUSPEND = ("Ctrl-Z twice", "suspend")

KEYS = (("m", "mute"), ("space", "interrupt"), ("q", "hang up"), SUSPEND, ("?", "keys"))
"""What can be pressed during a call."""

_WORDS = {
    Grade.UNKNOWN: ("...", "dim"),
    Grade.GOOD: ("good", "green"),
    Grade.FAIR: ("fair", "yellow"),
    Grade.POOR: ("poor", "red"),
    Grade.QUIET: ("nothing arrives", "yellow"),
    Grade.LOST: ("nothing arrives", "bold red"),
}
_STEPS = {Grade.GOOD: 3, Grade.FAIR: 2, Grade.POOR: 1}


_UNMEASURED = Quality(Grade.UNKNOWN)


class Meter:
    """A level that jumps up and sinks slowly, as on a mixing desk."""

    def __init__(self) -> None:
        self._dbfs = QUIET
        self._at = 0.0

    def feed(self, dbfs: float, now: float) -> float:
        """Take the loudest since the last time; return what to show, 0 to 1."""
        sunk = self._dbfs - FALL * max(0.0, now - self._at)
        self._dbfs, self._at = max(dbfs, sunk, QUIET), now
        return min(1.0, (self._dbfs - QUIET) / (LOUD - QUIET))


@dataclass(frozen=True)
class Status:
    """What there is to tell at one moment."""

    elapsed: float
    """Seconds since the call was ready."""
    you: float = 0.0
    """Level of what is sent, 0 to 1."""
    assistant: float = 0.0
    """Level of what is heard, 0 to 1."""
    muted: bool = False
    quality: Quality = _UNMEASURED
    keys: bool = False
    """Whether keys can be pressed."""


def status_line(status: Status, width: int, *, plain: bool = False) -> Text:
    """Return the line, at most `width` columns wide; `plain`: ASCII only."""
    narrow = width < NARROW
    cells = 4 if narrow else 8
    you = Text("muted".ljust(cells), "bold red") if status.muted else _bar(status.you, cells, plain)
    parts = [
        Text(_clock(status.elapsed)),
        Text("you ").append_text(you),
        Text("ai " if narrow else "assistant ").append_text(_bar(status.assistant, cells, plain)),
        _network(status.quality, width, plain=plain),
    ]
    if status.keys:
        parts.append(Text("?" if narrow else "? keys", "dim"))
    gap = " " if narrow else "  "
    while sum(cell_len(part.plain) + len(gap) for part in parts) > width and len(parts) > 1:
        parts.pop()
    line = Text(gap).join([Text(), *parts])
    line.no_wrap = True
    return line


def keys_line(keys: Iterable[tuple[str, str]] = KEYS, width: int = 80) -> list[Text]:
    """Return what the keys do, in lines of at most `width` columns, broken between keys."""
    lines = [Text()]
    for key, does in keys:
        if key == "?":
            continue
        told = Text(key, "bold").append(f" {does}", "dim")
        gap = 3 if lines[-1] else 0
        if lines[-1].cell_len + gap + told.cell_len > width and lines[-1]:
            lines.append(told)
        else:
            lines[-1].append(" " * gap).append_text(told)
    return lines


def _clock(seconds: float) -> str:
    whole = int(seconds)
    hours = f"{whole // 3600}:" if whole >= 3600 else ""
    return f"{hours}{whole // 60 % 60:{'02' if hours else '2'}}:{whole % 60:02}"


def _bar(level: float, cells: int, plain: bool) -> Text:
    on, off = ("#", "-") if plain else ("▮", "▯")
    lit = round(level * cells)
    style = "red" if level >= 1 else "green"
    return Text(on * lit, style).append(off * (cells - lit), "dim")


def _network(quality: Quality, width: int, *, plain: bool) -> Text:
    word, style = _WORDS[quality.grade]
    steps = 0 if plain else _STEPS.get(quality.grade, 0)
    bars = Text("▂▄▆"[:steps], style).append("" if plain else "▂▄▆"[steps:] + " ", "dim")
    if quality.grade in (Grade.QUIET, Grade.LOST):  # figures of before would say that all is well
        return bars.append(f"{word} for {quality.quiet:.0f} s" if width >= NARROW else word, style)
    if width < NARROW and quality.round_trip is not None:
        return bars.append(f"{quality.round_trip * 1000:.0f} ms")
    figures = "".join(f", {figure}" for figure in _figures(quality, width))
    return bars.append(word, style).append(figures, "dim")


def _figures(quality: Quality, width: int) -> Iterator[str]:
    wide = width >= WIDE
    if quality.way and width >= NARROW:
        yield f"by {quality.way}"
    if quality.round_trip is not None:
        yield f"{'round trip ' if wide else ''}{quality.round_trip * 1000:.0f} ms"
    if wide:
        yield f"{quality.delay * 1000:.0f} ms buffered"
    if quality.grade is not Grade.UNKNOWN and width >= NARROW and (wide or not quality.way):
        yield f"{quality.loss * 100:.0f} % lost"
