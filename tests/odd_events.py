"""Server events with one odd field, and a conversation that has to survive them.

`samples()` makes a whole event of each kind from its struct, `cases()` every event with one field
of it changed or missing, `World` a conversation in which one event comes in that form. Used by the
suite, with few of them, and by scripts/fuzz, with all.
"""

from __future__ import annotations

import asyncio
import json
import logging
import types
from collections.abc import Iterator
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin

import msgspec
import numpy as np
from fake_road import FakeLeg, FakeOutput

from rtcvoice import events
from rtcvoice.conversation.accounts.limits import Limits
from rtcvoice.conversation.road import CallConversation
from rtcvoice.conversation.tools.toolset import ToolSet
from rtcvoice.errors import RtcVoiceError
from rtcvoice.sound.samples import Block

DEEP: Any = 0
for _ in range(100):
    DEEP = {"a": [DEEP]}
ODD: dict[str, Any] = {
    "null": None,
    "true": True,
    "false": False,
    "0": 0,
    "-1": -1,
    "1.5": 1.5,
    "100.0": 100.0,
    "huge": 10**400,
    "2^63": 2**63,
    "1e308": 1e308,
    "nan": float("nan"),
    "infinity": float("inf"),
    "empty": "",
    "word": "x",
    "number as text": "100",
    "nan as text": "NaN",
    "half a character": "a\ud83d",
    "controls": "\x1b[31m\u202e\x00\n",
    "long": "a " * 20_000,
    "[]": [],
    "{}": {},
    "[null]": [None],
    "[[]]": [[]],
    "object": {"type": "x", "id": 5},
    "deep": DEEP,
    "many": [1] * 2000,
}
MISSING = "missing"

ESSENTIAL = frozenset({"item_id", "response_id", "call_id", "id", "item", "part", "type"})
"""Names without which, at the top or in a part, an event means nothing."""

_IDS = {"item_id": "item_2", "response_id": "resp_1", "previous_item_id": "item_1"}


class Case(NamedTuple):
    """One event with one odd field."""

    kind: str
    path: tuple[Any, ...]
    how: str
    whole: str
    """The event as it should be."""

    @property
    def text(self) -> str:
        """The event as it comes."""
        changed = json.loads(self.whole)
        place = changed
        for key in self.path[:-1]:
            place = place[key]
        if self.how == MISSING:
            del place[self.path[-1]]
        else:
            place[self.path[-1]] = ODD[self.how]
        return json.dumps(changed)

    def __str__(self) -> str:
        return f"{self.kind} {'.'.join(map(str, self.path))} {self.how}"


