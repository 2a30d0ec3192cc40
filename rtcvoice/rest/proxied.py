"""HTTP through a proxy, by httpx: CONNECT, SOCKS5, names and passwords; its only importer."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Mapping
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx

from rtcvoice.errors import ConfigError
from rtcvoice.rest.http1 import HttpError, Parts, Response
from rtcvoice.rest.proxies import Proxy

__all__ = ["Proxied"]


class Proxied:
    """An `HttpClient` whose requests go through `proxy`; else as `Direct`.

    Raises ConfigError when the proxy's kind needs a package that is missing; ValueError for one
    that cannot be used.
    """

    def __init__(
        self,
        proxy: Proxy,
        *,
        headers: Mapping[str, str],
        tls: ssl.SSLContext | None,
        keep: float | None,
        tcp_timeout: float | None = None,
    ) -> None:
        try:
            self._http = httpx.AsyncClient(
                headers={**headers},
                verify=tls or False,
                cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),  # none is kept
                timeout=httpx.Timeout(None, connect=tcp_timeout),  # the caller holds a deadline
                proxy=proxy.url,
                limits=httpx.Limits(keepalive_expiry=keep),
                trust_env=False,  # it would read every proxy variable, also those not needed here
            )
        except ImportError as exc:
            raise ConfigError(
                f"the SOCKS proxy of {proxy.named_by} needs the package socksio",
                hint=f'pip install "rtcvoice[socks]", or look at {proxy.named_by}',
            ) from exc
        except httpx.InvalidURL as exc:
            raise ValueError("the proxy is no URL") from exc
        self._answers: dict[int, httpx.Response] = {}

    @property
    def is_closed(self) -> bool:
        """Whether `aclose` was called."""
        return self._http.is_closed

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
        try:
            request = self._http.build_request(
                method, url, headers={**headers}, content=content or None, files=files
            )
            answer = await self._http.send(request, stream=True)
        except (httpx.HTTPError, httpx.InvalidURL) as exc:
            raise _error(exc) from exc
        response = Response(answer.status_code, answer.headers, _body(answer))
        self._answers[id(response.body)] = answer
        return response

    async def finish(self, response: Response) -> None:
        """Let go of an answer; see `HttpClient`."""
        await self._answers.pop(id(response.body)).aclose()

    async def aclose(self) -> None:
        """Close the connections; idempotent."""
        await self._http.aclose()


async def _body(answer: httpx.Response) -> AsyncIterator[bytes]:
    try:
        async for piece in answer.aiter_raw():
            yield piece
    except httpx.HTTPError as exc:
        raise _error(exc) from exc


def _error(exc: Exception) -> HttpError:
    return HttpError(
        str(exc) or type(exc).__name__,
        by_proxy=isinstance(exc, httpx.ProxyError),
        not_http=isinstance(exc, httpx.RemoteProtocolError),
    )
