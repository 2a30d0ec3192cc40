"""Faults during a call: ICE, DTLS, SCTP, the channel, RTP and events."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

import rtcvoice
from faults import strikes
from faults.row import Ends, GoesOn, Refuses, Row, Where
from faults.strikes import strikes_with
from rtcvoice import Network
from rtcvoice.emulator import AnswerFault, AnswerShape, Faults, HttpFault, SessionEnd, Strike
from rtcvoice.emulator.session.faults import SessionFaults
from rtcvoice.errors import ServerError, TransportError

__all__ = ["AGAIN", "ALONE", "NOTICED", "ROWS"]

ALONE: dict[str, Any] = {"reconnect": None}
"""Options of a call that ends with its connection."""

AGAIN: dict[str, Any] = {"reconnect": rtcvoice.Reconnect()}
"""Options of a call that outlives its connection."""

TWENTY_ITEMS = [
    {"role": ("user", "assistant")[number % 2], "text": f"{number}: said before"}
    for number in range(20)
]

NOTICED = {"liveness_timeout": 0.5}
"""Options of a call that notices silence soon."""


def lost(
    where: Where,
    injected: str,
    ends: Ends,
    strike: Callable[[Any], Awaitable[None]] = strikes.nothing,
    *,
    goes_on: GoesOn | None = None,
    quick: bool = False,
    server: Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
) -> Iterable[Row]:
    """The two rows of a lost connection: without reconnecting, and with it."""
    given = {**NOTICED, **(options or {})}
    row: dict[str, Any] = {"where": where, "strike": strike, "server": server or {}}
    yield Row(
        injected=f"{injected}; reconnect=None",
        must=ends,
        options={**given, **ALONE},
        **row,
    )
    must = goes_on or GoesOn(legs=2, within=3.0, told="rtcvoice.reconnected")
    yield Row(injected=injected, must=must, options={**given, **AGAIN}, quick=quick, **row)


def stays(
    where: Where,
    injected: str,
    strike: Callable[[Any], Awaitable[None]] = strikes.nothing,
    *,
    must: GoesOn | Refuses | Ends | None = None,
    **row: Any,
) -> Row:
    """A row of what must not even be noticed."""
    return Row(where=where, injected=injected, strike=strike, must=must or GoesOn(), **row)


CONNECTION = (
    *lost(
        Where.ICE,
        "the server falls silent",
        Ends(saying="nothing was received", within=1.5),
        strikes_with(Strike.FREEZE),
        quick=True,
    ),
    *lost(
        Where.ICE,
        "the server falls silent, and a stranger sends junk",
        Ends(saying="nothing was received", within=1.5),
        strikes.leave_in_silence_with_junk,
    ),
    *lost(
        Where.ICE,
        "an outage of 1.5 s, longer than it takes to notice",
        Ends(saying="nothing was received", within=2.0),
        strikes.outage(1.5),
    ),
    stays(
        Where.ICE,
        "an outage of 2 s over a line of 80 ms, with 20 items of history",
        strikes.outage(2.0),
        server={"faults": Faults(network=Network.of("delay=40ms", "network"))},
        options={**NOTICED, **AGAIN, "history": TWENTY_ITEMS},
        must=GoesOn(legs=2, within=2.0 + 8 * 0.08, told="rtcvoice.reconnected"),
    ),
    stays(
        Where.ICE,
        "an outage of 0.8 s, shorter than it takes to notice",
        strikes.outage(0.8),
        options={"liveness_timeout": 5.0},
        must=GoesOn(within=2.5),
    ),
    stays(Where.ICE, "datagrams of strangers", strikes.strangers_datagrams, quick=True),
    stays(
        Where.ICE,
        "consent counts only with USE-CANDIDATE",
        server={"faults": Faults(consent_needs_nomination=True)},
    ),
    stays(
        Where.ICE,
        "a router that gives the client another port",
        strikes_with(Strike.CHANGE_ADDRESS),
        server={"faults": Faults(network=Network())},
        options={"liveness_timeout": 8.0},
        must=GoesOn(within=8.0),
    ),
    stays(
        Where.ICE,
        "5 % loss, 20 ms jitter, duplicates, reordering",
        server={
            "faults": Faults(
                network=Network.of("loss=5%, jitter=20ms, duplicate=5%, reorder=5%", "network"),
            )
        },
        must=GoesOn(within=4.0),
    ),
    stays(
        Where.DTLS,
        "every twentieth datagram with a wrong bit",
        server={"faults": Faults(network=Network.of("corrupt=5%", "network"))},
        must=GoesOn(within=4.0),
    ),
    stays(Where.DTLS, "records that are none", strikes.dtls_junk, quick=True),
    stays(
        Where.DTLS,
        "close_notify: the server hangs up",
        strikes_with(Strike.CLOSE_PEER),
        options=AGAIN,
        must=Ends(saying="closed", within=2.0),
    ),
    stays(Where.SCTP, "packets that are none", strikes.sctp_junk, quick=True),
    stays(Where.SCTP, "messages on streams that are not open", strikes.unknown_stream),
    stays(
        Where.SCTP,
        "a message without end",
        strikes.endless_message,
        must=Ends(saying="more than 1024 KiB", within=8.0),
        options=ALONE,
    ),
    stays(
        Where.SCTP,
        "the association is aborted",
        strikes.sctp_abort,
        options=AGAIN,
        must=Ends(saying="closed", within=2.0),
    ),
    stays(
        Where.CHANNEL,
        "closed by the server",
        strikes_with(Strike.CLOSE_CHANNEL),
        options=AGAIN,
        must=Ends(saying="closed", within=2.0),
        quick=True,
    ),
    stays(
        Where.CHANNEL,
        "nothing passes for 1 s",
        strikes_with(Strike.STOP_CHANNEL, Strike.RECOVER, after=1.0),
        must=GoesOn(within=5.0),
    ),
    stays(
        Where.CHANNEL,
        "closed by the server; on_server_close=True",
        strikes_with(Strike.CLOSE_CHANNEL),
        options={**NOTICED, "reconnect": rtcvoice.Reconnect(on_server_close=True)},
        must=GoesOn(legs=2, within=3.0, told="rtcvoice.reconnected"),
    ),
    stays(
        Where.DTLS,
        "close_notify: the server hangs up; on_server_close=True",
        strikes_with(Strike.CLOSE_PEER),
        options={**NOTICED, "reconnect": rtcvoice.Reconnect(on_server_close=True)},
        must=GoesOn(legs=2, within=3.0, told="rtcvoice.reconnected"),
    ),
    stays(Where.CHANNEL, "a message of bytes", strikes.binary_message),
    stays(Where.CHANNEL, "another channel", strikes.second_channel),
    stays(
        Where.CHANNEL,
        "a server that reads slowly",
        server={"faults": Faults(channel_reads_bps=60_000)},
    ),
)

RTP = (
    stays(Where.RTP, "none any more", strikes_with(Strike.STOP_RTP), quick=True),
    stays(Where.RTP, "another SSRC", strikes_with(Strike.CHANGE_SSRC)),
    stays(Where.RTP, "none between answers", server={"gap": True}),
    stays(Where.RTP, "garbage in place of Opus", strikes.rtp_changed(strikes.garbage)),
    stays(Where.RTP, "empty payloads", strikes.rtp_changed(strikes.empty)),
    stays(Where.RTP, "payloads of 1,200 random bytes", strikes.rtp_changed(strikes.random_payload)),
    stays(Where.RTP, "an unknown payload type", strikes.rtp_changed(strikes.unknown_payload_type)),
    stays(Where.RTP, "timestamps that jump by hours", strikes.rtp_changed(strikes.odd_timestamp)),
    stays(Where.RTP, "sequence numbers that jump", strikes.rtp_changed(strikes.odd_sequence)),
    stays(Where.RTP, "two of three packets lost", strikes.rtp_changed(strikes.two_of_three_lost)),
    stays(Where.RTP, "packets cut after 12 bytes", strikes.rtp_changed(strikes.cut)),
    stays(Where.RTP, "RTCP that cannot be parsed", strikes.odd_rtcp),
    stays(Where.RTP, "RTCP: BYE", strikes.bye),
)


def session(injected: str, *, must: GoesOn | Refuses | None = None, **faults: Any) -> Row:
    """A row of a fault inside the session; in virtual time."""
    return Row(
        where=Where.EVENTS,
        injected=injected,
        must=must or GoesOn(within=30.0),
        server={"faults": SessionFaults(**faults)},
        virtual=True,
        quick=True,
    )


def changed(injected: str, change: Callable[[dict[str, Any]], Any], **row: Any) -> Row:
    """A row of events that are changed on their way; in virtual time."""
    return Row(
        where=Where.EVENTS,
        injected=injected,
        server={"change": change},
        virtual=True,
        quick=True,
        **{"must": GoesOn(within=30.0), **row},
    )


def without(kind: str) -> Callable[[dict[str, Any]], Any]:
    return lambda event: None if event["type"] == kind else event


def deep(event: dict[str, Any]) -> dict[str, Any]:
    return event | {"x": json.loads("[" * 400 + "]" * 400)}


def long(event: dict[str, Any]) -> dict[str, Any]:
    return event | {"x": "y" * 100_000}


HOW = {
    SessionEnd.ERROR_CLOSE: "an error event, then close_notify",
    SessionEnd.ERROR_CHANNEL: "an error event, then the channel is closed",
    SessionEnd.CHANNEL: "the channel is closed",
    SessionEnd.CLOSE: "close_notify",
    SessionEnd.SILENCE: "silence",
}
SAYS = {
    SessionEnd.ERROR_CLOSE: "maximum duration",
    SessionEnd.ERROR_CHANNEL: "maximum duration",
    SessionEnd.SILENCE: "nothing was received",
}

EVENTS = (
    session("types that nobody knows", unknown_events=True),
    session("fields that nobody knows", unknown_fields=True),
    session("messages that are no events", malformed_events=True),
    session("values of other types than documented", odd_values=True),
    session("whole numbers written as floats", float_numbers=True),
    session("items come as conversation.item.created", item_created=True),
    session("no output_audio_buffer events", leave_out=("output_audio_buffer.*",)),
    session("no transcripts", transcription_fails=True),
    session("no response.done", leave_out=("response.done",), must=GoesOn(within=60.0)),
    session(
        "a request that is never answered",
        reply_lost=True,
        must=Refuses(error=TransportError, saying="did not answer", within=60.0),
    ),
    session(
        "responses that fail",
        reply_error="server_error",
        must=Refuses(error=ServerError, saying="had an error", within=30.0),
    ),
    session(
        "no tokens left this minute",
        tokens_per_minute=1,
        must=Refuses(error=ServerError, saying="rate limit", within=30.0),
    ),
    changed("nested 400 deep", deep),
    changed("100 kB each", long),
    changed("without event_id", lambda event: event | {"event_id": None}),
    changed("conversation.item.done is lost", without("conversation.item.done")),
    changed("response.output_item.added is lost", without("response.output_item.added")),
    Row(
        where=Where.EVENTS,
        injected="text that is not UTF-8",
        server={"faults": Faults(not_utf8=True)},
        must=GoesOn(),
        quick=True,
    ),
    *(
        row
        for way in SessionEnd
        for row in lost(
            Where.EVENTS,
            f"the session's time is over: {HOW[way]}",
            Ends(saying=SAYS.get(way, "closed"), within=2.0),
            strikes.expire,
            server={"faults": Faults(session_end=way), "duration": 40.0},
        )
    ),
    stays(
        Where.CHANNEL,
        "questions go out as the channel is closed; on_server_close=True",
        strikes.asked_while_closing,
        options={**NOTICED, "reconnect": rtcvoice.Reconnect(on_server_close=True)},
        must=GoesOn(legs=2, within=3.0, told="rtcvoice.reconnected"),
    ),
    stays(
        Where.EVENTS,
        "session_expired, although its time was not over",
        strikes.expire,
        options={**NOTICED, **AGAIN},
        must=GoesOn(legs=2, within=3.0, told="rtcvoice.reconnected"),
    ),
)

GOES_ON = GoesOn(legs=2, within=4.0, told="rtcvoice.reconnected")


def meets(
    where: Where, injected: str, strike: Callable[[Any], Awaitable[None]], must: Any, **row: Any
) -> Row:
    """A row of what a call meets while it reconnects."""
    options = {**NOTICED, **AGAIN, **row.pop("options", {})}
    injected = f"while reconnecting: {injected}"
    return Row(where=where, injected=injected, strike=strike, must=must, options=options, **row)


HTTP_500 = Faults(http=HttpFault.SERVER_ERROR)

RECONNECTING = (
    meets(
        Where.TOKEN,
        "the token server fails for 2 s",
        strikes.meanwhile(Faults(http=HttpFault.SERVER_ERROR, http_only="token"), 2.0),
        GoesOn(legs=2, within=8.0, told="rtcvoice.reconnected"),
    ),
    meets(
        Where.REST,
        "429 with Retry-After, for 1.5 s",
        strikes.meanwhile(Faults(http=HttpFault.RATE_LIMIT), 1.5),
        GoesOn(legs=2, within=6.0, told="rtcvoice.reconnected"),
    ),
    meets(
        Where.REST,
        "no answer for 2 s",
        strikes.meanwhile(Faults(http=HttpFault.HANG), 2.0),
        GoesOn(legs=2, within=8.0, told="rtcvoice.reconnected"),
    ),
    meets(
        Where.REST,
        "the key is refused",
        strikes.meanwhile(Faults(http=HttpFault.INVALID_KEY)),
        Ends(saying="key", within=2.0),
    ),
    meets(
        Where.REST,
        "no credit is left",
        strikes.meanwhile(Faults(http=HttpFault.QUOTA)),
        Ends(saying="credit", within=2.0),
    ),
    meets(
        Where.REST,
        "500 until the window of 1.5 s is over",
        strikes.meanwhile(HTTP_500),
        Ends(saying="500", within=3.5),
        options={"reconnect": rtcvoice.Reconnect(window=1.5)},
    ),
    meets(
        Where.TOKEN,
        "there is one token, which is still good",
        strikes_with(Strike.FREEZE),
        GOES_ON,
        around=strikes.token_minted_before,
    ),
    meets(
        Where.SDP,
        "answers that are not SDP, for 1.5 s",
        strikes.meanwhile(Faults(answer=AnswerFault.GARBAGE), 1.5),
        GoesOn(legs=2, within=6.0, told="rtcvoice.reconnected"),
    ),
    meets(
        Where.ICE,
        "checks without an answer, for 1.5 s",
        strikes.meanwhile(Faults(ice_silent=True), 1.5),
        GoesOn(legs=2, within=12.0, told="rtcvoice.reconnected"),
    ),
    meets(
        Where.ICE,
        "one leg is all that the call may have",
        strikes_with(Strike.FREEZE),
        Ends(saying="nothing was received", within=2.0),
        options={"reconnect": rtcvoice.Reconnect(max_legs=1)},
    ),
    meets(
        Where.USER_CODE,
        "the user hangs up",
        strikes.hung_up_meanwhile,
        Ends(saying="hung up", normal=True, within=2.0),
    ),
    stays(
        Where.ICE,
        "the server is gone, and the socket says so at once",
        strikes.socket_error,
        options=AGAIN,
        must=GOES_ON,
    ),
)

SHAPES = (
    stays(
        Where.SDP,
        "candidates in every section, no ice-lite",
        server={"shape": AnswerShape(ice_lite=False, candidates_everywhere=True)},
    ),
)

ROWS: Iterable[Row] = (*CONNECTION, *RTP, *EVENTS, *RECONNECTING, *SHAPES)
