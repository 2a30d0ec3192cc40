"""Responses: each climbs the service's ladder of events, one step at a time, and always ends.

A `Response` runs the steps of its writers (a message; a function call fits in beside it) on the
agenda. Cancelling closes what is open, so every response ends with `response.done`, then
`rate_limits.updated`. Its audio goes to the output buffer and plays on after that.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

from rtcvoice.emulator.session.agenda import Timer
from rtcvoice.emulator.session.items import Item, Tokens
from rtcvoice.emulator.session.output_buffer import Stream
from rtcvoice.emulator.session.outputs import Pcm
from rtcvoice.emulator.session.settings import Settings
from rtcvoice.emulator.session.shared import Shared

__all__ = ["Listener", "Response", "ResponseOptions", "ResponseStatus", "Writer"]

_TOKENS_PER_MINUTE = 15_000_000


class ResponseStatus(Enum):
    """The `status` of a response."""

    IN_PROGRESS = "in_progress"
    """It is being generated."""
    COMPLETED = "completed"
    """All of it was generated; its audio may still be playing."""
    CANCELLED = "cancelled"
    """The user spoke, or the client asked for it."""
    INCOMPLETE = "incomplete"
    """It hit `max_output_tokens`."""


class Writer(Protocol):
    """Writes one output item of a response."""

    @property
    def tokens(self) -> Tokens:
        """What has been generated so far."""
        ...

    def item(self) -> Item:
        """Return a fresh copy of the item as it stands."""
        ...

    def steps(self) -> Iterator[None]:
        """Write it, pausing after every delta."""
        ...

    def finish(self, status: str) -> None:
        """Close whatever is open of it."""
        ...


class Listener(Protocol):
    """Who is told how a response gets on."""

    def response_stepped(self, response: Response) -> None:
        """Hear of one more delta."""
        ...

    def response_ending(self, response: Response) -> None:
        """Hear that `response.done` is next."""
        ...

    def response_ended(self, response: Response) -> None:
        """Hear that all its events were sent."""
        ...


@dataclass(frozen=True)
class ResponseOptions:
    """What one response is to be like: the session's settings, overruled by the request."""

    modality: str
    voice: str
    audio_format: dict[str, Any]
    max_output_tokens: int | str
    metadata: dict[str, str] | None
    out_of_band: bool

    @classmethod
    def of(cls, settings: Settings, request: dict[str, Any]) -> ResponseOptions:
        """Combine the session's `settings` and the `response` of a `response.create`."""
        both = {**settings, **request}
        output = {**settings["audio"]["output"], **request.get("audio", {}).get("output", {})}
        voice = output["voice"]
        return cls(
            modality=both["output_modalities"][0],
            voice=voice["id"] if isinstance(voice, dict) else voice,
            audio_format=output["format"],
            max_output_tokens=both["max_output_tokens"],
            metadata=deepcopy(request.get("metadata")),
            out_of_band=request.get("conversation", "auto") == "none",
        )


