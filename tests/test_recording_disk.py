"""A call is recorded to a disk that is slow, full, gone or not ours any more: the call goes on."""

from __future__ import annotations

import errno
import json
import os
import shutil
import threading

import numpy as np
import pytest
from live import BentEmulator, Ear, calling, find, loop_lag
from test_recorder import audio, leg_up, lines, over, received, sound, started, the_folder

from rtcvoice import Recording
from rtcvoice.call import facts, listeners
from rtcvoice.emulator import Turn
from rtcvoice.emulator.voice import PromptVoice
from rtcvoice.errors import CallEnded
from rtcvoice.recording import format as file_layer
from rtcvoice.recording.reading import RecordedCall
from rtcvoice.recording.recorder import Recorder

pytestmark = pytest.mark.usefixtures("no_stray_errors")


class Disk:
    """The file layer of recordings: `free` lets it work, `error` is what it raises."""

    def __init__(self, monkeypatch):
        self.free, self.waits = threading.Event(), threading.Event()
        self.free.set()
        self.error = None
        self._write = file_layer._write
        monkeypatch.setattr(file_layer, "_write", self.write)

    def write(self, file, data):
        if not self.free.is_set():
            self.waits.set()
            assert self.free.wait(60)
        if self.error is not None:
            os.write(file, bytes(data[: len(data) // 2]))  # half of it was there before
            raise self.error
        self._write(file, data)


async def test_a_disk_that_blocks_is_not_heard_and_what_waited_is_written_then(
    tmp_path, monkeypatch
):
    """From before the answer until the user hangs up nothing is written at all."""
    disk, ear = Disk(monkeypatch), Ear()
    async with (
        BentEmulator(script=[Turn(says="it-is-done")]) as server,
        loop_lag() as lag,
        calling(server, sink=ear, record=tmp_path) as call,
    ):
        disk.free.clear()
        reply = await call.ask("Hello?")
        await reply.played()
        assert disk.waits.is_set()
        concealed = call.stats().playout.concealed_samples
        disk.free.set()
    assert concealed == 0 or lag.worst > 0.03
    recorded = RecordedCall(the_folder(tmp_path))
    kinds = [line.event["type"] for line in recorded.events() if line.event]
    assert recorded.bad_lines == recorded.call["dropped"] == 0
    assert "output_audio_buffer.stopped" in kinds
    assert len(list(recorded.turns())) >= 2
    with recorded.audio() as both:
        right = both.read(0.0, 60.0)[:, 1]
    said = PromptVoice().clip("it-is-done").samples
    for heard in (ear.heard, right):
        assert find(said[:4800], heard)[1] > 0.7


async def test_what_waits_too_long_for_the_disk_is_counted_and_the_rest_is_whole(
    tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr(listeners, "MOST_FACTS", 1000)
    disk, told = Disk(monkeypatch), listeners.Facts()
    recorder = Recorder(Recording(tmp_path))
    told.listen(recorder, name="recorder")
    told.tell(started())
    told.tell(leg_up())
    disk.free.clear()
    for n in range(3000):  # a minute
        told.tell_audio(audio(facts.AudioSent, 101 + n / 50, 5, n))
    told.tell(received('{"type":"lost"}'))
    disk.free.set()
    told.end(CallEnded("hung up", normal=True), None)
    await told.aclose(timeout=30)
    recorded = RecordedCall(the_folder(tmp_path))
    assert recorded.call["end"]["normal"]
    assert 2000 <= recorded.call["dropped"] <= 2003
    assert caplog.text.count("too slow") == 1
    with recorded.audio() as both:
        left = both.read(0.0, 100.0)[:, 0]
    assert np.count_nonzero(left) == (3003 - recorded.call["dropped"] - 2) * 480


ERRORS = {
    "full": OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
    "not ours": PermissionError(errno.EACCES, os.strerror(errno.EACCES)),
    "broken": OSError(errno.EIO, os.strerror(errno.EIO)),
}


@pytest.mark.parametrize("kind", ERRORS)
def test_what_was_written_before_the_disk_failed_can_be_read(tmp_path, monkeypatch, caplog, kind):
    disk = Disk(monkeypatch)
    recorder = Recorder(Recording(tmp_path))
    recorder.take([started(), leg_up(), received('{"type":"a"}')], 0)
    recorder.take([audio(facts.AudioSent, 101 + n / 50, 5, n) for n in range(100)], 0)
    disk.error = ERRORS[kind]
    recorder.take([audio(facts.AudioSent, 103 + n / 50, 6, 100 + n) for n in range(100)], 0)
    recorder.take([received('{"type":"b"}'), over()], 0)
    disk.error = None
    assert caplog.text.count("recorded no further") == 1
    recorded = RecordedCall(the_folder(tmp_path))
    assert [line.event["type"] for line in recorded.events()] == ["rtcvoice.leg_up", "a"]
    with recorded.audio() as both:
        assert set(np.unique(both.read(1.0, 99)[:, 0]).tolist()) <= {0, 5}
        assert both.seconds > 2
    caplog.clear()


def test_a_line_of_which_half_was_written_is_left_out_alone(tmp_path, monkeypatch, caplog):
    disk = Disk(monkeypatch)
    recorder = Recorder(Recording(tmp_path, audio=False))
    recorder.take([started(), leg_up(), received('{"type":"a"}')], 0)
    disk.error = ERRORS["full"]
    recorder.take([received('{"type":"b"}')], 0)
    recorded = RecordedCall(the_folder(tmp_path))
    assert [line.event["type"] for line in recorded.events()] == ["rtcvoice.leg_up", "a"]
    assert recorded.bad_lines == 1
    caplog.clear()


@pytest.mark.parametrize("what", ["folder", "root"])
def test_a_folder_that_vanishes_ends_the_recording_alone(tmp_path, caplog, what):
    root = tmp_path / "calls"
    recorder = Recorder(Recording(root))
    recorder.take([started(), leg_up(), received("{}")], 0)
    shutil.rmtree(the_folder(root) if what == "folder" else root)
    for n in range(3):
        recorder.take([received("{}"), audio(facts.AudioSent, 101 + n, 5, 50 * n)], 0)
    recorder.take([over()], 0)
    assert not list(root.glob("*/*"))
    assert caplog.text.count("recorded no further") == 1
    caplog.clear()


def test_a_root_that_vanishes_before_the_call_is_up_is_made_again(tmp_path):
    root = tmp_path / "calls"
    Recording(root).check()
    recorder = Recorder(Recording(root))
    recorder.take([started()], 0)
    root.rmdir()
    recorder.take([leg_up(), received("{}"), over()], 0)
    assert len(lines(the_folder(root), "events.jsonl")) == 2


def test_a_clock_that_is_set_back_or_forward_moves_nothing(tmp_path):
    """Moments are of a clock that only grows; the time of day names the folder, and no more."""
    recorder = Recorder(Recording(tmp_path))
    recorder.take([started(), leg_up(), received('{"type":"a"}', time=101.0)], 0)
    recorder.take([received('{"type":"b"}', time=100.9), received("{}", time=99.0), over()], 0)
    times = [line["time"] for line in lines(the_folder(tmp_path), "events.jsonl")]
    assert times == [0.5, 1.0, 0.9, 0.0]  # before the beginning there is nothing


def test_two_calls_at_the_same_millisecond_have_a_folder_each(tmp_path):
    for _ in range(3):
        recorder = Recorder(Recording(tmp_path))
        recorder.take([started(), leg_up(), over()], 0)
    names = sorted(path.name for path in tmp_path.iterdir())
    first = "20261130-005320-000_rtc_1"
    assert names == [first, f"{first}-2", f"{first}-3"]
    assert all(json.loads((tmp_path / name / "call.json").read_text())["end"] for name in names)


def test_a_relative_folder_is_the_one_that_it_was_when_it_was_named(tmp_path, monkeypatch):
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "first")
    recording = Recording("calls")
    monkeypatch.chdir(tmp_path / "second")
    Recorder(recording).take([started(), leg_up(), over()], 0)
    assert len(list((tmp_path / "first" / "calls").iterdir())) == 1
    assert not list((tmp_path / "second").iterdir())


@pytest.mark.parametrize("kind", ["file", "link to nowhere", "link to a folder"])
def test_what_stands_where_a_call_is_to_be_is_left_alone(tmp_path, kind, caplog):
    root, elsewhere = tmp_path / "calls", tmp_path / "elsewhere"
    elsewhere.mkdir()
    root.mkdir()
    place = root / "20261130-005320-000_rtc_1"
    if kind == "file":
        place.write_text("mine")
    else:
        place.symlink_to(elsewhere if kind == "link to a folder" else tmp_path / "nowhere")
    Recorder(Recording(root)).take([started(), leg_up(), over()], 0)
    assert sorted(path.name for path in root.iterdir()) == [place.name, f"{place.name}-2"]
    assert not list(elsewhere.iterdir())
    assert not (tmp_path / "nowhere").exists()
    assert not caplog.records


def test_the_sound_of_the_whole_call_is_there_though_the_clocks_drift(tmp_path):
    """A device whose second is 1% too long or too short: over 20 s both sides stay together."""
    for factor in (0.99, 1.01):
        root = tmp_path / str(factor)
        recorder = Recorder(Recording(root, events=False))
        recorder.take([started(), leg_up()], 0)
        for n in range(1000):
            at = 101 + n / 50 * factor
            recorder.take([audio(facts.AudioSent, at, 5, n), audio(facts.AudioHeard, at, 6, n)], 0)
        recorder.take([over()], 0)
        left, right = sound(the_folder(root))
        assert np.flatnonzero(left)[-1] == pytest.approx(24000 * (1 + 20 * factor), abs=3000)
        assert np.flatnonzero(right)[-1] == np.flatnonzero(left)[-1]
