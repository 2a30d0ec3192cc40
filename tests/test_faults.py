"""The vocabulary of faults: read from YAML, done to an SDP answer and to datagrams."""

from __future__ import annotations

import contextlib
import dataclasses

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from rtcvoice.emulator.answer import AnswerShape, shape_answer, spoil_answer, with_tcp
from rtcvoice.emulator.fault_parser import parse_faults, parse_options
from rtcvoice.emulator.faults import NO_FAULTS, AnswerFault, Faults, HttpFault, Strike
from rtcvoice.emulator.offer import audio_codec, max_message_size
from rtcvoice.emulator.wire import Kind, Wire, kind_of, nominates
from rtcvoice.errors import ConfigError
from rtcvoice.network.settings import Network, OneWay
from rtcvoice.wire.sdp import media_sections

MADE_BY_AIORTC = (
    "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\n"
    "m=audio 9 UDP/TLS/RTP/SAVPF 96 0\r\na=mid:0\r\na=rtpmap:96 opus/48000/2\r\n"
    "a=rtpmap:0 PCMU/8000\r\na=ssrc:5 cname:x\r\na=fingerprint:sha-256 AB:CD\r\n"
    "a=candidate:x 1 udp 2130706431 127.0.0.1 4000 typ host\r\n"
    "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:1\r\na=max-message-size:65536\r\n"
)
ANSWER = shape_answer(MADE_BY_AIORTC)


def test_yaml_says_what_python_says():
    text = """
        http: rate_limit
        http_times: 2
        frozen_after: 2
        reply_error: server_error
        ice_silent: true
        network: {downlink: {loss: 0.05, loss_burst: 3, delay: 0.04}}
    """
    assert parse_faults(yaml.safe_load(text)) == Faults(
        http=HttpFault.RATE_LIMIT,
        http_times=2,
        frozen_after=2.0,
        reply_error="server_error",
        ice_silent=True,
        network=Network(downlink=OneWay(loss=0.05, loss_burst=3, delay=0.04)),
    )
    assert parse_faults({}) == NO_FAULTS


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"frozenafter": 2}, "frozen_after"),
        ({"http": "teapot"}, "rate_limit"),
        ({"frozen_after": "soon"}, "a number"),
        ({"frozen_after": True}, "a number"),
        ({"ice_silent": 1}, "true or false"),
        ({"http_only": "offer"}, "token, call"),
        ({"frozen_after": -1}, "negative"),
        ({"frozen_after": float("nan")}, "no number"),
        ({"network": {"uplink": {"delay": -0.1}}}, "negative"),
        ({"network": {"uplink": {"rate_bps": 0}}}, "carries nothing"),
        ({"channel_reads_bps": 0}, "carries nothing"),
        ({"network": {"uplink": {"loss": 5}}}, "5 % is 0.05"),
        ({"network": {"uplink": {"loss": 1.0, "loss_burst": 2}}}, "5 % is 0.05"),
        ({"network": {"uplink": {"stall_every": 0.1}}}, "do not fit"),
        ({"network": 3}, "mapping"),
        (["frozen_after"], "mapping"),
        ({1: 2}, "no 1"),
    ],
)
def test_what_cannot_be_is_refused_with_the_cure(value, said):
    with pytest.raises(ConfigError) as raised:
        parse_faults(value, source="shop.yaml")
    assert said in str(raised.value)
    assert raised.value.message.startswith("shop.yaml")


def test_the_command_line_says_it_too():
    assert parse_options([]) == NO_FAULTS
    assert parse_options(
        ["frozen_after=2", "network={downlink: {loss: 0.1}}", "answer=empty"]
    ) == Faults(
        frozen_after=2.0, network=Network(downlink=OneWay(loss=0.1)), answer=AnswerFault.EMPTY
    )
    for wrong in ("frozen_after", "frozen_after={", "x=1", "=1"):
        with pytest.raises(ConfigError, match="--fault"):
            parse_options([wrong])


_JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=4,
)
_NAMES = st.sampled_from([field.name for field in dataclasses.fields(Faults)])


@settings(deadline=None, max_examples=25)
@given(st.dictionaries(_NAMES, _JSON, max_size=3))
def test_no_value_of_any_fault_gets_anything_but_faults_or_a_config_error(value):
    with contextlib.suppress(ConfigError):
        assert isinstance(parse_faults(value), Faults)


def test_names_may_be_plain_strings():
    assert Faults(http="hang", answer="empty").http is HttpFault.HANG
    with pytest.raises(ConfigError, match="http: 'teapot' cannot be"):
        Faults(http="teapot")


def test_strikes_come_in_the_order_of_their_times():
    faults = Faults(closed_after=3.0, frozen_after=1.0, rtp_stopped_after=0.0)
    assert faults.strikes() == [
        (0.0, Strike.STOP_RTP),
        (1.0, Strike.FREEZE),
        (3.0, Strike.CLOSE_PEER),
    ]


def test_an_outage_begins_and_ends():
    outage = {"outage_after": 2.0, "outage_for": 1.5}
    assert Faults(**outage).strikes() == [(2.0, Strike.OUTAGE), (3.5, Strike.RECOVER)]
    assert Faults(**outage, outage_http=False).strikes()[0] == (2.0, Strike.FREEZE)
    assert Faults(outage_for=1.5).strikes() == []


# -- the answer --------------------------------------------------------------------------------


def test_each_spoilt_answer_has_one_thing_wrong():
    spoilt = {fault: spoil_answer(ANSWER, fault) for fault in AnswerFault}
    assert spoilt[AnswerFault.EMPTY] == ""
    assert "v=0" not in spoilt[AnswerFault.GARBAGE]
    assert ANSWER.startswith(spoilt[AnswerFault.TRUNCATED])
    assert "candidate" not in spoilt[AnswerFault.NO_CANDIDATES]
    assert "m=audio 0 " in spoilt[AnswerFault.NO_AUDIO]
    assert "m=application 0 " in spoilt[AnswerFault.NO_CHANNEL]
    assert "a=group:BUNDLE 0\r\n" in spoilt[AnswerFault.NO_CHANNEL]
    assert "sha-256 00:CD" in spoilt[AnswerFault.WRONG_FINGERPRINT]
    assert len(set(spoilt.values()) - {ANSWER}) == len(AnswerFault)


def test_the_codec_of_a_description_is_the_first_one_that_its_audio_names():
    assert audio_codec(ANSWER) == "opus"
    assert audio_codec(ANSWER.replace("SAVPF 96 0", "SAVPF 0 96")) == "PCMU"
    assert audio_codec("v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 8\r\n") == "PCMA"
    assert audio_codec("v=0\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n") == ""


# 12. "Candidates only in the first m-section; switch for end-of-candidates on/off (default off as
#     OpenAI); switch for ice-lite line; optional TCP candidates that must be ignored without harm."


def test_where_candidates_stand_and_what_else_is_said_of_ice():
    session, (audio, channel) = media_sections(ANSWER)
    assert any(line.startswith("a=candidate") for line in audio)
    assert not any(line.startswith("a=candidate") for line in channel)
    assert "a=ice-lite" in session
    assert "a=end-of-candidates" not in ANSWER
    shape = AnswerShape(ice_lite=False, end_of_candidates=True, candidates_everywhere=True)
    shaped = shape_answer(MADE_BY_AIORTC, shape)
    for udp in (True, False):
        session, sections = media_sections(with_tcp(shaped, 443, udp=udp))
        assert "a=ice-lite" not in session
        for section in sections:
            assert section[-1] == "a=end-of-candidates"
            assert any(" udp " in line for line in section) is udp
            tcp = [line for line in section if " tcp " in line]
            assert tcp == ["a=candidate:x1 1 tcp 1671430143 127.0.0.1 443 typ host tcptype passive"]


# 16. "max-message-size announced"


