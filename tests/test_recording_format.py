"""The format of recorded calls: names, folders, lines, WAV files, and what is masked."""

from __future__ import annotations

import json
import os
import stat
import wave

import pytest

from rtcvoice.recording.format import CallFolder, audio_name, folder_name
from rtcvoice.recording.masks import masked_value


@pytest.mark.parametrize(
    ("call_id", "end"),
    [
        ("rtc_abc-1", "_rtc_abc-1"),
        ("../../etc/passwd", "_etcpasswd"),
        ("a\0b\n\x1b[31m/..", "_ab31m"),
        ("ключ", ""),
        ("", ""),
        ("x" * 500, "_" + "x" * 64),
    ],
)
def test_a_folder_is_named_by_the_time_and_by_what_is_safe_of_the_id(call_id, end):
    assert folder_name(1796000000.1239, call_id) == f"20261130-005320-123{end}"


def test_a_folder_is_never_reused(tmp_path):
    names = [CallFolder(tmp_path / "calls", "a").path.name for _ in range(3)]
    assert names == ["a", "a-2", "a-3"]


def test_no_link_is_followed(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "a").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "a-2").symlink_to(tmp_path / "nowhere")
    folder = CallFolder(tmp_path, "a")
    assert folder.path.name == "a-3"
    (folder.path / "events.jsonl").symlink_to(tmp_path / "elsewhere" / "file")
    with pytest.raises(FileExistsError):
        folder.lines("events.jsonl")
    (folder.path / "call.json").symlink_to(tmp_path / "elsewhere" / "file")
    (folder.path / "call.json.new").symlink_to(tmp_path / "elsewhere" / "file")
    folder.write_call({"format": 1})
    assert not list((tmp_path / "elsewhere").iterdir())
    assert json.loads((folder.path / "call.json").read_text()) == {"format": 1}
    folder.close()
    folder.close()


def test_only_the_owner_can_read_it(tmp_path):
    before = os.umask(0)
    try:
        folder = CallFolder(tmp_path / "calls", "a")
        lines, sound = folder.lines("events.jsonl"), folder.wave("audio.wav", rate=24000)
        folder.write_call({})
    finally:
        os.umask(before)
    for place in (tmp_path / "calls", folder.path):
        assert stat.S_IMODE(place.stat().st_mode) == 0o700
    files = sorted(folder.path.iterdir())
    assert [file.name for file in files] == ["audio.wav", "call.json", "events.jsonl"]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    for each in (lines, sound, folder):
        each.close()


def test_a_wav_file_can_be_read_after_every_write(tmp_path):
    folder = CallFolder(tmp_path, "a")
    sound = folder.wave(audio_name(2), rate=16000)
    for n in range(3):
        with wave.open(str(folder.path / "audio-2.wav")) as file:
            assert (file.getnchannels(), file.getframerate(), file.getsampwidth()) == (2, 16000, 2)
            assert file.readframes(1000) == b"\1\0\2\0" * 10 * n
        sound.write(b"\1\0\2\0" * 10)
    sound.close()
    folder.close()


def test_lines_are_ascii_whatever_is_in_them(tmp_path):
    folder = CallFolder(tmp_path, "a")
    lines = folder.lines("turns.jsonl")
    value = {"text": "ä\u2028\n\x1b \ud800", "odd": {1, 2}}
    size = lines.write(value)
    assert (folder.path / "turns.jsonl").stat().st_size == 0
    lines.flush()
    data = (folder.path / "turns.jsonl").read_bytes()
    assert len(data) == size
    assert data.isascii()
    assert data.count(b"\n") == 1
    assert json.loads(data)["text"] == value["text"]
    lines.close()
    folder.close()


KEY = "sk-proj-abcdefghijklmnopqrstuvwxyz"


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ({"tools": [{"type": "mcp", "authorization": "abc", "headers": {"X": "abc"}}]}, ("mcp",)),
        ({"text": f"my key is {KEY}"}, ("my key is",)),
        ({KEY: 1}, ()),
        ({"urls": ["turn:user:abc@host:3478?transport=tcp"]}, ("host:3478",)),
        ({"urls": "turn:host", "username": "u", "credential": "abc"}, ("turn:host", "u")),
        ({"server_url": "https://user:abc@a.example/x?token=abc#y"}, ("a.example/x", "#y")),
        ({"text": "see https://a.example/b?sig=abc&x=abc, please"}, ("a.example/b", "please")),
        ([{"deep": [{"client_secret": {"value": "abc"}}]}], ("deep",)),
    ],
)
def test_secrets_are_masked(value, kept):
    text = json.dumps(masked_value(value))
    assert "abc" not in text
    assert all(word in text for word in kept)


def test_what_is_no_secret_stays():
    value = {
        "type": "function",
        "parameters": {"properties": {"password": {"type": "string"}, "headers": {}}},
        "authorization": None,
        "text": "Is it 5 o'clock? What a question: yes?no",
        "number": 1.5,
    }
    assert masked_value(value) == value


def test_audio_and_images_are_left_out_unless_they_are_wanted():
    audio = "QUJD" * 1000
    event = {
        "item": {"content": [{"audio": audio}, {"image_url": f"data:image/png;base64,{audio}"}]}
    }
    content = masked_value(event)["item"]["content"]
    assert content == [{"audio": "<4000 characters>"}, {"image_url": "<4022 characters>"}]
    assert masked_value(event, raw=True) == event


def test_values_without_a_bottom_have_one():
    value: list = []
    for _ in range(5000):
        value = [value]
    assert "***" in str(masked_value(value))