def _sample(annotation: Any, name: str) -> Any:
    """A value that fits."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _sample(arguments[0], name)
    if origin in (Union, types.UnionType):
        return _sample(arguments[0], name)
    if origin is list:
        kinds = get_args(arguments[0]) or arguments  # of a list of items one of each kind
        return [_sample(kind, name) for kind in (kinds if _is_struct(kinds[0]) else arguments)]
    if _is_struct(annotation):
        return _whole(annotation)
    plain = {str: _IDS.get(name, f"{name}_1"), int: 7, float: 0.5, bool: True}
    return plain.get(annotation, {"a": 1})


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _whole(cls: Any, **fixed: Any) -> dict[str, Any]:
    made = {field.name: _sample(field.type, field.name) for field in msgspec.structs.fields(cls)}
    tag = cls.__struct_config__.tag
    return {**({"type": tag} if tag else {}), **made, **fixed}


def samples() -> Iterator[dict[str, Any]]:
    """An event of each kind with all its fields; one more for each kind of item."""
    for cls in events.SERVER_EVENTS.values():
        if "item" in cls.__struct_fields__:
            for item in events.ITEM_TYPES.values():
                if item is not events.ItemReference:
                    yield _whole(cls, item=_whole(item, id="item_2"))
        elif cls is events.ErrorEvent:
            yield _whole(cls, error=_whole(events.ErrorDetail, code="x"))
        else:
            yield _whole(cls)


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in pairs:
        if path or key != "type":
            yield (*path, key)
        if isinstance(inner, dict | list):
            yield from _paths(inner, (*path, key))


def cases() -> Iterator[Case]:
    """Every event, every field, every oddity."""
    for event in samples():
        whole = json.dumps(event)
        for path in _paths(event):
            for how in (*ODD, MISSING):
                yield Case(event["type"], path, how, whole)


def misread(case: Case) -> str:
    """What is wrong with how an event is read; empty if nothing is."""
    event = events.decode(case.text)
    if event.type != case.kind:
        return f"the type is {event.type!r}: {getattr(event, 'error', '')}"
    events.as_dict(event)
    if isinstance(event, events.UnknownEvent) and case.path[0] not in ESSENTIAL:
        return f"it is unknown: {event.error}"
    return ""


class World:
    """A conversation with a server that answers as it should, but for one event.

    In place of the first event of the case's kind comes the odd one; if the server does not send
    that kind by itself, the odd one comes in the middle of an answer.
    """

    def __init__(self, case: Case) -> None:
        self._odd: Case | None = case
        self._loop = asyncio.get_running_loop()
        self._count = 0
        self._failures: list[str] = []
        tools = ToolSet.of([self.weather])
        self.road = CallConversation(
            FakeOutput(self._heard),
            model="gpt-realtime",
            tools=tools,
            limits=Limits(tokens=10**15),
            clock=self._loop.time,
        )
        self.road.attach(FakeLeg(self._sent, limit=1 << 20))

    async def run(self) -> str:
        """Live through it; return what is wrong, or nothing."""
        watch = _Watch(self._failures)
        logger = logging.getLogger("rtcvoice")
        logger.addHandler(watch)
        try:
            await self._live()
        finally:
            logger.removeHandler(watch)
            await self.road.aclose()
        return "; ".join(self._failures)

    async def _live(self) -> None:
        self._say("session.created", session=SESSION)
        self._say("input_audio_buffer.speech_started", audio_start_ms=0, item_id="item_1")
        self._say("input_audio_buffer.speech_stopped", audio_end_ms=900, item_id="item_1")
        self._say("input_audio_buffer.committed", item_id="item_1", previous_item_id=None)
        spoken = {"type": "message", "role": "user", "content": [{"type": "input_audio"}]}
        self._item({**spoken, "id": "item_1"})
        self._say(
            "conversation.item.input_audio_transcription.completed",
            item_id="item_1",
            content_index=0,
            transcript="Hello",
        )
        self._say("response.created", response={"id": "own", "status": "in_progress"})
        self._say("response.done", response={"id": "own", "status": "completed", "output": []})
        await self._ask(must=False)
        await asyncio.sleep(70)  # whatever patience there is, it is over
        if self._odd is not None:
            self._receive(self._odd)
        await self._ask(must=True)
        try:
            await self.road.commands.update({"instructions": "x"})
        except RtcVoiceError as exc:
            self._failures.append(f"a later update: {exc}")
        await asyncio.sleep(70)
        if not self.road.is_idle:
            self._failures.append("it never becomes idle")
        json.dumps(self.road.state.history)
        str(self.road.accounts.usage)

    async def _ask(self, *, must: bool) -> None:
        """Ask; the answer has to come, or, when it is the odd event's, an error."""
        try:
            async with asyncio.timeout(200):
                items: list[events.Item] = [_question(f"q{self._next()}")]
                reply = await self.road.requests.ask(items)
                text = await reply.text()
                await reply.played()
            if must and text != "Hi.":
                self._failures.append(f"a later answer is {text[:40]!r}")
        except TimeoutError:
            self._failures.append("an answer is waited for without end")
        except RtcVoiceError as exc:
            if must:
                self._failures.append(f"a later question: {exc}")

    # -- the server -----------------------------------------------------------------------------

    def _next(self) -> int:
        self._count += 1
        return self._count

    def _sent(self, event: events.ClientEvent) -> None:
        self._loop.call_later(0.02, self._obey, event)

    def _obey(self, event: events.ClientEvent) -> None:
        match event:
            case events.SessionUpdate():
                self._say("session.updated", session=SESSION)
            case events.ConversationItemCreate():
                self._item(events.as_dict(event)["item"])
            case events.ResponseCreate():
                asked = events.as_dict(event).get("response", {})
                self._answer(asked.get("metadata"), beside=asked.get("conversation") == "none")
            case events.ResponseCancel():
                detail = {"code": "response_cancel_not_active", "message": "none is active"}
                self._say("error", error={**detail, "event_id": event.event_id})

    def _answer(self, metadata: Any, *, beside: bool) -> None:
        number = self._next()
        response = {"id": f"resp_{number}", "metadata": metadata, "conversation_id": "conv_1"}
        item_id = f"answer_{number}"
        item = {"id": item_id, "type": "message", "role": "assistant", "status": "in_progress"}
        place = {"response_id": response["id"], "item_id": item_id, "output_index": 0}
        part = {**place, "content_index": 0}
        whole = {"type": "output_audio", "transcript": "Hi."}
        of_item = {"response_id": response["id"], "output_index": 0}
        done = {**item, "status": "completed", "content": [whole]}
        self._say("response.created", response={**response, "status": "in_progress", "output": []})
        self._say("response.output_item.added", **of_item, item={**item, "content": []})
        self._say("conversation.item.added", item={**item, "content": []})
        self._say("response.content_part.added", **part, part={"type": "audio", "transcript": ""})
        if self._odd is not None and self._odd.kind not in _SAID:
            self._receive(self._odd)
        self._say("response.output_audio_transcript.delta", **part, delta="Hi.")
        self._say("output_audio_buffer.started", response_id=response["id"])
        self._say("response.output_audio.done", **part)
        self._say("response.output_audio_transcript.done", **part, transcript="Hi.")
        self._say("response.content_part.done", **part, part={**whole, "type": "audio"})
        self._say("conversation.item.done", item=done)
        self._say("response.output_item.done", **of_item, item=done)
        response |= {"status": "completed", "output": [done], "usage": USAGE}
        self._say("response.done", response=response)
        self._say("rate_limits.updated", rate_limits=[{"name": "tokens", "remaining": 5}])
        self._loop.call_later(
            1.0, lambda: self._say("output_audio_buffer.stopped", response_id=response["id"])
        )

    def _item(self, item: dict[str, Any]) -> None:
        self._say("conversation.item.added", item=item)
        self._say("conversation.item.done", item=item)

    def _say(self, kind: str, **fields: Any) -> None:
        odd, event = self._odd, {"type": kind, "event_id": "e", **fields}
        if odd is None or odd.kind != kind:
            self.road.receive(json.dumps(event))
            return
        self._odd = None
        # The odd field, or what it is in, alone: everything else is as it should be here.
        place, strange, way = json.loads(json.dumps(event)), json.loads(odd.text), list(odd.path)
        event, key = place, way.pop(0)
        while way and isinstance(place.get(key), dict):
            place, strange, key = place[key], strange[key], way.pop(0)
        if key in strange:
            place[key] = strange[key]
        else:
            place.pop(key, None)
        self.road.receive(json.dumps(event))

    def _receive(self, odd: Case) -> None:
        self._odd = None
        self.road.receive(odd.text)

    @staticmethod
    async def _heard() -> Any:
        while True:
            await asyncio.sleep(0.5)
            yield Block(np.zeros(12_000, np.int16), 0, 0.0)

    @staticmethod
    async def _clip(*args: Any) -> Any:
        return np.zeros(2400, np.int16)

    @staticmethod
    async def weather(city: str) -> str:
        """Tell the weather."""
        return f"sunny in {city}"


