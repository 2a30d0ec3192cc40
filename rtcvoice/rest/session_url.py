"""A server of one's own that begins sessions of GPT-Live, so that a device needs no key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from rtcvoice.rest.given_urls import check_headers, check_url, place_of
from rtcvoice.system.public import public

__all__ = ["SessionUrl"]


@public
@dataclass(frozen=True, slots=True, repr=False)
class SessionUrl:
    """An address that begins sessions of GPT-Live with the key that it keeps.

    There are no ephemeral tokens for GPT-Live: the offer goes to your server, which adds the key
    and the session and answers what the API did. `python -m rtcvoice token-server` does so at
    `/session`. The session is the server's choice; of this call's options it takes what it allows.
    `headers` are sent along, for instance your user's login. Secrets belong there: addresses end up
    in logs.
    """

    url: str
    headers: Mapping[str, str] = field(default_factory=dict, kw_only=True)

    def __post_init__(self) -> None:
        check_url("session URL", self.url, "https://my.server/session")
        check_headers("session URL", self.headers)

    @property
    def place(self) -> str:
        """The address without what may be secret in it."""
        return place_of(self.url)

    def __repr__(self) -> str:
        return f"SessionUrl({self.place!r})"
