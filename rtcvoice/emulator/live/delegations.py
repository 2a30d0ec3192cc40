"""Work that the voice model hands over, and what it says while somebody does it.

The client gets an id and no task; what it appends with that id is its answer, as often as it likes.
Acknowledgements wait for their delay, and go when anything is appended.
"""

from __future__ import annotations

from collections.abc import Callable

from rtcvoice.emulator.live.backend import Backend
from rtcvoice.emulator.live.decisions import Decisions
from rtcvoice.emulator.live.hub import Hub
from rtcvoice.emulator.session.agenda import Timer
from rtcvoice.emulator.session.plan import Plan
from rtcvoice.emulator.session.schema import RequestError

__all__ = ["Delegations"]

MOST_OPEN = 1000
"""Delegations to the client that are remembered; then the oldest are forgotten."""

_HOLD = 0.3  # seconds after the backend is idle until held work begins
_MOST_HELD = 16


class Delegations:
    """Hands work to whoever the settings name. `acknowledge` has a delegation acknowledged."""

    def __init__(
        self,
        hub: Hub,
        backend: Backend,
        decisions: Decisions,
        acknowledge: Callable[[], None],
    ) -> None:
        self._hub = hub
        self._backend = backend
        self._decisions = decisions
        self._acknowledge = acknowledge
        self._open: dict[str, bool] = {}
        self._held: list[Plan] = []
        self._timers: list[Timer] = []

    @property
    def idle(self) -> bool:
        """Whether nobody works, and no client owes an answer."""
        return not (self._backend.busy or self._held or not all(self._open.values()))

    def begin(self, plan: Plan, *, acknowledged: bool) -> None:
        """Hand over what `plan` says; `acknowledged`: the model already said something to it."""
        match self._hub.settings["delegation"]["type"]:
            case "responses":
                self._to_backend(plan)
            case "decisions":
                self._decisions.delegate()
            case _:
                self._to_client()
        if not acknowledged:
            self._plan_acknowledgement()

    def _to_backend(self, plan: Plan) -> None:
        if self._backend.busy:  # nothing is cancelled: it waits until the first is done
            if len(self._held) < _MOST_HELD:
                self._held.append(plan)
            return
        self._backend.delegate(plan)

    def backend_idle(self) -> None:
        """Begin what was held back."""
        if self._held:
            plan = self._held.pop(0)
            self._hub.wall.after(_HOLD, lambda: self._to_backend(plan))

    def _to_client(self) -> None:
        delegation = self._hub.ids.item()
        self._open[delegation] = False
        while len(self._open) > MOST_OPEN:
            del self._open[next(iter(self._open))]
        self._hub.outbox.send(
            "session.delegation.created",
            delegation={"id": delegation, "type": "delegation", "target": "client"},
            offset_ms=self._hub.clock_ms,
        )

    def check(self, delegation: str | None) -> None:
        """Refuse an append for a delegation that is none of the client's. Raises RequestError."""
        kind = self._hub.settings["delegation"]["type"]
        if delegation is None:
            return
        if kind != "client":
            message = f"'delegation_id' must be null under {kind} delegation."
            raise RequestError("invalid_value", message, "delegation_id")
        if delegation not in self._open:
            raise RequestError(None, "Unknown client delegation.", "delegation_id")

    def appended(self, delegation: str | None, *, spoken: bool) -> None:
        """Note a commentary or thinking: no acknowledgement is needed any more."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        if delegation is not None and spoken:
            self._open[delegation] = True

    def cancel(self) -> None:
        """Begin nothing more: the session is closing."""
        self._held.clear()
        self.appended(None, spoken=False)
        self._backend.cancel()

    def _plan_acknowledgement(self) -> None:
        delegation = self._hub.settings["delegation"]
        by_default = 400 if delegation["type"] == "decisions" else 0
        delay = delegation.get("acknowledgement_delay_ms", by_default) / 1000
        self._timers = [timer for timer in self._timers if timer.pending]
        self._timers.append(self._hub.wall.after(delay, self._acknowledge))
