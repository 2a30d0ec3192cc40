"""The shipped prompts are complete, level, and say what their transcripts say they do."""

import numpy as np
import pytest

from rtcvoice.emulator.session.script import Scripted
from rtcvoice.emulator.session.script_file import load_script
from rtcvoice.emulator.voice import PromptVoice, prompt_path
from rtcvoice.errors import ConfigError

RATE = 24000
NUMBERS = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
    "twenty",
    "thirty",
    "forty",
    "fifty",
    "sixty",
    "seventy",
    "eighty",
    "ninety",
]
USER = ["question", "follow-up", "stop", "ask-weather", "ask-sum", "ask-story", "thanks"]
voice = PromptVoice()


def dbfs(samples):
    return 20 * np.log10(np.sqrt(np.mean((samples / 32768.0) ** 2)) + 1e-9)


def silence_before(samples):
    """Seconds until 10 ms are louder than -45 dBFS."""
    frames = samples[: samples.size // 240 * 240].reshape(-1, 240)
    return next(i for i, frame in enumerate(frames) if dbfs(frame) > -45) / 100


@pytest.mark.parametrize("name", voice.names())
def test_a_prompt_is_speech_at_one_level_with_short_edges(name):
    clip = voice.clip(name)
    assert clip.name == name
    assert clip.samples.dtype == np.int16
    assert clip.samples.ndim == 1
    assert -24 < dbfs(clip.samples) < -17
    assert np.abs(clip.samples.astype(int)).max() < 32767
    assert 0.05 <= silence_before(clip.samples) <= 0.2
    assert 0.05 <= silence_before(clip.samples[::-1]) <= 0.2


@pytest.mark.parametrize("name", voice.names())
def test_length_fits_the_transcript(name):
    """A clip rendered from another text than the index holds would be too long or too short."""
    clip = voice.clip(name)
    letters = len(clip.text)
    assert 0.03 * letters < clip.samples.size / RATE < 0.3 + 0.16 * letters


def test_everything_a_conversation_needs_is_there():
    names = voice.names()
    assert len(names) == len(set(names))
    assert len([name for name in names if name.startswith("reply-")]) == 12
    assert len({voice.text(f"reply-{number}") for number in range(1, 13)}) == 12
    assert {"greeting", "goodbye", "repeat", "jitter-buffer", "lost-packet", "talk"} < set(names)
    assert {"the-result-is", "it-is", *NUMBERS} < set(names)
    assert {voice.text(number) for number in NUMBERS} == set(NUMBERS)


def test_the_talk_is_long_enough_to_interrupt():
    assert 20 < voice.clip("talk").samples.size / RATE < 26


def test_the_prompts_stay_small():
    assert sum(voice.path(name).stat().st_size for name in voice.names()) < 700_000


def test_every_file_in_the_folder_is_in_the_index():
    files = {voice.path(name) for name in voice.names()}
    assert files == set(voice.path("question").parent.glob("*.ogg"))


@pytest.mark.parametrize("name", USER)
def test_the_users_side_is_a_file(name):
    assert prompt_path(name).read_bytes()[:4] == b"OggS"


def test_the_users_side_is_known():
    assert voice.user_clips() == USER


def test_a_clip_is_decoded_once_and_cannot_be_spoilt():
    clip = voice.clip("greeting")
    assert voice.clip("greeting").samples is clip.samples
    with pytest.raises(ValueError, match="read-only"):
        clip.samples[0] = 1


def test_an_unknown_name_is_told_with_the_known_ones():
    with pytest.raises(ConfigError, match=r"nonsense.*greeting"):
        voice.clip("nonsense")


def test_a_folder_of_ones_own(tmp_path):
    (tmp_path / "prompts.yaml").write_text("- {name: hi, text: Hi, file: hi.ogg}")
    own = PromptVoice(tmp_path)
    assert own.names() == ["hi"]
    assert own.user_clips() == []
    with pytest.raises(ConfigError, match="Cannot decode"):
        own.clip("hi")
    (tmp_path / "hi.ogg").write_bytes(prompt_path("stop").read_bytes())
    assert own.clip("hi").text == "Hi"


@pytest.mark.parametrize(
    "index", ["just words", "- {name: hi}", "- [1]", "- {name: 1, text: a, file: b}", "{", ""]
)
def test_a_broken_index_is_a_config_error(tmp_path, index):
    (tmp_path / "prompts.yaml").write_text(index)
    with pytest.raises(ConfigError):
        PromptVoice(tmp_path)


def test_a_missing_folder_is_a_config_error(tmp_path):
    with pytest.raises(ConfigError, match="Cannot read"):
        PromptVoice(tmp_path / "nowhere")


def test_the_demo_hears_what_the_users_clips_say():
    turns = load_script(prompt_path("question").parent / "demo.yaml")
    Scripted(turns, voice)  # refuses a turn whose prompt does not exist
    assert [turn.hears for turn in turns] == [voice.text(turn.clip) for turn in turns]
    assert [turn.clip for turn in turns] == USER[:3]
    assert all(turn.says for turn in turns)
