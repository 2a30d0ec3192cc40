"""Where a call's key or token comes from.

An API key (`sk-...`) may mint ephemeral tokens and control calls; it belongs on servers and on the
developer's own machine. An ephemeral token (`ek_...`), minted elsewhere, can only start calls.
Neither shows in a repr, a log line or an error message.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from rtcvoice.errors import CredentialsError

__all__ = ["ApiKey", "Credentials", "EphemeralToken", "credentials_from", "masked"]

# Short ones only at the beginning of a word: "task-force" holds no key. Real keys are longer, and
# are found anywhere.
_SECRET = re.compile(r"\b(?:sk|ek|rk)[-_][\w\-*.]{3,}|(?:sk|ek|rk)[-_][\w\-*.]{16,}", re.ASCII)

_WAYS = (
    "set OPENAI_API_KEY, pass api_key= or credentials=rtcvoice.EphemeralToken(...), "
    "or try it without a key: python -m rtcvoice --emulator"
)


def masked(text: str, *secrets: str) -> str:
    """Return `text` with `secrets`, and all that looks like a key or token, cut to the prefix."""
    for secret in secrets:
        text = text.replace(secret, masked(secret) if _SECRET.fullmatch(secret) else "***")
    return _SECRET.sub(lambda match: match[0][:3] + "***", text)


@dataclass(frozen=True, slots=True, repr=False)
class _Secret:
    value: str

    def __post_init__(self) -> None:
        # It travels in an HTTP header, which holds printable ASCII only.
        fit = self.value.isascii() and self.value.isprintable() and " " not in self.value
        if not self.value or not fit:
            what = "is empty" if not self.value.strip() else "has spaces or odd characters"
            raise CredentialsError(f"the {self._name()} {what}", hint=_WAYS)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({masked(self.value, self.value)!r})"

    @classmethod
    def _name(cls) -> str:
        return {"ApiKey": "API key"}.get(cls.__name__, "ephemeral token")


class ApiKey(_Secret):
    """A secret key of the provider; rtcvoice mints a token for each call with it."""

    __slots__ = ()


class EphemeralToken(_Secret):
    """A ready client secret (`ek_...`), good for starting calls until it expires."""

    __slots__ = ()


Credentials = ApiKey | EphemeralToken


def credentials_from(text: str | None) -> Credentials:
    """Take a key or token for what its prefix says it is. Raises CredentialsError for none."""
    if text is None:
        raise CredentialsError("no API key", hint=_WAYS)
    text = text.strip()
    return EphemeralToken(text) if text.startswith("ek_") else ApiKey(text)
