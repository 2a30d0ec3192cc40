"""One Live session, pure: client events, audio and time in; server events and audio out.

It has no clock, task, socket or thread, and is driven as a session of the other dialect is
(`session/session.py`), by the same shell. What differs is its clock: the audio that arrives. `Mind`
hears and speaks by it, frame by frame; only what the service does beside the model (the backend,
the end) is due by the time of the wall.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

import numpy as np

from rtcvoice.emulator.live import client_events
from rtcvoice.emulator.live.duplex import Duplex
from rtcvoice.emulator.live.fixture import Fixture
from rtcvoice.emulator.live.hub import FRAME, FRAME_MS, Hub, message
from rtcvoice.emulator.live.idle import Idle
from rtcvoice.emulator.live.life import Life, LiveState
from rtcvoice.emulator.live.mind import Mind
from rtcvoice.emulator.live.options import AS_KNOWN, LiveOptions
from rtcvoice.emulator.live.outbox import LiveOutbox
from rtcvoice.emulator.live.permissions import Permissions
from rtcvoice.emulator.live.reflection import Reflection
from rtcvoice.emulator.live.settings import Settings, public, updated
from rtcvoice.emulator.live.stream_core import StreamCore
from rtcvoice.emulator.live.usage import Usage
from rtcvoice.emulator.session.agenda import Agenda
from rtcvoice.emulator.session.assistant import Assistant
from rtcvoice.emulator.session.client_events import client_event_id
from rtcvoice.emulator.session.clips import Voice
from rtcvoice.emulator.session.faults import SessionFaults
from rtcvoice.emulator.session.ids import Ids
from rtcvoice.emulator.session.items import Item
from rtcvoice.emulator.session.noise import Noise
from rtcvoice.emulator.session.outputs import Event, Pcm
from rtcvoice.emulator.session.persona import Persona
from rtcvoice.emulator.session.schema import RequestError, invalid
from rtcvoice.emulator.session.shared import AT_ONCE, Pace

__all__ = ["LiveSession"]

MOST_EARLY = 128
"""Commands that wait for the session's start, or appends for the model."""

MOST_EARLY_CHARACTERS = 1 << 20


