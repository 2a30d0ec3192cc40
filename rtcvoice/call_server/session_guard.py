"""What a page does to a session of the Realtime API that is not its own; pure.

The page has the data channel of its call, by which it could change instructions and tools, speak as
the system, or answer function calls. Every event of the service comes to the server, too. So what
the server itself did not cause is somebody else's: `received` returns how to undo it.

    session.updated     differs from the session as we made it  -> session.update with our values
    an item             of the system, or the output of a function, that we did not send -> delete

    an answer           that is begun while such an item still stands, and not by us     -> cancel

Any other answer that a page asks for by `response.create` cannot be told from what the service does
by itself, and is not undone.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from rtcvoice.conversation.state.requests import METADATA_KEY

__all__ = ["Foreign", "SessionGuard"]

MOST_KEPT = 2000
"""Items of ours, and of others, that are remembered."""

NOT_OURS_TO_SET = frozenset(
    {"client_secret", "expires_at", "id", "model", "object", "tracing", "type"}
)
"""Fields of a session that nobody can change, or nobody can change back."""

Path = tuple[str, ...]

_KINDS = ('"session.', '"conversation.item.', '"response.created"', '"error"')
_OURS = ('"session.update"', '"conversation.item.create"', '"response.create"')
_CLEAR = {"type": "output_audio_buffer.clear"}

_ABSENT: dict[Path, Any] = {("instructions",): "", ("tools",): []}
"""What a field is that the server leaves out."""


@dataclass(frozen=True)
class Foreign:
    """Something that we did not do. `undo`: what sets it right, as events of a client."""

    what: str
    undo: tuple[dict[str, Any], ...]
    usual: bool = False
    """Whether clients that mean no harm do it: answer a function call that they do not know."""


class SessionGuard:
    """Watches one call. `asked`: the session as the call was begun with."""

    def __init__(self, asked: Mapping[str, Any]) -> None:
        self._asked = _fields(asked)
        self._known: dict[Path, Any] | None = None
        self._updates: deque[tuple[str | None, dict[Path, Any]]] = deque(maxlen=MOST_KEPT)
        self._items: dict[str, None] = {}
        self._outputs: dict[str, None] = {}
        self._handled: dict[str, None] = {}
        self._tags: dict[str | None, None] = {}
        """What the answers are marked with that we asked for."""
        self._standing: dict[str, None] = {}
        """Items of somebody else that are not deleted yet."""
        self._answered: dict[str, None] = {}
        """Function calls that somebody else has answered."""

    def sent(self, text: str) -> None:
        """Take an event that we send."""
        if not any(kind in text for kind in _OURS):
            return
        event = _decoded(text)
        kind = event.get("type")
        if kind == "response.create":
            if (tag := _tag_of(event.get("response"))) is not None:
                _keep(self._tags, tag)
            return
        if kind == "session.update":
            session = event.get("session")
            fields = _fields(session if isinstance(session, dict) else {})
            self._updates.append((event.get("event_id"), fields))
        elif kind == "conversation.item.create" and isinstance(item := event.get("item"), dict):
            if isinstance(item_id := item.get("id"), str):
                _keep(self._items, item_id)
            elif item.get("type") == "function_call_output":
                _keep(self._outputs, _output_key(item))

    def received(self, text: str) -> Foreign | None:
        """Take a message of the service; return what was done by somebody else, and its undoing."""
        if not any(kind in text for kind in _KINDS):
            return None
        event = _decoded(text)
        match event.get("type"):
            case "session.updated" | "session.created" as kind:
                session = event.get("session")
                if not isinstance(session, dict):
                    return None
                return self._session(session, answers=kind == "session.updated")
            case "conversation.item.added" | "conversation.item.created" | "conversation.item.done":
                item = event.get("item")
                return self._item(item) if isinstance(item, dict) else None
            case "conversation.item.deleted":
                self._standing.pop(str(event.get("item_id")), None)
            case "response.created" if self._standing:
                response = event.get("response")
                return self._response(response) if isinstance(response, dict) else None
            case "error":
                self._refused(event.get("error"))
        return None

    def reconnected(self) -> None:
        """Note that what was sent last may have no answer any more."""
        self._updates.clear()
        self._standing.clear()

    # -- the session ----------------------------------------------------------------------------

    def _session(self, session: dict[str, Any], *, answers: bool) -> Foreign | None:
        now = _fields(session)
        changed: dict[Path, Any] = {}
        if self._updates and answers:  # the service answers each in order, whoever sent it
            _, changed = self._updates.popleft()
            self._asked |= changed
        if self._known is None:
            self._known = now
            return None
        for path in changed:
            if path in now:
                self._known[path] = now[path]
        wrong = [
            path
            for path, value in self._known.items()
            if path not in changed and path in now and not _same(now[path], value)
        ]
        wrong += [
            path
            for path, value in now.items()
            if path not in self._known
            and path not in changed
            and not _same(value, _ABSENT.get(path))
        ]
        if not wrong:
            return None
        names = ", ".join(sorted(".".join(path) for path in wrong))
        return Foreign(f"the session was changed: {names}", (self._update(wrong),))

    def _update(self, paths: list[Path]) -> dict[str, Any]:
        assert self._known is not None
        session: dict[str, Any] = {"type": "realtime"}
        for path in paths:
            value = self._asked.get(path, _without_nulls(self._known.get(path, _ABSENT.get(path))))
            at = session
            for name in path[:-1]:
                at = at.setdefault(name, {})
            at[path[-1]] = value
        return {"type": "session.update", "session": session}

    def _refused(self, error: Any) -> None:
        refused = error.get("event_id") if isinstance(error, dict) else None
        if refused is not None:
            kept = [each for each in self._updates if each[0] != refused]
            self._updates = deque(kept, maxlen=MOST_KEPT)

    # -- items ----------------------------------------------------------------------------------

    def _item(self, item: dict[str, Any]) -> Foreign | None:
        item_id, kind, usual = item.get("id"), item.get("type"), False
        if not isinstance(item_id, str) or item_id in self._items or item_id in self._handled:
            return None
        if kind == "message" and item.get("role") in ("system", "developer"):
            what = "somebody spoke as the system"
        elif kind == "function_call_output":
            key = _output_key(item)
            if key in self._outputs:
                _keep(self._items, item_id)
                return None
            what = "somebody answered a function call"
            call_id = str(item.get("call_id"))
            usual = call_id not in self._answered
            _keep(self._answered, call_id)
        elif kind == "mcp_approval_response":
            what = "somebody approved a call"
        else:
            return None
        _keep(self._handled, item_id)
        _keep(self._standing, item_id)
        delete = {"type": "conversation.item.delete", "item_id": item_id}
        return Foreign(what, (delete,), usual=usual)

    def _response(self, response: dict[str, Any]) -> Foreign | None:
        if _tag_of(response) in self._tags:
            return None  # ours: the answer to our own output goes on
        cancel = {"type": "response.cancel", "response_id": response.get("id")}
        return Foreign("somebody asked for an answer to that", (cancel, _CLEAR))


def _tag_of(response: Any) -> str | None:
    metadata = response.get("metadata") if isinstance(response, dict) else None
    tag = metadata.get(METADATA_KEY) if isinstance(metadata, dict) else None
    return tag if isinstance(tag, str) else None


def _fields(session: Mapping[str, Any]) -> dict[Path, Any]:
    """Return the fields of a session that can be set one by one, by their places."""
    fields: dict[Path, Any] = {}
    for name, value in session.items():
        if name == "audio" and isinstance(value, dict):
            for side, group in value.items():
                if isinstance(group, dict):
                    fields |= {("audio", side, part): each for part, each in group.items()}
        elif name not in NOT_OURS_TO_SET:
            fields[(name,)] = value
    return fields


def _same(one: Any, other: Any) -> bool:
    """Whether two values are the same, but for digits that only a computer sees."""
    if isinstance(one, dict) and isinstance(other, dict):
        names = one.keys() | other.keys()
        return all(_same(one.get(name), other.get(name)) for name in names)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, float) or isinstance(other, float):
        numbers = isinstance(one, int | float) and isinstance(other, int | float)
        return numbers and math.isclose(one, other, rel_tol=1e-6)
    return bool(one == other)


def _without_nulls(value: Any) -> Any:
    """Return a value as the service describes it in the form in which it takes it."""
    if isinstance(value, dict):
        return {name: _without_nulls(each) for name, each in value.items() if each is not None}
    if isinstance(value, list):
        return [_without_nulls(each) for each in value]
    return value


def _output_key(item: Mapping[str, Any]) -> str:
    return f"{item.get('call_id')}\n{item.get('output')}"


def _decoded(text: str) -> dict[str, Any]:
    try:
        event = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return {}
    return event if isinstance(event, dict) else {}


def _keep(kept: dict[Any, None], name: str) -> None:
    kept[name] = None
    if len(kept) > MOST_KEPT:
        del kept[next(iter(kept))]
