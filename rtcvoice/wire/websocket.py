"""The WebSocket of a call that does not go over WebRTC: text both ways, bounded, and a pulse.

The one module that knows the `websockets` package. No redirect is followed, for the key goes only
where it was meant to go; nothing is compressed; the library logs nothing, since its logs hold the
key. There are no deadlines for connecting: the caller holds one for everything.

What waits for a slow network is in `outbox.py`. Little is given to the system's own buffers, where
nothing could be dropped any more.

RFC 6455; https://platform.openai.com/docs/guides/realtime-websocket
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple, cast

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidStatus,
    WebSocketException,
)
from websockets.uri import parse_uri

from rtcvoice.errors import TransportError, one_line
from rtcvoice.rest.tunnels import Dialled
from rtcvoice.stats import TransportStats
from rtcvoice.system import clock
from rtcvoice.wire.lost import ConnectionLost, LostBy
from rtcvoice.wire.outbox import LARGEST_SENT, Outbox

__all__ = ["LARGEST_MESSAGE", "PULSE", "UpgradeFailed", "WebSocketTransport"]

logger = logging.getLogger(__name__)

LARGEST_MESSAGE = 16 << 20
"""Bytes of a message of the server's; a larger one ends the call."""

PULSE = 2.0
"""Seconds between two pings at most: their answers tell that the server is there, and how far
away."""

CLOSE_TIMEOUT = 1.0
"""Seconds that the server gets to take part in closing."""

_WRITE_LIMIT = 16 << 10
"""Bytes in asyncio's buffer, and unsent in the system's, before sending waits: 1/4 s of audio."""

MOST_FRAGMENTS = 4096
"""Pieces of one message, however small: each takes memory of its own, also an empty one."""

MOST_UNSENT = 64 << 20
"""Bytes that wait for a server which does not read. Events are bounded before (`outbox.py`), so
they are answers to its pings: more of them end the call."""

_FRAMES = 8
"""Messages that are read ahead."""

_LOST_BY = {  # RFC 6455 §7.4.1 and the IANA registry; any other is an end that somebody wanted
    1001: LostBy.GOING_AWAY,
    **dict.fromkeys((1005, 1006, 1011, 1012, 1013, 1014, 1015), LostBy.BROKEN),
}

_NOT_OPEN = "the WebSocket is not open"

_silent = logging.Logger("silent")  # noqa: LOG001  (nobody's settings can make it speak)
_silent.disabled = True


class UpgradeFailed(Exception):  # noqa: N818  (it is turned into one of ours at once)
    """The WebSocket did not open. `status` is 0 where no HTTP answer came; then see `__cause__`."""

    def __init__(
        self,
        why: str,
        *,
        status: int = 0,
        headers: Mapping[str, str] = {},
        body: bytes = b"",
    ) -> None:
        super().__init__(why)
        self.status = status
        self.headers = headers
        self.body = body


class _TooManyFragmentsError(Exception):
    """A message never ends."""


class Closed(NamedTuple):
    """How the server closed; 1005 and 1006 where it did not say."""

    code: int
    reason: str


class _Connection(ClientConnection):
    """Tells of all that arrives, also of a part of a long message.

    The package answers each ping at once, whether or not the answers leave.
    """

    on_data: Callable[[int], None] = staticmethod(lambda size: None)
    _has_begun = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._has_begun = True
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._has_begun:  # TLS through a proxy may have failed before: uvloop tells of that
            super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self.on_data(len(data))
        super().data_received(data)
        refused = self.protocol.handshake_exc is not None  # the package waits for the server's end
        if refused or self.transport.get_write_buffer_size() > MOST_UNSENT:
            self.transport.abort()


class _Connect(connect):
    """Opens a WebSocket; over `through`, where there is a connection to the server already."""

    def __init__(self, url: str, *, through: Dialled | None, **options: Any) -> None:
        super().__init__(url, **options)
        self._url = url
        self._through = through

    async def create_connection(self) -> ClientConnection:
        if self._through is None:
            return await super().create_connection()
        address = parse_uri(self._url)
        connection = self.protocol_factory(address)
        transport = cast(asyncio.Transport, self._through.writer.transport)
        transport.set_protocol(connection)
        if address.secure:
            tls: ssl.SSLContext = self.connection_kwargs["ssl"]
            made = await asyncio.get_running_loop().start_tls(
                transport, connection, tls, server_hostname=address.host
            )
            assert made is not None
            transport = made
        connection.connection_made(transport)
        return connection

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


