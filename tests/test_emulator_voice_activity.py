"""The emulator's ear: when speech begins and ends, on clean speech, silence and noise."""

from fractions import Fraction

import av
import numpy as np
import pytest
from emulator_driver import silence, speech
from hypothesis import given, settings
from hypothesis import strategies as st

from rtcvoice.emulator.session.outputs import RATE_HZ
from rtcvoice.emulator.session.voice_activity import (
    FRAME_MS,
    SpeechStarted,
    SpeechStopped,
    VadSettings,
    VoiceActivity,
)
from rtcvoice.emulator.voice import PromptVoice


def detect(samples, vad=None, piece=480):
    activity = VoiceActivity(vad or VadSettings())
    return [
        event
        for start in range(0, len(samples), piece)
        for event in activity.process(samples[start : start + piece])
    ]


def noise(seconds, level_db, seed=1):
    scale = 32768 * 10 ** (level_db / 20)
    return np.random.default_rng(seed).normal(0, scale, round(seconds * RATE_HZ))


def as_pcm(samples):
    return np.clip(samples, -32768, 32767).astype(np.int16)


def between_silences(samples, before=1.0, after=1.5):
    return np.concatenate([silence(before), samples, silence(after)])


@pytest.mark.parametrize("name", ["question", "follow-up", "stop", "talk", "jitter-buffer"])
def test_real_speech_is_one_turn(name):
    clip = PromptVoice().clip(name)
    started, stopped = detect(between_silences(clip.samples))
    assert started.audio_start_ms + 300 == pytest.approx(1000, abs=200)
    spoken_until = 1000 + clip.seconds * 1000
    assert stopped.audio_end_ms - 500 == pytest.approx(spoken_until, abs=200)


@pytest.mark.parametrize("level_db", [-60, -50, -40])
def test_real_speech_is_one_turn_in_steady_noise(level_db):
    clip = PromptVoice().clip("question")
    line = between_silences(clip.samples, before=4.0)
    events = detect(as_pcm(line + noise(len(line) / RATE_HZ, level_db)))
    # Loud noise may pass for speech once, until two seconds have told what the background is.
    started, stopped = events[-2:]
    assert len(events) == (2 if level_db < -45 else 4)
    assert started.audio_start_ms + 300 == pytest.approx(4000, abs=200)
    assert stopped.audio_end_ms - 500 == pytest.approx(4000 + clip.seconds * 1000, abs=200)


