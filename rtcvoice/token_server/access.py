"""Who may ask a token server: pages by their origin, programs by a client key; pure.

A page of somebody else's cannot read an answer that is not meant for it, but it can ask, and it can
point a name of its own at this server's address, whose answers it may read then. So what a browser
says about the page counts (Origin, Sec-Fetch-Site), and the name by which the server was asked
(Host) has to be one that is known.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Collection, Mapping
from urllib.parse import urlsplit

from rtcvoice.errors import ConfigError, one_line
from rtcvoice.system.hosts import is_ip_address, is_loopback_host

__all__ = ["Access", "Refusal", "names_in", "origin_of"]


class Refusal(Exception):  # noqa: N818  (its name in the docstrings)
    """A request that is refused: status, code and message go to the client."""

    def __init__(self, status: int, code: str, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/?#\s@]+")


class Access:
    """The rules of a token server that listens on `host`; see `TokenServer` for the others.

    Raises ConfigError for rules that let in whoever reaches it, unless `open_to_all`.
    """

    def __init__(
        self,
        host: str,
        *,
        origins: Collection[str],
        client_keys: Collection[str],
        public_hosts: Collection[str],
        open_to_all: bool,
    ) -> None:
        self._origins = {origin_of(name) for name in names_in("origins", origins)}
        self._keys = [key.encode() for key in names_in("client_keys", client_keys)]
        self._local = is_loopback_host(host)
        self._names = {name.lower() for name in (*names_in("public_hosts", public_hosts), host)}
        if not (self._local or self._keys or open_to_all):
            raise ConfigError(
                f"whoever reaches {host or 'this machine'} would get tokens at your expense",
                hint="let clients show a key: client_keys= (--client-key-file); or say that it is"
                " open to all: open_to_all=True (--open)",
            )

    def check(self, headers: Mapping[str, str]) -> None:
        """Raise Refusal for a request of a page, or by a name, that is not known."""
        origin = headers.get("Origin")
        if origin is not None and not self.knows(origin):
            raise Refusal(
                403, "origin_not_allowed", f"Pages of {one_line(origin, 100)} may not ask here."
            )
        site = headers.get("Sec-Fetch-Site", "none")
        if origin is None and site not in ("none", "same-origin"):
            raise Refusal(403, "origin_not_allowed", "Other pages may not ask here.")
        host = _host_of(headers.get("Host", ""))
        if not self._is_known(host):
            raise Refusal(
                403,
                "host_not_allowed",
                f"This server is not known by the name {one_line(host, 100)!r}: see --public-host.",
            )

    def check_key(self, headers: Mapping[str, str]) -> None:
        """Raise Refusal unless a client key is shown, if there are any."""
        if not self._keys:
            return
        shown = headers.get("Authorization", "").partition(" ")[2].strip().encode()
        fits = [hmac.compare_digest(shown, key) for key in self._keys]
        if not any(fits):
            raise Refusal(401, "invalid_client_key", "Show a client key of this token server.")

    def knows(self, origin: str) -> bool:
        """Whether pages of this origin may ask."""
        return "*" in self._origins or origin.rstrip("/").lower() in self._origins

    def _is_known(self, host: str) -> bool:
        """Whether no page can have made up this name: an address cannot be pointed elsewhere."""
        if host in self._names or is_loopback_host(host):
            return True
        return not self._local and is_ip_address(host)


def names_in(option: str, names: Collection[str]) -> list[str]:
    """Return what a collection of names holds. Raises ConfigError for one that is none.

    A blank name is one that is missing, such as an environment variable's: as a client key it
    would be known to everybody.
    """
    if isinstance(names, str | bytes) or not isinstance(names, Collection):
        raise ConfigError(
            f"{option}= is a {type(names).__name__}", hint=f"give a list, such as {option}=['...']"
        )
    if not all(isinstance(name, str) and name.strip() for name in names):
        raise ConfigError(
            f"{option}= holds something that is blank or no text", hint="take it out of the list"
        )
    return list(names)


def origin_of(name: str) -> str:
    """Return the origin as browsers send it. Raises ConfigError for what none ever sends."""
    origin = name.rstrip("/").lower()
    if origin not in ("*", "null") and not _ORIGIN.fullmatch(origin):
        raise ConfigError(
            f"{one_line(name, 100)!r} is the origin of no page",
            hint="write it as https://app.example or http://localhost:3000, without a path",
        )
    return origin


def _host_of(header: str) -> str:
    try:
        return urlsplit(f"//{header}").hostname or ""
    except ValueError:
        return ""
