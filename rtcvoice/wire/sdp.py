"""SDP as text: shape the offer that is posted, normalise the answer that comes back; pure.

aiortc writes and parses SDP well enough; what it cannot do is done here on the text, so that no
process-wide patch is needed:

- The posted offer names Opus as payload type 111 with in-band FEC, as every browser does. Servers
  that relay RTP without rewriting payload types only work with 111.
- A bundled answer may carry ICE credentials, fingerprint, setup role and candidates in its first
  section only (RFC 9143 §7.1.3; Pion and so OpenAI do). aiortc lets the last section win, so
  every bundled section gets a copy of the first one's lines.
- An answer may be anything: an error page, an offer, a list of a hundred thousand candidates. What
  a call cannot be built on is refused with the reason (`AnswerError`), what is of no use is left
  out, and the size is bounded, because aiortc's work grows with the square of it.

Neither text is ever stripped: servers refuse an offer without its final CRLF.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from rtcvoice.wire.sdp_lines import MOST_CANDIDATES, AnswerError, candidate_kind, lines_taken

__all__ = [
    "MOST_CANDIDATES",
    "AnswerError",
    "candidate_hosts",
    "media_sections",
    "normalise_answer",
    "shape_offer",
    "without_candidates",
]

OPUS_PAYLOAD_TYPE = 111
OPUS_PARAMETERS = "minptime=10;useinbandfec=1"

HASHES = ("sha-256", "sha-384", "sha-512")
"""The hashes of a fingerprint that can be checked here."""

_CREDENTIALS = ("ice-ufrag", "ice-pwd", "setup", "fingerprint")
_BUNDLED = (*_CREDENTIALS, "candidate", "end-of-candidates")
_DIRECTIONS = ("sendrecv", "sendonly", "recvonly", "inactive")
_OPUS = re.compile(r"a=rtpmap:(\d+) opus/48000", re.IGNORECASE)
_FINGERPRINT = re.compile(r"a=fingerprint:(\S+) [0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){15,}")
_M_LINE = re.compile(
    r"m=(audio \d{1,5} [A-Z/]+( \d{1,3})+|(?!audio)\S+ \d{1,5} [A-Z/]+ \S.*)", re.ASCII
)
_FORMS = {
    name: re.compile(form, re.ASCII)
    for name, form in {
        "extmap": r"\d{1,3}(/\w+)? \S+",
        "fingerprint": r"\S+ \S+",
        "fmtp": r"\d{1,3} .+",
        "group": r"\S+( \S+)*",
        "msid-semantic": r" ?\S+( \S+)*",
        "ice-pwd": r".+",
        "ice-ufrag": r".+",
        "mid": r".+",
        "rtcp": r"\d{1,5}( IN IP[46] \S+)?",
        "rtcp-fb": r"(\*|\d{1,3}) \S+( .*)?",
        "rtpmap": r"\d{1,3} [^/ ]+/\d{1,9}(/\d{1,2})?",
        "sctpmap": r"\d{1,5} .+",
        "setup": r"active|passive",
        "ssrc": r"\d{1,10} [^:]+:.*",
        "ssrc-group": r"\S+( \d{1,10})*",
    }.items()
}
"""Values that aiortc can parse, of attributes that a call can do without."""

_CONNECTION = re.compile(r"c=IN IP[46] \S+")
_ODD_PARAMETER = re.compile(
    r"[ ;](apt|max-f[rs]|maxplaybackrate|minptime|stereo|useinbandfec)=(?!\d{1,9}(;|$))", re.ASCII
)


class Sections(NamedTuple):
    """An SDP split at its m= lines; every line without its line end."""

    session: list[str]
    media: list[list[str]]


def media_sections(sdp: str) -> Sections:
    """Split an SDP text into its session part and its media sections."""
    return _split(sdp.splitlines())


def _split(lines: list[str]) -> Sections:
    parts: list[list[str]] = [[]]
    for line in lines:
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


def normalise_answer(
    sdp: str, *, most_candidates: int = MOST_CANDIDATES, by_tcp: bool = False
) -> str:
    """Return an answer that aiortc can use, with the same meaning.

    Raises AnswerError when the text is not SDP (an HTML page, an empty body) or an offer, is larger
    than any answer, refuses audio or the event channel, has no ICE credentials, no setup role or
    no fingerprint that can be checked, or names no address to connect to by UDP or, with
    `by_tcp`, by TCP.
    """
    session, media = _split(lines_taken(sdp, most_candidates))
    if not media:
        raise AnswerError("the server's SDP answer has no media section")
    for kind, name in (("audio", "audio"), ("application", "the event channel")):
        if not any(_accepts(section, kind) for section in media):
            raise AnswerError(f"the server's SDP answer refuses {name}")
    bundle = _bundled_mids(session)
    tagged = (section for section in media if bundle and _mid(section) == bundle[0])
    first = next(tagged, media[0])
    shared = _shared_lines(session, first)
    _require(shared)
    _require_candidate(shared, sdp, by_tcp)
    result = _parsable(session)
    for section in media:
        if _mid(section) in bundle:
            if section is not first:  # the credentials of the first are those of all
                section = [
                    line for line in section if line in shared or _name(line) not in _CREDENTIALS
                ]
            present = {_name(line) for line in section}
            section = section + [line for line in shared if _name(line) not in present]
        result += _parsable(_completed(section, session))
    return _text(result)


def candidate_hosts(sdp: str) -> list[str]:
    """Return the addresses of an answer's UDP candidates as it writes them, each once."""
    lines = (line.split() for line in sdp.splitlines() if line.startswith("a=candidate:"))
    return list(dict.fromkeys(words[4] for words in lines if words[2].lower() == "udp"))


