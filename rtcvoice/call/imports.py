"""What a call needs beyond its first request, imported in a thread while that travels.

    FOR_OFFER   aiortc and what is built on it: the offer waits for it
    FOR_SOCKET  the same where the call goes over a WebSocket
    FOR_SOUND   numpy, the conversation and the rest: imported while the offer travels

The event loop goes on meanwhile. All imports take turns, in the order in which they were asked for:
side by side they would only hinder each other.
"""

from __future__ import annotations

import sys
import threading
from contextlib import suppress
from importlib import import_module

from rtcvoice.system.threads import in_thread

__all__ = ["FOR_OFFER", "FOR_SOCKET", "FOR_SOUND", "begin_importing", "imported"]

FOR_OFFER = ("rtcvoice.wire.leg", "rtcvoice.capture.track")
FOR_SOCKET = ("rtcvoice.wire.websocket_leg", "rtcvoice.capture.event_track")
FOR_SOUND = (
    *("numpy", "rtcvoice.playout.player", "rtcvoice.call.roads", "rtcvoice.call.call"),
    "rtcvoice.call.reconnecting",
)

_one_at_a_time = threading.Lock()


async def imported(modules: tuple[str, ...]) -> None:
    """Return once all of them are imported. Raises what importing them does."""
    if any(name not in sys.modules for name in modules):
        await in_thread(_import, modules)


def begin_importing(modules: tuple[str, ...]) -> None:
    """Begin, for an `imported` that comes later; what goes wrong is raised there."""
    if any(name not in sys.modules for name in modules):
        threading.Thread(target=_try_to_import, args=(modules,), daemon=True).start()


def _try_to_import(modules: tuple[str, ...]) -> None:
    with suppress(Exception):
        _import(modules)


def _import(modules: tuple[str, ...]) -> None:
    with _one_at_a_time:
        for name in modules:
            import_module(name)
