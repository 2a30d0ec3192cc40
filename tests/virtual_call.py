"""A call without a call: the conversation's verbs against the emulator's session core.

Both ends are the real ones, the network between them is a delay in virtual time, and what is heard
is a matter of arithmetic. Every event of the server passes the strict checker on its way.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections import deque
from contextlib import suppress

import numpy as np
from emulator_driver import CHUNK, Driver, FakeVoice, silence, speech

from rtcvoice.call.call import Call
from rtcvoice.call.timings import Timings
from rtcvoice.conversation.road import CallConversation
from rtcvoice.conversation.state.hearing import Sound
from rtcvoice.emulator.session.outputs import PlayAudio
from rtcvoice.emulator.session.script import Scripted
from rtcvoice.errors import CallEnded
from rtcvoice.playout.speech_queue import SpeechQueue
from rtcvoice.sound.samples import Block

HELD = 0.06
"""Seconds of sound in the client's buffers."""


class _Server(Driver):
    """The session core; what it sends goes to `deliver` at once."""

    deliver = None

    def _drain(self):
        before = len(self.log)
        super()._drain()
        for _, event in self.log[before:]:
            if self.deliver is not None:
                self.deliver(json.dumps(event))


class _Wire:
    """Delivers in order, `way` seconds later; `rate` bytes a second, when there is one."""

    def __init__(self, loop, way, deliver, rate=None):
        self._loop = loop
        self._way = way
        self._deliver = deliver
        self._rate = rate
        self._free_at = 0.0
        self._under_way = deque()
        self._bytes = []  # when each message has left, and the bytes up to its end

    def send(self, text):
        self._under_way.append(text)  # timers of the same moment fire in no order
        now = self._loop.time()
        self._free_at = max(now, self._free_at) + (len(text) / self._rate if self._rate else 0)
        self._bytes.append((self._free_at, len(text) + (self._bytes[-1][1] if self._bytes else 0)))
        self._loop.call_at(
            self._free_at + self._way, lambda: self._deliver(self._under_way.popleft())
        )

    @property
    def progress(self):
        """Bytes given so far, and those that have left."""
        now = self._loop.time()
        left, given = 0, 0
        for ends, upto in self._bytes:
            if ends <= now:
                left = upto
            elif self._rate and ends - (upto - given) / self._rate < now:
                left = upto - round((ends - now) * self._rate)
            given = upto
        return given, left


class _Leg:
    """The client's end of the wire."""

    round_trip = 0.0

    def __init__(self, call):
        self._call = call
        self.message_limit = call.message_limit

    def send(self, text):
        self._call._transmit(text)

    @property
    def progress(self):
        return self._call._up.progress


class _Ear:
    """What the user hears, by arithmetic."""

    rate = 24000
    held = HELD
    latency = 0.0

    def __init__(self, call, hears):
        self._call = call
        self._hears = hears
        self.listen = call._blocks
        self.flush = call._flush

    def resume(self):
        pass

    @property
    def sound(self):
        return self._call._sound() if self._hears else None


class _Roads:
    """What a call needs of its roads here."""

    muted = is_lost = False

    def __init__(self, conversation):
        self.conversation = conversation


