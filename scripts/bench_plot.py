"""A picture of one virtual run: what the network did, what the delay became, what was decided."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
from bench_speech import RATE, programme
from bench_virtual import Run

mpl.use("Agg")
import matplotlib.pyplot as plt

COLOURS = {
    "normal": "#d9d9d9",
    "silence": "#ffffff",
    "buffering": "#fdbf6f",
    "accelerate": "#1f78b4",
    "expand": "#33a02c",
    "fec": "#b2df8a",
    "conceal": "#e31a1c",
    "skip": "#6a3d9a",
    "flush": "#000000",
}
OTHER = "#ff7f00"


def plot(run: Run, path: str, *, clips: int) -> None:
    """Draw the whole run to `path`."""
    figure, (top, bottom) = plt.subplots(
        2,
        1,
        sharex=True,
        figsize=(max(12.0, run.seconds / 3), 8),
        height_ratios=[3, 2],
        layout="constrained",
    )
    draw_delays(top, run, clips)
    draw_operations(bottom, run)
    figures = run.figures
    median, high = np.percentile(figures.delays, [50, 95]) * 1000
    top.set_title(
        f"{run.link}, seed {run.seed}: delay {median:.0f} ms, p95 {high:.0f} ms, "
        f"PESQ {np.mean(figures.pesq):.2f}, {figures.gaps} gaps of "
        f"{1000 * figures.gap_seconds:.0f} ms in all"
    )
    bottom.set_xlabel("seconds")
    figure.savefig(path, dpi=80)
    plt.close(figure)


def draw_delays(axes, run: Run, clips: int) -> None:
    """Network below, target and level, and the delay of what was heard."""
    sent, late = np.array(run.arrivals).reshape(-1, 2).T
    times = np.array([pull.time for pull in run.history])
    for clip in programme(clips).clips:
        axes.axvspan(clip.begin / RATE, clip.end / RATE, color="#f3f3f3", zorder=0)
    axes.plot(sent, late * 1000, ".", ms=2, color="#888888", label="network delay of a packet")
    target = [pull.target * 1000 for pull in run.history]
    level = [pull.level * 1000 for pull in run.history]
    axes.plot(times, level, lw=0.4, color="#a6cee3", label="buffer level")
    axes.plot(times, target, lw=1.2, color="#ff7f00", label="target", drawstyle="steps-post")
    track = run.figures.track
    heard = track.spoken / 16000 + track.delay
    axes.plot(heard, track.delay * 1000, ".", ms=3, color="#1f4e9c", label="mouth to ear")
    axes.set_ylabel("ms")
    axes.set_ylim(0, 1.15 * max(120, *np.percentile(track.delay * 1000, [99.5]), *target))
    axes.margins(x=0.005)
    axes.grid(axis="y", alpha=0.3)
    axes.legend(loc="upper right", ncols=4, fontsize=8, markerscale=3)


def draw_operations(axes, run: Run) -> None:
    """One row per operation, a tick per 10 ms; how often in all beside its name."""
    names = list(run.operations)
    order = [name for name in COLOURS if name in names]
    order += [name for name in names if name not in COLOURS]
    for row, name in enumerate(order):
        times = [pull.time for pull in run.history if pull.operation == name]
        colour = COLOURS.get(name, OTHER)
        colour = "#999999" if name in ("silence", "normal") else colour
        axes.eventplot(times, lineoffsets=row, linelengths=0.8, linewidths=0.7, colors=colour)
    axes.set_yticks(range(len(order)), [f"{name} ({run.operations[name]})" for name in order])
    axes.invert_yaxis()
    axes.set_ylabel("10 ms pulls")