class LiveSession(StreamCore):
    """A session from the moment it was created. Not thread-safe; it never blocks.

    `settings` comes from `settings.validate` (or `forked`) and is not changed. `now` is seconds of
    any clock that does not go back; `unix_time` is the wall time at the same moment. `history`: the
    items of the session that it is a fork of. The rest as in the other dialect's `Session`.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        session_id: str,
        now: float,
        voice: Voice,
        persona: Persona | None = None,
        random: Random | None = None,
        pace: Pace | None = None,
        options: LiveOptions = AS_KNOWN,
        faults: SessionFaults | None = None,
        duration: float = 7200.0,
        unix_time: float = 0.0,
        instant: bool = False,
        history: Sequence[Item] = (),
    ) -> None:
        faults = faults or SessionFaults()
        random = random or Random()  # noqa: S311 - ids need no secrecy here
        duration = faults.life(duration)
        ids = Ids(random)
        self.id = session_id
        self._options = options
        self._permissions = Permissions(settings)
        hub = Hub(
            ids=ids,
            outbox=LiveOutbox(ids, self._permissions),
            wall=Agenda(now),
            options=options,
            settings=settings,
            voice=voice,
            pace=pace or (AT_ONCE if instant else Pace()),
            instant=instant,
            unix_origin=unix_time - now,
        )
        super().__init__(hub, Noise(faults, random))
        self._hub.items.extend(history)
        for each in settings["input"]:
            self._hub.items.append(message(each["role"], each["content"][0]["text"]))
        self._usage = Usage(self._hub)
        self._duplex = Duplex(persona or Assistant(voice), voice, faults)
        self._mind = Mind(self._hub, self._duplex, self._usage)
        self._fixture = Fixture(self._hub)
        self._idle = Idle(self._hub)
        self._reflection = Reflection(self._hub, self._mind.speaker, self._fixture)
        self._expires_at = int(unix_time + duration)
        self._life = Life(
            self._hub, self._mind, self._usage, self.session_object, told=faults.session_end.told
        )
        on_socket = "format" in settings["audio"]
        self._kinds = client_events.ON_SOCKET if on_socket else client_events.ON_CHANNEL
        self._muted = False
        self._early: list[tuple[str, bool]] = []
        self._appends: list[Event] = []
        self._hub.wall.after(duration, self._life.expire)
        self._handlers: dict[str, Callable[[Event], None]] = {
            "session.update": self._update,
            "session.close": self._close,
            "session.input_audio.mute": lambda event: self._mute(event, muted=True),
            "session.input_audio.unmute": lambda event: self._mute(event, muted=False),
            "session.instructions.append": self._append,
            "session.thinking.append": self._append,
            "session.commentary.append": self._append,
            "response.item.create": self._mind.backend.add,
            "response.create": lambda event: self._mind.backend.create(event.get("event_id")),
            "decision.create": self._mind.decisions.create,
            "decision.item.create": self._mind.decisions.add_item,
            "decision.item.delete": self._mind.decisions.delete_item,
            "session.output_audio.fixture.play": self._play_fixture,
            "transport.dtmf.send": self._no_telephone,
        }

    # ---- the shell's side

    @property
    def finished(self) -> bool:
        """Whether `session.closed` was sent."""
        return self._life.state is LiveState.CLOSED

    @property
    def started(self) -> bool:
        """Whether `session.started` was sent."""
        return self._life.state is not LiveState.WAITING

    @property
    def reflects(self) -> bool:
        """Whether the sound of both sides is sent to sidebands."""
        return self._reflection.wanted

    @reflects.setter
    def reflects(self, wanted: bool) -> None:
        self._reflection.wanted = wanted

    @property
    def settings(self) -> Settings:
        """The settings as they are now."""
        return self._hub.settings

    @property
    def history(self) -> list[Item]:
        """What was said, for a fork."""
        return list(self._hub.items)

    @property
    def warnings(self) -> Sequence[str]:
        """What did not go by the script, oldest first."""
        return (*self._duplex.warnings, *self._mind.warnings)

    def session_object(self) -> dict[str, object]:
        """Return the session as `session.started` shows it."""
        return public(self._hub.settings, self.id, self._expires_at)

    def replay(self) -> list[Event]:
        """Return what a sideband gets when it comes."""
        return self._outbox.replay() if self._options.replay else []

    def open(self, now: float, *, sideband: bool = False, client_event: str | None = None) -> None:
        """Begin, when the client's channel is open; a sideband alone begins nothing.

        `client_event`: the id of the `session.start` that a WebSocket begins with.
        """
        self._at(now)
        if sideband or not self._life.begin():
            return
        self._outbox.send(
            "session.started", client_event=client_event, session=self.session_object()
        )
        if self._permissions.restricted:
            text = "The data channel is restricted to the events that the session allows."
            self._outbox.send("info", code="data_channel_permissions", message=text)
        early, self._early = self._early, []
        for text, trusted in early:
            self.receive_text(text, now, trusted=trusted)

    def receive_text(self, text: str, now: float, *, trusted: bool = False) -> None:
        """Take one client event; `trusted`: from a sideband, which may do everything."""
        self._at(now)
        if self.closed:
            return
        client_event: str | None = None
        try:
            event = client_events.decode(text)
            client_event = client_event_id(event)
            if not self.started:
                self._wait_for_start(text, trusted=trusted)
                return
            self._obey(event, trusted=trusted)
        except RequestError as exc:
            self._hub.error(exc, client_event)

    def hang_up(self, now: float) -> None:
        """End at once, as the key's owner asked by REST."""
        self._at(now)
        self._life.finish("close_requested")

    def client_lost(self, now: float) -> None:
        """Note that the connection to the client is gone; after a while the session ends."""
        self._at(now)
        self._life.client_lost()

    def client_back(self, now: float) -> None:
        """Note that the client that seemed to be gone is there."""
        self._at(now)
        self._life.client_back()

    # ---- the sound

    @property
    def _hears(self) -> bool:
        return self._life.state in (LiveState.ACTIVE, LiveState.CLOSING)

    def _hear(self, samples: Pcm) -> None:
        if self._idle.hear(samples, self._usage):
            return
        self._usage.active(len(samples))
        self._reflection.heard(samples)
        deaf = self._muted or self._fixture.playing
        self._mind.ear.receive(np.zeros_like(samples) if deaf else samples)
        self._hub.heard += len(samples)
        if self._hub.heard % FRAME == 0:
            self._frame(self._hub.frame_ms)

    def _frame(self, clock_ms: int) -> None:
        self._reflection.frame(clock_ms)
        appends, self._appends = self._appends, []
        for event in appends:
            self._acknowledge(event, clock_ms)
        if self._fixture.playing:
            self._fixture.frame()
            return
        if clock_ms == FRAME_MS:
            self._mind.started()
        self._mind.frame(clock_ms)
        if self._mind.expires and not self._mind.speaker.busy:
            self._life.expire()
        self._usage.tell_when_due()
        ear, speaker = self._mind.ear, self._mind.speaker
        since = max(ear.quiet_since_ms, speaker.quiet_since_ms)
        if self._mind.quiet and not self._appends:
            self._idle.quiet((clock_ms - since) / 1000, at_once=self._mind.wants_pause)
        self._mind.wants_pause = self._mind.wants_pause and self._mind.speaker.busy

    # ---- commands; each either does all it is asked, or raises and does nothing

    def _wait_for_start(self, text: str, *, trusted: bool) -> None:
        refused = self._options.commands_before_start == "refused"
        length = len(text) + sum(len(each) for each, _ in self._early)
        if refused or len(self._early) >= MOST_EARLY or length > MOST_EARLY_CHARACTERS:
            raise invalid("type", "The session has not started yet.")
        self._early.append((text, trusted))

    def _obey(self, event: Event, *, trusted: bool) -> None:
        count = self._options.count_tokens
        kind = client_events.check(event, self._kinds, count_tokens=count)
        if not trusted:
            self._check_channel(kind)
        if self._life.state is not LiveState.ACTIVE:
            raise RequestError(None, "The session is closing.")
        self._handlers[kind](event)

    def _check_channel(self, kind: str) -> None:
        if not self._permissions.may_send(kind):
            message_ = f"The data channel may not send '{kind}'."
            raise RequestError("forbidden", message_, "type")
        is_fixture = kind == "session.output_audio.fixture.play"
        if kind == "transport.dtmf.send" or (is_fixture and not self._options.fixtures_on_channel):
            raise invalid("type", f"'{kind}' is for sidebands, not for a data channel.")

    def _update(self, event: Event) -> None:
        self._hub.settings = updated(self._hub.settings, event["session"])
        self._outbox.send(
            "session.updated", client_event=event.get("event_id"), session=self.session_object()
        )

    def _mute(self, event: Event, *, muted: bool) -> None:
        if muted and not self._muted:
            self._mind.ear.forget()
        self._muted = muted
        kind = "session.input_audio." + ("muted" if muted else "unmuted")
        self._outbox.send(kind, client_event=event.get("event_id"))

    def _append(self, event: Event) -> None:
        if self._fixture.playing:
            raise RequestError(None, "Context cannot be appended while a fixture plays.")
        self._mind.delegations.check(event["delegation_id"])
        if len(self._appends) >= MOST_EARLY:
            raise RequestError(None, "Too many appends wait for the model.")
        self._appends.append(event)
        if event["type"] == "session.commentary.append":
            self._idle.commentary()

    def _acknowledge(self, event: Event, clock_ms: int) -> None:
        """Tell where on the clock an append took effect: in the frame that has just ended."""
        kind = event["type"].removesuffix(".append") + ".appended"
        self._outbox.send(
            kind,
            client_event=event.get("event_id"),
            start_ms=max(0, clock_ms - FRAME_MS),
            end_ms=clock_ms,
        )
        self._mind.append(event)

    def _play_fixture(self, event: Event) -> None:
        sound = client_events.fixture(event["audio"])
        if self._fixture.playing:
            raise RequestError(None, "A fixture is playing already.")
        self._mind.speaker.stop()
        self._mind.ear.forget()
        self._fixture.play(sound, event.get("event_id"))

    def _no_telephone(self, event: Event) -> None:
        raise RequestError(None, "transport.dtmf.send is supported only for SIP sessions.")

    def _close(self, event: Event) -> None:
        for append in self._appends:
            self._hub.error(RequestError(None, "The session is closing."), append.get("event_id"))
        self._appends.clear()
        self._life.close(event.get("event_id"))
