"""Writes one function call of a response: its arguments in pieces, then whole."""

from __future__ import annotations

from collections.abc import Iterator

from rtcvoice.emulator.session.items import Item, Tokens, weigh
from rtcvoice.emulator.session.output_items import OutputItem, Owner
from rtcvoice.emulator.session.plan import Call

__all__ = ["CallWriter"]

_PIECE = 8  # characters of a delta: a few tokens
_MOST_PIECES = 200  # of long arguments the pieces are longer, not more


class CallWriter(OutputItem):
    """One function call. Also an interrupted one tells the arguments it has got to."""

    def __init__(self, response: Owner, call: Call) -> None:
        super().__init__(response)
        self._call = call
        self._call_id = self.shared.ids.function_call()
        self._arguments = ""

    def item(self) -> Item:
        """Return a fresh copy of the item as it stands."""
        return {
            "id": self.id,
            "type": "function_call",
            "status": self.status,
            "name": self._call.name,
            "call_id": self._call_id,
            "arguments": self._arguments if self.status != "in_progress" else "",
        }

    @property
    def tokens(self) -> Tokens:
        """What has been generated of it so far."""
        return weigh({"name": self._call.name, "arguments": self._arguments})

    def _opened(self) -> None:
        """Say nothing more than that it was added."""

    def _deltas(self) -> Iterator[None]:
        whole = self._call.arguments
        size = max(_PIECE, -(-len(whole) // _MOST_PIECES))
        for start in range(0, len(whole), size):
            piece = whole[start : start + size]
            self._arguments += piece
            self.shared.outbox.send(
                "response.function_call_arguments.delta",
                **self.where(call_id=self._call_id),
                delta=piece,
                obfuscation=self.shared.ids.obfuscation(piece),
            )
            yield

    def _closed(self) -> None:
        self.shared.outbox.send(
            "response.function_call_arguments.done",
            **self.where(call_id=self._call_id),
            name=self._call.name,
            arguments=self._arguments,
        )
