"""Requests whose bytes have not all left: the time for an answer counts from when they have."""

from __future__ import annotations

__all__ = ["UnderWay"]


class UnderWay:
    """The requests on their way to one leg, by the id of their event."""

    def __init__(self) -> None:
        self._ends: dict[str, int] = {}
        self._left = 0

    def __bool__(self) -> bool:
        return bool(self._ends)

    def sent(self, event_id: str, end: int) -> None:
        """Note a request whose last byte is the one with this number."""
        self._ends[event_id] = end

    def left(self, left: int) -> list[str]:
        """Return the requests whose time begins anew, as so many bytes have left: more than before.

        Those that have left completely are forgotten.
        """
        moved = list(self._ends) if left > self._left else []
        self._left = left
        self._ends = {each: end for each, end in self._ends.items() if end > left}
        return moved

    def clear(self) -> None:
        """Forget all: there is another leg, whose bytes are counted anew."""
        self._ends.clear()
        self._left = 0
