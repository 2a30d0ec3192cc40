"""What an offer asks of the server where little can come down: a lower bitrate, longer packets.

`maxaveragebitrate` (RFC 7587 §6.1) and `a=ptime` (RFC 8866 §6.4) are wishes, and they are all that
a sender of Opus heeds: libwebrtc's has 32 kbit/s and 50 packets a second whatever is reported to
it, transport-wide feedback and receiver estimates included, which takes 59 kbit/s with all headers.
On a line that carries less, everything comes seconds late. Pure.
"""

from __future__ import annotations

from typing import NamedTuple

from rtcvoice.wire.sdp import OPUS_PAYLOAD_TYPE

__all__ = ["OpusWish", "narrowed", "wish_for"]

HEADERS = 64
"""Bytes of each packet that are not Opus: IP, UDP, RTP with extensions, SRTP's tag, and what the
encoder exceeds its mean by."""

FOR_SOUND = 0.85
"""Part of the line for sound: events and reports take the rest."""

GOOD = 20_000
"""Bits per second of Opus above which shorter packets are worth more than better sound."""

PACKETS = (20, 40, 60)
"""Milliseconds in a packet."""

LEAST = 6000
"""Bits per second below which Opus is not told to go (RFC 7587 §6.1)."""


class OpusWish(NamedTuple):
    """What to ask for: bits per second of Opus, milliseconds in a packet."""

    bitrate: int
    packet: int


def wish_for(line_bps: float) -> OpusWish:
    """Return what fits through a line of so many bits per second, all headers included."""
    sound = line_bps * FOR_SOUND
    wishes = [OpusWish(int(sound - 8000 * HEADERS / packet), packet) for packet in PACKETS]
    best = next((wish for wish in wishes if wish.bitrate >= GOOD), wishes[-1])
    return best._replace(bitrate=max(best.bitrate, LEAST))


def narrowed(offer: str, line_bps: float | None) -> str:
    """Return an offer of `shape_offer` that asks for no more Opus than a line carries.

    None: any line.
    """
    if line_bps is None:
        return offer
    wish, lines = wish_for(line_bps), []
    for line in offer.splitlines():
        if line.startswith(f"a=rtpmap:{OPUS_PAYLOAD_TYPE} "):
            lines.append(f"a=ptime:{wish.packet}")
        elif line.startswith(f"a=fmtp:{OPUS_PAYLOAD_TYPE} "):
            line += f";maxaveragebitrate={wish.bitrate}"
        lines.append(line)
    return "".join(f"{line}\r\n" for line in lines)
