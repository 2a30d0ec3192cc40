"""Gives aiortc's SDP answer the shape of the real server's; pure.

The service answers with what a client must cope with: the fingerprint stated once for the session,
candidates in the first section only and without an end, `a=ice-lite`, no header extensions and no
RTCP feedback. Clients written against a politer server fail against the real one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from rtcvoice.sdp import media_sections

__all__ = ["AS_SEEN", "AnswerShape", "shape_answer"]

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
    for index, section in enumerate(media):
        result += _section(section, shape, first=index == 0)
    return "".join(f"{line}\r\n" for line in result)


def _section(section: list[str], shape: AnswerShape, *, first: bool) -> list[str]:
    lines: list[str] = []
    ssrc = next((line.split()[0][7:] for line in section if line.startswith("a=ssrc:")), None)
    for line in section:
        if line.startswith(("a=candidate:", "a=end-of-candidates")):
            continue
        if not line.startswith((*_DROPPED, "a=fingerprint:")):
            lines.append(line)
        if opus := _OPUS.match(line):
            lines.append(f"a=fmtp:{opus[1]} minptime=10;useinbandfec=1")
    if section[0].startswith("m=audio"):
        # JavaScript clients find the voice by its stream, so there has to be one.
        lines += [f"a=ssrc:{ssrc} cname:realtimeapi"] if ssrc else []
        lines.append("a=msid:realtimeapi audio")
    if first or shape.candidates_everywhere:
        lines += [line for line in section if line.startswith("a=candidate:")]
        lines += ["a=end-of-candidates"] if shape.end_of_candidates else []
    return lines
