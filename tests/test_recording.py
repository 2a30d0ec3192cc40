"""Recordings: what is on disk during a call, after it, and when the disk or the process fails."""

from __future__ import annotations

import json
import logging
import wave

import numpy as np
import pytest
from check_events import OrderLint, check_event
from live import BentEmulator, Ear, calling, eventually, find, loop_lag

import rtcvoice
from rtcvoice.emulator import Turn
from rtcvoice.emulator.joined import joined_audio
from rtcvoice.emulator.recording import Recorder, Room
from rtcvoice.emulator.voice import PromptVoice, prompt_path
from rtcvoice.errors import ConfigError

pytestmark = pytest.mark.usefixtures("no_stray_errors")

BLOCK = 480


def read_audio(folder):
    """Return both sides, as a reader that knows nothing of the recorder does."""
    with wave.open(str(folder / "audio.wav")) as file:
        assert (file.getnchannels(), file.getframerate()) == (2, 24_000)
        frames = np.frombuffer(file.readframes(file.getnframes()), np.int16).reshape(-1, 2)
    return frames[:, 0], frames[:, 1]


def read_events(folder):
    return [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]


def tone(value):
    return np.full(BLOCK, value, np.int16)


def test_both_sides_stand_beside_each_other_on_the_time_of_the_events(tmp_path):
    now = 0.5
    recorder = Recorder(tmp_path / "call", lambda: now)
    recorder.event("in", {"type": "response.create"})
    recorder.event("out", {"type": "error"})
    recorder.event("in", {"type": "", "text": "not JSON"})
    for n in range(60):
        recorder.said(tone(100 + n))
        recorder.heard(tone(n))
    # Nobody closes it: the process was killed here.
    assert read_events(tmp_path / "call") == [
        {"time": 0.5, "dir": "out", "event": {"type": "response.create"}},
        {"time": 0.5, "dir": "in", "event": {"type": "error"}},
        {"time": 0.5, "dir": "out", "text": "not JSON"},
    ]
    left, right = read_audio(tmp_path / "call")
    assert len(left) >= 12_000 + 49 * BLOCK
    assert not left[:12_000].any()
    assert left[12_000 + 5 * BLOCK] == 5
    assert right[12_000 + 5 * BLOCK] == 105
    recorder._events.close()
    recorder._wave.close()
    recorder._place.close()


async def test_a_voice_that_is_not_heard_does_not_pile_up(tmp_path):
    recorder = Recorder(tmp_path / "call", lambda: 0.0)
    for n in range(1000):
        recorder.said(tone(n))
    assert recorder._waiting <= 12_000
    for _ in range(30):
        recorder.heard(tone(0))
    await recorder.aclose()
    await recorder.aclose()
    _, right = read_audio(tmp_path / "call")
    assert right[0] == 1000 - 25  # the newest half second, from its beginning
    assert not right[25 * BLOCK :].any()


async def test_a_disk_that_fails_ends_the_recording_and_nothing_else(tmp_path, caplog):
    (tmp_path / "calls").write_text("a file where a folder should be")
    recorder = Recorder(tmp_path / "calls" / "call", lambda: 0.0)
    recorder.event("in", {"type": "response.create"})
    recorder.heard(tone(1))
    await recorder.aclose()
    errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(errors) == 1
    assert "recorded no further" in errors[0].getMessage()


async def test_a_call_that_never_was_leaves_nothing(tmp_path):
    await Recorder(tmp_path / "call", lambda: 0.0).aclose()
    assert not (tmp_path / "call").exists()


async def test_a_folder_that_cannot_be_is_refused_at_the_start(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="recordings cannot be kept"):
        async with BentEmulator(record=tmp_path / "file"):
            pass


async def test_a_call_is_recorded_and_passes_the_checker(tmp_path):
    script, ear = [Turn(says=("reply-1",))], Ear()
    async with BentEmulator(record=tmp_path, script=script) as server, loop_lag() as lag:
        source = rtcvoice.FileSource(prompt_path("stop"))
        async with calling(server, sink=ear, source=source) as call:
            await call.wait_for("output_audio_buffer.started", timeout=30)
            await source.wait_finished()
            before = len(ear.heard)
            await eventually(lambda: len(ear.heard) > before + 14_400)
        await eventually(lambda: server.last().ended)
    folder = tmp_path / call.id
    left, right = read_audio(folder)
    voice = PromptVoice()
    asked = voice.clip("stop").samples
    where_asked, asked_likeness = find(asked[4800:-4800], left)
    where_said, said_likeness = find(voice.clip("reply-1").samples[:4800], right)
    events = read_events(folder)
    lint = OrderLint()
    for line in events:
        which = "server" if line["dir"] == "in" else "client"
        assert not check_event(line["event"], which, extra="error")
        if which == "server":
            assert not lint.feed(line["event"])
    stopped = next(
        line["time"]
        for line in events
        if line["event"]["type"] == "input_audio_buffer.speech_stopped"
    )
    if lag.in_time:
        assert min(asked_likeness, said_likeness) > 0.7
        end = (where_asked + len(asked) - 4800) / 24_000
        assert end < stopped < end + 1.5
        assert where_said / 24_000 > stopped


def test_all_recordings_together_are_bounded_and_what_fitted_stays_readable(tmp_path, caplog):
    room = Room(300_000)
    first, second = (Recorder(tmp_path / name, lambda: 0.0, room) for name in ("1", "2"))
    for n in range(200):
        first.said(tone(1))
        first.heard(tone(n))
    first.event("in", {"type": "response.create"})
    assert (
        len(read_audio(tmp_path / "1")[0]) == 149 * BLOCK
    )  # whole seconds, less what the first write lacks
    second.event("in", {"type": "response.create"})
    second.heard(tone(1))
    assert (tmp_path / "2" / "events.jsonl").read_bytes() == b""
    assert "record_limit" in caplog.text
    for wrong in (-1, 1.5, "1 GB"):
        with pytest.raises(ConfigError, match="record_limit"):
            Room(wrong)


async def test_calls_of_one_client_are_recorded_apart_and_can_be_joined(tmp_path):
    """A call that goes on over a second connection: at some moments both are there."""
    for name, began_at, value in (("rtc_a", 1000.0, 100), ("rtc_b", 1000.2, 30)):
        recorder = Recorder(tmp_path / name, lambda: 0.1, began_at=began_at)
        for _ in range(10):
            recorder.said(tone(value + 1))
            recorder.heard(tone(value))
        await recorder.aclose()
    joined = joined_audio([tmp_path / "rtc_b", tmp_path / "rtc_a"])
    assert joined.shape == (round(0.5 * 24_000), 2)
    assert [tuple(joined[round(at * 24_000)]) for at in (0.05, 0.2, 0.29, 0.31, 0.49)] == [
        *((0, 0), (100, 101), (100, 101), (30, 31), (30, 31))
    ]
    overlapping = joined_audio([tmp_path / "rtc_a", tmp_path / "rtc_a"])
    assert tuple(overlapping[3000]) == (200, 202)
    assert json.loads((tmp_path / "rtc_a" / "call.json").read_text())["began_at"] == 1000.0
    assert len(joined_audio([])) == 0
    with pytest.raises(ConfigError, match="no recording"):
        joined_audio([tmp_path])
