"""Calls through real devices: PortAudio, ALSA and PulseAudio with null sinks (`pulse.py`)."""

from __future__ import annotations

import asyncio
import re
import time
import wave

import numpy as np
import pytest
from live import Census, calling, eventually, find, hold, loop_lag
from pulse import pulse_server

import rtcvoice
from rtcvoice.capture.file import load_file
from rtcvoice.cli.main import main
from rtcvoice.device.host import device_host
from rtcvoice.emulator import Emulator, Pace, Turn, prompt_path

pytestmark = pytest.mark.usefixtures("no_stray_errors")

SPOKEN, SAID = "thanks", "ask-story"
PACE = Pace(response_latency=0.05)


@pytest.fixture(scope="module")
def sound_server():
    with pulse_server() as server:
        yield server


@pytest.fixture
def sound(sound_server):
    """The sound server as it is at first, and the list of devices anew."""
    sound_server.ensure()
    device_host()._refreshed_at = float("-inf")  # however lately a test before looked for them
    rtcvoice.devices(refresh=True)
    return sound_server


def taken(call):
    """Blocks of the microphone that were sent, or left out as the machine was too slow for them."""
    uplink = call.stats().uplink
    return uplink.packets_sent + uplink.packets_left_out


async def clip(name: str, rate: int) -> np.ndarray:
    return await load_file(prompt_path(name), rate=rate)


