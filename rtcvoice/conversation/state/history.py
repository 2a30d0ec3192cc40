"""A conversation as plain JSON values, out of one call and into another; pure.

`export` writes what was said, called and shown; `seed` reads it, or what a program made up, as the
events that put it into a new conversation. The API lets a client create what the user and the
system wrote, what the assistant said as text, function calls and their outputs: speech comes back
as its words, and of an answer that was interrupted only the part that was heard.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Literal, cast

from rtcvoice import events
from rtcvoice.errors import ConfigError
from rtcvoice.events import ContentPart

from .chat_format import check_text, unfolded
from .history_entries import HistoryEntry, HistoryImage, HistoryMessage
from .items import Items
from .playback import Playback
from .records import Record

__all__ = ["export", "seed"]

_TEXT_OF = {"user": "input_text", "system": "input_text", "assistant": "output_text"}


def export(items: Items, playback: Playback) -> list[HistoryEntry]:
    """Return the items in order, as values that `json.dumps` takes.

    A message: `id, type, role, text, status, spoken`, and where they apply `phase`, `reason`,
    `heard_ms`, `heard_text` (an estimate) and `images` (`image_url`, a data URI, and `detail`; of
    more than 16 MiB of pictures the oldest have None). Everything else: its fields, such as `name,
    arguments, call_id` or `call_id, output`.
    """
    return [
        _message(record, playback) if record.kind in ("", "message") else _other(record)
        for record in items
        if not record.empty
    ]


def _message(record: Record, playback: Playback) -> HistoryMessage:
    entry: HistoryMessage = {
        "id": record.id,
        "type": "message",
        "role": cast(Literal["user", "assistant", "system"], record.role),
        "text": record.text,
        "status": record.status.value,
        "spoken": record.spoken,
    }
    if record.phase:
        entry["phase"] = record.phase
    if record.reason:
        entry["reason"] = record.reason
    if record.heard_ms is not None:
        entry["heard_ms"] = record.heard_ms
        entry["heard_text"] = playback.heard_text(record.text, record.heard_ms)
    images = [part for _, part in sorted(record.parts.items()) if part.kind == "image"]
    if images:
        entry["images"] = [_image(part.image_url, part.detail) for part in images]
    return entry


def _image(url: str | None, detail: str | None) -> HistoryImage:
    image: HistoryImage = {"image_url": url}
    if detail:
        image["detail"] = detail
    return image


def _other(record: Record) -> HistoryEntry:
    entry = {**record.other, "id": record.id, "status": record.status.value}
    return cast(HistoryEntry, entry)  # as `type` has it


def seed(
    history: Iterable[Mapping[str, Any]], new_id: Callable[[], str]
) -> list[events.ConversationItemCreate]:
    """Return the events that bring a history into a conversation, in order, with ids of their own.

    The least that an entry needs: `{"role": "user", "text": "..."}`. Taken as well is the format of
    chats, with `content` (text or parts) in place of `text`, the roles developer and tool, and
    `tool_calls`; see `chat_format`. Entries whose text is empty, and what a client cannot create,
    are left out; so are calls without outputs, and outputs without calls. Raises ConfigError for
    what is not a history.
    """
    entries = [
        _checked(entry, place)
        for index, given in enumerate(_listed(history))
        for place, entry in unfolded(given, f"history[{index}]")
    ]
    called = {e.get("call_id") for e in entries if e["type"] == "function_call"}
    returned = {e.get("call_id") for e in entries if e["type"] == "function_call_output"}
    return [
        events.ConversationItemCreate(event_id=new_id(), item=item)
        for entry in entries
        for item in _items(entry, called & returned, new_id)
    ]


def _listed(history: Any) -> list[Any]:
    if isinstance(history, str | bytes | Mapping) or not isinstance(history, Iterable):
        raise ConfigError(
            f"a history is a list of dicts, not a {type(history).__name__}",
            hint='for example [{"role": "user", "text": "Hello"}], or call.history of another call',
        )
    return list(history)


def _checked(entry: Mapping[str, Any], place: str) -> Mapping[str, Any]:
    """Return an entry whose fields are what they have to be."""
    texts: tuple[str, ...] = ("text", "heard_text")
    needed: tuple[str, ...] = ()
    if entry["type"] == "message":
        if entry.get("role") not in _TEXT_OF:
            raise ConfigError(
                f"{place} has the role {entry.get('role')!r:.40}",
                hint="user, assistant, system, developer or tool",
            )
    else:
        texts, needed = ("name", "arguments", "call_id", "output"), _NEEDED.get(entry["type"], ())
        entry = {name: value for name, value in entry.items() if value is not None}
    for name in texts:
        if name in entry:
            check_text(entry[name], f"{place}[{name!r}]")
    for name in needed:
        if not entry.get(name):
            raise ConfigError(f"{place} is a {entry['type']} without {name!r}")
    return entry


_NEEDED = {"function_call": ("name", "call_id"), "function_call_output": ("call_id",)}


def _items(
    entry: Mapping[str, Any], answered: set[Any], new_id: Callable[[], str]
) -> Iterator[events.Item]:
    match entry["type"]:
        case "message":
            if content := _content(entry):
                yield events.Message(id=new_id(), role=entry["role"], content=content)
        case "function_call" if entry["call_id"] in answered:
            yield events.FunctionCall(
                id=new_id(),
                call_id=entry["call_id"],
                name=entry["name"],
                arguments=entry.get("arguments", "{}"),
            )
        case "function_call_output" if entry["call_id"] in answered:
            yield events.FunctionCallOutput(
                id=new_id(), call_id=entry["call_id"], output=entry.get("output", "")
            )


def _content(entry: Mapping[str, Any]) -> list[ContentPart]:
    role = entry["role"]
    text = entry.get("heard_text", entry.get("text", ""))
    content = [ContentPart(type=_TEXT_OF[role], text=text)] if text else []
    if role == "user":
        content += [
            ContentPart(type="input_image", image_url=image["image_url"], detail=image["detail"])
            for image in entry.get("images", ())
        ]
    return content
