"""What the server tells, as the events of the SDK; pure.

Of speech the server tells here when it is heard, and not only when it was made: what the SDK calls
interrupted was being heard, and what it calls done has been heard.
"""

from __future__ import annotations

from typing import Any

from agents.realtime import model_events as to_sdk
from agents.realtime.items import (
    AssistantMessageItem,
    RealtimeToolCallItem,
    SystemMessageItem,
    UserMessageItem,
)
from agents.usage import Usage
from openai.types.realtime import RealtimeError

import rtcvoice
from rtcvoice import events

__all__ = ["Received", "error_event"]

CONTENT: dict[str, dict[str, str]] = {
    "user": {name: name for name in ("input_text", "input_audio", "input_image")},
    "system": {"input_text": "input_text"},
    "assistant": {
        "text": "text",
        "output_text": "text",
        "audio": "audio",
        "output_audio": "audio",
    },
}
"""The kinds of content that the SDK knows, by who says it, and their names there."""

ITEMS: dict[str, Any] = {
    "user": UserMessageItem,
    "system": SystemMessageItem,
    "assistant": AssistantMessageItem,
}

KEPT = 100
"""Responses whose spoken items are known; older ones have long been heard."""


class Received:
    """The events of one session, one after the other."""

    def __init__(self) -> None:
        self.answering: str | None = None
        """Id of the response of which the server has told last that it is being made."""
        self.playing: str | None = None
        """Id of the response that the server sends the sound of."""
        self._ending: str | None = None  # all of it was sent, and not yet heard
        self._spoken: dict[str, tuple[str, int]] = {}
        self._unheard: set[str] = set()  # responses whose speech has not been heard to its end

    def spoken_item(self, response_id: str | None) -> tuple[str, int] | None:
        """Return which item of a response is speech, and which part of it; None if none is."""
        return self._spoken.get(response_id or "")

    @property
    def is_to_be_heard(self) -> bool:
        """Whether an answer has been made of which not all has been heard."""
        return bool(self._unheard) and self.answering is None

    @property
    def heard(self) -> tuple[str, str, int] | None:
        """What is being heard: ids of response and item, and which part; None if nothing is."""
        response_id = self.playing or self._ending
        spoken = self.spoken_item(response_id)
        return None if spoken is None or response_id is None else (response_id, *spoken)

    def take(self, event: Any) -> list[Any]:
        """Return the SDK's events for an event of the call."""
        if not event.type.startswith("rtcvoice."):
            raw = to_sdk.RealtimeModelRawServerEvent(data=events.as_dict(event))
            return [raw, *self._of_server(event)]
        match event:
            case rtcvoice.EventsDropped():
                told = f"{event.count} events were dropped: a listener takes too long"
                return [to_sdk.RealtimeModelErrorEvent(error={"message": told})]
            case rtcvoice.Reconnecting():
                self.answering = self.playing = self._ending = None
                self._unheard.clear()
                status = to_sdk.RealtimeModelConnectionStatusEvent(status="connecting")
            case rtcvoice.Reconnected():
                status = to_sdk.RealtimeModelConnectionStatusEvent(status="connected")
            case _:
                return [to_sdk.RealtimeModelOtherEvent(data=event)]
        return [to_sdk.RealtimeModelOtherEvent(data=event), status]

    def turn(self, turn: rtcvoice.Turn) -> list[Any]:
        """Return what is to be told of a turn that is final.

        Speech that was cut keeps the words that were heard.
        """
        if turn.role != "assistant" or not turn.spoken:
            return []
        self._unheard.discard(turn.response_id)
        if turn.response_id == self._ending:
            self._ending = None
        if turn.heard_ms is None:
            _, part = self.spoken_item(turn.response_id) or (turn.id, 0)
            return [to_sdk.RealtimeModelAudioDoneEvent(item_id=turn.id, content_index=part)]
        item = AssistantMessageItem.model_validate(
            {
                "item_id": turn.id,
                "status": "incomplete",
                # An empty transcript the SDK would take for one that is not known, and keep all.
                "content": [{"type": "audio", "transcript": turn.heard_text}]
                if turn.heard_text
                else [],
            }
        )
        return [to_sdk.RealtimeModelItemUpdatedEvent(item=item)]

    def _of_server(self, event: Any) -> list[Any]:
        match event:
            case events.ResponseOutputAudioTranscriptDelta():
                self._speaks(event)
                return [
                    to_sdk.RealtimeModelTranscriptDeltaEvent(
                        item_id=event.item_id, delta=event.delta, response_id=event.response_id
                    )
                ]
            case events.ResponseOutputTextDelta():
                return [
                    to_sdk.RealtimeModelOutputTextDeltaEvent(
                        item_id=event.item_id, delta=event.delta, response_id=event.response_id
                    )
                ]
            case events.ResponseContentPartAdded() if event.part.type in ("audio", "output_audio"):
                self._speaks(event)
            case events.ResponseCreated():
                self.answering = event.response.id
                return [to_sdk.RealtimeModelTurnStartedEvent(response_id=event.response.id)]
            case events.ResponseDone():
                return self._done(event.response)
            case events.ResponseOutputItemAdded() | events.ResponseOutputItemDone():
                return _item(event.item, final=isinstance(event, events.ResponseOutputItemDone))
            case events.ConversationItemCreated(item=events.Message() as item):
                return _message(item, event.previous_item_id)
            case (
                events.ConversationItemAdded(item=events.Message() as item)
                | events.ConversationItemRetrieved(item=events.Message() as item)
            ):
                return _message(item, None)  # the SDK places them by when they come
            case events.ConversationItemDeleted():
                return [to_sdk.RealtimeModelItemDeletedEvent(item_id=event.item_id)]
            case events.ConversationItemInputAudioTranscriptionCompleted():
                return [
                    to_sdk.RealtimeModelInputAudioTranscriptionCompletedEvent(
                        item_id=event.item_id, transcript=event.transcript
                    )
                ]
            case events.InputAudioBufferTimeoutTriggered():
                return [
                    to_sdk.RealtimeModelInputAudioTimeoutTriggeredEvent(
                        item_id=event.item_id or "",
                        audio_start_ms=int(event.audio_start_ms or 0),
                        audio_end_ms=int(event.audio_end_ms or 0),
                    )
                ]
            case events.ErrorEvent():
                return [error_event(event.error)]
            case _:
                return self._playing(event)
        return []

    def _playing(self, event: Any) -> list[Any]:
        match event:
            case events.OutputAudioBufferStarted():
                self.playing, self._ending = event.response_id, None
            case events.OutputAudioBufferStopped():
                self.playing, self._ending = None, event.response_id
            case events.OutputAudioBufferCleared():
                self.playing = self._ending = None
                self._unheard.clear()  # clearing drops everything that waits
                if (spoken := self.spoken_item(event.response_id)) is not None:
                    item_id, part = spoken
                    return [
                        to_sdk.RealtimeModelAudioInterruptedEvent(
                            item_id=item_id, content_index=part
                        )
                    ]
        return []

    def _speaks(self, event: Any) -> None:
        if event.response_id not in self._spoken:
            self._unheard.add(event.response_id)
        self._spoken[event.response_id] = event.item_id, int(event.content_index or 0)
        if len(self._spoken) > KEPT:
            oldest = next(iter(self._spoken))
            del self._spoken[oldest]
            self._unheard.discard(oldest)

    def _done(self, response: events.RealtimeResponse) -> list[Any]:
        if response.id == self.answering:
            self.answering = None
        ended = to_sdk.RealtimeModelTurnEndedEvent(response_id=response.id)
        return [ended] if response.usage is None else [_usage(response.usage), ended]


