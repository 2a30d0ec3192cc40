"""SDP as text: answers of the shapes that servers send, offers that aiortc makes, and any text."""

from __future__ import annotations

import re

import pytest
from aiortc import RTCBundlePolicy, RTCConfiguration, RTCPeerConnection
from aiortc.rtcdtlstransport import X509_DIGEST_ALGORITHMS
from aiortc.sdp import SessionDescription
from hypothesis import given, settings
from hypothesis import strategies as st

from rtcvoice.wire.sdp import (
    HASHES,
    AnswerError,
    candidate_hosts,
    media_sections,
    normalise_answer,
    shape_offer,
)

FINGERPRINT = "sha-256 " + ":".join(["AB"] * 32)


def crlf(*lines: str) -> str:
    return "".join(f"{line}\r\n" for line in lines)


# What the service answers to an aiortc offer: fingerprint for the session only, candidates in the
# first section only, none marked as the last, TCP among them, ufrag with slashes.
SERVICE = crlf(
    "v=0",
    "o=- 8617 1784 IN IP4 0.0.0.0",
    "s=-",
    "t=0 0",
    "a=msid-semantic:WMS *",
    f"a=fingerprint:{FINGERPRINT}",
    "a=ice-lite",
    "a=extmap-allow-mixed",
    "a=group:BUNDLE 0 1",
    "m=audio 9 UDP/TLS/RTP/SAVPF 111 0 8",
    "c=IN IP4 0.0.0.0",
    "a=setup:active",
    "a=mid:0",
    "a=ice-ufrag:HqBApb/u2/3oMrw2",
    "a=ice-pwd:FbXrNvbVoTFRnCPXGCQpLDNLfJYNvdQF",
    "a=rtcp-mux",
    "a=rtcp-rsize",
    "a=rtpmap:111 opus/48000/2",
    "a=fmtp:111 minptime=10;useinbandfec=1",
    "a=rtpmap:0 PCMU/8000",
    "a=rtpmap:8 PCMA/8000",
    "a=ssrc:2742 cname:realtimeapi",
    "a=ssrc:2742 msid:realtimeapi audio",
    "a=msid:realtimeapi audio",
    "a=sendrecv",
    "a=candidate:1 1 udp 2130706431 192.0.2.10 3478 typ host ufrag HqBApb/u2/3oMrw2",
    "a=candidate:2 1 udp 2130706431 192.0.2.11 3478 typ host ufrag HqBApb/u2/3oMrw2",
    "a=candidate:3 1 tcp 1671430143 192.0.2.10 443 typ host tcptype passive ufrag HqBApb/u2/3oMrw2",
    "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
    "c=IN IP4 0.0.0.0",
    "a=setup:active",
    "a=mid:1",
    "a=sendrecv",
    "a=sctp-port:5000",
    "a=max-message-size:1073741823",
    "a=ice-ufrag:HqBApb/u2/3oMrw2",
    "a=ice-pwd:FbXrNvbVoTFRnCPXGCQpLDNLfJYNvdQF",
)

# As the API reference prints it: the second section says nothing about the transport.
DOCUMENTED = crlf(
    "v=0",
    "o=- 4227147428 1719357865 IN IP4 127.0.0.1",
    "s=-",
    "c=IN IP4 0.0.0.0",
    "t=0 0",
    "a=group:BUNDLE 0 1",
    "a=msid-semantic:WMS *",
    f"a=fingerprint:{FINGERPRINT}",
    "m=audio 9 UDP/TLS/RTP/SAVPF 111 0 8",
    "a=candidate:1 1 udp 2130706431 192.0.2.10 3478 typ host",
    "a=candidate:1 2 udp 2130706431 192.0.2.10 3478 typ host",
    "a=end-of-candidates",
    "a=mid:0",
    "a=ice-ufrag:someufrag",
    "a=ice-pwd:somepasswordsomepassword",
    "a=setup:active",
    "a=rtcp-mux",
    "a=rtpmap:111 opus/48000/2",
    "a=fmtp:111 minptime=10;useinbandfec=1",
    "a=sendrecv",
    "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
    "a=mid:1",
    "a=sctp-port:5000",
)


def without(sdp: str, *prefixes: str) -> str:
    return crlf(*(line for line in sdp.splitlines() if not line.startswith(prefixes)))


