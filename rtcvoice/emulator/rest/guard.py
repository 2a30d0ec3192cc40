"""Who may ask the emulator: programs, and web pages of this machine or of origins that were named.

A page of any site can send requests to 127.0.0.1; the browser says whose page it is in `Origin`.
A site can also let its own name point to this machine ("DNS rebinding"): its pages then need no
permission of another origin, but `Host` still has that name. Both headers are looked at in every
request, a WebSocket's upgrade too, before anything else is done. Pure.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from urllib.parse import urlsplit

from rtcvoice.emulator.rest.body import RestError
from rtcvoice.errors import ConfigError

__all__ = ["Guard"]


class Guard:
    """Knows which origins and which names of this server are taken.

    `origins`: web origins besides those of this machine, such as `https://shop.example`; their
    host may also be this server's own name. `*` takes every page and every name. Raises
    ConfigError for what is not an origin.
    """

    def __init__(self, origins: Iterable[str] = ()) -> None:
        given = [origins] if isinstance(origins, str) else list(origins)
        self._any = "*" in given
        self._origins = {_checked(origin) for origin in given if origin != "*"}
        self._names = {urlsplit(origin).hostname for origin in self._origins}

    def check(self, host: str, origin: str | None) -> None:
        """Refuse a request by its headers `Host` and `Origin`. Raises RestError (403)."""
        if self._any:
            return
        name = _name_of(f"//{host}")
        if not (_cannot_be_rebound(name) or name in self._names):
            raise RestError(
                403,
                f"This server is not called {host[:100]!r}. Use its address, or start it with"
                " origins=['http://' and that name].",
                code="host_not_allowed",
            )
        if origin is not None and not self.knows(origin):
            raise RestError(
                403,
                f"Pages of {origin[:100]!r} may not ask here. To let them, start the emulator with"
                " origins=[...].",
                code="origin_not_allowed",
            )

    def knows(self, origin: str) -> bool:
        """Whether pages of that origin may ask; those of this machine always may."""
        if self._any:
            return True
        scheme = origin.partition("://")[0].lower()
        if scheme not in ("http", "https"):  # "null" is the origin of every sandboxed page
            return False
        return origin.rstrip("/").lower() in self._origins or _is_this_machine(_name_of(origin))


def _checked(origin: str) -> str:
    try:
        parts = urlsplit(origin)
        is_origin = parts.scheme in ("http", "https") and bool(parts.hostname)
        is_origin = is_origin and parts.path in ("", "/") and not parts.query
        _ = parts.port
    except (ValueError, AttributeError, TypeError):
        is_origin = False
    if not is_origin:
        raise ConfigError(
            f"{origin!r} is not the origin of web pages", hint="such as https://shop.example"
        )
    return origin.rstrip("/").lower()


def _name_of(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _cannot_be_rebound(name: str) -> bool:
    """Whether no public name server can have given out `name`: an address, or one bare word."""
    return _is_this_machine(name) or _address(name) is not None or (bool(name) and "." not in name)


def _is_this_machine(name: str) -> bool:
    address = _address(name)
    if address is not None:
        return address.is_loopback
    return name == "localhost" or name.endswith(".localhost")  # RFC 6761 §6.3


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None
