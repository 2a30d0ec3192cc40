"""Drives the emulator's session core in virtual time and checks every event it sends."""

import json
from functools import lru_cache
from random import Random

import numpy as np
from check_events import OrderLint, check_event

from rtcvoice.emulator.session.clips import Clip
from rtcvoice.emulator.session.outputs import (
    RATE_HZ,
    Close,
    PlayAudio,
    SendEvent,
    SendText,
    StopAudio,
)
from rtcvoice.emulator.session.session import Session
from rtcvoice.emulator.session.settings import validate

CALL_ID = "rtc_u2_TestCall0123456789ab"
CHUNK = RATE_HZ // 50
TALK = " ".join(f"word{n}" for n in range(60))


class FakeVoice:
    """A hum for every prompt: the core does not care what it sounds like."""

    def __init__(self):
        self.texts = {
            "greeting": "Hello there.",
            "reply-1": "This is the first short answer.",
            "reply-2": "And this is the second one.",
            "talk": TALK,
            "still-there": "Are you still there?",
        }

    def names(self):
        return list(self.texts)

    def clip(self, name):
        return _clip(name, self.texts[name])

    def user_clips(self):
        return []

    def answer_to(self, text):
        return None

    def say(self, text):
        names = {text: name for name, text in self.texts.items()}
        return _clip(names.get(text, ""), text)


def babble(text):
    """A hum with the beat of syllables, 14 characters a second, at about -20 dBFS."""
    time = np.arange(max(1, len(text)) * RATE_HZ // 14) / RATE_HZ
    beat = np.sin(np.pi * 4 * time) ** 2
    hum = sum(np.sin(2 * np.pi * 140 * k * time) / k for k in range(1, 6))
    return np.asarray(4500 * beat * hum, dtype=np.int16)


@lru_cache(64)
def _clip(name, text):
    return Clip(name, text, silence(20.0) if name == "talk" else babble(text))


def silence(seconds):
    return np.zeros(round(seconds * RATE_HZ), np.int16)


def speech(seconds):
    """Something that is speech to an energy detector: syllables, four in a second."""
    return babble("x" * round(seconds * 14))


class Driver:
    """One session with its data channel open. `now` moves only by `run`, `hear` and `talk`.

    `strict` is False where faults put things among the events that no client knows.
    """

    def __init__(
        self,
        settings=None,
        *,
        persona=None,
        voice=None,
        opened=True,
        strict=True,
        seed=7,
        **options,
    ):
        self.now = 100.0
        self.voice = voice or FakeVoice()
        self.strict = strict
        self.texts = []  # what was sent as text
        self.log = []  # (time, event)
        self.audio = []  # (time, PlayAudio | StopAudio)
        self.closed_for = None
        self._lint = OrderLint()
        self.session = Session(
            validate({"type": "realtime", **(settings or {})}),
            call_id=CALL_ID,
            now=self.now,
            voice=self.voice,
            persona=persona(self.voice) if persona else None,
            random=Random(seed),
            unix_time=1_800_000_000.0,
            **options,
        )
        if opened:
            self.open()

    # ---- driving

    def open(self, **options):
        """Open the channel; return the events that brings."""
        before = len(self.log)
        self._lint.first = not options.get("sideband", False)
        self.session.open(self.now, **options)
        self._drain()
        return self.events(before)

    def _drain(self):
        for output in self.session.drain():
            assert self.closed_for is None, "an output after Close"
            if isinstance(output, SendEvent):
                event = json.loads(json.dumps(output.event))
                if not self.strict:
                    self.log.append((self.now, event))
                    continue
                problems = check_event(event, "server", extra="error") + self._lint.feed(event)
                assert not problems, (event, list(map(str, problems)))
                self.log.append((self.now, event))
            elif isinstance(output, SendText):
                self.texts.append(output.text)
            elif isinstance(output, Close):
                self.closed_for = output.reason
            else:
                self.audio.append((self.now, output))

    def _advance_to(self, end):
        while (due := self.session.next_deadline()) is not None and due <= end:
            self.now = max(self.now, due)
            self.session.advance(self.now)
            self._drain()
        self.now = end

    def run(self, seconds):
        """Let time pass without any input; return the events of that time."""
        before = len(self.log)
        self._advance_to(self.now + seconds)
        return self.events(before)

    def hear(self, samples):
        """Send audio in real time, 20 ms a piece; return the events of that time."""
        before = len(self.log)
        for start in range(0, len(samples), CHUNK):
            piece = samples[start : start + CHUNK]
            self._advance_to(self.now + len(piece) / RATE_HZ)
            self.session.receive_audio(piece, self.now)
            self._drain()
        return self.events(before)

    def turn(self, seconds=1.0, pause=1.0):
        """Speak, then be silent for `pause`; return the events of that time."""
        return self.hear(np.concatenate([silence(0.5), speech(seconds), silence(pause)]))

    def send(self, kind, **fields):
        """Send a client event; return the events that answer at once."""
        return self.send_text(json.dumps({"type": kind, **fields}))

    def send_text(self, text):
        before = len(self.log)
        self.session.receive_text(text, self.now)
        self._drain()
        return self.events(before)

    def update(self, **session):
        return self.send("session.update", session={"type": "realtime", **session})

    def say(self, text, **fields):
        """Create a user item with text."""
        content = [{"type": "input_text", "text": text}]
        item = {"type": "message", "role": "user", "content": content, **fields}
        return self.send("conversation.item.create", item=item)

    # ---- looking

    def events(self, start=0):
        return [event for _, event in self.log[start:]]

    def of(self, kind):
        """All events of a type so far."""
        return [event for event in self.events() if event["type"] == kind]

    def time_of(self, kind):
        """When the last event of a type was sent."""
        return [when for when, event in self.log if event["type"] == kind][-1]

    def finish(self):
        """Check that nothing was left open."""
        assert not self._lint.end()

    @property
    def played(self):
        """Samples handed out so far."""
        return sum(len(out.samples) for _, out in self.audio if isinstance(out, PlayAudio))

    @property
    def stops(self):
        """When playing was stopped."""
        return [when for when, out in self.audio if isinstance(out, StopAudio)]


def types(events):
    return [event["type"] for event in events]


def without(events, *parts):
    """The types of events, less those that contain one of `parts`."""
    return [kind for kind in types(events) if not any(part in kind for part in parts)]


def in_order(wanted, events):
    """Whether `wanted` is a subsequence of the types of `events`."""
    rest = iter(types(events))
    return all(kind in rest for kind in wanted)


def error_of(events):
    """The error object of the only event, which must be an error."""
    assert types(events) == ["error"], types(events)
    return events[0]["error"]
