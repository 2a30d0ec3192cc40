"""What a translation sends: the events of the Live dialect's ear and mouth in this one's form."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rtcvoice.emulator.live.outbox import LiveOutbox
from rtcvoice.emulator.live.permissions import Permissions
from rtcvoice.emulator.session.ids import Ids

__all__ = ["TranslationOutbox"]

_TOLD = ("session.input_transcript.delta", "session.output_transcript.delta")


class TranslationOutbox(LiveOutbox):
    """Collects the outputs of one call into the core, in order.

    `transcribes`: whether the words of the speaker are wanted.
    """

    def __init__(self, ids: Ids, transcribes: Callable[[], bool]) -> None:
        super().__init__(ids, Permissions({}))
        self._transcribes = transcribes

    def send(self, kind: str, /, *, client_event: str | None = None, **fields: Any) -> str:
        """Add an event, and return its id; that of the client's event is in errors alone."""
        if kind == _TOLD[0] and not self._transcribes():
            return ""
        if kind in _TOLD:
            fields = {"delta": fields["delta"], "elapsed_ms": fields["end_ms"]}
        return super().send(kind, **fields)
