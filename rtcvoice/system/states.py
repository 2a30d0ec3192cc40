"""State machines: which state may follow which, and a line in the log for each change.

A state machine is an enum, with a sentence for each member and the state it begins in first, and a
`StateTable`. The code that changes a state asks the table: `self.state = LINE.change(self.state,
LineState.OPEN, "microphone")`.
"""

from __future__ import annotations

import enum
import logging
from collections.abc import Collection, Mapping
from typing import Any, Generic, TypeVar

__all__ = ["TABLES", "IllegalTransition", "StateTable"]

logger = logging.getLogger(__name__)

S = TypeVar("S", bound=enum.Enum)

TABLES: list[StateTable[Any]] = []
"""All tables of the modules that are loaded."""


class IllegalTransition(AssertionError):  # noqa: N818  (an assertion: it is a bug of ours)
    """A change of state that its table does not have."""


class StateTable(Generic[S]):
    """The transitions of one kind of state machine, by the state that they leave."""

    strict = False
    """Whether a change that is not in the table raises, as it does in our tests. In a call it is
    logged as an error and made: a call does not end because of a bug in its bookkeeping."""

    def __init__(self, successors: Mapping[S, Collection[S]]) -> None:
        self.states = type(next(iter(successors)))
        """The enum."""
        self._successors = {state: frozenset(after) for state, after in successors.items()}
        TABLES.append(self)

    def allows(self, before: S, after: S) -> bool:
        """Whether `after` may follow `before`; staying in a state is no change."""
        return after is before or after in self._successors[before]

    def change(self, before: S, after: S, what: str) -> S:
        """Return `after`, the new state of `what`; the log tells of it at level DEBUG."""
        if after is before:
            return after
        if not self.allows(before, after):
            text = f"{self.states.__name__} of {what}: {before.name} -> {after.name}"
            if self.strict:
                raise IllegalTransition(text)
            logger.error("x no such transition: %s", text)
        elif logger.isEnabledFor(logging.DEBUG):
            logger.debug("= %s %s -> %s", what, before.name, after.name)
        return after
