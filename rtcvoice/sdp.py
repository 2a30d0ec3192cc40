"""SDP as text: shape the offer that is posted, normalise the answer that comes back; pure.

aiortc writes and parses SDP well enough; what it cannot do is done here on the text, so that no
process-wide patch is needed:

- The posted offer names Opus as payload type 111 with in-band FEC, as every browser does. Servers
  that relay RTP without rewriting payload types only work with 111.
- A bundled answer may carry ICE credentials, fingerprint, setup role and candidates in its first
  section only (RFC 9143 §7.1.3; Pion and so OpenAI do). aiortc lets the last section win, so
  every bundled section gets a copy of the first one's lines.
- An ICE-lite server answers every check and never checks us. aiortc then spends a second round trip
  on nominating what already works; without the `a=ice-lite` line it nominates with the first check
  (aggressive nomination, RFC 5245 §8.1.1.2), which a lite agent must accept.

Neither text is ever stripped: servers refuse an offer without its final CRLF.
"""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["AnswerError", "media_sections", "normalise_answer", "shape_offer"]

OPUS_PAYLOAD_TYPE = 111
OPUS_PARAMETERS = "minptime=10;useinbandfec=1"

_BUNDLED = ("ice-ufrag", "ice-pwd", "setup", "fingerprint", "candidate", "end-of-candidates")
_OPUS = re.compile(r"a=rtpmap:(\d+) opus/48000", re.IGNORECASE)


class AnswerError(ValueError):
    """The text is not an SDP answer that a call could be built on; the message says why."""


class Sections(NamedTuple):
    """An SDP split at its m= lines; every line without its line end."""

    session: list[str]
    media: list[list[str]]


def media_sections(sdp: str) -> Sections:
    """Split an SDP text into its session part and its media sections."""
    parts: list[list[str]] = [[]]
    for line in sdp.splitlines():
        if line.startswith("m="):
            parts.append([])
        if line:
            parts[-1].append(line)
    return Sections(parts[0], parts[1:])


def shape_offer(sdp: str) -> str:
    """Return the text to post for an offer that aiortc made: Opus as 111, with in-band FEC.

    aiortc need not know: it takes the payload type to use from the answer.
    """
    lines = sdp.splitlines()
    old = next((found[1] for line in lines if (found := _OPUS.match(line))), None)
    if old is None:
        return sdp
    shaped = []
    for line in lines:
        if line.startswith("m=audio "):
            words = line.split(" ")
            formats = [str(OPUS_PAYLOAD_TYPE) if f == old else f for f in words[3:]]
            line = " ".join([*words[:3], *formats])
        elif line.startswith((f"a=fmtp:{old} ", f"a=fmtp:{OPUS_PAYLOAD_TYPE} ")):
            continue
        elif line.startswith((f"a=rtpmap:{old} ", f"a=rtcp-fb:{old} ")):
            name, _, value = line.partition(f":{old} ")
            line = f"{name}:{OPUS_PAYLOAD_TYPE} {value}"
        shaped.append(line)
        if line.startswith(f"a=rtpmap:{OPUS_PAYLOAD_TYPE} "):
            shaped.append(f"a=fmtp:{OPUS_PAYLOAD_TYPE} {OPUS_PARAMETERS}")
    return _text(shaped)


def normalise_answer(sdp: str) -> str:
    """Return an answer that aiortc can use, with the same meaning.

    Raises AnswerError when the text is no SDP (an HTML page, an empty body), refuses audio or the
    event channel, has no ICE credentials or fingerprint, or names no UDP candidate to connect to.
    """
    if not sdp.startswith("v=0"):
        raise AnswerError(f"the server's answer is not SDP; it begins with {sdp[:60]!r}")
    session, media = media_sections(sdp)
    if not media:
        raise AnswerError("the server's SDP answer has no media section")
    for kind, name in (("audio", "audio"), ("application", "the event channel")):
        if not any(_accepts(section, kind) for section in media):
            raise AnswerError(f"the server's SDP answer refuses {name}")
    session = [line for line in session if line != "a=ice-lite"]
    bundle = _bundled_mids(session)
    tagged = (section for section in media if bundle and _mid(section) == bundle[0])
    shared = _shared_lines(session, next(tagged, media[0]))
    _require(shared)
    result = list(session)
    for section in media:
        result += section
        if _mid(section) in bundle:
            present = {_name(line) for line in section}
            result += [line for line in shared if _name(line) not in present]
    return _text(result)


def _accepts(section: list[str], kind: str) -> bool:
    words = section[0].split(" ")
    return words[0] == f"m={kind}" and len(words) > 1 and words[1] != "0"


def _shared_lines(session: list[str], first: list[str]) -> list[str]:
    """Transport lines of the first section, completed by those stated for the whole session."""
    lines = [line for line in first if _name(line) in _BUNDLED]
    present = {_name(line) for line in lines}
    return lines + [
        line for line in session if _name(line) in _BUNDLED and _name(line) not in present
    ]


def _require(shared: list[str]) -> None:
    present = {_name(line) for line in shared}
    for name in ("ice-ufrag", "ice-pwd", "fingerprint"):
        if name not in present:
            raise AnswerError(f"the server's SDP answer has no a={name} line")
    candidates = [line.split() for line in shared if _name(line) == "candidate"]
    if not any(len(words) > 7 and words[2].lower() == "udp" for words in candidates):
        raise AnswerError("the server's SDP answer names no UDP candidate to connect to")


def _bundled_mids(session: list[str]) -> list[str]:
    """Names of the bundled sections; the first one carries the transport for all."""
    for line in session:
        if line.startswith("a=group:BUNDLE"):
            return line.split()[1:]
    return []


def _mid(section: list[str]) -> str:
    return next((line[6:].strip() for line in section if line.startswith("a=mid:")), "")


def _name(line: str) -> str:
    return line[2:].split(":", 1)[0] if line.startswith("a=") else ""


def _text(lines: list[str]) -> str:
    return "".join(f"{line}\r\n" for line in lines)
