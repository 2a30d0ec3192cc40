"""Descriptor 2 of the process, led elsewhere for a while by more than one part of the program.

Sound libraries print to it past Python. Who opens a device, and who draws in the terminal, both
lead it elsewhere, on different threads; if each put back what it had found, the one that ends last
would bring back what the other had taken away. So what is put back is decided here, for all.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Diversion", "diverted_elsewhere", "muffled"]

STDERR = 2

_lock = threading.RLock()
_saved: int | None = None
"""The true descriptor 2, while anybody leads it elsewhere."""
_active: list[Diversion] = []
"""Where it leads; the latest counts."""


class Diversion:
    """Descriptor 2 leads to `target` from now on, until `end`. Any thread.

    `target` is duplicated: the caller may close it. Raises OSError where there is no descriptor 2.
    """

    def __init__(self, target: int) -> None:
        global _saved
        with _lock:
            if not _active:
                _saved = os.dup(STDERR)
            self.target = os.dup(target)
            _active.append(self)
            os.dup2(self.target, STDERR)

    def end(self) -> None:
        """Let it lead where it would without this one; a second call does nothing."""
        global _saved
        with _lock:
            if self not in _active:
                return
            _active.remove(self)
            os.close(self.target)
            if _active:
                os.dup2(_active[-1].target, STDERR)
            elif _saved is not None:
                os.dup2(_saved, STDERR)
                os.close(_saved)
                _saved = None


@contextmanager
def muffled() -> Iterator[None]:
    """Send what is printed to descriptor 2 to nowhere; what other threads print is lost, too."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            diversion = Diversion(nowhere)
        finally:
            os.close(nowhere)
    except OSError:  # a program without a stderr
        yield
        return
    try:
        yield
    finally:
        diversion.end()


@contextmanager
def diverted_elsewhere() -> Iterator[None]:
    """Let a library that leads descriptor 2 elsewhere by itself do so: all others wait."""
    with _lock:
        yield


def _forked() -> None:
    global _lock
    _lock = threading.RLock()  # whoever held it stayed behind


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
