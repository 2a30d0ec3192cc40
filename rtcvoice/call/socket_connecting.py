"""The stages of getting a WebSocket up for a call: the key, the socket; the session comes after.

The counterpart of `connecting.py`, for networks that let nothing else through. The key itself opens
the socket, so no token is minted; an ephemeral token opens it, too. The session begins with the
server's defaults and is configured whole by one `session.update`.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias
from urllib.parse import quote, urlsplit

from rtcvoice.call.imports import FOR_SOCKET, imported
from rtcvoice.call.timings import Timings
from rtcvoice.config.call_config import CallConfig
from rtcvoice.config.session_fields import merged
from rtcvoice.errors import SignalingError, TransportError, one_line
from rtcvoice.masking import masked
from rtcvoice.rest.answers import HttpAnswer, refused
from rtcvoice.rest.client import tls_context, why
from rtcvoice.rest.credentials import Credentials
from rtcvoice.rest.proxies import proxy_for
from rtcvoice.rest.signaling import Signaling
from rtcvoice.rest.tunnels import Dialled, TunnelError, dial

if TYPE_CHECKING:
    from rtcvoice.capture.event_track import EventTrack
    from rtcvoice.capture.no_track import NoTrack
    from rtcvoice.wire.sideband_leg import SidebandLeg
    from rtcvoice.wire.websocket import UpgradeFailed
    from rtcvoice.wire.websocket_leg import WebSocketLeg

__all__ = ["CallSocket", "SocketConnecting", "socket_root"]

CallSocket: TypeAlias = "WebSocketLeg[EventTrack] | SidebandLeg[NoTrack]"
"""A leg by a WebSocket: the call itself, or beside a call."""

_PCM = {"type": "audio/pcm", "rate": 24000}

_DOING = "opening the WebSocket"

_HINTS = {
    "token": "nobody answers with the key or token",
    "websocket": "the server does not answer: check base_url and the network",
    "session": "the server was reached but does not start the session",
    "history": "the history is long for this network: shorten it, or raise connect_timeout=",
    "devices": "the source or sink does not open",
}


class SocketConnecting:
    """The making of one leg over a WebSocket; see `Connecting`. Event loop only.

    Raises CredentialsError when there is no key to connect with.
    """

    signaling_class: ClassVar[type[Signaling]] = Signaling
    """What speaks to the server by REST."""

    def __init__(
        self,
        config: CallConfig,
        timings: Timings,
        *,
        session_updates: Mapping[str, Any] = {},
        on_answered: Callable[[], None] = lambda: None,
    ) -> None:
        """`session_updates`, `on_answered`: as for `Connecting`."""
        self._config = config
        self._updates = session_updates
        self._on_answered = on_answered
        self._timings = timings
        self._signaling = self.signaling_class(
            base_url=config.base_url,
            credentials=config.credentials_source(),
            headers=config.headers,
            proxy=config.proxy,
            ca_file=config.ca_file,
        )
        self._proxy = proxy_for(config.base_url, config.proxy)
        self._legs: list[CallSocket] = []
        self.offered = asyncio.Event()
        """Set when the request that begins the call leaves."""

    async def run(self) -> CallSocket:
        """Open the socket and return the leg; it is the caller's then.

        Raises the errors named at `connect`; `aclose` afterwards.
        """
        credentials = await self.begin()
        from rtcvoice.wire.websocket import UpgradeFailed

        leg = self._new_leg({**self._config.headers, **credentials.headers})
        self._legs.append(leg)
        self.offered.set()
        with self._timings.stage("websocket"):
            try:
                await leg.transport.connect(await self._through_proxy())
            except UpgradeFailed as exc:
                raise self._failed(exc, credentials) from exc
        self._on_answered()
        return leg

    def _new_leg(self, headers: Mapping[str, str]) -> CallSocket:
        from rtcvoice.wire.websocket_leg import WebSocketLeg

        return WebSocketLeg(
            self._signaling,
            self._new_track(),
            url=self._address,
            headers=headers,
            tls=self._tls,
            pulse=self._pulse,
        )

    def _new_track(self) -> EventTrack:
        from rtcvoice.capture.event_track import EventTrack

        return EventTrack()

    @property
    def _tls(self) -> ssl.SSLContext | None:
        secure = urlsplit(self._config.base_url).scheme == "https"
        return tls_context(self._config.ca_file) if secure else None

    @property
    def _pulse(self) -> float:
        """Seconds between two pings: else the server's silence would look like a loss."""
        from rtcvoice.wire.websocket import PULSE

        return min(PULSE, self._config.liveness_timeout / 3)

    @property
    def _address(self) -> str:
        """Where the session is opened."""
        config, root = self._config, socket_root(self._config.base_url)
        if config.type == "transcription":
            return f"{root}/realtime?intent=transcription"
        return f"{root}/realtime?model={quote(config.model, safe='')}"

    async def begin(self) -> Credentials:
        """Import what is needed and get the key or token; `run` goes on from there."""
        await imported(FOR_SOCKET)
        if not self._signaling.asked:
            return await self._signaling.authorize()
        with self._timings.stage("token"):
            return await self._signaling.authorize()

    def note_in(self, timings: Timings) -> None:
        """Let the stages to come be those of a call; what was prepared took none of its time."""
        self._timings = timings

    token_expires_at: int | None = None
    """A key does not expire."""

    may_expire = False
    """Nothing is prepared that can."""

    async def keep_alive(self) -> None:
        """Do nothing: a socket is opened anew for each call."""

    @property
    def session_changes(self) -> dict[str, Any]:
        """What of the session did not travel with the request: all of it."""
        return self.changes_for(self._config)

    def changes_for(self, config: CallConfig) -> dict[str, Any]:
        """Return what makes the session the one of `config`, its audio as the events have it."""
        audio: dict[str, Any] = {"input": {"format": _PCM}}
        if config.type == "realtime":
            audio["output"] = {"format": _PCM}
        given = self._signaling.token_was_given
        session = config.session_changes() if given else config.session_payload()
        session.pop("model", None)  # it is in the address, and does not change
        return merged(merged({"audio": audio}, session), self._updates)

    async def aclose(self) -> None:
        """Close what was made of a leg; never raises."""
        if self._legs:
            await self._legs[0].aclose()
        else:
            await self._signaling.aclose()

    def too_late(self, after: float = 0.0) -> TransportError:
        """Return the error for a deadline that has passed: which stage it stopped at, and why.

        after: the deadline in seconds, where it is another one than `connect_timeout`.
        """
        stage = next((name for name in _HINTS if name in self._timings.running), "start")
        hint = _HINTS.get(stage, "")
        if stage == "token" and (asked := self._signaling.asked):
            hint = f"{asked} does not answer"
        limit = after or self._config.connect_timeout
        return TransportError(
            f"connecting took longer than {limit:.3g} s; it stopped at the stage '{stage}'",
            stage=stage,
            hint=hint,
        )

    async def _through_proxy(self) -> Dialled | None:
        """Return a connection to the server through the proxy; None where there is no proxy.

        The `websockets` package would leave one open that it waits for when it is cancelled.
        """
        if self._proxy is None:
            return None
        parts = urlsplit(self._config.base_url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        tls = partial(tls_context, self._config.ca_file)
        try:
            return await dial(parts.hostname or "", port, proxy=self._proxy, tls=tls)
        except TunnelError as exc:
            status = exc.status or None
            raise SignalingError(f"{_DOING} failed: {exc}", status=status, hint=exc.hint) from exc

    def _failed(self, exc: UpgradeFailed, credentials: Credentials) -> SignalingError:
        secrets, url = (credentials.value,), self._config.base_url
        if exc.status:
            answer = HttpAnswer(exc.status, exc.headers, exc.body)
            return refused(answer, _DOING, secrets, host=urlsplit(url).hostname or "")
        cause = exc.__cause__ if isinstance(exc.__cause__, Exception) else exc
        what, hint = why(cause, one_line(masked(str(exc), *secrets)), url)
        if self._proxy is not None:
            hint = f"it goes through the proxy {self._proxy.place}: is it right? {hint}"
        host = urlsplit(url).netloc
        return SignalingError(f"{_DOING} failed: cannot talk to {host}: {what}", hint=hint)


def socket_root(base_url: str) -> str:
    """Return what the addresses of WebSockets begin with."""
    scheme = urlsplit(base_url).scheme
    return ("wss" if scheme == "https" else "ws") + base_url.rstrip("/")[len(scheme) :]
