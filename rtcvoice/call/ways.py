"""By which way a call is to be connected: WebRTC, a WebSocket, or whichever gets through."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias, TypedDict, Unpack

from rtcvoice.call.connecting import Connecting
from rtcvoice.call.racing import SOCKET_DELAY, RacingConnecting
from rtcvoice.call.socket_connecting import SocketConnecting
from rtcvoice.call.timings import Timings
from rtcvoice.config.call_config import CallConfig

if TYPE_CHECKING:
    from rtcvoice.call.live_connecting import ForkOf
    from rtcvoice.wire.leg import Ways

__all__ = ["AnyConnecting", "connecting_for"]

AnyConnecting: TypeAlias = Connecting | SocketConnecting | RacingConnecting

AGAIN_DELAY = 2.5
"""Seconds that WebRTC has for itself when a call that was up connects again: it has less time."""


class WebRtcOptions(TypedDict, total=False):
    """What only the making of a WebRTC connection can use; see `Connecting`."""

    keep_connection: bool
    last_route: str
    ways: Ways | None
    tcp_timeout: float | None


def connecting_for(
    config: CallConfig,
    timings: Timings,
    *,
    session_updates: Mapping[str, Any] = {},
    on_answered: Callable[[], None] = lambda: None,
    fork_of: ForkOf | None = None,
    **for_webrtc: Unpack[WebRtcOptions],
) -> AnyConnecting:
    """Return the making of a leg by the way that `config` names; see `Connecting`."""

    by_webrtc, by_socket = Connecting, SocketConnecting
    if config.is_translation:
        from rtcvoice.call import translation_connecting as translating  # late: few calls are

        by_webrtc = translating.TranslationConnecting
        by_socket = translating.TranslationSocketConnecting

    def socket() -> SocketConnecting:
        return by_socket(config, timings, session_updates=session_updates, on_answered=on_answered)

    if config.is_live:
        from rtcvoice.call.live_connecting import LiveConnecting  # late: few calls are

        return LiveConnecting(
            config,
            timings,
            creating=None if fork_of is None else fork_of.create,
            session_updates=session_updates,
            on_answered=on_answered,
            **for_webrtc,
        )
    if config.transport == "websocket":
        return socket()
    webrtc = by_webrtc(
        config, timings, session_updates=session_updates, on_answered=on_answered, **for_webrtc
    )
    if config.transport == "webrtc" or not _may_fall_back(config):
        return webrtc
    again = "tcp_timeout" in for_webrtc
    delay = AGAIN_DELAY if again else SOCKET_DELAY
    if for_webrtc.get("last_route") == "websocket":
        delay = 0.0
    return RacingConnecting(webrtc, socket(), socket_delay=delay)


def _may_fall_back(config: CallConfig) -> bool:
    """Whether a WebSocket is wanted where WebRTC does not get through.

    Not where the key would travel unencrypted, nor where a relay is the only way that is wanted,
    nor past a bad network that was asked for.
    """
    by_relay_only = config.ice_transport_policy == "relay"
    return config.may_open_socket and not by_relay_only and config.network is None
