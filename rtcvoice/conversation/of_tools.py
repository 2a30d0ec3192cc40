"""What the tools and guards of a call, which run the user's code, need of its conversation."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from rtcvoice import events
from rtcvoice.errors import RtcVoiceError

from .asking.confirmations import Confirmations, new_id
from .asking.requesting import Requester
from .asking.session_commands import SessionCommands
from .ending import HANDLER_GRACE, close_each, end_each
from .listening.dispatcher import Dispatcher
from .listening.guards import Guard, Guards
from .state.conversation import ConversationState
from .state.requests import RequestState
from .state.sequencer import CalledFunction
from .state.taken_over import TakenOver
from .tools.hosted import GiveVerdict, HostedCalls
from .tools.runner import ToolRunner
from .tools.toolset import ToolSet

__all__ = ["ConversationOfTools"]

QUIET = 0.3
"""Seconds without speech that are a moment to say something in: longer than between two words."""

LOOK = 0.05
"""Seconds between two looks whether anybody speaks."""


class ConversationOfTools:
    """The part of a `CallConversation` that the user's code of a call is joined to."""

    state: ConversationState
    dispatcher: Dispatcher
    tools: ToolRunner
    hosted: HostedCalls
    guards: Guards
    commands: SessionCommands
    requests: Requester
    _telling: asyncio.Lock
    """Held while something is told, so that what was known first is told first."""
    on_calls: Callable[[list[CalledFunction]], None]
    """Told of finished function calls, if `want_calls` says so."""
    _idle_askers: set[str]
    _proceed: Callable[[], None]
    _clock: Callable[[], float]
    _confirmations: Confirmations
    _session: TakenOver

    def _join(self, tools: ToolSet | None, guards: Sequence[Guard]) -> None:
        """Join the user's code to the conversation."""
        publish = self.dispatcher.publish
        self.tools = ToolRunner(ToolSet.of(tools), self, publish, clock=self._clock)
        self.hosted = HostedCalls(self.tools, self.await_verdict, publish, clock=self._clock)
        self.guards = Guards(guards, self, publish)

    def _publish(self, event: Any) -> None:
        """Tell the user, and what of the user's watches, of an event of the server's."""
        self.guards.feed(event)
        self.dispatcher.publish(event)
        self.hosted.feed(event)

    def _end_users_code(self) -> None:
        end_each(self.tools.end, self.hosted.end, self.guards.end)

    async def _close_users_code(self) -> None:
        await close_each(
            self.dispatcher.aclose(timeout=HANDLER_GRACE),
            self.tools.aclose(timeout=HANDLER_GRACE),
            self.hosted.aclose(timeout=HANDLER_GRACE),
            self.guards.aclose(timeout=HANDLER_GRACE),
        )

    @property
    def function_names(self) -> set[str]:
        """The functions that the session knows, as far as the server tells."""
        raise NotImplementedError

    @property
    def message_limit(self) -> int:
        """The largest message in bytes that the server takes."""
        raise NotImplementedError

    @property
    def now(self) -> float:
        """The time, by the clock of the conversation."""
        raise NotImplementedError

    @property
    def is_quiet(self) -> bool:
        """Whether nobody speaks, nothing is being made, and every turn has its words."""
        raise NotImplementedError

    def work_for(self, owner: object) -> None:
        """Let the user's code know whose it is: what `current_call()` gives it."""
        self.dispatcher.owner = self.tools.owner = self.guards.owner = owner

    def answer_call(self, call_id: str, output: str, *, speak: bool = True) -> None:
        """Give the output of a function call; see `Sequencer.answer`. After the end: nothing."""
        self._idle_askers.discard(call_id)
        self.state.sequencer.answer(call_id, output, speak=speak)
        self._proceed()

    async def tell_later(self, news: Callable[[], tuple[str, bool]]) -> None:
        """Put a message of the system's into the conversation, once nobody has spoken for a while.

        `news` is asked then: for the text, none where it is empty, and whether the model is to
        speak of it. What is told first goes in first.
        Raises ServerError, TransportError, CallEnded.
        """
        async with self._telling:
            await self._quiet()
            text, speak = news()
            if text:
                await self.tell(text, answer=speak)

    async def tell(self, text: str, *, answer: bool) -> None:
        """Put a message of the system's into the conversation, and have it answered if it is to be.

        Raises ServerError, TransportError, CallEnded.
        """
        part = events.ContentPart(type="input_text", text=text)
        message = events.Message(id=new_id(), role="system", content=[part])
        await (self.requests.send([message]) if answer else self.requests.put([message]))

    def await_verdict(self, response_id: str) -> GiveVerdict:
        """Keep an answer open whose response asks whether a hosted MCP server may be called.

        Returns what sends the verdict. The service then goes on by itself; should it not, it is
        asked to. A verdict on what another session asked is not sent, for that answer was asked for
        again when the session was lost; nor is one after the user has interrupted.
        """
        item_id, session = new_id(), self._session
        sequencer = self.state.sequencer
        request = sequencer.follow_ups.after_verdict(response_id, item_id)
        sequencer.add(request)

        async def give(request_id: str, approve: bool, reason: str) -> None:
            while sequencer.responding and self._session is session:  # noqa: ASYNC110
                await asyncio.sleep(LOOK)
            if self._session is not session or self._confirmations.paused:
                return
            if request.state is RequestState.WITHDRAWN:  # interrupted: nothing is to follow
                return
            verdict = events.McpApprovalResponse(
                id=item_id,
                approval_request_id=request_id,
                approve=approve,
                reason=reason or None,
            )
            self.state.expect_answer(self.now)
            try:
                await self.requests.put([verdict])
            except RtcVoiceError:
                sequencer.withdraw(request)
                raise
            finally:
                self._proceed()

        return give

    def is_outside(self, response_id: str) -> bool:
        """Whether a response is out of band: it is not part of the conversation."""
        return self.state.sequencer.is_outside(response_id)

    async def stop(self) -> None:
        """Interrupt the answer, and let nothing follow it of itself."""
        await self.commands.stop()

    async def _quiet(self) -> None:
        """Wait until nobody has spoken, or been about to, for a while."""
        quiet_since: float | None = None
        while quiet_since is None or self.now - quiet_since < QUIET:
            self.requests.check_open()
            await asyncio.sleep(LOOK)
            quiet_since = (quiet_since or self.now) if self.is_quiet else None

    def ignore_call(self, call_id: str) -> None:
        """Leave a function call to the user, who sees it among the events."""
        self.state.sequencer.ignore_call(call_id)
        self._proceed()

    def want_calls(self, on: bool) -> None:
        """Have function calls told to `on_calls`, or leave all of them to the user."""
        self.state.sequencer.calls_wanted = on
