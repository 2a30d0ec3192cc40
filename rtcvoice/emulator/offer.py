"""Reads what a client offers, and keeps aiortc from what it cannot do with it; pure.

aiortc gathers candidates only when the audio section comes first, takes an offer without a
fingerprint and fails much later, and knows codecs that the service does not.
"""

from __future__ import annotations

import re

from rtcvoice.system.whole_numbers import MOST_DIGITS, too_long
from rtcvoice.wire.sdp import media_sections

__all__ = [
    "OfferError",
    "as_offered",
    "audio_codec",
    "audio_first",
    "check_offer",
    "max_message_size",
]

_LONG_NUMBER = re.compile(rf"[0-9]{{{MOST_DIGITS + 1}}}")


class OfferError(ValueError):
    """The offer cannot be answered; the message says why."""


def check_offer(offer: str) -> None:
    """Refuse what aiortc would take and then fail with much later. Raises OfferError."""
    for needed, name in (("m=audio", "audio section"), ("a=fingerprint:", "fingerprint")):
        if not any(line.startswith(needed) for line in offer.splitlines()):
            raise OfferError(f"the offer has no {name}")
    if (found := _LONG_NUMBER.search(offer)) is not None:
        raise OfferError(too_long(found[0]))


def audio_codec(sdp: str) -> str:
    """Return the name of the codec that a description prefers for audio, as in its rtpmap."""
    for section in media_sections(sdp)[1]:
        if section[0].startswith("m=audio"):
            payload = section[0].split()[3]
            for line in section:
                if line.startswith(f"a=rtpmap:{payload} "):
                    return line.split()[1].partition("/")[0]
            return {"0": "PCMU", "8": "PCMA"}.get(payload, "")  # static numbers (RFC 3551 §6)
    return ""


def audio_first(offer: str) -> str:
    """Return the offer with its audio section first, as aiortc needs it to gather candidates."""
    session, media = media_sections(offer)
    return _joined(session, sorted(media, key=lambda section: not section[0].startswith("m=audio")))


def as_offered(answer: str, offer: str) -> str:
    """Return the answer with its sections in the order of the offer's (RFC 3264 §6)."""
    order = [_mid(section) for section in media_sections(offer)[1]]
    session, media = media_sections(answer)
    if sorted(map(_mid, media)) != sorted(order):
        return answer
    return _joined(session, sorted(media, key=lambda section: order.index(_mid(section))))


def _mid(section: list[str]) -> str:
    return next((line for line in section if line.startswith("a=mid:")), "")


def _joined(session: list[str], media: list[list[str]]) -> str:
    """Return the description of these sections, bundled in their order if at all."""
    mids = " ".join(_mid(section)[6:] for section in media)
    session = [
        f"a=group:BUNDLE {mids}" if line.startswith("a=group:BUNDLE") else line for line in session
    ]
    lines = [*session, *(line for section in media for line in section)]
    return "".join(f"{line}\r\n" for line in lines)


def max_message_size(sdp: str) -> int:
    """Return the bytes of the largest message that a description's sender takes."""
    found = re.search(r"^a=max-message-size:(\d+)", sdp, re.MULTILINE)
    size = int(found[1]) if found else 65536  # (RFC 8841 §6.1)
    return size or 2**62