def assert_crlf(sdp: str) -> None:
    assert sdp.endswith("\r\n")
    assert "\n" not in sdp.replace("\r\n", "")
    assert "\r" not in sdp.replace("\r\n", "")


@pytest.mark.parametrize("answer", [SERVICE, DOCUMENTED], ids=["service", "documented"])
def test_aiortc_finds_the_transport_in_every_bundled_section(answer):
    parsed = SessionDescription.parse(normalise_answer(answer))
    assert [media.kind for media in parsed.media] == ["audio", "application"]
    first, second = parsed.media
    for media in (first, second):
        assert media.ice.usernameFragment in ("HqBApb/u2/3oMrw2", "someufrag")
        assert len(media.ice.password) >= 22
        assert {f.value for f in media.dtls.fingerprints} == {FINGERPRINT.split()[1]}
        assert media.dtls.role == "client"
        assert any(c.protocol == "udp" for c in media.ice_candidates)
    assert [c.ip for c in second.ice_candidates] == [c.ip for c in first.ice_candidates]
    assert second.ice_candidates_complete == first.ice_candidates_complete


@pytest.mark.parametrize("answer", [SERVICE, DOCUMENTED], ids=["service", "documented"])
def test_normalising_twice_is_normalising_once(answer):
    once = normalise_answer(answer)
    assert normalise_answer(once) == once
    assert_crlf(once)


def test_what_concerns_media_stays_as_it_was():
    audio, channel = media_sections(normalise_answer(SERVICE)).media
    before = media_sections(SERVICE)
    assert audio[: len(before.media[0])] == before.media[0]
    assert channel[: len(before.media[1])] == before.media[1]
    assert "a=rtcp-mux" not in channel


def test_whether_the_server_is_ice_lite_stays():
    assert "a=ice-lite\r\n" in normalise_answer(SERVICE)
    assert "ice-lite" not in normalise_answer(DOCUMENTED)


def test_bare_line_feeds_are_accepted_and_mended():
    assert normalise_answer(SERVICE.replace("\r\n", "\n")) == normalise_answer(SERVICE)


def test_sections_with_candidates_of_their_own_keep_them():
    own = "a=candidate:9 1 udp 1 192.0.2.99 9 typ host"
    parsed = SessionDescription.parse(normalise_answer(SERVICE + own + "\r\n"))
    assert [c.ip for c in parsed.media[1].ice_candidates] == ["192.0.2.99"]


def test_credentials_for_the_whole_session_count():
    credentials = re.findall("a=ice-(?:ufrag|pwd):.*", DOCUMENTED)
    moved = without(DOCUMENTED, "a=ice-").replace("t=0 0\r\n", "t=0 0\r\n" + crlf(*credentials))
    for media in SessionDescription.parse(normalise_answer(moved)).media:
        assert media.ice.usernameFragment == "someufrag"


def test_the_section_that_the_bundle_names_first_carries_the_transport():
    session, (audio, channel) = media_sections(DOCUMENTED)
    session = [line.replace("BUNDLE 0 1", "BUNDLE 1 0") for line in session]
    bare = [line for line in audio if not line.startswith(("a=ice-", "a=cand", "a=setup"))]
    transport = [line for line in audio if line.startswith(("a=ice-", "a=cand", "a=setup"))]
    swapped = crlf(*session, *bare, *channel, *transport)
    for media in SessionDescription.parse(normalise_answer(swapped)).media:
        assert media.ice.usernameFragment == "someufrag"
        assert [c.component for c in media.ice_candidates] == [1]  # RTCP goes with RTP


