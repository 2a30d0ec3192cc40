"""The stages of getting a leg up: side by side where they can be, each timed.

    token ─┬─ answer ─ ice ─ dtls ─ channel      (no token with a ready one, or direct=True)
    offer ─┘

Knows no call, and of the roads only the track that a leg sends. Every `Connecting` makes one leg,
with a track and a token of its own; a call that needs another leg makes another `Connecting`.
aiortc is imported only here, in a worker thread beside the token request: on a cold start the
import takes about as long as the request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

from rtcvoice.call.imports import FOR_OFFER, begin_importing, imported
from rtcvoice.call.media_ways import media_ways
from rtcvoice.call.timings import Timings
from rtcvoice.config.call_config import CallConfig
from rtcvoice.config.session_fields import merged
from rtcvoice.errors import TransportError
from rtcvoice.rest.addresses import is_loopback
from rtcvoice.rest.client import tls_context
from rtcvoice.rest.credentials import EphemeralToken
from rtcvoice.rest.ice_servers import IceSettings
from rtcvoice.rest.signaling import SdpAnswer, Signaling
from rtcvoice.system import sleep
from rtcvoice.system.threads import in_thread
from rtcvoice.wire.downlink import narrowed

if TYPE_CHECKING:
    from rtcvoice.capture.track import SourceTrack
    from rtcvoice.network.settings import CallNetwork
    from rtcvoice.wire.leg import Leg, Ways

__all__ = ["Connecting", "first_failure", "made_ready"]

_HINTS = {
    "token": "the server does not answer: check base_url and the network",
    "answer": "the server does not answer: check base_url and the network",
    "devices": "the source or sink does not open",
    "ice": "no answer by UDP or TCP: check that a firewall or VPN lets UDP through",
    "dtls": "the server was reached but does not finish the encryption handshake",
    "channel": "the server was reached but does not open the event channel",
    "session": "the server was reached but does not start the session",
    "history": "the history is long for this network: shorten it, or raise connect_timeout=",
}

_BAD_NETWORK = "the bad network of network= may be why: raise connect_timeout=, or make it better"


async def made_ready(config: CallConfig) -> None:
    """Do once in a process what would hold up the first `Connecting`; comes before it.

    The certificates that are trusted are read in a thread, which leaves the interpreter to the
    imports. Raises ConfigError when they cannot be.
    """
    if urlsplit(config.base_url).scheme == "https":
        begin_importing(FOR_OFFER)
        await in_thread(tls_context, config.ca_file)


class Connecting:
    """The making of one leg. Event loop only; its stages note in `timings` how long they take.

    `last_route` is that of the leg before (`Leg.route`), if there was one. `ways`: which ways are
    tried, if not the usual ones.

    Raises CredentialsError when there is no key to connect with.
    """

    signaling_class: ClassVar[type[Signaling]] = Signaling
    """What speaks to the server by REST."""

    def __init__(
        self,
        config: CallConfig,
        timings: Timings,
        *,
        keep_connection: bool = False,
        last_route: str = "",
        ways: Ways | None = None,
        session_updates: Mapping[str, Any] = {},
        tcp_timeout: float | None = None,
        on_answered: Callable[[], None] = lambda: None,
    ) -> None:
        """`session_updates`: fields that differ from the config's. `tcp_timeout`: seconds that a
        connection for HTTP may take. `on_answered` is called when the server has answered.
        """
        self._config = config
        self._updates = session_updates
        self._on_answered = on_answered
        self._timings = timings
        self._last_route = last_route
        self._ways = ways
        self.answer_sdp = ""
        """What the server answered the offer, as it came; empty before."""
        self._ice = IceSettings(
            servers=config.ice_servers,  # type: ignore[arg-type]  # checked with the config
            relay_only=config.ice_transport_policy == "relay",
            tls=partial(tls_context, config.ca_file),
        )
        self._signaling = self.signaling_class(
            base_url=config.base_url,
            credentials=config.credentials_source(),
            headers=config.headers,
            proxy=config.proxy,
            ca_file=config.ca_file,
            keep_connection=keep_connection,
            tcp_timeout=tcp_timeout,
        )
        self._offer_and_token: tuple[str, str] | None = None
        self._legs: list[Leg[SourceTrack]] = []
        self.offered = asyncio.Event()
        """Set when the offer leaves: from then on the server is what is waited for."""

    async def run(self) -> Leg[SourceTrack]:
        """Run all stages and return the leg, whose event channel is open; it is the caller's then.

        Raises the errors named at `connect`; `aclose` afterwards.
        """
        offer, token = await self.begin()
        (leg,) = self._legs
        with self._timings.stage("answer"):
            self.offered.set()
            answer = await self._answer(offer, token)
            self._on_answered()
            self.answer_sdp = answer.sdp
            leg.call_id = answer.call_id
            if answer.server_time is not None:
                leg.server_time = answer.server_time, sleep.elapsed()
            await leg.transport.accept_answer(answer.sdp)
        with self._timings.stage("ice"):
            await leg.transport.wait_ice()
        with self._timings.stage("dtls"):
            await leg.transport.wait_dtls()
        with self._timings.stage("channel"):
            await leg.transport.wait_channel()
        return leg

    async def begin(self) -> tuple[str, str]:
        """Make the offer and get the token, side by side, once; `run` goes on from there."""
        if self._offer_and_token is None:
            async with asyncio.TaskGroup() as side_by_side:
                token = side_by_side.create_task(self._token())
                with self._timings.stage("offer"):
                    leg = await self._new_leg()
                    offer = narrowed(await leg.transport.create_offer(), self._config.downlink_bps)
            self._offer_and_token = offer, token.result()
        return self._offer_and_token

    def note_in(self, timings: Timings) -> None:
        """Let the stages to come be those of a call; what was prepared took none of its time."""
        self._timings = timings

    @property
    def network(self) -> CallNetwork | None:
        """The bad network that its leg is in; None for none."""
        return self._config.network

    @property
    def token_expires_at(self) -> int | None:
        """Unix time until which the token starts calls; None when nobody said."""
        return self._signaling.token_expires_at

    @property
    def may_expire(self) -> bool:
        """Whether there is a token, and another can be had."""
        has_token = bool(self._offer_and_token and self._offer_and_token[1])
        return has_token and not isinstance(self._config.credentials, EphemeralToken)

    async def keep_alive(self) -> None:
        """Have a connection to the server open, with the least of requests; never fails."""
        await self._signaling.keep_alive()

    @property
    def session_changes(self) -> dict[str, Any]:
        """What of the session did not travel with the request that began the call."""
        return self.changes_for(self._config) if self.session_is_unset else {}

    def changes_for(self, config: CallConfig) -> dict[str, Any]:
        """Return what makes another session the one of `config`."""
        return merged(config.session_changes(), self._updates)

    @property
    def _payload(self) -> dict[str, Any]:
        return merged(self._config.session_payload(), self._updates)

    @property
    def session_is_unset(self) -> bool:
        """Whether the session has not travelled: it was not in the request that began the call."""
        return self._signaling.session_is_unset

    async def aclose(self) -> None:
        """Close what was made of a leg; never raises."""
        if self._legs:
            await self._legs[0].aclose()
        else:
            await self._signaling.aclose()

    def too_late(self, after: float = 0.0) -> TransportError:
        """Return the error for a deadline that has passed: which stage it stopped at, and why.

        after: the deadline in seconds, where it is another one than `connect_timeout`.
        """
        stage = _blamed(self._timings)
        what, hint = f"it stopped at the stage '{stage}'", _HINTS.get(stage, "")
        if stage == "token" and (asked := self._signaling.asked):
            hint = f"{asked} does not answer"
        elif stage == "ice":
            what, hint = self._without_ice(what, hint)
        elif stage in ("dtls", "channel", "session") and self._config.network is not None:
            hint = _BAD_NETWORK
        return TransportError(
            f"connecting took longer than {after or self._config.connect_timeout:.3g} s; {what}",
            stage=stage,
            hint=hint,
        )

    def _without_ice(self, what: str, hint: str) -> tuple[str, str]:
        ice = self._ice
        if self._config.network is not None:
            return what, _BAD_NETWORK
        transport = self._legs[0].transport
        if transport.trouble:
            return f"{what}, and {transport.trouble}", transport.cure or hint
        if ice.mismatch:
            return what, ice.mismatch
        if not ice.servers:
            hint += ", or go through a TURN server: ice_servers= (--ice-server)"
        return what, hint

    # -- the stages -----------------------------------------------------------------------------

    async def _token(self) -> str:
        """Return the token to offer the call with; empty where it is offered with the key."""
        config = self._config
        if isinstance(config.credentials, EphemeralToken):
            return config.credentials.value
        if config.direct and config.credentials is None:
            return await self._ready_token()
        with self._timings.stage("token"):
            if token := await self._ready_token():
                return token
            if config.direct:
                return ""
            token = await self._signaling.mint_token(self._payload)
            self._on_answered()
            return token

    async def _ready_token(self) -> str:
        credentials = await self._signaling.authorize()
        return credentials.value if isinstance(credentials, EphemeralToken) else ""

    async def _new_leg(self) -> Leg[SourceTrack]:
        await imported(FOR_OFFER)
        from rtcvoice.capture.track import SourceTrack
        from rtcvoice.wire.leg import Leg

        track = SourceTrack()
        leg = Leg(
            self._signaling,
            track,
            on_report=track.follow,
            loopback=is_loopback(self._config.base_url),
            ice=self._ice,
            ways=self._ways or media_ways(self._config, last_route=self._last_route),
        )
        track.check_by(leg.transport.round_trips.ask)
        self._legs.append(leg)
        return leg

    async def _answer(self, offer: str, token: str) -> SdpAnswer:
        if token:
            return await self._signaling.call(offer, token)
        return await self._signaling.call_directly(offer, self._payload)


def first_failure(group: BaseException) -> BaseException:
    """Return what made a group of tasks fail: the first failure, which cancelled the others."""
    while isinstance(group, BaseExceptionGroup):
        group = group.exceptions[0]
    return group


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
