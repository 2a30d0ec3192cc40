"""A STUN request that checks a path again and again, and its answers, as bytes; pure (RFC 8489).

All requests of one path are alike but for their name, the transaction ID. So what the first one is
made of is kept, and for each only the name is put in and the two sums over it are made anew. Of an
answer nothing is read but whose it is and whether who sent it knows the password.
"""

from __future__ import annotations

import binascii
import hmac
import struct

__all__ = ["NAME", "answers", "signed"]

NAME = slice(8, 20)
"""Where the transaction ID is, 12 bytes."""

_HEADER = 20
_COOKIE = 0x2112A442
_SUCCESS, _ERROR = 0x0101, 0x0111
"""Message types: the answers to a binding request."""

_MESSAGE_INTEGRITY, _INTEGRITY = 0x0008, 20
_FINGERPRINT, _FINGERPRINT_XOR = 0x8028, 0x5354554E

_START = struct.Struct("!HHI")
_ATTRIBUTE = struct.Struct("!HH")


def signed(request: bytes, name: bytes, key: bytes) -> bytes:
    """Return `request` under another `name`, with MESSAGE-INTEGRITY and FINGERPRINT behind it.

    request: a header and attributes, neither of those two among them.
    """
    kind, cookie, attributes = request[:2], request[4:8], request[_HEADER:]
    length = len(attributes) + 4 + _INTEGRITY
    text = kind + length.to_bytes(2, "big") + cookie + name + attributes
    text += _ATTRIBUTE.pack(_MESSAGE_INTEGRITY, _INTEGRITY) + hmac.digest(key, text, "sha1")
    text = kind + (length + 8).to_bytes(2, "big") + text[4:]
    crc = binascii.crc32(text) ^ _FINGERPRINT_XOR
    return text + _ATTRIBUTE.pack(_FINGERPRINT, 4) + crc.to_bytes(4, "big")


def answers(data: bytes, key: bytes) -> bool | None:
    """Tell what a datagram answers to a binding request: True for success, False for an error.

    None if it is no answer, or not by who knows `key`.
    """
    if len(data) < _HEADER:
        return None
    kind, length, cookie = _START.unpack_from(data)
    if kind not in (_SUCCESS, _ERROR) or cookie != _COOKIE or length != len(data) - _HEADER:
        return None
    at = _HEADER
    while at + 4 <= len(data):
        attribute, size = _ATTRIBUTE.unpack_from(data, at)
        if attribute == _MESSAGE_INTEGRITY:
            covered = at - _HEADER + 4 + _INTEGRITY
            text = data[:2] + covered.to_bytes(2, "big") + data[4:at]
            sum_ = data[at + 4 : at + 4 + size]
            return kind == _SUCCESS if hmac.compare_digest(sum_, _sum(key, text)) else None
        at += 4 + size + -size % 4
    return None


def _sum(key: bytes, text: bytes) -> bytes:
    return hmac.digest(key, text, "sha1")
