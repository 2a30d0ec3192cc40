"""HTTP as calls need it: one client, bodies bounded, every failure a `SignalingError` with a cure.

No answer is read beyond a limit and no redirect is followed: a key goes only where it was sent to.
The caller holds one deadline for all of connecting; `tcp_timeout`, in seconds, is for those who
would rather try again than wait for a connection. The TLS context is made once per process, since
building one costs more than the requests. Proxies and CA files come from the environment (see
`rest/proxies.py`; SSL_CERT_FILE, SSL_CERT_DIR) or as options.
"""

from __future__ import annotations

import errno
import functools
import logging
import os
import socket
import ssl
import zlib
from collections.abc import Mapping
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from rtcvoice.errors import ConfigError, SignalingError, one_line
from rtcvoice.masking import masked
from rtcvoice.rest.addresses import is_loopback
from rtcvoice.rest.answers import STATUS_HINTS, HttpAnswer, refused
from rtcvoice.rest.proxies import OPTION, Proxy, proxy_for
from rtcvoice.system.emulators import note_server
from rtcvoice.system.environment import environment
from rtcvoice.system.extras import install_extra

__all__ = ["BODY_LIMIT", "Rest", "tls_context", "why"]

logger = logging.getLogger(__name__)

BODY_LIMIT = 1 << 20
"""Bytes of an answer that are read; a session with many tools and its token stays far below."""

_LEFT = httpx.Limits(keepalive_expiry=5.0)
_KEPT = httpx.Limits(keepalive_expiry=None)
"""An idle connection is left after seconds: servers close theirs, and may do so while we send."""

_GZIP_OR_ZLIB = 47
"""For zlib's `wbits`: it looks for itself which of the two it is."""

_OWN_CA = "ca_file= (--ca-file) or SSL_CERT_FILE can name your own CA"
_CERTIFICATE = {  # X509_V_ERR_* of OpenSSL
    9: ("is not valid yet", "is this machine's clock right?"),
    10: ("has expired", "is this machine's clock right? if so, only the server can mend it"),
    62: ("is for another host name", "is the host name right?"),
    64: ("is for another address", "use the host name that the certificate was made for"),
}
_STRICT = range(80, 94)
"""X509_V_ERR_* that only a verification by the letter of RFC 5280 finds; see `_STRICT_HINT`."""

_STRICT_HINT = (
    "Python 3.13 holds certificates, also those of ca_file=, to every rule of RFC 5280: have them"
    " made again with what is missing, or use Python 3.12"
)


MOST_HOSTS = 100
_unencrypted: set[str] = set()
"""Hosts of which it was told: each attempt to connect again, and each of many calls, asks anew."""


def _tell_unencrypted(host: str) -> None:
    """Warn once in a process, for each of the first hosts."""
    if host in _unencrypted:
        return
    if len(_unencrypted) < MOST_HOSTS:
        _unencrypted.add(host)
    logger.warning("x keys and tokens travel unencrypted to %s", host)


