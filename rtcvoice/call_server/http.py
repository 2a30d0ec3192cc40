"""Requests and answers in neutral terms, whichever web server they came by."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from rtcvoice.system.public import public
from rtcvoice.token_server.access import Refusal

__all__ = ["Answer", "CallerRequest", "Refusal", "Socket", "as_json", "refused"]


async def _nothing() -> AsyncIterator[bytes]:
    yield b""


@public
@dataclass(frozen=True, kw_only=True)
class CallerRequest:
    """A request to a `CallServer`, as its `authenticate=` gets it."""

    method: str
    path: str
    """Below the place where the server is mounted: "/call"."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """By names in lower case. Cookies and Authorization are among them: they are secrets."""
    address: str = ""
    """Where it came from, as the web server tells; an IP address mostly."""
    root: str = ""
    """The path of the place where the server is mounted; empty at the top."""
    scheme: str = "http"
    body: AsyncIterator[bytes] = field(default_factory=_nothing, repr=False)
    gone: Callable[[], bool] = field(default=lambda: False, repr=False)
    """Whether the client has left."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What is answered."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


class Socket(Protocol):
    """A WebSocket of a page that was let in."""

    async def send(self, text: str) -> None:
        """Send a message. Raises ConnectionError when it is closed."""

    async def receive(self) -> str | None:
        """Return the next message; None once it is closed."""

    async def close(self, code: int = 1000) -> None:
        """Close it; never raises."""


def as_json(data: Any, status: int = 200, headers: Mapping[str, str] = {}) -> Answer:
    """Return an answer that is JSON."""
    return Answer(
        status=status,
        body=json.dumps(data).encode(),
        headers={"Content-Type": "application/json", **headers},
    )


def refused(refusal: Refusal) -> Answer:
    """Return the answer to a request that is refused."""
    error = {"type": "call_server_error", "code": refusal.code, "message": str(refusal)}
    return as_json({"error": error}, refusal.status, refusal.headers)
