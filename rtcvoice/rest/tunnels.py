"""TCP connections to anywhere: directly, or through an HTTP proxy (CONNECT) or a SOCKS5 proxy.

HTTP requests find their own way (`client.py`); this is for what else goes over TCP. Whose words an
error repeats is never said without cleaning, and no error holds a proxy's password.

CONNECT: RFC 9110 §9.3.6; SOCKS5: RFC 1928, with user name and password RFC 1929.
"""

from __future__ import annotations

import asyncio
import base64
import ipaddress
import re
import ssl
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

from rtcvoice.errors import one_line
from rtcvoice.rest.proxies import Proxy
from rtcvoice.system.hosts import bracketed

__all__ = ["Dialled", "TunnelError", "dial"]

LARGEST_HEAD = 16 << 10
"""Bytes of a proxy's answer that are read at most."""

_PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})([^\r\n]*)")
_SOCKS_REFUSALS = {
    1: "it failed",
    2: "its rules do not allow it",
    3: "the network cannot be reached from there",
    4: "the host cannot be reached from there",
    5: "the connection was refused",
    6: "it took too long",
    7: "it does not do this",
    8: "it does not know this kind of address",
}


class TunnelError(ConnectionError):
    """A proxy does not let us through; the message says why, without its password.

    `status` is that of its HTTP answer, 0 where there is none.
    """

    def __init__(self, message: str, *, hint: str = "", status: int = 0) -> None:
        super().__init__(message)
        self.hint = hint
        self.status = status


class Dialled(NamedTuple):
    """A connection that is open."""

    writer: asyncio.StreamWriter
    """Its transport carries bytes both ways from now on."""
    via: str
    """How it goes: direct, http-proxy or socks5."""


async def dial(
    host: str, port: int, *, proxy: Proxy | None, tls: Callable[[], ssl.SSLContext]
) -> Dialled:
    """Connect to an address or a host; `tls` makes the context for a proxy that is itself https.

    Raises OSError, of which `TunnelError` tells what a proxy said. Cancelled, it leaves nothing.
    """
    if proxy is None:
        _, writer = await asyncio.open_connection(host, port)
        return Dialled(writer, "direct")
    parts = urlsplit(proxy.url)
    if parts.scheme not in _PORTS or not parts.hostname:
        raise TunnelError(
            f"media cannot go through the proxy of {proxy.named_by}",
            hint=f"correct {proxy.named_by}: it must begin with http://, https:// or socks5://",
        )
    try:
        reader, writer = await asyncio.open_connection(
            parts.hostname,
            parts.port or _PORTS[parts.scheme],
            ssl=tls() if parts.scheme == "https" else None,
            limit=LARGEST_HEAD,
        )
    except OSError as exc:
        raise TunnelError(
            f"the proxy {proxy.place} cannot be reached: {exc.strerror or exc}",
            hint=f"check {proxy.named_by}",
        ) from exc
    ask = _connect if parts.scheme.startswith("http") else _socks5
    try:
        await ask(reader, writer, _Request(proxy, parts, host, port))
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as exc:
        writer.transport.abort()
        raise TunnelError(
            f"the proxy {proxy.place} does not answer as a proxy of its kind does",
            hint=f"check {proxy.named_by}: is it {parts.scheme}://?",
        ) from exc
    except OSError as exc:
        writer.transport.abort()
        if isinstance(exc, TunnelError):
            raise
        raise TunnelError(
            f"the proxy {proxy.place} hangs up: {exc.strerror or exc}",
            hint=f"check {proxy.named_by}",
        ) from exc
    except BaseException:
        writer.transport.abort()
        raise
    return Dialled(writer, "http-proxy" if ask is _connect else "socks5")


class _Request(NamedTuple):
    proxy: Proxy
    parts: SplitResult
    host: str
    port: int

    @property
    def user(self) -> bytes:
        return unquote(self.parts.username or "").encode()

    @property
    def password(self) -> bytes:
        return unquote(self.parts.password or "").encode()

    @property
    def target(self) -> str:
        return f"{bracketed(self.host)}:{self.port}"

    @property
    def socks_address(self) -> bytes:
        """The host as SOCKS5 has it, with its kind; a name is looked up by the proxy."""
        try:
            address = ipaddress.ip_address(self.host)
        except ValueError:
            try:
                name = self.host.encode("idna")[:255]
            except UnicodeError as exc:
                raise self.refused("this is no name of a host", "correct the address") from exc
            return b"\x03" + bytes([len(name)]) + name
        return (b"\x01" if address.version == 4 else b"\x04") + address.packed

    def refused(self, why: str, hint: str, status: int = 0) -> TunnelError:
        what = f"the proxy {self.proxy.place} does not connect to {self.target}: {why}"
        return TunnelError(what, hint=hint, status=status)


async def _connect(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: _Request
) -> None:
    lines = [f"CONNECT {request.target} HTTP/1.1", f"Host: {request.target}"]
    if request.user or request.password:
        secret = base64.b64encode(request.user + b":" + request.password).decode()
        lines.append(f"Proxy-Authorization: Basic {secret}")
    writer.write("".join(f"{line}\r\n" for line in [*lines, ""]).encode())
    head = await reader.readuntil(b"\r\n\r\n")
    status = _STATUS.match(head)
    if status is None:
        raise request.refused("it does not speak HTTP", f"check {request.proxy.named_by}")
    if status[1].startswith(b"2"):
        return
    said = one_line(status[1].decode() + status[2].decode("utf-8", "replace"), 80)
    if status[1] == b"407":
        raise request.refused(
            f"it wants a user name and password ({said})",
            f"put them into {request.proxy.named_by}, as in http://name:password@proxy:3128",
            407,
        )
    raise request.refused(said, _ask_for(request.port), int(status[1]))


async def _socks5(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: _Request
) -> None:
    user, password = request.user[:255], request.password[:255]
    writer.write(b"\x05\x02\x00\x02" if user else b"\x05\x01\x00")
    version, method = await reader.readexactly(2)
    if version != 5:
        raise request.refused("it does not speak SOCKS5", f"check {request.proxy.named_by}")
    if method == 2 and user:
        writer.write(b"\x01" + bytes([len(user)]) + user + bytes([len(password)]) + password)
        if (await reader.readexactly(2))[1]:
            raise request.refused(
                "it refuses the user name or password", f"check {request.proxy.named_by}"
            )
    elif method:
        raise request.refused(
            "it wants to know who we are",
            f"put name and password into {request.proxy.named_by}: socks5://name:password@...",
        )
    writer.write(b"\x05\x01\x00" + request.socks_address + request.port.to_bytes(2, "big"))
    _, code, _, bound = await reader.readexactly(4)
    if code:
        raise request.refused(_SOCKS_REFUSALS.get(code, f"code {code}"), _ask_for(request.port))
    size = {1: 4, 4: 16}.get(bound) or (await reader.readexactly(1))[0]
    await reader.readexactly(size + 2)


def _ask_for(port: int) -> str:
    return f"have the proxy's administrator allow TCP port {port}"
