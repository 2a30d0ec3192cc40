"""Lets Ctrl-C end `python -m rtcvoice` without a traceback while it is still importing.

Python imports a package before its `__main__` could catch anything, and these imports take up to a
second. Meanwhile SIGINT has its default action: the process ends. `finished` brings back
KeyboardInterrupt. A program that imports rtcvoice, also one that was started by `python -m`, is
left alone. (The console script needs none of
this.)
"""

from __future__ import annotations

import signal
import sys
import threading

__all__ = ["finished"]


def _is_this_command() -> bool:
    """Whether Python was started to run this very package."""
    if sys.argv[:1] != ["-m"]:  # so it is while Python looks for the module
        return False
    named = sys.orig_argv[-len(sys.argv) :][:1]
    return named in (["rtcvoice"], ["-mrtcvoice"])


def _begin() -> bool:
    if not _is_this_command() or threading.current_thread() is not threading.main_thread():
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
