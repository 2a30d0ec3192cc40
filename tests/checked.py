"""Holds the events of the emulator's calls against the strict checker."""

from __future__ import annotations

from random import Random

from rtcvoice.emulator import EmulatedCall, Emulator
from rtcvoice.emulator.session.noise import Noise
from rtcvoice.emulator.socket_call import SocketCall


def assert_events_are_correct(server: Emulator) -> None:
    """Every event of every call, both ways, has the types of the openai package and the order.

    The first run costs seconds: the checker imports openai.
    """
    from check_events import OrderLint, check_event

    problems = []
    for call in server.calls.values():
        if call.id.startswith("live_"):
            problems += _problems_of_live(call)
            continue
        if is_translation(call):
            problems += _problems_of_translation(call)
            continue
        lint = OrderLint()
        # A sideband alone has none, and one that came first may have the first answer.
        came_first = any(entry.direction == "in" for entry in list(call.events)[:1])
        lint.first = bool(call.from_server("session.created")) and not came_first
        for entry in call.events:
            which = "client" if entry.direction == "in" else "server"
            found = check_event(entry.event, which, extra="error")
            if which == "server" and not found:
                found = lint.feed(entry.event)
            problems += [f"{call.id} {entry.event.get('type')}: {problem}" for problem in found]
    assert not problems, "\n".join(problems)


def _problems_of_live(call: EmulatedCall) -> list[str]:
    """Return what is wrong with the events of a session of the Live dialect."""
    from live_checks import LiveLint, accepts

    lint, problems = LiveLint(), []
    which = "socket" if isinstance(call.peer, SocketCall) else "client"
    for entry in call.events:
        kind = entry.event.get("type")
        if entry.direction == "in":
            if not accepts(which, entry.event):
                problems.append(f"{call.id} {kind}: the types have no such client event")
            continue
        try:
            lint.feed(entry.event)
        except (AssertionError, KeyError, ValueError) as exc:
            problems.append(f"{call.id} {kind}: {exc!r:.300}")
    return problems


def is_translation(call: EmulatedCall) -> bool:
    """Whether a call spoke the dialect of translations."""
    created = call.from_server("session.created")
    return bool(created) and created[0]["session"].get("type") == "translation"


def _problems_of_translation(call: EmulatedCall) -> list[str]:
    """Return what is wrong with the events of a translation, and with their order."""
    from check_events import check_event

    problems, kinds = [], []
    for entry in call.events:
        which = "client" if entry.direction == "in" else "server"
        found = check_event(entry.event, f"translation-{which}", extra="error")
        problems += [f"{call.id} {entry.event.get('type')}: {problem}" for problem in found]
        if which == "server":
            kinds.append(entry.event.get("type"))
    if kinds[:1] != ["session.created"] or kinds.count("session.created") > 1:
        problems.append(f"{call.id}: session.created is not first, and once")
    if "session.closed" in kinds[:-1]:
        problems.append(f"{call.id}: something follows session.closed")
    return problems


def forget_refused_events(server: Emulator) -> None:
    """Take the client's events out of calls in which any was refused: tests err on purpose.

    So is what a fault makes of the server's own.
    """
    as_usual = Noise(server.faults.session(), Random(0)).silent
    for call in server.calls.values():
        if not as_usual:
            call.events.clear()
        elif call.from_server("error"):
            kept = [entry for entry in call.events if entry.direction == "out"]
            call.events.clear()
            for entry in kept:
                call.events.append(entry)
