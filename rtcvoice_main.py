"""The console script `rtcvoice`: Ctrl-C ends it without a traceback also while it is importing.

It stands outside of the package, because that is imported as a whole before anything in it runs.
"""

from __future__ import annotations

import signal

__all__ = ["main"]


def main() -> int:
    """Run the command line and return its exit code."""
    untouched = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if untouched:  # not so after nohup
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        from rtcvoice.cli import main as command_line
    finally:
        if untouched:
            signal.signal(signal.SIGINT, signal.default_int_handler)
    return command_line()
