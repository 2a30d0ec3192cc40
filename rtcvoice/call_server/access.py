"""Whose requests are answered: by the name of this server, by the page, by who the caller is; pure.

A page of somebody else's can ask, and can point a name of its own at this server's address (DNS
rebinding). So the name by which the server was asked (Host) has to be known, and what the browser
says of the page (Origin, Sec-Fetch-Site) has to be this server itself, or a page that is let in.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Collection
from urllib.parse import urlsplit

from rtcvoice.errors import ConfigError, one_line
from rtcvoice.masking import log_error
from rtcvoice.system.hosts import is_ip_address, is_loopback_host
from rtcvoice.token_server.access import names_in, origin_of
from rtcvoice.token_server.rate_limit import household

from .http import CallerRequest, Refusal

__all__ = ["Access", "Authenticate"]

logger = logging.getLogger(__name__)

Authenticate = Callable[[CallerRequest], "Awaitable[str | None] | str | None"]
"""Returns the name of the caller, always the same for the same; None for nobody."""

HOOK_TIMEOUT = 10.0
"""Seconds that the user's `authenticate` may take."""

MOST_NAME = 200
"""Characters of a caller's name."""


class Access:
    """The rules of one server; see `CallServer`. Raises ConfigError for rules that let in all."""

    def __init__(
        self,
        host: str | None,
        *,
        origins: Collection[str],
        public_hosts: Collection[str],
        authenticate: Authenticate | None,
        open_to_all: bool,
        behind_proxy: bool,
    ) -> None:
        """host: what it listens on; None where it is mounted into somebody's application."""
        self._origins = {origin_of(name) for name in names_in("origins", origins)}
        if "*" in self._origins and authenticate is None and not open_to_all:
            raise ConfigError(
                "origins=['*'] lets every page of the web make calls at your expense",
                hint="name the pages, give authenticate=, or say open_to_all=True",
            )
        self._names = {name.lower() for name in names_in("public_hosts", public_hosts)}
        self._names |= {host.lower()} if host else set()
        self._local = host is None or is_loopback_host(host)
        self._authenticate = authenticate
        self._behind_proxy = behind_proxy
        if authenticate is not None and not callable(authenticate):
            raise ConfigError(
                f"authenticate= is a {type(authenticate).__name__}, not a function",
                hint="async def who(request: rtcvoice.CallerRequest) -> str | None: ...",
            )
        seen_by_others = not self._local or bool(self._names - {"localhost", host})
        if seen_by_others and authenticate is None and not open_to_all:
            raise ConfigError(
                "whoever reaches this server would make calls at your expense",
                hint="authenticate= says who a caller is; or say that it is open to all:"
                " open_to_all=True (--open-to-all)",
            )

    def check(self, request: CallerRequest) -> None:
        """Raise Refusal for a request of a page, or by a name, that is not known."""
        host = request.headers.get("host", "")
        name = _name_in(host)
        if not self._is_known(name):
            raise Refusal(
                421,
                "host_not_allowed",
                f"This server is not known by the name {one_line(name, 100)!r}:"
                " see public_hosts= (--public-host).",
            )
        origin = request.headers.get("origin")
        if origin is not None and not self.knows(origin, host):
            raise Refusal(
                403, "origin_not_allowed", f"Pages of {one_line(origin, 100)} may not ask here."
            )
        site = request.headers.get("sec-fetch-site", "none")
        if origin is None and _follows_link(request):
            return
        if origin is None and site not in ("none", "same-origin"):
            raise Refusal(403, "origin_not_allowed", "Other pages may not ask here.")

    def knows(self, origin: str, host: str) -> bool:
        """Whether pages of this origin may ask; `host`: by what name this server was asked."""
        given = origin.rstrip("/").lower()
        return "*" in self._origins or given in self._origins or self.is_own(given, host)

    def trusts(self, origin: str) -> bool:
        """Whether pages of this origin were let in by name, so that they may show cookies."""
        return origin.rstrip("/").lower() in self._origins

    @staticmethod
    def is_own(origin: str, host: str) -> bool:
        """Whether an origin is this server itself: its own page."""
        scheme, _, rest = origin.lower().partition("://")
        return scheme in ("http", "https") and bool(rest) and rest == host.lower()

    async def caller(self, request: CallerRequest) -> str:
        """Return who asks. Raises Refusal for nobody."""
        if self._authenticate is None:
            return household(self.address(request))
        try:
            async with asyncio.timeout(HOOK_TIMEOUT):
                name: object = self._authenticate(request)
                if inspect.isawaitable(name):
                    name = await name
        except Exception as exc:
            log_error(logger, exc, "x authenticate= failed")
            raise Refusal(500, "server_error", "Who asks cannot be found out now.") from exc
        if not name:
            raise Refusal(401, "unauthorized", "Sign in first.")
        if not isinstance(name, str):
            logger.error("x authenticate= returned a %s, not a name", type(name).__name__)
            raise Refusal(500, "server_error", "Who asks cannot be found out now.")
        return one_line(name, MOST_NAME)

    def address(self, request: CallerRequest) -> str:
        """Return where a request came from."""
        forwarded = request.headers.get("x-forwarded-for", "").rpartition(",")[2].strip()
        return (self._behind_proxy and one_line(forwarded, 64)) or request.address or "?"

    def _is_known(self, name: str) -> bool:
        """Whether no page can have made up this name: an address cannot be pointed elsewhere."""
        if name in self._names or is_loopback_host(name):
            return True
        return not self._local and is_ip_address(name)


def _follows_link(request: CallerRequest) -> bool:
    """Whether somebody came to the page itself by a link, which no page can read the answer of."""
    headers = request.headers
    opens = (
        headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
    )
    return opens and request.method == "GET" and request.path in ("", "/")


def _name_in(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
