"""Gathers what the user did from what the server heard and what was sent to it; pure.

An item that is put into the conversation tells by what follows whether it was said or is history:
what is said is answered, at once or once the answer that is being made is over.
"""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from typing import Any

from rtcvoice import events
from rtcvoice.conversation.asking.talk import TAIL
from rtcvoice.conversation.state.requests import METADATA_KEY
from rtcvoice.errors import clean

from .acts import Act, ActKind
from .session_taken import response_taken, settings_taken

__all__ = ["Hand"]

BEFORE = 0.6
"""Seconds before the server noticed the user: the beginning of the word, and the network."""

TOGETHER = 0.25
"""Seconds within which two commands that stop the answer are one."""

LONGEST_SPEECH = 600.0
"""Seconds of one act of speech."""

MOST_TEXT = 100_000
"""Characters of one message."""

MOST_MEDIA = 64 << 20
"""Bytes of all images and clips."""

MOST_LEFT_OUT = 100
MOST_CALLS = 10_000

ACTIVE = "conversation_already_has_active_response"
"""The error of a request that lost a race, and is made again."""

ENDS_TURN = (ActKind.COMMITS, ActKind.RELEASES)

_IMAGE = re.compile(r"data:image/(?:png|jpe?g);base64,", re.IGNORECASE)


