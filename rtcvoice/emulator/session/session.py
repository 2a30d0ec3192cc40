"""One Realtime session, pure: client events, audio and time in; server events and audio out.

It has no clock, task, socket or thread. The shell tells it what arrived and what time it is; it
answers with outputs. A session is a few parts around one hub (`Shared`): `InputTurns` hears the
user, `Answers` makes responses, `ItemCommands` obeys what is said about items, `Transcriber` tells
what was said, `OutputBuffer` knows what is being played, `Agenda` knows what is due. This file
joins them and obeys the client's other events.

    session = Session(validate({"type": "realtime"}), call_id=..., now=clock(), voice=PromptVoice())
    session.open(now)                  # and then, whenever something happens:
    session.receive_text(text, now)    # or receive_audio(samples, now), or advance(now)
    for output in session.drain(): ...
    # sleep until session.next_deadline(), then advance

THE CALLING CONTRACT: every call is followed by `drain()`, and its outputs are carried out in order
before the next call. `next_deadline()` is asked after that; when it has come, call `advance`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from rtcvoice.emulator.session import client_events
from rtcvoice.emulator.session.agenda import Agenda
from rtcvoice.emulator.session.answers import Answers
from rtcvoice.emulator.session.assistant import Assistant
from rtcvoice.emulator.session.budget import TokenBudget
from rtcvoice.emulator.session.clips import Voice
from rtcvoice.emulator.session.conversation import Conversation, Entry
from rtcvoice.emulator.session.delta_buffer import DeltaBuffer
from rtcvoice.emulator.session.faults import SessionFaults
from rtcvoice.emulator.session.hosted_tools import HostedTools
from rtcvoice.emulator.session.ids import Ids, session_id
from rtcvoice.emulator.session.item_commands import ItemCommands
from rtcvoice.emulator.session.noise import Noise
from rtcvoice.emulator.session.output_buffer import OutputBuffer
from rtcvoice.emulator.session.outputs import (
    Close,
    Event,
    HearAudio,
    Outbox,
    Output,
    Pcm,
    StopAudio,
)
from rtcvoice.emulator.session.persona import Hearing, Persona
from rtcvoice.emulator.session.plan import Plan
from rtcvoice.emulator.session.responses import Response
from rtcvoice.emulator.session.schema import RequestError, invalid
from rtcvoice.emulator.session.settings import Settings, public, update
from rtcvoice.emulator.session.shared import AT_ONCE, Pace, Shared
from rtcvoice.emulator.session.transcript_order import TranscriptOrder
from rtcvoice.emulator.session.transcription import Transcriber
from rtcvoice.emulator.session.turns import InputTurns
from rtcvoice.emulator.session.wire_audio import AudioReader

__all__ = ["Session"]


class Session:
    """A session from the moment its call was accepted. Not thread-safe; it never blocks.

    `settings` comes from `settings.validate` and is not changed. `now` is seconds of any clock that
    does not go back; `unix_time` is the wall time at the same moment, for `expires_at` alone.
    `duration` is the session's life in seconds, unless `faults` end it earlier. `transcript_order`
    chooses when transcripts come. Give `random` a seed for repeatable ids. `instant`: answers are
    silent and over as soon as they are made; `pace`, if not given, is then no time at all.
    `on_socket`: audio comes and goes inside events, as on a WebSocket, not by a media track.
    `check_models` raises RequestError for settings with an unknown model, and returns what there is
    to warn of.
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
        transcript_order: TranscriptOrder = TranscriptOrder.MIDDLE,
        faults: SessionFaults | None = None,
        duration: float = 3600.0,
        unix_time: float = 0.0,
        instant: bool = False,
        on_socket: bool = False,
        check_models: Callable[[Settings], Sequence[str]] = lambda settings: (),
    ) -> None:
        faults = faults or SessionFaults()
        random = random or Random()  # noqa: S311 - ids need no secrecy here
        duration = faults.life(duration)
        ids = Ids(random)
        self.id = session_id(call_id)
        self._check_models = check_models
        self._warnings = dict.fromkeys(check_models(settings))  # each once, in order
        self._settings = settings
        self._persona = persona or Assistant(voice)
        self._duration = duration
        self._end_is_told = faults.session_end.told
        self._expires_at = int(unix_time + duration)
        self._voice_locked = False
        self._answer_owed = False
        self._agenda = Agenda(now)
        self._outbox = Outbox(ids)
        self._noise = Noise(faults, random)
        self._on_socket = on_socket
        self._reader = AudioReader(settings["audio"]["input"]["format"])
        self._output: OutputBuffer | DeltaBuffer = (
            DeltaBuffer(self._outbox, on_idle=self._output_idle, instant=instant)
            if on_socket
            else OutputBuffer(
                self._outbox, self._agenda, on_idle=self._output_idle, instant=instant
            )
        )
        self._conversation = Conversation(ids.conversation())
        self._shared = Shared(
            ids=ids,
            outbox=self._outbox,
            agenda=self._agenda,
            conversation=self._conversation,
            output=self._output,
            budget=TokenBudget(faults.tokens_per_minute, now),
            pace=pace or (AT_ONCE if instant else Pace()),
        )
        self._turns = InputTurns(self._shared, settings["audio"]["input"]["turn_detection"], self)
        tools_of = getattr(self._persona, "hosted_tools", {})
        self._hosted = HostedTools(self._shared, tools_of, fails=faults.mcp_tools_fail)
        self._answers = Answers(self._shared, self._persona, voice, faults, self, self._hosted)
        self._items = ItemCommands(self._shared)
        self._transcriber = Transcriber(
            self._shared,
            order=transcript_order,
            fails=faults.transcription_fails,
            busy=lambda: self._answers.default is not None,
        )
        self._agenda.after(duration, self._expire)
        self._handlers: dict[str, Callable[[Event], None]] = {
            "session.update": self._session_update,
            "conversation.item.create": self._item_create,
            "conversation.item.retrieve": self._items.retrieve,
            "conversation.item.delete": self._items.delete,
            "conversation.item.truncate": self._items.truncate,
            "input_audio_buffer.append": self._input_append,
            "input_audio_buffer.commit": lambda _: self._turns.commit(),
            "input_audio_buffer.clear": lambda _: self._turns.clear(),
            "output_audio_buffer.clear": lambda _: self._clear_output(),
            "response.create": self._response_create,
            "response.cancel": self._response_cancel,
        }

    # ---- the shell's side

    @property
    def closed(self) -> bool:
        """Whether it has ended; from then on every call is without effect."""
        return self._outbox.closed

    @property
    def warnings(self) -> Sequence[str]:
        """Models that end, and what did not go by the persona's script, oldest first."""
        return (*self._warnings, *getattr(self._persona, "warnings", ()))

    def session_object(self) -> dict[str, Any]:
        """Return the session as `session.created` shows it."""
        return public(self._settings, self.id, self._expires_at)

    def open(self, now: float, *, sideband: bool = False) -> None:
        """Say that somebody listens: the data channel opened, or a sideband client attached.

        What happened before is not told. A data channel hears `session.created` first; a sideband
        client is only told what happens from here on.
        """
        self._agenda.run(now)
        self._outbox.listening = True
        if not sideband:
            self._outbox.send("session.created", session=self.session_object())
            self._hosted.configure(self._settings)

    def receive_text(self, text: str, now: float) -> None:
        """Take one client event. Whatever it is, the answer is events, never an exception."""
        self._agenda.run(now)
        if self.closed:
            return
        client_id = None
        try:
            event = client_events.decode(text)
            client_id = client_events.client_event_id(event)
            self._handlers[client_events.check(event)](event)
        except RequestError as exc:
            self._send_error(exc, client_id)

    def receive_audio(self, samples: Pcm, now: float) -> None:
        """Take input audio of any length: int16, mono, 24 kHz, shape (n,); it is copied."""
        self._agenda.run(now)
        if not self.closed:
            self._turns.receive(samples)

    def advance(self, now: float) -> None:
        """Do everything that is due by `now`."""
        self._agenda.run(now)

    def next_deadline(self) -> float | None:
        """Return when `advance` has something to do; None if never."""
        return None if self.closed else self._agenda.next_deadline()

    def drain(self) -> list[Output]:
        """Return what is to be done now, in order."""
        return self._noise.through(self._outbox.drain())

    # ---- what the parts report

    def user_started(self) -> None:
        """Let the user interrupt, if the settings say so (TurnListener)."""
        detection = self._settings["audio"]["input"]["turn_detection"] or {}
        if not detection.get("interrupt_response"):
            return
        cuts = self._output.clear()
        if self._answers.default is not None:
            self._answers.default.cancel("turn_detected")
        self._items.cut(cuts)

    def user_committed(
        self, entry: Entry, sound: Pcm, samples: int, *, detected: bool, silent: bool
    ) -> None:
        """Have the turn transcribed and answered, as the settings say (TurnListener)."""
        heard = Hearing() if silent else self._persona.hear(sound)
        entry.heard = heard.text
        audio_in = self._settings["audio"]["input"]
        if audio_in["transcription"] is not None:
            self._transcriber.begin(entry.item["id"], heard, samples, self._settings)
        wanted = detected and audio_in["turn_detection"]["create_response"]
        if wanted and self._settings["type"] == "realtime":
            if self._answers.default is None:
                self._answer_unasked(user_silent=silent)
            else:  # it was not to be interrupted, so the answer waits its turn
                self._answer_owed = True

    def response_stepped(self, response: Response) -> None:
        """Note that the assistant has a voice now (Listener)."""
        if response.in_conversation:
            self._voice_locked = self._voice_locked or response.spoken
            self._transcriber.response_stepped()

    def response_ending(self, response: Response) -> None:
        """Let the transcript come before `response.done` (Listener)."""
        if response.in_conversation:
            self._transcriber.response_ending()

    def response_ended(self, response: Response) -> None:
        """Make room for the next response (Listener)."""
        self._answers.remove(response)
        if not response.in_conversation:
            return
        self._voice_locked = self._voice_locked or response.spoken
        self._transcriber.response_ended()
        if response.expires:
            self._expire()
        elif self._go_on_after_verdict():
            pass
        elif self._answer_owed:
            self._answer_owed = False
            self._answer_unasked()
        elif self._output.idle:
            self._output_idle()

    def _output_idle(self) -> None:
        if self._answers.default is None:
            self._turns.grow_idle()

    def _expire(self) -> None:
        seconds = self._duration
        length = f"{seconds / 60:g} minutes" if seconds >= 60 else f"{seconds:g} seconds"
        message = f"Your session hit the maximum duration of {length}."
        if self._end_is_told:
            self._send_error(RequestError("session_expired", message), None)
        self._outbox.put(StopAudio())
        self._outbox.put(Close("session_expired"))

    def _send_error(self, error: RequestError, client_id: str | None) -> None:
        details = {
            "type": "invalid_request_error",
            "code": error.code,
            "message": error.message,
            "param": error.param,
            "event_id": client_id,
        }
        self._outbox.send("error", error=details)

    # ---- the client's events; each either does all it is asked, or raises and does nothing

    def _session_update(self, event: Event) -> None:
        changed = update(self._settings, event["session"], voice_locked=self._voice_locked)
        self._warnings |= dict.fromkeys(self._check_models(changed))
        audio_format = changed["audio"]["input"]["format"]
        if audio_format != self._settings["audio"]["input"]["format"]:
            self._reader = AudioReader(audio_format)
        self._settings = changed
        self._turns.configure(self._settings["audio"]["input"]["turn_detection"])
        self._outbox.send("session.updated", session=self.session_object())
        self._hosted.configure(self._settings)

    def _item_create(self, event: Event) -> None:
        verdict = event["item"]["type"] == "mcp_approval_response"
        if verdict:
            self._hosted.check(event["item"])
        self._items.create(event)
        if verdict:
            self._hosted.decide(event["item"])
            self._go_on_after_verdict()

    def _go_on_after_verdict(self) -> bool:
        """Go on with a call at a hosted MCP server that was decided on; return whether one was."""
        if self._answers.default is not None:
            return False
        return self._hosted.take(lambda plan: self._answer_unasked(planned=plan))

    def _input_append(self, event: Event) -> None:
        if not self._on_socket:
            message = "In a WebRTC call audio comes by the media track, not inside events."
            raise invalid("type", message)
        samples = self._reader.read(event["audio"])
        self._outbox.put(HearAudio(samples))
        self._turns.receive(samples)

    def _response_create(self, event: Event) -> None:
        if self._settings["type"] != "realtime":
            raise invalid("type", "A transcription session has no responses.")
        request = dict(event.get("response") or {})
        if request.get("instructions", "") is None:
            del request["instructions"]
        voice = request.get("audio", {}).get("output", {}).get("voice")
        locked = self._voice_locked and request.get("conversation") != "none"
        if voice is not None and locked and voice != self._settings["audio"]["output"]["voice"]:
            message = "Cannot update a conversation's voice if assistant audio is present."
            raise RequestError("cannot_update_voice", message, "response.audio.output.voice")
        self._answer(request)

    def _response_cancel(self, event: Event) -> None:
        self._answers.find(event.get("response_id")).cancel("client_cancelled")

    # ---- shared by several of them

    def _answer(
        self,
        request: dict[str, Any],
        *,
        user_silent: bool = False,
        planned: Plan | None = None,
    ) -> None:
        response = self._answers.create(
            self._settings, request, user_silent=user_silent, planned=planned
        )
        if response is not None and response.in_conversation:
            self._turns.stay_awake()

    def _answer_unasked(self, *, user_silent: bool = False, planned: Plan | None = None) -> None:
        """Answer a spoken turn, or a verdict; there is no client's event to refuse."""
        try:
            self._answer({}, user_silent=user_silent, planned=planned)
        except RequestError as exc:
            self._send_error(exc, None)

    def _clear_output(self) -> None:
        if self._on_socket:
            raise invalid("type", "On a WebSocket the client has the audio: truncate the item.")
        self._items.cut(self._output.clear())
        self._output_idle()
