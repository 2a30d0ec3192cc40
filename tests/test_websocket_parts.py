"""Parts of a call over a WebSocket: what waits for a slow network, the track, what was heard."""

from __future__ import annotations

import asyncio
import base64
import json
from itertools import count

import numpy as np
import pytest
import virtual_loop
from websockets.client import ClientProtocol
from websockets.uri import parse_uri

from rtcvoice import TransportError, events
from rtcvoice.capture.event_track import EventTrack
from rtcvoice.conversation.state.delivery import LONGEST_WAIT, Delivery
from rtcvoice.playout.speech_queue import SpeechQueue
from rtcvoice.sound.event_audio import EventAudioReader, EventAudioWriter
from rtcvoice.sound.samples import Block
from rtcvoice.stats import UplinkStats
from rtcvoice.wire import outbox
from rtcvoice.wire.websocket import WebSocketTransport, _Connection

pytestmark = pytest.mark.usefixtures("no_stray_errors")


# -- what waits for a slow network ------------------------------


class SlowSocket:
    """Takes a message when it may."""

    def __init__(self):
        self.taken = []
        self.flows = asyncio.Event()

    async def send(self, text):
        await self.flows.wait()
        self.taken.append(text)


def transport():
    made = WebSocketTransport(
        "ws://127.0.0.1/",
        headers={},
        tls=None,
        on_text=lambda text: None,
        on_lost=lambda error: None,
    )
    made._socket = SlowSocket()
    return made


async def test_of_audio_the_oldest_is_dropped_and_commands_keep_their_place():
    made = transport()
    writing = asyncio.create_task(made._write(made._socket))
    made.send_text("first")
    for number in range(outbox.MOST_AUDIO + 30):
        made.send_audio(f"audio {number}")
    made.send_text("commit")
    made.send_audio("audio last")
    await asyncio.sleep(0)
    assert made.stats.packets_discarded_on_send == 31
    assert made.progress == (11, 0)
    made._socket.flows.set()
    while made._outbox:  # noqa: ASYNC110
        await asyncio.sleep(0)
    writing.cancel()
    kept = [f"audio {number}" for number in range(31, outbox.MOST_AUDIO + 30)]
    assert made._socket.taken == ["first", *kept, "commit", "audio last"]
    assert made.progress == (11, 11)


async def test_commands_that_are_too_large_or_too_many_are_refused(monkeypatch):
    made = transport()
    with pytest.raises(TransportError, match="larger than"):
        made.send_text("x" * (outbox.LARGEST_SENT + 1))
    monkeypatch.setattr(outbox, "SEND_BUFFER_LIMIT", 10)
    made.send_text("x" * 10)
    with pytest.raises(TransportError, match="already wait"):
        made.send_text("x")
    made._socket = None
    with pytest.raises(TransportError, match="not open"):
        made.send_text("x")


# -- the track --------------------------------------------------


class Sender:
    round_trip = 0.05

    def __init__(self):
        self.sent = []

    def send_audio(self, text):
        self.sent.append((asyncio.get_running_loop().time(), json.loads(text)["audio"]))

    def heard(self, kind="audio/pcm"):
        reader = EventAudioReader(kind)
        return np.concatenate([reader.read(audio) for _, audio in self.sent])


