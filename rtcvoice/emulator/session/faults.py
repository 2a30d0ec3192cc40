"""What can be made to go wrong inside a session, for its whole life: one frozen vocabulary.

A script's turns have keys of their own for what is to go wrong once. Everything here is off by
default, and is named after what a client sees. The shell's faults (network, REST, channel) extend
this class, so that a user has one set of names.
"""

from __future__ import annotations

import enum
import fnmatch
from dataclasses import dataclass

from rtcvoice.errors import ConfigError
from rtcvoice.events import SERVER_EVENTS, live
from rtcvoice.system.options import Options, guess

__all__ = ["SessionEnd", "SessionFaults"]


class SessionEnd(enum.StrEnum):
    """How a session ends whose time is over: which way the service takes is not known."""

    ERROR_CLOSE = "error_close"
    """The error `session_expired`, then the connection is closed (channel and DTLS)."""
    ERROR_CHANNEL = "error_channel"
    """The error `session_expired`, then the data channel is closed; the connection stays."""
    CHANNEL = "channel"
    """The data channel is closed without a word."""
    CLOSE = "close"
    """The connection is closed without a word (DTLS close_notify)."""
    SILENCE = "silence"
    """Nothing is sent and nothing is answered any more."""

    @property
    def told(self) -> bool:
        """Whether an error event tells of it."""
        return self in (SessionEnd.ERROR_CLOSE, SessionEnd.ERROR_CHANNEL)


@dataclass(frozen=True, kw_only=True)
class SessionFaults(Options):
    """Faults of the protocol's core. Seconds are of the session's clock."""

    session_expires_after: float | None = None
    """The session's time is over after this many seconds; `expires_at` says so."""
    session_end: SessionEnd = SessionEnd.ERROR_CLOSE
    """How it ends then, and when its usual time is over."""
    reply_delay: float = 0.0
    """Seconds that every response waits before its first item, on top of the usual latency."""
    reply_lost: bool = False
    """No response is ever made: what asks for one hears nothing, not even `response.created`."""
    reply_stalls_after: int | None = None
    """Every response stops after so many deltas and never ends, unless it is cancelled."""
    reply_error: str | None = None
    """Every response ends `failed` with this code, such as `server_error`."""
    reply_error_after: int = 3
    """After how many deltas `reply_error` strikes; 0: before the first item."""
    tokens_per_minute: int | None = None
    """A token budget: responses beyond it fail with `rate_limit_exceeded` until it has refilled."""
    transcription_fails: bool = False
    """Every transcription of the user's speech fails."""
    mcp_tools_fail: bool = False
    """Hosted MCP servers do not tell their tools."""
    unknown_events: bool = False
    """Between the events come some of types that no client knows."""
    unknown_fields: bool = False
    """Every event, and every object inside one, has a field that no client knows."""
    malformed_events: bool = False
    """Between the events come messages that are no events: broken JSON, arrays, wrong types."""
    not_utf8: bool = False
    """Between the events come text messages whose bytes are not UTF-8."""

    # As servers of other makers do
    leave_out: tuple[str, ...] = ()
    """Types of events that are never sent, such as `conversation.item.done`; `*` stands for any
    characters: `output_audio_buffer.*`."""
    item_created: bool = False
    """Items come as `conversation.item.created`, in place of `.added` and `.done`."""
    float_numbers: bool = False
    """Whole numbers are written as floats: `300.0`."""
    odd_values: bool = False
    """Numbers are written as text, and some fields hold values of other types than documented."""
    calls_twice: bool = False
    """What ends a function call is delivered twice."""

    def __post_init__(self) -> None:
        super().__post_init__()
        known = [*SERVER_EVENTS, *live.SERVER_EVENTS]
        for pattern in self.leave_out:
            if not fnmatch.filter(known, pattern):
                hint = guess(pattern, known)
                raise ConfigError(f"leave_out: no event is called {pattern!r}", hint=hint)

    def life(self, duration: float) -> float:
        """Return how many seconds a session lives that would live for so many."""
        after = self.session_expires_after
        return duration if after is None else min(duration, after)
