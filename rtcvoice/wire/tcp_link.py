"""One TCP connection that carries datagrams: for networks that let no UDP through.

TCP delivers everything, late: what waits for a slow network is soon too old to be heard, and delays
all that follows. So a datagram that could not leave within `MOST_WAITING` seconds is dropped, the
system is asked to keep little of its own, and nothing is sent while the network is late. Of what
waits, speech leaves first: events bear to be late. Whoever sends speech, DTLS or SCTP by UDP is
prepared for that.

RFC 4571 (framing), RFC 6544 (ICE).
"""

from __future__ import annotations

import asyncio
import enum
import logging
import socket
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import cast

from rtcvoice.errors import RtcVoiceError, one_line
from rtcvoice.masking import masked
from rtcvoice.rest.tunnels import Dialled, TunnelError
from rtcvoice.system.hosts import bracketed
from rtcvoice.system.states import StateTable
from rtcvoice.wire.backlog import Backlog, backlog_of
from rtcvoice.wire.framing import Deframer, FrameError, framed
from rtcvoice.wire.in_flight import InFlight

__all__ = ["Address", "Dial", "LinkState", "TcpLink"]

logger = logging.getLogger(__name__)

MOST_WAITING = 0.2
"""Seconds that a datagram may wait for the network before it is dropped."""

MOST_QUEUED = 64
"""Datagrams of speech that may wait, in whatever time, and as many others: it has 10 in 0.2 s."""

MOST_UNSENT = 2048
"""Bytes that the system may hold back unsent (TCP_NOTSENT_LOWAT): 160 ms at 100 kbit/s."""

ONE_SEGMENT = 1200
"""Bytes that are given to the system at once, when several datagrams waited."""

LOOK = 0.02
"""Seconds after which is looked again whether the network has taken what was sent."""

_RTP_AND_RTCP = frozenset(bytes([first]) for first in range(128, 192))
"""First bytes of RTP and RTCP (RFC 7983)."""

Address = tuple[str, int]
Dial = Callable[[str, int], Awaitable[Dialled]]


class LinkState(enum.Enum):
    """How far a TCP connection is."""

    NEW = "Nobody asked for it yet; or it was accepted, and is about to be taken."
    DIALLING = "It is being made, perhaps through a proxy."
    UP = "Datagrams go both ways."
    CLOSED = "It ended, or it was not to be had."


LINK = StateTable(
    {
        LinkState.NEW: {LinkState.DIALLING, LinkState.UP, LinkState.CLOSED},
        LinkState.DIALLING: {LinkState.UP, LinkState.CLOSED},
        LinkState.UP: {LinkState.CLOSED},
        LinkState.CLOSED: set(),
    }
)


