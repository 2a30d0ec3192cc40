"""Tables of the playout benchmarks."""

from __future__ import annotations

import sys
from collections import Counter
from itertools import groupby
from typing import Any

import numpy as np
from bench_measure import conversational

Rows = list[dict[str, Any]]

REQUIRED = (
    ("delay_ms", "ms", 10.0, -1),
    ("pesq", "PESQ", 0.1, 1),
    ("visqol", "ViSQOL", 0.05, 1),
)
"""Figure, unit, how much worse than libwebrtc it may be, and whether more is better."""

CPU_REQUIRED = 0.6
"""Of stock aiortc's, on a clean link: elsewhere stock does not decode what it throws away."""


def virtual_rows(runs: list[Any]) -> Rows:
    """One row per link, over its seeds and clips."""
    rows = []
    for link, group in groupby(runs, key=lambda run: run.link):
        same = list(group)
        row = {"link": link, **summary([run.figures for run in same])}
        minutes = sum(run.seconds for run in same) / 60
        operations: Counter[str] = Counter()
        for run in same:
            operations.update(run.operations)
        row["cpu_ms_per_s"] = 1000 * float(np.median([run.cpu for run in same]))
        row["operations_per_minute"] = {
            name: count / minutes for name, count in operations.most_common()
        }
        row["stats_per_minute"] = {
            name: sum(run.stats[name] for run in same) / minutes
            for name in same[0].stats
            if name.startswith(("packets_", "concealed", "removed", "inserted", "underrun"))
        }
        rows.append(row)
    return rows


def summary(figures: list[Any]) -> dict[str, Any]:
    """Means over clips and seeds; delays over all windows; gaps per minute of speech."""
    delays = np.concatenate([each.delays for each in figures])
    pesq = [value for each in figures for value in each.pesq]
    visqol = [value for each in figures for value in each.visqol]
    minutes = sum(each.speech_seconds for each in figures) / 60
    delay, quality = percentile(delays, 50), float(np.mean(pesq))
    return {
        "delay_ms": delay,
        "delay_p95_ms": percentile(delays, 95),
        "pesq": quality,
        "conv": None if delay is None else conversational(quality, delay / 1000),
        "pesq_least": float(np.min(pesq)),
        "visqol": float(np.mean(visqol)) if visqol else None,
        "gaps_per_minute": sum(each.gaps for each in figures) / minutes,
        "gap_ms_per_minute": 1000 * sum(each.gap_seconds for each in figures) / minutes,
        "recognised": len(delays) * 0.02 / (60 * minutes),
    }


def percentile(delays: Any, share: float) -> float | None:
    return 1000 * float(np.percentile(delays, share)) if len(delays) else None


HEARD = ["delay", "p95 ms", "PESQ", "least", "conv", "ViSQOL", "gaps/min", "ms/min"]


def heard(row: dict[str, Any]) -> list[str]:
    """Return the columns of `HEARD`."""
    return [
        number(row["delay_ms"], 0),
        number(row["delay_p95_ms"], 0),
        number(row["pesq"], 2),
        number(row["pesq_least"], 2),
        number(row["conv"], 2),
        number(row["visqol"], 2),
        number(row["gaps_per_minute"], 1),
        number(row["gap_ms_per_minute"], 0),
    ]


def show_virtual(rows: Rows) -> None:
    table = [["link", *HEARD, "CPU ms/s", "10 ms pulls a minute, by operation"]]
    for row in rows:
        operations = row["operations_per_minute"].items()
        table.append(
            [
                row["link"],
                *heard(row),
                number(row["cpu_ms_per_s"], 1),
                "  ".join(f"{name} {count:.0f}" for name, count in operations),
            ]
        )
    show(table)


def rows_of(judged: list[Any]) -> Rows:
    """One row per link and client, with its differences from libwebrtc and ratio to aiortc."""
    rows: Rows = []
    by_link = groupby(judged, key=lambda result: result[0].link)
    for link, group in by_link:
        clients: dict[str, list[Any]] = {}
        for task, cpu, figures in group:
            clients.setdefault(task.client, []).append((cpu, figures))
        found = {
            name: {
                "link": link,
                "client": name,
                **summary([figures for _, figures in results]),
                "cpu_percent": 100 * float(np.median([cpu for cpu, _ in results])),
            }
            for name, results in clients.items()
        }
        for row in found.values():
            compare(row, found.get("libwebrtc"), found.get("aiortc"))
            rows.append(row)
    return rows


def compare(row: dict[str, Any], yardstick: Any, stock: Any) -> None:
    """Add to our row what is required of it."""
    row["cpu_of_aiortc"] = row["cpu_percent"] / stock["cpu_percent"] if stock else None
    if row["client"] != "rtcvoice" or yardstick is None:
        return
    missed, ahead = [], []
    for name, unit, tolerance, sign in REQUIRED:
        ours, theirs = row[name], yardstick[name]
        if ours is None or theirs is None:
            continue
        better = sign * (ours - theirs)
        row[f"{name}_versus_libwebrtc"] = ours - theirs
        if better < -tolerance:
            missed.append(f"{unit} {ours - theirs:+.{0 if unit == 'ms' else 2}f}")
        elif better >= 0:
            ahead.append(unit)
    share = row["cpu_of_aiortc"]
    if row["link"] == "clean" and share is not None and share > CPU_REQUIRED:
        missed.append(f"CPU {share:.2f} of stock")
    row["missed"] = missed
    row["ahead"] = ahead


def show_side_by_side(rows: Rows) -> None:
    table = [["link", "client", *HEARD, "CPU %", "of aiortc", "against libwebrtc"]]
    for row in rows:
        table.append(
            [
                row["link"] if not table[1:] or row["client"] == rows[0]["client"] else "",
                row["client"],
                *heard(row),
                number(row["cpu_percent"], 1),
                number(row["cpu_of_aiortc"], 2),
                verdict(row),
            ]
        )
    show(table, left=2)


def verdict(row: dict[str, Any]) -> str:
    if "missed" not in row:
        return ""
    differences = [
        f"{unit} {row[f'{name}_versus_libwebrtc']:+.{0 if unit == 'ms' else 2}f}"
        for name, unit, _, _ in REQUIRED
        if f"{name}_versus_libwebrtc" in row
    ]
    if row["missed"]:
        return f"NOT MET: {', '.join(row['missed'])} ({', '.join(differences)})"
    return (
        f"{'ahead' if len(row['ahead']) == len(differences) else 'met'} ({', '.join(differences)})"
    )


def number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def show(table: list[list[str]], *, left: int = 1, file: Any = None) -> None:
    """Print in columns; the first `left` and the last one aligned to the left."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        cells = [
            cell.ljust(width) if index < left or index == len(row) - 1 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("  ".join(cells).rstrip(), file=file or sys.stdout)
