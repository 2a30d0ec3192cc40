"""Ctrl-C while a program is still starting: it ends at once, without a traceback.

A terminal sends it to all processes of a program. Those that serve another one are ended by that
one, and take no notice, from their very beginning: Python would tell of it by a traceback.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["ignore_interrupts", "interrupts_end_the_process", "started_without_interrupts"]


@contextmanager
def interrupts_end_the_process(first: Callable[[], None] | None = None) -> Iterator[None]:
    """Give SIGINT its default action for a block of imports, which cannot be left cleanly.

    `first` is called before the process ends, as to give back the terminal. Only for programs that
    are ours. Where SIGINT means something else than KeyboardInterrupt, as after nohup, and in
    threads, nothing is changed.
    """

    def end(number: int, frame: FrameType | None) -> None:
        if first is not None:
            first()
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)

    action = signal.SIG_DFL if first is None else end
    ours = (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )
    if ours:
        signal.signal(signal.SIGINT, action)
    try:
        yield
    finally:
        if ours and signal.getsignal(signal.SIGINT) is action:
            signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def started_without_interrupts() -> Iterator[None]:
    """Keep SIGINT from processes of `multiprocessing` that are started within, by this thread.

    They keep it blocked until they call `ignore_interrupts`. This thread gets it after the block.
    Does nothing on Windows.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    from multiprocessing import resource_tracker  # late: the command line begins with this module

    resource_tracker.ensure_running()  # the first start of a process makes it, and unblocks SIGINT
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def ignore_interrupts() -> None:
    """Take no notice of SIGINT from now on: it is for the program that made this process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
