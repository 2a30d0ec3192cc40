"""Ctrl-C while a program is still starting: it ends at once, without a traceback."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["interrupts_end_the_process"]


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
