"""A recording may be anybody's: what it holds is bounded, and nothing of it leads anywhere."""

from __future__ import annotations

import base64
import json
import os
import struct

import pytest
from live import BentEmulator, calling
from test_recording_replay import SESSION, asked, created, done, heard, recording, sent, written

from rtcvoice import ReplaySource
from rtcvoice.errors import ConfigError
from rtcvoice.recording import hand
from rtcvoice.recording.acts import ActKind
from rtcvoice.recording.options import remove_old
from rtcvoice.recording.user_acts import acts_of

pytestmark = pytest.mark.usefixtures("no_stray_errors")

PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)
URI = "data:image/png;base64," + base64.b64encode(PNG).decode()


def shown(time, *parts):
    item = {"type": "message", "role": "user", "content": list(parts)}
    return [sent(time, "conversation.item.create", item=item), sent(time, "response.create")]


def image(url):
    return {"type": "input_image", "image_url": url}


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/a.png",
        "file:///etc/passwd",
        "/etc/passwd",
        "../../secret.png",
        "data:text/html;base64,AAAA",
        "data:image/png;base64,%%%",
        "<12345 characters>",
    ],
)
def test_of_an_image_only_its_own_bytes_are_taken(url):
    acts, _, left_out = acts_of([SESSION, *shown(2.0, image(url), image(URI))])
    assert [act.images for act in acts] == [(PNG,)]
    (line,) = left_out
    assert "image" in line


def test_images_and_clips_are_bounded_together(monkeypatch):
    monkeypatch.setattr(hand, "MOST_MEDIA", 250)
    clip = {"type": "input_audio", "audio": base64.b64encode(bytes(101)).decode()}
    acts, _, left_out = acts_of([SESSION, *shown(2.0, image(URI), clip, image(URI))])
    assert [(len(act.images), len(act.clip)) for act in acts] == [(1, 100)]
    assert "more than" in left_out[0]


def test_there_are_no_more_acts_than_a_person_can_do():
    lines = [SESSION, *(line for n in range(3000) for line in asked(2.0 + n, "Hi."))]
    acts, _, left_out = acts_of(lines)
    assert len(acts) <= 2002
    assert "what follows" in left_out[-1]


DEEP = json.loads("[" * 900 + "]" * 900)

EVIL = [
    heard(1e5, "response.created", response={"id": DEEP, "object": "r"}),
    heard(2.0, "response.done", response={"id": "\ud800", "object": "r"}),
    heard(2.0, "response.output_audio.delta", response_id="r", delta="<9999999999 bytes>"),
    heard(2.0, "error", error={"message": "x" * 100_000, "event_id": "e"}),
    heard(2.0, "response.output_item.done", item={"type": "function_call", "name": "a"}),
    sent(2.0, "session.update", session=DEEP),
    sent(2.0, "session.update", session={"audio": DEEP, "model": "m" * 10_000}),
    sent(2.0, "response.create", response={"metadata": DEEP, "instructions": 5}),
    sent(2.0, "response.create", response={"tools": [{"type": "mcp", "server_url": "http://x"}]}),
    sent(2.0, "conversation.item.create", item=DEEP),
    sent(2.0, "conversation.item.create", item={"type": "function_call", "name": None}),
    sent(2.0, "conversation.item.truncate", item_id=5),
    written(2.0, "\x1b]0;x\x07 \u202e \ud800" + "y" * 200_000),
    sent(2.0, "input_audio_buffer.append", audio=7),
]


def test_whatever_the_lines_hold_a_source_is_made_of_it(tmp_path):
    source = ReplaySource(recording(tmp_path / "a", {"type": "realtime"}, SESSION, *EVIL))
    assert "server_url" not in json.dumps([act.options for act in source._acts])
    for act in source._acts:
        assert len(act.text) <= 100_000
        assert "\x1b" not in act.text
    assert source.seconds < 48 * 3600 + 1
    str(source.recorded)


@pytest.mark.parametrize(
    "call",
    [
        {"end": {"normal": True, "time": 10**400}},
        {"end": {"normal": True, "time": "soon"}},
        {"end": 5, "options": {"session": {"audio": {"output": {"voice": "v" * 1000}}}}},
        {"options": {"base_url": "http://x", "api_key": "sk-x", "proxy": "http://x", "tools": "x"}},
        {"made_by": ["rtcvoice emulator"], "began_at": "now", "legs": 7, "format": "1"},
    ],
)
def test_of_call_json_nothing_is_taken_that_leads_anywhere(tmp_path, call):
    folder = recording(tmp_path / "a", {}, SESSION, *asked(2.0, "Hi."))
    (folder / "call.json").write_text(json.dumps(call))
    source = ReplaySource(folder)
    assert set(source.options) <= {"tools"}
    assert [act.text for act in source._acts] == ["Hi."]


