"""The media shell of a Live session: what it does otherwise than that of the other dialect.

Its DTLS is the server's side, so the answer says `setup:passive`. The core hears only what arrives:
when the client's RTP stops, so does the model's clock. A client that leaves without `session.close`
is waited for.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from rtcvoice.emulator.channel import Listener
from rtcvoice.emulator.connection import be_dtls_server
from rtcvoice.emulator.failures import Failures
from rtcvoice.emulator.live.channel import LiveChannel
from rtcvoice.emulator.live.options import LiveOptions
from rtcvoice.emulator.live.outbox import LiveOutput, SendAside
from rtcvoice.emulator.live.session import LiveSession
from rtcvoice.emulator.peer import Peer
from rtcvoice.emulator.session.outputs import Output
from rtcvoice.system import clock
from rtcvoice.wire import _sctp

__all__ = ["LivePeer"]

STALLED = 0.5
"""Seconds without RTP from the client after which the model's clock stands."""


class LiveFailures(Failures):
    """The emulator's own failures, as errors of this dialect."""

    def event(self, exc: Exception, client_event: object = None) -> dict[str, Any]:
        """Note a failure, and return the event that tells it."""
        event = super().event(exc)
        del event["error"]["event_id"], event["error"]["param"]
        if isinstance(client_event, str):
            event["error"]["client_event_id"] = client_event
        return event


class LivePeer(Peer):
    """The server's end of one Live session over WebRTC; made as a `Peer` is."""

    def __init__(self, session: LiveSession, *, options: LiveOptions, **given: Any) -> None:
        super().__init__(session, **given)
        self._core = session
        self._options = options
        self._failures = LiveFailures()
        self._packet_at = float("-inf")
        self._lost = False
        self._channel = self._live_channel = LiveChannel(
            on_text=self._receive_untrusted,
            on_close=self._left,
            limit=lambda: _sctp.max_message_size(self._peer),
            large_closes=options.large_events == "close",
        )

    @property
    def finished(self) -> bool:
        """Whether the session is over; the connection may stay for a moment."""
        return self._core.finished

    @property
    def graceful(self) -> bool:
        """Whether sidebands are closed with a handshake without having asked for it."""
        return self._options.graceful_close

    def attach(self, listener: Listener) -> None:
        """Let `listener` have the last events again, and every event and sound from now on."""
        for event in self._core.replay():
            listener(json.dumps(event))
        self._channel.listeners.append(listener)
        self._core.reflects = True

    def detach(self, listener: Listener) -> None:
        """Stop that."""
        super().detach(listener)
        self._core.reflects = bool(self._channel.listeners)

    def receive_text(self, text: str) -> None:
        """Take a client event from a sideband, which may do everything."""
        self._receive(text, trusted=True)

    def _receive_untrusted(self, text: str) -> None:
        self._receive(text, trusted=False)

    def _receive(self, text: str, *, trusted: bool) -> None:
        self._heard_at = clock.now()
        self._take(text, lambda now: self._core.receive_text(text, now, trusted=trusted))

    def hang_up(self) -> None:
        """End the session; the connection follows."""
        self._guarded(self._core.hang_up)

    # -- what differs ------------------------------------------------------------------------------

    def _choose_dtls_role(self) -> None:
        be_dtls_server(self._peer)

    def _begin(self, now: float) -> None:
        super()._begin(now)
        if not self._offers_channel:
            self._guarded(self._core.open)

    def _hear(self, packet: Any) -> None:
        self._packet_at = clock.now()
        super()._hear(packet)

    def _listen(self, now: float) -> None:
        heard = self._ear.listen(now)
        self._recorder.heard(heard)
        if clock.now() - self._packet_at < STALLED:
            self._guarded(self._core.receive_audio, heard)

    def _left(self) -> None:
        if self._peer.connectionState == "connecting":  # its client never came
            self.end()
        elif not self._lost:
            self._lost = True
            self._guarded(self._core.client_lost)

    def _alive(self) -> None:
        super()._alive()
        if self._lost and self._peer.connectionState == "connected":
            self._lost = False
            self._guarded(self._core.client_back)

    def _may_be_without_media(self) -> bool:
        """Whether silence is no sign any more: that the client is gone is known."""
        return self._lost or super()._may_be_without_media()

    def _carry_out(self, outputs: Iterable[LiveOutput]) -> None:
        for output in outputs:
            if isinstance(output, SendAside):
                if output.kept:
                    self._observe("out", output.event)
                self._live_channel.aside(output.event)
            else:
                carried: list[Output] = [output]
                super()._carry_out(carried)
