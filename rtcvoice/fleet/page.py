"""The page of a run: one HTML file without a script, safe whatever a model has said; pure."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Collection, Sequence
from html import escape
from itertools import islice
from typing import Any
from urllib.parse import quote

from .results import CallResult, Outcome

__all__ = ["page_of"]

BARS = 30
"""Of a distribution."""

MOST_ROWS = 2000
"""Calls in the table; the others are in `results.csv`."""

_STYLE = """
:root{color-scheme:light dark;--line:#8884;--good:#2a7;--bad:#c43;--other:#b80;--bar:#58a}
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem}
h1{font-size:1.6rem}h2{font-size:1.2rem;margin-top:2rem}
.cards{display:flex;flex-wrap:wrap;gap:1rem}
.card{border:1px solid var(--line);border-radius:.5rem;padding:.6rem 1rem;min-width:7rem}
.card b{display:block;font-size:1.4rem}
table{border-collapse:collapse;width:100%}.wide{overflow-x:auto}
th,td{border-bottom:1px solid var(--line);padding:.3rem .6rem;text-align:left;vertical-align:top}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}
.completed{color:var(--good)}.failed{color:var(--bad)}
.infrastructure,.invalid,.stopped{color:var(--other)}
svg rect{fill:var(--bar)}svg text{fill:currentColor;font-size:11px}
figure{margin:0}figcaption{font-size:.85rem;opacity:.8}
.charts{display:flex;flex-wrap:wrap;gap:2rem}
"""


def page_of(
    summary: dict[str, Any],
    results: Sequence[CallResult],
    *,
    title: str,
    reported: Collection[str] = (),
    priced: str = "",
) -> str:
    """Return the page; recordings are linked where they are, beside it.

    priced: what is said of its costs where nobody was charged them.
    reported: the recordings, as results name them, that have a report of their own.
    """
    digest = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'"
    body = "".join(
        [
            f"<h1>{escape(title)}</h1>",
            _stopped(summary),
            _cards(summary, priced),
            _charts(results),
            _scenarios(summary),
            _worst(summary, results, reported),
            _table(results, reported),
        ]
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>{body}</body></html>\n"
    )


def _stopped(summary: dict[str, Any]) -> str:
    told = summary.get("stopped")
    return f'<p class="stopped">Not all calls were made: {escape(told)}</p>' if told else ""


def _cards(summary: dict[str, Any], priced: str) -> str:
    waits = summary["latency"]
    cards = [(str(n), name) for name, n in summary["outcomes"].items() if n or name == "completed"]
    cards += [(_seconds(waits[name]), f"answers, {name}") for name in ("p50", "p95")]
    cards += [
        (f"{summary['cost']:.2f}", f"US$, {priced}" if priced else "US$"),
        (f"{summary['tokens']:,}", "tokens"),
    ]
    shown = (f'<div class="card"><b>{escape(n)}</b>{escape(what)}</div>' for n, what in cards)
    return f'<div class="cards">{"".join(shown)}</div>'


def _charts(results: Sequence[CallResult]) -> str:
    waits = [each for result in results for each in result.latencies]
    connects = [result.connect_seconds for result in results if result.connect_seconds]
    charts = _chart(waits, "seconds until an answer was heard") + _chart(
        connects, "seconds to connect"
    )
    return f'<div class="charts">{charts}</div>' if charts else ""


def _chart(values: Sequence[float], caption: str) -> str:
    """Return a distribution as bars."""
    if not values:
        return ""
    most = max(values) or 1.0
    counts = [0] * BARS
    for value in values:
        counts[min(BARS - 1, int(value / most * BARS))] += 1
    tallest = max(counts)
    bars = "".join(
        f'<rect x="{10 * n + 1}" y="{120 - 110 * count / tallest:.1f}" width="8"'
        f' height="{110 * count / tallest:.1f}"><title>{most * n / BARS:.2f} to'
        f" {most * (n + 1) / BARS:.2f}: {count}</title></rect>"
        for n, count in enumerate(counts)
        if count
    )
    return (
        f'<figure><svg viewBox="0 0 {BARS * 10} 140" width="420" height="196" role="img"'
        f' aria-label="{escape(caption)}">{bars}<text x="0" y="135">0</text>'
        f'<text x="{BARS * 10}" y="135" text-anchor="end">{most:.2f}</text></svg>'
        f"<figcaption>{escape(caption)} ({len(values)})</figcaption></figure>"
    )


def _scenarios(summary: dict[str, Any]) -> str:
    rows = "".join(
        f"<tr><td>{escape(name)}</td><td class=n>{each['trials']}</td>"
        f"<td class=n>{each['completed']}</td><td class=n>{each['failed']}</td>"
        f"<td>{_yes(each['pass_at_k'])}</td><td>{_yes(each['pass_all_k'])}</td>"
        f"<td class=n>{_seconds(each['latency']['p50'])}</td>"
        f"<td class=n>{_seconds(each['latency']['p95'])}</td></tr>"
        for name, each in islice(summary["scenarios"].items(), MOST_ROWS)
    )
    head = "<th>scenario<th class=n>trials<th class=n>completed<th class=n>failed"
    head += "<th>any passed<th>all passed<th class=n>answer, p50<th class=n>p95"
    table = f'<div class="wide"><table><tr>{head}</tr>{rows}</table></div>'
    return f"<h2>Scenarios</h2>{table}{_more(summary)}"


def _more(summary: dict[str, Any]) -> str:
    more = len(summary["scenarios"]) - MOST_ROWS
    return f"<p>{more:,} more are in summary.json.</p>" if more > 0 else ""


def _worst(
    summary: dict[str, Any], results: Sequence[CallResult], reported: Collection[str]
) -> str:
    by_name = {(result.run, result.unit): result for result in results}
    named = ((each["run"], each["unit"]) for each in summary["worst"])
    worst = (by_name[name] for name in named if name in by_name)
    rows = "".join(_row(result, reported) for result in worst)
    return f'<h2>The worst</h2><div class="wide"><table>{_HEAD}{rows}</table></div>' if rows else ""


_HEAD = (
    "<tr><th>call<th>outcome<th class=n>turns<th class=n>longest wait<th class=n>lost"
    "<th class=n>concealed<th class=n>US$<th>recording<th>error</tr>"
)


def _table(results: Sequence[CallResult], reported: Collection[str]) -> str:
    rows = "".join(_row(result, reported) for result in results[:MOST_ROWS])
    more = len(results) - MOST_ROWS
    told = f"<p>{more:,} more are in results.csv.</p>" if more > 0 else ""
    return f'<h2>All calls</h2><div class="wide"><table>{_HEAD}{rows}</table></div>{told}'


def _row(result: CallResult, reported: Collection[str]) -> str:
    link = ""
    if result.recording in reported:
        link = f'<a href="calls/{quote(result.recording)}/report.html">report</a>'
    elif result.recording:
        link = f'<a href="calls/{quote(result.recording)}/">recording</a>'
    cost = "" if result.cost is None else f"{result.cost:.4f}"
    said = result.error or (result.ended if result.outcome is not Outcome.COMPLETED else "")
    outcome = result.outcome.value
    network = f"<br><small>{escape(result.network)}</small>" if result.network else ""
    return (
        f'<tr><td>{escape(result.unit)}{network}</td><td class="{outcome}">{outcome}</td>'
        f"<td class=n>{len(result.turns)}</td>"
        f"<td class=n>{_seconds(max(result.latencies, default=None))}</td>"
        f"<td class=n>{result.packets_lost}</td><td class=n>{result.concealed:.2%}</td>"
        f"<td class=n>{cost}</td><td>{link}</td><td>{escape(said)}</td></tr>"
    )


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.2f} s"


def _yes(value: bool) -> str:
    return '<span class="completed">yes</span>' if value else '<span class="failed">no</span>'
