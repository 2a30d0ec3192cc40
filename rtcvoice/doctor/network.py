"""Looks at the way to the server, without a key: name, encryption, HTTP, STUN and TURN servers."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

from rtcvoice.config.call_config import CallConfig
from rtcvoice.doctor.finding import Finding, Severity, of_error
from rtcvoice.errors import RtcVoiceError, SignalingError
from rtcvoice.rest.client import Rest, tls_context, why
from rtcvoice.rest.ice_servers import GatheringResult, IceSettings
from rtcvoice.rest.proxies import proxy_for
from rtcvoice.system.hosts import is_ip_address

__all__ = ["look_at_network"]

CHECK_TIMEOUT = 5.0
"""Seconds for each step."""


async def look_at_network(config: CallConfig) -> AsyncIterator[Finding]:
    """Look at what is between this machine and the server of `config`."""
    url = urlsplit(config.base_url)
    proxy = proxy_for(config.base_url, config.proxy)
    via = f", through the proxy {proxy.place} ({proxy.named_by})" if proxy else ""
    yield Finding("server", Severity.OK, f"{config.base_url}{via}")
    reached = True
    if not proxy:  # which would look the name up itself
        if not is_ip_address(url.hostname or ""):
            name = await _name(url.hostname or "")
            yield name
            reached = name.level is Severity.OK
        if reached and url.scheme == "https":
            tls = await _tls(config, url.hostname or "", url.port or 443)
            yield tls
            reached = tls.level is Severity.OK
    if reached:
        yield await _http(config)
    async for finding in _ice_servers(config):
        yield finding


async def _name(host: str) -> Finding:
    begun = time.monotonic()
    try:
        async with asyncio.timeout(CHECK_TIMEOUT):
            found = await asyncio.get_running_loop().getaddrinfo(
                host, None, type=socket.SOCK_STREAM
            )
    except TimeoutError:
        return Finding("dns", Severity.FAIL, f"no answer about {host}", "is this machine online?")
    except (OSError, UnicodeError) as exc:
        what = f"there is no host {host} ({getattr(exc, 'strerror', None) or exc})"
        return Finding("dns", Severity.FAIL, what, "check base_url; is this machine online?")
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    more = f" and {len(addresses) - 2} more" if len(addresses) > 2 else ""
    return Finding("dns", Severity.OK, f"{host} is {', '.join(addresses[:2])}{more}{_took(begun)}")


async def _tls(config: CallConfig, host: str, port: int) -> Finding:
    begun = time.monotonic()
    try:
        async with asyncio.timeout(CHECK_TIMEOUT):
            _, writer = await asyncio.open_connection(host, port, ssl=tls_context(config.ca_file))
    except TimeoutError:
        cure = "a firewall may block it: a proxy (HTTPS_PROXY) may be the way"
        return Finding("tls", Severity.FAIL, f"{host}:{port} does not answer", cure)
    except RtcVoiceError as exc:
        return of_error("tls", exc)
    except OSError as exc:
        cause, cure = why(exc, getattr(exc, "strerror", None) or str(exc), config.base_url)
        return Finding("tls", Severity.FAIL, cause, cure)
    secured: ssl.SSLObject = writer.get_extra_info("ssl_object")
    issuer = dict(pair[0] for pair in (secured.getpeercert() or {}).get("issuer", ()))  # type: ignore[misc]
    by = issuer.get("organizationName") or issuer.get("commonName") or "nobody named"
    writer.close()
    return Finding("tls", Severity.OK, f"{secured.version()}, certificate by {by}{_took(begun)}")


async def _http(config: CallConfig) -> Finding:
    """Ask without a key: being refused is the right answer."""
    begun = time.monotonic()
    doing = "asking without a key"
    rest: Rest | None = None
    try:
        rest = Rest(config.base_url, proxy=config.proxy, ca_file=config.ca_file)
        url = f"{rest.base_url}/realtime/client_secrets"
        async with asyncio.timeout(CHECK_TIMEOUT):
            await rest.request("POST", url, doing, secrets=(), content=b"{}")
    except TimeoutError:
        return Finding(
            "http", Severity.FAIL, "no answer", "check base_url, the proxy, the firewall"
        )
    except SignalingError as exc:
        if exc.status in (400, 401, 403):
            return Finding("http", Severity.OK, f"a Realtime API answers{_took(begun)}")
        return of_error("http", exc)
    except RtcVoiceError as exc:
        return of_error("http", exc)
    finally:
        if rest is not None:
            await rest.aclose()
    what = "something answers that asks for no key"
    return Finding("http", Severity.WARN, what, "is base_url right? or is it a Wi-Fi login page?")


async def _ice_servers(config: CallConfig) -> AsyncIterator[Finding]:
    if not config.ice_servers:
        return
    from rtcvoice.wire import _aioice  # late: it takes aiortc along

    settings = IceSettings(
        servers=config.ice_servers,  # type: ignore[arg-type]  # checked when the config was made
        tls=lambda: tls_context(config.ca_file),
    )
    await _aioice.try_servers(settings)
    for asked in settings.asked:
        yield _server(asked, needed=config.ice_transport_policy == "relay")


def _server(asked: GatheringResult, *, needed: bool) -> Finding:
    area = "stun" if asked.server.scheme == "stun" else "turn"
    if not asked.problem:
        took = f" ({asked.seconds * 1000:.0f} ms)"
        return Finding(area, Severity.OK, f"{asked.server} gives {asked.candidate}{took}")
    level = Severity.FAIL if needed and area == "turn" else Severity.WARN
    return Finding(area, level, asked.problem, asked.hint)


def _took(begun: float) -> str:
    return f" ({(time.monotonic() - begun) * 1000:.0f} ms)"
