"""Transcripts of what the user said: known from a script, or honestly failed.

There is no speech recognition here. Whoever knows the words beforehand gets them streamed as the
service would; everybody else gets `failed`. The service does not promise when transcripts come
relative to the response, so the order is a choice: a client must stand all three.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rtcvoice.emulator.session.items import text_tokens, weigh
from rtcvoice.emulator.session.outputs import RATE_HZ
from rtcvoice.emulator.session.persona import Hearing
from rtcvoice.emulator.session.settings import Settings
from rtcvoice.emulator.session.shared import Shared
from rtcvoice.emulator.session.transcript_order import TranscriptOrder

__all__ = ["Transcriber"]

_EVENT = "conversation.item.input_audio_transcription."
_PATIENCE = 2.0


@dataclass(frozen=True)
class _Step:
    kind: str
    item_id: str
    fields: dict[str, Any]


class Transcriber:
    """Sends the transcription events. `busy` tells whether a response is there to order them by."""

    def __init__(
        self, shared: Shared, *, order: TranscriptOrder, fails: bool, busy: Callable[[], bool]
    ) -> None:
        self._shared = shared
        self._order = order
        self._fails = fails
        self._busy = busy
        self._steps: dict[TranscriptOrder, deque[_Step]] = {o: deque() for o in TranscriptOrder}

    def begin(self, item_id: str, heard: Hearing, samples: int, settings: Settings) -> None:
        """Transcribe a committed turn of `samples` at 24 kHz, as the persona heard it."""
        order = heard.order or self._order
        if heard.text is None or self._fails or heard.transcription_fails:
            self._steps[order].append(_failed(item_id))
        else:
            model = settings["audio"]["input"]["transcription"].get("model", "")
            logprobs = bool(settings.get("include"))
            self._steps[order] += _streamed(item_id, heard.text, samples, model, logprobs)
        if order is TranscriptOrder.BEFORE:
            self._flush(order)
        else:
            self._shared.agenda.after(self._shared.pace.transcription_latency, self._due)

    def response_stepped(self) -> None:
        """Send one event between two deltas of the response."""
        if waiting := self._steps[TranscriptOrder.MIDDLE]:
            self._send(waiting.popleft())

    def response_ending(self) -> None:
        """Send what must come before `response.done`."""
        self._flush(TranscriptOrder.MIDDLE)

    def response_ended(self) -> None:
        """Send what has waited for the end of the response."""
        self._flush(*TranscriptOrder)

    def _due(self) -> None:
        if not self._busy():
            self._flush(*TranscriptOrder)
        else:  # a response that gets nowhere must not hold up the transcript for ever
            self._shared.agenda.after(_PATIENCE, lambda: self._flush(TranscriptOrder.MIDDLE))

    def _flush(self, *orders: TranscriptOrder) -> None:
        for order in orders:
            while self._steps[order]:
                self._send(self._steps[order].popleft())

    def _send(self, step: _Step) -> None:
        entry = self._shared.conversation.get(step.item_id)
        if entry is None:  # deleted meanwhile: nobody can match the transcript any more
            return
        if step.kind == "completed":
            entry.item["content"][0]["transcript"] = step.fields["transcript"]
        self._shared.outbox.send(
            _EVENT + step.kind, item_id=step.item_id, content_index=0, **step.fields
        )


def _failed(item_id: str) -> _Step:
    # Every field a string: the JavaScript SDK drops an event with a null in here.
    error = {
        "type": "transcription_error",
        "code": "audio_unintelligible",
        "message": "The audio could not be transcribed. (The emulator knows only what its script"
        " says the user says.)",
    }
    return _Step("failed", item_id, {"error": error})


def _streamed(item_id: str, words: str, samples: int, model: str, logprobs: bool) -> list[_Step]:
    done: dict[str, Any] = {"transcript": words, "usage": _usage(words, samples, model)}
    if "diarize" in model:
        return [*_segments(item_id, words, samples), _Step("completed", item_id, done)]
    pieces = words.split(" ")
    deltas = [piece if n == 0 else f" {piece}" for n, piece in enumerate(pieces)]
    sure = {delta: [_certain(delta)] for delta in deltas} if logprobs else {}
    steps = [
        _Step("delta", item_id, {"delta": d, **({"logprobs": sure[d]} if sure else {})})
        for d in deltas
        if d
    ]
    if sure:
        done["logprobs"] = [_certain(delta) for delta in deltas if delta]
    return [*steps, _Step("completed", item_id, done)]


def _segments(item_id: str, words: str, samples: int) -> list[_Step]:
    """Return what a diarizing model tells: who said which sentence, and when; always speaker A."""
    sentences = re.split(r"(?<=[.!?])\s+", words)
    rate = samples / RATE_HZ / max(1, len(words))  # seconds per character
    steps, at = [], 0
    for number, sentence in enumerate(sentences):
        start, end = round(at * rate, 2), round((at + len(sentence)) * rate, 2)
        part = {"id": f"seg_{number}", "speaker": "A", "text": sentence, "start": start, "end": end}
        steps.append(_Step("segment", item_id, part))
        at += len(sentence) + 1
    return steps


def _certain(token: str) -> dict[str, Any]:
    data = token.encode(errors="replace")
    return {"token": token, "logprob": 0.0, "bytes": list(data)}


def _usage(words: str, samples: int, model: str) -> dict[str, Any]:
    if "whisper" in model:
        return {"type": "duration", "seconds": round(samples / RATE_HZ, 2)}
    heard, written = weigh({}, user_samples=samples).audio, text_tokens(words)
    return {
        "type": "tokens",
        "total_tokens": heard + written,
        "input_tokens": heard,
        "output_tokens": written,
        "input_token_details": {"text_tokens": 0, "audio_tokens": heard},
    }