class Rest:
    """An HTTP client for `base_url`'s host; close it with `aclose()`.

    `proxy` and `ca_file` are those of `rtcvoice.connect`. Raises ConfigError when they, or their
    counterparts in the environment, cannot be used.
    """

    def __init__(
        self,
        base_url: str,
        *,
        headers: Mapping[str, str] = {},
        proxy: str | None = None,
        ca_file: str | os.PathLike[str] | None = None,
        keep_connection: bool = False,
        tcp_timeout: float | None = None,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        secure = urlsplit(base_url).scheme == "https"
        if not secure and not is_loopback(base_url):
            _tell_unencrypted(urlsplit(base_url).netloc)
        self._proxy = _proxy(base_url, proxy)
        verify = tls_context(ca_file) if secure else False
        try:
            self._http = httpx.AsyncClient(
                headers={"User-Agent": "rtcvoice", "Accept-Encoding": "identity", **headers},
                verify=verify,
                cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),  # none is kept
                timeout=httpx.Timeout(None, connect=tcp_timeout),  # the caller holds a deadline
                proxy=self._proxy and self._proxy.url,
                limits=_KEPT if keep_connection else _LEFT,
                trust_env=False,  # it would read every proxy variable, also those not needed here
            )
        except ImportError as exc:
            named_by = self._proxy.named_by if self._proxy else OPTION
            raise ConfigError(
                f"the SOCKS proxy of {named_by} needs the package socksio",
                hint=f"{install_extra('socks')}, or look at {named_by}",
            ) from exc
        except (ValueError, httpx.InvalidURL):
            raise _bad_proxy(self._proxy.named_by if self._proxy else OPTION) from None

    async def request(
        self, method: str, url: str, doing: str, *, secrets: tuple[str, ...], **request: Any
    ) -> HttpAnswer:
        """Send a request and return the answer whole; raises SignalingError unless it is a 2xx.

        `doing` begins the error's message; `secrets` are taken out of it.
        """
        try:
            async with self._http.stream(method, url, **request) as response:
                body = await _read(response)
        except (httpx.HTTPError, httpx.InvalidURL) as exc:
            raise self._unreachable(url, doing, one_line(masked(str(exc), *secrets)), exc) from exc
        note_server(url, response.headers.get("server", ""))
        reply = HttpAnswer(response.status_code, response.headers, body)
        logger.debug("< %s %d %s", urlsplit(url).path, reply.status, reply.request_id)
        if not 200 <= reply.status < 300:
            raise refused(reply, doing, secrets, host=urlsplit(url).hostname or "")
        if len(body) > BODY_LIMIT:
            raise SignalingError(
                f"{doing} failed: the server's answer is larger than {BODY_LIMIT} bytes",
                status=reply.status,
                request_id=reply.request_id,
                hint="is base_url the address of a Realtime API?",
            )
        return reply

    async def keep_alive(self) -> None:
        """Open a connection, or keep one from being closed as idle; failures are only logged."""
        try:
            async with self._http.stream("HEAD", self.base_url):
                pass
        except httpx.HTTPError as exc:
            logger.debug("x keeping the connection: %s", type(exc).__name__)

    async def aclose(self) -> None:
        """Close the HTTP connections; idempotent."""
        await self._http.aclose()

    def _unreachable(self, url: str, doing: str, text: str, exc: Exception) -> SignalingError:
        host = urlsplit(url).netloc.rpartition("@")[2]
        cause, hint = why(exc, text, url)
        if self._proxy is not None:
            hint = f"requests go through the proxy {self._proxy.place}: is it right? {hint}"
        return SignalingError(f"{doing} failed: cannot talk to {host}: {cause}", hint=hint)


def _proxy(url: str, option: str | None) -> Proxy | None:
    """Return the proxy for `url`. Raises ConfigError, which names the setting, for an odd one."""
    if option is not None and not (isinstance(option, str) and "://" in option):
        raise _bad_proxy(OPTION)
    proxy = proxy_for(url, option)
    if proxy is not None and not _has_host(proxy.url):
        raise _bad_proxy(proxy.named_by)
    return proxy


def _has_host(url: str) -> bool:
    try:
        return bool(urlsplit(url).hostname)
    except ValueError:
        return False


def _bad_proxy(named_by: str) -> ConfigError:
    # What it is, or what a parser says of it, may hold a password.
    return ConfigError(
        f"the proxy of {named_by} cannot be used",
        hint=f"correct {named_by}: it must begin with http://, https:// or socks5://",
    )


def tls_context(ca_file: str | os.PathLike[str] | None = None) -> ssl.SSLContext:
    """Return the context for TLS connections; `ca_file`'s certificates are trusted in addition.

    The first time takes longer than a request: `call/connecting.py` does it in a thread.

    Raises ConfigError when the file, or what the environment names, is not a CA certificate in PEM.
    """
    if ca_file is None:
        return _default_context()
    try:
        return _context_with(os.fspath(ca_file), Path(ca_file).stat().st_mtime_ns)
    except ConfigError:  # of the environment's certificates
        raise
    except (OSError, ValueError) as exc:  # ssl.SSLError is an OSError
        cause = "no certificate in PEM" if isinstance(exc, ssl.SSLError) else _cause(exc)
        raise ConfigError(
            f"ca_file {str(ca_file)!r} cannot be used: {cause}",
            hint="give a file with your CA's certificate (-----BEGIN CERTIFICATE-----)",
        ) from exc


