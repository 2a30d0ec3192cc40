"""STUN and TURN servers as they are written: URLs, dicts of the W3C's, or `IceServer`; pure.

A call needs none: the service is public, so its side learns our address from our first packet. TURN
is for networks that let no UDP through: `turns:` and `?transport=tcp` reach a relay over TCP.

RFC 7064 (stun:), RFC 7065 (turn:); user name and password before an @ are our shorthand.
"""

from __future__ import annotations

import json
import logging
import re
import ssl
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from rtcvoice.errors import ConfigError
from rtcvoice.system.public import public

__all__ = ["GatheringResult", "IceServer", "IceSettings", "ice_servers_from"]

logger = logging.getLogger(__name__)

_URL = re.compile(
    r"(?P<scheme>stun|turn|turns):(?://)?(?:(?P<user>.*)@)?"
    r"(?P<host>\[[0-9a-fA-F:.]+\]|[^\s\x00-\x1f\x7f:@/?\[\]]+)(?::(?P<port>\d{1,5}))?"
    r"(?:\?transport=(?P<transport>udp|tcp))?"
)
_EXAMPLES = "for example stun:host:3478, turn:user:password@host or turns:user:password@host:5349"


@public
@dataclass(frozen=True, slots=True)
class IceServer:
    """One STUN or TURN server.

    `url` as in `stun:host`, `turn:host:3478?transport=tcp` (udp by default) and `turns:host:5349`
    (TLS). TURN needs `username` and `credential`, here or in the URL before an @.
    Raises ConfigError for what cannot work.
    """

    url: str
    username: str | None = field(default=None, kw_only=True)
    credential: str | None = field(default=None, kw_only=True, repr=False)
    scheme: str = field(init=False, default="", repr=False)
    host: str = field(init=False, default="", repr=False)
    port: int = field(init=False, default=0, repr=False)
    transport: str = field(init=False, default="udp", repr=False)
    """From here to the server: udp, tcp or tls."""

    def __post_init__(self) -> None:
        found = _URL.fullmatch(self.url) if isinstance(self.url, str) else None
        if found is None:
            shown = _without_password(str(self.url))
            raise ConfigError(f"{shown!r} is not a STUN or TURN address", hint=_EXAMPLES)
        scheme, transport = found["scheme"], found["transport"]
        self._check(scheme, transport, found)
        put = object.__setattr__
        if found["user"] is not None:
            name, _, password = found["user"].partition(":")
            put(self, "username", unquote(name))
            put(self, "credential", unquote(password))
            put(self, "url", f"{scheme}:{self.url.rpartition('@')[2]}")
        put(self, "scheme", scheme)
        put(self, "host", found["host"].strip("[]"))
        put(self, "port", int(found["port"] or (5349 if scheme == "turns" else 3478)))
        put(self, "transport", "tls" if scheme == "turns" else transport or "udp")
        if self.scheme != "stun" and not (self.username and self.credential):
            raise ConfigError(
                f"the TURN server {self.url} has no user name and password", hint=_EXAMPLES
            )

    def _check(self, scheme: str, transport: str | None, found: re.Match[str]) -> None:
        place = _without_password(self.url)
        if not 0 < int(found["port"] or 1) < 65536:
            raise ConfigError(f"{place} has no possible port", hint=_EXAMPLES)
        if transport and scheme == "stun":
            raise ConfigError(f"{place}: STUN is asked by UDP only", hint="leave ?transport= out")
        if scheme == "turns" and transport == "udp":
            raise ConfigError(f"{place}: turns: is TLS, over TCP", hint="leave ?transport=udp out")
        if found["user"] is not None and self.credential is not None:
            raise ConfigError(f"{place} has a password, and credential= is given, too")
        if (found["user"] or "").count(":") > 1:
            raise ConfigError(
                f"{place} has several colons before the @",
                hint="write those of the user name or password as %3A, or use IceServer(...)",
            )

    def __str__(self) -> str:
        return self.url


@dataclass(frozen=True, slots=True)
class GatheringResult:
    """What became of asking a server for a candidate."""

    server: IceServer
    candidate: str = ""
    """The address that it gave us; empty when it gave none."""
    problem: str = ""
    hint: str = ""
    seconds: float = 0.0


@dataclass
class IceSettings:
    """How candidates are gathered, and how that went."""

    servers: tuple[IceServer, ...] = ()
    relay_only: bool = False
    """Use no path but those through the TURN servers."""
    tls: Callable[[], ssl.SSLContext] = ssl.create_default_context
    asked: list[GatheringResult] = field(default_factory=list)
    """One for each server that was asked, in the order of their answers."""
    mismatch: str = ""
    """What to do when no address of the other side can be reached, where the addresses tell."""

    def note(self, asked: GatheringResult) -> None:
        """Remember what became of a server."""
        self.asked.append(asked)
        if asked.problem:
            logger.warning("x %s", asked.problem)

    @property
    def trouble(self) -> str:
        """What went wrong with servers, in one line; empty when nothing did."""
        return "; ".join(asked.problem for asked in self.asked if asked.problem)

    @property
    def cure(self) -> str:
        """What to do about the first trouble that matters; empty when there is none.

        A relay would have helped; where there is none, the addresses tell more than a STUN server.
        """
        troubles = [asked for asked in self.asked if asked.problem]
        relays = [asked.hint for asked in troubles if asked.server.scheme != "stun"]
        hints = [*relays, self.mismatch, *(asked.hint for asked in troubles)]
        return next(filter(None, hints), "")


def _without_password(url: str) -> str:
    return re.sub(r"^(\w*:(?://)?).*@", r"\1***@", url)[:100]


def ice_servers_from(given: Any) -> tuple[IceServer, ...]:
    """Take what `ice_servers=` or the environment says. Raises ConfigError.

    A string holds URLs with spaces or commas between them, or JSON. Dicts are those of the W3C's
    RTCIceServer (`urls`, `username`, `credential`), also inside one with `iceServers`.
    """
    if given is None:
        return ()
    if isinstance(given, str):
        text = given.strip()
        given = _from_json(text) if text[:1] in ("[", "{") else re.split(r"[\s,]+", text)
    if isinstance(given, Mapping) and "iceServers" in given:
        given = given["iceServers"]
    if isinstance(given, Mapping | IceServer) or not isinstance(given, Iterable):
        given = [given]
    return tuple(server for item in given for server in _servers(item) if item)


def _from_json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise ConfigError("the ICE servers are not valid JSON", hint=_EXAMPLES) from exc


def _servers(item: Any) -> list[IceServer]:
    if isinstance(item, IceServer):
        return [item]
    if isinstance(item, str):
        return [IceServer(item)] if item else []
    if isinstance(item, Mapping):
        urls = item.get("urls", item.get("url"))
        credential = item.get("credential")
        username = item.get("username")
    else:  # aiortc's RTCIceServer
        urls = getattr(item, "urls", None)
        username, credential = getattr(item, "username", None), getattr(item, "credential", None)
    if not urls or not isinstance(urls, str | list | tuple):
        raise ConfigError(
            f"an ICE server is a {type(item).__name__} without urls",
            hint="use text, a dict with urls, username and credential, or rtcvoice.IceServer",
        )
    urls = [urls] if isinstance(urls, str) else urls
    return [IceServer(url, username=username, credential=credential) for url in urls]
