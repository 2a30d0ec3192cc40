"""Live sessions among the emulator's calls: created, forked, hung up, heard again."""

from __future__ import annotations

import random
import string
import time
from collections.abc import Callable, Sequence
from typing import Any

from aiohttp import web

from rtcvoice.emulator.emulated_call import CallNotes
from rtcvoice.emulator.faults import Faults
from rtcvoice.emulator.host import Host
from rtcvoice.emulator.live.peer import LivePeer
from rtcvoice.emulator.live.session import LiveSession
from rtcvoice.emulator.live.settings import Settings, forked, validate
from rtcvoice.emulator.live.socket_call import LiveSocketCall
from rtcvoice.emulator.live.socket_core import SocketCore
from rtcvoice.emulator.live.stored import SoundKept, Stored, StoredSessions
from rtcvoice.emulator.options import EmulatorOptions
from rtcvoice.emulator.rest.body import RestError
from rtcvoice.emulator.rest.live import unknown_session
from rtcvoice.emulator.session.clips import Voice
from rtcvoice.emulator.session.ids import Ids
from rtcvoice.emulator.session.items import Item
from rtcvoice.emulator.socket_call import new_socket

__all__ = ["LiveCalls"]

LONGEST_SESSION = 7200.0
"""Seconds that a session lasts, if nothing else is said."""

_CHARACTERS = string.digits + string.ascii_letters


class LiveCalls:
    """The Live side of one emulator."""

    def __init__(
        self, emulator: Host, options: EmulatorOptions, voice: Voice, rng: random.Random
    ) -> None:
        self._emulator = emulator
        self._options = options
        self._voice = voice
        self._random = rng
        self._stored = StoredSessions()

    @property
    def count_tokens(self) -> bool:
        """Whether texts that are too long are refused."""
        return self._options.live.count_tokens

    def _new_id(self) -> str:
        return "live_u1_" + "".join(self._random.choices(_CHARACTERS, k=32))

    async def create(
        self, offer: str, settings: Settings, history: Sequence[Item] = ()
    ) -> tuple[str, str]:
        """Start a session; return its id and the SDP answer. Raises InvalidOffer, RestError."""
        session_id = self._new_id()

        def new_peer(faults: Faults, notes: CallNotes, **given: Any) -> LivePeer:
            session = self._session(settings, session_id, notes.began, faults, history)
            sound = None
            if settings.get("store"):
                given["recorder"] = sound = SoundKept(given["recorder"])
            peer = LivePeer(session, options=self._options.live, faults=faults, **given)
            if sound is not None:
                peer.at_end(self._storing(session, sound))
            return peer

        return session_id, await self._emulator.start(offer, session_id, new_peer)

    def _session(
        self,
        settings: Settings,
        session_id: str,
        now: float,
        faults: Faults,
        history: Sequence[Item],
    ) -> LiveSession:
        duration = self._options.duration
        return LiveSession(
            settings,
            session_id=session_id,
            now=now,
            voice=self._voice,
            persona=self._emulator.new_persona(),
            random=random.Random(self._random.getrandbits(64)),  # noqa: S311
            pace=self._options.pace,
            options=self._options.live,
            faults=faults.session(),
            duration=LONGEST_SESSION if duration is None else duration,
            unix_time=time.time(),
            instant=self._options.audio == "instant",
            history=history,
        )

    def _storing(self, session: LiveSession, sound: SoundKept) -> Callable[[], Any]:
        async def store() -> None:
            stored = Stored(session.settings, sound, session.history)
            self._stored.keep(session.id, stored)

        return store

    async def fork(self, session_id: str, offer: str, overrides: Any) -> tuple[str, str]:
        """Start a session that goes on with a stored one. Raises RequestError, as `create`."""
        stored = self._find(session_id)
        settings = forked(stored.settings, overrides)
        return await self.create(offer, settings, stored.history)

    async def serve_socket(
        self, request: web.Request, source: str | None = None
    ) -> web.StreamResponse:
        """Be a session on a WebSocket until it ends; `source`: the one that it is a fork of.

        Raises RestError before the upgrade.
        """
        stored = None if source is None else self._find(source)
        socket = new_socket(request)
        self._emulator.kept.check_room()
        session_id, faults = self._new_id(), self._emulator.faults
        notes = self._emulator.kept.new_notes(session_id)

        sound = SoundKept(notes.recorder, keeps=False)

        def new_session(given: Any, now: float) -> LiveSession:
            if stored is not None:
                settings = forked(stored.settings, given, on_socket=True)
            else:
                settings = validate(given, on_socket=True, count_tokens=self.count_tokens)
            sound.keeps = bool(settings.get("store"))
            history = () if stored is None else stored.history
            return self._session(settings, session_id, now, faults, history)

        core = SocketCore(new_session, Ids(self._random))
        call = LiveSocketCall(core, faults=faults, observe=notes.observe, recorder=sound)

        async def store() -> None:
            if core.session is not None and sound.keeps:
                await self._storing(core.session, sound)()

        call.at_end(store)
        self._emulator.keep(session_id, call, notes, faults)
        return await call.serve(request, socket)

    def content(self, session_id: str) -> bytes:
        """Return the sound of a stored session as a WAV file. Raises RestError."""
        return self._find(session_id).sound.wav()

    def _find(self, session_id: str) -> Stored:
        stored = self._stored.find(session_id)
        if stored is not None:
            return stored
        if self.running(session_id) is not None:
            message = "The session has not ended yet, or is being finalized."
            raise RestError(409, message, code="session_not_finalized", param="session_id")
        if session_id in self._emulator.kept.by_id:
            message = "The session was not stored."
            raise RestError(400, message, code="session_not_stored", param="session_id")
        raise unknown_session()

    def running(self, session_id: str) -> LivePeer | None:
        """Return the WebRTC session with that id while it goes on."""
        peer = self._emulator.kept.find(session_id)
        return peer if isinstance(peer, LivePeer) and not peer.finished else None

    def hang_up(self, session_id: str) -> None:
        """End a session. Raises RestError (404) where there is none."""
        peer = self.running(session_id)
        if peer is None:
            raise unknown_session()
        peer.hang_up()