def test_quiet_speech_is_heard():
    clip = PromptVoice().clip("question")
    assert len(detect(between_silences(clip.samples // 10))) == 2


@pytest.mark.parametrize("pause", [0.2, 0.3])
def test_pauses_within_a_sentence_are_bridged(pause):
    phrases = [part for _ in range(4) for part in (speech(0.7), silence(pause))]
    events = detect(between_silences(np.concatenate(phrases)))
    assert [type(event) for event in events] == [SpeechStarted, SpeechStopped]


def test_a_pause_longer_than_the_window_ends_the_turn():
    line = between_silences(np.concatenate([speech(0.7), silence(0.9), speech(0.7)]))
    assert len(detect(line)) == 4
    assert len(detect(line, VadSettings(silence_duration_ms=1200))) == 2


def test_digital_silence_and_low_noise_never_fire():
    assert detect(silence(20.0)) == []
    for level_db in (-75, -60, -50):
        assert detect(as_pcm(noise(10.0, level_db))) == []
        sudden = np.concatenate([np.zeros(2 * RATE_HZ), noise(10.0, level_db)])
        assert detect(as_pcm(sudden)) == []


def test_opus_coded_silence_never_fires():
    assert detect(through_opus(np.concatenate([silence(3.0), as_pcm(noise(3.0, -70))]))) == []


def through_opus(samples):
    """What a decoder makes of what an encoder made of it."""
    encoder = av.CodecContext.create("libopus", "w")
    encoder.sample_rate, encoder.layout, encoder.format = 48000, "mono", "s16"
    encoder.time_base = Fraction(1, 48000)
    encoder.bit_rate = 24000
    decoder = av.CodecContext.create("opus", "r")
    decoder.sample_rate = 48000
    decoder.layout = "mono"
    to_wire = av.AudioResampler(format="s16", layout="mono", rate=48000, frame_size=960)
    back = av.AudioResampler(format="s16", layout="mono", rate=RATE_HZ)
    frame = av.AudioFrame.from_ndarray(samples[np.newaxis], format="s16", layout="mono")
    frame.sample_rate, frame.pts = RATE_HZ, 0
    parts = [
        part.to_ndarray()[0]
        for wire in to_wire.resample(frame)
        for packet in encoder.encode(wire)
        for decoded in decoder.decode(packet)
        for part in back.resample(decoded)
    ]
    return np.concatenate(parts)


def test_opus_coded_speech_is_one_turn():
    clip = PromptVoice().clip("question")
    assert len(detect(through_opus(between_silences(clip.samples)))) == 2


def test_a_click_is_no_speech():
    line = silence(3.0)
    line[RATE_HZ : RATE_HZ + 240] = 20000
    assert detect(line) == []


def test_steady_loud_noise_is_forgotten_within_seconds():
    events = detect(as_pcm(noise(20.0, -35)))
    assert [type(event) for event in events] == [SpeechStarted, SpeechStopped]
    assert events[1].audio_end_ms < 4000


def test_a_voice_that_fades_a_little_is_still_heard():
    # The gate is at -45 dBFS for the default threshold; a turn in progress needs 4 dB less.
    loud, faint = as_pcm(noise(0.5, -40)), as_pcm(noise(1.5, -47))
    (_, stopped) = detect(between_silences(np.concatenate([loud, faint])))
    assert stopped.audio_end_ms == pytest.approx(1000 + 2000 + 500, abs=64)
    assert detect(between_silences(faint)) == []


def test_a_higher_threshold_needs_louder_speech():
    line = between_silences(speech(1.0) // 20)
    assert len(detect(line, VadSettings(threshold=0.3))) == 2
    assert detect(line, VadSettings(threshold=1.0)) == []


def test_the_start_is_clipped_at_the_beginning_of_the_session():
    (started, _) = detect(np.concatenate([speech(1.0), silence(1.0)]))
    assert started.audio_start_ms == 0


def test_without_settings_audio_is_counted_and_nothing_reported():
    activity = VoiceActivity(None)
    assert list(activity.process(speech(1.0))) == []
    assert activity.position_ms == speech(1.0).size * 1000 // RATE_HZ


def test_settings_come_from_turn_detection():
    server = {
        "type": "server_vad",
        "threshold": 0.7,
        "prefix_padding_ms": 100,
        "silence_duration_ms": 200,
    }
    assert VadSettings.of(server) == VadSettings(0.7, 100, 200)
    waits = [
        VadSettings.of({"type": "semantic_vad", "eagerness": name}).silence_duration_ms
        for name in ("high", "medium", "auto", "low")
    ]
    assert waits == [500, 1000, 1000, 2000]


@settings(deadline=None, max_examples=30)
@given(
    pieces=st.lists(st.integers(1, 3000), min_size=1, max_size=20),
    prefix_ms=st.integers(0, 1000),
    silence_ms=st.integers(0, 800),
)
def test_offsets_lie_on_the_frame_grid_however_audio_arrives(pieces, prefix_ms, silence_ms):
    line = np.concatenate([silence(0.77), speech(0.8), silence(1.03), speech(0.4), silence(1.1)])
    vad = VadSettings(prefix_padding_ms=prefix_ms, silence_duration_ms=silence_ms)
    activity, events, start, turn = VoiceActivity(vad), [], 0, 0
    while start < len(line):
        size = pieces[turn % len(pieces)]
        events += activity.process(line[start : start + size])
        start, turn = start + size, turn + 1
    assert events == detect(line, vad), "the size of the pieces does not matter"
    assert [type(e) for e in events] == [SpeechStarted, SpeechStopped] * (len(events) // 2)
    for event in events:
        start_ms = event.audio_start_ms
        assert start_ms == 0 or (start_ms + prefix_ms) % FRAME_MS == 0
        if isinstance(event, SpeechStopped):
            assert event.audio_end_ms % FRAME_MS == 0
            assert event.audio_end_ms > start_ms
