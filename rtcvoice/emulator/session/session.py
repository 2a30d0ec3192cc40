"""One Realtime session, pure: client events, audio and time in; server events and audio out.

It has no clock, task, socket or thread. The shell tells it what arrived and what time it is; it
answers with outputs. A session is a few parts around one hub (`Shared`): `Turns` hears the user,
`Answers` makes responses, `Transcriber` tells what was said, `OutputBuffer` knows what is being
played, `Agenda` knows what is due. This file joins them and obeys the client's events.

    session = Session(validate({"type": "realtime"}), call_id=..., now=clock(), voice=PromptVoice())
    session.open(now)                  # and then, whenever something happens:
    session.receive_text(text, now)    # or receive_audio(samples, now), or advance(now)
    for output in session.drain(): ...
    # sleep until session.next_deadline(), then advance

THE CALLING CONTRACT: every call is followed by `drain()`, and its outputs are carried out in order
before the next call. `next_deadline()` is asked after that; when it has come, call `advance`.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from rtcvoice.emulator.session import client_events
from rtcvoice.emulator.session.agenda import Agenda
from rtcvoice.emulator.session.answers import Answers
from rtcvoice.emulator.session.conversation import Conversation, Entry
from rtcvoice.emulator.session.ids import Ids, session_id
from rtcvoice.emulator.session.items import create, weigh
from rtcvoice.emulator.session.output_buffer import Cut, OutputBuffer
from rtcvoice.emulator.session.outputs import RATE_HZ, Close, Event, Outbox, Output, Pcm, StopAudio
from rtcvoice.emulator.session.persona import Assistant, Persona, Voice
from rtcvoice.emulator.session.responses import Response
from rtcvoice.emulator.session.schema import RequestError, invalid
from rtcvoice.emulator.session.settings import Settings, public, update
from rtcvoice.emulator.session.shared import Pace, Shared
from rtcvoice.emulator.session.transcription import Transcriber, TranscriptOrder
from rtcvoice.emulator.session.turns import Turns

__all__ = ["Session"]


class Session:
    """A session from the moment its call was accepted. Not thread-safe; it never blocks.

    `settings` comes from `settings.validate` and is not changed. `now` is seconds of any clock that
    does not go back; `unix_time` is the wall time at the same moment, for `expires_at` alone.
    `duration` is the session's life in seconds. `transcript_order` and `transcription_fails` choose
    how transcripts come. Give `random` a seed for repeatable ids.
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
        transcription_fails: bool = False,
        duration: float = 3600.0,
        unix_time: float = 0.0,
    ) -> None:
        ids = Ids(random or Random())  # noqa: S311 - ids need no secrecy here
        self.id = session_id(call_id)
        self._settings = settings
        self._persona = persona or Assistant(voice)
        self._duration = duration
        self._expires_at = int(unix_time + duration)
        self._voice_locked = False
        self._answer_owed = False
        self._agenda = Agenda(now)
        self._outbox = Outbox(ids)
        self._output = OutputBuffer(self._outbox, self._agenda, on_idle=self._output_idle)
        self._conversation = Conversation(ids.conversation())
        self._shared = Shared(
            ids, self._outbox, self._agenda, self._conversation, self._output, pace or Pace()
        )
        self._turns = Turns(self._shared, settings["audio"]["input"]["turn_detection"], self)
        self._answers = Answers(self._shared, self._persona, self)
        self._transcriber = Transcriber(
            self._shared,
            order=transcript_order,
            fails=transcription_fails,
            busy=lambda: self._answers.default is not None,
        )
        self._agenda.after(duration, self._expire)
        self._handlers: dict[str, Callable[[Event], None]] = {
            "session.update": self._session_update,
            "conversation.item.create": self._item_create,
            "conversation.item.retrieve": self._item_retrieve,
            "conversation.item.delete": self._item_delete,
            "conversation.item.truncate": self._item_truncate,
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
        """Take input audio of any length: int16, mono, 24 kHz, shape (n,). It is not kept."""
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
        return self._outbox.drain()

    # ---- what the parts report

    def user_started(self) -> None:
        """Let the user interrupt, if the settings say so (TurnListener)."""
        detection = self._settings["audio"]["input"]["turn_detection"] or {}
        if not detection.get("interrupt_response"):
            return
        cuts = self._output.clear()
        if self._answers.default is not None:
            self._answers.default.cancel("turn_detected")
        self._truncate_all(cuts)

    def user_committed(self, entry: Entry, samples: int, *, detected: bool, silent: bool) -> None:
        """Have the turn transcribed and answered, as the settings say (TurnListener)."""
        if not silent:
            entry.heard = self._persona.hear()
        audio_in = self._settings["audio"]["input"]
        if audio_in["transcription"] is not None:
            self._transcriber.begin(
                entry.item["id"],
                words=entry.heard,
                samples=samples,
                model=audio_in["transcription"].get("model", ""),
            )
        wanted = detected and audio_in["turn_detection"]["create_response"]
        if wanted and self._settings["type"] == "realtime":
            if self._answers.default is None:
                self._answer({}, user_silent=silent)
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
        if self._answer_owed:
            self._answer_owed = False
            self._answer({})
        elif self._output.idle:
            self._output_idle()

    def _output_idle(self) -> None:
        if self._answers.default is None:
            self._turns.grow_idle()

    def _expire(self) -> None:
        minutes = f"{self._duration / 60:g} minutes"
        message = f"Your session hit the maximum duration of {minutes}."
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
        self._settings = update(self._settings, event["session"], voice_locked=self._voice_locked)
        self._turns.configure(self._settings["audio"]["input"]["turn_detection"])
        self._outbox.send("session.updated", session=self.session_object())

    def _item_create(self, event: Event) -> None:
        item = event["item"]
        if item.get("id") in self._conversation:
            raise invalid("item.id", f"There is an item with the id '{item['id']}' already.")
        if item["type"] == "function_call_output" and not self._conversation.has_call(
            item["call_id"]
        ):
            message = f"Tool call ID '{item['call_id']}' not found in conversation."
            raise RequestError("invalid_tool_call_id", message, "item.call_id")
        made, tokens = create(item, self._shared.ids.item(), "item")
        after = event.get("previous_item_id")
        if not self._conversation.add(Entry(made, tokens), after=after):
            raise _unknown_item("create", after, "previous_item_id")
        previous = self._conversation.previous_of(made["id"])
        for kind in ("added", "done"):
            copy = self._conversation.snapshot(made["id"])
            self._outbox.send(f"conversation.item.{kind}", previous_item_id=previous, item=copy)

    def _item_retrieve(self, event: Event) -> None:
        item = self._conversation.snapshot(event["item_id"])
        if item is None:
            raise _unknown_item("retrieve", event["item_id"])
        self._outbox.send("conversation.item.retrieved", item=item)

    def _item_delete(self, event: Event) -> None:
        entry = self._conversation.get(event["item_id"])
        if entry is None:
            raise _unknown_item("delete", event["item_id"])
        if entry.item.get("status") == "in_progress":
            raise invalid(
                "item_id", "The item is still being generated: cancel the response first."
            )
        self._conversation.delete(event["item_id"])
        self._outbox.send("conversation.item.deleted", item_id=event["item_id"])

    def _item_truncate(self, event: Event) -> None:
        item_id, end_ms = event["item_id"], event["audio_end_ms"]
        entry = self._conversation.get(item_id)
        if entry is None:
            raise _unknown_item("truncate", item_id)
        if not entry.assistant_samples or event["content_index"] != 0:
            message = "Only model output audio messages can be truncated"
            raise RequestError(None, message, "item_id")
        length_ms = entry.assistant_samples * 1000 // RATE_HZ
        if end_ms > length_ms:
            message = f"Audio content of {length_ms}ms is already shorter than {end_ms}ms"
            raise invalid("audio_end_ms", message)
        self._truncate_all([Cut(item_id, end_ms)])

    def _input_append(self, event: Event) -> None:
        raise invalid(
            "type",
            "In a WebRTC call audio comes by the media track, not by input_audio_buffer.append.",
        )

    def _response_create(self, event: Event) -> None:
        if self._settings["type"] != "realtime":
            raise invalid("type", "A transcription session has no responses.")
        request = event.get("response") or {}
        voice = request.get("audio", {}).get("output", {}).get("voice")
        locked = self._voice_locked and request.get("conversation") != "none"
        if voice is not None and locked and voice != self._settings["audio"]["output"]["voice"]:
            message = "Cannot update a conversation's voice if assistant audio is present."
            raise RequestError("cannot_update_voice", message, "response.audio.output.voice")
        self._answer(request)

    def _response_cancel(self, event: Event) -> None:
        self._answers.find(event.get("response_id")).cancel("client_cancelled")

    # ---- shared by several of them

    def _answer(self, request: dict[str, Any], *, user_silent: bool = False) -> None:
        response = self._answers.create(self._settings, request, user_silent=user_silent)
        if response.in_conversation:
            self._turns.stay_awake()

    def _clear_output(self) -> None:
        self._truncate_all(self._output.clear())
        self._output_idle()

    def _truncate_all(self, cuts: list[Cut]) -> None:
        """Cut the items' audio, and their transcripts with it: nobody knows how far they go now."""
        for cut in cuts:
            entry = self._conversation.get(cut.item_id)
            if entry is None:  # out of band, or deleted meanwhile
                continue
            for part in entry.item["content"]:
                part.pop("transcript", None)
            entry.assistant_samples = cut.audio_end_ms * RATE_HZ // 1000
            entry.tokens = weigh(entry.item, assistant_samples=entry.assistant_samples)
            self._outbox.send(
                "conversation.item.truncated",
                item_id=cut.item_id,
                content_index=0,
                audio_end_ms=cut.audio_end_ms,
            )


def _unknown_item(verb: str, item_id: object, param: str = "item_id") -> RequestError:
    message = f"There is no item with the id '{item_id}' in the conversation."
    return RequestError(f"item_{verb}_invalid_item_id", message, param)
