"""The conversation side of a call: its parts put together, in the order in which they hear things.

text -> decode -> dialogue (session logic) -> the crossing acts on the fact -> accounts
               -> dispatcher: the user's waiters, iterators, handlers
dialogue -> function calls -> tools -> outputs -> dialogue
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from rtcvoice import events
from rtcvoice.errors import CallEnded, one_line
from rtcvoice.events import ClientEvent, LimitReached

from .accounts.accounts import AccountPorts, Accounts
from .accounts.limits import Limits
from .accounts.prices import ModelPrice
from .dialogue import Dialogue
from .listening.dispatcher import Dispatcher
from .ports import Ports
from .state.conversation import Fact
from .tools.runner import ToolRunner
from .tools.toolset import ToolSet

__all__ = ["ConversationSide"]

logger = logging.getLogger(__name__)

HANDLER_GRACE = 1.0
"""Seconds that handlers and tools get to finish once the call has ended."""


class ConversationSide:
    """Everything that a call has of its conversation. Event loop only.

    `act_on` draws the consequences of a fact for the rest of the call; `reached` brings about the
    end when a limit is reached.
    """

    def __init__(
        self,
        ports: Ports,
        *,
        act_on: Callable[[Fact | None], None],
        reached: Callable[[LimitReached], None],
        model: str,
        tools: ToolSet | None = None,
        limits: Limits | None = None,
        price: ModelPrice | None = None,
    ) -> None:
        self._act_on = act_on
        self.dialogue = Dialogue(ports)
        self.dispatcher = Dispatcher()
        self.tools = ToolRunner(tools or ToolSet(), self.dialogue, self.dispatcher.publish)
        self.accounts = Accounts(
            AccountPorts(
                publish=self.dispatcher.publish,
                reached=reached,
                listen=ports.listen,
                rate=ports.rate,
                output_latency=ports.output_latency,
                round_trip=ports.round_trip,
            ),
            model=model,
            limits=limits,
            price=price,
        )

    def receive(self, text: str) -> None:
        """Take a message of the server; runs in the channel's listener, so it cannot raise."""
        try:
            event = self.dialogue.state.playback.named(events.decode(text))
            if logger.isEnabledFor(logging.DEBUG):
                logger.debug("< %s", one_line(event.type))  # its name may be anything
            fact, hidden = self.dialogue.feed(event)
            self._act_on(fact)
            self.accounts.feed(event)
            if not hidden:
                self.dispatcher.publish(event)
            self.accounts.check()
        except Exception:
            logger.exception("x handling an event failed")

    def sent(self, event: ClientEvent) -> None:
        """Note an event that was sent."""
        logger.debug("> %s", event.type)
        self.accounts.sent(event)
        self._act_on(self.dialogue.sent(event))

    def end(self, reason: CallEnded) -> None:
        """End all waiting, and what runs: the call is over. If one raises, the others still end."""
        ends: tuple[Callable[[], None], ...] = (
            self.tools.end,
            self.accounts.end,
            lambda: self.dialogue.end(reason),
            lambda: self.dispatcher.end(reason),
        )
        for end in ends:
            try:
                end()
            except Exception:
                logger.exception("x ending a part of the conversation failed")

    async def aclose(self) -> None:
        """Wait for handlers and tools to stop, for a short time each."""
        results = await asyncio.gather(
            self.dispatcher.aclose(timeout=HANDLER_GRACE),
            self.tools.aclose(timeout=HANDLER_GRACE),
            self.dialogue.aclose(),
            self.accounts.aclose(),
            return_exceptions=True,
        )
        for error in results:
            if isinstance(error, BaseException):
                logger.error("x closing a part of the conversation failed", exc_info=error)
