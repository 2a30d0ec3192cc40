"""The client's recordings: what is written of a call, and that nothing of it can harm the call."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import stat
import subprocess
import sys
import threading
import time
import wave
from types import SimpleNamespace

import numpy as np
import pytest
from live import KEY, BentEmulator, calling

import rtcvoice
from rtcvoice import Recording
from rtcvoice.call import facts
from rtcvoice.call.listeners import Facts
from rtcvoice.emulator import Turn
from rtcvoice.errors import CallEnded, ConfigError
from rtcvoice.recording import recorder as recorder_module
from rtcvoice.recording.options import remove_old
from rtcvoice.recording.recorder import Recorder
from rtcvoice.recording.timeline import LEFT, RIGHT, Timeline

pytestmark = pytest.mark.usefixtures("no_stray_errors")

RATE = 24000
SOUND = ("audio.delta", "audio_buffer.append")
SECRET = "sk-proj-abcdefghijklmnopqrstuvwxyz"


def started(time=100.0, **options):
    return facts.CallStarted(time=time, unix_time=1796000000.0, options=options)


def leg_up(time=100.5, leg_id="rtc_1"):
    return facts.LegUp(time=time, leg_id=leg_id, route="udp", via="direct")


def received(text, time=101.0, leg_id="rtc_1", in_use=True):
    return facts.EventReceived(time=time, leg_id=leg_id, text=text, in_use=in_use)


def over(time=110.0):
    return facts.CallOver(time=time, reason=CallEnded("hung up", normal=True), usage=None)


def audio(kind, time, value, n, *, rate=RATE, count=480):
    samples = np.full(count, value, np.int16)
    return kind(time=time, samples=samples, rate=rate, index=n * count)


def lines(folder, name):
    return [json.loads(line) for line in (folder / name).read_text().splitlines()]


def the_folder(root):
    (folder,) = root.iterdir()
    return folder


def sound(folder, name="audio.wav"):
    with wave.open(str(folder / name)) as file:
        frames = np.frombuffer(file.readframes(file.getnframes()), np.int16).reshape(-1, 2)
    return frames[:, 0], frames[:, 1]


def test_what_happened_before_the_first_connection_is_in_the_recording(tmp_path):
    recorder = Recorder(Recording(tmp_path))
    begun = facts.StageBegan(time=100.1, stage="ice")
    recorder.take([started(model="m"), begun], 0)
    assert not list(tmp_path.iterdir())
    ended = facts.StageEnded(time=100.4, stage="ice", seconds=0.3)
    recorder.take([ended, leg_up(), received('{"type":"session.created"}')], 0)
    folder = the_folder(tmp_path)
    assert folder.name == "20261130-005320-000_rtc_1"
    call = json.loads((folder / "call.json").read_text())
    assert call["stages"] == [{"stage": "ice", "began": 0.1, "seconds": 0.3}]
    assert call["legs"][0]["began"] == 0.5
    assert call["end"] is None  # a process that is killed here leaves this
    assert lines(folder, "events.jsonl")[-1] == {
        "time": 1.0,
        "dir": "in",
        "event": {"type": "session.created"},
    }
    recorder.take([over()], 0)
    assert json.loads((folder / "call.json").read_text())["end"]["normal"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


def test_a_call_that_does_not_come_about_is_recorded_too(tmp_path):
    recorder = Recorder(Recording(tmp_path))
    reason = CallEnded(f"connecting failed: {SECRET}", normal=False)
    failed = facts.CallOver(time=101.0, reason=reason, usage=None)
    recorder.take([started(), failed], 0)
    call = json.loads((the_folder(tmp_path) / "call.json").read_text())
    assert "connecting failed" in call["end"]["reason"]
    assert SECRET not in json.dumps(call)


def test_nothing_secret_is_written(tmp_path):
    recorder = Recorder(Recording(tmp_path))
    tools = [{"type": "mcp", "authorization": "hush-1", "headers": {"X-Key": "hush-2"}}]
    options = {
        "session": {"tools": tools},
        "base_url": "https://me:hush-3@example.com/v1?key=hush-4",
        "ice_servers": [{"urls": "turn:host", "username": "u", "credential": "hush-5"}],
        "api_key": "hush-6",
        "credentials": "hush-7",
        "proxy": "http://a:hush-8@proxy",
    }
    update = json.dumps({"type": "session.update", "session": {"tools": tools}})
    begun = facts.ToolBegan(time=101.0, call_id="c", name="f", arguments={"key": SECRET})
    ended = facts.ToolEnded(time=101.0, call_id="c", name="f", output=f"it is {SECRET}")
    odd = f"not JSON: {SECRET}"
    sent = facts.EventSent(time=101.0, leg_id="rtc_1", text=update)
    recorder.take([started(**options), leg_up(), sent, begun, ended, received(odd), over()], 0)
    written = "".join(path.read_text() for path in the_folder(tmp_path).glob("*.json*"))
    assert "hush" not in written
    assert SECRET not in written
    assert "tool_finished" in written
    assert "not JSON" in written


def test_lines_of_another_connection_say_which(tmp_path):
    recorder = Recorder(Recording(tmp_path, audio=False))
    recorder.take(
        [started(), leg_up(), received("{}"), received("{}", leg_id="rtc_2", in_use=False)], 0
    )
    ended = facts.LegEnded(time=103.0, leg_id="rtc_1", reason="lost")
    recorder.take([ended, leg_up(104.0, "rtc_2"), received("{}", leg_id="rtc_2"), over()], 0)
    folder = the_folder(tmp_path)
    legs = [line.get("leg") for line in lines(folder, "events.jsonl") if line["dir"] == "in"]
    assert legs == [None, "rtc_2", None]
    call = json.loads((folder / "call.json").read_text())
    assert [leg["ended"] for leg in call["legs"]] == [3.0, None]
    assert not (folder / "audio.wav").exists()


def test_both_sides_are_on_one_clock(tmp_path):
    recorder = Recorder(Recording(tmp_path))
    recorder.take([started(), leg_up()], 0)
    for n in range(100):
        at = 101 + n / 50
        sent = audio(facts.AudioSent, at, 1000, n)
        late = 0.03 if n % 2 else 0.0  # the sink asks when it likes
        heard = audio(facts.AudioHeard, at + 0.5 + late, 2000, n)
        recorder.take([sent, heard], 0)
    recorder.take([over()], 0)
    left, right = sound(the_folder(tmp_path))
    assert np.flatnonzero(left)[[0, -1]].tolist() == [RATE, 3 * RATE - 1]
    assert np.flatnonzero(right)[[0, -1]].tolist() == [36000, 36000 + 2 * RATE - 1]


def test_a_gap_is_silence_and_what_follows_stays_in_its_place():
    timeline = Timeline()
    for n in (0, 1, 60, 61):
        timeline.put(LEFT, np.full(480, 7, np.int16), rate=RATE, index=480 * n, time=n / 50)
    timeline.put(RIGHT, np.full(320, 9, np.int16), rate=16000, index=0, time=0.2)
    frames = timeline.take(everything=True)
    assert len(frames) == 62 * 480
    assert frames[:960, 0].all()
    assert not frames[960 : 60 * 480, 0].any()
    assert frames[60 * 480 :, 0].all()
    assert 440 <= np.count_nonzero(frames[:, 1]) <= 480
    assert np.flatnonzero(frames[:, 1])[0] >= 4800


def test_a_long_gap_is_taken_in_pieces():
    timeline = Timeline()
    timeline.put(LEFT, np.ones(480, np.int16), rate=RATE, index=0, time=3600.0)
    pieces = []
    while len(piece := timeline.take(everything=True)):
        pieces.append(len(piece))
    assert max(pieces) == 10 * RATE
    assert sum(pieces) == 3600 * RATE + 480


def test_audio_rolls_over_into_another_file(tmp_path, monkeypatch):
    monkeypatch.setattr(recorder_module, "PART", 1)
    recorder = Recorder(Recording(tmp_path))
    recorder.take([started(), leg_up()], 0)
    recorder.take([audio(facts.AudioSent, 100 + n / 50, 5, n) for n in range(125)], 0)
    recorder.take([over()], 0)
    folder = the_folder(tmp_path)
    parts = [len(sound(folder, name)[0]) for name in ("audio.wav", "audio-2.wav", "audio-3.wav")]
    assert parts == [RATE, RATE, RATE // 2]


def test_a_recording_has_no_more_bytes_than_it_may(tmp_path, caplog):
    recorder = Recorder(Recording(tmp_path, max_bytes=20_000))
    recorder.take([started(), leg_up()], 0)
    for _ in range(500):
        recorder.take([received(json.dumps({"type": "x", "text": "y" * 100}))], 0)
    recorder.take([audio(facts.AudioSent, 101, 5, 0), over()], 0)
    folder = the_folder(tmp_path)
    assert 10_000 < sum(path.stat().st_size for path in folder.iterdir()) < 25_000
    assert caplog.text.count("recorded no further") == 1
    assert "max_bytes" in json.loads((folder / "call.json").read_text())["stopped"]
    caplog.clear()


def test_a_disk_that_is_full_ends_the_recording_alone(tmp_path, monkeypatch, caplog):
    recorder = Recorder(Recording(tmp_path))
    recorder.take([started(), leg_up(), received("{}")], 0)

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("rtcvoice.recording.format._write", full)
    for _ in range(3):
        recorder.take([received("{}")], 0)
    recorder.take([over()], 0)
    assert caplog.text.count("recorded no further: [Errno 28] No space left on device") == 1
    assert len(lines(the_folder(tmp_path), "events.jsonl")) == 2
    caplog.clear()


async def test_a_disk_that_blocks_for_ten_seconds_harms_nobody(tmp_path):
    """The disk is freed by the test once the call has told 10 s of audio and events."""
    blocked, real = threading.Event(), Recorder(Recording(tmp_path))
    take = real.take

    def slow(batch, dropped):
        blocked.wait(30)
        take(batch, dropped)

    real.take = slow
    told = Facts()
    told.listen(real, name="recorder")
    told.tell(started())
    told.tell(leg_up())
    began = time.perf_counter()
    for n in range(1000):
        told.tell_audio(audio(facts.AudioHeard, 101 + n / 100, 3, n, count=240))
        if n % 2:
            told.tell_audio(audio(facts.AudioSent, 101 + n / 100, 4, n // 2))
    assert time.perf_counter() - began < 20  # nobody waited
    told.end(CallEnded("hung up", normal=True), None)
    blocked.set()
    await told.aclose(timeout=30)
    folder = the_folder(tmp_path)
    left, right = sound(folder)
    assert np.count_nonzero(left == 4) == np.count_nonzero(right == 3) == 10 * RATE
    assert json.loads((folder / "call.json").read_text())["dropped"] == 0


def test_what_was_dropped_is_counted_and_told_once(tmp_path, caplog):
    recorder = Recorder(Recording(tmp_path))
    recorder.take([started(), leg_up()], 3)
    recorder.take([received("{}")], 4)
    recorder.take([over()], 0)
    assert json.loads((the_folder(tmp_path) / "call.json").read_text())["dropped"] == 7
    assert caplog.text.count("too slow") == 1


KILLED = """
import sys, time
sys.path.insert(0, {tests!r})
from test_recorder import Recorder, Recording, audio, facts, leg_up, received, started
recorder = Recorder(Recording({folder!r}))
recorder.take([started(), leg_up()], 0)
n = 0
while True:
    recorder.take([audio(facts.AudioSent, 100 + n / 50, 5, n), received('{{"type": "x"}}')], 0)
    n += 1
    if n == 200:
        print("there", flush=True)
