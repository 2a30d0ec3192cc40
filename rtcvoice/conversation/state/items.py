"""The items of the conversation in the order of its chain, put together from events; pure.

Everything is kept by item id: events of several items interleave, a transcript may come before its
item or long after the answer to it, and what was said is never the business of "the current item".
An item is placed in the chain when the server says where (`conversation.item.added`, or
`committed` for audio); what is known of it earlier waits for that. A server that never says so has
its items placed by the time at which they began, once they are done. Text only ever grows: the
final form of a text replaces its pieces unless it is empty.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from rtcvoice import events
from rtcvoice.events import ContentPart

from .kept import KeptAudio, KeptImages
from .records import Part, Record, Status

__all__ = ["Items"]

NEWEST = 200
"""Items that may be in the making at the same time; far more than any response has."""

_KINDS = {
    "text": "text",
    "input_text": "text",
    "output_text": "text",
    "audio": "audio",
    "input_audio": "audio",
    "output_audio": "audio",
    "input_image": "image",
}
_STATUS = {"completed": Status.COMPLETED, "incomplete": Status.INTERRUPTED}


class Items:
    """The chain. Iterating gives its records from the first to the last."""

    def __init__(self, is_outside: Callable[[str], bool] = lambda response_id: False) -> None:
        """`is_outside`: whether a response in progress is none of the conversation, by its id."""
        self._is_outside = is_outside
        self._records: dict[str, Record] = {}
        self._unplaced: dict[str, Record] = {}  # of which only pieces have come
        self._guessed: set[str] = set()  # placed without the server's word
        self._images = KeptImages()
        self._audio = KeptAudio()
        self._chain: list[Record] = []
        self._names_predecessors = False
        self._roots: set[str] = set()  # items that we put in front of all others
        self._session: list[str] | None = None  # ids in order, of a session that took over

    def __iter__(self) -> Iterator[Record]:
        return iter(self._chain)

    @property
    def last_id(self) -> str | None:
        """Id of the last item of the chain; None if it is empty."""
        return self._chain[-1].id if self._chain else None

    def get(self, item_id: str) -> Record | None:
        """Return what is known of an item."""
        return self._records.get(item_id)

    def index(self, record: Record) -> int:
        """Return its place in the chain; -1 if it has none."""
        for index in range(len(self._chain) - 1, -1, -1):  # questions are about the last ones
            if self._chain[index] is record:
                return index
        return -1

    def seed(self, item_id: str, now: float) -> None:
        """Note that an item to come was brought along from another conversation."""
        self._record(item_id, now).seeded = True

    def sent(self, event: object, now: float) -> None:
        """Note an event that we send: the server need not give back the image in it."""
        if isinstance(event, events.ConversationItemCreate) and event.item.id:
            record = self._record(event.item.id, now)
            record.sent = True
            self._fill(record, event.item)
            if event.previous_item_id == "root":
                self._roots.add(event.item.id)

    def live_in(self, session: list[str]) -> None:
        """Say that the conversation goes on in another session, which has these items, in order.

        What follows upon the last one of them follows upon everything here.
        """
        self._session = list(session)

    def settle(self) -> None:
        """Let no item be expected to change any more: their session is gone."""
        for record in self._chain:
            if not record.done:
                self._finish(record, "incomplete" if record.kind.startswith("mcp") else "completed")

    def passed(self, item_id: str, previous_id: str | None) -> None:
        """Note an item of the session that stands for one of ours, or is none of ours."""
        if self._session is not None and previous_id == self._last_of_session:
            self._session.append(item_id)

    @property
    def _last_of_session(self) -> str | None:
        return self._session[-1] if self._session else None

    def feed(self, event: object, now: float) -> list[Record]:
        """Take the next event of the server; return the records that it changed."""
        changed = self._feed(event, now)
        for record in changed:
            record.changed_at = now
        return changed

    def _feed(self, event: object, now: float) -> list[Record]:
        match event:
            case events.ConversationItemAdded() | events.ConversationItemCreated():
                return self._added(event.item, event.previous_item_id, now)
            case events.ConversationItemDone():
                return self._added(event.item, event.previous_item_id, now, done=True)
            case events.ConversationItemDeleted():
                return self._deleted(event.item_id)
            case events.InputAudioBufferSpeechStarted(item_id=str() as item_id):
                self._record(item_id, now).began = now
            case events.InputAudioBufferTimeoutTriggered(item_id=str() as item_id):
                record = self._record(item_id, now)
                record.timed_out = True
                return [record]
            case events.InputAudioBufferCommitted():
                record = self._record(event.item_id, now)
                record.role, record.kind = "user", "message"
                record.part(0, "audio")
                if event.previous_item_id is not None:
                    self._place(record, event.previous_item_id)
                return [record]
            case _ if type(event) in _TRANSCRIPTS:
                record = self._heard_user(event, now)
                if type(event) is not events.ConversationItemInputAudioTranscriptionDelta:
                    self._guess_place(record)
                return [record]
            case events.ResponseOutputItemAdded() | events.ResponseOutputItemDone():
                return self._output_item(event, now)
            case events.ResponseDone():
                return self._response_done(event.response, now)
            case events.ResponseFunctionCallArgumentsDone():
                return self._called(event, now)
            case _:
                return self._said(event, now)
        return []

    # -- the chain ------------------------------------------------------------------------------

    def _record(self, item_id: str, now: float) -> Record:
        record = self._records.get(item_id)
        if record is None:
            record = self._records[item_id] = Record(item_id, now)
            self._unplaced[item_id] = record
            self._forget_strays()
        return record

    def _forget_strays(self) -> None:
        """Let go of the oldest pieces of items that nobody told of; they are bounded."""
        if len(self._unplaced) <= NEWEST:
            return
        for record in list(self._unplaced.values())[: len(self._unplaced) - NEWEST]:
            del self._unplaced[record.id]
            if not (record.seeded or record.sent):
                self._records.pop(record.id, None)

    def _guess_place(self, record: Record) -> None:
        """Place an item of which the server does not say where: before what began after it."""
        if self.index(record) >= 0 or self._is_outside(record.response_id):
            return
        index = len(self._chain)
        while index and self._chain[index - 1].began > record.began:
            index -= 1
        self._chain.insert(index, record)
        self._unplaced.pop(record.id, None)
        self._guessed.add(record.id)

    def _place(self, record: Record, previous_id: str | None) -> None:
        if record.id in self._guessed:
            self._guessed.discard(record.id)
            if previous_id is not None and previous_id in self._records:
                self._chain.remove(record)
        follows = False
        if self._session is not None and record.id not in self._roots:
            follows = previous_id == self._last_of_session
        if self._session is not None and follows:
            self._session.append(record.id)
        if self.index(record) >= 0:  # an item's `done` may name its predecessor wrongly
            return
        self._unplaced.pop(record.id, None)
        self._names_predecessors = self._names_predecessors or previous_id is not None
        previous = self._records.get(previous_id or "")
        index = self.index(previous) if previous is not None else -1
        if follows:
            self._chain.append(record)
        elif index >= 0:
            self._chain.insert(index + 1, record)
        elif previous_id is None and (self._names_predecessors or record.id in self._roots):
            self._chain.insert(0, record)
        else:  # after something unknown, or the server never says after what
            self._chain.append(record)

    def _added(
        self, item: events.Item, previous_id: str | None, now: float, *, done: bool = False
    ) -> list[Record]:
        if not item.id:
            return []
        record = self._record(item.id, now)
        self._fill(record, item)
        if done and previous_id is None and self._chain and self.index(record) < 0:
            previous_id = self._chain[-1].id  # its `added` was missed
        self._place(record, previous_id)
        if done:
            self._finish(record, item.status)
        return [record]

    def _deleted(self, item_id: str) -> list[Record]:
        record = self._records.pop(item_id, None)
        self._unplaced.pop(item_id, None)
        self._guessed.discard(item_id)
        if self._session is not None and item_id in self._session:
            self._session.remove(item_id)
        index = self.index(record) if record is not None else -1
        return [self._chain.pop(index)] if index >= 0 else []

    # -- what an item holds ---------------------------------------------------------------------

    def _fill(self, record: Record, item: events.Item) -> None:
        record.kind = item.type
        if not isinstance(item, events.Message):
            record.other = _plain(item)
            return
        record.role = item.role
        record.phase = item.phase or record.phase
        for index, content in enumerate(item.content):
            part = record.part(index, _KINDS.get(content.type, "text"))
            _take(part, content, item.role)
            if content.audio and record.sent:
                self._audio.keep(part, content.audio)
            if content.image_url:
                self._images.keep(part, content.image_url)

    def _finish(self, record: Record, status: str | None) -> None:
        record.done = True
        if record.status is Status.IN_PROGRESS:
            record.become(_STATUS.get(status or "completed", Status.COMPLETED))

    def _heard_user(self, event: Any, now: float) -> Record:
        record = self._record(event.item_id, now)
        record.role = record.role or "user"
        part = record.part(event.content_index, "audio")
        match event:
            case events.ConversationItemInputAudioTranscriptionDelta():
                if not part.complete:
                    part.text += event.delta or ""
            case events.ConversationItemInputAudioTranscriptionCompleted():
                part.text = event.transcript.strip() or part.text
                part.complete = True
            case events.ConversationItemInputAudioTranscriptionFailed():
                part.complete = True
                record.reason = event.error.message or event.error.code or "not transcribed"
        return record

    def _output_item(
        self, event: events.ResponseOutputItemAdded | events.ResponseOutputItemDone, now: float
    ) -> list[Record]:
        if not event.item.id:
            return []
        record = self._record(event.item.id, now)
        record.response_id = event.response_id
        self._fill(record, event.item)
        if isinstance(event, events.ResponseOutputItemDone):
            self._finish(record, event.item.status)
            self._guess_place(record)
        return [record]

    def _called(self, event: events.ResponseFunctionCallArgumentsDone, now: float) -> list[Record]:
        """Take a function call whose item may not come."""
        record = self._record(event.item_id, now)
        record.kind, record.response_id = "function_call", record.response_id or event.response_id
        call = {"name": event.name, "arguments": event.arguments, "call_id": event.call_id}
        record.other = {"type": "function_call", **record.other, **call}
        return [record]

    def _said(self, event: Any, now: float) -> list[Record]:
        """Take a piece of what the assistant says; its item may not have been announced."""
        if not isinstance(event, _PIECES):
            return []
        record = self._record(event.item_id, now)
        record.response_id = record.response_id or event.response_id
        record.role, record.kind = record.role or "assistant", record.kind or "message"
        match event:
            case events.ResponseContentPartAdded() | events.ResponseContentPartDone():
                kind = _KINDS.get(event.part.type, "text")
                _take(record.part(event.content_index, kind), event.part, "assistant")
            case events.ResponseOutputTextDelta():
                record.part(event.content_index, "text").text += event.delta
            case events.ResponseOutputAudioTranscriptDelta():
                record.part(event.content_index, "audio").text += event.delta
            case events.ResponseOutputTextDone():
                _complete(record.part(event.content_index, "text"), event.text)
            case events.ResponseOutputAudioTranscriptDone():
                _complete(record.part(event.content_index, "audio"), event.transcript)
        return [record]

    def _response_done(self, response: events.RealtimeResponse, now: float) -> list[Record]:
        """Finish the items of a response, also those whose own events were missed."""
        changed = []
        for item in response.output or []:
            if item.id:
                record = self._record(item.id, now)
                record.response_id = record.response_id or response.id or ""
                self._fill(record, item)
                changed.append(record)
        details, outcome = response.status_details, response.status
        error = details.error if details is not None else None
        for record in self._records_of(response.id or ""):
            record.over = True
            self._finish(record, "completed" if outcome == "completed" else "incomplete")
            if outcome == "failed" and record.status is Status.INTERRUPTED:
                record.become(Status.FAILED)
            if record.status is not Status.COMPLETED and details is not None:
                record.reason = (error and error.message) or details.reason or ""
            if record not in changed:
                changed.append(record)
            self._guess_place(record)
        self._forget_unplaced(response)
        return changed

    def of_response(self, response_id: str) -> list[Record]:
        """Return what a response made so far, placed or not."""
        return self._records_of(response_id)

    def _records_of(self, response_id: str) -> list[Record]:
        return [r for r in self._newest() if response_id and r.response_id == response_id]

    def _newest(self) -> list[Record]:
        """The records that a response in progress can be about."""
        return list(self._records.values())[-NEWEST:]

    def _forget_unplaced(self, response: events.RealtimeResponse) -> None:
        """Let go of what an out-of-band response made: it is no part of the conversation."""
        for record in self._records_of(response.id or ""):
            if self.index(record) < 0:
                del self._records[record.id]
                self._unplaced.pop(record.id, None)


_TRANSCRIPTS = (
    events.ConversationItemInputAudioTranscriptionDelta,
    events.ConversationItemInputAudioTranscriptionCompleted,
    events.ConversationItemInputAudioTranscriptionFailed,
)

_PIECES = (
    events.ResponseContentPartAdded,
    events.ResponseContentPartDone,
    events.ResponseOutputTextDelta,
    events.ResponseOutputTextDone,
    events.ResponseOutputAudioTranscriptDelta,
    events.ResponseOutputAudioTranscriptDone,
)


def _take(part: Part, content: ContentPart, role: str) -> None:
    """Take what a content part says; the words of a user's audio come by the transcription."""
    text = (content.text if part.kind == "text" else content.transcript) or ""
    if len(text) > len(part.text) and not part.complete:
        part.text = text
    part.complete = part.complete or (role != "assistant" and (part.kind != "audio" or bool(text)))
    part.detail = content.detail or part.detail


def _complete(part: Part, text: str) -> None:
    part.text, part.complete = text or part.text, True


def _plain(item: events.Item) -> dict[str, Any]:
    if isinstance(item, events.UnknownItem):
        return dict(item.data)
    fields: dict[str, Any] = msgspec.to_builtins(item)
    return {name: value for name, value in fields.items() if name not in ("object", "status")}