class Tone:
    """A source that gives its blocks as fast as they are read; it fails after `fails_at`."""

    def __init__(self, rate, *, fails_at=None, paced=True):
        self.rate, self._paced, self._fails_at = rate, paced, fails_at
        self._next = 0

    async def read(self):
        if self._paced:
            await asyncio.sleep(0.02)
        if self._next == self._fails_at:
            raise OSError("unplugged")
        index = self._next * self.rate // 50
        self._next += 1
        t = (index + np.arange(self.rate // 50)) / self.rate
        return Block((8000 * np.sin(2 * np.pi * 440 * t)).astype(np.int16), index, 0.0)


@pytest.mark.parametrize("kind", ["audio/pcm", "audio/pcmu", "audio/pcma"])
@pytest.mark.parametrize("rate", [16000, 24000, 48000])
def test_a_source_of_any_rate_in_any_format(rate, kind):
    async def scene():
        track, sender = EventTrack(), Sender()
        track.send_by(sender)
        track.encoding = lambda: kind
        track.start(Tone(rate))
        await asyncio.sleep(1.01)
        track.stop()
        return track, sender

    track, sender = virtual_loop.run(scene())
    sound = sender.heard(kind)[1000:].astype(float)
    assert len(sound) == pytest.approx(23000, abs=300)
    peak = np.argmax(np.abs(np.fft.rfft(sound * np.hanning(len(sound)))))
    assert peak * 24000 / len(sound) == pytest.approx(440, abs=2)
    assert sound.std() * 2**0.5 == pytest.approx(8000, rel=0.03)
    assert track.stats.packets_sent == 50
    assert track.stats.audio_level == pytest.approx(8000 / 32768, rel=0.01)
    assert track.stats.round_trip_time == 0.05
    assert track.stats.bitrate == (384000 if kind == "audio/pcm" else 64000)


def test_what_is_muted_is_silence_of_the_same_length_and_what_failed_too():
    async def scene():
        track, sender = EventTrack(), Sender()
        track.send_by(sender)
        track.start(Tone(24000, fails_at=50))
        await asyncio.sleep(0.31)
        track.muted = True
        await asyncio.sleep(0.3)
        track.muted = False
        await asyncio.sleep(1.0)
        track.stop()
        return track, sender.heard()

    track, heard = virtual_loop.run(scene())
    assert heard[:7200].any()
    assert not heard[7200 : 7200 + 7200].any()
    assert heard[14400:24000].any()
    assert not heard[24000:].any()
    assert len(heard) == pytest.approx(1.61 * 24000, abs=960)
    assert isinstance(track.error, OSError)


def test_a_source_that_does_not_wait_is_held_back():
    async def scene():
        track, sender = EventTrack(), Sender()
        track.send_by(sender)
        track.start(Tone(24000, paced=False))
        await asyncio.sleep(2)
        track.stop()
        return track.stats

    stats: UplinkStats = virtual_loop.run(scene())
    assert 100 <= stats.packets_sent <= 120


# -- the formats ------------------------------------------------


@pytest.mark.parametrize("piece", [1, 3, 17, 4000])
def test_samples_may_be_parted_between_two_events(piece):
    data = np.arange(4000, dtype="<i2").tobytes()
    reader = EventAudioReader()
    parts = [
        reader.read(base64.b64encode(data[at : at + piece]).decode())
        for at in range(0, len(data), piece)
    ]
    assert np.array_equal(np.concatenate(parts), np.arange(4000))


def test_what_is_no_base64_is_no_sound():
    assert len(EventAudioReader().read("*")) == 0
    assert len(EventAudioReader("audio/pcmu").read("AAA")) == 0


def test_g711_keeps_the_voice():
    said = (8000 * np.sin(np.arange(12000) / 24000 * 2 * np.pi * 300)).astype(np.int16)
    for kind in ("audio/pcmu", "audio/pcma"):
        text = EventAudioWriter(kind, 24000).write(said)
        got = EventAudioReader(kind).read(text)
        assert len(got) == pytest.approx(len(said), abs=120)
        assert got.std() == pytest.approx(said.std(), rel=0.05)


# -- what was heard ---------------------------------------------


class Story:
    """A delivery that is told of events, with a queue that is played by hand."""

    def __init__(self, **options):
        ids = count()
        self.delivery = Delivery(lambda: f"id_{next(ids)}", **options)
        self.queue = SpeechQueue()

    def created(self, response):
        made = events.RealtimeResponse(id=response, status="in_progress")
        self.delivery.feed(events.ResponseCreated(response=made))

    def done(self, response):
        made = events.RealtimeResponse(id=response, status="completed")
        self.delivery.feed(events.ResponseDone(response=made))

    def say(self, response, item, ms, *, last=False):
        where = {"response_id": response, "item_id": item, "output_index": 0, "content_index": 0}
        delta = events.ResponseOutputAudioDelta(delta="", **where)
        if self.delivery.wants(delta):
            begin = self.queue.put_index
            self.queue.put(np.ones(ms * 24, np.int16))
            self.delivery.add(delta, begin, self.queue.put_index)
        if last:
            self.delivery.feed(events.ResponseOutputAudioDone(**where))
            self.queue.ended()

    def play(self, ms, now=0.0):
        for _ in range(ms // 10):
            self.queue.get_audio(now)
        due = self.delivery.due(self.queue.played_index, now)
        return [(event.type.rpartition(".")[2], event.response_id) for event in due]

    def cut(self):
        cut = self.delivery.cut(self.queue.played_index)
        self.queue.cut()
        told = {each.item_id: each.audio_end_ms for each in cut.truncations}
        return told, [each.response_id for each in cut.cleared]


def test_items_of_one_response_are_truncated_each_by_what_was_heard_of_it():
    story = Story()
    story.created("r1")
    story.say("r1", "a", 100)
    story.say("r1", "a", 300, last=True)
    story.say("r1", "b", 500, last=True)
    story.say("r1", "c", 500)
    assert story.play(600) == [("started", "r1")]
    assert story.cut() == ({"b": 200, "c": 0}, ["r1"])
    story.say("r1", "c", 500)  # late: not heard any more
    assert story.play(100) == []
    story.created("r2")
    story.say("r2", "d", 100, last=True)
    story.done("r2")
    assert story.play(10) == [("started", "r2")]
    assert story.play(200) == [("stopped", "r2")]
    assert story.cut() == ({}, [])


def test_an_item_that_is_being_made_is_cut_at_what_came_if_all_of_that_was_heard():
    story = Story()
    story.created("r1")
    story.say("r1", "a", 200)
    story.play(300)
    assert story.cut() == ({"a": 200}, ["r1"])


def test_what_was_heard_to_its_end_is_not_truncated():
    story = Story()
    story.created("r1")
    story.say("r1", "a", 200, last=True)
    story.play(300)
    assert story.cut() == ({}, ["r1"])


def test_one_response_after_the_other_and_both_are_dropped_by_a_cut():
    story = Story()
    for response in ("r1", "r2"):
        story.created(response)
        story.say(response, response, 100, last=True)
        story.done(response)
    assert story.play(100) == [("started", "r1"), ("stopped", "r1"), ("started", "r2")]
    assert story.cut() == ({"r2": 0}, ["r2"])


def test_a_response_without_sound_yet_is_dropped_too_unless_it_is_beside_the_conversation():
    story = Story(is_outside=lambda response: response == "beside")
    story.created("r1")
    story.created("beside")
    assert story.cut() == ({}, [])
    story.say("r1", "a", 100)
    story.say("beside", "b", 100)
    assert story.play(10) == [("started", "beside")]


def test_a_response_whose_end_is_not_told_stops_a_while_after_its_last_sound():
    story = Story()
    story.created("r1")
    story.say("r1", "a", 100, last=True)
    assert story.play(200, now=1.0) == [("started", "r1")]
    assert story.delivery.next_deadline(1.0, story.queue.played_index) == 1.0 + LONGEST_WAIT
    assert story.play(10, now=1.0 + LONGEST_WAIT) == [("stopped", "r1")]


async def test_a_connection_that_is_lost_before_it_has_begun():
    """As uvloop tells it, where TLS through a proxy fails; the package is not made for that."""
    connection = _Connection(ClientProtocol(parse_uri("wss://api.example/v1")))
    connection.connection_lost(ConnectionResetError())