class TcpLink(asyncio.Protocol):
    """A connection to `address`, made by `dial` or, from there, accepted. Event loop only.

    `on_datagram` gets every datagram; `on_lost` is called once, if the connection was up and ended
    without `close`. Neither may raise.
    """

    def __init__(
        self,
        address: Address,
        dial: Dial | None = None,
        *,
        on_datagram: Callable[[bytes, Address], None],
        on_lost: Callable[[str], None] = lambda reason: None,
    ) -> None:
        self.address = address
        self.via = ""
        """How it goes, once it is up: direct, http-proxy or socks5."""
        self.local: Address = ("0.0.0.0", 0)  # noqa: S104  (unknown, as long as there is none)
        """Our end of it."""
        self.trouble = self.cure = ""
        """Why it was not to be had or ended, and what to do about it."""
        self.dropped = 0
        """Datagrams that were too old to be sent."""
        self.state = LinkState.NEW
        self.up: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        """Done when it is up (true), and when there will be none (false)."""
        self.ended = asyncio.Event()
        self._dial = dial
        self._on_datagram = on_datagram
        self._on_lost = on_lost
        self._deframer = Deframer()
        self._dialled: Dialled | None = None
        self._transport: asyncio.Transport | None = None
        self._is_full = False
        self._in_flight = InFlight()
        self._backlog: Backlog | None = None  # where the system tells how much is under way
        self._looking: asyncio.TimerHandle | None = None
        self._speech: deque[tuple[float, bytes]] = deque()
        self._rest: deque[tuple[float, bytes]] = deque()
        self._now = asyncio.get_running_loop().time

    async def open(self) -> None:
        """Make the connection; what goes wrong is in `trouble`. Cancelled, nothing is left."""
        if self.state is not LinkState.NEW or self._dial is None:
            return
        self._become(LinkState.DIALLING)
        try:
            dialled = await self._dial(*self.address)
        except asyncio.CancelledError:
            self._end("")
            raise
        except Exception as exc:  # what a proxy's address holds may fail anywhere
            self.cure = getattr(exc, "hint", "")
            self._end(self._explained(exc))
            return
        if self.up.done():  # closed meanwhile
            dialled.writer.transport.abort()
        else:
            self.adopt(dialled)

    def adopt(self, dialled: Dialled) -> None:
        """Take a connection that is open; of one that was accepted no byte may be read before."""
        self._dialled = dialled  # its writer would close the connection when it is forgotten
        self.via = dialled.via
        self._transport = transport = cast(asyncio.Transport, dialled.writer.transport)
        transport.set_protocol(self)
        transport.set_write_buffer_limits(high=0)
        self._backlog = _send_at_once(transport)
        self.local = tuple(transport.get_extra_info("sockname") or self.local)[:2]
        self._become(LinkState.UP)
        self.up.set_result(True)

    def send(self, datagram: bytes) -> None:
        """Send a datagram, or let it wait for a short time; before it is up it is dropped."""
        if self._transport is None:
            return
        now = self._now()
        is_speech = datagram[:1] in _RTP_AND_RTCP
        (self._speech if is_speech else self._rest).append((now, datagram))
        self._send_waiting(now)

    def close(self) -> None:
        """End it; idempotent."""
        self._end("")

    # -- asyncio.Protocol -----------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Cut the stream into datagrams; one that is none ends the connection."""
        try:
            for datagram in self._deframer.feed(data):
                self._on_datagram(datagram, self.address)
        except FrameError as exc:
            self._lose(f"what the server sends by TCP is no media ({exc})")

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell that the connection ended."""
        self._lose(f"the TCP connection broke: {exc}" if exc else "the server closed TCP")

    def pause_writing(self) -> None:
        """Note that the system takes no more for now."""
        self._is_full = True

    def resume_writing(self) -> None:
        """Send what waits and is not too old."""
        self._is_full = False
        self._send_waiting(self._now())

    # -- the rest -------------------------------------------------------------------------------

    def _send_waiting(self, now: float) -> None:
        """Send what waits, while the network takes it in time; look again soon if it does not."""
        self._drop_old(now)
        while self._next() and not self._is_full and self._transport is not None:
            if self._backlog is not None and self._in_flight.is_late(self._backlog(), now):
                self._look_again()
                return
            frames = b""
            while (queue := self._next()) and len(frames) < ONE_SEGMENT:
                frames += self._framed(queue.popleft()[1])
            if self._backlog is not None:
                self._in_flight.give(len(frames), now)
            self._transport.write(frames)

    def _next(self) -> deque[tuple[float, bytes]]:
        """Return what the next datagram leaves from; empty if nothing waits."""
        return self._speech or self._rest

    def _look_again(self) -> None:
        if self._looking is None:
            self._looking = asyncio.get_running_loop().call_later(LOOK, self._look)

    def _look(self) -> None:
        self._looking = None
        self._send_waiting(self._now())

    def _framed(self, datagram: bytes) -> bytes:
        try:
            return framed(datagram)
        except FrameError as exc:
            self.dropped += 1
            logger.warning("x not sent by TCP: %s", exc)
            return b""

    def _drop_old(self, now: float) -> None:
        for queue in (self._speech, self._rest):
            while queue and (now - queue[0][0] > MOST_WAITING or len(queue) > MOST_QUEUED):
                queue.popleft()
                self.dropped += 1

    def _lose(self, reason: str) -> None:
        if self.state is LinkState.UP:
            self._end(reason)
            self._on_lost(reason)

    def _end(self, trouble: str) -> None:
        if self.state is LinkState.CLOSED:
            return
        self._become(LinkState.CLOSED)
        self.trouble = trouble
        self._speech.clear()
        self._rest.clear()
        if self._looking is not None:
            self._looking.cancel()
        transport, self._transport = self._transport, None
        if transport is not None and self._is_full:
            transport.abort()  # a closing one would wait until the rest is sent, perhaps for ever
        elif transport is not None:
            transport.close()
        if not self.up.done():
            self.up.set_result(False)
        self.ended.set()

    def _explained(self, exc: Exception) -> str:
        if isinstance(exc, TunnelError | RtcVoiceError):
            return str(exc)
        host, port = self.address
        at = f"{bracketed(host)}:{port}"
        why = getattr(exc, "strerror", None) or masked(str(exc)) or type(exc).__name__
        return f"no TCP connection to {at}: {one_line(why)}"

    def _become(self, state: LinkState) -> None:
        self.state = LINK.change(self.state, state, f"TCP to {self.address[0]}")


def _send_at_once(transport: asyncio.Transport) -> Backlog | None:
    """Have each datagram leave at once (TCP_NODELAY), and the system keep little of them.

    Returns what tells how much is under way, where the system does.
    """
    sock = transport.get_extra_info("socket")
    if sock is None or sock.family not in (socket.AF_INET, socket.AF_INET6):
        return None
    with suppress(OSError, TypeError):  # event loops of others may not allow it
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if (low := getattr(socket, "TCP_NOTSENT_LOWAT", None)) is not None:
            sock.setsockopt(socket.IPPROTO_TCP, low, MOST_UNSENT)
    return backlog_of(sock)
