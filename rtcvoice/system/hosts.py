"""What the name of a host tells: whether it is an address, or this very machine; pure."""

from __future__ import annotations

import ipaddress

__all__ = ["is_ip_address", "is_loopback_host"]


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
