"""What the parts of one Live session share: clocks, ids, outputs, settings, what was said."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from rtcvoice.emulator.live.options import LiveOptions
from rtcvoice.emulator.live.outbox import LiveOutbox
from rtcvoice.emulator.live.settings import Settings
from rtcvoice.emulator.session.agenda import Agenda
from rtcvoice.emulator.session.clips import Voice
from rtcvoice.emulator.session.ids import Ids
from rtcvoice.emulator.session.items import Item
from rtcvoice.emulator.session.outputs import RATE_HZ
from rtcvoice.emulator.session.schema import RequestError
from rtcvoice.emulator.session.shared import Pace

__all__ = ["FRAME", "FRAME_MS", "Hub", "message"]

FRAME_MS = 200
"""One step of the model: it hears a frame and says one."""

FRAME = RATE_HZ * FRAME_MS // 1000
"""Samples of a frame."""

_MOST_ITEMS = 400


@dataclass
class Hub:
    """Whoever has it can send, wait, and look up what was said."""

    ids: Ids
    outbox: LiveOutbox
    wall: Agenda
    """What is due by the wall's clock: the backend's work, the end of the session."""
    options: LiveOptions
    settings: Settings
    voice: Voice
    pace: Pace
    instant: bool = False
    unix_origin: float = 0.0
    """The Unix time at which the wall's clock was 0."""
    heard: int = 0
    """Samples of input since inference began: the model's clock."""
    items: deque[Item] = field(default_factory=lambda: deque(maxlen=_MOST_ITEMS))
    """The conversation, oldest first, as items of the other dialect."""

    @property
    def unix_time(self) -> int:
        """Seconds since 1970."""
        return int(self.unix_origin + self.wall.now)

    @property
    def clock_ms(self) -> int:
        """The model's clock."""
        return self.heard * 1000 // RATE_HZ

    @property
    def frame_ms(self) -> int:
        """The model's clock at the end of its last whole frame."""
        return self.heard // FRAME * FRAME_MS

    def error(self, exc: RequestError, client_event: str | None = None) -> None:
        """Tell a client that what it asked for was refused."""
        code = exc.code
        if code is None and not self.options.null_codes:
            code = "invalid_value"
        details = {"type": "invalid_request_error", "code": code, "message": exc.message}
        if exc.param is not None:
            details["param"] = exc.param
        if client_event is not None:
            details["client_event_id"] = client_event
        beside = client_event if self.options.errors_twice else None
        self.outbox.send("error", client_event=beside, error=details)


def message(role: str, text: str) -> Item:
    """Return a message as an item of the conversation."""
    kind = "output_text" if role == "assistant" else "input_text"
    return {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}
