"""Faults before the call is up: REST, token, SDP, ICE, DTLS, SCTP, and the first events."""

from __future__ import annotations

import re
from collections.abc import Iterable

from faults import strikes
from faults.row import Fails, GoesOn, Row, Where
from rtcvoice import EphemeralToken, Network, TokenUrl
from rtcvoice.emulator import AnswerFault, AnswerShape, Faults, HttpFault
from rtcvoice.errors import ConfigError, CredentialsError, SignalingError, TransportError

__all__ = ["ROWS"]


def http(fault: HttpFault, injected: str, saying: str, *, quick: bool = False, **having: object):
    """A row of what the REST side answers instead."""
    must = Fails(error=SignalingError, saying=saying, having=having)
    faults = Faults(http=fault)
    return Row(
        where=Where.REST, injected=injected, must=must, server={"faults": faults}, quick=quick
    )


REST = (
    http(HttpFault.INVALID_KEY, "401", "key", status=401, code="invalid_api_key", quick=True),
    http(HttpFault.RATE_LIMIT, "429 with Retry-After", "try again", status=429, retry_after=1.0),
    http(HttpFault.QUOTA, "429: no credit", "credit", status=429, code="insufficient_quota"),
    http(HttpFault.SERVER_ERROR, "500", "provider", status=500),
    http(HttpFault.HTML, "a proxy's page, 502", "502", status=502),
    http(HttpFault.HTML_OK, "a hotel's login page, 200", "base_url", status=200),
    http(HttpFault.CUT, "closed in the middle of the answer", "cannot talk", status=None),
    Row(
        where=Where.REST,
        injected="no answer at all",
        must=Fails(error=TransportError, having={"stage": "token"}, within=1.3),
        server={"faults": Faults(http=HttpFault.HANG)},
        options={"connect_timeout": 0.3},
    ),
    Row(
        where=Where.REST,
        injected="an answer that is late, but in time",
        must=GoesOn(),
        server={"faults": Faults(http_delay=0.2)},
    ),
    Row(
        where=Where.REST,
        injected="the offer alone is refused, 429",
        must=Fails(error=SignalingError, saying="offering the call", having={"status": 429}),
        server={"faults": Faults(http=HttpFault.RATE_LIMIT, http_only="call")},
    ),
    Row(
        where=Where.REST,
        injected="nobody listens on the port",
        must=Fails(error=SignalingError, saying="emulator", having={"status": None}),
        around=strikes.closed_port,
    ),
    Row(
        where=Where.REST,
        injected="an answer without end",
        must=Fails(error=SignalingError, saying="larger than"),
        around=strikes.endless_answer,
    ),
    Row(
        where=Where.REST,
        injected="an answer that drips, a byte at a time",
        must=Fails(error=TransportError, having={"stage": "token"}, within=1.5),
        around=strikes.dripping_answer,
        options={"connect_timeout": 0.4},
    ),
    Row(
        where=Where.REST,
        injected="a redirect to another server",
        must=Fails(error=SignalingError, saying="redirect"),
        around=strikes.redirect,
    ),
    Row(
        where=Where.REST,
        injected="bytes that are not HTTP",
        must=Fails(error=SignalingError, having={"status": None}),
        around=strikes.not_http,
    ),
    Row(
        where=Where.REST,
        injected="a certificate that nobody signed",
        must=Fails(error=SignalingError, saying="ca_file"),
        around=strikes.unsigned_certificate,
    ),
    Row(
        where=Where.REST,
        injected="a proxy that is not there",
        must=Fails(error=SignalingError, saying="proxy", having={"status": None}),
        around=strikes.missing_proxy,
    ),
)


def token(injected: str, must: Fails | GoesOn, *, quick: bool = False, **row: object) -> Row:
    return Row(where=Where.TOKEN, injected=injected, must=must, quick=quick, **row)  # type: ignore[arg-type]


def raising() -> str:
    raise LookupError("the vault is sealed")


TOKEN = (
    token(
        "a token that the server does not know",
        Fails(error=SignalingError, saying="ephemeral key", having={"status": 401}),
        options={"credentials": EphemeralToken("ek_unknown")},
        quick=True,
    ),
    token(
        "no key at all",
        Fails(error=CredentialsError, saying="OPENAI_API_KEY"),
        options={"api_key": None},
    ),
    token(
        "a key with a line break in it",
        Fails(error=CredentialsError, saying="line break"),
        options={"api_key": "sk-a\nb"},
    ),
    token(
        "a function for the key that raises",
        Fails(error=CredentialsError, saying="LookupError"),
        options={"credentials": raising},
    ),
    token(
        "a function for the key that never returns",
        Fails(error=TransportError, having={"stage": "token"}, within=1.3),
        options={"credentials": strikes.never_returns, "connect_timeout": 0.3},
    ),
    token(
        "a function for the key that returns a number",
        Fails(error=CredentialsError, saying="int"),
        options={"credentials": lambda: 4711},
    ),
    token(
        "a token server that is down",
        Fails(error=SignalingError, saying="token server", having={"status": None}),
        options={"credentials": TokenUrl("http://127.0.0.1:9/token")},
    ),
    token(
        "a token server that answers with a page",
        Fails(error=SignalingError, saying="token"),
        around=strikes.token_page,
    ),
    token(
        "a server without tokens: the offer goes with the key",
        GoesOn(),
        server={"faults": Faults(no_client_secrets=True)},
    ),
    token(
        "a server without tokens, called directly",
        GoesOn(),
        server={"faults": Faults(no_client_secrets=True)},
        options={"direct": True},
    ),
)


