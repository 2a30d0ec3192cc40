"""What has arrived at a connection, counted by whoever reads the network; a leaf.

Attributes and no callbacks: a datagram comes every 20 ms, or more often; whoever wants to know of
it looks once in a while.
"""

from __future__ import annotations

from rtcvoice.system import clock

__all__ = ["Arrivals"]


class Arrivals:
    """Counts what arrives at one connection, and knows when its other side was heard."""

    __slots__ = ("bytes", "datagrams", "heard_at")

    def __init__(self) -> None:
        self.datagrams = 0
        """RTP, RTCP, DTLS and STUN. Anybody who knows the port may have sent them."""
        self.bytes = 0
        """All bytes of these datagrams."""
        self.heard_at = clock.now()
        """When the other side was last heard, in seconds of `clock.now()`: by what DTLS, SRTP or
        STUN has accepted."""

    def heard(self) -> None:
        """Note that the other side is heard now."""
        self.heard_at = clock.now()
