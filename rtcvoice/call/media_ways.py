"""By which ways the media of a call is tried: UDP, and TCP directly or through a proxy."""

from __future__ import annotations

from collections.abc import Awaitable
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from rtcvoice.config.call_config import CallConfig
from rtcvoice.rest.client import tls_context
from rtcvoice.rest.proxies import Proxy, proxy_for
from rtcvoice.rest.tunnels import Dialled, dial
from rtcvoice.system.hosts import bracketed, reach_of

if TYPE_CHECKING:
    from rtcvoice.wire.leg import Ways

__all__ = ["media_proxy", "media_ways"]


def media_proxy(config: CallConfig, host: str, port: int) -> Proxy | None:
    """Return the proxy that TCP to this address goes through; None if none."""
    return proxy_for(f"https://{bracketed(host)}:{port}", config.proxy)


def media_ways(
    config: CallConfig,
    *,
    last_route: str = "",
    udp: bool = True,
    tcp: bool = True,
    past_proxy: bool = False,
) -> Ways:
    """Return the ways to try: UDP at once, TCP soon, or at once if a call went by it before.

    `past_proxy`: TCP goes directly, also where there is a proxy for it.
    """
    from rtcvoice.wire.leg import TCP_DELAY, Ways  # late: it takes aiortc along

    def dial_one(host: str, port: int) -> Awaitable[Dialled]:
        proxy = None if past_proxy else media_proxy(config, host, port)
        return dial(host, port, proxy=proxy, tls=partial(tls_context, config.ca_file))

    return Ways(
        udp=udp,
        dial=dial_one if tcp else None,
        tcp_delay=0.0 if last_route == "tcp" else TCP_DELAY,
        reach=reach_of(urlsplit(config.base_url).hostname or ""),
        network=config.network,
    )