"""


def test_a_killed_process_leaves_files_that_can_be_read(tmp_path):
    program = KILLED.format(tests=os.path.dirname(__file__), folder=str(tmp_path))
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"there\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    folder = the_folder(tmp_path)
    left, _ = sound(folder)
    assert len(left) > 3 * RATE
    whole = (folder / "events.jsonl").read_text().rpartition("\n")[0].splitlines()
    assert len(whole) >= 200
    assert all(json.loads(line) for line in whole)
    assert json.loads((folder / "call.json").read_text())["end"] is None


def test_old_recordings_are_removed_and_nothing_else(tmp_path):
    def folder(name, *files):
        (tmp_path / name).mkdir()
        for file in files:
            (tmp_path / name / file).write_text("x")

    folder("20261101-000000-000_rtc_1", "call.json", "audio.wav", "audio-2.wav", "call.json.new")
    folder("20261101-000000-000_mine", "call.json", "notes.txt")
    folder("20261129-000000-000_rtc_2", "call.json")
    folder("holidays", "call.json")
    folder("elsewhere", "call.json")
    (tmp_path / "20261101-000000-000_link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "99999999-999999-000_rtc_3").mkdir()
    remove_old(tmp_path, 7, 1796000000.0)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "20261101-000000-000_link",
        "20261101-000000-000_mine",
        "20261129-000000-000_rtc_2",
        "99999999-999999-000_rtc_3",
        "elsewhere",
        "holidays",
    ]
    assert (tmp_path / "elsewhere" / "call.json").exists()
    remove_old(tmp_path / "nowhere", 7, 0.0)  # logged, no more


@pytest.mark.parametrize(
    "options",
    [
        {"record": 5},
        {"record": ""},
        {"record": SimpleNamespace()},
    ],
)
def test_what_is_no_folder_is_refused_at_once(options):
    with pytest.raises(ConfigError):
        rtcvoice.connect(source=None, sink=None, **options)


@pytest.mark.parametrize(
    "options", [{"max_bytes": 0}, {"max_bytes": True}, {"keep_days": -1}, {"audio": "yes"}]
)
def test_options_of_a_recording_are_checked(options):
    with pytest.raises(ConfigError):
        Recording("calls", **options)


async def test_a_folder_that_cannot_be_used_is_told_before_anything_is_sent(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be recorded"):
        await rtcvoice.connect(source=None, sink=None, api_key=KEY, record=tmp_path / "file")


async def test_a_disk_that_does_not_answer_is_told_before_anything_is_sent(tmp_path, monkeypatch):
    answers = threading.Event()
    monkeypatch.setattr(Recording, "check", lambda self: answers.wait(10))
    monkeypatch.setattr("rtcvoice.call.listening.FACTS_TIMEOUT", 0.05)
    with pytest.raises(ConfigError, match="does not answer"):
        await rtcvoice.connect(source=None, sink=None, api_key=KEY, record=tmp_path)
    answers.set()


async def test_a_real_call_is_recorded(tmp_path):
    def clock() -> str:
        return "noon"

    script = [Turn(calls=["clock"], then=Turn(says="It is noon."))]
    async with (
        BentEmulator(script=script, audio="instant") as server,
        calling(server, tools=[clock], record=tmp_path / "calls") as call,
    ):
        reply = await call.ask("What time is it?")
        await reply.played()
    folder = the_folder(tmp_path / "calls")
    assert folder.name.endswith(f"_{call.id}")
    assert sorted(path.name for path in folder.iterdir()) == [
        "audio.wav",
        "call.json",
        "events.jsonl",
        "stats.jsonl",
        "turns.jsonl",
    ]
    record = json.loads((folder / "call.json").read_text())
    assert record["emulator"] is True
    assert record["end"]["normal"]
    assert record["options"]["session"]["model"]
    assert record["timings"]["total"] > 0
    assert record["legs"][0]["route"] == "udp"
    turns = [line["turn"] for line in lines(folder, "turns.jsonl") if "turn" in line]
    assert [(turn["role"], turn["text"]) for turn in turns] == [
        ("user", "What time is it?"),
        ("assistant", "It is noon."),
    ]
    events = lines(folder, "events.jsonl")
    local = [line["event"]["type"] for line in events if line["dir"] == "local"]
    assert local == [
        "rtcvoice.leg_up",
        "rtcvoice.tool_started",
        "rtcvoice.tool_finished",
        "rtcvoice.speech_began",
        "rtcvoice.speech_ended",
    ]
    assert lines(folder, "stats.jsonl")[-1]["stats"]["uplink"]["packets_sent"] > 0
    assert KEY not in "".join(path.read_text() for path in folder.glob("*.json*"))


def test_a_connection_whose_id_comes_later_has_it_then(tmp_path):
    recorder = Recorder(Recording(tmp_path, audio=False))
    recorder.take([started(), leg_up(leg_id=""), received("{}", leg_id=""), received("{}")], 0)
    recorder.take([over()], 0)
    folder = the_folder(tmp_path)
    call = json.loads((folder / "call.json").read_text())
    assert (call["call_id"], call["legs"][0]["id"]) == ("rtc_1", "rtc_1")
    assert not any("leg" in line for line in lines(folder, "events.jsonl"))


def test_sound_inside_events_is_in_the_audio_alone(tmp_path):
    """Of 20 ms of G.711 as of a second of PCM: over a WebSocket there are hundreds a second."""
    for size in (160, 960, 48000):
        sound_64 = base64.b64encode(bytes(size)).decode()
        append = {"type": "input_audio_buffer.append", "audio": sound_64}
        delta = {"type": "response.output_audio.delta", "response_id": "r", "delta": sound_64}
        words = {"type": "response.output_audio_transcript.delta", "delta": "A" * 400}
        for raw in (False, True):
            root = tmp_path / f"{size}-{raw}"
            recorder = Recorder(Recording(root, audio=False, raw=raw))
            sent = facts.EventSent(time=101.0, leg_id="rtc_1", text=json.dumps(append))
            told = [received(json.dumps(each)) for each in (delta, words)]
            recorder.take([started(), leg_up(), sent, *told, over()], 0)
            events = [line["event"] for line in lines(the_folder(root), "events.jsonl")[1:]]
            told = sound_64 if raw else f"<{size} bytes>"
            assert [events[0]["audio"], events[1]["delta"]] == [told, told]
            assert events[2] == words


async def test_over_a_websocket_both_recordings_hold_the_sound_once(tmp_path):
    async with (
        BentEmulator(audio="instant", record=tmp_path / "server") as server,
        calling(server, record=tmp_path / "client", transport="websocket") as call,
    ):
        await (await call.ask("Hello!")).text()
    for side in ("client", "server"):
        folder = the_folder(tmp_path / side)
        events = [line["event"] for line in lines(folder, "events.jsonl")]
        carried = [e.get("audio") or e["delta"] for e in events if e["type"].endswith(SOUND)]
        assert carried or side == "client"  # which sends its sound beside the events it records
        assert all(re.fullmatch(r"<\d+ bytes>", each) for each in carried)
        assert (folder / "audio.wav").stat().st_size > 44
