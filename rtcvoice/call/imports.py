"""What a call needs beyond its first request, imported while something else is waited for.

    FOR_OFFER   aiortc and what is built on it: while the token travels; the offer waits for it
    FOR_SOCKET  the same where the call goes over a WebSocket
    FOR_SIDEBAND  the same where a call is only attached to, and all that differs then
    FOR_CALL    the conversation and the call: while the offer travels
    FOR_LIVE    what a call of GPT-Live has in place of that, beside it
    FOR_TRANSLATION  the same for a translation
    FOR_SOUND   numpy and what plays and encodes: when the call is ready, before the first block

The event loop goes on meanwhile. All imports take turns, in the order in which they were asked for:
side by side they would only hinder each other.
"""

from __future__ import annotations

import sys
import threading
from contextlib import suppress
from importlib import import_module

from rtcvoice.system.threads import in_thread

__all__ = [
    "FOR_CALL",
    "FOR_LIVE",
    "FOR_OFFER",
    "FOR_SIDEBAND",
    "FOR_SOCKET",
    "FOR_SOUND",
    "FOR_TRANSLATION",
    "are_imported",
    "begin_importing",
    "imported",
]

FOR_OFFER = ("rtcvoice.wire.leg", "rtcvoice.capture.track")
FOR_SOCKET = ("rtcvoice.wire.websocket_leg", "rtcvoice.capture.event_track")
FOR_SIDEBAND = (
    *("rtcvoice.wire.sideband_leg", "rtcvoice.capture.no_track"),
    *("rtcvoice.call.attached_call", "rtcvoice.call.reattaching"),
)
FOR_CALL = ("rtcvoice.call.roads", "rtcvoice.call.call")
FOR_LIVE = ("rtcvoice.live.road", "rtcvoice.call.live_call")
FOR_TRANSLATION = ("rtcvoice.translation.road", "rtcvoice.call.translation_call")
FOR_SOUND = (
    *("numpy", "rtcvoice.sound.opus", "rtcvoice.sound.resampler", "rtcvoice.playout.engine"),
    "rtcvoice.call.reconnecting",
)

_one_at_a_time = threading.Lock()


def are_imported(modules: tuple[str, ...]) -> bool:
    """Whether nothing of them is left to import, or is being imported."""
    return all(name in sys.modules for name in modules) and not _one_at_a_time.locked()


async def imported(modules: tuple[str, ...]) -> None:
    """Return once all of them are imported. Raises what importing them does."""
    if not are_imported(modules):
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
