"""Lets Ctrl-C end `python -m rtcvoice` without a traceback while it is still importing.

Python imports a package before its `__main__` could catch anything, and these imports take up to a
second. Meanwhile SIGINT has its default action: the process ends. `finished` brings back
KeyboardInterrupt. A program that merely imports rtcvoice is left alone.
"""

from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path

__all__ = ["finished"]


def _begin() -> bool:
    started = sys.argv[0] if sys.argv else ""
    if started != "-m" and Path(started).stem != "rtcvoice":  # "-m": while it looks for the module
        return False
    if threading.current_thread() is not threading.main_thread():
        return False
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return False
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    return True


def finished() -> None:
    """Let Ctrl-C be KeyboardInterrupt again."""
    if _begun and signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)


_begun = _begin()
