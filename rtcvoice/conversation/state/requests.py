"""The wish for one response, and what became of it; pure.

A request knows what to ask for and how far it got; the `Sequencer` decides when it goes out.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from rtcvoice import events
from rtcvoice.events import ErrorDetail, ResponseParams

__all__ = ["METADATA_KEY", "Request", "RequestState"]

METADATA_KEY = "rtcvoice"
"""Under it a response of ours carries the tag of its request."""


class RequestState(enum.Enum):
    """Where the wish for a response is; it only moves on, but for one way back to QUEUED."""

    QUEUED = "It waits until nothing else is being answered."
    SENT = "The server was asked and has not said yes or no."
    RUNNING = "The server makes the response."
    DONE = "The response is over, whatever came of it."
    COVERED = "Another response, begun after its items were in, is its answer too."
    REFUSED = "The server refused it, or did not answer."
    WITHDRAWN = "Nobody wants it any more; it was not sent."


@dataclass(eq=False, kw_only=True)
class Request:
    """Hand it to `Sequencer.add`; then `state` tells what becomes of it, and `changed` when."""

    tag: str
    """Makes its response known; unique in the session."""
    params: ResponseParams | None = None
    """What the response shall differ in from the session."""
    items: frozenset[str] = frozenset()
    """Ids of the items that it is to answer."""
    after_items: bool = False
    """Whether to ask only once the server has confirmed these items."""
    shared: bool = False
    """Whether any response that begins after its items were in will do."""
    follows: str = ""
    """Id of the response whose function calls it follows up."""
    changed: Callable[[Request], None] = field(default=lambda request: None, repr=False)
    """Called after each change of `state`; may not raise."""

    state: RequestState = RequestState.QUEUED
    response_id: str = ""
    """Id of the response that answers it, from RUNNING or COVERED on."""
    error: ErrorDetail | None = None
    """Why it was refused; None when the server did not answer."""
    races: int = 0
    """How often another response was in its way, without our having known."""
    sent_at: float = 0.0
    """When it was sent, in the seconds given to `Sequencer.due`."""
    covered_by: str = ""
    """Id of a response that would do, should the server refuse this one."""

    @property
    def out_of_band(self) -> bool:
        """Whether the response stays outside the conversation, beside all others."""
        return self.params is not None and self.params.conversation == "none"

    @property
    def event_id(self) -> str:
        """Id of the event that asks for it, by which an error names it."""
        return f"{self.tag}_{self.races}" if self.races else self.tag

    def event(self) -> events.ResponseCreate:
        """Return the event that asks for it."""
        params = self.params or ResponseParams()
        metadata = {**(params.metadata or {}), METADATA_KEY: self.tag}
        return events.ResponseCreate(
            event_id=self.event_id, response=msgspec.structs.replace(params, metadata=metadata)
        )

    def become(self, state: RequestState) -> None:
        """Change the state and say so."""
        self.state = state
        self.changed(self)
