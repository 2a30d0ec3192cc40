"""SDP at the emulator's door: what others offer, what is not an offer, and what it answers.

11. "Answer order of m-lines = offer's; BUNDLE; rtcp-mux; setup:active; ends CRLF; passes libwebrtc
    and aiortc parsers."
13. "a=msid:realtimeapi audio so that ontrack.streams[0] exists."
14. "Audio-only offer accepted; m=application absent -> no channel, session runs."
15. "Opus fmtp minptime=10;useinbandfec=1; offered payload type kept; PCMU/PCMA negotiable."
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import re

import aiortc
import numpy as np
import pytest
from aiortc import RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack
from hypothesis import given, settings
from hypothesis import strategies as st
from live import BentEmulator, Census, eventually

from rtcvoice.emulator.answer import AnswerShape, shape_answer
from rtcvoice.emulator.ear import G711Ear
from rtcvoice.emulator.offer import OfferError
from rtcvoice.emulator.peer import Peer
from rtcvoice.emulator.session.session import Session
from rtcvoice.emulator.session.settings import validate
from rtcvoice.emulator.session.shared import Pace
from rtcvoice.emulator.voice import PromptVoice
from rtcvoice.wire import sdp
from rtcvoice.wire.rtp import RtpPacket

pytestmark = pytest.mark.usefixtures("no_stray_errors")

VOICE = PromptVoice()
ICE = (
    "a=ice-ufrag:{0}\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\n"
    "a=fingerprint:sha-256 " + ":".join(["AB"] * 32) + "\r\na=setup:actpass\r\n"
)


def offer(*, opus=111, channel=True, other="", first="audio", lines=""):
    """An offer as a browser makes it: without candidates, much that nobody needs."""
    audio = (
        f"m=audio 9 UDP/TLS/RTP/SAVPF {opus} 63 9 0 8 13 126\r\nc=IN IP4 0.0.0.0\r\n"
        "a=rtcp:9 IN IP4 0.0.0.0\r\n" + ICE.format("x+/y") + "a=ice-options:trickle\r\n"
        "a=mid:0\r\na=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level\r\na=sendrecv\r\n"
        "a=msid:- 4f9b\r\na=rtcp-mux\r\na=rtcp-rsize\r\n"
        f"a=rtpmap:{opus} opus/48000/2\r\na=rtcp-fb:{opus} transport-cc\r\n"
        f"a=fmtp:{opus} minptime=10;useinbandfec=1\r\na=rtpmap:63 red/48000/2\r\n"
        f"a=fmtp:63 {opus}/{opus}\r\na=rtpmap:9 G722/8000\r\na=rtpmap:0 PCMU/8000\r\n"
        "a=rtpmap:8 PCMA/8000\r\na=rtpmap:13 CN/8000\r\na=rtpmap:126 telephone-event/8000\r\n"
        f"a=ssrc:3570614608 cname:4TOk42mSjMCkVIa6\r\n{lines}"
    )
    data = (
        "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\n"
        + ICE.format("x+/y")
        + "a=mid:1\r\na=sctp-port:5000\r\na=max-message-size:262144\r\n"
    )
    sections = [audio, data] if channel else [audio]
    if first == "application":
        sections.reverse()
    mids = " ".join(re.findall(r"a=mid:(\S+)", "".join(sections)))
    head = f"v=0\r\no=- 46 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE {mids}\r\n{other}"
    return head + "".join(sections)


def new_peer(**options):
    session = Session(
        validate({"type": "realtime"}), call_id="rtc_x", now=0.0, voice=VOICE, **options
    )
    return Peer(session)


async def answer_to(text):
    """Return what the emulator answers; nothing of it is left."""
    peer = new_peer()
    try:
        return await peer.answer(text)
    finally:
        await peer.aclose()


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        (offer(), ["audio", "application"]),
        (offer(first="application"), ["application", "audio"]),
        (offer(channel=False), ["audio"]),
        (offer(opus=96, other="a=extmap-allow-mixed\r\na=msid-semantic: WMS\r\n"), None),
    ],
)
async def test_an_answer_has_the_form_of_the_services(text, kinds):
    answer = await answer_to(text)
    assert answer.endswith("\r\n")
    assert "\n" not in answer.replace("\r\n", "")
    session, sections = sdp.media_sections(answer)
    found = [section[0].split()[0][2:] for section in sections]
    assert found == (kinds or ["audio", "application"])
    mids = [line[6:] for section in sections for line in section if line.startswith("a=mid:")]
    assert f"a=group:BUNDLE {' '.join(mids)}" in session
    audio = sections[found.index("audio")]
    payload = "96" if "opus/48000" in text and " 96 " in text else "111"
    assert re.fullmatch(rf"m=audio \d+ UDP/TLS/RTP/SAVPF {payload} 0 8", audio[0])
    assert f"a=rtpmap:{payload} opus/48000/2" in audio
    assert f"a=fmtp:{payload} minptime=10;useinbandfec=1" in audio
    for line in ("a=msid:realtimeapi audio", "a=rtcp-mux", "a=sendrecv"):
        assert line in audio
    for section in sections:
        assert "a=setup:active" in section
    aiortc.sdp.SessionDescription.parse(answer)
    if "application" in found:
        sdp.normalise_answer(answer)


@pytest.mark.parametrize(
    "text",
    [
        "v=0\r\n",
        "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n",
        offer().replace("m=audio", "m=text"),
        offer().replace("opus", "speex").replace("PCM", "LPC"),
        offer().replace("a=ice-ufrag:x+/y\r\n", ""),
        offer().replace("a=fingerprint", "a=finger"),
    ],
)
async def test_what_cannot_be_answered_is_refused_and_leaves_nothing(text):
    census = Census()
    with pytest.raises(OfferError) as raised:
        await answer_to(text)
    assert str(raised.value)
    await census.check()


# "SDP fuzz at parser level plus 100 real answers"

_LINES = offer().split("\r\n")
_JUNK = st.sampled_from(
    [
        "",
        "a=",
        "a=mid:",
        "a=mid:0",
        "m=",
        "m=audio",
        "m=audio x y z",
        "a=rtpmap:",
        "a=rtpmap:111",
        "a=fmtp:111",
        "c=IN",
        "\x00",
        "a=candidate:1 1 udp 1 ::1 x typ host",
        "a=group:BUNDLE",
        "a=sctp-port:99999999",
        "a=ssrc:x",
        "a=extmap:0 x",
        "a=setup:holdconn",
        "m=video 9 RTP/AVP 1",
    ]
)
_MUTATIONS = st.lists(
    st.tuples(st.integers(0, len(_LINES) - 1), st.sampled_from("dirtx"), _JUNK), max_size=6
)


def mutated(mutations):
    """Return the offer with lines dropped, inserted, replaced, doubled or cut."""
    lines = list(_LINES)
    for at, how, junk in mutations:
        at %= len(lines)
        if how == "d":
            del lines[at]
        elif how == "i":
            lines.insert(at, junk)
        elif how == "r":
            lines[at] = junk
        elif how == "t":
            lines.insert(at, lines[at])
        else:
            lines[at] = lines[at][: len(lines[at]) // 2]
        lines = lines or [""]
    return "\r\n".join(lines)


@settings(deadline=None, max_examples=150)
@given(_MUTATIONS)
def test_no_description_is_too_broken_for_the_parsers(mutations):
    """Shaping, spoiling and reading SDP either work or raise what is theirs."""
    text = mutated(mutations)
    with contextlib.suppress(IndexError):  # no media section: never asked for by a peer
        shaped = shape_answer(text, AnswerShape(tcp_candidates=False))
        assert shaped.endswith("\r\n")
    with contextlib.suppress(sdp.AnswerError):
        sdp.normalise_answer(text)


async def test_a_hundred_offers_real_and_broken_are_answered_or_refused_and_nothing_stays():
    census, rand = Census(), random.Random(4)
    await answer_to(offer())
    answered = 0
    for n in range(100):
        count = n % 5  # every fifth is whole
        mutations = [
            (rand.randrange(len(_LINES)), rand.choice("dirtx"), rand.choice(["", "a=", "m=audio"]))
            for _ in range(count)
        ]
        try:
            answer = await answer_to(mutated(mutations))
        except OfferError:
            continue
        answered += 1
        aiortc.sdp.SessionDescription.parse(answer)
    assert answered >= 20
    await census.check()


# -- other clients ---------------------------------------------------------------------------------


class Tone(AudioStreamTrack):
    """Something that an energy detector takes for speech, between silences."""

    def __init__(self):
        super().__init__()
        self.speaks = False

    async def recv(self):
        frame = await super().recv()
        if self.speaks:
            samples = VOICE.clip("question").samples
            at = frame.pts * 3 % (len(samples) - 480)
            block = samples[at : at + 480 : 3].astype(np.int16)
            frame.planes[0].update(block.tobytes())
        return frame


@contextlib.asynccontextmanager
async def stock_call(server, monkeypatch, *, codec, channel=True):
    """A call by aiortc as it comes, with one codec only; yields its track and what it received."""
    monkeypatch.setattr("aioice.ice.get_host_addresses", lambda *_, **__: ["127.0.0.1"])
    peer, tone, heard, events = RTCPeerConnection(), Tone(), [], []
    transceiver = peer.addTransceiver(tone)
    codecs = aiortc.RTCRtpSender.getCapabilities("audio").codecs
    transceiver.setCodecPreferences([c for c in codecs if c.mimeType == f"audio/{codec}"])
    listening = []

    @peer.on("track")
    def listen(track):
        async def hear():
            with contextlib.suppress(aiortc.mediastreams.MediaStreamError):
                while True:
                    heard.append((await track.recv()).to_ndarray().ravel())

        listening.append(asyncio.ensure_future(hear()))

    if channel:
        peer.createDataChannel("any label").on("message", events.append)
    await peer.setLocalDescription(await peer.createOffer())
    settings_ = validate({"type": "realtime"})
    answer = await server.answer(peer.localDescription.sdp, settings_, "rtc_stock")
    await peer.setRemoteDescription(RTCSessionDescription(answer, "answer"))
    try:
        yield tone, heard, answer
    finally:
        await peer.close()
        await asyncio.gather(*listening)


async def test_a_client_without_opus_speaks_and_hears(monkeypatch):
    """Statement 15."""
    codec = "PCMU"
    async with (
        BentEmulator(pace=Pace(response_latency=0.01)) as server,
        stock_call(server, monkeypatch, codec=codec) as (tone, heard, answer),
    ):
        assert f"a=rtpmap:0 {codec}/8000" in answer
        call = server.calls["rtc_stock"]
        await eventually(lambda: call.from_server("session.created"))
        tone.speaks = True
        await eventually(lambda: call.from_server("input_audio_buffer.speech_started"))
        tone.speaks = False
        await eventually(lambda: call.from_server("output_audio_buffer.started"))
        heard.clear()
        await eventually(lambda: any(np.abs(block).max() > 3000 for block in heard[:]))


async def test_an_offer_without_a_channel_makes_a_call_all_the_same(monkeypatch):
    """Statement 14; the session is there for a sideband."""
    async with (
        BentEmulator() as server,
        stock_call(server, monkeypatch, codec="opus", channel=False) as (tone, _, answer),
    ):
        assert "m=application" not in answer
        call, said = server.calls["rtc_stock"], []
        call.peer.attach(said.append)
        tone.speaks = True
        await eventually(lambda: any("speech_started" in text for text in said))
        assert not call.ended
    await eventually(lambda: call.ended)


@pytest.mark.parametrize(("codec", "loudest"), [("PCMU", 0x80), ("PCMA", 0xAA)])
def test_g711_waits_for_a_cushion_and_forgets_the_oldest(codec, loudest):
    ear = G711Ear(codec)
    loud = bytes([loudest] * 160)  # 20 ms
    assert not ear.listen(0.0).any()
    for n in range(3):
        ear.insert(RtpPacket(1, n, 160 * n, loud, 0.0))
    ear.insert(RtpPacket(1, 3, 0, b"", 0.0))
    assert not ear.listen(0.0).any()  # FFmpeg's resampler keeps some back: not 60 ms yet
    ear.insert(RtpPacket(1, 4, 480, loud, 0.0))
    blocks = [ear.listen(0.0) for _ in range(5)]
    assert [bool(np.abs(block).max() > 20_000) for block in blocks] == [True] * 3 + [False] * 2
    for n in range(200):
        ear.insert(RtpPacket(1, n, 160 * n, loud, 0.0))
    assert sum(bool(ear.listen(0.0).any()) for _ in range(60)) <= 25
