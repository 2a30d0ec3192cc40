"""Which events somebody means: classes of events, and patterns of their types as in a shell."""

from __future__ import annotations

import difflib
import logging
from fnmatch import fnmatchcase
from typing import TypeAlias, TypeVar

from rtcvoice.errors import ConfigError
from rtcvoice.events import (
    BETA_NAMES,
    CLIENT_EVENTS,
    LOCAL_EVENTS,
    SERVER_EVENTS,
    FromServer,
    LocalEvent,
    ServerEvent,
    UnknownEvent,
)

__all__ = ["AnyEvent", "EventT", "Kind", "Kinds"]

logger = logging.getLogger(__name__)

AnyEvent: TypeAlias = FromServer | LocalEvent | UnknownEvent
"""The bases of all events that a reader may get."""

EventT = TypeVar("EventT", bound=AnyEvent)

Kind: TypeAlias = str | type[AnyEvent]
"""A class such as `events.ResponseDone`, or a pattern such as "response.*"."""

_BASES = (FromServer, LocalEvent, UnknownEvent)


class Kinds:
    """What one reader, waiter or handler wants: all that is of one of these kinds.

    Raises ConfigError for what is not a kind of event, and for names of the beta API; warns of
    patterns that no known event matches. No kind at all means every event.
    """

    def __init__(self, *kinds: Kind) -> None:
        self.patterns = tuple(kind for kind in kinds if isinstance(kind, str))
        self.classes = tuple(_checked(kind) for kind in kinds if not isinstance(kind, str))
        for pattern in self.patterns:
            _check(pattern)
        if not kinds:
            self.patterns = ("*",)

    def match(self, event: ServerEvent) -> bool:
        """Whether an event is of one of them."""
        if isinstance(event, self.classes):
            return True
        return any(fnmatchcase(event.type, pattern) for pattern in self.patterns)

    def __str__(self) -> str:
        return ", ".join((*self.patterns, *(cls.__name__ for cls in self.classes)))


def _checked(kind: object) -> type[AnyEvent]:
    """Return a class of events. Raises ConfigError for anything else."""
    if isinstance(kind, type) and issubclass(kind, _BASES):
        return kind
    if kind in CLIENT_EVENTS.values():
        raise ConfigError(f"{kind!r} is an event that is sent: nobody receives one")
    raise ConfigError(
        f"{kind!r:.200} is not a kind of event",
        hint='give a class such as events.ResponseDone, several of them, or "response.*"',
    )


def _check(pattern: str) -> None:
    """Refuse names of the beta API; warn of names that no known event matches."""
    known: tuple[str, ...] = (*SERVER_EVENTS, *LOCAL_EVENTS)
    if any(fnmatchcase(name, pattern) for name in known):
        return
    for beta, successor in BETA_NAMES.items():
        if fnmatchcase(beta, pattern):
            raise ConfigError(
                f"{pattern!r} names an event of the beta API, which is gone",
                hint=f"{beta!r} is called {successor!r} now",
            )
    from rtcvoice.events import live, translations  # late: few calls speak these

    known = (*known, *live.SERVER_EVENTS, *translations.SERVER_EVENTS)
    if any(fnmatchcase(name, pattern) for name in known):
        return
    close = difflib.get_close_matches(pattern, known, n=1)
    meant = f"; did you mean {close[0]!r}?" if close else ""
    logger.warning("no event known to this version matches %r%s", pattern, meant)
