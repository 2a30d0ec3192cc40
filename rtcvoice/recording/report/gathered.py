"""Everything that the page shows of one recording, as JSON: read once, bounded, checked."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

from rtcvoice.conversation.accounts.usage import UsageMeter
from rtcvoice.recording.compared import turns_made_out
from rtcvoice.recording.marks import server_event
from rtcvoice.recording.reading import RecordedCall
from rtcvoice.recording.session_taken import session_taken

from .checked import as_dict, as_list, number, text
from .event_table import EventTable
from .flow import Flow, ToolSpan
from .network import Network
from .notes import notes_on
from .said import Said
from .sound import MEDIA_TYPE, Sound, sound_of
from .usage import shown_usage, told_by
from .waits import PARTS, Reckoner, Wait, WaitTable, wait_of

__all__ = ["Gathered", "gather"]

MOST_WAITS = 5_000

MOST_WORDS = 6_000_000
"""Characters of all turns, and of all tools; from then on a text has few."""

FEW = 200
"""Characters of a text once there is no more room."""


class Gathered:
    """What the page shows: `facts`, `events` and the sound as `opus`."""

    def __init__(self, facts: dict[str, Any], events: dict[str, Any], opus: bytes) -> None:
        self.facts = facts
        self.events = events
        self.opus = opus


def gather(recorded: RecordedCall, problems: list[str]) -> Gathered:
    """Read a recording. `problems` are what it told so far; they are shown, with those to come."""
    flow, table, reckoner, meter = Flow(), EventTable(), Reckoner(), UsageMeter("")
    last = 0.0
    for line in recorded.events():
        table.add(line)
        last = max(last, line.time)
        if line.leg:  # of a session that was being prepared: it repeats what was said
            continue
        event = server_event(line) if line.direction == "in" else None
        flow.feed(line, event)
        reckoner.feed(line, event)
        meter.feed(event)
    said, waits = Said(), list[Wait]()
    for fields in recorded.turns():
        said.feed(fields.get("turn"), fields["time"])
        if (told := wait_of(fields.get("latency"))) and len(waits) < MOST_WAITS:
            waits.append(told)
    network = Network()
    for fields in recorded.stats():
        network.feed(fields)
        last = max(last, fields["time"])
    bad_lines = recorded.bad_lines  # of each file once
    if said.empty:
        said.made_out(turns_made_out(recorded.events()))
    with recorded.audio() as audio:
        sound = sound_of(audio, problems)
    call = recorded.call
    is_told = bool(waits) or (not recorded.is_emulators and bool(call))
    waits = waits if is_told else reckoner.waits()
    for each in waits:  # where speech ended, not where that was noticed
        if (span := flow.user.get(each.item_id)) and span.begin < each.ended:
            span.end = each.ended
    rows = WaitTable(flow, network.round_trips())
    ended = number(as_dict(call.get("end")).get("time")) or 0.0
    usage = call.get("usage") or network.usage or told_by(meter.snapshot())
    facts = {
        **_head(recorded),
        "duration": round(max(last, sound.seconds, ended, 0.1), 3),
        "notes": [
            *notes_on(recorded, table, bad_lines=bad_lines, has_sound=bool(sound.levels)),
            *(
                [f"{said.left_out:,} turns are not shown: there are too many."]
                * bool(said.left_out)
            ),
            *map(_told, problems),
        ],
        "sound": _sound(sound),
        "turns": _bounded(said.placed(flow), ("text", "heard")),
        "tools": _bounded(
            [_tool(tool) for tool in sorted(flow.tools.values(), key=lambda each: each.begin)],
            ("arguments", "output"),
        ),
        "marks": [asdict(mark) for mark in flow.marks],
        "legs": _legs(call.get("legs")) or flow.legs,
        "waits": [rows.row(each) for each in waits],
        "waits_are_reckoned": not is_told,
        "parts": PARTS,
        "network": network.columns(),
        "totals": network.totals(),
        "usage": shown_usage(usage, free=recorded.is_free),
    }
    return Gathered(facts, table.as_json(), sound.opus)


def _head(recorded: RecordedCall) -> dict[str, Any]:
    """Return what stands at the top."""
    call = recorded.call
    end, options = as_dict(call.get("end")), as_dict(call.get("options"))
    session = session_taken(recorded).options
    began = number(call.get("began_at"))
    about = {
        "model": text(session.get("model") or options.get("model"), 200),
        "voice": text(session.get("voice"), 100),
        "transport": text(options.get("transport"), 50),
        "server": text(options.get("base_url"), 300),
        "call": text(call.get("call_id"), 200),
        "recorded by": text(call.get("made_by"), 100),
    }
    stages = [as_dict(each) for each in as_list(call.get("stages"), 100)]
    return {
        "began_at": began if began is not None and _is_date(began) else None,
        "ready": number(call.get("ready")),
        "end": text(end.get("reason"), 500),
        "cause": text(end.get("cause"), 500),
        "normal": end.get("normal") is not False,
        "about": [(name, value) for name, value in about.items() if value],
        "versions": [
            (text(name, 100), text(each, 200))
            for name, each in list(as_dict(call.get("versions")).items())[:30]
        ],
        "stages": [
            (
                text(stage.get("stage"), 100),
                number(stage.get("began")),
                number(stage.get("seconds")),
            )
            for stage in stages
        ],
    }


def _is_date(moment: float) -> bool:
    try:
        time.gmtime(moment)
    except (OverflowError, OSError, ValueError):
        return False
    return 0 < moment < 2e11


def _told(problem: str) -> str:
    return f"{text(problem, 500)}."


def _sound(sound: Sound) -> dict[str, Any]:
    kind = MEDIA_TYPE if sound.opus else ""
    return {"type": kind, "seconds": round(sound.seconds, 3), "levels": sound.levels}


def _tool(tool: ToolSpan) -> dict[str, Any]:
    names = ("name", "arguments", "output")
    end = None if tool.end is None else round(max(tool.begin, tool.end), 3)
    return {
        **{name: text(getattr(tool, name)) for name in names},
        "begin": round(tool.begin, 3),
        "end": end,
        "failed": tool.failed,
        "by_server": tool.by_server,
    }


def _bounded(entries: list[dict[str, Any]], names: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return the entries, with their texts cut once together they are very long."""
    length = 0
    for entry in entries:
        for name in names:
            if length > MOST_WORDS:
                entry[name] = text(entry[name], FEW)
            length += len(entry[name])
    return entries


def _legs(value: object) -> list[dict[str, Any]]:
    legs = []
    for leg in map(as_dict, as_list(value)):
        if (began := number(leg.get("began"))) is not None:
            names = {name: text(leg.get(name), 300) for name in ("id", "why", "route", "via")}
            legs.append({"began": began, "ended": number(leg.get("ended")), **names})
    return legs