class WebSocketTransport:
    """One single-use connection.

    `on_text` gets every message, `on_lost` one call with the reason when the established connection
    ends; both run on the event loop and must not raise. `headers` hold the key.
    pulse: seconds between two pings; a server that says nothing else is heard as often.
    """

    def __init__(
        self,
        url: str,
        *,
        headers: Mapping[str, str],
        tls: ssl.SSLContext | None,
        pulse: float = PULSE,
        on_text: Callable[[str], None],
        on_lost: Callable[[TransportError], None],
    ) -> None:
        self._url = url
        self._headers = headers
        self._tls = tls
        self._pulse_interval = pulse
        self._through: Dialled | None = None  # its writer would close it when it is forgotten
        self._on_text = on_text
        self._on_lost = on_lost
        self.heard_at = clock.now()
        """When the server was last heard, in seconds of `clock.now()`."""
        self.round_trip = 0.0
        """Seconds that the latest ping took; 0 before the first."""
        self.closed: Closed | None = None
        """How the server ended it; None while it did not."""
        self._socket: ClientConnection | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._outbox = Outbox()
        self._messages_received = self._bytes_received = 0
        self._closing: asyncio.Task[None] | None = None

    async def connect(self, through: Dialled | None = None) -> None:
        """Open it. Raises UpgradeFailed; what was made is closed then, also when cancelled.

        through: a connection to the server that is open already; it is taken over.
        """
        self._through = through
        try:
            await self._open(through)
        except BaseException:
            if through is not None:
                through.writer.transport.abort()
            raise

    async def _open(self, through: Dialled | None) -> None:
        options: dict[str, Any] = {} if self._tls is None else {"ssl": self._tls}
        try:
            opened = await _Connect(
                self._url,
                through=through,
                additional_headers=self._headers,
                user_agent_header="rtcvoice",
                proxy=None,
                compression=None,
                open_timeout=None,
                ping_interval=None,
                close_timeout=CLOSE_TIMEOUT,
                max_size=LARGEST_MESSAGE,
                max_queue=_FRAMES,
                write_limit=_WRITE_LIMIT,
                logger=_silent,
                create_connection=_Connection,
                **options,
            )
        except InvalidStatus as exc:
            answer = exc.response
            headers = {name.lower(): text for name, text in answer.headers.raw_items()}
            raise UpgradeFailed(
                str(exc), status=answer.status_code, headers=headers, body=answer.body or b""
            ) from exc
        except (OSError, EOFError, ValueError, WebSocketException) as exc:
            raise UpgradeFailed(_told(exc)) from exc
        assert isinstance(opened, _Connection)
        opened.on_data = self._heard
        self._socket = opened
        self._shorten_buffers(opened)
        self.heard_at = clock.now()
        self._tasks = [
            asyncio.create_task(work, name=f"rtcvoice websocket {what}")
            for what, work in (
                ("reading", self._read(opened)),
                ("writing", self._write(opened)),
                ("pulse", self._pulse(opened)),
            )
        ]

    @property
    def stats(self) -> TransportStats:
        """What has arrived so far."""
        return TransportStats(
            packets_received=self._messages_received,
            bytes_received=self._bytes_received,
            packets_discarded_on_send=self._outbox.audio_dropped,
            route="websocket" if self._socket is not None else "",
            via="direct" if self._through is None else self._through.via,
        )

    @property
    def local_address(self) -> str:
        """The address of this machine that it goes from; empty while there is none."""
        if self._socket is None:
            return ""
        name = self._socket.transport.get_extra_info("sockname")
        return str(name[0]) if name else ""

    @property
    def max_message_size(self) -> int:
        """Largest message in bytes that the server accepts."""
        return LARGEST_SENT

    @property
    def progress(self) -> tuple[int, int]:
        """Bytes of all text given to `send_text`, and those of them that have left."""
        return self._outbox.progress

    def send_text(self, text: str) -> None:
        """Send one event.

        Raises TransportError(stage=send) when the socket is not open, when the event is larger than
        the server accepts, or when too many wait: nothing is sent then.
        """
        if self._socket is None or self.closed is not None or self._closing is not None:
            what = "the server closed the WebSocket" if self.closed is not None else _NOT_OPEN
            raise TransportError(what, stage="send")
        self._outbox.put(text)

    def send_audio(self, text: str) -> None:
        """Send an event with audio. FULL: the oldest that waits is dropped and counted."""
        if self._socket is not None and self.closed is None:
            self._outbox.put_audio(text)

    # -- the tasks ------------------------------------------------------------------------------

    async def _read(self, opened: ClientConnection) -> None:
        try:
            while True:
                parts: list[str] = []
                async for part in opened.recv_streaming(decode=True):
                    if len(parts) >= MOST_FRAGMENTS:
                        raise _TooManyFragmentsError
                    parts.append(part)
                self._messages_received += 1
                self._on_text("".join(parts))
        except ConnectionClosed as exc:
            self._ended(exc)
        except _TooManyFragmentsError:
            text = f"the server sent a message in more than {MOST_FRAGMENTS} pieces"
            self._lose(ConnectionLost(text, by=LostBy.UNUSABLE), 1009)

    async def _write(self, opened: ClientConnection) -> None:
        with suppress(ConnectionClosed):  # the reading side tells of it
            while True:
                await opened.send(await self._outbox.next())
                self._outbox.left()

    async def _pulse(self, opened: ClientConnection) -> None:
        with suppress(ConnectionClosed):
            while True:
                self.round_trip = await (await opened.ping())
                await asyncio.sleep(self._pulse_interval)

    async def check(self) -> None:
        """Ask the server whether it is there; `heard_at` tells of its answer. Never raises."""
        if self._socket is not None:
            with suppress(ConnectionClosed):
                await self._socket.ping()

    def _heard(self, size: int) -> None:
        self.heard_at = clock.now()
        self._bytes_received += size

    def _ended(self, exc: ConnectionClosed) -> None:
        if exc.rcvd is not None:
            code, reason = exc.rcvd.code, one_line(exc.rcvd.reason, 200)
        elif exc.sent is not None and exc.sent.code != 1000:  # what it sent was not acceptable
            code, reason = exc.sent.code, one_line(exc.sent.reason, 200)
        else:
            code, reason = 1006, ""
        by = _LOST_BY.get(code, LostBy.CHANNEL_CLOSED)
        if code == 1006:
            text = "the connection to the server broke"
        elif exc.rcvd is None:
            text, by = f"what the server sent cannot be read (close code {code})", LostBy.UNUSABLE
        else:
            text = f"the server closed the WebSocket (code {code})"
        text += f": {reason}" if reason else ""
        self._lose(ConnectionLost(text, by=by), code, reason)

    def _lose(self, error: TransportError, code: int, reason: str = "") -> None:
        if self.closed is None and self._closing is None:
            self.closed = Closed(code, reason)
            self._on_lost(error)

    @staticmethod
    def _shorten_buffers(opened: ClientConnection) -> None:
        own: Any = opened.transport.get_extra_info("socket")
        option = getattr(socket, "TCP_NOTSENT_LOWAT", None)
        if own is not None and option is not None:
            with suppress(OSError):
                own.setsockopt(socket.IPPROTO_TCP, option, _WRITE_LIMIT)

    # -- the end --------------------------------------------------------------------------------

    async def aclose(self) -> None:
        """Close the connection; idempotent, never raises, at most about CLOSE_TIMEOUT seconds.

        Safe to cancel: the closing goes on, and a later `aclose()` waits for the same one.
        """
        if self._closing is None:
            self._closing = asyncio.create_task(self._close(), name="rtcvoice websocket close")
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        reading = self._tasks[:1]
        for task in self._tasks[1:]:
            task.cancel()
        if self._socket is not None:
            with suppress(OSError, WebSocketException, TimeoutError):
                async with asyncio.timeout(2 * CLOSE_TIMEOUT):
                    await self._socket.close()
            self._socket.transport.abort()
        for task in reading:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._outbox.clear()


def _told(exc: Exception) -> str:
    """Return what went wrong before the upgrade; it holds nothing of the request."""
    if isinstance(exc, InvalidHandshake) and exc.__cause__ is not None:
        exc = exc.__cause__ if isinstance(exc.__cause__, Exception) else exc
    return one_line(str(exc) or type(exc).__name__, 200)
