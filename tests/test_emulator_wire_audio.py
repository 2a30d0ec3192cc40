"""Audio inside events: the session core as a WebSocket has it, and the formats."""

from __future__ import annotations

import base64

import av
import numpy as np
import pytest
from emulator_driver import Driver, error_of, in_order, silence, speech, types, without

from rtcvoice.emulator.session import wire_audio
from rtcvoice.emulator.session.outputs import RATE_HZ, StopAudio
from rtcvoice.emulator.session.recognition import best_match
from rtcvoice.emulator.session.schema import RequestError
from rtcvoice.emulator.session.wire_audio import AudioReader, AudioWriter
from rtcvoice.emulator.voice import PromptVoice
from rtcvoice.sound import g711

PCM = {"type": "audio/pcm", "rate": 24_000}
FORMATS = [PCM, {"type": "audio/pcmu"}, {"type": "audio/pcma"}]


def encoded(data):
    return base64.b64encode(data).decode()


def on_socket(settings=None, **options):
    return Driver(settings, on_socket=True, **options)


def append(driver, samples, piece=RATE_HZ // 10):
    """Send audio as fast as it goes; return the events."""
    before = len(driver.log)
    for start in range(0, len(samples), piece):
        audio = encoded(samples[start : start + piece].astype("<i2").tobytes())
        driver.send("input_audio_buffer.append", audio=audio)
    return driver.events(before)


def heard(driver, format_=PCM):
    """The samples of all audio deltas, as a client gets them."""
    reader = AudioReader(format_)
    pieces = [reader.read(each["delta"]) for each in driver.of("response.output_audio.delta")]
    return np.concatenate([np.zeros(0, np.int16), *pieces])


# -- the session ---------------------------------------------------------------------------------


def test_a_spoken_turn_is_heard_and_answered_inside_events_faster_than_real_time():
    driver = on_socket()
    events = append(driver, np.concatenate([silence(0.5), speech(1.0), silence(1.0)]))
    spoken = ["speech_started", "speech_stopped", "committed"]
    assert types(events)[:3] == [f"input_audio_buffer.{each}" for each in spoken]
    assert driver.now == 100.0
    events += driver.run(3.0)
    ladder = ["created", "output_audio.delta", "output_audio.done", "done"]
    assert in_order([f"response.{each}" for each in ladder], events)
    assert not [kind for kind in types(events) if kind.startswith("output_audio_buffer.")]
    said = driver.voice.clip("reply-1").samples
    assert np.array_equal(heard(driver), said)
    took = driver.time_of("response.done") - driver.time_of("response.created")
    assert took < len(said) / RATE_HZ / 2
    driver.finish()


def test_deltas_say_where_they_belong():
    driver = on_socket()
    driver.say("Hello.")
    driver.send("response.create", response={"metadata": {"client_event_id": "7"}})
    driver.run(2.0)
    done = driver.of("response.done")[0]["response"]
    assert done["metadata"] == {"client_event_id": "7"}
    (item,) = done["output"]
    for delta in driver.of("response.output_audio.delta"):
        assert (delta["response_id"], delta["item_id"]) == (done["id"], item["id"])
        assert (delta["output_index"], delta["content_index"]) == (0, 0)


def test_who_speaks_stops_the_making_and_truncates_by_himself():
    driver = on_socket()
    driver.say("Tell me a long story.")
    driver.send("response.create")
    driver.run(0.6)
    item_id = driver.of("response.output_item.added")[0]["item"]["id"]
    events = append(driver, np.concatenate([silence(0.5), speech(1.0)]))
    assert in_order(["input_audio_buffer.speech_started", "response.done"], events)
    assert driver.of("response.done")[0]["response"]["status"] == "cancelled"
    assert "conversation.item.truncated" not in types(events)
    assert any(isinstance(output, StopAudio) for _, output in driver.audio)
    made_ms = len(heard(driver)) * 1000 // RATE_HZ
    truncate = {"item_id": item_id, "content_index": 0}
    error = error_of(
        driver.send("conversation.item.truncate", audio_end_ms=made_ms + 1, **truncate)
    )
    assert (
        error["message"] == f"Audio content of {made_ms}ms is already shorter than {made_ms + 1}ms"
    )
    events = driver.send("conversation.item.truncate", audio_end_ms=300, **truncate)
    assert types(events) == ["conversation.item.truncated"]
    assert events[0]["audio_end_ms"] == 300


def test_what_is_still_being_made_can_be_truncated():
    """Seen with a client that truncates before it cancels."""
    driver = on_socket()
    driver.say("Tell me a long story.")
    driver.send("response.create")
    driver.run(0.6)
    item_id = driver.of("response.output_item.added")[0]["item"]["id"]
    truncate = {"item_id": item_id, "content_index": 0, "audio_end_ms": 100}
    assert types(driver.send("conversation.item.truncate", **truncate)) == [
        "conversation.item.truncated"
    ]
    driver.send("response.cancel")
    entry = driver.session._conversation.get(item_id)
    assert (entry.assistant_samples, len(entry.sound)) == (2400, 2400)
    assert "transcript" not in entry.item["content"][0]
    assert driver.of("response.done")[0]["response"]["output"][0]["content"][0]["transcript"]


def test_without_turn_detection_the_client_commits():
    driver = on_socket({"audio": {"input": {"turn_detection": None}}})
    assert append(driver, speech(0.05)) == []
    error = error_of(driver.send("input_audio_buffer.commit"))
    assert error["code"] == "input_audio_buffer_commit_empty"
    assert types(driver.send("input_audio_buffer.clear")) == ["input_audio_buffer.cleared"]
    append(driver, speech(1.0))
    events = driver.send("input_audio_buffer.commit")
    assert without(events, "item") == ["input_audio_buffer.committed"]


@pytest.mark.parametrize("format_", FORMATS[1:], ids=str)
def test_telephone_formats_both_ways(format_):
    driver = on_socket({"audio": {"input": {"format": format_}, "output": {"format": format_}}})
    writer = AudioWriter(format_)
    sound = np.concatenate([silence(0.5), speech(1.0), silence(1.0)])
    events = []
    for start in range(0, len(sound), 2000):
        audio = writer.write(sound[start : start + 2000])
        events += driver.send("input_audio_buffer.append", audio=audio)
    assert "input_audio_buffer.committed" in types(events)
    driver.run(3.0)
    said, got = driver.voice.clip("reply-1").samples, heard(driver, format_)
    assert abs(len(got) - len(said)) < RATE_HZ // 100
    lag = wire_audio._TAPS - 1
    alike = np.corrcoef(said[: len(got) - lag], got[lag:][: len(said) - lag])[0, 1]
    assert alike > 0.97


def test_the_format_of_the_input_can_change():
    driver = on_socket()
    driver.update(audio={"input": {"format": {"type": "audio/pcmu"}, "turn_detection": None}})
    driver.send("input_audio_buffer.append", audio=encoded(bytes(800)))
    assert types(driver.send("input_audio_buffer.commit"))[0] == "input_audio_buffer.committed"


@pytest.mark.parametrize("audio", ["no base64!", "A", "\u00e9", "AAAA" * (6 << 20)], ids=len)
def test_what_is_no_audio_is_refused(audio):
    driver = on_socket()
    error = error_of(driver.send("input_audio_buffer.append", audio=audio))
    assert (error["code"], error["param"]) == ("invalid_value", "audio")


def test_what_the_other_transport_has_is_refused():
    error = error_of(on_socket().send("output_audio_buffer.clear"))
    assert error["code"] == "invalid_value"
    error = error_of(Driver().send("input_audio_buffer.append", audio="AAAA"))
    assert error["code"] == "invalid_value"


def test_instant_answers_have_no_audio():
    driver = on_socket(instant=True)
    driver.say("Hello.")
    events = driver.send("response.create") + driver.run(0)
    assert types(events)[-2:] == ["response.done", "rate_limits.updated"]
    assert heard(driver).size == 0
    assert in_order(["response.output_audio_transcript.done"], events)


def test_answers_beside_the_conversation_do_not_disturb_each_other():
    driver = on_socket()
    driver.say("Hello.")
    for _ in range(2):
        driver.send("response.create", response={"conversation": "none"})
    driver.send("response.create")
    driver.run(5.0)
    by_response = {}
    for delta in driver.of("response.output_audio.delta"):
        by_response.setdefault(delta["response_id"], []).append(base64.b64decode(delta["delta"]))
    assert len(by_response) == 3
    texts = set(driver.voice.texts.values())
    for done in driver.of("response.done"):
        text = done["response"]["output"][0]["content"][0]["transcript"]
        assert text in texts
        whole = np.frombuffer(b"".join(by_response[done["response"]["id"]]), "<i2")
        assert np.array_equal(whole, driver.voice.say(text).samples)


# -- the formats ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "codec"), [("audio/pcmu", "pcm_mulaw"), ("audio/pcma", "pcm_alaw")]
)
def test_each_code_means_what_ffmpeg_takes_it_for(kind, codec):
    decoder = av.CodecContext.create(codec, "r")
    decoder.format, decoder.layout, decoder.sample_rate = "s16", "mono", 8000
    (frame,) = decoder.decode(av.Packet(bytes(range(256))))
    assert np.array_equal(g711.decoded(bytes(range(256)), kind), frame.to_ndarray()[0])


