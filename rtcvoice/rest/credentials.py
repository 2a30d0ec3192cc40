"""Where a call's key or token comes from.

What a server is shown is one of four secrets. An API key (`sk-...`) mints ephemeral tokens and
controls calls; it belongs on servers and on the developer's own machine. `AzureApiKey` and
`AccessToken` do the same on Azure. An ephemeral token (`ek_...`), minted elsewhere, can only start
calls. Instead of a secret there may be a place that has it, asked anew for every call: a file, a
token server's address, an Entra credential, a function. No secret shows in a repr, a log line or
an error message.
"""

from __future__ import annotations

import functools
import inspect
import logging
import os
import stat
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from rtcvoice.errors import ConfigError, CredentialsError, RtcVoiceError
from rtcvoice.masking import masked, shown
from rtcvoice.rest.given_urls import check_headers, check_url, place_of
from rtcvoice.rest.key_text import bare, is_placeholder, odd_in
from rtcvoice.rest.session_url import SessionUrl
from rtcvoice.system.public import public
from rtcvoice.system.small_files import UnreadableFile, read_text
from rtcvoice.system.threads import contained, in_thread

__all__ = [
    "WAYS",
    "AccessToken",
    "ApiKey",
    "ApiKeyFile",
    "AzureApiKey",
    "Credentials",
    "CredentialsSource",
    "EntraToken",
    "EphemeralToken",
    "TokenUrl",
    "credentials_from",
    "for_azure",
    "is_open_to_others",
    "resolved",
    "waited_for",
]

logger = logging.getLogger(__name__)

MOST_BYTES = 64 << 10
"""Of a key file; a larger one is some other file."""

WAYS = (
    "set OPENAI_API_KEY, pass api_key= or credentials=rtcvoice.EphemeralToken(...), "
    "or try it without a key: python -m rtcvoice --emulator"
)


@dataclass(frozen=True, slots=True, repr=False)
class _Secret:
    value: str

    def __post_init__(self) -> None:
        if not isinstance(self.value, str):
            raise CredentialsError(
                f"the {self._name()} is a {type(self.value).__name__}, not text", hint=WAYS
            )
        if not self.value.strip():
            raise CredentialsError(f"the {self._name()} is empty", hint=WAYS)
        if (found := odd_in(self.value)) is not None:
            raise CredentialsError(
                f"the {self._name()} has {found} in it",
                hint="remove that: a key or token is one word of letters, digits and - _",
            )
        if is_placeholder(self.value):
            raise CredentialsError(
                f"the {self._name()} is a placeholder from an example, not a real one", hint=WAYS
            )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({shown(self.value)!r})"

    @classmethod
    def _name(cls) -> str:
        return "API key"

    @property
    def headers(self) -> dict[str, str]:
        """The HTTP headers that show it to the server."""
        return {"Authorization": f"Bearer {self.value}"}


@public
class ApiKey(_Secret):
    """A secret key of the provider; rtcvoice mints a token for each call with it."""

    __slots__ = ()


@public
class AzureApiKey(_Secret):
    """A key of an Azure OpenAI resource; for addresses that are not obviously Azure's own.

    At `*.openai.azure.com` an `ApiKey` is taken for one.
    """

    __slots__ = ()

    @property
    def headers(self) -> dict[str, str]:
        """The HTTP headers that show it to the server."""
        return {"api-key": self.value}


class AccessToken(_Secret):
    """An OAuth access token, such as Entra's: it may do what an API key may, for about an hour."""

    __slots__ = ()

    @classmethod
    def _name(cls) -> str:
        return "access token"


@public
class EphemeralToken(_Secret):
    """A ready client secret (`ek_...`), good for starting calls until it expires."""

    __slots__ = ()

    @classmethod
    def _name(cls) -> str:
        return "ephemeral token"


@public
@dataclass(frozen=True, slots=True)
class ApiKeyFile:
    """A file that holds nothing but an API key; read for every call, so keys may be rotated."""

    path: str | Path

    def __post_init__(self) -> None:
        if not isinstance(self.path, str | os.PathLike):
            raise ConfigError(
                f"ApiKeyFile takes a path, not {type(self.path).__name__}",
                hint="ApiKeyFile('key.txt')",
            )

    def read(self) -> Credentials:
        """Return the key. Raises CredentialsError that says what is wrong with the file."""
        hint = f"write the key and nothing else into {self.path}"
        try:
            text = read_text(self.path, most_bytes=MOST_BYTES, strict=False)
            mode = Path(self.path).stat().st_mode
        except (UnreadableFile, OSError) as exc:
            raise CredentialsError(
                f"the key file {self.path} cannot be read: {exc}", hint=hint
            ) from exc
        lines = [line for line in text.splitlines() if line.strip() and line.strip()[0] != "#"]
        if len(lines) != 1:
            what = "is empty" if not lines else "holds more than one line"
            raise CredentialsError(f"the key file {self.path} {what}", hint=hint)
        if stat.S_ISREG(mode) and is_open_to_others(mode):
            logger.warning(
                "x everybody on this machine can read the key in %s: chmod 600 it", self.path
            )
        try:
            return credentials_from(lines[0])
        except CredentialsError as exc:
            raise CredentialsError(
                f"the key file {self.path} holds no key: {exc.message}", hint=hint
            ) from exc


def is_open_to_others(mode: int) -> bool:
    """Whether a file of this `st_mode` can be read by everybody on the machine."""
    return os.name == "posix" and bool(mode & stat.S_IROTH)


