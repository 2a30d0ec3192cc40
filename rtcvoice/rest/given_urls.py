"""Addresses of a user's own server, and the headers that go with them: checked, never shown whole.

What may be secret in them stays out of every message.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, urlsplit

from rtcvoice.errors import CredentialsError

__all__ = ["check_headers", "check_url", "place_of"]

_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def check_url(what: str, url: Any, example: str) -> None:
    """Raise CredentialsError unless `url` is a web address without a user name or password."""
    parts = _web_address(url)
    if parts is None:
        raise CredentialsError(f"the {what} is not a web address", hint=f"for example {example}")
    if parts.username or parts.password:  # not shown: it may be a secret
        raise CredentialsError(
            f"the {what} for {parts.hostname} holds a user name or password",
            hint="send it in headers=",
        )


def check_headers(what: str, headers: Any) -> None:
    """Check that HTTP can carry the headers; their values are not shown."""
    if not isinstance(headers, Mapping):
        raise CredentialsError(
            f"headers= of the {what} is a {type(headers).__name__}", hint="pass a dict"
        )
    for name, value in headers.items():
        if not isinstance(name, str) or not _HEADER.fullmatch(name):
            raise CredentialsError(f"a header of the {what} has a name that HTTP cannot carry")
        if not isinstance(value, str) or not (value.isascii() and value.isprintable()):
            raise CredentialsError(
                f"the header {name} of the {what} is not printable ASCII text",
                hint="is a variable missing, or a line break at its end?",
            )


def place_of(url: str) -> str:
    """Return an address without what may be secret in it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}{parts.path}"


def _web_address(url: Any) -> SplitResult | None:
    """Return the parts of a web address, None for anything else."""
    if not isinstance(url, str) or url.split() != [url] or not url.isprintable():
        return None
    try:
        parts = urlsplit(url)
        fits = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        return None
    return parts if fits else None
