"""Which key or token a call uses: the one that is given, or that of the environment."""

from __future__ import annotations

from typing import Any

from rtcvoice.errors import ConfigError, CredentialsError
from rtcvoice.rest.credentials import (
    AccessToken,
    ApiKey,
    ApiKeyFile,
    AzureApiKey,
    CredentialsSource,
    EntraToken,
    EphemeralToken,
    TokenUrl,
    credentials_from,
    for_azure,
)
from rtcvoice.rest.session_url import SessionUrl
from rtcvoice.system.environment import environment

__all__ = ["azure_key", "check_credentials", "openai_key"]

_SOURCES = (
    *(ApiKey, AzureApiKey, AccessToken, EphemeralToken),
    *(ApiKeyFile, TokenUrl, EntraToken, SessionUrl),
)


def check_credentials(api_key: Any, credentials: Any) -> None:
    """Raise ConfigError unless at most one of the two options is given, and is of its kind."""
    if api_key is not None and credentials is not None:
        raise ConfigError("api_key= and credentials= are both given", hint="give one of them")
    if api_key is not None and not isinstance(api_key, str):
        raise ConfigError(
            f"api_key= is a {type(api_key).__name__}",
            hint="pass text, or give where the key comes from as credentials=",
        )
    known = isinstance(credentials, _SOURCES) or callable(credentials)
    if credentials is not None and not known:
        raise ConfigError(
            f"credentials= is a {type(credentials).__name__}",
            hint="pass rtcvoice.ApiKey(...), EphemeralToken(...), ApiKeyFile(...),"
            " TokenUrl(...) or an async function, or use api_key=",
        )


def openai_key(api_key: str | None) -> CredentialsSource:
    """Return the key that is given, or that of the environment. Raises CredentialsError."""
    return credentials_from(api_key or environment("OPENAI_API_KEY"))


def azure_key(api_key: str | None) -> CredentialsSource:
    """The same for an Azure resource, to which no key of OpenAI's is sent."""
    key = api_key or environment("AZURE_OPENAI_API_KEY") or environment("OPENAI_API_KEY")
    if key is None:
        raise CredentialsError(
            "no API key for Azure",
            hint="set AZURE_OPENAI_API_KEY, pass api_key=, or credentials=rtcvoice.EntraToken(...)",
        )
    if api_key is None and key.startswith("sk-"):
        raise CredentialsError(
            "OPENAI_API_KEY holds a key of OpenAI's, which is not sent to Azure",
            hint="set AZURE_OPENAI_API_KEY",
        )
    return for_azure(credentials_from(key))