def test_without_a_bundle_nothing_is_copied():
    lonely = without(SERVICE, "a=group:")
    _, channel = media_sections(normalise_answer(lonely)).media
    assert channel == media_sections(lonely).media[1]


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        ("", "is not SDP; it is empty"),
        ("\x00\r\n", "is not SDP; it is empty"),
        ("<!DOCTYPE html><html><body>404 not found</body></html>", "DOCTYPE html"),
        ('{"error": {"message": "no"}}', "is not SDP"),
        ("v=0\r\n", "no media section"),
        (SERVICE.replace("m=audio 9", "m=audio 0"), "refuses audio"),
        (without(SERVICE, "m=audio"), "refuses audio"),
        (SERVICE.replace("m=application 9", "m=application 0"), "refuses the event channel"),
        (SERVICE[: SERVICE.index("m=application")], "refuses the event channel"),
        (without(SERVICE, "a=ice-ufrag"), "no a=ice-ufrag"),
        (without(SERVICE, "a=ice-pwd"), "no a=ice-pwd"),
        (without(SERVICE, "a=fingerprint"), "no a=fingerprint"),
        (without(SERVICE, "a=candidate"), "no UDP candidate"),
        (without(SERVICE, "a=candidate:1", "a=candidate:2"), "offers TCP only"),
        (re.sub("a=candidate.*", "a=candidate:1 1 udp 2130706431", SERVICE), "no UDP candidate"),
    ],
)
def test_an_unusable_answer_says_why(answer, complaint):
    with pytest.raises(AnswerError, match=complaint):
        normalise_answer(answer)


# What aiortc would take, or refuse without a reason that anybody understands.
SCTP = "a=sctp-port:5000"


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("a=setup:active", "a=setup:actpass", "is an offer, not an answer"),
        ("a=setup:active", "a=setup:holdconn", r"cannot be used \(a=setup:holdconn"),
        ("a=setup:active", "a=x:y", "no a=setup"),
        ("a=mid:0", "a=mid:0\r\na=ice-ufrag:another", "several a=ice-ufrag lines"),
        ("a=mid:0", "a=mid:0\r\na=ice-pwd:another", "several a=ice-pwd lines"),
        ("a=mid:0", "a=mid:0\r\na=setup:passive", "several a=setup lines"),
        ("a=ice-ufrag:HqBApb/u2/3oMrw2", "a=ice-ufrag:a b", "no a=ice-ufrag"),
        ("a=ice-ufrag:HqBApb/u2/3oMrw2", "a=ice-ufrag:" + "a" * 257, "no a=ice-ufrag"),
        ("sha-256", "sha-1", "no fingerprint that can be checked.*sha-1"),
        ("sha-256", "sha-999", "no fingerprint that can be checked"),
        (FINGERPRINT, "sha-256", "no fingerprint that can be checked"),
        (FINGERPRINT, "sha-256 AB CD", "no fingerprint that can be checked"),
        (SCTP, "a=sctp-port:70000", "odd line 'a=sctp-port:70000'"),
        (SCTP, "a=sctp-port:-1", "odd line"),
        (SCTP, "a=sctp-port:\u0663", "odd line"),
        ("max-message-size:1073741823", "max-message-size:-5", "odd line"),
        ("max-message-size:1073741823", "max-message-size:" + "9" * 4000, "odd line"),
        ("m=audio 9 UDP/TLS/RTP/SAVPF 111 0 8", "m=audio 9", "odd line 'm=audio 9'"),
        ("m=audio 9", "m=audio 00", "refuses audio"),
        ("opus/48000/2", "L16/48000/2", "does not choose Opus"),
        ("a=rtcp-mux\r\n", "a=x\r\n" * 1001, "larger than any answer"),
        ("a=rtcp-mux", "a=" + "x" * 5000, "larger than any answer"),
        ("192.0.2.1", "gateway.example.1", "no UDP candidate.*gateway.example"),
        ("3478", "99999", "offers TCP only"),
        ("192.0.2.1", "224.0.0.", "no UDP candidate"),
    ],
)
def test_what_a_call_cannot_be_built_on_is_refused_with_the_reason(old, new, complaint):
    answer = SERVICE.replace(old, new)
    with pytest.raises(AnswerError, match=complaint) as caught:
        normalise_answer(answer)
    assert len(str(caught.value)) < 300
    assert caught.value.hint


def test_of_many_candidates_the_first_ones_are_used():
    many = crlf(
        *(
            f"a=candidate:{n} 1 udp {n + 1} 10.0.{n >> 8}.{n & 255} 5000 typ host"
            for n in range(20_000)
        )
    )
    answer = normalise_answer(SERVICE.replace("a=candidate:1", many + "a=candidate:1", 1))
    audio, channel = SessionDescription.parse(answer).media
    for media in (audio, channel):
        used = [c.ip for c in media.ice_candidates if c.protocol == "udp"]
        assert used == [f"10.0.0.{n}" for n in range(50)]
    few = normalise_answer(answer, most_candidates=3)
    assert candidate_hosts(few) == ["10.0.0.0", "10.0.0.1", "10.0.0.2"]


