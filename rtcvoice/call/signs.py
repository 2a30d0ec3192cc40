"""What makes one doubt a connection before its silence does, looked at once a second.

A doubt is no loss: the path may be there again in a moment. It only starts another leg beside the
one in use, which stays if it is heard first.
"""

from __future__ import annotations

import errno
from collections.abc import Callable

from rtcvoice.system.sleep import Clocks, Pause, ProcessPauses

__all__ = ["LOOK", "Signs"]

LOOK = 1.0
"""Seconds between two looks."""

_GONE = frozenset(
    {
        errno.EADDRNOTAVAIL,
        errno.ECONNREFUSED,
        errno.ECONNRESET,
        errno.EHOSTUNREACH,
        errno.ENETDOWN,
        errno.ENETRESET,
        errno.ENETUNREACH,
        errno.ENODEV,
    }
)
"""Errors of a socket which say that nothing gets there; others only say that one packet did not."""


class Signs:
    """The signs of one leg after the other. Event loop only.

    `local_address` returns the address that this machine would send to the server from; empty if
    there is no way.
    """

    def __init__(self, clocks: Clocks, local_address: Callable[[], str]) -> None:
        self._pauses = ProcessPauses(LOOK, clocks)
        self._local_address = local_address
        self._address = local_address()
        self._trouble = ""

    def begin(self) -> None:
        """Note that another leg is in use: its address is the right one."""
        self._pauses.begin()
        self._address = self._local_address()
        self._trouble = ""

    def trouble(self, error: Exception) -> bool:
        """Take an error of the leg's socket; return whether it is worth a look at once."""
        if isinstance(error, OSError) and error.errno in _GONE:
            self._trouble = f"the network failed: {error.strerror or error}"
            return True
        return False

    def stood_still(self, seconds: float) -> bool:
        """Whether a pause in which the server may have given up ended in the last `seconds`."""
        return self._pauses.long_one_ended(seconds)

    def look(self) -> tuple[str, Pause | None]:
        """Return why the leg is to be doubted since the last look, or nothing; and what paused."""
        pause = self._pauses.look()
        trouble, self._trouble = self._trouble, ""
        before, self._address = self._address, self._local_address()
        if pause is not None:
            return pause.value, pause
        if self._address != before:
            gone = f"{before or 'none'} -> {self._address or 'none'}"
            return f"the local address has changed: {gone}", None
        return trouble, None
