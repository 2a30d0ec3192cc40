"""Getting a call up: the stages, side by side where they can be, under one deadline, each timed.

    token ──┐                                  (skipped with a ready token, or direct=True)
    offer ──┼─ answer ─ ice ─ dtls ─ channel ─ session ─ history
    devices ┘                                            (if there is one)

`connect()` is what users call. `establish()` runs the stages for the call that it makes; when one
fails, everything made so far is closed before the error is raised, and the error names the stage.
aiortc is imported only here, in a worker thread beside the token request: on a cold start the
import takes about as long as the request.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rtcvoice.call.call import Call
from rtcvoice.call.ends import Default
from rtcvoice.call.imports import FOR_OFFER, FOR_SOUND, imported
from rtcvoice.call.timings import Timings
from rtcvoice.call.wiring import Connected, Wiring
from rtcvoice.capture.microphone import Microphone
from rtcvoice.capture.source import Source
from rtcvoice.config import CallConfig
from rtcvoice.conversation.accounts.limits import Limits
from rtcvoice.conversation.accounts.prices import ModelPrice
from rtcvoice.conversation.tools.toolset import ToolSet
from rtcvoice.errors import TransportError
from rtcvoice.playout.sink import Sink
from rtcvoice.playout.speaker import Speaker
from rtcvoice.rest.addresses import is_loopback
from rtcvoice.rest.client import tls_context
from rtcvoice.rest.credentials import EphemeralToken
from rtcvoice.rest.ice_servers import IceSettings
from rtcvoice.rest.signaling import Answer, Signaling
from rtcvoice.system import clock
from rtcvoice.system.public import public
from rtcvoice.system.waiting import wait_done

if TYPE_CHECKING:
    from rtcvoice.capture.track import SourceTrack
    from rtcvoice.wire.leg import Leg

__all__ = ["connect", "establish"]

logger = logging.getLogger(__name__)

_HINTS = {
    "token": "the server does not answer: check base_url and the network",
    "answer": "the server does not answer: check base_url and the network",
    "devices": "the source or sink does not open",
    "ice": "no answer by UDP: check that a firewall or VPN lets UDP through",
    "dtls": "the server was reached but does not finish the encryption handshake",
    "channel": "the server was reached but does not open the event channel",
    "session": "the server was reached but does not start the session",
    "history": "the history is long for this network: shorten it, or raise connect_timeout=",
}


@public
class connect:  # noqa: N801  (reads as the verb it is: async with connect(...))
    """Connect to a realtime voice model: `async with rtcvoice.connect(...) as call`.

    On entering the block the call is ready: the event channel is open and the session configured.
    Leaving the block hangs up. Nothing happens before the block is entered; each object serves one
    call.

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
    Bounds:
        limits: `Limits(cost=, seconds=, tokens=)`, warned of and then hung up at.
        price: a `ModelPrice`, where the model's own is not known or not what is paid.
    Where:
        base_url (or OPENAI_BASE_URL), api_key or credentials (or OPENAI_API_KEY), organization,
        project, safety_identifier; direct=True posts offer and session in one request with the
        key instead of minting a token first. credentials is an ApiKey, EphemeralToken, ApiKeyFile,
        TokenUrl, AzureApiKey, EntraToken, or a function, plain or async, that returns a key or
        token; it is asked for every call.
    Network:
        proxy (for HTTP; or HTTPS_PROXY), ca_file (trusted in addition; or SSL_CERT_FILE),
        ice_servers (or RTCVOICE_ICE_SERVERS) such as ["turn:user:password@host?transport=tcp"],
        ice_transport_policy "all" or "relay" (or RTCVOICE_ICE_TRANSPORT_POLICY).
    Timeouts in seconds: connect_timeout (10) for all stages together, liveness_timeout (10) of
        hearing nothing at all (a server that is silent in between is sure to be heard only every
        6 s), close_timeout (5).

    Raises ConfigError at once; on entering CredentialsError, SignalingError, DeviceError or
    TransportError (its `stage` says how far it got). Cancelling the entering closes everything.
    """

    def __init__(
        self,
        *,
        source: Source | Default | None = Default.DEVICE,
        sink: Sink | Default | None = Default.DEVICE,
        history: Iterable[Mapping[str, Any]] = (),
        tools: ToolSet | Iterable[Callable[..., Any] | dict[str, Any]] | None = None,
        limits: Limits | None = None,
        price: ModelPrice | None = None,
        **options: Any,
    ) -> None:
        tool_set = ToolSet.of(tools)
        if tools is not None:
            options["tools"] = tool_set.definitions
        config = CallConfig.from_options(options)
        if config.is_silent:  # nobody will be heard; and who writes does not want to be overheard
            sink = None if sink is Default.DEVICE else sink
            writes = source is Default.DEVICE and config.type == "realtime"
            source = None if writes else source
        self._call = Call(
            config,
            source=Microphone() if source is Default.DEVICE else source,
            sink=Speaker() if sink is Default.DEVICE else sink,
            establish=establish,
            history=history,
            tools=tool_set,
            limits=limits,
            price=price,
        )

    async def __aenter__(self) -> Call:
        await self._call.start()
        return self._call

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._call.aclose()


async def establish(
    config: CallConfig, wiring: Wiring, open_ends: Callable[[], Awaitable[None]]
) -> Connected:
    """Run all stages and return what they yield. Raises the errors named at `connect`."""
    timings = Timings()
    begun = clock.now()
    ice = _ice_settings(config)
    signaling = Signaling(
        base_url=config.base_url,
        credentials=config.credentials_source(),
        headers=config.headers,
        proxy=config.proxy,
        ca_file=config.ca_file,
    )
    try:
        async with asyncio.timeout(config.connect_timeout) as deadline:
            leg, track = await _run_stages(config, signaling, wiring, open_ends, timings, ice)
    except TimeoutError as exc:
        if not deadline.expired():  # somebody else's, such as a source that asks the network
            raise
        raise _too_late(config, _blamed(timings), ice, signaling.asked) from exc
    timings.total = clock.now() - begun
    logger.info("= connected in %.0f ms, call %s", timings.total * 1000, leg.call_id)
    return Connected(leg, track, timings)


async def _run_stages(
    config: CallConfig,
    signaling: Signaling,
    wiring: Wiring,
    open_ends: Callable[[], Awaitable[None]],
    timings: Timings,
    ice: IceSettings,
) -> tuple[Leg, SourceTrack]:
    made: list[tuple[Leg, SourceTrack]] = []
    try:
        async with asyncio.TaskGroup() as side_by_side:
            token = side_by_side.create_task(_token(config, signaling, timings))
            side_by_side.create_task(_timed_ends(open_ends, timings))
            with timings.stage("offer"):
                loopback = is_loopback(config.base_url)
                made.append(await _new_leg(signaling, wiring, loopback=loopback, ice=ice))
                leg, _ = made[0]
                offer = await leg.transport.create_offer()
            await _answer_and_join(config, wiring, leg, offer, await token, timings)
    except BaseExceptionGroup as group:  # the first failure cancelled the others: it is the cause
        await _abandon(made, signaling)
        raise group.exceptions[0] from group.exceptions[0].__cause__
    except BaseException:
        await _abandon(made, signaling)
        raise
    return made[0]


async def _answer_and_join(
    config: CallConfig, wiring: Wiring, leg: Leg, offer: str, token: str, timings: Timings
) -> None:
    with timings.stage("answer"):
        answer = await _answer(config, leg.signaling, offer, token)
        leg.call_id = answer.call_id
        await leg.transport.accept_answer(answer.sdp)
    with timings.stage("ice"):
        await leg.transport.wait_ice()
    with timings.stage("dtls"):
        await leg.transport.wait_dtls()
    with timings.stage("channel"):
        await leg.transport.wait_channel()
    with timings.stage("session"):
        await wiring.session_ready(leg)
    if wiring.bring_history is not None:
        with timings.stage("history"):
            await wiring.bring_history()


async def _token(config: CallConfig, signaling: Signaling, timings: Timings) -> str:
    """Return the token to offer the call with; empty where it is offered with the key."""
    if isinstance(config.credentials, EphemeralToken):
        return config.credentials.value
    if config.direct and config.credentials is None:
        return await _ready_token(signaling)
    with timings.stage("token"):
        if token := await _ready_token(signaling):
            return token
        return "" if config.direct else await signaling.mint_token(config.session_payload())


async def _ready_token(signaling: Signaling) -> str:
    credentials = await signaling.authorize()
    return credentials.value if isinstance(credentials, EphemeralToken) else ""


async def _timed_ends(open_ends: Callable[[], Awaitable[None]], timings: Timings) -> None:
    with timings.stage("devices"):
        await imported(FOR_OFFER + FOR_SOUND)  # in this order: the offer goes first
        await open_ends()


async def _new_leg(
    signaling: Signaling, wiring: Wiring, *, loopback: bool, ice: IceSettings
) -> tuple[Leg, SourceTrack]:
    await imported(FOR_OFFER)
    from rtcvoice.capture.track import SourceTrack
    from rtcvoice.wire.leg import Leg

    track = SourceTrack()
    leg = Leg(
        signaling,
        track,
        on_packet=wiring.on_packet,
        on_text=wiring.on_text,
        on_lost=wiring.on_lost,
        on_report=track.follow,
        loopback=loopback,
        ice=ice,
    )
    return leg, track


async def _answer(config: CallConfig, signaling: Signaling, offer: str, token: str) -> Answer:
    if token:
        return await signaling.call(offer, token)
    return await signaling.call_directly(offer, config.session_payload())


async def _abandon(made: list[tuple[Leg, SourceTrack]], signaling: Signaling) -> None:
    """Close what was made and wait for it, cancelled or not: it has deadlines of its own.

    The caller raises what made it give up, so a cancellation that comes now has nothing to add.
    """
    closing = asyncio.create_task(
        made[0][0].aclose() if made else signaling.aclose(), name="rtcvoice abandon connecting"
    )
    await wait_done(closing)


def _ice_settings(config: CallConfig) -> IceSettings:
    return IceSettings(
        servers=config.ice_servers,  # type: ignore[arg-type]  # checked when the config was made
        relay_only=config.ice_transport_policy == "relay",
        tls=partial(tls_context, config.ca_file),
    )


def _too_late(config: CallConfig, stage: str, ice: IceSettings, asked: str) -> TransportError:
    what, hint = f"it stopped at the stage '{stage}'", _HINTS.get(stage, "")
    if stage == "token" and asked:
        hint = f"{asked} does not answer"
    elif stage == "ice" and ice.trouble:
        what, hint = f"{what}, and {ice.trouble}", ice.cure or hint
    elif stage == "ice" and ice.mismatch:
        hint = ice.mismatch
    elif stage == "ice" and not ice.servers:
        hint += ", or go through a TURN server: ice_servers= (--ice-server)"
    return TransportError(
        f"connecting took longer than {config.connect_timeout:g} s; {what}", stage=stage, hint=hint
    )


def _blamed(timings: Timings) -> str:
    """Of the stages that were running at the deadline, the one that the others waited for."""
    for stage in (
        "token",
        "answer",
        "ice",
        "dtls",
        "channel",
        "session",
        "history",
        "devices",
        "offer",
    ):
        if stage in timings.running:
            return stage
    return "start"
