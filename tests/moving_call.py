"""A virtual call whose connection can be lost, and made again to another session."""

from __future__ import annotations

import asyncio
import json

from emulator_driver import FakeVoice
from virtual_call import VirtualCall, _Leg, _Server, _Wire

from rtcvoice.conversation.moving import Move
from rtcvoice.emulator.session.script import Scripted
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


class NewSession:
    """Another session and the wires to it, before the call lives there.

    `rename` changes the events of its server, as dicts, on their way to the client.
    """

    def __init__(self, call, *, seed, rename=lambda event: event, **options):
        self._call = call
        self._rename = rename
        self.server = _Server(
            dict(call._session),
            persona=call._persona_again,
            voice=FakeVoice(),
            opened=False,
            seed=seed,
            **call._options,
        )
        self.behind = call._loop.time() - self.server.now
        self.up = _Wire(call._loop, call._way, self._obey)
        self.move = Move(
            call._conversation, _NewLeg(call, self.up), kept_audio=call.kept_audio.get, **options
        )
        self._alive = True
        self.server.deliver = _Wire(call._loop, call._way, self._deliver).send
        self.server.open()

    def cut(self):
        """Cut its wires."""
        self._alive = False

    def _obey(self, text):
        if self._call._ended is None and self._alive:
            self.server._advance_to(self._call._loop.time() - self.behind)
            self.server.send_text(text)

    def _deliver(self, text):
        if self._call._ended is not None or not self._alive:
            return
        event = self._rename(json.loads(text))
        if event is not None:
            self.move.receive(json.dumps(event))


class MovingCall(VirtualCall):
    """`lose` and `reconnect`; the servers before the last one are in `servers`.

    `again`: the script of each further session, where it is not the first one's.
    """

    def __init__(self, *turns, again=(), **options):
        super().__init__(*turns, **options)
        self._persona_again = self._persona
        if again:
            self._persona_again = lambda voice: Scripted(list(again), voice)
        self.servers = []
        self.shown = []  # types of events that the user was told of
        self.kept_audio = {}
        self._session = options.get("session", {})
        self._connected = True
        self._up_here = None

    def lose(self):
        """Cut the wires, both ways, and tell the conversation."""
        self._cut_wires()
        self._conversation.leave(LOST)

    async def reconnect(self, *, words=None, changes=None, **options):
        """Make another session, and move to it."""
        new = NewSession(self, seed=100 + len(self.servers), **options)
        await new.move.ready(changes)
        await new.move.seed()
        self.exchange(new, words=words)
        await new.move.finish()
        return new.move

    async def lose_and_reconnect(self, gap=1.0, **options):
        self.lose()
        await asyncio.sleep(gap)
        return await self.reconnect(**options)

    def exchange(self, new, *, words=None):
        """Let the call live on the new session from now on."""
        self._cut_wires()
        self.servers.append(self.server)
        self.server, self._up, self._behind = new.server, new.up, new.behind
        self._outputs = 0
        self._connected, self._up_here = True, new
        new.move.take_over(words)

    def _tell(self, event):
        self.shown.append(event.type)
        super()._tell(event)

    def _cut_wires(self):
        self._connected = False
        if self._up_here is not None:
            self._up_here.cut()

    def _hear(self, piece):
        if self._connected:
            super()._hear(piece)

    def _obey(self, text):
        if self._connected and self._up_here is None:
            super()._obey(text)

    def _receive(self, text):
        if self._connected and self._up_here is None:
            super()._receive(text)

    @property
    def known_to_server(self):
        """What was created in the session, as (role or kind, text), in order."""
        return [told(event["item"]) for event in self.server.of("conversation.item.added")]


def told(item):
    """An item of the server's as (role or kind, text)."""
    if item["type"] != "message":
        return item["type"], item.get("output", item.get("arguments"))
    texts = (part.get("text") or part.get("transcript") or "" for part in item["content"])
    return item["role"], "".join(texts)
