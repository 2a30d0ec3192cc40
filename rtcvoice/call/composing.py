"""Composes a call of a leg, its ends and a conversation, under one deadline.

    Connecting.run ──> leg ─┐
    ends opened ────────────┴─ roads joined ─ session ─ history ─> Call
                                                        (if there is one)

A `Call` is made last, of finished parts: whoever has one has one that is ready. All of this runs in
a task of its own, which no cancellation of user code can stop half-way: when a stage fails, or the
caller is cancelled, everything made so far is closed before the error is raised. The error names
the stage.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rtcvoice.call.connecting import first_failure, made_ready
from rtcvoice.call.dialects import (
    bring_in,
    call_of,
    conversation_for,
    for_call,
    rescue_for,
)
from rtcvoice.call.ends import Ends
from rtcvoice.call.entering import Entering
from rtcvoice.call.facts import CallReady, FactListener
from rtcvoice.call.imports import FOR_CALL, FOR_OFFER, FOR_SOUND, are_imported, imported
from rtcvoice.call.life import Life, close_within
from rtcvoice.call.listeners import Facts
from rtcvoice.call.listening import FACTS_TIMEOUT, facts_of
from rtcvoice.call.reconnect import Reconnect
from rtcvoice.call.socket_connecting import SocketConnecting
from rtcvoice.call.timings import Timings
from rtcvoice.call.ways import AnyConnecting, connecting_for
from rtcvoice.call.when_given import (
    served,
    tool_set,
)
from rtcvoice.config.call_config import CallConfig
from rtcvoice.errors import CallEnded, TransportError
from rtcvoice.system import clock
from rtcvoice.system.waiting import wait_done

if TYPE_CHECKING:
    from rtcvoice.call.call import Call
    from rtcvoice.call.live_connecting import ForkOf
    from rtcvoice.call.roads import AnyConversation, CallLeg, Output, Roads
    from rtcvoice.conversation.accounts.limits import Limits
    from rtcvoice.conversation.accounts.prices import ModelPrice
    from rtcvoice.conversation.listening.guards import Guard
    from rtcvoice.conversation.tools.mcp.servers import McpServers
    from rtcvoice.conversation.tools.toolset import ToolSet
    from rtcvoice.recording.options import Recording
    from rtcvoice.telemetry.options import Telemetry

__all__ = ["Composing"]

logger = logging.getLogger(__name__)


class Composing(Entering):
    """The making of one call, once its options are checked and are attributes of this."""

    _doing = "connecting"
    """What is done, as the reason of an end has it."""
    _config: CallConfig
    _history: list[Any]
    _tools: ToolSet | None
    _ends: Ends
    _limits: Limits | None
    _price: ModelPrice | None
    _guards: Sequence[Guard]
    _reconnect: Reconnect | None
    _listeners: list[FactListener]
    _recording: Recording | None
    _telemetry: Telemetry | bool | None
    _servers: McpServers | None = None
    _fork_of: ForkOf | None = None

    async def _connect(self) -> Call:
        """Get the call up, and tell whoever listens to its facts, also when it fails."""
        self._servers, self._tools, self._config = await served(self._tools, self._config)
        facts = await facts_of(self._config, self._listeners, self._recording, self._telemetry)
        try:
            return await self._connected(facts)
        except BaseException as exc:
            if self._servers is not None:
                await self._servers.aclose(timeout=FACTS_TIMEOUT)
            reason = CallEnded(f"{self._doing} failed: {exc or type(exc).__name__}", normal=False)
            reason.__cause__ = exc
            facts.end(reason, None)
            await facts.aclose(timeout=FACTS_TIMEOUT)
            raise

    async def _connected(self, facts: Facts) -> Call:
        """Get the call up; when that fails, everything is closed before it is told."""
        timings = Timings()
        timings.tell(facts)
        begun = clock.now()
        await made_ready(self._config)
        connecting = self._connecting(timings)
        try:
            async with asyncio.timeout(self._config.connect_timeout) as deadline:
                roads = await self._joined(connecting, timings, facts)
                life = Life(
                    roads,
                    liveness_timeout=self._config.liveness_timeout,
                    close_timeout=self._config.close_timeout,
                    clock=clock.of_loop(asyncio.get_running_loop()),
                )
                await self._make_ready(roads.conversation, life, connecting, timings)
                roads.leg.call_id = roads.leg.call_id or roads.conversation.session_id
        except TimeoutError as exc:
            if not deadline.expired():  # somebody else's, such as a source that asks the network
                raise
            raise connecting.too_late() from exc
        timings.total = clock.now() - begun
        logger.info("= connected in %.0f ms, call %s", timings.total * 1000, roads.leg.call_id)
        roads.begin()
        self._begin_sound(roads, life)
        if facts:
            facts.tell(CallReady(time=facts.now(), timings=timings.as_dict()))
        return self._call(roads, life, timings)

    def _call(self, roads: Roads, life: Life, timings: Timings) -> Call:
        """Return the call, made of its parts."""
        return call_of(self._config, roads, life, timings, forked=self._forked)

    def _begin_sound(self, roads: Roads, life: Life) -> None:
        if are_imported(FOR_SOUND):
            self._start(roads, life)
        else:
            late = self._start_late(roads, life)
            roads.starting = asyncio.create_task(late, name="rtcvoice beginning of the sound")

    def _start(self, roads: Roads, life: Life) -> None:
        roads.start(remember=self._reconnect is not None and not self._config.is_continuous)
        if self._reconnect is not None:
            life.outlive(rescue_for(self._reconnect, self._config, roads, life))

    async def _start_late(self, roads: Roads, life: Life) -> None:
        """Start in a process that has never played: what is needed for it is imported first."""
        try:
            await imported(FOR_SOUND)
            self._start(roads, life)
        except Exception as exc:
            life.request_end(CallEnded(f"sound cannot be played: {exc}", normal=False))

    def _connecting(self, timings: Timings) -> AnyConnecting:
        return connecting_for(self._config, timings, fork_of=self._fork_of)

    def _forked(self, session_id: str, said: list[Any], options: dict[str, Any]) -> Composing:
        """Return the making of a call that goes on from the end of this one."""
        raise NotImplementedError

    def _session_changes(self, connecting: AnyConnecting) -> dict[str, Any]:
        """Return what of the session did not travel with the request that began the call."""
        return connecting.session_changes

    async def _joined(self, connecting: AnyConnecting, timings: Timings, facts: Facts) -> Roads:
        """Get a leg up and the ends open, side by side, and join the roads there."""
        try:
            async with asyncio.TaskGroup() as side_by_side:
                leg = side_by_side.create_task(_run(connecting))
                side_by_side.create_task(self._open_ends(connecting, timings))
            return self._roads(leg.result(), facts)
        except BaseException as exc:
            await close_within(self._config.close_timeout, connecting.aclose(), self._ends.aclose())
            first = first_failure(exc)
            if first is exc:
                raise
            raise first from first.__cause__

    def _roads(self, leg: CallLeg, facts: Facts) -> Roads:
        """Join the roads at a leg."""
        from rtcvoice.call.roads import Output, Roads  # late: see call/imports.py
        from rtcvoice.playout.player import Player

        player = Player(self._ends.sink.rate, has_clock=self._ends.sink.has_clock)  # known only now
        conversation = self._conversation(Output(player, self._ends), facts)
        return Roads(self._ends, player, conversation, leg, facts)

    def _conversation(self, output: Output, facts: Facts) -> AnyConversation:
        conversation = conversation_for(
            self._config,
            output,
            tools=tool_set(self._tools),
            limits=self._limits,
            price=self._price,
            guards=self._guards,
        )
        conversation.tools.on_start = facts.on_tool
        if self._servers is not None:
            conversation.tools.serve(self._servers)
        return conversation

    async def _open_ends(self, connecting: AnyConnecting, timings: Timings) -> None:
        with timings.stage("devices"):
            if not are_imported(FOR_OFFER + FOR_CALL + FOR_SOUND):
                await connecting.offered.wait()  # nothing may keep the first request waiting
                by_socket = isinstance(connecting, SocketConnecting)
                needed = for_call(self._config)
                await imported(needed + FOR_SOUND if by_socket else needed)
            await self._ends.open()

    async def _make_ready(
        self, conversation: AnyConversation, life: Life, connecting: AnyConnecting, timings: Timings
    ) -> None:
        """Make the session what it is to be; the call ends when that fails."""
        try:
            await self._session_ready(
                conversation, life, self._session_changes(connecting), timings
            )
        except BaseException as exc:
            life.request_end(CallEnded(f"{self._doing} failed", normal=False))
            await wait_done(asyncio.create_task(life.aclose()))
            if isinstance(exc, TransportError) and exc.stage == "connected":
                exc.stage = "session"  # the last one: the others are behind us
            raise

    async def _session_ready(
        self,
        conversation: AnyConversation,
        life: Life,
        changes: dict[str, Any],
        timings: Timings,
    ) -> None:
        """Wait for the session's configuration, and bring in what was said before."""
        with timings.stage("session"):
            await life.unless_ended(conversation.ready(changes))
        if self._history:
            with timings.stage("history"):
                await life.unless_ended(bring_in(conversation, self._history))


async def _run(connecting: AnyConnecting) -> CallLeg:
    return await connecting.run()