async def life(case: Case) -> str:
    """What went wrong in a conversation with an odd event in it; empty if nothing did."""
    return await World(case).run()


class _Watch(logging.Handler):
    """Notes what is logged as a failure of ours."""

    def __init__(self, failures: list[str]) -> None:
        super().__init__(logging.ERROR)
        self._failures = failures

    def emit(self, record: logging.LogRecord) -> None:
        cause = record.exc_info[1] if record.exc_info else None
        if record.exc_info or not record.getMessage().startswith("x tool"):
            self._failures.append(f"{record.getMessage()}: {cause!r}")


def _question(item_id: str) -> events.Message:
    part = events.ContentPart(type="input_text", text="How are you?")
    return events.Message(id=item_id, role="user", content=[part])


SESSION = {
    "type": "realtime",
    "model": "gpt-realtime",
    "audio": {
        "input": {"turn_detection": {"type": "server_vad"}, "transcription": {"model": "whisper-1"}}
    },
    "tools": [{"type": "function", "name": "weather", "parameters": {}}],
}
USAGE = {"total_tokens": 3, "input_tokens": 1, "output_tokens": 2}
_SAID = frozenset(
    {
        *("session.created", "session.updated", "error", "rate_limits.updated"),
        *(f"input_audio_buffer.{name}" for name in ("speech_started", "speech_stopped")),
        "input_audio_buffer.committed",
        "conversation.item.input_audio_transcription.completed",
        *(f"conversation.item.{name}" for name in ("added", "done")),
        *(f"response.{name}" for name in ("created", "done")),
        *(f"response.output_item.{name}" for name in ("added", "done")),
        *(f"response.content_part.{name}" for name in ("added", "done")),
        *(f"response.output_audio_transcript.{name}" for name in ("delta", "done")),
        "response.output_audio.done",
        *(f"output_audio_buffer.{name}" for name in ("started", "stopped")),
    }
)
"""Kinds that the server sends by itself; the error only if the client gives reason to."""
