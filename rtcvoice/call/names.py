"""Looks up the names that an attempt needs, before it begins, in threads that hold up nobody.

asyncio, and with it every HTTP client, looks names up in the event loop's few threads. Where the
network is away, each lookup stays in its thread for as long as the system's resolver is patient,
whoever has given up on it: some attempts later none of these threads is free, also for the user's
`asyncio.to_thread`, and nobody can connect although the network is there again.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from urllib.parse import urlsplit

from rtcvoice.config.call_config import CallConfig
from rtcvoice.errors import SignalingError
from rtcvoice.rest.credentials import TokenUrl
from rtcvoice.rest.proxies import proxy_for
from rtcvoice.system.threads import in_thread

__all__ = ["looked_up", "names_of"]


def names_of(config: CallConfig) -> set[str]:
    """Return the names of the hosts that the requests of a call go to: none for addresses."""
    urls = [config.base_url]
    if isinstance(config.credentials, TokenUrl):
        urls.append(config.credentials.url)
    proxies = [proxy_for(url, config.proxy) for url in urls]
    ways = [proxy.url if proxy else url for url, proxy in zip(urls, proxies, strict=True)]
    hosts = {urlsplit(way).hostname or "" for way in ways}
    return {host for host in hosts if host and not _is_address(host)}


async def looked_up(names: set[str], *, timeout: float) -> None:
    """Look all of them up, side by side. Raises SignalingError where one has no answer in time."""
    lookups = {
        asyncio.create_task(in_thread(socket.getaddrinfo, name, None)): name for name in names
    }
    if not lookups:
        return
    try:
        done, late = await asyncio.wait(
            lookups, timeout=timeout, return_when=asyncio.FIRST_EXCEPTION
        )
        for lookup in done:
            _check(lookup, lookups[lookup])
        for lookup in late:
            raise SignalingError(
                f"no DNS server tells the address of {lookups[lookup]} within {timeout:.3g} s",
                hint="is this machine online, and does its DNS work?",
            )
    finally:
        for lookup in lookups:
            lookup.cancel()


def _check(lookup: asyncio.Task[object], name: str) -> None:
    try:
        lookup.result()
    except (OSError, UnicodeError) as exc:
        raise SignalingError(
            f"there is no such host: {name} ({getattr(exc, 'strerror', None) or exc})",
            hint="is this machine online? check the spelling, and the DNS",
        ) from exc


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
