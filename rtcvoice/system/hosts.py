"""What the name of a host tells: whether it is an address, or this very machine; pure."""

from __future__ import annotations

import enum
import ipaddress

__all__ = ["Reach", "bracketed", "is_ip_address", "is_loopback_host", "reach_of"]


def bracketed(host: str) -> str:
    """Return a host as it stands in a URL: IPv6 addresses have brackets there."""
    return f"[{host}]" if ":" in host else host


def is_ip_address(host: str) -> bool:
    """Whether `host` is an IPv4 or IPv6 address, without brackets."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_loopback_host(host: str) -> bool:
    """Whether `host`, a name or an IP address without brackets, means this machine (RFC 6761)."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Reach(enum.Enum):
    """From where a server is meant to be reached, as its name tells."""

    LOOPBACK = "This machine only."
    PRIVATE = "A network of somebody's own."
    PUBLIC = "Everywhere."


_PRIVATE_NAMES = (".home.arpa", ".internal", ".intranet", ".lan", ".local")


def reach_of(host: str) -> Reach:
    """Return from where a host, a name or an IP address without brackets, is meant to be reached.

    A name says nothing about its addresses: only names that the DNS of the world cannot know are
    taken for private (RFC 6762, RFC 8375), the rest is public, which is the more careful of both.
    """
    if is_loopback_host(host):
        return Reach.LOOPBACK
    try:
        return Reach.PUBLIC if ipaddress.ip_address(host).is_global else Reach.PRIVATE
    except ValueError:
        name = host.rstrip(".").lower()
        private = "." not in name or name.endswith(_PRIVATE_NAMES)
        return Reach.PRIVATE if private else Reach.PUBLIC
