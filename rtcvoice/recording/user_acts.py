"""What the user did in a recorded call, and after what of the other side's; pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from rtcvoice import events

from .acts import Act, ActKind
from .hand import Hand
from .marks import READY, Mark, MarkKind, Marks, client_event, server_event
from .reading import EventLine

__all__ = ["acts_of"]

MOST_ACTS = 2000


def acts_of(
    lines: Iterable[EventLine], *, end: float | None = None
) -> tuple[list[Act], Marks, list[str]]:
    """Return what the user did, in order; what the other side did; and what cannot be done again.

    The last, in a line each: what the recording does not hold, or what is not taken from one.
    `end`: when the user hung up, if that is known.
    """
    hand, marks, time = Hand(), Marks(), 0.0
    for line in lines:
        time = max(time, line.time)
        if line.leg:  # of a session that was being prepared: it repeats what was said
            continue
        if line.direction == "in":
            event = server_event(line)
            if isinstance(event, events.SessionCreated):
                marks.note(READY, line.time)
            marks.feed(event, line.time)
            hand.hears(event, line.time)
        elif line.direction == "out":
            sent = client_event(line)
            if isinstance(sent, events.ConversationItemTruncate):
                marks.cut(line.time)
            hand.sends(sent, line.event, line.time)
        else:
            marks.feed_local(line.event, line.time)
        if len(hand.acts) > MOST_ACTS:
            hand.left_out.append(f"what follows after {MOST_ACTS} acts")
            break
    acts = hand.finished()
    is_heard = end is not None and marks.last_end > end
    if end is not None and end >= time and (marks.open or hand.is_busy or is_heard):
        acts.append(Act(kind=ActKind.HANGS_UP, begin=end, end=end))
    elif acts and marks.last_end > acts[-1].end:
        acts.append(Act(kind=ActKind.LISTENS, begin=marks.last_end, end=marks.last_end))
    return _bound(acts, marks), marks, hand.left_out


def _bound(acts: list[Act], marks: Marks) -> list[Act]:
    """Bind each act to the mark before it."""
    bound: list[Act] = []
    ready = marks.times.get(READY, 0.0)
    for number, act in enumerate(acts):
        if act.kind is ActKind.SPEAKS and act.begin < ready:
            act = replace(act, begin=min(ready, act.end))
        stops = act.kind in (ActKind.STOPS, ActKind.PRESSES)
        mark, at = marks.last_before(act.begin, stops=stops)
        bound.append(replace(act, mark=mark, delay=max(0.0, act.begin - at)))
        if act.kind is ActKind.SPEAKS:
            marks.note(Mark(MarkKind.SPEAKS, number), act.begin)
        marks.note(Mark(MarkKind.ACTED, number), act.end)
    return bound
