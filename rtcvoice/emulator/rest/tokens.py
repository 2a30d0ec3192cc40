"""Ephemeral tokens: what configuration each carries, and until when it starts calls.

A token is not used up by a call, and its expiry ends no call: it only gates the start. Pure: the
Unix time comes in with each question.
"""

from __future__ import annotations

import string
from random import Random
from typing import NamedTuple

from rtcvoice.emulator.session.settings import Settings

__all__ = ["ExpiredTokenError", "TokenBook", "UnknownTokenError"]

_ALPHABET = string.digits + string.ascii_lowercase


class UnknownTokenError(Exception):
    """No such token was minted here, or so many since that it was forgotten."""


class ExpiredTokenError(Exception):
    """The token's time is over."""


class _Token(NamedTuple):
    settings: Settings
    expires_at: int


class TokenBook:
    """Mints tokens and knows them again.

    Keeps the newest `most`, expired ones too (to tell expired from unknown); when full, the oldest
    is forgotten.
    """

    def __init__(self, random: Random, *, most: int = 256) -> None:
        self._random = random
        self._most = most
        self._tokens: dict[str, _Token] = {}

    def mint(self, settings: Settings, *, expires_at: int) -> str:
        """Return a new token, `ek_` and 32 characters, for calls with `settings`.

        `expires_at` is Unix time in seconds; from then on the token starts no call.
        """
        while len(self._tokens) >= self._most:
            del self._tokens[next(iter(self._tokens))]
        value = "ek_" + "".join(self._random.choices(_ALPHABET, k=32))
        self._tokens[value] = _Token(settings, expires_at)
        return value

    def settings(self, value: str, *, now: float) -> Settings:
        """Return what the token was minted for. Raises UnknownTokenError, ExpiredTokenError."""
        token = self._tokens.get(value)
        if token is None:
            raise UnknownTokenError
        if now >= token.expires_at:
            raise ExpiredTokenError
        return token.settings
