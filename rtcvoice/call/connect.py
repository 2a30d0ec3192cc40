"""What users call: composes a call of a leg, its ends and a conversation, under one deadline.

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
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from os import PathLike
from typing import TYPE_CHECKING, Any, Unpack

from rtcvoice.call.connecting import first_failure, made_ready
from rtcvoice.call.dialects import (
    bring_in,
    call_of,
    check_bounds,
    conversation_for,
    for_call,
    fork_of,
    rescue_for,
    with_history,
)
from rtcvoice.call.ends import Default, Ends
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
    check_limits_of,
    default_microphone,
    default_speaker,
    given_guards,
    given_recording,
    given_telemetry,
    history_items,
    served,
    tool_set,
)
from rtcvoice.capture.source import Source
from rtcvoice.config.call_config import DEFAULT_MODEL, CallConfig
from rtcvoice.config.dialect import config_for
from rtcvoice.config.session_fields import UNSET, Unset
from rtcvoice.errors import CallEnded, ConfigError, TransportError
from rtcvoice.playout.sink import Sink
from rtcvoice.rest.credentials import CredentialsSource
from rtcvoice.rest.ice_servers import IceServer
from rtcvoice.system import clock
from rtcvoice.system.public import public
from rtcvoice.system.waiting import wait_done

if TYPE_CHECKING:
    from rtcvoice.call.call import Call
    from rtcvoice.call.live_connecting import ForkOf
    from rtcvoice.call.roads import AnyConversation, CallLeg, Output, Roads
    from rtcvoice.config.dialect import LiveOptions
    from rtcvoice.conversation.accounts.limits import Limits
    from rtcvoice.conversation.accounts.prices import ModelPrice
    from rtcvoice.conversation.listening.guards import Guard
    from rtcvoice.conversation.tools.mcp.servers import McpServers
    from rtcvoice.conversation.tools.toolset import AnyTool, ToolSet
    from rtcvoice.network.settings import Network
    from rtcvoice.recording.options import Recording
    from rtcvoice.telemetry.options import Telemetry

__all__ = ["connect"]

logger = logging.getLogger(__name__)

_RECONNECT = Reconnect()
_NOT_OPTIONS = {"self", "live", "__class__"}


@public
class connect(Entering):  # noqa: N801  (reads as the verb it is: async with connect(...))
    """Connect to a realtime voice model: `async with rtcvoice.connect(...) as call`.

    On entering the block the call is ready: the event channel is open and the session configured.
    Leaving the block hangs up. Nothing happens before the block is entered; each object serves one
    call. `call = await rtcvoice.connect(...)` does the same without a block: `call.aclose()` then
    hangs up.

    Ends of the call (by default the system's devices; `None` for silence, for hearing nothing):
        source: what is sent, a `Source` such as `Microphone("USB")` or `FileSource(path)`.
        sink: where the answer is played, a `Sink` such as `Speaker("USB")` or `FileSink(path)`.
        The call opens and closes them; a closed one may be used for another call.
        With output_modalities=["text"] neither is a device by default, with type="transcription"
        the sink is not: nothing will be heard.
    Session:
        model, voice, speed, instructions, output_modalities, max_output_tokens, tool_choice,
        turn_detection, transcription, noise_reduction, and session={...} for any other field of
        the API, as is. Unset fields are the server's defaults; input transcription is on.
        type="transcription": only what is said is written down, and nobody answers.
        history: what was said before, `call.history` of an earlier call or a list of dicts such as
        {"role": "user", "text": "..."}, also as chats have them, with "content"; it is in when the
        call is ready.
        tools: functions that the model may call, plain or async, with typed parameters, and dicts
        as in the API; a `ToolSet` of them has options.
    GPT-Live (model="gpt-live-1.1", or api="live" for a deployment of it):
        backend, on_delegation: who does the work that the voice hands on: the text model that has
        `tools`, or your function (see `DelegatedWork`). delegation, triggers, data_channel: as the
        API has them. standby: seconds of silence after which the model pauses. acknowledge_after:
        seconds of work after which it is asked to say so. store: keep a recording; `call.fork()`
        needs it. What it lacks raises ConfigError; see the guide of rtcvoice/live.
    Translation (to="es", the code of a language; by model="gpt-realtime-translate"):
        what is said is heard in that language while it is said. See the guide of
        rtcvoice/translation.
    Bounds:
        limits: `Limits(cost=, seconds=, tokens=, idle=)`, warned of and then hung up at.
        price: a `ModelPrice`, where the model's own is not known or not what is paid.
        guards: what reads along while the model speaks, and may stop it: `Guard(check)`.
        reconnect: how the call goes on when its connection is lost, or the server's time for it is
        over: `Reconnect(window=...)`; None ends the call then.
    What is kept:
        record: a folder for recordings of calls, or a `Recording`, which says what is recorded. Ask
        those who will be heard in it first.
        telemetry: spans and metrics for OpenTelemetry. By default where the program has set a
        provider; False: none; a `Telemetry` says where they go.
    Where:
        base_url (or OPENAI_BASE_URL), api_key or credentials (or OPENAI_API_KEY), organization,
        project, safety_identifier; direct=True posts offer and session in one request with the
        key instead of minting a token first. credentials is an ApiKey, EphemeralToken, ApiKeyFile,
        TokenUrl, AzureApiKey, EntraToken, or a function, plain or async, that returns a key or
        token; it is asked for every call. For GPT-Live a SessionUrl in place of a token.
    Network:
        proxy (for HTTP, and for media by TCP; or HTTPS_PROXY), ca_file (trusted in addition; or
        SSL_CERT_FILE),
        ice_servers (or RTCVOICE_ICE_SERVERS) such as ["turn:user:password@host?transport=tcp"],
        ice_transport_policy "all" or "relay" (or RTCVOICE_ICE_TRANSPORT_POLICY),
        transport "auto" (the best that gets through), "webrtc" (UDP, or TCP where the network lets
        no UDP through; TCP goes through the proxy of `proxy` or the environment, too) or
        "websocket" (as all of HTTP; without means against lost packets).
        network: a bad one, made here, for tests: `Network(...)`, {"loss": 0.05}, "wifi".
    Timeouts in seconds: connect_timeout (10) for all stages together, liveness_timeout (10) of
        hearing nothing at all (a server that is silent in between is sure to be heard only every
        6 s), close_timeout (5).

    Raises ConfigError at once; on entering CredentialsError, SignalingError, DeviceError or
    TransportError (its `stage` says how far it got). Cancelling the entering closes everything.
    """

    def __init__(
        self,
        *,
        # Ends
        source: Source | Default | None = Default.DEVICE,
        sink: Sink | Default | None = Default.DEVICE,
        # Session
        type: str = "realtime",  # noqa: A002  (as the API has it)
        model: str = DEFAULT_MODEL,
        voice: str | dict[str, str] | Unset = UNSET,
        speed: float | Unset = UNSET,
        instructions: str | Unset = UNSET,
        output_modalities: list[str] | Unset = UNSET,
        turn_detection: Mapping[str, object] | str | Unset | None = UNSET,
        transcription: Mapping[str, object] | str | Unset | None = UNSET,
        noise_reduction: Mapping[str, object] | str | Unset | None = UNSET,
        max_output_tokens: int | str | Unset = UNSET,
        tools: ToolSet | Iterable[AnyTool] | None = None,
        tool_choice: str | dict[str, object] | Unset = UNSET,
        session: Mapping[str, object] | Unset = UNSET,
        to: str | None = None,
        history: Iterable[Mapping[str, object]] = (),
        # Bounds
        limits: Limits | None = None,
        price: ModelPrice | None = None,
        guards: Guard | Iterable[Guard] = (),
        reconnect: Reconnect | None = _RECONNECT,
        # What is kept
        record: str | PathLike[str] | Recording | None = None,
        telemetry: Telemetry | bool | None = None,
        # Where
        base_url: str | None = None,
        api_key: str | None = None,
        credentials: CredentialsSource | None = None,
        direct: bool = False,
        organization: str | Unset | None = UNSET,
        project: str | Unset | None = UNSET,
        safety_identifier: str | None = None,
        # Network
        proxy: str | None = None,
        ca_file: str | PathLike[str] | None = None,
        ice_servers: Sequence[IceServer | Mapping[str, object] | str] | str | None = None,
        ice_transport_policy: str | None = None,
        transport: str = "auto",
        network: Network | Mapping[str, object] | str | None = None,
        # Timeouts, in seconds
        connect_timeout: float = 10.0,
        liveness_timeout: float = 10.0,
        close_timeout: float = 5.0,
        **live: Unpack[LiveOptions],
    ) -> None:
        given = locals()
        super().__init__()
        self._fork_of: ForkOf | None = None
        self._servers: McpServers | None = None
        self._given: dict[str, Any] = {
            name: given[name] for name in given.keys() - _NOT_OPTIONS
        } | live
        options = {f.name: given[f.name] for f in fields(CallConfig)} | {"to": to} | live
        self._tools = None if tools is None else tool_set(tools)
        options["tools"] = UNSET if self._tools is None else self._tools.definitions
        config = config_for({name: v for name, v in options.items() if v is not UNSET})
        self._config, self._history = config, history_items(history)
        if config.is_continuous:
            self._config, self._history = with_history(config, self._history)
        if config.is_silent:  # nobody will be heard; and who writes does not want to be overheard
            sink = None if sink is Default.DEVICE else sink
            writes = source is Default.DEVICE and config.type == "realtime"
            source = None if writes else source
        if limits is not None or price is not None:
            check_limits_of(config.model, limits, price)
        if not (reconnect is None or isinstance(reconnect, Reconnect)):
            raise ConfigError(
                f"reconnect= is a {reconnect.__class__.__name__}",
                hint="rtcvoice.Reconnect(window=60), or None",
            )
        self._reconnect = reconnect
        self._limits, self._price, self._guards = limits, price, given_guards(guards)
        check_bounds(config, self._guards, limits)
        self._ends = Ends(
            default_microphone() if source is Default.DEVICE else source,
            default_speaker() if sink is Default.DEVICE else sink,
        )
        self._listeners: list[FactListener] = []
        self._recording = given_recording(record)
        self._telemetry = given_telemetry(telemetry)

    async def _connect(self) -> Call:
        """Get the call up, and tell whoever listens to its facts, also when it fails."""
        self._servers, self._tools, self._config = await served(self._tools, self._config)
        facts = await facts_of(self._config, self._listeners, self._recording, self._telemetry)
        try:
            return await self._connected(facts)
        except BaseException as exc:
            if self._servers is not None:
                await self._servers.aclose(timeout=FACTS_TIMEOUT)
            reason = CallEnded(f"connecting failed: {exc or type(exc).__name__}", normal=False)
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

    def _forked(self, session_id: str, said: list[Any], options: dict[str, Any]) -> connect:
        """Return the making of a call that goes on from the end of this one."""
        given = {n: v for n, v in self._given.items() if n != "history"}
        another = connect(**(given | options), history=said)
        another._fork_of = fork_of(session_id, another._config, options)
        return another

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
        self,
        conversation: AnyConversation,
        life: Life,
        connecting: AnyConnecting,
        timings: Timings,
    ) -> None:
        """Wait for the session's configuration, and bring in what was said before."""
        changes = self._session_changes(connecting)
        try:
            with timings.stage("session"):
                await life.unless_ended(conversation.ready(changes))
            if self._history:
                with timings.stage("history"):
                    await life.unless_ended(bring_in(conversation, self._history))
        except BaseException as exc:
            life.request_end(CallEnded("connecting failed", normal=False))
            await wait_done(asyncio.create_task(life.aclose()))
            if isinstance(exc, TransportError) and exc.stage == "connected":
                exc.stage = "session"  # the last one: the others are behind us
            raise


async def _run(connecting: AnyConnecting) -> CallLeg:
    return await connecting.run()
