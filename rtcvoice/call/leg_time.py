"""How long a session of the server's lives, and when a leg in it is to be replaced; pure.

Seconds are of a clock that counts sleep. The server's word is taken by the server's own clock, for
this machine's may be years off.
"""

from __future__ import annotations

from typing import Protocol

__all__ = ["NEAR_EXPIRY", "LegTime"]

USUAL_LIFE, LONGEST_LIFE = 3600.0, 24 * 3600.0
"""Seconds of a session where nobody says how long it lives, and the most that is believed."""

NEAR_EXPIRY = 60.0
"""Seconds before a session's time is over in which its end is taken for that, said or not."""

DATE_STEP = 1.0
"""Seconds by which a server's clock may be ahead of what it says: it says whole seconds."""

IN_ADVANCE = 180.0
"""Seconds before the end at which the next leg is made; of a short life a quarter."""

NO_LONGER_QUIET = 30.0
"""Seconds before the end from which on the user's speech is not waited for any more."""

LAST_MOMENT = 2.0
"""Seconds before the end at which an answer is cut."""


class Talk(Protocol):
    """What is asked of a conversation."""

    @property
    def is_quiet(self) -> bool:
        """Whether nobody speaks, nothing is being made, and every turn has its words."""

    @property
    def is_answering(self) -> bool:
        """Whether an answer is being made or heard."""


class LegTime:
    """The time of one leg.

    expires_at: when the session ends, in Unix time, if the server said so. server_time: what the
    server's clock said, in Unix time, and when that was, if it is known. renew_after: seconds after
    which the leg is to be replaced, if the user wants that.
    """

    def __init__(
        self,
        *,
        began: float,
        expires_at: float | None = None,
        server_time: tuple[float, float] | None = None,
        renew_after: float | None = None,
    ) -> None:
        self._began = began
        self.ends_at = began + _left(expires_at, server_time, began)
        """When the session's time is over."""
        left = self.ends_at - began
        self.renew_at = self.ends_at - min(IN_ADVANCE, left / 4)
        """When to begin to make the next leg."""
        if renew_after is not None:
            self.renew_at = min(self.renew_at, began + renew_after)

    def lived(self, now: float) -> float:
        """Return for how many seconds the leg has been in use."""
        return now - self._began

    def is_nearly_over(self, now: float) -> bool:
        """Whether an end of the session now is that of its time."""
        return now > self.ends_at - NEAR_EXPIRY

    def may_leave(self, now: float, talk: Talk) -> bool:
        """Whether the leg can be left now for the next one, which is ready."""
        left = self.ends_at - now
        if talk.is_quiet or left <= LAST_MOMENT:
            return True
        return left <= NO_LONGER_QUIET and not talk.is_answering


def _left(expires_at: float | None, server_time: tuple[float, float] | None, now: float) -> float:
    if expires_at is None or server_time is None:
        return USUAL_LIFE
    unix, at = server_time
    left = expires_at - (unix + DATE_STEP) - (now - at)
    return max(0.0, left) if -NEAR_EXPIRY < left <= LONGEST_LIFE else USUAL_LIFE
