"""HTTP/1.1 to a server that is reached directly: one request at a time, on asyncio's streams.

A call asks for two or three small things. Importing a complete HTTP library takes longer than
asking for them does, so that one serves only what goes through a proxy (see `client.py`). What is
read is bounded everywhere, no redirect is followed, no cookie is kept, and nothing is sent twice.

RFC 9112; a multipart body: RFC 7578.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import NamedTuple, Protocol
from urllib.parse import SplitResult, quote, urlsplit

from rtcvoice.errors import one_line
from rtcvoice.rest.opening import opened
from rtcvoice.system import clock

__all__ = ["Direct", "HttpClient", "HttpError", "Parts", "Response"]

logger = logging.getLogger(__name__)

MOST_LINES = 200
"""Lines of a response's head that are read at most; see also `LARGEST_LINE`."""

CHUNK = 64 << 10
"""Bytes of a body that are read at once."""

Parts = Mapping[str, tuple[None, bytes, str]]
"""What a multipart body is made of: name -> (no file name, content, type)."""

_STATUS = re.compile(rb"HTTP/1\.([01]) (\d{3})(?: |\r?\n)")
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_ODD = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_UNQUOTED = "/%:@!$&'()*+,;=~-._?"


class HttpError(Exception):
    """Nothing usable came back; the message says what was wrong."""

    def __init__(self, message: str, *, by_proxy: bool = False, not_http: bool = False) -> None:
        super().__init__(message)
        self.by_proxy = by_proxy
        """Whether a proxy refused."""
        self.not_http = not_http
        """Whether the other side broke the rules of HTTP."""


class Response(NamedTuple):
    """The head of an answer, and its body while it comes."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: AsyncIterator[bytes]


class HttpClient(Protocol):
    """Sends requests to one host: directly, or by `proxied.py`. Event loop only."""

    @property
    def is_closed(self) -> bool:
        """Whether `aclose` was called."""

    async def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] = {},
        content: bytes = b"",
        files: Parts | None = None,
    ) -> Response:
        """Send a request and return the answer; `finish` comes when enough of it was read.

        Raises HttpError and OSError.
        """

    async def finish(self, response: Response) -> None:
        """Let go of an answer: what was not read of it is not wanted."""

    async def aclose(self) -> None:
        """Close all connections; idempotent."""


class _Connection:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.used_at = 0.0
        self.reusable = False

    @property
    def is_open(self) -> bool:
        """Whether the server has not closed it; what it sent without being asked spoils it."""
        unasked = getattr(self.reader, "_buffer", b"")
        return not (unasked or self.reader.at_eof() or self.writer.is_closing())

    def close(self) -> None:
        """Close it at once."""
        self.writer.transport.abort()


class Direct:
    """An `HttpClient` without a proxy. `headers` are added to every request.

    An idle connection is used again for `keep` seconds, None for as long as the server has it.
    `tcp_timeout` is for connecting, TLS included; the caller has the deadline for all the rest.
    """

    def __init__(
        self,
        *,
        headers: Mapping[str, str],
        tls: ssl.SSLContext | None,
        keep: float | None,
        tcp_timeout: float | None = None,
    ) -> None:
        self._headers = headers
        self._tls, self._keep, self._tcp_timeout = tls, keep, tcp_timeout
        self._idle: list[_Connection] = []
        self._in_use: dict[int, _Connection] = {}
        self._closed = False

    @property
    def is_closed(self) -> bool:
        """Whether `aclose` was called."""
        return self._closed

    async def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] = {},
        content: bytes = b"",
        files: Parts | None = None,
    ) -> Response:
        """Send a request and return the answer; see `HttpClient`."""
        if self._closed:
            raise HttpError("the client is closed")
        parts = urlsplit(url)
        given = {name.lower(): text for name, text in {**self._headers, **headers}.items()}
        if files is not None:
            content, given["content-type"] = _multipart(files)
        message = _head(method, parts, given, len(content)) + content
        connection = self._idle_one() or await self._new_one(parts)
        connection.reusable = False
        try:
            connection.writer.write(message)
            await connection.writer.drain()
            status, answered, lives_on = await _read_head(connection.reader)
        except BaseException:
            connection.close()
            raise
        if method == "HEAD" or status in (204, 304):
            answered["content-length"] = "0"
            answered.pop("transfer-encoding", None)
        response = Response(status, answered, _body(connection, answered, lives_on))
        self._in_use[id(response.body)] = connection
        return response

    async def finish(self, response: Response) -> None:
        """Keep the connection for the next request if the answer was read whole; or close it."""
        connection = self._in_use.pop(id(response.body))
        if response.headers.get("content-length") == "0" and not connection.reusable:
            async for _ in response.body:  # nobody looked at what is empty
                pass
        with suppress(RuntimeError):  # it runs: its reader was cancelled
            await response.body.aclose()  # type: ignore[attr-defined]
        connection.used_at = clock.now()
        if connection.reusable and connection.is_open and not self._closed:
            self._idle.append(connection)
        else:
            connection.close()

    async def aclose(self) -> None:
        """Close all connections; a request that is under way fails."""
        self._closed = True
        connections = (*self._idle, *self._in_use.values())
        self._idle = []
        for connection in connections:
            connection.writer.close()  # says goodbye by TLS, too
        for connection in connections:
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(0.1):
                    await connection.writer.wait_closed()
            connection.close()

    def _idle_one(self) -> _Connection | None:
        while self._idle:
            connection = self._idle.pop()
            fresh = self._keep is None or clock.now() - connection.used_at < self._keep
            if fresh and connection.is_open:
                return connection
            connection.close()
        return None

    async def _new_one(self, parts: SplitResult) -> _Connection:
        host, port = _place(parts)
        try:
            async with asyncio.timeout(self._tcp_timeout) as deadline:
                return _Connection(
                    *await opened(host, port or (443 if self._tls else 80), self._tls)
                )
        except TimeoutError as exc:
            if deadline.expired():
                raise HttpError("the connection is not made in time") from exc
            raise
        except UnicodeError as exc:
            raise HttpError(f"{one_line(host, 80)!r} is no host name") from exc


def _place(parts: SplitResult) -> tuple[str, int | None]:
    """Return host and port. Raises HttpError."""
    try:
        host, port = parts.hostname, parts.port
    except ValueError as exc:
        raise HttpError("the address has no valid port") from exc
    if not host:
        raise HttpError("the address names no host")
    return host, port


def _head(method: str, parts: SplitResult, headers: dict[str, str], length: int) -> bytes:
    """Return the bytes of a request's head. Raises HttpError for what cannot be in one."""
    host, port = _place(parts)
    with suppress(UnicodeError):
        host = host.encode("idna").decode() if not host.isascii() else host
    place = f"[{host}]" if ":" in host else host
    if port is not None and port != {"http": 80, "https": 443}.get(parts.scheme):
        place += f":{port}"
    target = quote(parts.path or "/", safe=_UNQUOTED)
    if parts.query:
        target += "?" + quote(parts.query, safe=_UNQUOTED)
    lines = {"host": place, "accept": "*/*", "connection": "keep-alive", **headers}
    if length or method in ("POST", "PUT", "PATCH"):
        lines["content-length"] = str(length)
    for name, text in lines.items():
        if not _NAME.fullmatch(name) or _ODD.search(text):
            raise HttpError(f"the header {one_line(name, 40)!r} has characters that none may have")
    text = "".join(f"{name.title()}: {text.strip()}\r\n" for name, text in lines.items())
    try:
        return f"{method} {target} HTTP/1.1\r\n{text}\r\n".encode("ascii")
    except UnicodeEncodeError as exc:
        raise HttpError("a header has characters that are not ASCII") from exc


