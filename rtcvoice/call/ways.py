"""By which way a call is to be connected: WebRTC, or a WebSocket."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, TypedDict, Unpack

from rtcvoice.call.connecting import Connecting
from rtcvoice.call.socket_connecting import SocketConnecting
from rtcvoice.call.timings import Timings
from rtcvoice.config.call_config import CallConfig

__all__ = ["AnyConnecting", "connecting_for"]

AnyConnecting: TypeAlias = Connecting | SocketConnecting


class WebRtcOptions(TypedDict, total=False):
    """What only the making of a WebRTC connection can use; see `Connecting`."""

    keep_connection: bool
    last_route: str
    tcp_timeout: float | None


def connecting_for(
    config: CallConfig,
    timings: Timings,
    *,
    session_updates: Mapping[str, Any] = {},
    on_answered: Callable[[], None] = lambda: None,
    **for_webrtc: Unpack[WebRtcOptions],
) -> AnyConnecting:
    """Return the making of a leg by the way that `config` names; see `Connecting`."""
    if config.transport == "websocket":
        return SocketConnecting(
            config, timings, session_updates=session_updates, on_answered=on_answered
        )
    return Connecting(
        config, timings, session_updates=session_updates, on_answered=on_answered, **for_webrtc
    )
