"""Tables of the playout benchmarks."""

from __future__ import annotations

import sys
from collections import Counter
from itertools import groupby
from typing import Any

import numpy as np

Rows = list[dict[str, Any]]


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
    return {
        "delay_ms": percentile(delays, 50),
        "delay_p95_ms": percentile(delays, 95),
        "pesq": float(np.mean(pesq)),
        "pesq_least": float(np.min(pesq)),
        "visqol": float(np.mean(visqol)) if visqol else None,
        "gaps_per_minute": sum(each.gaps for each in figures) / minutes,
        "gap_ms_per_minute": 1000 * sum(each.gap_seconds for each in figures) / minutes,
        "recognised": len(delays) * 0.02 / (60 * minutes),
    }


def percentile(delays: Any, share: float) -> float | None:
    return 1000 * float(np.percentile(delays, share)) if len(delays) else None


def show_virtual(rows: Rows) -> None:
    heads = ["link", "delay", "p95 ms", "PESQ", "least", "ViSQOL", "gaps/min", "ms/min", "CPU ms/s"]
    table = [[*heads, "10 ms pulls a minute, by operation"]]
    for row in rows:
        operations = row["operations_per_minute"].items()
        table.append(
            [
                row["link"],
                number(row["delay_ms"], 0),
                number(row["delay_p95_ms"], 0),
                number(row["pesq"], 2),
                number(row["pesq_least"], 2),
                number(row["visqol"], 2),
                number(row["gaps_per_minute"], 1),
                number(row["gap_ms_per_minute"], 0),
                number(row["cpu_ms_per_s"], 1),
                "  ".join(f"{name} {count:.0f}" for name, count in operations),
            ]
        )
    show(table)


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