class Hand:
    """The acts of the user, in the order in which they became known. Feed it all events."""

    def __init__(self) -> None:
        self.acts: list[Act] = []
        self.left_out: list[str] = []
        """What cannot be done again, in a line each."""
        self._time = 0.0
        self._spoke_from: float | None = None
        self._last_end = 0.0
        self._responding: set[str] = set()
        self._asked = False
        self._heard_out = False  # the server may answer by itself now
        self._outputs_due = False  # outputs of functions were sent, and not asked about
        self._tags: set[str] = set()  # of requests that were sent: they may be sent again
        self._loose: list[Act] = []  # what was put while nothing was being answered
        self._waiting: list[int] = []  # acts that were sent while something was
        self._unanswered: set[int] = set()  # those of them after which no response began
        self._requests: dict[str, int] = {}  # acts that ask, by the id of the event
        self._refused: set[int] = set()
        self._calls: set[str] = set()  # calls of functions without output
        self._stopped_calls: set[str] = set()  # of them, no answer follows
        self._created: set[str] = set()  # calls of functions that the client put in: history
        self._media = 0
        self._pressed = 0  # act

    def finished(self) -> list[Act]:
        """Return the acts, in the order in which they began."""
        self._settle()
        self._stops_speaking(self._time)
        for number in self._unanswered:
            if (act := self.acts[number]).text and not act.answered:
                self.acts[number] = replace(act, kind=ActKind.PUTS)
        kept = (act for number, act in enumerate(self.acts) if number not in self._refused)
        return sorted(kept, key=lambda act: act.begin)

    @property
    def is_busy(self) -> bool:
        """Whether what is sent now is answered later."""
        speaks = self._spoke_from is not None
        made = bool(self._responding or self._calls or self._outputs_due)
        return made or self._asked or self._heard_out or speaks

    def hears(self, event: Any, time: float) -> None:
        """Take the next event of the server."""
        self._time = time
        match event:
            case events.InputAudioBufferSpeechStarted():
                self._settle()
                if self._spoke_from is None:
                    self._spoke_from = max(self._last_end, time - BEFORE)
            case events.InputAudioBufferSpeechStopped():
                self._stops_speaking(time, noticed=True)
                self._heard_out = True
            case events.ResponseCreated():
                self._settle()
                if len(self._responding) < MOST_CALLS:
                    self._responding.add(event.response.id or "")
                self._asked = self._heard_out = False
                self._unanswered.clear()
            case events.ResponseDone():
                self._responding.discard(event.response.id or "")
            case events.ResponseOutputItemDone(item=events.FunctionCall() as call):
                if len(self._calls) < MOST_CALLS:
                    self._calls.add(call.call_id or "")
            case events.ErrorEvent():
                self._asked = False
                number = self._requests.get(event.error.event_id or "")
                if number is not None and event.error.code != ACTIVE:
                    self._refused.add(number)

    def sends(self, event: Any, fields: dict[str, Any], time: float) -> None:
        """Take the next event of the client, decoded and as it is."""
        self._time = time
        match event:
            case events.ConversationItemCreate():
                self._puts(event.item, time)
            case events.InputAudioBufferClear():
                self._do(ActKind.CLEARS, time)
            case events.InputAudioBufferCommit():
                if self._spoke_from is None:  # no turn detection: what was said since the last act
                    self._spoke_from = self._last_end
                self._stops_speaking(time)
                self._commits(time)
            case events.ResponseCreate():
                response = fields.get("response")
                self._asks(response if isinstance(response, dict) else {}, time)
                if event.event_id and self.acts and self.acts[-1].kind is ActKind.ASKS:
                    self._requests[event.event_id] = len(self.acts) - 1
            case events.ResponseCancel() | events.OutputAudioBufferClear():
                self._stops_answer(time)
            case events.ConversationItemTruncate() if self._spoke_from is None:
                # Over a WebSocket. While the user speaks it is the interruption's own.
                self._stops_answer(time)
            case events.SessionUpdate():
                session = fields.get("session")
                taken = settings_taken(session if isinstance(session, dict) else {})
                has_tools = isinstance(session, dict) and isinstance(session.get("tools"), list)
                tools = tuple(taken.tools) if has_tools else None
                if taken.options or tools is not None:
                    self._do(ActKind.CHANGES, time, options=taken.options, tools=tools)

    # -- inside ---------------------------------------------------------------------------------

    def _puts(self, item: Any, time: float) -> None:
        if len(self._loose) > MOST_CALLS:
            self._settle()
        match item:
            case events.Message(role="user"):
                act = self._message(item, time)
                if not (act.text or act.images or act.clip):
                    return
                if self.is_busy:
                    self._settle()
                    self._waiting.append(len(self.acts))
                    self._unanswered.add(len(self.acts))
                    self._append(act)
                else:
                    self._loose.append(act)
            case events.Message(role="system" | "assistant"):
                entry = {"role": item.role or "", "text": _text_of(item)}
                self._loose.append(_history(time, entry))
            case events.FunctionCall():
                if len(self._created) < MOST_CALLS:
                    self._created.add(item.call_id or "")
                call = {"name": item.name, "arguments": item.arguments}
                entry = {"type": "function_call", "call_id": item.call_id or "", **call}
                self._loose.append(_history(time, entry))
            case events.FunctionCallOutput() if item.call_id in self._created:
                output = {"call_id": item.call_id, "output": item.output}
                self._loose.append(_history(time, {"type": "function_call_output", **output}))
            case events.FunctionCallOutput():
                self._calls.discard(item.call_id)
                self._outputs_due |= item.call_id not in self._stopped_calls

    def _commits(self, time: float) -> None:
        """End a turn: with the key for talking, if what was heard was cleared before."""
        for number in range(len(self.acts) - 1, -1, -1):
            kind, begin = self.acts[number].kind, self.acts[number].begin
            if kind in (ActKind.COMMITS, ActKind.RELEASES):
                break
            if kind is ActKind.CLEARS:
                self.acts[number] = replace(self.acts[number], kind=ActKind.PRESSES)
                before = self.acts[number - 1] if number else None
                stopped = before is not None and before.kind is ActKind.STOPS
                if before is not None and stopped and begin - before.end <= TOGETHER:
                    self._refused.add(number - 1)  # the key does that
                self._pressed = number
                self._do(ActKind.RELEASES, max(begin, time - TAIL))
                return
        self._do(ActKind.COMMITS, time)

    @property
    def _turn_ended(self) -> bool:
        """Whether a turn was just ended by hand, and not asked about: that comes first."""
        last = self.acts[-1] if self.acts else None
        return last is not None and last.kind in ENDS_TURN and not last.answered

    def _asks(self, params: dict[str, Any], time: float) -> None:
        metadata = params.get("metadata")
        tag = metadata.get(METADATA_KEY) if isinstance(metadata, dict) else None
        if isinstance(tag, str):
            if tag in self._tags:
                return  # once more, for it lost a race with the server's own response
            if len(self._tags) < MOST_CALLS:
                self._tags.add(tag)
        options = response_taken(params)
        beside = options.get("conversation") == "none"
        if self._outputs_due and not beside:
            self._outputs_due = False
        elif self._loose and self._loose[-1].kind is ActKind.WRITES:
            self._settle(options)
        elif self._waiting and not beside and not self._turn_ended:
            number = self._waiting.pop(0)
            self.acts[number] = replace(self.acts[number], answered=True, options=options)
        elif self._turn_ended:
            self.acts[-1] = replace(self.acts[-1], answered=True, options=options)
            if self.acts[-1].kind is ActKind.RELEASES:
                self.acts[self._pressed] = replace(self.acts[self._pressed], answered=True)
        else:
            self._do(ActKind.ASKS, time, options=options)
        self._asked = not beside

    def _settle(self, asked_with: dict[str, Any] | None = None) -> None:
        """Decide what is loose: what is asked about is said, and so is what no history holds."""
        loose, self._loose = self._loose, []
        said: list[Act] = []
        while loose and loose[-1].kind is ActKind.WRITES:
            newest = loose[-1]
            if (said or asked_with is None) and not (newest.images or newest.clip):
                break
            said.insert(0, loose.pop())
        if history := tuple(entry for each in loose for entry in _entries(each)):
            begin, end = loose[0].begin, loose[-1].end
            self._append(Act(kind=ActKind.ADDS, begin=begin, end=end, history=history))
        if said:  # one message, in as many items as it needed
            together = replace(
                said[0],
                end=said[-1].end,
                text="\n".join(each.text for each in said if each.text),
                images=tuple(image for each in said for image in each.images),
                clip=b"".join(each.clip for each in said),
                answered=asked_with is not None,
                options=asked_with or {},
            )
            self._append(together)

    def _stops_answer(self, time: float) -> None:
        self._stopped_calls |= self._calls  # what would follow of itself does not
        self._calls.clear()
        self._outputs_due = False
        last = self.acts[-1] if self.acts else None
        if last is None or last.kind is not ActKind.STOPS or time - last.end > TOGETHER:
            self._do(ActKind.STOPS, time)

    def _stops_speaking(self, time: float, *, noticed: bool = False) -> None:
        begin, self._spoke_from = self._spoke_from, None
        if begin is not None and time > begin:
            begin = max(begin, time - LONGEST_SPEECH)
            self._append(Act(kind=ActKind.SPEAKS, begin=begin, end=time, noticed=noticed))

    def _do(self, kind: ActKind, time: float, **fields: Any) -> None:
        self._settle()
        self._append(Act(kind=kind, begin=time, end=time, **fields))

    def _append(self, act: Act) -> None:
        self.acts.append(act)
        self._last_end = max(self._last_end, act.end)

    def _message(self, message: events.Message, time: float) -> Act:
        images, clips = [], []
        for part in message.content:
            if part.type == "input_image" and (image := self._image(part.image_url or "")):
                images.append(image)
            elif part.type == "input_audio" and (clip := self._data(part.audio or "", "a clip")):
                clips.append(clip[: len(clip) // 2 * 2])
        return Act(
            kind=ActKind.WRITES,
            begin=time,
            end=time,
            text=_text_of(message),
            images=tuple(images),
            clip=b"".join(clips),
        )

    def _image(self, url: str) -> bytes:
        if (head := _IMAGE.match(url)) is not None:
            return self._data(url[head.end() :], "an image")
        if url.startswith("<"):
            return self._data(url, "an image")
        self._leave_out("an image that is at an address: none is taken from a recording")
        return b""

    def _data(self, text: str, what: str) -> bytes:
        if text.startswith("<"):
            self._leave_out(f"{what}: the call was recorded without, Recording(raw=True) keeps it")
            return b""
        try:
            data = base64.b64decode(text, validate=True)
        except ValueError:
            self._leave_out(f"{what} that is no base64")
            return b""
        if self._media + len(data) > MOST_MEDIA:
            self._leave_out(f"{what}: images and clips have more than {MOST_MEDIA >> 20} MiB")
            return b""
        self._media += len(data)
        return data

    def _leave_out(self, line: str) -> None:
        if len(self.left_out) < MOST_LEFT_OUT:
            self.left_out.append(line)


def _history(time: float, entry: dict[str, str]) -> Act:
    return Act(kind=ActKind.ADDS, begin=time, end=time, history=(entry,))


def _entries(act: Act) -> tuple[dict[str, str], ...]:
    if act.kind is ActKind.ADDS:
        return act.history
    return ({"role": "user", "text": act.text},) if act.text else ()


def _text_of(message: events.Message) -> str:
    texts = [getattr(part, "text", None) for part in message.content]
    return clean("\n".join(text for text in texts if text))[:MOST_TEXT]
