"""Server events with an odd field (tests/odd_events.py), each in a conversation of its own.

Each field of each event, with another type, as text, without end, missing, ..., from the decoder
to the tools and the accounts. The event keeps its type, nothing raises, later questions are
answered, and everything comes to rest. Cases are numbered: `--seed 0 --count 30000` has them all.
"""

from __future__ import annotations

import functools
import logging

import odd_events
import virtual_loop

from rtcvoice import events

__all__ = ["case"]

STEP = 7919
"""A prime: cases with seeds side by side are of different events."""


@functools.cache
def _cases() -> list[odd_events.Case]:
    logging.getLogger("rtcvoice.events").setLevel(logging.ERROR)
    return list(odd_events.cases())


def case(seed: int) -> str:
    """Live one; return what became of the event."""
    odd = _cases()[seed * STEP % len(_cases())]
    if failure := odd_events.misread(odd) or virtual_loop.run(odd_events.life(odd)):
        raise AssertionError(f"{odd}: {failure}")
    unknown = isinstance(events.decode(odd.text), events.UnknownEvent)
    return f"without its {odd.path[-1]} it means nothing" if unknown else "read, but for the field"