@pytest.mark.parametrize(
    ("size", "line", "limit"),
    [(None, "65536", 65536), (1000, "1000", 1000), (0, None, 65536)],
)
def test_the_largest_message_is_announced_as_wanted(size, line, limit):
    answer = shape_answer(MADE_BY_AIORTC, AnswerShape(max_message_size=size))
    assert (f"a=max-message-size:{line}\r\n" in answer) is (line is not None)
    assert ("max-message-size" in answer) is (line is not None)
    assert max_message_size(answer) == limit


# -- datagrams ---------------------------------------------------------------------------------

CHECK = b"\x00\x01\x00\x00" + bytes(16)
NOMINATION = b"\x00\x01\x00\x0c" + bytes(16) + b"\x00\x06\x00\x03a:b\x00" + b"\x00\x25\x00\x00"
DATAGRAMS = {
    Kind.STUN: CHECK,
    Kind.DTLS: bytes([22, 254, 253]),
    Kind.CHANNEL: bytes([23, 254, 253]),
    Kind.RTP: bytes([128, 111]),
    Kind.RTCP: bytes([128, 200]),
}


class Socket:
    """An aioice protocol and its transport in one: notes what comes in and what leaves."""

    def __init__(self):
        self.received, self.sent = [], []
        self.transport = self
        self._protocols = [self]

    def datagram_received(self, datagram, address):
        self.received.append(datagram)

    def sendto(self, datagram, address):
        self.sent.append(datagram)


def passing(wire, socket=None):
    """Return the kinds that come in and those that leave."""
    socket = socket or Socket()
    wire.attach(socket)
    for datagram in DATAGRAMS.values():
        socket.datagram_received(datagram, ("127.0.0.1", 1))
        socket.transport.sendto(datagram, ("127.0.0.1", 1))
    return {kind_of(d) for d in socket.received}, {kind_of(d) for d in socket.sent}


def test_the_first_bytes_tell_what_a_datagram_carries():
    assert {kind_of(datagram): datagram for datagram in DATAGRAMS.values()} == DATAGRAMS
    assert not nominates(CHECK)
    assert nominates(NOMINATION)


@settings(deadline=None, max_examples=100)
@given(st.binary(max_size=60))
def test_no_datagram_is_too_odd_to_be_told(datagram):
    assert isinstance(kind_of(datagram), Kind)
    assert nominates(datagram) in (True, False)


@pytest.mark.parametrize(
    ("faults", "strike", "lost_in", "lost_out"),
    [
        (Faults(), None, set(), set()),
        (Faults(ice_silent=True), None, set(Kind), set(Kind)),
        (Faults(dtls_silent=True), None, {Kind.DTLS}, {Kind.DTLS}),
        (Faults(channel_silent=True), None, {Kind.CHANNEL}, {Kind.CHANNEL}),
        (Faults(), Strike.FREEZE, set(Kind), set(Kind)),
        (Faults(), Strike.OUTAGE, set(Kind), set(Kind)),
        (Faults(), Strike.STOP_RTP, set(), {Kind.RTP}),
        (Faults(), Strike.STOP_CHANNEL, {Kind.CHANNEL}, {Kind.CHANNEL}),
        (Faults(ice_silent=True), Strike.RECOVER, set(), set()),
    ],
)
def test_each_fault_loses_its_kinds_and_no_others(faults, strike, lost_in, lost_out):
    wire = Wire(faults)
    if strike is not None:
        wire.strike(strike)
    came, left = passing(wire)
    assert (set(Kind) - came, set(Kind) - left) == (lost_in, lost_out)


def test_consent_counts_only_with_use_candidate_once_data_has_flowed():
    wire, socket = Wire(Faults(consent_needs_nomination=True)), Socket()
    wire.attach(socket)
    for datagram in (CHECK, DATAGRAMS[Kind.DTLS], CHECK, NOMINATION):
        socket.datagram_received(datagram, None)
    assert socket.received == [CHECK, DATAGRAMS[Kind.DTLS], NOMINATION]
