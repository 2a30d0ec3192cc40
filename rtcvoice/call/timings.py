"""How long each stage of connecting took, and which one is running."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field

from rtcvoice.call.facts import StageBegan, StageEnded
from rtcvoice.call.listeners import Facts
from rtcvoice.system import clock
from rtcvoice.system.public import public

__all__ = ["Timings"]

logger = logging.getLogger(__name__)


@public
@dataclass
class Timings:
    """How long each stage of connecting took, in seconds; None for a stage that did not happen.

    `token`, `offer` and `devices` run side by side, so the parts add up to more than `total`.
    """

    token: float | None = None
    offer: float | None = None
    devices: float | None = None
    answer: float | None = None
    ice: float | None = None
    dtls: float | None = None
    channel: float | None = None
    websocket: float | None = None
    session: float | None = None
    history: float | None = None
    total: float | None = None
    running: set[str] = field(default_factory=set, repr=False)
    """The stages that have begun and not ended."""

    def __post_init__(self) -> None:
        self._facts = Facts()

    def tell(self, facts: Facts) -> None:
        """Let `facts` know of the stages to come."""
        self._facts = facts

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time one stage; it stays among the running ones when it fails."""
        begun = clock.now()
        self.running.add(name)
        logger.debug("= %s", name)
        if self._facts:
            self._facts.tell(StageBegan(time=begun, stage=name))
        yield
        self.running.discard(name)
        seconds = clock.now() - begun
        setattr(self, name, seconds)
        if self._facts:
            self._facts.tell(StageEnded(time=begun + seconds, stage=name, seconds=seconds))

    def as_dict(self) -> dict[str, float]:
        """Return the stages that happened, in order, in seconds."""
        return {
            name: seconds for name, seconds in asdict(self).items() if isinstance(seconds, float)
        }
