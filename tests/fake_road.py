"""What a conversation needs of the call around it, as small fakes: a leg, and an output."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

from rtcvoice import events
from rtcvoice.conversation.state.hearing import Sound
from rtcvoice.sound.samples import Block


class FakeLeg:
    """Keeps what is sent as structs in `sent`, and hands each to `on_sent`."""

    progress = (0, 0)
    round_trip = 0.0

    def __init__(
        self, on_sent: Callable[[Any], None] = lambda event: None, *, limit: int = 65536
    ) -> None:
        self.sent: list[Any] = []
        self.message_limit = limit
        self._on_sent = on_sent

    def send(self, text: str) -> None:
        event = events.decode_client(text)
        self.sent.append(event)
        self._on_sent(event)


class FakeOutput:
    """An ear that hears `blocks`, nothing by default; `flushes` and `resumes` are counted."""

    rate = 24000
    latency = 0.0
    held = 0.0
    sound: Sound | None = None

    def __init__(self, blocks: Callable[[], AsyncIterator[Block]] | None = None) -> None:
        self._blocks = blocks or _nothing
        self.flushes = self.resumes = 0

    def listen(self) -> AsyncIterator[Block]:
        return self._blocks()

    def flush(self) -> None:
        self.flushes += 1

    def resume(self) -> None:
        self.resumes += 1


async def _nothing() -> AsyncIterator[Block]:
    return
    yield
