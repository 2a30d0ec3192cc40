"""Patterns of the user's, looked for in what others said: bounded in time wherever that can be.

A pattern can take longer than the world will last, and while it is looked for nothing else runs in
its process. So one that can match the same text in very many ways is refused; and where a search
is made in the main thread, as in the processes of a run, a timer ends it.
"""

from __future__ import annotations

import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

__all__ = ["PatternTooSlow", "check_pattern", "found_in"]

LONGEST_PATTERN = 1000

LONGEST_SEARCH = 0.2
"""Seconds: of one that takes longer, the other calls of its process would be late."""

_GROUP = re.compile(r"\(([^()]*)\)([+*{]?)")
"""A group without a group in it, and what repeats it."""

_CHOICE = re.compile(r"[+*?{|]")

_PLAIN = re.compile(r"\\.|\[\^?\]?[^\]]*\]")
"""What is neither a group nor a repeat, whatever is in it."""


class PatternTooSlow(Exception):  # noqa: N818
    """A pattern was not found in time, and not found to be missing either."""


def check_pattern(name: str, pattern: str) -> None:
    """Raise ValueError for what is no pattern, or one that may take for ever."""
    if len(pattern) > LONGEST_PATTERN or _repeats_what_repeats(pattern):
        raise ValueError(
            f"{name}: the pattern is too long, or repeats what repeats or has a choice"
        )
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as exc:
        raise ValueError(f"{name}: {pattern!r:.100} is not a pattern: {exc}") from exc


def _repeats_what_repeats(pattern: str) -> bool:
    """Whether a repeated group can match the same text in several ways: that may take for ever."""
    plain = _PLAIN.sub("x", pattern).replace("(?", "(")
    while group := _GROUP.search(plain):
        inside, repeats = group.groups()
        choice = _CHOICE.search(inside) is not None
        if repeats and choice:
            return True
        plain = f"{plain[: group.start()]}{'x+' if choice else 'x'}{repeats}{plain[group.end() :]}"
    return False


def found_in(text: str, pattern: str) -> str | None:
    """Return what of a text matches a pattern, None where nothing does. Raises PatternTooSlow."""
    with _in_time():
        found = re.search(pattern, text, re.IGNORECASE)
    return None if found is None else found.group()


@contextmanager
def _in_time() -> Iterator[None]:
    """End the block by PatternTooSlow when it takes too long, where signals can do that."""
    main = threading.current_thread() is threading.main_thread()
    if not main or not hasattr(signal, "setitimer") or any(signal.getitimer(signal.ITIMER_REAL)):
        yield  # the timer may be somebody else's
        return

    def end(number: int, frame: FrameType | None) -> Any:
        raise PatternTooSlow(f"the pattern was looked for for {LONGEST_SEARCH:g} s")

    before = signal.signal(signal.SIGALRM, end)
    try:
        signal.setitimer(signal.ITIMER_REAL, LONGEST_SEARCH)
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before if before is not None else signal.SIG_DFL)
