"""One translation, pure: client events, audio and time in; server events and audio out.

It has no clock, task, socket or thread, and is driven as a session of the other dialects is. Its
clock is the audio that arrives, in frames of 200 ms; a client that sends none stands still. Over a
WebSocket its sound goes out in events as it is made, otherwise to the track.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

import numpy as np

from rtcvoice.emulator.live import client_events as live_events
from rtcvoice.emulator.live.duplex import Duplex
from rtcvoice.emulator.live.hub import FRAME, Hub
from rtcvoice.emulator.live.options import AS_KNOWN, LiveOptions
from rtcvoice.emulator.live.socket_audio import SocketReader, SocketWriter
from rtcvoice.emulator.live.stream_core import StreamCore
from rtcvoice.emulator.session.agenda import Agenda
from rtcvoice.emulator.session.assistant import Assistant
from rtcvoice.emulator.session.client_events import client_event_id
from rtcvoice.emulator.session.clips import Voice
from rtcvoice.emulator.session.faults import SessionFaults
from rtcvoice.emulator.session.ids import Ids, session_id
from rtcvoice.emulator.session.noise import Noise
from rtcvoice.emulator.session.outputs import (
    RATE_HZ,
    Close,
    Event,
    HearAudio,
    Pcm,
    PlayAudio,
)
from rtcvoice.emulator.session.persona import Persona
from rtcvoice.emulator.session.schema import (
    RequestError,
    anything,
    invalid,
    nullable,
    record,
    string,
)
from rtcvoice.emulator.session.shared import AT_ONCE, Pace
from rtcvoice.emulator.translations.interpreter import Interpreter
from rtcvoice.emulator.translations.outbox import TranslationOutbox
from rtcvoice.emulator.translations.settings import Settings, public, updated

__all__ = ["TranslationSession"]

LONGEST_DRAIN = 30.0
"""Seconds of its clock that the end may take to say all that was said before."""

LEAVES_AFTER = 0.2
"""Seconds from `session.closed` to the end of the connection."""

_PCM = {"type": "audio/pcm", "rate": RATE_HZ}
_PERSONA = {"instructions": "translate", "delegation": {"type": "client"}}
"""What the persona is told of the session."""

_base = {"type": anything, "event_id": nullable(string(longest=512))}
_EVENTS = {
    "session.update": record({**_base, "session": anything}, required=("session",)),
    "session.input_audio_buffer.append": record({**_base, "audio": string()}, required=("audio",)),
    "session.close": record(_base),
}


class TranslationSession(StreamCore):
    """A translation from the moment it was created. Not thread-safe; it never blocks.

    `settings` comes from `settings.validate` and is not changed. The rest as in the other dialects'
    sessions; `call_id` is that of the call it runs in.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        call_id: str,
        now: float,
        voice: Voice,
        persona: Persona | None = None,
        random: Random | None = None,
        pace: Pace | None = None,
        options: LiveOptions = AS_KNOWN,
        faults: SessionFaults | None = None,
        duration: float = 3600.0,
        unix_time: float = 0.0,
        instant: bool = False,
        on_socket: bool = False,
    ) -> None:
        faults = faults or SessionFaults()
        random = random or Random()  # noqa: S311 - ids need no secrecy here
        duration = faults.life(duration)
        ids = Ids(random)
        self.id = session_id(call_id)
        self.settings = settings
        """As they are now."""
        hub = Hub(
            ids=ids,
            outbox=TranslationOutbox(ids, self._transcribes),
            wall=Agenda(now),
            options=options,
            settings=_PERSONA,
            voice=voice,
            pace=pace or (AT_ONCE if instant else Pace()),
            instant=instant,
            unix_origin=unix_time - now,
        )
        super().__init__(hub, Noise(faults, random))
        self._duplex = Duplex(persona or Assistant(voice), voice, faults)
        self._interpreter = Interpreter(self._hub, self._duplex)
        self._told = faults.session_end.told
        self._expires_at = int(unix_time + duration)
        self._reader = SocketReader(_PCM) if on_socket else None
        self._writer = SocketWriter(_PCM) if on_socket else None
        self._opened = self._over = False
        self._closing_since: int | None = None
        self._hub.wall.after(duration, self._expire)
        self._handlers: dict[str, Callable[[Event], None]] = {
            "session.update": self._update,
            "session.input_audio_buffer.append": self._append,
            "session.close": self._close,
        }

    # ---- the shell's side

    @property
    def warnings(self) -> Sequence[str]:
        """What did not go by the script, oldest first."""
        return self._duplex.warnings

    def session_object(self) -> dict[str, object]:
        """Return the session as events show it."""
        return public(self.settings, self.id, self._expires_at)

    def open(self, now: float, *, sideband: bool = False) -> None:
        """Begin, when somebody listens."""
        self._at(now)
        if not self._opened and not sideband:
            self._opened = True
            self._outbox.send("session.created", session=self.session_object())

    def receive_text(self, text: str, now: float) -> None:
        """Take one client event. Whatever it is, the answer is events, never an exception."""
        self._at(now)
        if self._over:
            return
        client_event: str | None = None
        try:
            event = live_events.decode(text)
            client_event = client_event_id(event)
            self._obey(event)
        except RequestError as exc:
            self._refuse(exc, client_event)

    # ---- inside

    def _transcribes(self) -> bool:
        return self.settings["audio"]["input"]["transcription"] is not None

    @property
    def _hears(self) -> bool:
        return self._opened and not self._over

    def _hear(self, samples: Pcm) -> None:
        self._interpreter.ear.receive(samples)
        self._hub.heard += len(samples)
        if self._hub.heard % FRAME:
            return
        self._interpreter.frame(self._hub.frame_ms)
        self._sound_in_events()
        busy = self._interpreter.busy
        if self._interpreter.expires and not busy:
            self._expire()
        elif self._closing_since is not None:
            waited = (self._hub.heard - self._closing_since) / RATE_HZ
            if not busy or waited >= LONGEST_DRAIN:
                self._finish()

    def _sound_in_events(self) -> None:
        """Put sound that was made into events as well, where there is no track."""
        if self._writer is None:
            return
        for output in self._outbox.drain():
            self._outbox.put(output)
            if isinstance(output, PlayAudio) and len(output.samples):
                self._outbox.send(
                    "session.output_audio.delta",
                    delta=self._writer.write(output.samples),
                    sample_rate=RATE_HZ,
                    channels=1,
                    format="pcm16",
                    elapsed_ms=self._hub.frame_ms,
                )

    def _obey(self, event: Event) -> None:
        kind = event["type"]
        known = [name for name in _EVENTS if self._reader is not None or "audio" not in name]
        if not isinstance(kind, str) or kind not in known:
            shown = kind[:100] if isinstance(kind, str) else type(kind).__name__
            listed = ", ".join(f"'{name}'" for name in known)
            raise invalid("type", f"Invalid value: '{shown}'. Supported values are: {listed}.")
        _EVENTS[kind](event, "")
        if self._closing_since is not None:
            raise RequestError(None, "The session is closing.")
        self._handlers[kind](event)

    def _update(self, event: Event) -> None:
        self.settings = updated(self.settings, event["session"])
        self._outbox.send("session.updated", session=self.session_object())

    def _append(self, event: Event) -> None:
        assert self._reader is not None
        samples = self._reader.read(event["audio"])
        self._outbox.put(HearAudio(samples))
        self.receive_audio(samples, self._outbox.now)

    def _close(self, event: Event) -> None:
        """End when all that was said is translated; without RTP nobody sends the silence for it."""
        self._closing_since = self._hub.heard
        if not self._interpreter.busy:
            self._finish()
        elif self._writer is not None:
            silence = np.zeros(FRAME, np.int16)
            while not self._over:
                self.receive_audio(silence, self._outbox.now)

    def _finish(self) -> None:
        self._over = True
        self._outbox.send("session.closed")
        self._hub.wall.after(LEAVES_AFTER, lambda: self._outbox.put(Close("closed")))

    def _expire(self) -> None:
        if self._over:
            return
        self._over = True
        if self._told:
            message = "Your session hit the maximum duration of 60 minutes."
            self._refuse(RequestError("session_expired", message))
        self._outbox.put(Close("session_expired"))

    def _refuse(self, exc: RequestError, client_event: str | None = None) -> None:
        self._outbox.send(
            "error",
            error={
                "type": "invalid_request_error",
                "code": exc.code or "invalid_value",
                "message": exc.message,
                "param": exc.param,
                "event_id": client_event,
            },
        )
