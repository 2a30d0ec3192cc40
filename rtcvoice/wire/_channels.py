"""The private names of aiortc's SCTP: data channels that open early, and that stand odd peers.

aiortc's association trusts its peer: a message that is not UTF-8, the acknowledgement of a channel
that nobody opened or the second opening of one is an exception in the task that reads the network,
and ends the call; fragments of a message that never ends are kept without limit. As in `_aiortc.py`
only one *instance* is mended, and what is missing is named.

SCTP: RFC 9260; data channels: RFC 8831, RFC 8832.
"""
# ruff: noqa: SLF001  (private names are what this module is for)

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from aiortc.rtcsctptransport import CookieEchoChunk, DataChunk

from rtcvoice.wire._aiortc import UnsupportedAiortc

__all__ = [
    "LARGEST_MESSAGE",
    "bound_reassembly",
    "guard_channels",
    "open_channels_early",
]

logger = logging.getLogger(__name__)

LARGEST_MESSAGE = 1 << 20
"""Bytes of a message that may arrive; also the receive window that aiortc announces. The offer
names a quarter of it (a=max-message-size)."""

MOST_CHUNKS = 2048
"""Fragments that may wait for others; a message of the largest size has about 900."""

MOST_CHANNELS = 16
"""Channels that the peer may open beside ours; nobody listens to them."""

LARGEST_PACKET = 1200
"""Bytes of an SCTP packet that surely fits into a datagram; aiortc's data chunks are as large."""

ROOM_FOR_OPENINGS = 200
"""Bytes beside a cookie that the opening of a channel is sure to find: ours takes 48."""

_DCEP, _TEXT = 50, 51
_OPEN, _ACK = 3, 2


def guard_channels(sctp: Any, on_heard: Callable[[], None] = lambda: None) -> None:
    """Let no packet end the association but by its own meaning; call `on_heard` for each one.

    Text that is not UTF-8 is passed on with U+FFFD for what cannot be read: what an event says is
    worth more than one of its characters.
    """
    handle = getattr(sctp, "_handle_data", None)
    receive = getattr(sctp, "_data_channel_receive", None)
    if handle is None or receive is None or not hasattr(sctp, "_data_channels"):
        raise UnsupportedAiortc("RTCSctpTransport._handle_data, ._data_channel_receive")
    told = set[str]()

    def tell(what: str) -> None:
        if what not in told:  # a few kinds; each may come with every packet
            told.add(what)
            logger.warning("x ignored on the data channels: %s", what)

    async def handle_data(data: bytes) -> None:
        on_heard()
        try:
            await handle(data)
        except ConnectionError:
            raise  # the connection is gone: whoever reads has to know
        except Exception as exc:
            tell(f"a packet that aiortc cannot take ({type(exc).__name__})")

    async def data_channel_receive(stream_id: int, protocol: int, data: bytes) -> None:
        known = stream_id in sctp._data_channels
        if protocol == _DCEP:
            kind = data[0] if data else None
            if kind == _OPEN and (known or len(sctp._data_channels) > MOST_CHANNELS):
                tell("the opening of a channel that is open, or of too many")
                return
            if kind == _ACK and not known:
                tell("the acknowledgement of a channel that nobody opened")
                return
        elif protocol == _TEXT and not _is_utf8(data):
            tell("text that is not UTF-8 (read as far as it can be)")
            data = data.decode(errors="replace").encode()
        await receive(stream_id, protocol, data)

    sctp._handle_data = handle_data
    sctp._data_channel_receive = data_channel_receive


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def bound_reassembly(sctp: Any, on_overflow: Callable[[str], None]) -> None:
    """Keep at most LARGEST_MESSAGE bytes and MOST_CHUNKS fragments of messages that are not whole.

    Fragments beyond that are not acknowledged: a peer that keeps to the window sends them again
    once there is room. A window that is full although nothing is missing never empties: then
    `on_overflow` is called once with the reason, and has to end the association.
    """
    receive = getattr(sctp, "_receive_data_chunk", None)
    stream_of = getattr(sctp, "_get_inbound_stream", None)
    names = ("_inbound_streams", "_advertised_rwnd", "_last_received_tsn", "_sack_misordered")
    if receive is None or stream_of is None or not all(hasattr(sctp, name) for name in names):
        raise UnsupportedAiortc(f"RTCSctpTransport._receive_data_chunk, {', .'.join(names)}")
    sctp._advertised_rwnd = LARGEST_MESSAGE
    waiting, told = 0, False

    def is_full(size: int, spare: int = 0) -> bool:
        room = sctp._advertised_rwnd + spare * LARGEST_MESSAGE
        return waiting >= MOST_CHUNKS * (1 + spare) or room < size

    async def receive_data_chunk(chunk: Any) -> None:
        nonlocal waiting, told
        if told:
            return
        size, ahead = len(chunk.user_data), _ahead(sctp, chunk)
        if is_full(size):
            waiting = sum(len(stream.reassembly) for stream in sctp._inbound_streams.values())
        gaps = sctp._sack_misordered
        if ahead > 0 and is_full(size):
            # What fills a gap may free the room; but not without end.
            if not gaps or is_full(size, spare=1):
                told = True
                on_overflow(f"it sent a message of more than {LARGEST_MESSAGE >> 10} KiB")
                return
            if ahead > 1:
                sctp._sack_needed = True
                return
        if ahead > 1 and len(gaps) >= MOST_CHUNKS:
            sctp._sack_needed = True
            return
        stream = stream_of(chunk.stream_id)
        before = len(stream.reassembly)
        await receive(chunk)
        waiting += len(stream.reassembly) - before

    sctp._receive_data_chunk = receive_data_chunk


