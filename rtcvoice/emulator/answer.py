"""Gives aiortc's SDP answer the shape of the real server's, or spoils it; pure.

The service answers with what a client must cope with: the fingerprint stated once for the session,
candidates in the first section only and without an end, `a=ice-lite`, no header extensions and no
RTCP feedback. Clients written against a politer server fail against the real one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from rtcvoice.emulator.faults import AnswerFault
from rtcvoice.system.options import Options
from rtcvoice.wire.sdp import media_sections

__all__ = [
    "AS_SEEN",
    "AnswerShape",
    "shape_answer",
    "spoil_answer",
    "with_tcp",
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
class AnswerShape(Options):
    """How the answer looks; the defaults are what the service was seen to send."""

    ice_lite: bool = True
    """Announce ICE-lite: the client alone checks and nominates."""
    end_of_candidates: bool = False
    """Say that no further candidates will come."""
    candidates_everywhere: bool = False
    """Repeat the candidates in every section, as other servers do."""
    tcp_candidates: bool = False
    """Also offer TCP, as the service does: a client that cannot use it must not mind, one that can
    has to prefer UDP."""
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
        result += _section(section, shape) + (list(dict.fromkeys(candidates)) if here else [])
        result += ["a=end-of-candidates"] if here and shape.end_of_candidates else []
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


def with_tcp(sdp: str, port: int, *, udp: bool) -> str:
    """Return the answer with a TCP candidate at `port` for each UDP one, which stays with `udp`."""
    lines: list[str] = []
    over_tcp: list[str] = []
    for line in [*sdp.splitlines(), ""]:
        is_candidate = line.startswith("a=candidate:")
        if is_candidate:
            over_tcp.append(_over_tcp(line, port))
        else:
            lines += over_tcp
            over_tcp = []
        if line and (udp or not is_candidate):
            lines.append(line)
    return "".join(f"{line}\r\n" for line in lines)


def _over_tcp(candidate: str, port: int = 443) -> str:
    """Return the TCP candidate that the service has beside a UDP one (RFC 6544 §4.5)."""
    foundation, component, _, _, address, *_ = candidate.split()
    return f"{foundation}1 {component} tcp 1671430143 {address} {port} typ host tcptype passive"


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
        case AnswerFault.TCP_ONLY:
            return re.sub(r"a=candidate:.*(?=\r\n)", lambda found: _over_tcp(found[0]), sdp)
        case AnswerFault.NO_AUDIO:
            return re.sub(r"m=audio \d+", "m=audio 0", sdp)
        case AnswerFault.NO_CHANNEL:
            refused = re.sub(r"m=application \d+", "m=application 0", sdp)
            return re.sub(r"(a=group:BUNDLE \S+).*(?=\r)", r"\1", refused)
        case AnswerFault.WRONG_FINGERPRINT:
            return re.sub(r"(a=fingerprint:\S+ )(..)", _other_byte, sdp)


def _other_byte(found: re.Match[str]) -> str:
    return found[1] + ("00" if found[2] != "00" else "11")
