"""Which lines of a server's answer are taken: a bounded number, and candidates of use; pure."""

from __future__ import annotations

import ipaddress
import itertools
import re

__all__ = ["MOST_CANDIDATES", "AnswerError", "candidate_kind", "lines_taken"]

MOST_CANDIDATES = 50
"""Candidates of an answer that are used, the first ones; each is paired with every local address,
and each pair is sent STUN checks to."""

MOST_MDNS_CANDIDATES = 2
"""Of names that only mDNS knows, and only where there is nothing else: each may take a second."""

MOST_LINES = 1000
LONGEST_LINE = 4096
"""Lines of an answer beside its candidates, and characters of each; real answers have 50 to 300
lines below 300 characters."""

_LINE_END = re.compile(r"[\r\n]+")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")
_WRONG_SERVER = "is base_url the address of a Realtime server?"


class AnswerError(ValueError):
    """The text is not an SDP answer that a call could be built on; the message says why."""

    def __init__(self, message: str, *, hint: str = _WRONG_SERVER) -> None:
        super().__init__(message)
        self.hint = hint


def lines_taken(sdp: str, most_candidates: int) -> list[str]:
    """Return the lines that count, candidates among them only when they can be used."""
    text = sdp.lstrip("\ufeff\x00 \t\r\n")
    if not text.startswith("v=0"):
        what = f"it begins with {text[:60]!r}" if text else "it is empty"
        raise AnswerError(f"the server's answer is not SDP; {what}")
    lines: list[str] = []
    kept = {"udp": 0, "tcp": 0, "mdns": 0}
    sized = 0
    for line in _LINE_END.split(text):
        line = line.strip(" \t\x00")
        if line.startswith("m="):
            kept = dict.fromkeys(kept, 0)
        if line.startswith("a=candidate:"):
            kind = candidate_kind(line)
            most = MOST_MDNS_CANDIDATES if kind == "mdns" else most_candidates
            if kind is None or kept[kind] >= most:
                continue
            kept[kind] += 1
        elif not line or _CONTROL.search(line):
            continue
        else:
            sized += 1
            if sized > MOST_LINES or len(line) > LONGEST_LINE:
                raise AnswerError("the server's SDP answer is larger than any answer to a call")
        lines.append(line)
    if any(
        candidate_kind(line) == "udp" for line in lines
    ):  # asking for names by mDNS takes a second
        lines = [line for line in lines if candidate_kind(line) != "mdns"]
    return lines


def candidate_kind(line: str) -> str | None:
    """Return what a candidate is reached by: udp, tcp, or mdns (then udp); None if by nothing.

    RFC 8839 §5.1. RTCP goes with RTP here, so there is one component.
    """
    words = line[len("a=candidate:") :].split()
    if not line.startswith("a=candidate:") or len(words) < 8 or words[6] != "typ":
        return None
    _, component, transport, priority, host, port, _, kind, *more = words
    more_pairs = itertools.pairwise(more)
    numbers = [priority, port, *(value for name, value in more_pairs if name == "rport")]
    if component != "1" or not all(n.isascii() and n.isdecimal() and len(n) < 11 for n in numbers):
        return None
    if not 0 < int(port) < 65536 or kind not in ("host", "srflx", "relay"):
        return None
    transport = transport.lower()
    if transport == "udp" and host.endswith(".local"):
        return "mdns"
    return transport if transport in ("udp", "tcp") and _can_be_reached(host) else None


def _can_be_reached(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:  # also names: nobody is known to send them
        return False
    nobody = address.is_multicast or address.is_unspecified or host == "255.255.255.255"
    return "%" not in host and not nobody
