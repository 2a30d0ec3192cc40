"""What the tools of a call of GPT-Live need of its conversation: the backend calls them."""

from __future__ import annotations

from collections.abc import Callable

from rtcvoice.conversation.state.function_calls import CalledFunction

from .acks import Acks
from .requests import LiveRequests
from .state.live_state import LiveState

__all__ = ["LiveOfTools"]


class LiveOfTools:
    """The part of a `LiveConversation` that function calls pass through."""

    state: LiveState
    requests: LiveRequests
    on_calls: Callable[[list[CalledFunction]], None]
    """Told of finished function calls, if `want_calls` says so."""
    _acks: Acks
    _idle_askers: set[str]
    _proceed: Callable[[], None]

    def answer_call(self, call_id: str, output: str, *, speak: bool = True) -> None:
        """Give the output of a function call. After the end: nothing."""
        self._idle_askers.discard(call_id)
        self.state.backend.answer(call_id, output)
        self._proceed()

    def ignore_call(self, call_id: str) -> None:
        """Leave a function call to the user, who sees it among the events."""
        self.state.backend.ignore(call_id)
        self._proceed()

    def want_calls(self, on: bool) -> None:
        """Have function calls told to `on_calls`, or leave all of them to the user."""
        self.state.backend.calls_wanted = on

    async def tell_later(self, news: Callable[[], tuple[str, bool]]) -> None:
        """Tell the model something; it finds the moment to speak of it by itself."""
        await self._acks.connected()
        text, spoken = news()
        if text:
            await self.requests.tell(text, spoken=spoken)
