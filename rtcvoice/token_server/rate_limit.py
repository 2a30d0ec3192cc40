"""How often each client may ask: a bucket of tokens per client; pure."""

from __future__ import annotations

import ipaddress

__all__ = ["RequestLimit", "household"]


def household(client: str) -> str:
    """Return what a client's address is counted as: IPv6 gives every household 2**64 of them."""
    try:
        address = ipaddress.ip_address(client)
    except ValueError:
        return client
    if address.version == 4:
        return client
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(address), 64), strict=False))


class RequestLimit:
    """Lets every client act `per_minute` times a minute, as many at once, then evenly.

    Knows the newest `most` clients; one that was forgotten starts afresh.
    """

    def __init__(self, per_minute: int, *, most: int = 4096) -> None:
        self._burst = per_minute
        self._per_second = per_minute / 60
        self._most = most
        self._left: dict[str, tuple[float, float]] = {}

    def take(self, client: str, now: float) -> float:
        """Return 0.0 when `client` may act `now`, else the seconds to wait until it may."""
        left, since = self._left.pop(client, (float(self._burst), now))
        left = min(self._burst, left + (now - since) * self._per_second)
        allowed = left >= 1
        self._left[client] = (left - allowed, now)
        if len(self._left) > self._most:
            del self._left[next(iter(self._left))]
        return 0.0 if allowed else (1 - left) / self._per_second
