"""Ctrl-C while a program is still starting: it ends at once, without a traceback."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["interrupts_end_the_process"]


@contextmanager
def interrupts_end_the_process() -> Iterator[None]:
    """Give SIGINT its default action for a block of imports, which cannot be left cleanly.

    Only for programs that are ours. Where SIGINT means something else than KeyboardInterrupt, as
    after nohup, and in threads, nothing is changed.
    """
    ours = (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )
    if ours:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        if ours and signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
            signal.signal(signal.SIGINT, signal.default_int_handler)
