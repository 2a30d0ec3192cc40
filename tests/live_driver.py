"""Drives the core of a Live session in virtual time and checks every event it sends."""

from __future__ import annotations

import base64
import json
from random import Random

import numpy as np
from emulator_driver import FakeVoice, silence, speech
from live_checks import LiveLint

from rtcvoice.emulator.live.options import LiveOptions
from rtcvoice.emulator.live.outbox import SendAside
from rtcvoice.emulator.live.session import LiveSession
from rtcvoice.emulator.live.settings import validate
from rtcvoice.emulator.session.outputs import RATE_HZ, Close, PlayAudio, SendEvent, StopAudio
from rtcvoice.emulator.session.script import Scripted
from rtcvoice.emulator.session.shared import Pace

CHUNK = RATE_HZ // 50
SESSION_ID = "live_u1_" + "0" * 32
QUICK = Pace(response_latency=0.1, delta_interval=0.0, transcription_latency=0.0)
WEATHER = {
    "type": "function",
    "name": "get_weather",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}
BACKEND = {
    "type": "responses",
    "responses": {"model": "gpt-6-luna", "tools": [WEATHER], "tool_choice": "auto"},
}


class LiveDriver:
    """One session with its data channel open, fed with 20 ms of audio at a time."""

    def __init__(
        self,
        session=None,
        *,
        script=(),
        voice=None,
        opened=True,
        settings=None,
        history=(),
        faults=None,
        duration=7200.0,
        instant=False,
        pace=QUICK,
        **options,
    ):
        self.now = 100.0
        self.voice = voice or FakeVoice()
        self.log = []  # (time, event) for the channel
        self.aside = []  # (time, event) for sidebands alone
        self.audio = []  # (time, PlayAudio | StopAudio)
        self.closed_for = None
        self._lint = LiveLint()
        given = settings or validate({"model": "gpt-live-1.1", **(session or {})})
        self.session = LiveSession(
            given,
            session_id=SESSION_ID,
            now=self.now,
            voice=self.voice,
            persona=Scripted(script, self.voice) if script else None,
            random=Random(7),
            unix_time=1_800_000_000.0,
            options=LiveOptions(**options),
            history=history,
            faults=faults,
            duration=duration,
            instant=instant,
            pace=pace,
        )
        if opened:
            self.open()

    # ---- driving

    def open(self, **options):
        """Open the channel."""
        self.session.open(self.now, **options)
        self._drain()

    @property
    def clock(self):
        """The model's clock, ms."""
        return self.session._hub.clock_ms

    def _drain(self):
        for output in self.session.drain():
            match output:
                case SendEvent(event):
                    self._lint.feed(json.loads(json.dumps(event)), self.clock)
                    self.log.append((self.now, event))
                case SendAside(event, kept):
                    if kept:
                        self._lint.feed(event, self.clock)
                    self.aside.append((self.now, event))
                case PlayAudio() | StopAudio():
                    self.audio.append((self.now, output))
                case Close(reason):
                    self.closed_for = reason

    def send(self, kind, *, trusted=False, **fields):
        """Send a client event; return the events that brings at once."""
        return self.send_text(json.dumps({"type": kind, **fields}), trusted=trusted)

    def send_text(self, text, *, trusted=False):
        before = len(self.log)
        self.session.receive_text(text, self.now, trusted=trusted)
        self._drain()
        return self.events(before)

    def run(self, seconds):
        """Let time pass without audio."""
        before, end = len(self.log), self.now + seconds
        while self.now < end - 1e-9:
            self.now = min(end, self.now + 0.02)
            self.session.advance(self.now)
            self._drain()
        return self.events(before)

    def hear(self, samples):
        """Feed audio in real time; return the events that come meanwhile."""
        before = len(self.log)
        for start in range(0, len(samples), CHUNK):
            self.now += 0.02
            self.session.receive_audio(samples[start : start + CHUNK], self.now)
            self.session.advance(self.now)
            self._drain()
        return self.events(before)

    def quiet(self, seconds):
        """Feed silence."""
        return self.hear(silence(seconds))

    def say(self, seconds=1.0, after=2.0):
        """Feed speech and the silence after it."""
        return self.hear(np.concatenate([speech(seconds), silence(after)]))

    # ---- looking

    def events(self, since=0, kind=""):
        found = [event for _, event in self.log[since:]]
        return [event for event in found if not kind or event["type"] == kind]

    def kinds(self, since=0):
        return [event["type"] for event in self.events(since)]

    def text(self, side="output"):
        """Everything that one side said."""
        kind = f"session.{side}_transcript.delta"
        return "".join(event["delta"] for event in self.events(kind=kind))

    def inner(self):
        """The backend's own events."""
        return [event["event"] for event in self.events(kind="response.event")]

    @property
    def spoken(self):
        """How many seconds of sound were handed on."""
        played = [each for _, each in self.audio if isinstance(each, PlayAudio)]
        return sum(len(each.samples) for each in played) / RATE_HZ


def append(kind, text, delegation_id=None, **fields):
    """The fields of an append."""
    return {"kind": f"session.{kind}.append", "content": text, "delegation_id": delegation_id} | (
        fields
    )


def pcm(samples):
    """Samples as they are put into an event."""
    return base64.b64encode(samples.astype("<i2").tobytes()).decode()
