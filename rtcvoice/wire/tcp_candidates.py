"""Which TCP addresses of an answer are used: the answer is the server's word, so few are; pure.

Whoever answers an offer chooses where this machine connects to by TCP, also inside the network that
it is in. So a public server may name only public addresses, and only the ports that Realtime
servers have.
"""

from __future__ import annotations

import ipaddress
import itertools
from typing import NamedTuple, TypeAlias

from rtcvoice.system.hosts import Reach, bracketed
from rtcvoice.wire.sdp_lines import candidate_kind

__all__ = ["PORTS", "TcpChoice", "choose_tcp"]

MOST_TCP = 3
"""Addresses that are connected to; the service names as many."""

PORTS = (443, 3478)
"""OpenAI's port and Azure's."""


_HOLD_IPV4 = tuple(map(ipaddress.ip_network, ("64:ff9b::/96", "::ffff:0:0:0/96", "::/96")))
"""NAT64 (RFC 6052), IPv4-translated (RFC 2765), IPv4-compatible (RFC 4291): IPv4 in the end."""

_LOCAL_NAT64 = ipaddress.ip_network("64:ff9b:1::/48")
"""Addresses of translators of one's own network, to whatever they lead (RFC 8215)."""

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address


class TcpChoice(NamedTuple):
    """An answer with the TCP candidates that are used, and no others."""

    sdp: str
    addresses: tuple[tuple[str, int], ...]
    refused: str
    """Why the first one that is not used is not; empty when all are."""


def choose_tcp(sdp: str, reach: Reach) -> TcpChoice:
    """Choose among the TCP candidates of a normalised answer by a server of this reach."""
    lines: list[str] = []
    addresses: dict[tuple[str, int], None] = {}
    refused = ""
    for line in sdp.splitlines():
        if line.startswith("a=candidate:") and candidate_kind(line) == "tcp":
            words = line.split()
            address = str(ipaddress.ip_address(words[4])), int(words[5])
            why = _refusal(words, *address, reach)
            if not why and len({*addresses, address}) > MOST_TCP:
                why = f"more than {MOST_TCP} TCP addresses"
            if why:
                refused = refused or why
                continue
            addresses[address] = None
        lines.append(line)
    return TcpChoice("".join(f"{line}\r\n" for line in lines), tuple(addresses), refused)


def _meant(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 one leads to, if it does."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    special = address.is_loopback or address.is_unspecified  # they lie in ::/96, too
    if not special and any(address in network for network in _HOLD_IPV4):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _refusal(words: list[str], host: str, port: int, reach: Reach) -> str:
    """Return why a candidate is not used; nothing if it is."""
    if ("tcptype", "passive") not in itertools.pairwise(words[8:]):
        return "a TCP candidate that takes no connections (its tcptype is not passive)"
    at = f"{bracketed(host)}:{port}"
    address = _meant(ipaddress.ip_address(host))
    if reach is Reach.LOOPBACK:
        return ""
    if address.is_loopback or address.is_unspecified or address.is_link_local:
        return f"{at} is an address of this machine or of its link only"
    if reach is Reach.PRIVATE:
        return ""
    if not address.is_global or address.is_multicast or address in _LOCAL_NAT64:
        return f"{at} is a private address, and the server is a public one"
    if port not in PORTS:
        return f"{at} has another port than {' and '.join(map(str, PORTS))}"
    return ""