def without_candidates(sdp: str, *kinds: str) -> str:
    """Return an SDP text without its candidates of these kinds: udp, mdns, tcp."""
    return _text([line for line in sdp.splitlines() if candidate_kind(line) not in kinds])


def _require_candidate(shared: list[str], sdp: str, by_tcp: bool) -> None:
    kinds = {candidate_kind(line) for line in shared} - {None}
    if kinds & {"udp", "mdns"} or (by_tcp and kinds):
        return
    if kinds:
        raise AnswerError(
            "the server's SDP answer offers TCP only, and this call may not use it",
            hint="have the server offer a UDP address, too; a TURN server does not help here",
        )
    stated = re.search(r"a=candidate:.{0,80}", sdp)
    unusable = f", but {stated[0]!r}" if stated else ""
    raise AnswerError(
        f"the server's SDP answer names no UDP candidate to connect to{unusable}",
        hint="the server has to put its addresses into the answer (it cannot send them later)",
    )


def _accepts(section: list[str], kind: str) -> bool:
    words = section[0].split(" ")
    return words[0] == f"m={kind}" and len(words) > 1 and words[1].strip("0") != ""


def _completed(section: list[str], session: list[str]) -> list[str]:
    """Add what has a default by the standard and none in aiortc. Raises AnswerError."""
    if not _M_LINE.fullmatch(section[0]):
        raise AnswerError(f"the server's SDP answer has an odd line {section[0][:60]!r}")
    names = {_name(line) for line in section}
    added = []
    if section[0].startswith("m=application"):
        _check_number(section, "sctp-port", 65535)
        _check_number(section, "max-message-size", 2**63)
        if "sctp-port" not in names and "UDP/" in section[0]:
            added.append("a=sctp-port:5000")
    elif section[0].startswith("m=audio") and not any(map(_OPUS.match, section)):
        raise AnswerError(
            "the server's SDP answer does not choose Opus, which is all that was offered",
            hint="the server has to speak Opus, as every WebRTC endpoint must (RFC 7874)",
        )
    elif names.isdisjoint(_DIRECTIONS):
        stated = [line for line in session if _name(line) in _DIRECTIONS]
        added.append(stated[0] if stated else "a=sendrecv")  # RFC 8866 §6.7
    return section + added


def _parsable(section: list[str]) -> list[str]:
    """Leave out what a call can do without and aiortc would refuse the whole answer for."""
    known = (line[9:] for line in section if _name(line) == "rtpmap")
    payloads = {value.split(" ")[0] for value in known if _FORMS["rtpmap"].fullmatch(value)}

    def is_parsable(line: str) -> bool:
        if line.startswith("c="):
            return bool(_CONNECTION.fullmatch(line))
        name, value = _name(line), line.partition(":")[2]
        if name == "fmtp" and (value.split(" ")[0] not in payloads or _ODD_PARAMETER.search(line)):
            return False
        return name not in _FORMS or bool(_FORMS[name].fullmatch(value))

    return [line for line in section if is_parsable(line)]


def _check_number(section: list[str], name: str, most: int) -> None:
    for line in section:
        value = line.partition(":")[2]
        if _name(line) == name and not (
            value.isascii() and value.isdecimal() and len(value) < 20 and int(value) <= most
        ):
            raise AnswerError(f"the server's SDP answer has an odd line {line[:60]!r}")


def _shared_lines(session: list[str], first: list[str]) -> list[str]:
    """Transport lines of the first section, completed by those stated for the whole session."""
    lines = [line for line in first if _name(line) in _BUNDLED]
    present = {_name(line) for line in lines}
    return lines + [
        line for line in session if _name(line) in _BUNDLED and _name(line) not in present
    ]


def _require(shared: list[str]) -> None:
    """Raise AnswerError unless there is one pair of credentials, one role, one certificate."""
    for name in ("ice-ufrag", "ice-pwd", "setup"):
        values = {line.partition(":")[2] for line in shared if _name(line) == name}
        if len(values) > 1:
            raise AnswerError(f"the server's SDP answer has several a={name} lines that differ")
        value = values.pop() if values else ""
        if not value or not re.fullmatch(r"[!-~]{1,256}", value):
            raise AnswerError(f"the server's SDP answer has no a={name} line that can be used")
        if name == "setup" and value not in ("active", "passive"):
            what = "is an offer, not an answer" if value == "actpass" else "cannot be used"
            raise AnswerError(f"the server's SDP answer {what} (a=setup:{value[:20]})")
    stated = [line for line in shared if _name(line) == "fingerprint"]
    if not stated:
        raise AnswerError("the server's SDP answer has no a=fingerprint line")
    known = [found for line in stated if (found := _FINGERPRINT.fullmatch(line))]
    if len(known) < len(stated) or not any(found[1].lower() in HASHES for found in known):
        raise AnswerError(
            f"the server's SDP answer has no fingerprint that can be checked: {stated[0][:60]!r}",
            hint=f"the server has to name its certificate by {', '.join(HASHES)}",
        )


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
