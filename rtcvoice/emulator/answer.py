"""Gives aiortc's SDP answer the shape of the real server's, or spoils it; pure.

The service answers with what a client must cope with: the fingerprint stated once for the session,
candidates in the first section only and without an end, `a=ice-lite`, no header extensions and no
RTCP feedback. Clients written against a politer server fail against the real one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from rtcvoice.emulator.faults import AnswerFault
from rtcvoice.sdp import media_sections

__all__ = [
    "AS_SEEN",
    "AnswerShape",
    "as_offered",
    "audio_codec",
    "audio_first",
    "max_message_size",
    "shape_answer",
    "spoil_answer",
]

_DROPPED = (
    "a=extmap:",
    "a=rtcp-fb:",
    "a=msid:",
    "a=ssrc:",
    "a=rtcp:",
    "a=fmtp:",
    "a=msid-semantic",
)
_OPUS = re.compile(r"^a=rtpmap:(\d+) opus/48000", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class AnswerShape:
    """How the answer looks; the defaults are what the service was seen to send."""

    ice_lite: bool = True
    """Announce ICE-lite: the client alone checks and nominates."""
    end_of_candidates: bool = False
    """Say that no further candidates will come."""
    candidates_everywhere: bool = False
    """Repeat the candidates in every section, as other servers do."""
    tcp_candidates: bool = False
    """Also offer TCP at port 443, as the service does. Nobody listens there: a client that cannot
    use it must not mind, one that can has to prefer UDP."""
    max_message_size: int | None = None
    """Bytes of the largest event that is taken, announced in the answer; a larger one closes the
    channel. None: what aiortc announces; 0: announce nothing, which means 65536 (RFC 8841 §6.1)."""


AS_SEEN = AnswerShape()
"""The shape of the service's own answers."""


def shape_answer(sdp: str, shape: AnswerShape = AS_SEEN) -> str:
    """Return the answer to send for one that aiortc made."""
    session, media = media_sections(sdp)
    fingerprints = [line for line in media[0] if line.startswith("a=fingerprint:sha-256")]
    result = [line for line in session if not line.startswith(_DROPPED)]
    result += ["a=msid-semantic:WMS *", *fingerprints]
    if shape.ice_lite:
        result.append("a=ice-lite")
    candidates = [line for section in media for line in section if line.startswith("a=candidate:")]
    for index, section in enumerate(media):
        here = index == 0 or shape.candidates_everywhere
        result += _section(section, shape) + (_candidates(candidates, shape) if here else [])
    return "".join(f"{line}\r\n" for line in result)


def _section(section: list[str], shape: AnswerShape) -> list[str]:
    lines: list[str] = []
    ssrc = next((line.split()[0][7:] for line in section if line.startswith("a=ssrc:")), None)
    for line in section:
        if line.startswith(("a=candidate:", "a=end-of-candidates")):
            continue
        if line.startswith("a=max-message-size:") and shape.max_message_size is not None:
            line = f"a=max-message-size:{shape.max_message_size}" if shape.max_message_size else ""
        if line and not line.startswith((*_DROPPED, "a=fingerprint:")):
            lines.append(line)
        if opus := _OPUS.match(line):
            lines.append(f"a=fmtp:{opus[1]} minptime=10;useinbandfec=1")
    if section[0].startswith("m=audio"):
        # JavaScript clients find the voice by its stream, so there has to be one.
        lines += [f"a=ssrc:{ssrc} cname:realtimeapi"] if ssrc else []
        lines.append("a=msid:realtimeapi audio")
    return lines


def _candidates(candidates: list[str], shape: AnswerShape) -> list[str]:
    """Return the lines about candidates; all sections share one transport, and so these."""
    lines = list(dict.fromkeys(candidates))
    lines += map(_over_tcp, lines[:]) if shape.tcp_candidates else []
    return lines + (["a=end-of-candidates"] if shape.end_of_candidates else [])


def _over_tcp(candidate: str) -> str:
    """Return the TCP candidate that the service has beside a UDP one (RFC 6544 §4.5)."""
    foundation, component, _, _, address, *_ = candidate.split()
    return f"{foundation}1 {component} tcp 1671430143 {address} 443 typ host tcptype passive"


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


def spoil_answer(sdp: str, fault: AnswerFault) -> str:
    """Return the answer with one thing wrong."""
    match fault:
        case AnswerFault.EMPTY:
            return ""
        case AnswerFault.GARBAGE:
            return "There is nobody here by that name.\r\n"
        case AnswerFault.TRUNCATED:
            return sdp[: sdp.index("m=") + 20]
        case AnswerFault.NO_CANDIDATES:
            return re.sub(r"a=candidate:.*\r\n", "", sdp)
        case AnswerFault.NO_AUDIO:
            return re.sub(r"m=audio \d+", "m=audio 0", sdp)
        case AnswerFault.NO_CHANNEL:
            refused = re.sub(r"m=application \d+", "m=application 0", sdp)
            return re.sub(r"(a=group:BUNDLE \S+).*(?=\r)", r"\1", refused)
        case AnswerFault.WRONG_FINGERPRINT:
            return re.sub(r"(a=fingerprint:\S+ )(..)", _other_byte, sdp)


def _other_byte(found: re.Match[str]) -> str:
    return found[1] + ("00" if found[2] != "00" else "11")
