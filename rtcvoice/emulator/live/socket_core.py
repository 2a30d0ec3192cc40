"""The core of a Live session on a WebSocket: `session.start` begins it, and sound is in events.

The model's voice is one unbroken stream: for every 100 ms of audio that comes, 100 ms go out, zeros
between what is said.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from rtcvoice.emulator.live import client_events
from rtcvoice.emulator.live.outbox import LiveOutput, SendAside
from rtcvoice.emulator.live.session import LiveSession
from rtcvoice.emulator.live.socket_audio import SocketReader, SocketWriter
from rtcvoice.emulator.session.ids import Ids
from rtcvoice.emulator.session.outputs import (
    RATE_HZ,
    Event,
    HearAudio,
    Pcm,
    PlayAudio,
    SendEvent,
    StopAudio,
)
from rtcvoice.emulator.session.schema import RequestError, invalid

__all__ = ["NewSession", "SocketCore"]

PIECE = RATE_HZ // 10
"""Samples of one piece of the model's voice."""

NewSession: TypeAlias = Callable[[Any, float], LiveSession]
"""Makes the session of the settings in `session.start`. Raises RequestError."""


class SocketCore:
    """Drives a `LiveSession` for a shell that has events alone."""

    def __init__(self, new_session: NewSession, ids: Ids) -> None:
        self._new_session = new_session
        self._ids = ids
        self._session: LiveSession | None = None
        self._reader: SocketReader | None = None
        self._writer: SocketWriter | None = None
        self._outputs: list[LiveOutput] = []
        self._voice: deque[Pcm] = deque()
        self._piece = 0  # samples that came since the last piece of the voice

    @property
    def session(self) -> LiveSession | None:
        """The session, once it has started."""
        return self._session

    @property
    def warnings(self) -> Sequence[str]:
        """What did not go by the script, oldest first."""
        return () if self._session is None else self._session.warnings

    def open(self, now: float, *, sideband: bool = False) -> None:
        """Wait for `session.start`."""

    def advance(self, now: float) -> None:
        """Do everything that is due by `now`."""
        if self._session is not None:
            self._session.advance(now)
            self._gather()

    def drain(self) -> list[LiveOutput]:
        """Return what is to be done now, in order."""
        outputs, self._outputs = self._outputs, []
        return outputs

    def receive_text(self, text: str, now: float) -> None:
        """Take one client event. Whatever it is, the answer is events, never an exception."""
        client_event: str | None = None
        try:
            event = client_events.decode(text)
            given = event.get("event_id")
            client_event = given if isinstance(given, str) else None
            if event["type"] == "session.start":
                self._start(event, now)
            elif self._session is None:
                raise invalid("type", "Send session.start first.")
            elif event["type"] == "session.input_audio.append":
                client_events.check(event, client_events.ON_SOCKET)
                self._append(event, now)
            else:
                self._session.receive_text(text, now, trusted=True)
                self._gather()
        except RequestError as exc:
            self._refuse(exc, client_event)

    def receive_audio(self, samples: Pcm, now: float) -> None:
        """Take input audio: int16, mono, 24 kHz."""
        session = self._session
        while session is not None and session.started and not session.finished and len(samples):
            part, samples = np.split(samples, [min(len(samples), PIECE - self._piece)])
            session.receive_audio(part, now)
            self._gather()
            self._piece += len(part)
            if self._piece == PIECE:
                self._piece = 0
                self._say()

    def _start(self, event: Event, now: float) -> None:
        client_events.check(event, client_events.ON_SOCKET)
        if self._session is not None:
            raise invalid("type", "The session has started already.")
        self._session = self._new_session(event["session"], now)
        format_ = self._session.settings["audio"]["format"]
        self._reader, self._writer = SocketReader(format_), SocketWriter(format_)
        self._session.open(now, client_event=event.get("event_id"))
        self._gather()

    def _append(self, event: Event, now: float) -> None:
        if self._reader is not None:
            samples = self._reader.read(event["audio"])
            self._outputs.append(HearAudio(samples))
            self.receive_audio(samples, now)

    def _gather(self) -> None:
        """Take what the session wants done; its sound waits for the clock."""
        if self._session is None:
            return
        for output in self._session.drain():
            match output:
                case PlayAudio(samples):
                    self._voice.append(samples)
                case StopAudio():
                    self._voice.clear()
                case SendAside():
                    pass  # there are no sidebands
                case _:
                    self._outputs.append(output)

    def _say(self) -> None:
        piece = np.zeros(PIECE, np.int16)
        filled = 0
        while self._voice and filled < PIECE:
            head = self._voice.popleft()
            part = head[: PIECE - filled]
            piece[filled : filled + len(part)] = part
            filled += len(part)
            if len(part) < len(head):
                self._voice.appendleft(head[len(part) :])
        self._outputs.append(PlayAudio(piece, ""))  # to be recorded
        if self._writer is not None:
            event = {"type": "session.output_audio.delta", "delta": self._writer.write(piece)}
            self._outputs.append(SendEvent(event))

    def _refuse(self, exc: RequestError, client_event: str | None) -> None:
        details: dict[str, Any] = {
            "type": "invalid_request_error",
            "code": exc.code or "invalid_value",
            "message": exc.message,
        }
        if exc.param is not None:
            details["param"] = exc.param
        if client_event is not None:
            details["client_event_id"] = client_event
        event = {"type": "error", "event_id": self._ids.event("error"), "error": details}
        self._outputs.append(SendEvent(event))
