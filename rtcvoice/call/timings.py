"""How long each stage of connecting took, and which one is running."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field

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
    session: float | None = None
    history: float | None = None
    total: float | None = None
    running: set[str] = field(default_factory=set, repr=False)
    """The stages that have begun and not ended."""

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time one stage; it stays among the running ones when it fails."""
        begun = clock.now()
        self.running.add(name)
        logger.debug("= %s", name)
        yield
        self.running.discard(name)
        setattr(self, name, clock.now() - begun)

    def as_dict(self) -> dict[str, float]:
        """Return the stages that happened, in order, in seconds."""
        return {
            name: seconds for name, seconds in asdict(self).items() if isinstance(seconds, float)
        }