def test_candidates_that_cannot_be_used_are_left_out():
    odd = [
        "a=candidate:1 2 udp 1 192.0.2.1 5 typ host",
        "a=candidate:1 x udp 1 192.0.2.2 5 typ host",
        "a=candidate:1 1 udp x 192.0.2.3 5 typ host",
        "a=candidate:1 1 udp 1 192.0.2.4 0 typ host",
        "a=candidate:1 1 udp 1 192.0.2.5 5 typ odd",
        "a=candidate:1 1 udp 1 192.0.2.6 5 typ srflx raddr 10.0.0.1 rport x",
        "a=candidate:1 1 sctp 1 192.0.2.7 5 typ host",
        "a=candidate:1 1 udp 1 0.0.0.0 5 typ host",
        "a=candidate:1 1 udp 1 255.255.255.255 5 typ host",
        "a=candidate:1 1 udp 1 fe80::1%eth0 5 typ host",
        "a=candidate:1 1 udp 1 0b1c2d3e-0000-4000-8000-000000000001.local 5 typ host",
    ]
    answer = normalise_answer(SERVICE.replace("a=candidate:1", crlf(*odd) + "a=candidate:1", 1))
    assert answer == normalise_answer(SERVICE)


def test_a_name_by_mdns_is_used_where_there_is_nothing_else():
    name = "0b1c2d3e-0000-4000-8000-000000000001.local"
    assert set(candidate_hosts(normalise_answer(re.sub(r"192\.0\.2\.1\d", name, SERVICE)))) == {
        name
    }


@pytest.mark.parametrize("odd", ["\ufeff{}", "\r\n{}", "{}\x00", "{}\r\n\x00\x00\n\n"])
def test_what_stands_around_an_answer_does_no_harm(odd):
    assert normalise_answer(odd.format(SERVICE)) == normalise_answer(SERVICE)


@pytest.mark.parametrize("end", ["\n", "\r", "\n\r", "\r\r\n", " \r\n", "\x00\r\n"])
def test_any_line_end_will_do(end):
    assert normalise_answer(SERVICE.replace("\r\n", end)) == normalise_answer(SERVICE)


def test_no_control_character_gets_through():
    for odd in "\x00\x0b\x0c\x1b\x1c\x85\u2028":
        answer = normalise_answer(SERVICE.replace("a=rtcp-rsize", f"a=rtcp-{odd}rsize"))
        assert odd not in answer
        assert answer == normalise_answer(without(SERVICE, "a=rtcp-rsize"))


def test_bundled_sections_have_the_credentials_of_the_first():
    """Others in a later section would win in aiortc, and belong to nobody."""
    session, (audio, channel) = media_sections(SERVICE)
    stray = ["a=ice-ufrag:stray" if "ufrag" in line else line for line in channel]
    channel = SessionDescription.parse(normalise_answer(crlf(*session, *audio, *stray))).media[1]
    assert channel.ice.usernameFragment == "HqBApb/u2/3oMrw2"


def test_what_has_a_default_in_the_standard_has_it_here():
    bare = without(SERVICE, "a=sendrecv", "a=sctp-port")
    audio, channel = SessionDescription.parse(normalise_answer(bare)).media
    assert audio.direction == "sendrecv"
    assert channel.sctp_port == 5000
    muted = normalise_answer(bare.replace("t=0 0", "t=0 0\r\na=recvonly"))
    assert SessionDescription.parse(muted).media[0].direction == "recvonly"


@pytest.mark.parametrize(
    "odd",
    [
        "a=extmap:x y",
        "a=extmap:1",
        "a=extmap:1 urn:x more",
        "a=fmtp:999 a=b",
        "a=fmtp:111 stereo=yes",
        "a=fmtp",
        "a=rtpmap:x",
        "a=rtpmap:112",
        "a=rtpmap:112 opus/x",
        "a=rtpmap:112 opus/48000/999\r\na=fmtp:112 a=b",
        "a=ssrc:x y",
        "a=ssrc:1 cname",
        "a=ssrc-group:FID x",
        "a=rtcp:x",
        "a=rtcp:9 IN IP4",
        "a=rtcp-fb:",
        "a=rtcp-fb:111",
        "a=sctpmap:x y z",
        "c=IN",
        "c=IN IP4",
        "a=group",
    ],
)
def test_a_line_that_nobody_needs_and_nobody_can_read_does_not_cost_the_call(odd):
    answer = normalise_answer(SERVICE.replace("a=rtcp-rsize", odd))
    assert answer == normalise_answer(without(SERVICE, "a=rtcp-rsize"))
    SessionDescription.parse(answer)


