"""A virtual call whose connection can be lost, and made again to another session."""

from __future__ import annotations

import asyncio
import json

from emulator_driver import FakeVoice
from virtual_call import VirtualCall, _Leg, _Server, _Wire

from rtcvoice.conversation.moving import Move
from rtcvoice.errors import TransportError

LOST = TransportError("the network is gone", stage="connected")


class _NewLeg(_Leg):
    """The client's end of another wire."""

    def __init__(self, call, up):
        super().__init__(call)
        self._own = up

    def send(self, text):
        if self._call._ended is not None:
            raise self._call._ended.again()
        assert len(text) <= self.message_limit
        self._call._sent = (*self._call._sent, json.loads(text))
        self._own.send(text)

    @property
    def progress(self):
        return self._own.progress


class MovingCall(VirtualCall):
    """`lose` and `reconnect`; the servers that it had are in `servers`."""

    def __init__(self, *turns, kept_audio=lambda item_id: None, **options):
        super().__init__(*turns, **options)
        self.servers = []
        self.moves = []
        self._kept_audio = kept_audio
        self._session = options.get("session", {})
        self._connected = True

    def lose(self):
        """Cut the wires, both ways, and tell the conversation."""
        self._connected = False
        self.server.deliver = None
        self._conversation.leave(LOST)

    async def reconnect(self, *, words=None, changes=None):
        """Make another session, and move to it."""
        move, server, up = self.new_session()
        await move.ready(changes)
        await move.seed()
        self.exchange(move, server, up, words=words)
        await move.finish()
        return move

    async def lose_and_reconnect(self, gap=1.0):
        self.lose()
        await asyncio.sleep(gap)
        return await self.reconnect()

    def new_session(self):
        """Return a move to a new session, with its server and wire."""
        server = _Server(
            dict(self._session),
            persona=self._persona,
            voice=FakeVoice(),
            opened=False,
            **self._options,
        )
        behind = self._loop.time() - server.now

        def obey(text):
            if self._ended is None:
                server._advance_to(self._loop.time() - behind)
                server.send_text(text)

        up = _Wire(self._loop, self._way, obey)
        move = Move(self._conversation, _NewLeg(self, up), kept_audio=self._kept_audio)
        move.behind = behind
        server.deliver = _Wire(
            self._loop, self._way, lambda text: self._deliver(server, move, text)
        ).send
        server.open()
        self.moves.append(move)
        return move, server, up

    def exchange(self, move, server, up, *, words=None):
        """Let the call live on the new session from now on."""
        self.servers.append(self.server)
        self.server.deliver = None
        self.server, self._up, self._behind = server, up, move.behind
        self._outputs = 0
        self._connected = True
        move.take_over(words)

    def _deliver(self, server, move, text):
        if self._ended is None and server.deliver is not None:
            move.receive(text)

    def _hear(self, piece):
        if self._connected:
            super()._hear(piece)

    def _obey(self, text):
        if self._connected:
            super()._obey(text)

    def _receive(self, text):
        if not self.servers and self._connected:
            super()._receive(text)

    @property
    def known_to_server(self):
        """What the session has, as (role or kind, text)."""
        return [_told(event["item"]) for event in self.server.of("conversation.item.done")]


def _told(item):
    if item["type"] != "message":
        return item["type"], item.get("output", item.get("arguments"))
    texts = (part.get("text") or part.get("transcript") or "" for part in item["content"])
    return item["role"], "".join(texts)
