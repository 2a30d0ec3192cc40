"""What the emulator itself fails in, as the client and the test's author are told of it.

A connection that ends without a word is what they understand least: so a failure, such as that of
a persona of one's own, is an `error` event which names it, and the call goes on.
"""

from __future__ import annotations

from typing import Any

from rtcvoice.errors import ConfigError

__all__ = ["Failures"]

MOST_FAILURES = 10


class Failures:
    """The failures of one call."""

    def __init__(self) -> None:
        self.told: list[str] = []
        """A sentence for each, oldest first."""

    @property
    def too_many(self) -> bool:
        """Whether the call is not worth going on with."""
        return len(self.told) >= MOST_FAILURES

    def event(self, exc: Exception, client_event: object = None) -> dict[str, Any]:
        """Note a failure, and return the event that tells it.

        `client_event` is the id of what was being done for the client, who then waits no longer.
        """
        cause = exc.message if isinstance(exc, ConfigError) else f"{type(exc).__name__}: {exc}"
        message = f"The emulator failed: {cause:.500}"
        self.told.append(message)
        error = {"type": "server_error", "code": "emulator_failed", "message": message}
        return {
            "type": "error",
            "event_id": f"event_failure{len(self.told)}",
            "error": {**error, "param": None, "event_id": client_event},
        }
