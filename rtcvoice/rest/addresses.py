"""What the address of an API may be, and what it tells about the server; pure."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from rtcvoice.errors import ConfigError, one_line
from rtcvoice.system.hosts import is_loopback_host

__all__ = [
    "DEFAULT_BASE_URL",
    "azure_root",
    "check_base_url",
    "is_azure",
    "is_loopback",
    "is_openai",
]

DEFAULT_BASE_URL = "https://api.openai.com/v1"

DEPLOYMENT_HOSTS = (".azure.com", ".azure.us", ".azure.cn")
"""Hosts where a model is named by the customer's own deployment: no default can be right there."""


def is_loopback(base_url: str) -> bool:
    """Whether `base_url` names this very machine."""
    return is_loopback_host(urlsplit(base_url).hostname or "")


def is_azure(base_url: str) -> bool:
    """Whether an address is that of an Azure OpenAI resource."""
    return (urlsplit(base_url).hostname or "").endswith(DEPLOYMENT_HOSTS)


def is_openai(host: str) -> bool:
    """Whether a host is OpenAI's own, in whatever region."""
    return f".{host.lower().rstrip('.')}".endswith(".api.openai.com")


def azure_root(url: str) -> str:
    """Complete the address of an Azure resource to its API's root."""
    path = urlsplit(url).path.rstrip("/")
    if "/deployments" in path or "/realtime" in path:
        shown = one_line(repr(url), 100)
        raise ConfigError(
            f"base_url {shown} is an address of the older Azure interface",
            hint="use https://RESOURCE.openai.azure.com/openai/v1, and model= for the deployment",
        )
    return url.rstrip("/") + {"": "/openai/v1", "/openai": "/v1"}.get(path, "")


def check_base_url(url: Any) -> None:
    """Raise ConfigError for what cannot be the root of an API."""
    shown = one_line(repr(url), 100)
    try:
        parts = urlsplit(url if isinstance(url, str) and url.split() == [url] else "")
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
            raise ValueError("no scheme or host")
    except ValueError as exc:
        raise ConfigError(
            f"base_url {shown} is not a web address",
            hint=f"for example {DEFAULT_BASE_URL}",
        ) from exc
    if parts.username or parts.password:  # not shown: it may be a secret
        raise ConfigError(
            f"base_url for {parts.hostname} holds a user name or password",
            hint="leave it out; a key goes into api_key=",
        )
    if parts.query or parts.fragment:
        raise ConfigError(
            f"base_url {shown} has a query or fragment, but paths are added to it",
            hint=f"for example {DEFAULT_BASE_URL}",
        )