@pytest.mark.parametrize("format_", FORMATS, ids=str)
@pytest.mark.parametrize("piece", [1, 7, 480, 5000])
def test_how_it_is_parted_changes_nothing(format_, piece):
    rng = np.random.default_rng(1)
    sound = speech(0.5) + rng.integers(-50, 50, 12000).astype(np.int16)[: len(speech(0.5))]
    whole = base64.b64decode(AudioWriter(format_).write(sound))
    writer = AudioWriter(format_)
    parts = [writer.write(sound[n : n + piece]) for n in range(0, len(sound), piece)]
    assert b"".join(map(base64.b64decode, parts)) == whole
    at_once = AudioReader(format_).read(encoded(whole))
    reader = AudioReader(format_)
    read = [reader.read(encoded(whole[n : n + piece])) for n in range(0, len(whole), piece)]
    assert np.array_equal(np.concatenate(read), at_once)


def test_a_reader_names_what_is_wrong():
    with pytest.raises(RequestError, match="At most 15 MiB"):
        AudioReader(PCM).read("A" * (21 << 20))


@pytest.mark.parametrize("kind", ["audio/pcmu", "audio/pcma"])
def test_every_clip_is_known_again_at_the_quality_of_a_telephone(kind):
    voice = PromptVoice()
    clips = [voice.clip(name) for name in voice.user_clips()]
    for clip in clips:
        reader, writer = AudioReader({"type": kind}), AudioWriter({"type": kind})
        heard = reader.read(writer.write(clip.samples))
        match = best_match(heard, clips)
        assert match is not None, clip.text
        assert match.clip is clip
