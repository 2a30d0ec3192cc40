"""Keeps keys and tokens out of texts that people, logs or the model get to see; pure."""

from __future__ import annotations

import re
import traceback

__all__ = ["SECRET", "masked", "masked_traceback"]

# Short ones only at the beginning of a word: "task-force" holds no key. Real keys are longer, and
# are found anywhere. The last is a JSON Web Token, as Entra hands them out.
SECRET = re.compile(
    r"\b(?:sk|ek|rk)[-_][\w\-*.]{3,}|(?:sk|ek|rk)[-_][\w\-*.]{16,}|eyJ[\w-]{8,}\.[\w\-.]+", re.ASCII
)
"""What looks like a key or token."""


def masked(text: str, *secrets: str) -> str:
    """Return `text` with `secrets`, and all that looks like a key or token, cut to the prefix."""
    for secret in secrets:
        text = text.replace(secret, masked(secret) if SECRET.fullmatch(secret) else "***")
    return SECRET.sub(lambda match: match[0][:3] + "***", text)


def masked_traceback(error: BaseException) -> str:
    """Return the traceback of `error` and its causes as text for a log, without keys."""
    return masked("".join(traceback.format_exception(error)).rstrip())
