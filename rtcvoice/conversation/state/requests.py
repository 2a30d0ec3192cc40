"""A request for one response, and its state; pure.

A request knows what to ask for and how far it got; the `Sequencer` decides when it goes out.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from rtcvoice import events
from rtcvoice.events import ErrorDetail, ResponseParams
from rtcvoice.system.states import StateTable

__all__ = ["METADATA_KEY", "Request", "RequestState"]

METADATA_KEY = "rtcvoice"
"""Under it a response of ours carries the tag of its request."""


class RequestState(enum.Enum):
    """How far a request for a response is; it only moves on, but for the ways back to QUEUED."""

    QUEUED = "It waits until nothing else is being answered."
    SENT = "`response.create` was sent; the server has neither begun a response nor refused it."
    RUNNING = "The server makes the response: `response.created` has come."
    DONE = "The response is over (`response.done`), completed or not."
    COVERED = "Another response, which began after its items were in, is the answer to it too."
    REFUSED = "The server refused it, or did not answer."
    WITHDRAWN = "It was cancelled before it was sent."


REQUEST = StateTable(
    {
        RequestState.QUEUED: {RequestState.SENT, RequestState.COVERED, RequestState.WITHDRAWN},
        RequestState.SENT: {
            RequestState.RUNNING,
            RequestState.QUEUED,
            RequestState.COVERED,
            RequestState.REFUSED,
        },
        RequestState.RUNNING: {
            RequestState.DONE,
            RequestState.QUEUED,  # the session was lost before anything was said
        },
        RequestState.DONE: set(),
        RequestState.COVERED: {RequestState.QUEUED},  # for the same reason
        RequestState.REFUSED: set(),
        RequestState.WITHDRAWN: set(),
    }
)


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

    def event(self, modalities: list[str] | None = None) -> events.ResponseCreate:
        """Return the event that asks for it; `modalities`: the session's, to be said with it."""
        params = self.params or ResponseParams()
        if modalities is not None and params.output_modalities is None:
            params = msgspec.structs.replace(params, output_modalities=modalities)
        metadata = {**(params.metadata or {}), METADATA_KEY: self.tag}
        return events.ResponseCreate(
            event_id=self.event_id, response=msgspec.structs.replace(params, metadata=metadata)
        )

    def leave(self) -> None:
        """Wait for no verdict any more on what a hosted MCP server was to do: its session is gone.

        The next one is asked to answer, and asks again.
        """
        if self.after_items and self.follows:
            self.after_items, self.items = False, frozenset()

    def become(self, state: RequestState) -> None:
        """Change the state and call `changed`."""
        self.state = REQUEST.change(self.state, state, f"request {self.tag}")
        self.changed(self)