def _multipart(files: Parts) -> tuple[bytes, str]:
    boundary = os.urandom(16).hex()
    body = b"".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n'
        f"Content-Type: {kind}\r\n\r\n".encode()
        + content
        + b"\r\n"
        for name, (_, content, kind) in files.items()
    )
    return body + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


async def _read_head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bool]:
    """Read the head of the final answer: status, headers, whether the connection lives on.

    Interim answers are passed over.
    """
    for _ in range(MOST_LINES):
        first = await _line(reader)
        if not first:
            raise HttpError("the server hangs up without an answer", not_http=True)
        match = _STATUS.match(first)
        if match is None:
            raise HttpError("the answer is not HTTP", not_http=True)
        headers, status = await _headers(reader), int(match[2])
        if status >= 200:
            options = {word.strip() for word in headers.get("connection", "").lower().split(",")}
            lives_on = match[1] == b"1" and "close" not in options
            return status, headers, lives_on
    raise HttpError("there are only interim answers", not_http=True)


async def _headers(reader: asyncio.StreamReader) -> dict[str, str]:
    """Read lines up to the empty one; several of one name are joined."""
    headers: dict[str, str] = {}
    for _ in range(MOST_LINES):
        line = await _line(reader)
        if not line.endswith(b"\n"):
            raise HttpError("the server hangs up in the middle of its answer", not_http=True)
        text = line.decode("latin-1").rstrip("\r\n")
        if not text:
            return headers
        name, colon, value = text.partition(":")
        name = name.lower()
        if not colon or not _NAME.fullmatch(name):
            raise HttpError("the answer has a line that is no header", not_http=True)
        value = value.strip()
        if name == "content-length" and headers.get(name, value) != value:
            raise HttpError("the answer has two lengths", not_http=True)
        headers[name] = (
            value
            if name not in headers or name == "content-length"
            else (f"{headers[name]}, {value}")
        )
    raise HttpError("the answer has too many headers", not_http=True)


async def _line(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readline()
    except ValueError as exc:
        raise HttpError("the answer has a line without an end", not_http=True) from exc


async def _body(
    connection: _Connection, headers: Mapping[str, str], lives_on: bool
) -> AsyncIterator[bytes]:
    """Yield the body as it comes. Once it is read whole, the connection may be used again."""
    reader, length = connection.reader, headers.get("content-length")
    if (coding := headers.get("transfer-encoding")) is not None:
        if coding.lower() != "chunked":
            raise HttpError("the answer is coded in an unknown way", not_http=True)
        while size := _chunk_size(await _line(reader)):
            async for piece in _exactly(reader, size):
                yield piece
            if (await _line(reader)).strip():
                raise HttpError("the answer's chunks are damaged", not_http=True)
        await _headers(reader)
        connection.reusable = lives_on and length is None  # with both, who knows where it ends
    elif length is not None:
        if not (length.isascii() and length.isdecimal() and len(length) < 16):
            raise HttpError("the answer has no valid length", not_http=True)
        async for piece in _exactly(reader, int(length)):
            yield piece
        connection.reusable = lives_on
    else:
        while piece := await reader.read(CHUNK):
            yield piece


def _chunk_size(line: bytes) -> int:
    digits = line.partition(b";")[0].strip()
    if not re.fullmatch(rb"[0-9A-Fa-f]{1,12}", digits):
        raise HttpError("the answer's chunks are damaged", not_http=True)
    return int(digits, 16)


async def _exactly(reader: asyncio.StreamReader, size: int) -> AsyncIterator[bytes]:
    while size:
        piece = await reader.read(min(size, CHUNK))
        if not piece:
            raise HttpError("the server hangs up in the middle of its answer", not_http=True)
        size -= len(piece)
        yield piece
