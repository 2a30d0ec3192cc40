"""The answer to one request as the conversation makes it: fed with events and sound; pure.

What it gathers is read through a `Reply`, which is all of it that users see. It keeps what was
said, so that it can be read at any time and any number of times.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rtcvoice import events
from rtcvoice.conversation.state.records import STATUS, Status
from rtcvoice.errors import CallEnded
from rtcvoice.events import RealtimeResponse
from rtcvoice.sound.samples import DEFAULT_RATE, Samples

__all__ = ["Answer"]

STATUSES = {
    "completed": Status.COMPLETED,
    "cancelled": Status.INTERRUPTED,
    "incomplete": Status.INTERRUPTED,
    "failed": Status.FAILED,
}


class Answer:
    """What the assistant answers, and how far it is; `changed` is called after every change."""

    def __init__(self) -> None:
        self.responses: dict[str, RealtimeResponse | None] = {}
        """Its responses by id, in order; None while one is being made."""
        self.pieces: list[str] = []
        """Its text as it came."""
        self.texts: dict[str, str] = {}
        """Its text by item."""
        self.item_id: str | None = None
        """Its latest message."""
        self.blocks: list[Samples] = []
        """Its sound as the sink got it."""
        self.rate = DEFAULT_RATE
        """Sample rate of that."""
        self.status = Status.IN_PROGRESS
        self.reason = ""
        """Why it was cut short or failed, in the server's words; empty otherwise."""
        self.end: CallEnded | None = None
        """Why the call is over; None while it goes on."""
        self.changed: Callable[[], None] = lambda: None
        self._audible: dict[str, str] = {}  # spoken items that are not over, and their responses
        self._silent: set[str] = set()  # items that are over
        self._recording = False

    # -- how far it is --------------------------------------------------------------------------

    @property
    def done(self) -> bool:
        """Whether all of it is made; it may be heard for seconds yet."""
        return self.status is not Status.IN_PROGRESS

    @property
    def heard(self) -> bool:
        """Whether nothing that is made of it is yet to be heard, or recorded."""
        return not self._audible and not self._recording

    @property
    def over(self) -> bool:
        """Whether nothing about it can change any more."""
        return self.done and self.heard

    @property
    def last_response(self) -> RealtimeResponse | None:
        """Its latest response; None while that is being made."""
        return next(reversed(self.responses.values()), None)

    def awaits_sound(self, response_id: str) -> bool:
        """Whether any speech of a response is not over."""
        return response_id in self._audible.values()

    # -- what becomes of it ---------------------------------------------------------------------

    def begin(self, response_id: str) -> None:
        """Take a response for one of its own."""
        self.responses.setdefault(response_id, None)
        self.changed()

    def restart(self, response_id: str) -> None:
        """Let a response never have begun, which has said nothing: another is to come for it."""
        self.responses.pop(response_id, None)
        self._audible = {i: r for i, r in self._audible.items() if r != response_id}
        self.item_id = None
        self.changed()

    def feed(self, event: Any, *, follow_up: bool) -> None:
        """Take an event of its responses. `follow_up`: a further response is to come after it."""
        match event:
            case events.ResponseOutputItemAdded(item=events.Message() as item):
                self.item_id = item.id
            case events.ResponseOutputItemDone(item=events.Message() as item):
                self._take(item, event.response_id)
            case events.ResponseContentPartAdded(part=events.ContentPart(type="audio")):
                self._expect_sound(event.item_id, event.response_id)
            case events.ResponseOutputTextDelta():
                self._say(event.item_id, event.delta)
            case events.ResponseOutputAudioTranscriptDelta():
                self._expect_sound(event.item_id, event.response_id)
                self._say(event.item_id, event.delta)
            case events.ResponseOutputTextDone():
                self._complete(event.item_id, event.text)
            case events.ResponseOutputAudioTranscriptDone():
                self._expect_sound(event.item_id, event.response_id)
                self._complete(event.item_id, event.transcript)
            case events.ResponseDone() if self.responses.get(event.response.id or "") is None:
                for made in event.response.output or []:
                    if isinstance(made, events.Message):
                        self._take(made, event.response.id or "")
                self._finish(event.response, follow_up=follow_up)
        self.changed()

    def played_out(self, response_id: str) -> None:
        """Note that the speech of a response is over."""
        self._silent |= {i for i, r in self._audible.items() if r == response_id}
        self._audible = {i: r for i, r in self._audible.items() if r != response_id}
        self.changed()

    def item_over(self, item_id: str, status: Status, reason: str = "") -> None:
        """Note that nothing about an item will change: it was heard, or will not be."""
        if item_id in self.texts and status is Status.INTERRUPTED and self.done:
            self._become(status)  # what was made completely was not heard completely
            self.reason = self.reason or reason
        self._audible.pop(item_id, None)
        self._silent.add(item_id)
        self.changed()

    def end_without_follow_up(self, *, interrupted: bool = True) -> None:
        """Note that no further response comes; `interrupted`: although one was expected."""
        last = self.last_response
        if last is not None and not self.done:
            self._finish(last, follow_up=False)
            if interrupted and self.status is Status.COMPLETED:
                self._become(Status.INTERRUPTED)
        self.changed()

    def record(self, samples: Samples) -> None:
        """Take the next samples that the sink got."""
        self.blocks.append(samples)

    def forget_blocks(self, after: int) -> None:
        """Forget the pieces of sound after the first so many."""
        del self.blocks[after:]

    def recording(self, *, on: bool) -> None:
        """Say whether its sound is being recorded."""
        self._recording = on
        self.changed()

    def call_ended(self, end: CallEnded) -> None:
        """Note that the call is over: what has not come will not."""
        self.end = end
        self.changed()

    def _take(self, item: events.Message, response_id: str) -> None:
        """Take a finished message, should events of its parts have been left out."""
        if item.role != "assistant" or not item.id:
            return
        self.item_id = item.id
        if any(part.type in ("audio", "output_audio") for part in item.content):
            self._expect_sound(item.id, response_id)
        texts = (part.transcript or part.text for part in item.content)
        self._complete(item.id, "".join(text for text in texts if text))

    def _expect_sound(self, item_id: str, response_id: str) -> None:
        if item_id not in self._silent:
            self._audible[item_id] = response_id

    def _say(self, item_id: str, piece: str) -> None:
        if item_id not in self.texts and any(self.texts.values()):
            self.pieces.append("\n")
        self.texts[item_id] = self.texts.get(item_id, "") + piece
        self.pieces.append(piece)

    def _complete(self, item_id: str, text: str) -> None:
        """Add what the pieces did not bring of a text that is complete now."""
        have = self.texts.get(item_id, "")
        if text != have and text.startswith(have):
            self._say(item_id, text[len(have) :])

    def _finish(self, response: RealtimeResponse, *, follow_up: bool) -> None:
        self.responses[response.id or ""] = response
        status = STATUSES.get(response.status or "completed", Status.COMPLETED)
        if follow_up and status is not Status.FAILED:
            return
        self._become(status)
        if details := response.status_details:
            error = details.error
            self.reason = (error and (error.message or error.code)) or details.reason or ""

    def _become(self, status: Status) -> None:
        if self.status is not Status.FAILED:
            self.status = STATUS.change(self.status, status, "a reply")
