"""What the tools of a call need of its conversation."""

from __future__ import annotations

from collections.abc import Callable

from .state.conversation import ConversationState
from .state.sequencer import CalledFunction

__all__ = ["ConversationOfTools"]


class ConversationOfTools:
    """The part of a `CallConversation` that function calls pass through."""

    state: ConversationState
    on_calls: Callable[[list[CalledFunction]], None]
    """Told of finished function calls, if `want_calls` says so."""
    _idle_askers: set[str]
    _proceed: Callable[[], None]

    def answer_call(self, call_id: str, output: str) -> None:
        """Give the output of a function call; see `Sequencer.answer`. After the end: nothing."""
        self._idle_askers.discard(call_id)
        self.state.sequencer.answer(call_id, output)
        self._proceed()

    def ignore_call(self, call_id: str) -> None:
        """Leave a function call to the user, who sees it among the events."""
        self.state.sequencer.ignore_call(call_id)
        self._proceed()

    def want_calls(self, on: bool) -> None:
        """Have function calls told to `on_calls`, or leave all of them to the user."""
        self.state.sequencer.calls_wanted = on