def test_numbers_of_turns_are_numbers_or_nothing(tmp_path):
    folder = recording(tmp_path / "a", {}, SESSION)
    latencies = ('{"ended_at": 1e999, "heard_at": 2}', '{"ended_at": true, "heard_at": "x"}')
    turns = '{"id": ["x"], "role": {"a": 1}, "text": 5, "status": null}'
    lines = [f'{{"time": 1, "latency": {each}}}' for each in latencies]
    lines += [f'{{"time": 1, "latency": {{"heard_at": {"9" * 400}}}}}']
    lines += [f'{{"time": 1, "turn": {turns}}}']
    (folder / "turns.jsonl").write_text("\n".join(lines))
    recorded = ReplaySource(folder).recorded
    assert all(abs(wait) < 48 * 3600 for wait in recorded.waits)
    assert len(recorded.turns) == 1


def wav(*, rate=24000, channels=2, bits=16, size=0, data=b""):
    block = channels * bits // 8
    riff = (b"RIFF", min(36 + size, 0xFFFFFFFF), b"WAVE", b"fmt ", 16, 1)
    head = struct.pack("<4sI4s4sIHHIIHH", *riff, channels, rate, rate * block, block, bits)
    return head + struct.pack("<4sI", b"data", size) + data


@pytest.mark.parametrize(
    "data",
    [
        wav(rate=0),
        wav(rate=44100),
        wav(rate=100_000_000),
        wav(channels=1),
        wav(bits=8),
        wav(size=0xFFFFFF00),
        wav(size=1000, data=bytes(10)),
    ],
)
def test_a_wav_header_that_lies_is_refused(tmp_path, data):
    folder = recording(tmp_path / "a", {}, SESSION)
    (folder / "audio.wav").write_bytes(data)
    with pytest.raises(ConfigError):
        ReplaySource(folder)


def test_a_folder_that_is_a_link_is_read_and_links_in_it_are_not(tmp_path):
    folder = recording(tmp_path / "a", {}, SESSION, *asked(2.0, "Hi."))
    (tmp_path / "link").symlink_to(folder)
    assert len(ReplaySource(tmp_path / "link")._acts) == 1
    (folder / "turns.jsonl").symlink_to("/etc/passwd")
    with pytest.raises(ConfigError, match="it is a link"):
        ReplaySource(folder)


def test_keep_days_deletes_nothing_that_it_did_not_write(tmp_path):
    """Whatever is in a folder beside a recording's own files keeps the folder."""
    names = ["sub", "link", "fifo", "other"]
    for name in names:
        folder = tmp_path / f"20200101-000000-000_{name}"
        folder.mkdir()
        (folder / "call.json").write_text("{}")
    (tmp_path / "20200101-000000-000_sub" / "events.jsonl").mkdir()
    (tmp_path / "mine.txt").write_text("keep")
    (tmp_path / "20200101-000000-000_link" / "audio.wav").symlink_to(tmp_path / "mine.txt")
    (tmp_path / "20200101-000000-000_other" / "notes.html").write_text("x")
    os.mkfifo(tmp_path / "20200101-000000-000_fifo" / "stats.jsonl")
    before = sorted(str(path) for path in tmp_path.rglob("*"))
    remove_old(tmp_path, 1, 1796000000.0)
    assert sorted(str(path) for path in tmp_path.rglob("*")) == before


async def test_what_the_new_call_refuses_is_left_out_and_told(tmp_path, caplog):
    """A picture that is none, and settings that no session has."""
    lines = [
        SESSION,
        *shown(1.1, image("data:image/png;base64," + base64.b64encode(b"no picture").decode())),
        sent(1.2, "session.update", session={"audio": {"output": {"speed": 99}}}),
        *asked(1.3, "Hello?"),
        created(1.4, "resp_1"),
        done(1.5, "resp_1"),
    ]
    source = ReplaySource(recording(tmp_path / "a", {"output_modalities": ["text"]}, *lines))
    assert ActKind.CHANGES in {act.kind for act in source._acts}
    async with (
        BentEmulator(audio="instant") as server,
        calling(server, source=source, **source.options) as call,
    ):
        result = await source.replay(call)
    assert [turn.role for turn in result.now.turns] == ["user", "assistant"]
    assert "neither PNG nor JPEG" in caplog.text
    assert caplog.text.count("cannot be done again") == 2