def compare(said: np.ndarray, recorded: np.ndarray, rate: int) -> tuple[float, int]:
    """Return how alike what was recorded is, and how many 20 ms are silent that should not be.

    By half seconds, since the tempo of speech changes where its packets come late.
    """
    likeness, holes, block = [], 0, rate // 50
    for start in range(0, len(said) - rate // 2 + 1, rate // 2):
        part = said[start : start + rate // 2]
        at, alike = find(part, recorded)
        heard = loudness(recorded[at : at + len(part)], block)
        asked = loudness(part, block)
        likeness.append(alike)
        holes += int(((asked > 500) & (heard < 0.05 * asked)).sum())
    return float(np.median(likeness)), holes


def loudness(samples: np.ndarray, block: int) -> np.ndarray:
    return np.sqrt((samples.astype(float).reshape(-1, block) ** 2).mean(1))


async def test_both_ways_through_real_devices(sound, tmp_path):
    """What is said into the microphone is heard, what is answered comes out, nothing is lost.

    A plain handler blocks meanwhile, as user code does.
    """
    spoken, said = await clip(SPOKEN, 48000), await clip(SAID, 48000)
    script = [Turn(says=(SAID,))]
    async with (
        loop_lag() as lag,
        Emulator(script=script, pace=PACE, seed=1, record=tmp_path) as server,
    ):
        microphone = rtcvoice.Microphone(echo_cancellation=False)
        speaker = rtcvoice.Speaker()
        with sound.record() as recording:
            async with calling(server, source=microphone, sink=speaker, connect_timeout=30) as call:

                @call.on("response.created")
                def hog(event):  # runs in a thread of its own
                    time.sleep(1.5)

                sound.play(spoken)
                await call.wait_for("output_audio_buffer.started", timeout=30)
                await call.wait_for("output_audio_buffer.stopped", timeout=30)
                await asyncio.sleep(0.3)
                stats = call.stats()
        (audio,) = tmp_path.glob("*/audio.wav")
    assert stats.loudspeaker.working
    assert stats.microphone.working
    assert 0.005 < stats.loudspeaker.latency < 0.3 or not lag.in_time
    assert 0.005 < stats.microphone.latency < 0.3 or not lag.in_time
    assert stats.playout.pull_errors == 0

    # On a machine that keeps up there are no holes; what was counted as missing may be one.
    likeness, holes = compare(said, recording.samples, 48000)
    assert likeness > 0.7 or stats.loudspeaker.dropouts > 2 or not lag.in_time
    assert holes <= 2 + 5 * stats.loudspeaker.dropouts + stats.playout.concealed_samples // 480
    with wave.open(str(audio)) as file:
        both = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2)
    likeness, holes = compare(await clip(SPOKEN, 24000), both[:, 0], 24000)
    kept_up = stats.microphone.dropouts <= 2 and lag.in_time
    assert likeness > 0.7 or not kept_up
    assert holes <= 2 + 5 * stats.microphone.dropouts or not kept_up


async def test_the_daemon_is_killed_and_the_call_goes_on(sound, emulator):
    """Lost within a second, found again when the daemon is back, sound both ways, and no leak."""
    microphone, speaker = rtcvoice.Microphone(echo_cancellation=False), rtcvoice.Speaker()
    await hold(emulator, source=microphone, sink=speaker)  # what a process has once
    await asyncio.to_thread(int)
    census = Census()
    async with loop_lag() as lag, calling(emulator, source=microphone, sink=speaker) as call:
        events = []

        @call.on("rtcvoice.device_changed")
        async def note(event):
            events.append((event.end, event.change.value, time.monotonic()))

        await eventually(lambda: call.stats().microphone.working, timeout=20)
        await eventually(lambda: call.stats().loudspeaker.working, timeout=20)
        sound.pactl("set-default-sink", "other")  # a new default disturbs nobody
        killed = time.monotonic()
        sound.kill()
        await eventually(lambda: len(events) == 2, timeout=20)
        assert {(end, change) for end, change, _ in events} == {
            ("microphone", "lost"),
            ("loudspeaker", "lost"),
        }
        assert max(at for *_, at in events) - killed < 1.0 or not lag.in_time
        played, sent = call.stats().playout.samples_played, taken(call)
        enough = played + 0.35 * 48000
        await eventually(lambda: call.stats().playout.samples_played > enough)  # nothing piles up
        await eventually(lambda: taken(call) - sent > 15)  # and RTP goes on
        sound.start()
        await eventually(lambda: len(events) == 4, 30)
        assert {(end, change) for end, change, _ in events[2:]} == {
            ("microphone", "reopened"),
            ("loudspeaker", "reopened"),
        }
        with sound.record() as recording:
            await call.send("Hello?")
            await eventually(
                lambda: np.abs(recording.samples[-24000:].astype(int)).max(initial=0) > 2000, 30
            )
    await census.check()


async def test_without_a_sound_server_opening_says_so(sound, emulator, monkeypatch):
    monkeypatch.setenv("PULSE_SERVER", "unix:/nonexistent")
    with pytest.raises(rtcvoice.DeviceError, match=r"no loudspeaker|refused|gone|cannot be"):
        await rtcvoice.Speaker().open()


def test_the_devices_are_listed(sound, capsys):
    found = rtcvoice.devices()
    assert any(device.is_default_input and device.inputs for device in found)
    assert main(["devices"]) == 0
    shown = capsys.readouterr().out
    microphones, loudspeakers = shown.split("loudspeakers")
    assert re.search(r"\* +\d+ +default +ALSA", microphones)
    assert re.search(r"\* +\d+ +default +ALSA", loudspeakers)
    assert max(map(len, shown.splitlines())) < 80


def test_devices_are_tried(sound, capsys, monkeypatch):
    monkeypatch.setattr("rtcvoice.cli.devices.RECORD_SECONDS", 0.3)
    monkeypatch.setattr("rtcvoice.cli.devices.TONE_SECONDS", 0.2)
    tone = 3000 * np.sin(np.arange(5 * 48000) * 0.05)
    sound.play(tone.astype(np.int16))
    with sound.record() as recording:
        assert main(["devices", "--test"]) == 0
    assert "it works, -21 dB" in capsys.readouterr().out
    assert np.abs(recording.samples.astype(int)).max() > 5000  # the tone
    assert main(["devices", "--test", "--microphone", "bogus"]) == 6
    assert "no microphone is called 'bogus'" in capsys.readouterr().err
