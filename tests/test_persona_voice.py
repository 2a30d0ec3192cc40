"""How the emulator says what there is no recording of, and knows again what there is one of."""

import os

import numpy as np
import pytest
from emulator_driver import babble, silence, speech
from hypothesis import given, settings
from hypothesis import strategies as st

from rtcvoice.emulator.session.clips import Clip, join
from rtcvoice.emulator.session.input_memory import InputMemory
from rtcvoice.emulator.session.outputs import RATE_HZ
from rtcvoice.emulator.session.recognition import (
    CERTAIN,
    LIKELY,
    best_beginning,
    best_match,
    likeness,
    speech_seconds,
)
from rtcvoice.emulator.session.speaking import Phrasebook, hum, speak
from rtcvoice.emulator.session.voice_activity import SpeechStarted, VadSettings, VoiceActivity
from rtcvoice.emulator.synthesizer import open_voice
from rtcvoice.emulator.voice import PromptVoice, prompt_path
from rtcvoice.errors import ConfigError

voice = PromptVoice()


def dbfs(samples):
    return 20 * np.log10(np.sqrt(np.mean((samples / 32768.0) ** 2)) + 1e-9)


# ---- saying anything


def test_known_phrases_are_taken_whole_and_the_longest_first():
    book = Phrasebook({"it": "it", "it-is": "It is", "ten": "ten", "five": "five"})
    assert book.parts("It is 15, or 10.5!") == [
        *("it-is", ("fifteen",), 0.15, ("or",), "ten", ("point",), "five"),
    ]
    assert book.parts("It, it. What now?") == ["it", 0.15, "it", 0.3, ("what", "now")]
    assert book.parts("") == book.parts("?!") == []


@settings(deadline=None, max_examples=60)
@given(st.text(max_size=60))
def test_any_text_can_be_said(text):
    said = voice.say(text)
    assert said.text == text
    assert said.samples.dtype == np.int16
    assert len(said.samples) >= 0.1 * RATE_HZ


def test_results_are_said_with_the_words_there_are():
    said = voice.say("The result is 22 degrees.").samples
    names = ["the-result-is", "twenty", "two", "degrees"]
    words = speak([voice.clip(name) for name in names])
    assert np.array_equal(said, words)
    assert -25 < dbfs(said) < -15


def test_the_text_of_a_prompt_is_said_by_the_prompt():
    clip = voice.clip("reply-7")
    assert voice.say(clip.text) is clip


def test_what_was_put_together_is_kept_for_a_while():
    said = voice.say("Something never said before.")
    assert voice.say("Something never said before.") is said
    for number in range(100):
        voice.say(f"x {number}")
    assert voice.say("Something never said before.") is not said


def test_a_hum_is_speech_to_whoever_waits_for_it():
    sound = np.concatenate([silence(0.5), *map(hum, ["nobody", "recorded", "these", "words"])])
    detector = VoiceActivity(VadSettings())
    found = [event for event in detector.process(sound) if isinstance(event, SpeechStarted)]
    assert len(found) == 1
    assert 1.2 < len(sound) / RATE_HZ - 0.5 < 3.5
    assert -24 < dbfs(hum("aeiou")) < -16
    assert np.abs(sound.astype(int)).max() < 32767


def test_an_audio_file_is_a_clip_of_its_own(tmp_path):
    path = tmp_path / "mine.ogg"
    path.write_bytes(prompt_path("stop").read_bytes())
    clip = voice.clip(str(path))
    assert clip.text == ""
    assert np.array_equal(clip.samples, voice.clip("stop").samples)
    (tmp_path / "broken.wav").write_bytes(b"RIFF")
    with pytest.raises(ConfigError, match=r"Cannot decode .*broken\.wav"):
        voice.clip(str(tmp_path / "broken.wav"))


# ---- a synthesizer


