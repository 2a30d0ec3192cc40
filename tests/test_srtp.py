"""`rtcvoice.wire._srtp` gives the bytes, and the errors, that pylibsrtp's sessions do."""

from __future__ import annotations

import struct
from types import SimpleNamespace

import pylibsrtp
import pytest

from rtcvoice.wire._srtp import protecting, unprotecting

KEY = bytes(range(30))
OUT, IN = pylibsrtp.Policy.SSRC_ANY_OUTBOUND, pylibsrtp.Policy.SSRC_ANY_INBOUND


def session(kind: int) -> pylibsrtp.Session:
    return pylibsrtp.Session(pylibsrtp.Policy(key=KEY, ssrc_type=kind))


def packet(number: int, size: int = 160) -> bytes:
    return struct.pack("!BBHLL", 0x80, 96, number, number * 960, 7) + bytes(size)


def test_the_same_bytes_come_out():
    protect, unprotect = protecting(session(OUT)), unprotecting(session(IN))
    theirs_out, theirs_in = session(OUT), session(IN)
    for number, size in enumerate((0, 1, 160, 1275, 3)):
        plain = packet(number, size)
        sealed = protect(plain)
        assert sealed == theirs_out.protect(plain)
        assert unprotect(sealed) == theirs_in.unprotect(sealed) == plain


def test_what_is_forged_repeated_or_too_long_raises_the_same():
    protect, unprotect = protecting(session(OUT)), unprotecting(session(IN))
    sealed = protect(packet(1))
    with pytest.raises(pylibsrtp.Error, match="authentication"):
        unprotect(sealed[:-1] + bytes((sealed[-1] ^ 1,)))
    assert unprotect(sealed) == packet(1)
    with pytest.raises(pylibsrtp.Error, match="replay"):
        unprotect(sealed)
    for call in (protect, session(OUT).protect):
        with pytest.raises(ValueError, match="too long"):
            call(packet(2, 1500 - 12 - 143))
    assert len(protect(packet(2, 1500 - 12 - 144))) == 1500 - 144 + 10


def test_a_session_of_another_kind_does_it_all_itself():
    other = SimpleNamespace(protect=bytes, unprotect=len)
    assert protecting(other) is bytes
    assert unprotecting(other) is len
