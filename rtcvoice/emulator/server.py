"""The emulator as a server: HTTP in front, a peer for each call behind.

Everything lives on the event loop that enters it; leaving the block ends every call and frees the
port. It listens on loopback unless told otherwise, and its calls then offer loopback addresses
only, so that nothing of it can be reached from outside.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import fields
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from aiohttp import web

from rtcvoice.emulator.answer import AS_SEEN, AnswerShape
from rtcvoice.emulator.emulated_call import CallNotes, EmulatedCall
from rtcvoice.emulator.event_log import LoggedEvent
from rtcvoice.emulator.fault_parser import parse_faults
from rtcvoice.emulator.faults import NO_FAULTS, Faults, Strike
from rtcvoice.emulator.kept_calls import KeptCalls
from rtcvoice.emulator.listening import Door
from rtcvoice.emulator.live.calls import LiveCalls
from rtcvoice.emulator.live.options import AS_KNOWN, LiveOptions
from rtcvoice.emulator.live.peer import LivePeer
from rtcvoice.emulator.offer import OfferError
from rtcvoice.emulator.options import EmulatorOptions
from rtcvoice.emulator.passive_tcp import PassiveTcp
from rtcvoice.emulator.peer import PATIENCE, Peer
from rtcvoice.emulator.recording import RECORD_LIMIT
from rtcvoice.emulator.relay import UdpRelay, media_address, relayed_answer, without_candidates
from rtcvoice.emulator.rest.app import InvalidOffer, build_app
from rtcvoice.emulator.rest.faults import HttpFaults
from rtcvoice.emulator.rest.models import Models
from rtcvoice.emulator.rest.newcomers import Newcomers
from rtcvoice.emulator.server_end import ServerEnd
from rtcvoice.emulator.session.assistant import Assistant
from rtcvoice.emulator.session.persona import Persona
from rtcvoice.emulator.session.script import Scripted, listed
from rtcvoice.emulator.session.script_file import read_script
from rtcvoice.emulator.session.session import Session
from rtcvoice.emulator.session.settings import Settings
from rtcvoice.emulator.session.shared import Pace
from rtcvoice.emulator.session.turn import Turn
from rtcvoice.emulator.socket_call import SocketCall, new_socket
from rtcvoice.emulator.synthesizer import open_voice
from rtcvoice.emulator.translations.calls import TranslationCalls
from rtcvoice.system.hosts import is_loopback_host
from rtcvoice.system.options import checked

__all__ = ["EmulatedCall", "Emulator", "LoggedEvent"]

logger = logging.getLogger(__name__)

LONGEST_CALL = 3600.0
"""Seconds that a session lasts, if nothing else is said."""


class Emulator:
    """A local Realtime server: `async with Emulator() as server: ... server.url`.

    `host` and `port`: where to listen; port 0 takes a free one. `script`: what will be said, a YAML
    file or a list of `Turn`; without one the assistant answers with short prompts, calls tools that
    a text names, and knows no speech but the shipped clips. `voice`: `prompts`, or an installed
    synthesizer for what there is no prompt of (flite, espeak-ng, say). `api_keys`: keys to accept;
    None accepts every `sk-...`. `audio`: with `instant` answers are silent and over as soon as they
    are made, and `pace` is no time at all: for tests of one's own agent. What the user says by
    `call.send(audio=)` is then known at once; a source still speaks in real time. `gap`: send no
    RTP between answers instead of silence. `no_udp`: take media by TCP alone, as behind a firewall.
    `all_addresses`: offer this machine's own addresses for the media, too: Firefox never goes to
    127.0.0.1, nor do clients of other machines.
    `pace`: how fast answers come. `shape`: how SDP answers look. `client_timeout`: seconds without
    a datagram after which a client is taken for gone. `duration`: seconds that a session may last;
    if not given, 3600, of the Live dialect 7200. `live`: how Live sessions behave. `seed` makes ids
    repeatable. `record`: a folder for the events and the audio of each call (`recording.py`), of at
    most `record_limit` bytes in all. `most_calls`: how many may run at a time; further ones are
    refused (429). `origins`: whose web pages may call besides those of this machine. `models`:
    names taken besides the service's, "*" for all. `faults`: what goes wrong; those of a script
    hold unless some are given here.

    Raises ConfigError for a script that cannot be played, a folder that cannot be made, and an
    address or an origin that cannot be used.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        script: str | Path | Sequence[Turn] | None = None,
        voice: str = "prompts",
        api_keys: Set[str] | None = None,
        audio: Literal["real-time", "instant"] = "real-time",
        gap: bool = False,
        no_udp: bool = False,
        all_addresses: bool = False,
        pace: Pace | None = None,
        shape: AnswerShape | None = None,
        duration: float | None = None,
        client_timeout: float = PATIENCE,
        seed: int | None = None,
        record: str | Path | None = None,
        record_limit: int = RECORD_LIMIT,
        most_calls: int = 200,
        origins: Iterable[str] = (),
        models: Iterable[str] = (),
        live: LiveOptions | None = None,
        faults: Faults = NO_FAULTS,
    ) -> None:
        arguments = locals()
        options = {field.name: arguments[field.name] for field in fields(EmulatorOptions)}
        options |= {
            "shape": AS_SEEN if shape is None else shape,
            "live": AS_KNOWN if live is None else live,
        }
        self._options = given = EmulatorOptions(**options)
        self._voice = open_voice(given.voice)
        self._turns: Sequence[Turn] = ()
        self._faults = given.faults
        if isinstance(script, str | Path):
            read = read_script(script, self._voice)
            self._turns = read.turns
            if read.faults and self._faults == NO_FAULTS:
                self._faults = parse_faults(read.faults, source=f"{script}, faults")
        elif script is not None:
            self._turns = listed(script)
        self.new_persona()  # a script that cannot be played is refused here, not in a call
        self._random = random.Random(seed)  # noqa: S311  (ids need no secrecy)
        self._http_faults = HttpFaults(lambda: self._faults)
        self._models = Models(given.models)
        newcomers = Newcomers()
        app = build_app(
            self,
            api_keys=None if given.api_keys is None else frozenset(given.api_keys),
            faults=self._http_faults,
            origins=given.origins,
            models=self._models,
            newcomers=newcomers,
            live=LiveCalls(self, given, self._voice, self._random),
            translations=TranslationCalls(self, given, self._voice, self._random),
        )
        self._passive_tcp = PassiveTcp(given.host)
        self._door = Door(app, given.host, given.port, newcomers)
        self.kept = KeptCalls(given)
        """The calls of all dialects."""

    @property
    def calls(self) -> dict[str, EmulatedCall]:
        """Every call since the start, by id, in order."""
        return self.kept.by_id

    @property
    def faults(self) -> Faults:
        """What goes wrong; set anew, it concerns the requests and calls from then on."""
        return self._faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self._faults = checked(Faults, faults, "Emulator, faults")

    @property
    def url(self) -> str:
        """The API's root, for `base_url=`."""
        host = f"[{self._options.host}]" if ":" in self._options.host else self._options.host
        return f"http://{host}:{self._door.port}/v1"

    async def __aenter__(self) -> Self:
        self.kept.check_folder()
        await self._door.open()
        if self._options.no_udp or self._options.shape.tcp_candidates:
            await self._passive_tcp.open()
        logger.info("= emulator listens on %s", self.url)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await asyncio.shield(asyncio.create_task(self._close(), name="rtcvoice emulator close"))

    async def _close(self) -> None:
        await asyncio.gather(*(call.peer.aclose() for call in self.calls.values()))
        await self._passive_tcp.aclose()
        await self._door.aclose()

    # -- what happens to all calls at once --------------------------------------------------------

    async def restart(self, *, down: float = 0.0) -> None:
        """Be gone for `down` seconds and come back on the same port, as after a restart.

        Its calls end without a word and are unknown afterwards; tokens that were handed out stay
        good, as they belong to the service, not to one server of it.
        """
        running = self.kept.running()
        for call in running:
            call.strike(Strike.FREEZE)
        await self._door.shut()
        await asyncio.gather(*(call.peer.aclose() for call in running))
        await asyncio.sleep(down)
        await self._door.reopen()

    async def outage(self, seconds: float, *, http: bool = True) -> None:
        """Lose every datagram of the calls that run for so many seconds, and HTTP requests, too."""
        running = self.kept.running()
        self._http_faults.unreachable = http
        for call in running:
            call.strike(Strike.FREEZE)
        try:
            await asyncio.sleep(seconds)
        finally:
            self._http_faults.unreachable = False
            for call in running:
                call.strike(Strike.RECOVER)

    # -- what the HTTP side asks ----------------------------------------------------------------

    async def answer(self, offer_sdp: str, settings: Settings, call_id: str) -> str:
        """Start a call and return the SDP answer. Raises InvalidOffer, RestError (429)."""

        def new_peer(faults: Faults, notes: CallNotes, **given: Any) -> Peer:
            session = self._new_session(settings, call_id, notes.began, faults)
            return Peer(session, faults=faults, **given)

        return await self.start(offer_sdp, call_id, new_peer)

    async def start(self, offer_sdp: str, call_id: str, new_peer: Callable[..., Peer]) -> str:
        """Start what `new_peer` makes, and return the SDP answer. As `answer`."""
        with self.kept.beginning():
            return await self._start(offer_sdp, call_id, new_peer)

    async def _start(self, offer_sdp: str, call_id: str, new_peer: Callable[..., Peer]) -> str:
        faults, notes = self._faults, self.kept.new_notes(call_id)
        peer = new_peer(
            faults,
            notes,
            addresses=self._options.addresses,
            gap=self._options.gap,
            shape=self._options.shape,
            client_timeout=self._options.client_timeout,
            observe=notes.observe,
            recorder=notes.recorder,
        )
        try:
            if self._options.no_udp:
                offer_sdp = without_candidates(offer_sdp)
            answer = await self._answer(peer, offer_sdp, faults)
            answer = self._passive_tcp.offered(peer, answer, udp=not self._options.no_udp)
        except OfferError as exc:
            raise InvalidOffer(str(exc)) from exc
        self.keep(call_id, peer, notes, faults)
        return answer

    async def serve_socket(
        self, request: web.Request, settings: Settings, call_id: str
    ) -> web.StreamResponse:
        """Be a session on a WebSocket until it ends. Raises RestError (426, 429)."""
        socket = new_socket(request)
        self.kept.check_room()
        faults, notes = self._faults, self.kept.new_notes(call_id)
        session = self._new_session(settings, call_id, notes.began, faults, on_socket=True)
        call = SocketCall(session, faults=faults, observe=notes.observe, recorder=notes.recorder)
        self.keep(call_id, call, notes, faults)
        return await call.serve(request, socket)

    async def _answer(self, peer: Peer, offer_sdp: str, faults: Faults) -> str:
        """Have the peer answer; its media takes the way that the faults ask for."""
        network = faults.network
        if network is None:
            return await peer.answer(offer_sdp)
        if not is_loopback_host(self._options.host):
            logger.warning(
                "x a bad network is made on loopback only, not on %s", self._options.host
            )
            return await peer.answer(offer_sdp)
        answer = await peer.answer(without_candidates(offer_sdp))
        if "a=candidate:" not in answer:  # another fault took them: there is no way at all
            return answer
        relay = UdpRelay(
            media_address(answer),
            up=partial(network.link, "uplink"),
            down=partial(network.link, "downlink"),
        )
        await relay.__aenter__()
        peer.at_end(relay.aclose)
        peer.on_strike(
            lambda strike: relay.change_addresses() if strike is Strike.CHANGE_ADDRESS else None
        )
        return relayed_answer(answer, relay.port)

    def _new_session(
        self,
        settings: Settings,
        call_id: str,
        now: float,
        faults: Faults,
        *,
        on_socket: bool = False,
    ) -> Session:
        return Session(
            settings,
            call_id=call_id,
            now=now,
            voice=self._voice,
            persona=self.new_persona(),
            random=random.Random(self._random.getrandbits(64)),  # noqa: S311
            pace=self._options.pace,
            faults=faults.session(),
            duration=LONGEST_CALL if self._options.duration is None else self._options.duration,
            unix_time=time.time(),
            on_socket=on_socket,
            check_models=self._models.check,
            instant=self._options.audio == "instant",
        )

    def running(self, call_id: str) -> Peer | None:
        """Return the WebRTC call with that id while it goes on; none of the Live dialect."""
        peer = self.kept.find(call_id)
        return peer if isinstance(peer, Peer) and not isinstance(peer, LivePeer) else None

    async def hang_up(self, call_id: str) -> bool:
        """End a call; False if there is none with that id that still goes on."""
        peer = self.running(call_id)
        if peer is None:
            return False
        await peer.aclose()
        return True

    def keep(self, call_id: str, peer: ServerEnd, notes: CallNotes, faults: Faults) -> None:
        """Count a call among those that run, and keep it readable after its end."""
        peer.on_strike(partial(self._http_faults.struck, faults))
        self.kept.keep(call_id, peer, notes)

    def new_persona(self) -> Persona:
        """Return who answers in a new call."""
        return Scripted(self._turns, self._voice) if self._turns else Assistant(self._voice)
