"""Part of scripts/fuzz: a call to the emulator, whose SDP answer is changed on its way."""

from __future__ import annotations

import asyncio
import random

from odd_input import TEXTS, call_watched, changed_line

from rtcvoice.emulator import AnswerShape, Emulator

__all__ = ["case"]

LINES = [
    "a=ice-lite",
    "a=end-of-candidates",
    "a=candidate:1 1 udp 1 127.0.0.1 9 typ host",
    "a=candidate:1 1 UDP 1 ::1 9 typ host generation 0",
    "a=candidate:1 1 tcp 1 127.0.0.1 9 typ host tcptype passive",
    "a=candidate:1 2 udp 1 10.255.255.1 1 typ srflx raddr 0.0.0.0 rport 0",
    "a=candidate:1 1 udp 1 00000000-0000-4000-8000-000000000000.local 9 typ host",
    "a=candidate:1 1 udp 1 nobody.invalid 9 typ host",
    "a=candidate:" + "1 " * 500,
    "a=setup:actpass",
    "a=setup:holdconn",
    "a=sendonly",
    "a=inactive",
    "a=rtcp-mux-only",
    "a=max-message-size:1",
    "a=max-message-size:0",
    "a=sctp-port:1",
    "a=fingerprint:sha-1 AB:CD",
    "a=fingerprint:sha-999 00",
    "a=ssrc:1 cname:x",
    "a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level",
    "a=rtpmap:111 opus/48000/2",
    "a=rtpmap:0 PCMU/8000",
    "m=audio 9 UDP/TLS/RTP/SAVPF 111",
    "m=video 9 UDP/TLS/RTP/SAVPF 96",
    "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
    "a=mid:0",
    "a=group:BUNDLE 0 1 2",
    "b=AS:1",
    "x=1",
    "v=1",
]


def case(seed: int) -> str:
    """Have one call; see `call_watched`."""
    return asyncio.run(_called(random.Random(seed)))


async def _called(rng: random.Random) -> str:
    class Odd(Emulator):
        async def answer(self, offer_sdp: str, settings: dict, call_id: str) -> str:
            return changed(await super().answer(offer_sdp, settings, call_id), rng)

    shape = AnswerShape(
        ice_lite=rng.random() < 0.5,
        end_of_candidates=rng.random() < 0.5,
        candidates_everywhere=rng.random() < 0.5,
        tcp_candidates=rng.random() < 0.2,
    )
    async with Odd(shape=shape) as server:
        return await call_watched(server.url)


def changed(answer: str, rng: random.Random) -> str:
    """Return the answer with a few lines changed, dropped, doubled, moved or put in."""
    lines = answer.split("\r\n")
    for _ in range(rng.choice([1, 1, 2, 3, 8])):
        at = rng.randrange(len(lines))
        match rng.randrange(6):
            case 0:
                lines[at] = changed_line(lines[at], rng)
            case 1:
                del lines[at]
            case 2:
                lines.insert(at, lines[rng.randrange(len(lines))])
            case 3:
                lines.insert(rng.randrange(len(lines)), lines.pop(at))
            case 4:
                lines.insert(at, rng.choice(LINES))
            case 5:
                lines.insert(at, rng.choice(TEXTS))
        lines = lines or [""]
    if rng.random() < 0.05:
        at = rng.randrange(len(lines))
        lines[at:at] = [rng.choice(LINES)] * rng.choice([100, 3000])
    return rng.choice(["\r\n"] * 8 + ["\n", "\r"]).join(lines)
