"""A second model as the caller: two calls that hear each other."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rtcvoice.call.bridge import Bridge, BridgeSink, BridgeSource
from rtcvoice.call.connect import connect
from rtcvoice.sound.samples import Samples, peak_of

from .line import LineEffects
from .spans import AudibleSpans
from .specs import Line, Persona

if TYPE_CHECKING:
    from rtcvoice.call.call import Call

__all__ = ["ModelCaller"]


class _Sink(BridgeSink):
    """What the agent says, on its way to the caller; kept is when it was heard."""

    spans: AudibleSpans

    def write(self, samples: Samples) -> None:
        """Send the next 10 ms over."""
        now = asyncio.get_running_loop().time()
        self.spans.feed(peak_of(samples), now, now + len(samples) / self.rate)
        super().write(samples)


class _Source(BridgeSource):
    """What the caller says, on its way to the agent; kept is when it was heard."""

    spans: AudibleSpans
    line: LineEffects

    def _next(self, count: int) -> Samples:
        samples = super()._next(count)
        now = asyncio.get_running_loop().time()
        self.spans.feed(peak_of(samples), now, now + count / self.rate)
        return self.line.process(samples)


class ModelCaller:
    """One caller that is a model. `source` and `sink` are to be the agent's; then `run(call)`.

    options: as `connect` takes them, where the caller's model is, and what it may cost.
    line: where it calls from; `seed` makes the same noise again.
    """

    interruptions = 0
    written: Sequence[float] = ()

    def __init__(
        self, persona: Persona, options: Mapping[str, Any], *, line: Line, seed: int
    ) -> None:
        self._persona = persona
        self._options = dict(options)
        self._bridge = Bridge()
        self.source = _Source(self._bridge.back)
        self.sink = _Sink(self._bridge.there)
        self.source.line = LineEffects(line, rate=self.source.rate, seed=seed)
        self.source.spans, self.sink.spans = AudibleSpans(), AudibleSpans()
        self.tokens = 0
        """What the caller's model used."""
        self.cost: float | None = 0.0

    async def run(self, call: Call) -> None:
        """Have them talk until the persona's end. Raises CallEnded."""
        persona = self._persona
        async with connect(**self._options, **self._bridge.second) as caller:
            try:
                if persona.begins:
                    await caller.respond()
                await self._bridge.run(call, caller, until=persona.until, begin=not persona.begins)
            finally:
                self.tokens, self.cost = caller.usage.tokens.total, caller.usage.cost