def answer(fault: AnswerFault, injected: str, saying: str, *, quick: bool = False) -> Row:
    """A row of an SDP answer that cannot be used."""
    return Row(
        where=Where.SDP,
        injected=injected,
        must=Fails(error=TransportError, saying=saying, having={"stage": "answer"}),
        server={"faults": Faults(answer=fault)},
        quick=quick,
    )


SDP = (
    answer(AnswerFault.EMPTY, "an empty answer", "not SDP"),
    answer(AnswerFault.GARBAGE, "text that is not SDP", "not SDP", quick=True),
    answer(AnswerFault.TRUNCATED, "an answer cut in its first media section", ""),
    answer(AnswerFault.NO_CANDIDATES, "no address in it", "candidate"),
    Row(
        where=Where.SDP,
        injected="TCP addresses only, and nobody listens there",
        must=Fails(error=TransportError, saying="no TCP connection", having={"stage": "ice"}),
        server={"faults": Faults(answer=AnswerFault.TCP_ONLY)},
    ),
    answer(AnswerFault.NO_AUDIO, "the audio is refused", "refuses audio"),
    answer(AnswerFault.NO_CHANNEL, "the data channel is refused", "refuses the event channel"),
    Row(
        where=Where.SDP,
        injected="a candidate whose name cannot be found",
        must=Fails(error=TransportError, saying="no UDP candidate", having={"stage": "answer"}),
        server={"rewrite": lambda sdp: re.sub(r"127\.0\.0\.1 (\d+) typ", r"x.invalid \1 typ", sdp)},
        options={"connect_timeout": 1.0},
    ),
    Row(
        where=Where.SDP,
        injected="transport stated in the first section only, TCP candidates beside",
        must=GoesOn(),
        server={"shape": AnswerShape(tcp_candidates=True, end_of_candidates=True)},
    ),
    Row(
        where=Where.SDP,
        injected="messages of 1,000 bytes at most",
        must=GoesOn(),
        server={"shape": AnswerShape(max_message_size=1000)},
    ),
    Row(
        where=Where.SDP,
        injected="an answer of 5 MB",
        must=Fails(error=SignalingError, saying="larger than"),
        server={"rewrite": lambda sdp: sdp + "a=x:" + "y" * 5_000_000 + "\r\n"},
    ),
)

SETUP = (
    Row(
        where=Where.ICE,
        injected="no answer to any check",
        must=Fails(error=TransportError, saying="UDP", having={"stage": "ice"}, within=1.5),
        server={"faults": Faults(ice_silent=True)},
        options={"connect_timeout": 0.5},
    ),
    Row(
        where=Where.ICE,
        injected="a port that is closed",
        must=Fails(error=TransportError, having={"stage": "ice"}, within=1.5),
        server={"rewrite": lambda sdp: re.sub(r"(127\.0\.0\.1) \d+ typ", r"\1 9 typ", sdp)},
        options={"connect_timeout": 0.5},
    ),
    Row(
        where=Where.ICE,
        injected="every fifth datagram lost while connecting",
        must=GoesOn(within=4.0),
        server={"faults": Faults(network=Network.of("loss=20%, seed=3", "network"))},
    ),
    Row(
        where=Where.DTLS,
        injected="nobody speaks DTLS",
        must=Fails(error=TransportError, having={"stage": "dtls"}, within=1.5),
        server={"faults": Faults(dtls_silent=True)},
        options={"connect_timeout": 0.5},
    ),
    Row(
        where=Where.DTLS,
        injected="another certificate than announced",
        must=Fails(error=TransportError, having={"stage": "dtls"}),
        server={"faults": Faults(answer=AnswerFault.WRONG_FINGERPRINT)},
        quick=True,
    ),
    Row(
        where=Where.SCTP,
        injected="the association never begins",
        must=Fails(error=TransportError, having={"stage": "channel"}, within=1.5),
        server={"faults": Faults(channel_silent=True)},
        options={"connect_timeout": 0.5},
    ),
    Row(
        where=Where.EVENTS,
        injected="the session never starts",
        must=Fails(error=TransportError, having={"stage": "session"}, within=1.5),
        server={"bend": strikes.never_started},
        options={"connect_timeout": 0.5},
    ),
    Row(
        where=Where.EVENTS,
        injected="the session is closed before it starts",
        must=Fails(error=TransportError, saying="closed", having={"stage": "session"}),
        server={"bend": strikes.closed_at_once},
    ),
    Row(
        where=Where.EVENTS,
        injected="a setting that the server refuses",
        must=Fails(error=SignalingError, having={"status": 400}),
        options={"session": {"no_such_field": 1}},
    ),
    Row(
        where=Where.EVENTS,
        injected="a history that is none",
        must=Fails(error=ConfigError, within=0.5),
        options={"history": [{"role": "nobody"}]},
    ),
)

ROWS: Iterable[Row] = (*REST, *TOKEN, *SDP, *SETUP)
