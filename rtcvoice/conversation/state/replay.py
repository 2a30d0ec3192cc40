"""What a new session is given of the conversation so far, as it was heard; pure.

A session cannot be taken along from one connection to another: its items are created anew. What
the API lets a client create comes back: what the user and the system wrote, images, function calls
with their outputs, and of the assistant's speech the words that were heard. Nothing of the user is
left out in silence: speech without a transcript goes as its sound where that is kept, else as a
note that something was said. An answer that was cut ends with a mark, so that the model does not
take it for all that it said. Left out, and counted, is what cannot be created or says nothing: the
traffic of MCP servers, empty items, calls without outputs (they go in with those, later).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from rtcvoice import events
from rtcvoice.events import ContentPart

from .records import Part, Record, Status

__all__ = ["CUT_OFF", "GO_ON", "UNHEARD", "Replay", "ReplayReport", "replay", "short_id"]

LONGEST_ID = 32
"""Characters that the API takes as the id of a call or an item."""

CUT_OFF = "[cut off here]"
"""Ends the words of an answer of which not all was heard."""

UNHEARD = "[the user said something here, of which there is no transcript]"
"""Stands for a turn of the user whose words are not known and whose sound is not kept."""

IMAGE_GONE = "[the user showed an image here]"
"""Stands for a picture that is too old to be kept."""

GO_ON = (
    "The connection was replaced in the middle of this conversation. Go on as if it had not been:"
    " in the language and manner so far, without greeting again, and without mentioning it."
)
"""Follows a conversation in which the assistant has spoken; else it may greet again, or change its
language."""

BYTES_PER_TOKEN = 3
"""Of text in UTF-8: four letters of English, or one Chinese character."""

TOKENS_PER_ITEM = 4
TOKENS_PER_IMAGE = 800
"""Of one at 768 pixels."""

AUDIO_BYTES_PER_TOKEN = 4800 * 4 // 3
"""Of the user's sound, in base64: 100 ms of int16 at 24 kHz."""


@dataclass(frozen=True)
class Replay:
    """Items to be created, in order, and what they are estimated to cost in tokens."""

    items: tuple[events.Item, ...] = ()
    records: tuple[str, ...] = ()
    """Ids of the records that they stand for."""
    dropped: tuple[str, ...] = ()
    """Ids of the records that are left out."""
    text_tokens: int = 0
    audio_tokens: int = 0
    image_tokens: int = 0

    @property
    def tokens(self) -> int:
        """All tokens."""
        return self.text_tokens + self.audio_tokens + self.image_tokens


@dataclass(frozen=True, kw_only=True)
class ReplayReport:
    """What became of the items of the conversation."""

    replayed: int = 0
    """Given to the new session."""
    dropped: int = 0
    """Left out: too old, empty, of a kind that cannot be created, or refused."""


@dataclass(frozen=True)
class _Unit:
    """A record as the items that stand for it."""

    record: Record
    items: Sequence[events.Item]
    text_tokens: int
    audio_tokens: int
    image_tokens: int

    @property
    def tokens(self) -> int:
        return self.text_tokens + self.audio_tokens + self.image_tokens


def short_id(name: str) -> str:
    """Return an id of at most 32 characters: the given one, or always the same one for it."""
    if len(name) <= LONGEST_ID:
        return name
    return "id_" + hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()[: LONGEST_ID - 3]


def replay(
    records: Iterable[Record],
    *,
    heard_text: Callable[[str, int], str],
    speech: Callable[[str], Sequence[events.Item]] = lambda record_id: (),
    max_items: int = 200,
    max_tokens: int = 16_000,
) -> Replay:
    """Return what stands for `records`, which are in the order of the conversation.

    heard_text: the beginning of a text that was heard in so many milliseconds.
    speech: the items that carry the sound of a user's turn, by its id; none if it is not kept.
    max_items, max_tokens: what exceeds them is left out, the oldest first.
    """
    records = list(records)
    called = [r.other.get("call_id") for r in records if r.kind == "function_call"]
    returned = [r.other.get("call_id") for r in records if r.kind == "function_call_output"]
    pairs = {i for i in called if i and i in returned}
    units: list[_Unit] = []
    dropped: list[str] = []
    seen: set[tuple[str, str]] = set()
    for record in records:
        items = _items(record, pairs, seen, heard_text, speech)
        if items:
            units.append(_unit(record, items))
        else:
            dropped.append(record.id)
    kept = _newest(units, max_items, max_tokens)
    keeping = {unit.record.id for unit in kept}
    dropped += [unit.record.id for unit in units if unit.record.id not in keeping]
    return Replay(
        items=tuple(item for unit in kept for item in unit.items),
        records=tuple(unit.record.id for unit in kept),
        dropped=tuple(dropped),
        text_tokens=sum(unit.text_tokens for unit in kept),
        audio_tokens=sum(unit.audio_tokens for unit in kept),
        image_tokens=sum(unit.image_tokens for unit in kept),
    )


