"""Translations among the emulator's calls: over WebRTC, and over WebSockets."""

from __future__ import annotations

import logging
import random
import time
from typing import Any

from aiohttp import web

from rtcvoice.emulator.emulated_call import CallNotes
from rtcvoice.emulator.faults import Faults
from rtcvoice.emulator.host import Host
from rtcvoice.emulator.options import EmulatorOptions
from rtcvoice.emulator.peer import Peer
from rtcvoice.emulator.session.clips import Voice
from rtcvoice.emulator.socket_call import SocketCall, new_socket
from rtcvoice.emulator.translations.session import TranslationSession
from rtcvoice.emulator.translations.settings import Settings

__all__ = ["TranslationCalls"]

logger = logging.getLogger(__name__)

LONGEST_SESSION = 3600.0
"""Seconds that a session lasts, if nothing else is said."""


class TranslationCalls:
    """The translations of one emulator."""

    def __init__(
        self, emulator: Host, options: EmulatorOptions, voice: Voice, rng: random.Random
    ) -> None:
        self._emulator = emulator
        self._options = options
        self._voice = voice
        self._random = rng

    async def answer(self, offer: str, settings: Settings, call_id: str) -> str:
        """Start a translation and return the SDP answer. Raises InvalidOffer, RestError (429)."""

        def new_peer(faults: Faults, notes: CallNotes, **given: Any) -> Peer:
            session = self._session(settings, call_id, notes.began, faults)
            return Peer(session, faults=faults, **given)

        return await self._emulator.start(offer, call_id, new_peer)

    async def serve_socket(
        self, request: web.Request, settings: Settings, call_id: str
    ) -> web.StreamResponse:
        """Be a translation on a WebSocket until it ends. Raises RestError before the upgrade."""
        socket = new_socket(request)
        self._emulator.kept.check_room()
        faults, notes = self._emulator.faults, self._emulator.kept.new_notes(call_id)
        session = self._session(settings, call_id, notes.began, faults, on_socket=True)
        call = SocketCall(session, faults=faults, observe=notes.observe, recorder=notes.recorder)
        self._emulator.keep(call_id, call, notes, faults)
        return await call.serve(request, socket)

    def _session(
        self,
        settings: Settings,
        call_id: str,
        now: float,
        faults: Faults,
        *,
        on_socket: bool = False,
    ) -> TranslationSession:
        duration = self._options.duration
        return TranslationSession(
            settings,
            call_id=call_id,
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
            on_socket=on_socket,
        )
