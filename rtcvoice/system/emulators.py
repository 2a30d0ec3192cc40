"""Which servers said that they are rtcvoice's emulator: nothing is paid there; a leaf.

The emulator names itself in the `Server` field of its HTTP answers. Whoever reads such an answer
notes it, and whoever tells of costs asks. Any thread.
"""

from __future__ import annotations

from urllib.parse import urlsplit

__all__ = ["NAME", "is_emulator", "note_server"]

NAME = "rtcvoice-emulator"

MOST = 1000
"""Servers that are remembered. FULL: further ones are not."""

_emulators: set[tuple[str | None, int | None]] = set()


def note_server(url: str, name: str) -> None:
    """Note the `Server` field of an answer from `url`; another server may be there later."""
    if name != NAME:
        _emulators.discard(_place(url))
    elif len(_emulators) < MOST:
        _emulators.add(_place(url))


def is_emulator(url: str) -> bool:
    """Whether the latest answer from the server of `url` was an emulator's."""
    return _place(url) in _emulators


def _place(url: str) -> tuple[str | None, int | None]:
    try:
        parts = urlsplit(url)
        return parts.hostname, parts.port
    except ValueError:
        return None, None
