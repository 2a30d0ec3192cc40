"""Refuses a second reader of a stream, who would take from the first what it waits for."""

from __future__ import annotations

from rtcvoice.errors import ConcurrencyError

__all__ = ["OneReader"]


class OneReader:
    """Entered by whoever waits for the next of a stream; raises ConcurrencyError for a second."""

    __slots__ = ("_cure", "_waiting", "_what")

    def __init__(self, what: str, cure: str) -> None:
        self._what, self._cure = what, cure
        self._waiting = False

    def __enter__(self) -> None:
        if self._waiting:
            raise ConcurrencyError(f"another task is reading {self._what} already", hint=self._cure)
        self._waiting = True

    def __exit__(self, *exc_info: object) -> None:
        self._waiting = False
