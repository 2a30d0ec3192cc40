"""Recorded calls are read again, whoever made them."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
from test_recorder import RATE, audio, leg_up, over, received, started

from rtcvoice import Recording
from rtcvoice.call import facts
from rtcvoice.errors import ConfigError
from rtcvoice.recording import reading, recorder
from rtcvoice.recording.reading import RecordedCall
from rtcvoice.recording.recorder import Recorder


@pytest.fixture
def folder(tmp_path):
    """Return the folder of a recorded call of 5 s."""
    made = Recorder(Recording(tmp_path))
    made.take([started(), leg_up(), received('{"type":"a"}'), received("oops")], 0)
    made.take([audio(facts.AudioSent, 101 + n / 50, 5, n) for n in range(200)], 0)
    made.take([over()], 0)
    return next(tmp_path.iterdir())


def test_what_was_recorded_is_read(folder):
    call = RecordedCall(folder)
    assert call.call["call_id"] == "rtc_1"
    assert not call.is_emulators
    local, typed, odd = call.events()
    assert (local.direction, local.event["type"]) == ("local", "rtcvoice.leg_up")
    assert (typed.time, typed.direction, typed.event) == (1.0, "in", {"type": "a"})
    assert (odd.event, odd.text, odd.leg) == ({}, "oops", "")
    assert list(call.stats()) == list(call.turns()) == []
    with call.audio() as sound:
        assert (sound.rate, sound.seconds) == (RATE, 5.0)
        assert sound.read(0.99, 1.01)[:, 0].tolist() == [0] * 240 + [5] * 240
        assert len(sound.read(4.9, 99)) == RATE // 10
        assert sum(len(block) for block in sound.blocks()) == 5 * RATE
    assert call.bad_lines == 0


def test_audio_is_read_across_its_parts(tmp_path, monkeypatch):
    monkeypatch.setattr(recorder, "PART", 1)
    made = Recorder(Recording(tmp_path))
    made.take([started(), leg_up()], 0)
    made.take([audio(facts.AudioSent, 100 + n / 50, n, n) for n in range(125)], 0)
    made.take([over()], 0)
    with RecordedCall(next(tmp_path.iterdir())).audio() as sound:
        assert sound.seconds == 2.5
        assert np.unique(sound.read(0.96, 2.04)[:, 0]).tolist() == list(range(48, 102))


HOSTILE = [
    "",
    "[]",
    "nonsense",
    '{"time": "now", "dir": "in", "event": {}}',
    '{"time": NaN, "dir": "in", "event": {}}',
    '{"time": 1e300, "dir": "in", "event": {}}',
    '{"time": -1, "dir": "in", "event": {}}',
    '{"time": true, "dir": "in", "event": {}}',
    '{"time": 1, "dir": "up", "event": {}}',
    '{"time": 1, "dir": "in", "event": []}',
    '{"time": ' + "9" * 5000 + "}",
    "[" * 100_000,
    '{"time": 1, "dir": "in", "event": {"a": ' + "[" * 50_000,
    "\0\0\0",
    '{"time": 2.5, "dir": "in", "ev',
]


def test_lines_that_are_none_are_left_out(folder):
    (folder / "events.jsonl").write_text("\n".join(HOSTILE))
    call = RecordedCall(folder)
    assert list(call.events()) == []
    assert call.bad_lines == len(HOSTILE)


def test_too_much_is_refused(folder, monkeypatch):
    monkeypatch.setattr(reading, "MOST_LINE", 1000)
    (folder / "turns.jsonl").write_text("x" * 2000)
    with pytest.raises(ConfigError, match="longer than"):
        list(RecordedCall(folder).turns())
    monkeypatch.setattr(reading, "MOST_LINES", 10)
    (folder / "stats.jsonl").write_text('{"time": 1}\n' * 11)
    with pytest.raises(ConfigError, match="more than 10 lines"):
        list(RecordedCall(folder).stats())
    monkeypatch.setattr(reading, "MOST_CALL", 100)
    with pytest.raises(ConfigError, match="larger than"):
        RecordedCall(folder)


@pytest.mark.parametrize("name", ["call.json", "events.jsonl", "audio.wav"])
@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_only_files_are_read(folder, name, kind):
    (folder / name).rename(folder / "moved")
    if kind == "link":
        (folder / name).symlink_to(folder / "moved")
    elif kind == "pipe":
        os.mkfifo(folder / name)
    else:
        (folder / name).mkdir()
    with pytest.raises(ConfigError, match="cannot be read"):
        read_all(folder)


def read_all(folder):
    call = RecordedCall(folder)
    list(call.events())
    call.audio()


@pytest.mark.parametrize(
    "data", [b"", b"RIFF", b"x" * 100, b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0" + b"\xff" * 40]
)
def test_audio_that_is_none_is_refused(folder, data):
    (folder / "audio.wav").write_bytes(data)
    with pytest.raises(ConfigError, match="cannot be read"):
        RecordedCall(folder).audio()


def test_a_header_that_lies_is_refused(folder):
    data = (folder / "audio.wav").read_bytes()
    (folder / "audio.wav").write_bytes(data[:1000])
    with pytest.raises(ConfigError, match="shorter than its header says"):
        RecordedCall(folder).audio()


def test_what_is_no_recording_is_refused(tmp_path, folder):
    for place in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(ConfigError, match="no recorded call"):
            RecordedCall(place)
    (folder / "call.json").write_text(json.dumps({"format": 99}))
    with pytest.raises(ConfigError, match="newer version"):
        RecordedCall(folder)
