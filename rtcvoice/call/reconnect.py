"""When a call that lost its connection tries again, and when it gives up; pure.

While nobody answers, the network is away, and nobody minds being asked: one attempt begins each
second. A server that answers with a refusal is asked again later and later, with jitter, as it
wishes. A refusal that more attempts cannot change ends the call at once, with its own error.

Time comes in as `now`, in seconds of one clock that counts sleep.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rtcvoice.errors import (
    ConfigError,
    CredentialsError,
    RtcVoiceError,
    SignalingError,
    TransportError,
)
from rtcvoice.system.public import public

__all__ = ["FATAL_CODES", "LEAST_LIFE", "Attempts", "Reconnect"]

INTERVAL = 1.0
"""Seconds from the beginning of one attempt to that of the next, while nobody answers."""

FIRST_BACKOFF = 1.0
LONGEST_BACKOFF = 20.0
"""Seconds to wait after a refusal: the first, doubled with each one more, and the longest."""

LONGEST_RETRY_AFTER = 120.0
"""Seconds of a server's Retry-After that are believed; a longer one is taken for this."""

LEAST_LIFE = 10.0
"""Seconds that a leg has to live to count as a success: one that died earlier was a failed try."""

FATAL_CODES = frozenset(
    {
        "account_deactivated",
        "beta_api_shape_disabled",
        "billing_hard_limit_reached",
        "credit_balance_exhausted",
        "insufficient_quota",
        "invalid_api_key",
    }
)
"""Codes of the API that another attempt meets again."""


@public
@dataclass(frozen=True, kw_only=True)
class Reconnect:
    """How a call outlives its connection: `connect(reconnect=Reconnect(...))`.

    A new connection is a new session of the server's, which is given the conversation so far, as it
    was heard. `reconnect=None` ends the call with its connection.

    window: seconds from the loss of a connection in which another may come about; then the call
        ends with the last error.
    max_legs: connections that one call has at most, the first included.
    on_server_close: whether to connect again, too, when the server hangs up without an error.
    renew_after: seconds after which a connection is replaced while nobody speaks; by itself that
        happens before the server's own limit.
    max_replay_items, max_replay_tokens: how much of the conversation a new session is given; the
        oldest is left out first. Tokens are estimated.
    """

    window: float = 120.0
    max_legs: int = 50
    on_server_close: bool = False
    renew_after: float | None = None
    max_replay_items: int = 200
    max_replay_tokens: int = 16_000

    def __post_init__(self) -> None:
        for name, least in (("window", 0.0), ("renew_after", 30.0)):
            value = getattr(self, name)
            if value is None and name == "renew_after":
                continue
            if not _is_number(value) or not value > 0 or value < least:
                raise ConfigError(
                    f"Reconnect({name}={value!r}) must be a number of seconds"
                    + (f", at least {least:g}" if least else " above 0"),
                    hint="reconnect=None switches reconnecting off" if name == "window" else "",
                )
        for name, lowest in (("max_legs", 1), ("max_replay_items", 0), ("max_replay_tokens", 0)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < lowest:
                raise ConfigError(
                    f"Reconnect({name}={value!r}) must be a whole number from {lowest} on"
                )
        if not isinstance(self.on_server_close, bool):
            raise ConfigError(
                f"Reconnect(on_server_close={self.on_server_close!r}) must be True or False"
            )


class Attempts:
    """The attempts of one call to get another leg; the window reaches over legs that die young.

        lost(now, lived) -> due(now): begin at that time, or None: give up with `error`
        failed(error, now, begun) | up() | window_over()

    `chance` returns a number from 0 to 1, for the jitter.
    """

    def __init__(self, options: Reconnect, *, chance: Callable[[], float]) -> None:
        self._options = options
        self._chance = chance
        self._legs = 1
        self._ends: float | None = None
        self._next = 0.0
        self._refusals = 0
        self._given_up = False
        self.number = 0
        """Attempts since the connection was lost."""
        self.error: RtcVoiceError | None = None
        """Why the last attempt failed, or what the connection was lost by."""

    def lost(self, now: float, *, lived: float, error: RtcVoiceError) -> None:
        """Note that a leg is gone that was up for `lived` seconds; the first attempt is due."""
        self.error = error
        if self._ends is None or lived >= LEAST_LIFE:
            self._ends = now + self._options.window
            self._refusals = self.number = 0
            self._next = now
        else:  # as if it had failed: a server that takes calls and drops them is left in peace
            self._refusals += 1
            self._next = now + self._backoff()
        self._given_up = self._legs >= self._options.max_legs
        if self._given_up:
            self.error = _too_many(self._legs, error)

    def left(self, now: float) -> float:
        """Return the seconds that are left of the window."""
        return max(0.0, (self._ends or 0.0) - now)

    def window_over(self) -> None:
        """Give up with the error before: the window ended while an attempt was under way."""
        self._given_up = True

    def due(self, now: float) -> float | None:
        """Return when the next attempt is to begin; None when there is none, see `error`."""
        if self._given_up or self._ends is None or max(now, self._next) >= self._ends:
            return None
        return max(now, self._next)

    def begin(self) -> int:
        """Note that an attempt begins; return its number, from 1 on."""
        self.number += 1
        return self.number

    def failed(self, error: RtcVoiceError, now: float, *, begun: float) -> None:
        """Note why an attempt came to nothing."""
        self.error = error
        if is_fatal(error):
            self._given_up = True
        elif isinstance(error, SignalingError) and error.status is not None:
            self._refusals += 1
            self._next = now + max(self._backoff(), _believed(error.retry_after))
        else:
            self._next = max(now, begun + INTERVAL)

    def up(self) -> None:
        """Note that there is another leg."""
        self._legs += 1

    def _backoff(self) -> float:
        longest = min(LONGEST_BACKOFF, FIRST_BACKOFF * 2.0 ** min(self._refusals - 1, 10))
        return longest * (0.5 + 0.5 * self._chance())


def is_fatal(error: RtcVoiceError) -> bool:
    """Whether another attempt would meet the same error."""
    if isinstance(error, ConfigError | CredentialsError):
        return True
    if not isinstance(error, SignalingError) or error.status is None:
        return False
    if error.code in FATAL_CODES:
        return True
    return 300 <= error.status < 500 and error.status not in (404, 408, 409, 425, 429)


def _too_many(legs: int, lost_by: RtcVoiceError) -> RtcVoiceError:
    error = TransportError(
        f"{lost_by.message}; no other connection is made, for this call has had"
        f" {legs} of at most {legs}",
        stage="connected",
        hint="raise Reconnect(max_legs=...), or find out why they are lost",
    )
    error.__cause__ = lost_by
    return error


def _believed(retry_after: float | None) -> float:
    return min(max(0.0, retry_after or 0.0), LONGEST_RETRY_AFTER)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e18