class Response:
    """One response. `begin` it with its writers; it ends by itself or by `cancel`."""

    def __init__(
        self, shared: Shared, options: ResponseOptions, prompt: Tokens, listener: Listener
    ) -> None:
        self.id = shared.ids.response()
        self.shared = shared
        self.options = options
        self.status = ResponseStatus.IN_PROGRESS
        self._prompt = prompt
        self._listener = listener
        self._details: dict[str, Any] | None = None
        self._writers: list[Writer] = []
        self._announced: list[Writer] = []
        self._script: Iterator[None] = iter(())
        self._stream: Stream | None = None
        self._timer: Timer | None = None

    @property
    def in_conversation(self) -> bool:
        """Whether its items join the default conversation."""
        return not self.options.out_of_band

    @property
    def spoken(self) -> bool:
        """Whether any audio of it was generated."""
        return self._stream is not None

    def begin(self, writers: list[Writer]) -> None:
        """Announce the response; start to write after the latency."""
        self._writers = writers
        self._script = (step for writer in writers for step in writer.steps())
        self.shared.outbox.send("response.created", response=self.snapshot())
        self._timer = self.shared.agenda.after(self.shared.pace.response_latency, self._step)

    def index_of(self, writer: Writer) -> int:
        """Return the output index of a writer, given in the order in which they begin."""
        if writer not in self._announced:
            self._announced.append(writer)
        return self._announced.index(writer)

    def speak(self, item_id: str, samples: Pcm) -> None:
        """Add audio of the item to the response's stream."""
        if self._stream is None and len(samples):
            self._stream = self.shared.output.open(self.id)
        if self._stream is not None:
            self.shared.output.write(self._stream, item_id, samples)

    def cancel(self, reason: str) -> None:
        """Stop generating: `reason` is turn_detected or client_cancelled."""
        self._end(ResponseStatus.CANCELLED, {"type": "cancelled", "reason": reason})

    def snapshot(self) -> dict[str, Any]:
        """Return the response as events show it."""
        options = self.options
        return {
            "object": "realtime.response",
            "id": self.id,
            "status": self.status.value,
            "status_details": self._details,
            "output": [writer.item() for writer in self._announced],
            "conversation_id": self.shared.conversation.id if self.in_conversation else None,
            "output_modalities": [options.modality],
            "max_output_tokens": options.max_output_tokens,
            "audio": {"output": {"format": options.audio_format, "voice": options.voice}},
            "usage": None if self.status is ResponseStatus.IN_PROGRESS else self._usage(),
            "metadata": options.metadata,
        }

    def _generated(self) -> Tokens:
        return sum((writer.tokens for writer in self._announced), Tokens())

    def _usage(self) -> dict[str, Any]:
        prompt, made = self._prompt, self._generated()
        parts = {"text_tokens": prompt.text, "audio_tokens": prompt.audio, "image_tokens": 0}
        cached = {"text_tokens": 0, "audio_tokens": 0, "image_tokens": 0}
        return {
            "total_tokens": prompt.text + prompt.audio + made.text + made.audio,
            "input_tokens": prompt.text + prompt.audio,
            "output_tokens": made.text + made.audio,
            "input_token_details": {
                **parts,
                "cached_tokens": 0,
                "cached_tokens_details": cached,
            },
            "output_token_details": {"text_tokens": made.text, "audio_tokens": made.audio},
        }

    def _step(self) -> None:
        try:
            next(self._script)
        except StopIteration:
            self._end(ResponseStatus.COMPLETED, None)
            return
        limit = self.options.max_output_tokens
        if isinstance(limit, int) and sum(self._generated()) > limit:
            details = {"type": "incomplete", "reason": "max_output_tokens"}
            self._end(ResponseStatus.INCOMPLETE, details)
            return
        self._timer = self.shared.agenda.after(self.shared.pace.delta_interval, self._step)
        self._listener.response_stepped(self)

    def _end(self, status: ResponseStatus, details: dict[str, Any] | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        for writer in self._announced:
            writer.finish("incomplete")
        self._listener.response_ending(self)
        self.status, self._details = status, details
        send = self.shared.outbox.send
        send("response.done", response=self.snapshot())
        send("rate_limits.updated", rate_limits=[self._rate_limit()])
        # Whoever listens may create the next response, so this one must be over by then; and its
        # stream is closed last, because `stopped` may follow at once.
        self._listener.response_ended(self)
        if self._stream is not None:
            self.shared.output.close(self._stream)

    def _rate_limit(self) -> dict[str, Any]:
        used = sum(self._prompt) + sum(self._generated())
        return {
            "name": "tokens",
            "limit": _TOKENS_PER_MINUTE,
            "remaining": max(0, _TOKENS_PER_MINUTE - used),
            "reset_seconds": round(60 * used / _TOKENS_PER_MINUTE, 3),
        }