def _named_by(exc: Exception) -> str:
    """Return the variable whose file it was; OpenSSL writes its keys where SSLKEYLOGFILE says."""
    log = environment("SSLKEYLOGFILE")
    if log and getattr(exc, "filename", None) == log:
        return "SSLKEYLOGFILE: it has to name a file that can be written"
    return "SSL_CERT_FILE and SSL_CERT_DIR"


def _cause(exc: Exception) -> str:
    return getattr(exc, "strerror", None) or str(exc)


@functools.cache
def _default_context() -> ssl.SSLContext:
    return _new_context()


def _new_context() -> ssl.SSLContext:
    try:
        return httpx.create_ssl_context()
    except (OSError, ValueError) as exc:
        raise ConfigError(
            f"the certificates to trust cannot be read: {exc}",
            hint=f"look at {_named_by(exc)}",
        ) from exc


@functools.lru_cache(maxsize=4)
def _context_with(ca_file: str, modified: int) -> ssl.SSLContext:
    context = _new_context()
    context.load_verify_locations(ca_file)
    return context


async def _read(response: httpx.Response) -> bytes:
    """Read the body, but stop soon after BODY_LIMIT: an endless one ends here.

    A compressed one was not asked for, but gateways do what they like. It is unpacked step by step,
    so that a small answer cannot become a large one in memory.
    """
    coding = response.headers.get("content-encoding", "identity").strip().lower()
    unpack = None
    if coding in ("gzip", "x-gzip", "deflate"):
        unpack = zlib.decompressobj(wbits=_GZIP_OR_ZLIB)
    elif coding not in ("", "identity"):
        raise httpx.DecodingError(f"the answer is compressed by {one_line(coding, 40)}")
    body = bytearray()
    async for chunk in response.aiter_raw():
        try:
            body += unpack.decompress(chunk, BODY_LIMIT + 1 - len(body)) if unpack else chunk
        except zlib.error as exc:
            raise httpx.DecodingError("the answer is compressed, and damaged") from exc
        if len(body) > BODY_LIMIT:
            break
    return bytes(body)


def why(exc: Exception, text: str, url: str) -> tuple[str, str]:
    """Return why nothing came back, and what to do about it."""
    parts = urlsplit(url)
    for error in _chain(exc):
        if isinstance(error, ssl.SSLCertVerificationError):
            if error.verify_code in _STRICT:
                return f"its certificate is not trusted: {error.verify_message}", _STRICT_HINT
            what, cure = _CERTIFICATE.get(error.verify_code, ("is not trusted", _OWN_CA))
            return f"its certificate {what}: {error.verify_message}", cure
        if isinstance(error, ssl.SSLError):
            if error.reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"):
                return "it does not speak TLS there", "is the port right? or is it http:// there?"
            reason = error.reason or text
            return f"TLS failed: {reason}", "a proxy or firewall may break the encryption"
        if isinstance(error, socket.gaierror):
            return f"there is no such host ({error.strerror})", "check its spelling, and the DNS"
        if isinstance(error, OSError) and error.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH):
            return f"{error.strerror}", "is this machine online?"
        if isinstance(error, ConnectionRefusedError):
            text = "nothing listens there (connection refused)"
    if is_loopback(url):
        served = "realtime" in parts.path or parts.path.endswith("/v1")
        what = "emulator" if served else "token-server"
        name = what.replace("-", " ")
        return text or type(exc).__name__, (
            f"is the {name} running? start one with: python -m rtcvoice {what}"
        )
    if isinstance(exc, httpx.ProxyError) and text.startswith("407"):
        return text, STATUS_HINTS[407]
    if isinstance(exc, httpx.RemoteProtocolError) and parts.scheme == "http":
        return text, "is it https:// there?"
    return text or type(exc).__name__, f"is {parts.netloc} right, and does the network reach it?"


def _chain(exc: BaseException | None) -> list[BaseException]:
    """Return an exception and what caused it, attempts at several addresses included."""
    found: list[BaseException] = []
    while exc is not None and len(found) < 20:
        found.append(exc)
        if isinstance(exc, BaseExceptionGroup):
            found += exc.exceptions
        exc = exc.__cause__ or exc.__context__
    return found
