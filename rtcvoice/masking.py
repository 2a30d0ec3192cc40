"""Keeps keys and tokens out of texts that people, logs or the model get to see; pure."""

from __future__ import annotations

import logging
import re
import traceback

from rtcvoice.errors import clean

__all__ = ["SECRET", "log_error", "masked", "masked_traceback", "shown"]

# Short ones only at the beginning of a word: "task-force" holds no key. Real keys are longer, and
# are found anywhere. The last is a JSON Web Token, as Entra hands them out.
SECRET = re.compile(
    r"\b(?:sk|ek|rk)[-_][\w\-*.]{3,}|(?:sk|ek|rk)[-_][\w\-*.]{16,}|eyJ[\w-]{8,}\.[\w\-.]+", re.ASCII
)
"""What looks like a key or token."""


_AUTHORIZATION = re.compile(
    r"\b((?:[Bb]earer|[Bb]asic)\s+)(?!sk-|ek_|eyJ)[\w.~+/=-]{16,}", re.ASCII
)
"""What follows such a word in a header, whatever kind of key it is."""

_SCHEMES = {"Basic", "Bearer", "Digest", "Token", "basic", "bearer", "digest", "token"}
"""First words of Authorization headers, which are no secrets."""

_LONG = 8
"""Characters from which on a known secret is masked wherever it stands; a shorter one only as a
word of its own, and one of three or less not at all: `1` is in every second text."""


def masked(text: str, *secrets: str) -> str:
    """Return `text` with `secrets`, and all that looks like a key or token, cut to the prefix.

    What a secret consists of, such as `Bearer` and the token, is masked in parts as well.
    """
    words = {word for secret in secrets for word in (secret, *secret.split())} - _SCHEMES
    for secret in sorted(words, key=len, reverse=True):
        if len(secret) >= _LONG:
            text = text.replace(secret, shown(secret))
        elif len(secret) > 3:
            text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", shown(secret), text)
    text = _AUTHORIZATION.sub(r"\1***", text)
    return SECRET.sub(lambda match: match[0][:3] + "***", text)


def shown(secret: str) -> str:
    """Return what a repr shows of a secret: its prefix, if it is a key or token with one."""
    return secret[:3] + "***" if SECRET.fullmatch(secret) else "***"


def masked_traceback(error: BaseException) -> str:
    """Return the traceback of `error` and its causes, for a log: no keys, no control characters."""
    return masked(clean("".join(traceback.format_exception(error)).rstrip()))


def log_error(logger: logging.Logger, error: BaseException, text: str, *args: object) -> None:
    """Log `text` and the traceback of `error`; in place of `logger.exception`, which masks nothing.

    The words of an error may be a server's or the user's, and so may hold a key.
    """
    logger.error(f"{text}\n%s", *args, masked_traceback(error), stacklevel=2)