def _newest(units: list[_Unit], max_items: int, max_tokens: int) -> list[_Unit]:
    """Return the newest units within the limits; a call and its output stay together."""
    first, items, tokens = len(units), 0, 0
    while first:
        unit = units[first - 1]
        items, tokens = items + len(unit.items), tokens + unit.tokens
        if items > max_items or tokens > max_tokens:
            break
        first -= 1
    kept = units[first:]
    called = {_call_id(unit) for unit in kept if unit.record.kind == "function_call"}
    return [
        unit
        for unit in kept
        if unit.record.kind != "function_call_output" or _call_id(unit) in called
    ]


def _call_id(unit: _Unit) -> str:
    return str(unit.record.other.get("call_id"))


def _items(
    record: Record,
    pairs: set[str],
    seen: set[tuple[str, str]],
    heard_text: Callable[[str, int], str],
    speech: Callable[[str], Sequence[events.Item]],
) -> Sequence[events.Item]:
    """Return the items that stand for a record; none for one that is left out."""
    if record.empty:
        return ()
    if record.kind in ("function_call", "function_call_output"):
        call_id = record.other.get("call_id")
        if call_id not in pairs or (record.kind, call_id) in seen:
            return ()
        seen.add((record.kind, call_id))
        return (call_item(record),)
    if record.kind not in ("", "message"):
        return ()
    if record.role == "assistant":
        content = _assistant(record, heard_text)
    elif record.role == "user":
        if _is_untold(record) and not record.sent and (items := speech(record.id)):
            return items
        content = _user(record)
    elif record.role == "system":
        content = [_text("input_text", part.text) for part in _parts(record) if part.text]
    else:
        content = []
    if not content:
        return ()
    return (events.Message(id=short_id(record.id), role=record.role, content=content),)


def call_item(record: Record) -> events.FunctionCall | events.FunctionCallOutput:
    """Return the item of a call, or of its output."""
    call_id = short_id(str(record.other.get("call_id")))
    if record.kind == "function_call":
        return events.FunctionCall(
            id=short_id(record.id),
            call_id=call_id,
            name=str(record.other.get("name") or "unknown"),
            arguments=str(record.other.get("arguments") or "{}"),
        )
    return events.FunctionCallOutput(
        id=short_id(record.id), call_id=call_id, output=str(record.other.get("output") or "")
    )


def _parts(record: Record) -> list[Part]:
    return [part for _, part in sorted(record.parts.items())]


def _is_untold(record: Record) -> bool:
    """Whether a turn of the user was spoken and nothing is known of its words."""
    return record.spoken and not record.text


def _user(record: Record) -> list[ContentPart]:
    content = []
    for part in _parts(record):
        if part.kind == "image" and part.image_url:
            content.append(
                ContentPart(type="input_image", image_url=part.image_url, detail=part.detail)
            )
        elif part.kind == "image":
            content.append(_text("input_text", IMAGE_GONE))
        elif part.text:
            content.append(_text("input_text", part.text))
        elif part.audio:
            content.append(ContentPart(type="input_audio", audio=part.audio))
        elif part.kind == "audio":
            content.append(_text("input_text", UNHEARD))
    return content or [_text("input_text", UNHEARD)] if record.spoken else content


def _assistant(record: Record, heard_text: Callable[[str, int], str]) -> list[ContentPart]:
    text = record.text
    heard = text if record.heard_ms is None else heard_text(text, record.heard_ms)
    if not heard.strip():
        return []
    if len(heard) < len(text) or record.status is not Status.COMPLETED:
        heard = f"{heard} {CUT_OFF}"
    return [_text("output_text", heard)]


def _text(kind: str, text: str) -> ContentPart:
    return ContentPart(type=kind, text=text)


def _unit(record: Record, items: Sequence[events.Item]) -> _Unit:
    text = audio = image = 0
    for item in items:
        text += TOKENS_PER_ITEM
        if isinstance(item, events.FunctionCall):
            text += text_tokens(item.name + item.arguments)
        elif isinstance(item, events.FunctionCallOutput):
            text += text_tokens(item.output)
        elif isinstance(item, events.Message):
            text += sum(text_tokens(part.text) for part in item.content if part.text)
            audio += sum(len(part.audio or "") for part in item.content) // AUDIO_BYTES_PER_TOKEN
            image += sum(TOKENS_PER_IMAGE for part in item.content if part.image_url)
    return _Unit(record, items, text, audio, image)


def text_tokens(text: str) -> int:
    """Return about how many tokens a text has."""
    return -(-len(text.encode("utf-8", "replace")) // BYTES_PER_TOKEN)
