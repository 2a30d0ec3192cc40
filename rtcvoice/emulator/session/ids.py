"""Identifiers as the service makes them, from an injected random generator.

Every kind is a prefix and a random tail. A call and its session share the tail, so a log line of
one finds the other: `rtc_u2_E4xw...` and `sess_u2_E4xw...`.
"""

from __future__ import annotations

import re
import string
from random import Random

__all__ = ["Ids", "checked_call_id", "new_call_id", "session_id"]

_BASE62 = string.digits + string.ascii_letters
_HEX = "0123456789abcdef"


def new_call_id(random: Random) -> str:
    """Return a fresh call id, `rtc_u2_` and 21 base62 characters."""
    return "rtc_u2_" + "".join(random.choices(_BASE62, k=21))


def checked_call_id(call_id: str) -> str:
    """Return `call_id` if a folder can safely have that name. Raises ValueError."""
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,100}", call_id):
        raise ValueError(f"{call_id[:100]!r} is not an id of a call")
    return call_id


def session_id(call_id: str) -> str:
    """Return the id of the session that runs in the call `call_id`."""
    return "sess_" + call_id.removeprefix("rtc_")


class Ids:
    """Makes the ids of one session. The same seed gives the same ids in the same order."""

    def __init__(self, random: Random) -> None:
        self._random = random

    def _tail(self, alphabet: str = _BASE62, length: int = 21) -> str:
        return "".join(self._random.choices(alphabet, k=length))

    def event(self, kind: str) -> str:
        """Return an event id: base62, but hex for `output_audio_buffer.*`, like the service."""
        if kind.startswith("output_audio_buffer."):
            return "event_" + self._tail(_HEX, 16)
        return "event_" + self._tail()

    def item(self) -> str:
        """Return an id for a conversation item."""
        return "item_" + self._tail()

    def response(self) -> str:
        """Return an id for a response."""
        return "resp_" + self._tail()

    def conversation(self) -> str:
        """Return an id for a conversation."""
        return "conv_" + self._tail()

    def function_call(self) -> str:
        """Return a `call_id` for a function call item."""
        return "call_" + self._tail(length=16)

    def obfuscation(self, delta: str) -> str:
        """Return the random padding that hides how long `delta` is: up to a multiple of 16."""
        return self._tail(length=16 - len(delta) % 16)
