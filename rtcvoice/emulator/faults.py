"""What can be made to go wrong in the emulator: one frozen vocabulary, from HTTP to RTP.

    async with Emulator(faults=Faults(http=HttpFault.RATE_LIMIT)) as server: ...
    server.faults = Faults(frozen_after=2.0)      # from the next request and call on
    server.calls[call_id].strike(Strike.FREEZE)   # now

Everything is off by default and named after what a client sees. What goes wrong inside the protocol
is inherited from the session core (`SessionFaults`); here is what goes wrong around it. A YAML
script says the same with the same names (`fault_parser.py`).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, fields
from typing import Literal

from rtcvoice.emulator.session.faults import SessionFaults
from rtcvoice.errors import ConfigError
from rtcvoice.network.settings import Network

__all__ = ["NO_FAULTS", "AnswerFault", "Faults", "HttpFault", "Strike"]


class HttpFault(enum.StrEnum):
    """What the REST side answers instead of what it was asked for."""

    INVALID_KEY = "invalid_key"
    """401 `invalid_api_key`."""
    RATE_LIMIT = "rate_limit"
    """429 `rate_limit_exceeded`, with `Retry-After: 1`."""
    QUOTA = "quota"
    """429 `insufficient_quota`: no credit left."""
    SERVER_ERROR = "server_error"
    """500 with an error object."""
    HTML = "html"
    """502 with a page of HTML, as a proxy in between sends."""
    HTML_OK = "html_ok"
    """200 with a page of HTML, as the login page of a hotel network does."""
    HANG = "hang"
    """No answer at all; the connection stays open."""
    CUT = "cut"
    """The connection is closed in the middle of the answer."""


class AnswerFault(enum.StrEnum):
    """What is wrong with the SDP answer."""

    EMPTY = "empty"
    """201 with an empty body."""
    GARBAGE = "garbage"
    """Text that is not SDP."""
    TRUNCATED = "truncated"
    """It stops in the middle of its first media section."""
    NO_CANDIDATES = "no_candidates"
    """It names no address."""
    TCP_ONLY = "tcp_only"
    """It names TCP candidates alone, as a server behind a strict firewall does."""
    NO_AUDIO = "no_audio"
    """It refuses the audio section (port 0)."""
    NO_CHANNEL = "no_channel"
    """It refuses the data channel (port 0)."""
    WRONG_FINGERPRINT = "wrong_fingerprint"
    """It announces another certificate than DTLS then shows."""


class Strike(enum.StrEnum):
    """What can happen to a call at any moment, by `EmulatedCall.strike`."""

    CLOSE_CHANNEL = "close_channel"
    """The data channel is closed; media goes on."""
    CLOSE_PEER = "close_peer"
    """The peer connection is closed, as when the server ends the call."""
    STOP_RTP = "stop_rtp"
    """No RTP is sent any more; all else goes on."""
    STOP_CHANNEL = "stop_channel"
    """Nothing of the data channel passes in either direction; media goes on."""
    FREEZE = "freeze"
    """Nothing is sent and nothing is answered any more, not even ICE: the server is gone."""
    CHANGE_SSRC = "change_ssrc"
    """The server's voice goes on as a new RTP stream."""
    KILL = "kill"
    """The emulator's whole process ends at once, with all its calls."""
    OUTAGE = "outage"
    """Everything between the client and the server is lost: HTTP requests of all clients, too."""
    CHANGE_ADDRESS = "change_address"
    """The client's datagrams come from another port, as behind a router that forgot it. Only
    where the call has a network of its own (`network`)."""
    RECOVER = "recover"
    """What `STOP_RTP`, `STOP_CHANNEL`, `FREEZE` and `OUTAGE` have stopped goes on."""


@dataclass(frozen=True, kw_only=True)
class Faults(SessionFaults):
    """Everything that is to go wrong.

    Seconds (`..._after`) count from the channel's opening; in a call without one from connecting.

    Raises ConfigError for what cannot be.
    """

    # HTTP
    http: HttpFault | None = None
    """What is answered to token requests and offers instead."""
    http_only: Literal["token", "call"] | None = None
    """Only to token requests, or only to offers."""
    http_times: int | None = None
    """Only to so many requests; then all is well, as for a client that tries again."""
    http_delay: float = 0.0
    """Seconds before anything is answered."""

    no_client_secrets: bool = False
    """There are no tokens: 404 where they are asked for, as at servers with `/calls` alone."""
    raw_sdp_only: bool = False
    """An offer is taken as raw SDP (`application/sdp`) only; a form is answered 415."""

    # Connecting
    answer: AnswerFault | None = None
    ice_silent: bool = False
    """ICE never answers: the addresses in the answer cannot be reached."""
    consent_needs_nomination: bool = False
    """Once connected, checks without USE-CANDIDATE stay unanswered, as the service was seen to do:
    a client whose consent checks (RFC 7675) lack it loses the call after some 30 s."""
    dtls_silent: bool = False
    """ICE works, and then nobody speaks DTLS."""
    channel_silent: bool = False
    """DTLS works, and then the data channel never opens."""

    # During the call
    channel_closed_after: float | None = None
    closed_after: float | None = None
    """The peer connection is closed."""
    killed_after: float | None = None
    """The emulator's whole process ends at once, with all its calls; for one of its own
    (`python -m rtcvoice emulator`)."""
    frozen_after: float | None = None
    """From then on the server neither sends nor answers anything."""
    rtp_stopped_after: float | None = None
    channel_stopped_after: float | None = None
    """From then on nothing of the data channel passes, and it is not closed."""
    ssrc_changed_after: float | None = None
    channel_reads_bps: float | None = None
    """The server reads the data channel slowly, at so many bits per second."""

    outage_after: float | None = None
    """From then on everything between client and server is lost, for `outage_for` seconds."""
    outage_for: float = 5.0
    outage_http: bool = True
    """Whether HTTP requests are lost in an outage as well; they are answered after it."""
    address_changed_after: float | None = None
    """The client's datagrams come from another port; with `network` only."""

    # The path between
    network: Network | None = None
    """The network between clients and server, as the option of a call has it; on loopback only. It
    is for clients that cannot make one for themselves."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.channel_reads_bps == 0:
            raise ConfigError("channel_reads_bps=0 carries nothing", hint="say more than 0")

    def strikes(self) -> list[tuple[float, Strike]]:
        """Return what happens during the call, in order: seconds after the channel's opening."""
        planned = {
            Strike.CLOSE_CHANNEL: self.channel_closed_after,
            Strike.CLOSE_PEER: self.closed_after,
            Strike.KILL: self.killed_after,
            Strike.FREEZE: self.frozen_after,
            Strike.STOP_RTP: self.rtp_stopped_after,
            Strike.STOP_CHANNEL: self.channel_stopped_after,
            Strike.CHANGE_SSRC: self.ssrc_changed_after,
            Strike.CHANGE_ADDRESS: self.address_changed_after,
        }
        strikes = [(after, strike) for strike, after in planned.items() if after is not None]
        if self.outage_after is not None:
            begin = Strike.OUTAGE if self.outage_http else Strike.FREEZE
            strikes.append((self.outage_after, begin))
            strikes.append((self.outage_after + self.outage_for, Strike.RECOVER))
        return sorted(strikes)

    def session(self) -> SessionFaults:
        """Return what concerns the session core alone."""
        mine = {field.name: getattr(self, field.name) for field in fields(SessionFaults)}
        return SessionFaults(**mine)


NO_FAULTS = Faults()