@pytest.fixture
def flite(tmp_path, monkeypatch):
    """A program called flite: it says the clip `stop`, or fails if there is a file `broken`."""
    program = tmp_path / "flite"
    program.write_text(
        f"#!/bin/sh\ntest ! -e {tmp_path}/broken || exit 3\n"
        f'cat "$4" > {tmp_path}/asked\ncp {prompt_path("stop")} "$6"\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    return tmp_path


def test_a_synthesizer_says_what_it_is_told(flite):
    said = open_voice("flite").say("--help me, please")
    assert np.array_equal(said.samples, voice.clip("stop").samples)
    assert (flite / "asked").read_text() == "--help me, please"


def test_a_synthesizer_that_fails_leaves_it_to_the_prompts(flite, caplog):
    (flite / "broken").touch()
    said = open_voice("flite").say("The result is 22 degrees.")
    assert np.array_equal(said.samples, voice.say("The result is 22 degrees.").samples)
    assert "the prompts have to do" in caplog.text


def test_a_voice_that_is_not_there_is_a_config_error(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ConfigError, match="espeak-ng is not installed") as caught:
        open_voice("espeak-ng")
    assert "apt install espeak-ng" in caught.value.hint
    with pytest.raises(ConfigError, match="there is no voice 'bob'"):
        open_voice("bob")
    assert open_voice().names() == voice.names()


# ---- knowing a clip again


def through_a_call(samples, seed, *, noise=30.0, lost=0.0):
    """What is left of a clip after a bad line: quieter, noisy, stretched, with holes."""
    random = np.random.default_rng(seed)
    sound = np.concatenate([silence(0.3), samples, silence(0.5)]).astype(float) * 0.4
    pieces, at = [], 0
    while at < len(sound):
        length = int(random.integers(3000, 9000))
        pieces.append(sound[at : at + length])
        at += length + int(random.integers(-300, 300))
    sound = np.concatenate(pieces)
    for start in range(0, len(sound), 480):
        if random.random() < lost:
            sound[start : start + 480] = 0
    return np.clip(sound + random.normal(0, noise, len(sound)), -32768, 32767).astype(np.int16)


LINES = [{}, {"noise": 100.0}, {"lost": 0.1}]


@pytest.mark.parametrize("line", LINES, ids=["stretched", "noisy", "lossy"])
def test_every_clip_of_the_user_is_known_again(line):
    clips = [voice.clip(name) for name in voice.user_clips()]
    for seed, clip in enumerate(clips):
        match = best_match(through_a_call(clip.samples, seed, **line), clips)
        assert match is not None, clip.name
        assert match.clip is clip
        assert match.likeness >= CERTAIN


def test_sentences_are_not_taken_for_each_other():
    clips = [voice.clip(n) for n in voice.names() if voice.clip(n).seconds > 1.2]
    assert len(clips) > 25
    for clip in clips[::3]:
        others = [likeness(clip.samples, other) for other in clips if other is not clip]
        assert max(others) < LIKELY, clip.name


def test_a_clip_is_known_by_its_beginning_and_no_other_that_begins_with_the_same_word():
    users = [voice.clip(name) for name in voice.user_clips()]
    others = [voice.clip(name) for name in voice.names() if voice.clip(name).seconds > 1.2]
    for seconds in (0.7, 0.8, 0.9, 1.0, 1.2, 1.5, 2.0):  # "Hello! What is" and "Hello! I am the"
        for clip in others:
            match = best_beginning(clip.samples[: round(seconds * RATE_HZ)], users)
            assert match is None or match.clip is clip, (clip.name, seconds)
    for seed, clip in enumerate(users):
        match = best_beginning(clip.samples[: 1 * RATE_HZ], users)
        assert match is not None
        assert match.clip is clip
        heard = through_a_call(clip.samples, seed, lost=0.1)[: round(1.8 * RATE_HZ)]
        match = best_beginning(heard, users)
        assert match is not None, clip.name
        assert match.clip is clip


def test_noise_silence_and_other_speech_are_nothing():
    clips = [voice.clip(name) for name in voice.user_clips()]
    noise = np.random.default_rng(1).normal(0, 2000, 2 * RATE_HZ).astype(np.int16)
    for sound in (noise, silence(2.0), silence(0.0), speech(2.0), noise[:100]):
        assert best_match(sound, clips) is None
    assert best_match(speech(1.0), []) is None
    assert best_match(speech(60.0), clips) is None


def test_lengths_tell_how_much_of_a_clip_was_heard():
    clip = voice.clip("question")
    whole = speech_seconds(clip.samples)
    assert whole == pytest.approx(clip.seconds - 0.2, abs=0.1)
    assert speech_seconds(np.concatenate([silence(2.0), clip.samples])) == pytest.approx(whole)
    assert likeness(clip.samples[: 2 * RATE_HZ], clip) == 0.0
    assert likeness(join([clip, clip]).samples, clip) == 0.0
    assert likeness(babble("x"), Clip("none", "", silence(1.0))) == 0.0


# ---- the memory for it


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.integers(0, 30_000), max_size=20),
    st.lists(st.tuples(st.integers(0, 700_000), st.integers(0, 700_000)), max_size=5),
    st.booleans(),
)
def test_the_memory_gives_back_what_it_was_given(sizes, slices, reserved):
    memory = InputMemory()
    whole = np.arange(sum(sizes), dtype=np.int64).astype(np.int16)
    at = 0
    for size in sizes:
        if reserved:
            memory.reserve(at + size)
        memory.append(whole[at : at + size])
        at += size
    kept = at if reserved else min(at, 15 * RATE_HZ)
    for one, other in slices:
        start, end = sorted((min(one, at), min(other, at)))
        found = memory.slice(start, end)
        assert np.array_equal(found, whole[max(start, at - kept) : end])


def test_the_memory_is_bounded():
    memory = InputMemory()
    for second in range(130):
        memory.reserve((second + 1) * RATE_HZ)
        memory.append(np.full(RATE_HZ, second, np.int16))
    assert len(memory.slice(0, 130 * RATE_HZ)) == 120 * RATE_HZ
    assert memory.slice(0, 130 * RATE_HZ)[0] == 10