class VirtualCall(Call):
    """`async with VirtualCall(...) as call`, inside `virtual_loop.run`.

    `way` is the seconds between the ends, `uplink` its bytes a second. `turns` make a script;
    session fields are as on the wire. `speak(seconds)` speaks into the microphone, which is open
    unless a test closes it. `hears`: the client knows what is heard. `change` gets each event of
    the server, as a dict, on its way to the client; None in its place loses it.
    """

    socket = False
    """Whether audio goes in events, as over a WebSocket, and is played here."""

    @property
    def held(self):
        """Seconds from when the server tells of a sound until it is heard; here we tell of it."""
        return 0.0 if self.socket else HELD

    def __init__(
        self,
        *turns,
        way=0.02,
        history=(),
        limit=65536,
        uplink=None,
        hears=False,
        change=None,
        **options,
    ):
        self._change = change or (lambda event: event)
        self._spans = []  # of sound at the loudspeaker: [begin, end]
        self._outputs = 0
        self._loop = asyncio.get_running_loop()
        self._way = way
        self._up = _Wire(self._loop, way, self._obey, uplink)
        self.message_limit = limit
        conversation = CallConversation(_Ear(self, hears), model="virtual", clock=self._loop.time)
        self._queue = SpeechQueue() if self.socket else None
        self.heard = []  # samples that the ear got, with their times, where they came in events
        conversation.attach(_Leg(self), self._queue)
        super().__init__(_Roads(conversation), None, Timings())
        self._publish = conversation.dispatcher.publish
        conversation.dispatcher.publish = self._tell
        self._seeds = self._requests.history_items(history)
        self._options = options
        self._persona = (lambda voice: Scripted(list(turns), voice)) if turns else None
        self._speech = np.zeros(0, np.int16)
        self._due = None
        self._ended = None
        self.flushes = []
        self.collected = []

    async def __aenter__(self):
        session = self._options.pop("session", {})
        self.server = _Server(
            session,
            persona=self._persona,
            voice=FakeVoice(),
            opened=False,
            on_socket=self.socket,
            **self._options,
        )
        self._behind = self._loop.time() - self.server.now
        self.server.deliver = _Wire(self._loop, self._way, self._receive).send
        self.server.open()
        self._clock = asyncio.create_task(self._live())
        self._pulling = asyncio.create_task(self._pull())
        self._collecting = asyncio.create_task(self._collect(self.turns()))
        await asyncio.sleep(2 * self._way)
        await self._conversation.ready()
        await self._conversation.requests.add_history(self._seeds)
        return self

    async def __aexit__(self, *exc_info):
        self.end(CallEnded("over", normal=True))
        self._clock.cancel()
        self._pulling.cancel()
        if self._due is not None:
            self._due.cancel()
        await asyncio.wait({self._clock, self._collecting, self._pulling})
        await self._conversation.aclose()

    def end(self, reason):
        """End the call."""
        if self._ended is None:
            self._ended = reason
            self._conversation.end(reason)

    # -- what a test does -----------------------------------------------------------------------

    def speak(self, seconds=1.0):
        """Begin to speak for so long."""
        self._speech = np.concatenate([self._speech, speech(seconds)])

    async def until(self, kind, **where):
        """Wait for an event of the server."""
        return await self.wait_for(kind, timeout=60)

    async def idle(self):
        """Wait until everything has been said and every turn is final."""
        turns = self._conversation.state.turns
        while not self._conversation.is_idle or turns.next_deadline() is not None:  # noqa: ASYNC110
            await asyncio.sleep(0.05)  # time costs nothing here
        await asyncio.sleep(0)  # for who collects them

    async def settle(self, seconds=1.0):
        await asyncio.sleep(seconds)
        await self.idle()

    @property
    def said(self):
        return [(turn.role, turn.text) for turn in self.collected]

    def sent(self, kind):
        """What the client sent of a kind."""
        return [event for event in self._sent if event["type"] == kind]

    @property
    def errors(self):
        """Errors that the server sent, and those of them that the user was told of."""
        return self.server.of("error"), self._told

    # -- the wires ------------------------------------------------------------------------------

    async def _live(self):
        """The microphone, 20 ms at a time, and with it the server's clock."""
        while True:
            await asyncio.sleep(CHUNK / 24000)
            piece, self._speech = self._speech[:CHUNK], self._speech[CHUNK:]
            if not self.microphone or len(piece) < CHUNK:
                piece = silence(CHUNK / 24000)
            self._loop.call_later(self._way, self._hear, piece)

    async def _pull(self):
        """The sink, where speech comes in events."""
        while self._queue is not None:
            await asyncio.sleep(0.01)
            now = self._loop.time()
            self.heard.append((now, self._queue.get_audio(now)))

    def _hear(self, piece):
        if self._ended is None and self.socket:
            audio = base64.b64encode(piece.astype("<i2").tobytes()).decode()
            self._obey(json.dumps({"type": "input_audio_buffer.append", "audio": audio}))
        elif self._ended is None:
            self._advance()
            self.server.session.receive_audio(piece, self.server.now)
            self.server._drain()

    def _advance(self):
        self.server._advance_to(self._loop.time() - self._behind)

    _sent = ()
    _told = ()

    def _transmit(self, text):
        if self._ended is not None:
            raise self._ended.again()
        assert len(text) <= self.message_limit
        self._sent = (*self._sent, json.loads(text))
        self._up.send(text)

    def _obey(self, text):
        if self._ended is None:
            self._advance()
            self.server.send_text(text)

    def _receive(self, text):
        if self._ended is not None:
            return
        changed = self._change(json.loads(text))
        if changed is None:
            return
        self._conversation.receive(json.dumps(changed))

    def _tell(self, event):
        if event.type == "error":
            self._told = (*self._told, event)
        self._publish(event)

    def _flush(self):
        self.flushes.append(self._loop.time())
        if self._queue is not None:
            self._queue.cut()
        self._cut(self._loop.time())

    def _sound(self):
        """What the loudspeaker has given so far."""
        for when, output in self.server.audio[self._outputs :]:
            at = when + self._behind + self._way + HELD
            if isinstance(output, PlayAudio):
                begin = max(at, self._spans[-1][1] if self._spans else 0.0)
                self._spans.append([begin, begin + len(output.samples) / 24000])
            else:
                self._cut(at)
        self._outputs = len(self.server.audio)
        now = self._loop.time()
        past = [span for span in self._spans if span[0] <= now]
        if not past:
            return Sound(0.0, 0.0)
        began = past[-1][0]
        for begin, end in reversed(past[:-1]):
            if began - end > 1.0:
                break
            began = begin
        return Sound(began, min(now, past[-1][1]))

    def _cut(self, at):
        self._spans = [[begin, min(end, at)] for begin, end in self._spans if begin < at]

    @property
    def microphone(self):
        """Whether it is open."""
        return not self.muted

    @microphone.setter
    def microphone(self, on):
        self._open_microphone(on)

    async def _blocks(self):
        while True:
            await asyncio.sleep(0.01)
            yield Block(np.ones(240, np.int16), 0, 0.0)

    async def _collect(self, turns):
        with suppress(CallEnded):
            async for turn in turns:
                self.collected.append(turn)

    @property
    def played(self):
        """Seconds of speech that the server has handed out."""
        samples = sum(
            len(out.samples) for _, out in self.server.audio if isinstance(out, PlayAudio)
        )
        return samples / 24000