def test_hashes_are_those_that_aiortc_checks():
    assert set(HASHES) == set(X509_DIGEST_ALGORITHMS)


def test_a_long_page_is_quoted_shortly():
    with pytest.raises(AnswerError) as caught:
        normalise_answer("<html>" + "x" * 10_000)
    assert len(str(caught.value)) < 200


ODD_LINES = """m=|m=audio|m=audio 9|m=audio 9 X 7 8|m=application|a=|a|\x85|a=mid:|a=group:BUNDLE
|a=candidate:|a=rtpmap:7 opus/48000|a=fmtp:7 x"""
LINES = st.sampled_from([*SERVICE.splitlines(), *ODD_LINES.split("|")])
SDP_LIKE = st.lists(LINES, max_size=40).map(lambda lines: "v=0\r\n" + "\r\n".join(lines))


@settings(deadline=None, max_examples=300)
@given(st.text() | st.text().map("v=0\n".__add__) | SDP_LIKE)
def test_any_text_is_normalised_or_refused(text):
    try:
        answer = normalise_answer(text)
    except AnswerError:
        return
    assert_crlf(answer)
    assert normalise_answer(answer) == answer


@settings(deadline=None, max_examples=300)
@given(st.text() | SDP_LIKE)
def test_any_text_is_shaped(text):
    shaped = shape_offer(text)
    assert shape_offer(shaped) == shaped
    if shaped != text:
        assert_crlf(shaped)


async def offer() -> str:
    peer = RTCPeerConnection(
        RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE)
    )
    peer.addTransceiver("audio", direction="sendrecv")
    peer.createDataChannel("oai-events")
    sdp = str((await peer.createOffer()).sdp)
    await peer.close()
    return sdp


async def test_the_offer_names_opus_as_browsers_do():
    plain = await offer()
    shaped = shape_offer(plain)
    audio, _ = media_sections(shaped).media
    assert "111" in audio[0].split(" ")[3:]
    assert "96" not in audio[0].split(" ")[3:]
    assert audio.count("a=rtpmap:111 opus/48000/2") == 1
    assert [line for line in audio if line.startswith("a=fmtp:")] == [
        "a=fmtp:111 minptime=10;useinbandfec=1"
    ]
    assert_crlf(shaped)


async def test_only_lines_about_opus_change():
    plain = await offer()
    shaped = shape_offer(plain)
    gone = set(plain.splitlines()) - set(shaped.splitlines())
    come = set(shaped.splitlines()) - set(plain.splitlines())
    assert {line.split(" ")[0] for line in gone} == {"m=audio", "a=rtpmap:96"}
    assert {line.split(" ")[0] for line in come} == {"m=audio", "a=rtpmap:111", "a=fmtp:111"}
    order = [line for line in shaped.splitlines() if line not in come]
    assert order == [line for line in plain.splitlines() if line not in gone]


async def test_shaping_twice_is_shaping_once():
    once = shape_offer(await offer())
    assert shape_offer(once) == once


def test_old_parameters_and_feedback_move_along():
    text = crlf(
        "v=0",
        "m=audio 9 X 96 0",
        "a=rtcp-fb:96 nack",
        "a=fmtp:96 stereo=1",
        "a=rtpmap:96 opus/48000/2",
    )
    assert shape_offer(text) == crlf(
        "v=0",
        "m=audio 9 X 111 0",
        "a=rtcp-fb:111 nack",
        "a=rtpmap:111 opus/48000/2",
        "a=fmtp:111 minptime=10;useinbandfec=1",
    )


def test_an_offer_without_opus_is_left_alone():
    text = "v=0\r\nm=audio 9 X 0\r\na=rtpmap:0 PCMU/8000\r\n"
    assert shape_offer(text) is text