@public
@dataclass(frozen=True, slots=True, repr=False)
class TokenUrl:
    """An address that hands out ephemeral tokens, asked anew for every call.

    Your own server keeps the API key; `python -m rtcvoice token-server` is one. It may answer with
    JSON that has a `value`, `token` or `client_secret`, or with the token as plain text.
    `method` is POST or GET; `headers` are sent along, for instance your user's login; so is `body`
    as JSON, if there is one. Secrets belong in these: addresses end up in logs. The token's
    session is the server's choice; session options of the call are applied on top once it is
    connected.
    """

    url: str
    method: str = field(default="POST", kw_only=True)
    headers: Mapping[str, str] = field(default_factory=dict, kw_only=True)
    body: Mapping[str, object] | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        check_url("token URL", self.url, "https://my.server/token")
        if self.method not in ("GET", "POST"):
            raise CredentialsError(
                f"the token URL cannot be requested with the method {self.method!r}",
                hint="use POST or GET",
            )
        check_headers("token URL", self.headers)
        try:
            msgspec.json.encode(self.body)
        except (TypeError, ValueError, RecursionError, msgspec.MsgspecError) as exc:
            raise CredentialsError(
                "body= of the token URL cannot be written as JSON",
                hint="use text, numbers, booleans, None, lists and dicts with text keys",
            ) from exc

    @property
    def place(self) -> str:
        """The address without what may be secret in it."""
        return place_of(self.url)

    def __repr__(self) -> str:
        return f"TokenUrl({self.place!r})"


@public
@dataclass(frozen=True, slots=True, repr=False)
class EntraToken:
    """Microsoft Entra ID in place of an Azure key: an access token, or a function that gets one.

    The function may be plain or async, such as `azure.identity.get_bearer_token_provider(
    DefaultAzureCredential(), "https://cognitiveservices.azure.com/.default")` makes. It is asked
    for every call; a plain one runs in a worker thread.
    """

    provider: str | Callable[[], str] | Callable[[], Awaitable[str]]

    def __post_init__(self) -> None:
        if not (isinstance(self.provider, str) or callable(self.provider)):
            raise CredentialsError(
                f"EntraToken takes an access token or a function, not a "
                f"{type(self.provider).__name__}",
                hint="such as azure.identity.get_bearer_token_provider(...)",
            )

    def __repr__(self) -> str:
        return f"EntraToken({'***' if isinstance(self.provider, str) else _name_of(self.provider)})"


Credentials = ApiKey | AzureApiKey | AccessToken | EphemeralToken
"""What a server can be shown."""

CredentialsSource = (
    Credentials
    | ApiKeyFile
    | TokenUrl
    | EntraToken
    | SessionUrl
    | Callable[[], str | Credentials]
    | Callable[[], Awaitable[str | Credentials]]
)
"""Where it comes from: itself, or something that is asked for every call."""


def credentials_from(text: str | None) -> Credentials:
    """Take a key or token for what its prefix says it is. Raises CredentialsError for none.

    Quotes around it, `OPENAI_API_KEY=`, `Bearer` and invisible characters are taken off.
    """
    if text is None:
        raise CredentialsError("no API key", hint=WAYS)
    text = bare(text)
    return EphemeralToken(text) if text.startswith("ek_") else ApiKey(text)


def for_azure(credentials: Credentials) -> Credentials:
    """Take an `ApiKey` for what it must be when the server is Azure's; leave others as they are."""
    if type(credentials) is not ApiKey:
        return credentials
    token = credentials.value.startswith("eyJ")
    return AccessToken(credentials.value) if token else AzureApiKey(credentials.value)


async def resolved(
    source: CredentialsSource, fetch: Callable[[TokenUrl], Awaitable[Credentials]]
) -> Credentials:
    """Return the key or token that `source` has now; `fetch` asks token URLs.

    Raises CredentialsError, and what `fetch` raises. What a function raises is its cause.
    """
    match source:
        case ApiKey() | AzureApiKey() | AccessToken() | EphemeralToken():
            return source
        case ApiKeyFile():
            return await in_thread(source.read)
        case TokenUrl():
            return await fetch(source)
        case EntraToken():
            token = source.provider
            return AccessToken(token if isinstance(token, str) else await _asked(token))
        case SessionUrl():
            raise CredentialsError("a SessionUrl gives no key", hint=WAYS)
    got = await _asked(source)
    return credentials_from(got) if isinstance(got, str) else got


async def _asked(provider: Callable[[], Any]) -> Any:
    """Call a function of the user's, on the loop if it is async and in a thread if not."""
    name = _name_of(provider)
    try:
        if inspect.iscoroutinefunction(provider):
            got = await contained(provider())
        else:
            got = await in_thread(provider)
            got = await contained(got) if inspect.isawaitable(got) else got
    except RtcVoiceError:
        raise
    except Exception as exc:
        raise CredentialsError(
            f"{name}, which gives the key or token, failed: {type(exc).__name__}:"
            f" {masked(str(exc))[:300]}",
        ) from exc
    if not isinstance(got, str | _Secret):
        raise CredentialsError(
            f"{name}, which gives the key or token, returned a {type(got).__name__}",
            hint="return the key or token as text",
        )
    return got


def waited_for(source: CredentialsSource | str | None) -> str:
    """Return what the credentials are waited for from, if anything: "get_key(), which is ..."."""
    match source:
        case TokenUrl():
            return f"the token server at {source.place}"
        case ApiKeyFile():
            return f"the key file {source.path}"
        case SessionUrl():
            return f"the token server at {source.place}"
        case EntraToken() if not isinstance(source.provider, str):
            return f"{_name_of(source.provider)}, which gives the key or token,"
        case EntraToken() | _Secret() | str() | None:
            return ""
    return f"{_name_of(source)}, which gives the key or token,"


def _name_of(function: Any) -> str:
    while isinstance(function, functools.partial):
        function = function.func
    name = getattr(function, "__qualname__", None) or type(function).__name__
    return f"{name}()"
