"""What spans say: without control characters and keys, and no longer than it may be; pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any
from urllib.parse import urlsplit

from rtcvoice.conversation.accounts.usage import TokenCounts
from rtcvoice.errors import clean, one_line
from rtcvoice.masking import masked

from . import names

__all__ = [
    "Attributes",
    "arguments",
    "content",
    "message",
    "scope_version",
    "server_of",
    "text",
    "tokens",
]

Attributes = dict[str, str | bool | int | float | list[str]]

MOST_TEXT = 256
"""Characters of an attribute."""

MOST_CONTENT = 16_384
"""Characters of what was said, or of what a tool was given or gave."""

_DEFAULT_PORTS = {"http": 80, "https": 443}


def scope_version() -> str:
    """Return the version of this package, as far as it is installed."""
    try:
        return version("rtcvoice")
    except PackageNotFoundError:
        return ""


def text(value: object, most: int = MOST_TEXT) -> str:
    """Return one line that may be shown to people."""
    return masked(one_line(str(value), most))


def content(value: str) -> str:
    """Return words as they may be told."""
    return masked(clean(value[:MOST_CONTENT]))


def message(role: str, words: str, finish_reason: str = "") -> str:
    """Return one message, as the conventions have lists of them: in JSON."""
    told: dict[str, Any] = {
        "role": role,
        "parts": [{"type": "text", "content": content(words)}],
    }
    if finish_reason:
        told["finish_reason"] = finish_reason
    return json.dumps([told], ensure_ascii=False)


def server_of(base_url: object) -> Attributes:
    """Return whose server is called, and where it is."""
    try:
        parts = urlsplit(str(base_url))
        host, port = parts.hostname or "", parts.port or _DEFAULT_PORTS.get(parts.scheme, 443)
    except ValueError:
        host, port = "", 0
    azure = host.endswith((".azure.com", ".azure.us", ".azure.cn"))
    told: Attributes = {names.PROVIDER: "azure.ai.openai" if azure else "openai"}
    if host:
        told |= {names.SERVER_ADDRESS: text(host), names.SERVER_PORT: port}
    return told


def tokens(counts: TokenCounts) -> Attributes:
    """Return the tokens of a response, in all and by kind; those that are 0 are left out."""
    told: Attributes = {
        names.INPUT_TOKENS: counts.input,
        names.OUTPUT_TOKENS: counts.output,
        names.CACHED_TOKENS: counts.cached,
        names.REASONING_TOKENS: counts.reasoning,
    }
    told |= {name: getattr(counts, kind) for kind, name in names.TOKENS_BY_KIND.items()}
    return {name: count for name, count in told.items() if count}


def arguments(given: Mapping[str, Any]) -> str:
    """Return the arguments of a tool in JSON; what JSON does not know by its `str`."""
    return content(json.dumps(dict(given), ensure_ascii=False, default=str))
