"""Which proxy a request goes through: the option, else the environment's, else the system's.

One variable decides: HTTPS_PROXY (for http:// addresses HTTP_PROXY), and ALL_PROXY where it is
missing. The others are not even looked at, and of NO_PROXY an entry that cannot be understood is
passed over. Nothing here checks whether the proxy can be used.
"""

from __future__ import annotations

import ipaddress
from typing import NamedTuple
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from rtcvoice.rest.addresses import is_loopback
from rtcvoice.system.environment import environment

__all__ = ["Proxy", "passes_by", "proxy_for"]

OPTION = "proxy= (--proxy)"
SYSTEM = "the system's settings"


class Proxy(NamedTuple):
    """A proxy, and who named it."""

    url: str
    """May hold a password."""
    named_by: str
    """The option, or the environment variable."""

    @property
    def place(self) -> str:
        """Host and port, without the password."""
        return self.url.partition("://")[2].partition("/")[0].rpartition("@")[2]


def proxy_for(url: str, proxy: str | None = None) -> Proxy | None:
    """Return the proxy that requests for `url` go through, None if none.

    `proxy` is the option. A proxy cannot reach this machine's loopback: there is none for it.
    """
    if proxy is not None:
        return Proxy(proxy if "://" in proxy else f"http://{proxy}", OPTION)
    if is_loopback(url):
        return None
    parts = urlsplit(url)
    found = {name: text.strip() for name, text in getproxies().items()}
    scheme = next((name for name in (parts.scheme, "all") if found.get(name)), None)
    if scheme is None or _is_left_out(parts.hostname or "", parts.port or _port(parts.scheme)):
        return None
    names = (f"{scheme}_proxy", f"{scheme}_proxy".upper())
    name = next((name for name in names if environment(name)), SYSTEM)
    text = found[scheme] if "://" in found[scheme] else f"http://{found[scheme]}"
    if text.startswith("socks://"):  # as GNOME writes it
        text = text.replace("socks", "socks5", 1)
    return Proxy(text, name)


def passes_by(host: str, port: int, no_proxy: str) -> bool:
    """Whether NO_PROXY leaves this host out; pure.

    Its entries are names (with all that ends in them), addresses and networks, each with a port
    or without, or `*`.
    """
    return any(_fits(host.lower(), port, entry.strip().lower()) for entry in no_proxy.split(","))


def _fits(host: str, port: int, entry: str) -> bool:
    entry = entry.rpartition("://")[2]
    if entry == "*":
        return True
    address = _address(host)
    for text, wanted in _readings(entry):
        if wanted not in ("", str(port)):
            continue
        try:
            network = ipaddress.ip_network(text, strict=False)
        except ValueError:
            name = text.removeprefix("*").removeprefix(".")
            if address is None and name and f".{host}".endswith(f".{name}"):
                return True
        else:
            if address is not None and address.version == network.version and address in network:
                return True
    return False


def _readings(entry: str) -> list[tuple[str, str]]:
    """Return what an entry may mean, as (name or network, port): `::1` names no port."""
    if entry.startswith("["):
        inside, _, rest = entry[1:].partition("]")
        if rest.startswith("/"):
            return [(inside + rest, "")]
        return [(inside, rest.removeprefix(":"))]
    name, colon, port = entry.rpartition(":")
    if colon and port.isdecimal() and ":" not in name:
        return [(name, port)]
    return [(entry, "")]


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _is_left_out(host: str, port: int) -> bool:
    text = environment("no_proxy") or environment("NO_PROXY")
    return passes_by(host, port, text) if text else bool(proxy_bypass(host))


def _port(scheme: str) -> int:
    return 443 if scheme == "https" else 80
