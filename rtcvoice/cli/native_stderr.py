"""Keeps C libraries from writing into what is drawn in the terminal; what they say is logged.

PortAudio and ALSA complain on stderr when a device goes away. While lines are drawn, descriptor 2
is a pipe whose reader logs each line at DEBUG. Python's own `sys.stderr` has to lead elsewhere
meanwhile, or what is logged would come back.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from rtcvoice.system.native_stderr import Diversion

__all__ = ["NativeStderr", "quiet_libraries"]

logger = logging.getLogger(__name__)


class NativeStderr:
    """`divert` and `restore` descriptor 2; both are idempotent."""

    def __init__(self) -> None:
        self._diversion: Diversion | None = None
        self._thread: threading.Thread | None = None

    def divert(self) -> None:
        """Send what is written to descriptor 2 to the log."""
        if self._diversion is not None:
            return
        reader, writer = os.pipe()
        try:
            self._diversion = Diversion(writer)
        except OSError:  # a program without a stderr
            os.close(reader)
            return
        finally:
            os.close(writer)
        self._thread = threading.Thread(target=_log_lines, args=(reader,), daemon=True)
        self._thread.start()

    def restore(self) -> None:
        """Let it be the terminal again; what was written until then is logged."""
        if self._diversion is None or self._thread is None:
            return
        self._diversion.end()  # the last writer of the pipe: its reader ends
        self._thread.join(1.0)
        self._diversion = self._thread = None


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Log what C libraries say in a terminal; `sys.stderr` goes on writing to it."""
    ours = sys.stderr
    if ours is None or not ours.isatty():
        yield
        return
    native = NativeStderr()
    with os.fdopen(os.dup(ours.fileno()), "w", encoding=ours.encoding, errors="replace") as copy:
        native.divert()
        sys.stderr = copy
        try:
            yield
        finally:
            sys.stderr = ours
            native.restore()


def _log_lines(reader: int) -> None:
    with os.fdopen(reader, errors="replace") as lines:
        for line in lines:
            logger.debug("stderr: %s", line.rstrip())