def error_event(error: events.ErrorDetail | None, otherwise: str = "") -> Any:
    """Return the SDK's event for a refusal of the server, as an error of the package `openai`."""
    told = RealtimeError(
        message=otherwise if error is None else error.message,
        type=(error.type if error is not None else None) or "error",
        code=None if error is None else error.code,
        event_id=None if error is None else error.event_id,
        param=None if error is None else error.param,
    )
    return to_sdk.RealtimeModelErrorEvent(error=told)


def _item(item: Any, *, final: bool) -> list[Any]:
    """Return what is to be told of an item of a response."""
    if isinstance(item, events.Message):
        return _message(item, None, status="completed" if final else "in_progress")
    if not final or not isinstance(item, events.FunctionCall) or item.status == "incomplete":
        return []
    item_id, call_id = item.id or "", item.call_id or ""
    called = RealtimeToolCallItem(
        item_id=item_id,
        call_id=call_id,
        status="in_progress",  # until its output is in
        arguments=item.arguments,
        name=item.name,
    )
    return [
        to_sdk.RealtimeModelItemUpdatedEvent(item=called),
        to_sdk.RealtimeModelToolCallEvent(
            call_id=call_id, name=item.name, arguments=item.arguments, id=item_id
        ),
    ]


def _message(item: events.Message, previous: str | None, status: str = "in_progress") -> list[Any]:
    kinds = CONTENT.get(item.role)
    if kinds is None:
        return []
    content = [
        {name: value for name in _FIELDS if (value := getattr(part, name)) is not None}
        | {"type": kinds[part.type]}
        for part in item.content
        if part.type in kinds
    ]
    told = {"item_id": item.id or "", "previous_item_id": previous, "content": content}
    if item.status in ("in_progress", "completed", "incomplete"):
        status = item.status
    message = ITEMS[item.role].model_validate({**told, "status": status})
    return [to_sdk.RealtimeModelItemUpdatedEvent(item=message)]


_FIELDS = ("text", "transcript", "audio", "image_url", "detail")


def _usage(used: events.Usage) -> Any:
    given, made = used.input_token_details, used.output_token_details
    total = Usage(
        requests=1,
        input_tokens=used.input_tokens or 0,
        output_tokens=used.output_tokens or 0,
        total_tokens=used.total_tokens or (used.input_tokens or 0) + (used.output_tokens or 0),
    )
    input_details = output_details = None
    if given is not None:
        total.input_tokens_details.cached_tokens = given.cached_tokens or 0
        cached = given.cached_tokens_details
        input_details = to_sdk.RealtimeModelInputTokensDetails(
            text_tokens=given.text_tokens,
            audio_tokens=given.audio_tokens,
            image_tokens=given.image_tokens,
            cached_tokens=given.cached_tokens,
            cached_tokens_details=None
            if cached is None
            else to_sdk.RealtimeModelCachedTokensDetails(
                text_tokens=cached.text_tokens,
                audio_tokens=cached.audio_tokens,
                image_tokens=cached.image_tokens,
            ),
        )
    if made is not None:
        output_details = to_sdk.RealtimeModelOutputTokensDetails(
            text_tokens=made.text_tokens, audio_tokens=made.audio_tokens
        )
    return to_sdk.RealtimeModelUsageEvent(
        usage=total, input_tokens_details=input_details, output_tokens_details=output_details
    )
