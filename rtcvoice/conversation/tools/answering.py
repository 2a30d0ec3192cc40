"""What the runner of tools needs of the conversation: where calls come from and outputs go."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from rtcvoice.conversation.state.function_calls import CalledFunction

__all__ = ["Answering"]


class Answering(Protocol):
    """What a runner needs of the conversation: a `CallConversation`."""

    on_calls: Callable[[list[CalledFunction]], None]
    """Told of finished function calls."""

    @property
    def function_names(self) -> set[str]:
        """The functions that the session knows."""

    @property
    def message_limit(self) -> int:
        """The largest message in bytes that the server takes."""

    def want_calls(self, on: bool) -> None:
        """Have function calls told, or leave all of them to the user."""

    def answer_call(self, call_id: str, output: str, *, speak: bool = True) -> None:
        """Give the output of a call; without `speak` the model is not asked to go on."""

    async def tell_later(self, news: Callable[[], tuple[str, bool]]) -> None:
        """Tell the model something at a moment when nobody speaks; see `later.Telling`."""

    def ignore_call(self, call_id: str) -> None:
        """Leave a call to the user."""
