"""Responses: each climbs the service's ladder of events, one step at a time, and always ends.

A `Response` runs the steps of its writers (messages, function calls) on the agenda, one after the
other or interleaved. However it ends, what is open is closed, then come `response.done` and
`rate_limits.updated`. Its audio goes to the output buffer and plays on after that.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from enum import Enum
from itertools import islice
from typing import Any, Final, Protocol

from rtcvoice.emulator.session.agenda import Timer
from rtcvoice.emulator.session.items import Tokens
from rtcvoice.emulator.session.output_buffer import Stream
from rtcvoice.emulator.session.output_items import OutputItem
from rtcvoice.emulator.session.outputs import Pcm
from rtcvoice.emulator.session.plan import Failure, Plan
from rtcvoice.emulator.session.settings import Settings
from rtcvoice.emulator.session.shared import Shared

__all__ = ["Listener", "Response", "ResponseOptions"]

_HEAD_START = 2  # deltas of the first item before the others begin
_OVER: Final = object()


class ResponseStatus(Enum):
    """The `status` of a response."""

    IN_PROGRESS = "in_progress"
    """It is being generated."""
    COMPLETED = "completed"
    """All of it was generated; its audio may still be playing."""
    CANCELLED = "cancelled"
    """The user spoke, or the client asked for it."""
    INCOMPLETE = "incomplete"
    """It hit `max_output_tokens`, or a content filter."""
    FAILED = "failed"
    """The server could not go on."""


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
    """One response. `begin` it with its plan; it ends by itself, by `cancel`, or not at all."""

    def __init__(
        self, shared: Shared, options: ResponseOptions, prompt: Tokens, listener: Listener
    ) -> None:
        self.id = shared.ids.response()
        self.shared = shared
        self.options = options
        self.status = ResponseStatus.IN_PROGRESS
        self._prompt = prompt
        self._listener = listener
        self._plan = Plan()
        self._details: dict[str, Any] | None = None
        self._announced: list[OutputItem] = []
        self._script: Iterator[None] = iter(())
        self._steps = 0
        self._stream: Stream | None = None
        self._timer: Timer | None = None

    @property
    def in_conversation(self) -> bool:
        """Whether its items join the default conversation."""
        return not self.options.out_of_band

    @property
    def modality(self) -> str:
        """What it is generated as: `audio` or `text`."""
        return self.options.modality

    @property
    def spoken(self) -> bool:
        """Whether any audio of it was generated."""
        return self._stream is not None

    @property
    def expires(self) -> bool:
        """Whether the session is to expire with it."""
        return self._plan.expires

    def begin(self, writers: list[OutputItem], plan: Plan, *, interleaved: bool) -> None:
        """Announce the response; start to write after the latency.

        `interleaved`: the later items begin before the first is done.
        """
        self._plan = plan
        self._script = (_interleaved if interleaved else _in_turn)(writers)
        self.shared.outbox.send("response.created", response=self.snapshot())
        latency = self.shared.pace.response_latency + plan.delay
        self._timer = self.shared.agenda.after(latency, self._step)

    def index_of(self, writer: OutputItem) -> int:
        """Return the output index of a writer, given in the order in which they begin."""
        if writer not in self._announced:
            self._announced.append(writer)
        return self._announced.index(writer)

    def speak(self, where: dict[str, Any], samples: Pcm) -> None:
        """Add audio of the item that `where` names to the response's stream."""
        if self._stream is None and len(samples):
            self._stream = self.shared.output.open(
                self.id, self.options.audio_format, heard_out=self._plan.heard_out
            )
        if self._stream is not None:
            self.shared.output.write(self._stream, where, samples)

    def cancel(self, reason: str) -> None:
        """Stop generating: `reason` is turn_detected or client_cancelled."""
        if self._stream is not None:
            self._stream.heard_out = None
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
        if self.status is ResponseStatus.FAILED and not self._announced:
            prompt = Tokens()  # a response that never began is not billed
        cached = {"text_tokens": 0, "audio_tokens": 0, "image_tokens": 0}
        return {
            "total_tokens": sum(prompt) + sum(made),
            "input_tokens": sum(prompt),
            "output_tokens": sum(made),
            "input_token_details": {
                "text_tokens": prompt.text,
                "audio_tokens": prompt.audio,
                "image_tokens": prompt.image,
                "cached_tokens": 0,
                "cached_tokens_details": cached,
            },
            "output_token_details": {"text_tokens": made.text, "audio_tokens": made.audio},
        }

    def _step(self) -> None:
        plan = self._plan
        if plan.failure is not None and self._steps >= plan.failure.after:
            self._fail(plan.failure)
            return
        if plan.stalls_after is not None and self._steps >= plan.stalls_after:
            return
        try:
            next(self._script)
        except StopIteration:
            self._written()
            return
        self._steps += 1
        limit = self.options.max_output_tokens
        if isinstance(limit, int) and sum(self._generated()) > limit:
            details = {"type": "incomplete", "reason": "max_output_tokens"}
            self._end(ResponseStatus.INCOMPLETE, details)
            return
        self._timer = self.shared.agenda.after(self.shared.pace.delta_interval, self._step)
        self._listener.response_stepped(self)

    def _written(self) -> None:
        if self._plan.failure is not None:  # it was to come later than there were deltas
            self._fail(self._plan.failure)
        elif self._plan.stalls_after is None:
            self._end(ResponseStatus.COMPLETED, None)

    def _fail(self, failure: Failure) -> None:
        kind = ResponseStatus.INCOMPLETE if failure.incomplete else ResponseStatus.FAILED
        self._end(kind, failure.details())

    def _end(self, status: ResponseStatus, details: dict[str, Any] | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        for writer in self._announced:
            writer.finish("incomplete")
        self._listener.response_ending(self)
        self.status, self._details = status, details
        budget, now = self.shared.budget, self.shared.agenda.now
        done = self.snapshot()
        budget.spend(done["usage"]["total_tokens"], now)
        self.shared.outbox.send("response.done", response=done)
        self.shared.outbox.send("rate_limits.updated", rate_limits=budget.shown(now))
        # Whoever listens may create the next response, so this one must be over by then; and its
        # stream is closed last, because `stopped` may follow at once.
        self._listener.response_ended(self)
        if self._stream is not None:
            self.shared.output.close(self._stream)


def _in_turn(writers: list[OutputItem]) -> Iterator[None]:
    for writer in writers:
        yield from writer.steps()
        writer.finish("completed")


def _interleaved(writers: list[OutputItem]) -> Iterator[None]:
    """Begin the others when the first has got going, and close all when all are written."""
    running = deque(writer.steps() for writer in writers[:1])
    yield from islice(running[0], _HEAD_START)
    running.extendleft(writer.steps() for writer in reversed(writers[1:]))
    while running:
        steps = running.popleft()
        if next(steps, _OVER) is not _OVER:
            running.append(steps)
            yield
    for writer in writers:
        writer.finish("completed")