def _ahead(sctp: Any, chunk: Any) -> int:
    """Return how far a chunk is ahead of what came without a gap, in TSNs; 1: it is the next."""
    step = (chunk.tsn - (sctp._last_received_tsn or 0)) & 0xFFFFFFFF
    return int(step if step < 1 << 31 else step - (1 << 32))


class _Bundle:
    """Several SCTP chunks in one packet; aiortc's own packets hold one each."""

    def __init__(self, *chunks: Any) -> None:
        self._chunks = chunks

    def __bytes__(self) -> bytes:
        return b"".join(map(bytes, self._chunks))

    def __repr__(self) -> str:
        return " + ".join(map(repr, self._chunks))


def open_channels_early(sctp: Any) -> None:
    """Send the opening of data channels along with COOKIE ECHO, as browsers do (RFC 9260 §5.1).

    aiortc awaits COOKIE ACK first, a round trip more until the server knows the channel. Until the
    association stands nothing may travel without the cookie: what is repeated is the whole packet.
    Whatever is not as expected there (a cookie that fills the packet, an exception) leaves the
    opening to aiortc, a round trip later.
    """
    names = ("_send_chunk", "_data_channel_flush", "_association_state", "_sent_queue")
    if not all(hasattr(sctp, name) for name in names):
        raise UnsupportedAiortc(f"RTCSctpTransport.{', .'.join(names)}")
    send, flush = sctp._send_chunk, sctp._data_channel_flush
    state = type(sctp).State
    unfinished = (state.COOKIE_WAIT, state.COOKIE_ECHOED)

    async def send_chunk(chunk: Any) -> None:
        before = sctp._association_state
        if isinstance(chunk, CookieEchoChunk) and before in unfinished:
            if len(bytes(chunk)) <= LARGEST_PACKET - ROOM_FOR_OPENINGS:
                await queue_openings(before)
            chunk = _Bundle(chunk, *sctp._sent_queue)
        elif isinstance(chunk, DataChunk) and before in unfinished:
            return  # its timer runs on, and repeats it once the association stands
        await send(chunk)

    async def queue_openings(before: Any) -> None:
        """Have aiortc make chunks of what waits, as if the association stood; none is sent."""
        sctp._send_chunk = hold
        sctp._association_state = state.ESTABLISHED  # or flush would queue nothing
        try:
            await flush()  # does not suspend, so nobody else sees this state
        except Exception as exc:
            logger.debug("x channels are not opened early: %r", exc)
        finally:
            sctp._association_state = before
            sctp._send_chunk = send_chunk

    async def hold(chunk: Any) -> None:
        """Only queue: the bundle takes it from there."""

    sctp._send_chunk = send_chunk
