"""When the transcript of the user's speech comes, relative to the response."""

from __future__ import annotations

from enum import Enum

__all__ = ["TranscriptOrder"]


class TranscriptOrder(Enum):
    """The service promises none of these; a client must stand all three."""

    BEFORE = "before"
    """Before `response.created`."""
    MIDDLE = "middle"
    """Between the deltas of the response."""
    AFTER = "after"
    """After `response.done`."""
