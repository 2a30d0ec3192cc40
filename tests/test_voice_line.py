"""The line that other people's harnesses speak into: bytes in, bytes out. Their own packages are
tried in `scripts/interop evals`."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from live import KEY, BentEmulator

from rtcvoice.emulator import prompt_path
from rtcvoice.errors import CallEnded, ConfigError
from rtcvoice.integrations.voice_line import VoiceLine, pcm_samples
from rtcvoice.sound.sound_file import read_sound

pytestmark = pytest.mark.usefixtures("no_stray_errors")

SOUND = bytes(4800)


def test_samples_of_any_rate_become_ours():
    sound = (8000 * np.sin(np.arange(16000) * 2 * np.pi * 440 / 16000)).astype("<i2")
    ours = pcm_samples(sound.tobytes(), 16000)
    assert len(ours) == 24000
    spectrum = np.abs(np.fft.rfft(ours))
    assert np.argmax(spectrum) == 440
    assert pcm_samples(b"", 16000).size == 0
    with pytest.raises(ConfigError, match="half a sample"):
        pcm_samples(b"abc", 24000)


async def test_a_harness_says_something_and_hears_the_answer():
    with pytest.raises(ConfigError, match="sink"):
        VoiceLine({"sink": None})
    async with BentEmulator() as server:
        line = VoiceLine({"base_url": server.url, "api_key": KEY, "transport": "webrtc"})
        with pytest.raises(ConfigError, match="no call yet"):
            _ = line.call
        await line.open()
        clip = read_sound(str(prompt_path("thanks")), rate=24000, longest=9)
        await line.say(clip.astype("<i2").tobytes())
        heard = b""
        while len(heard) < 48000:
            heard += (await line.hear(30.0)).pcm
        call = line.call
        await call.hangup(drain=False)
        while await line.hear(30.0):
            pass
        assert await line.hear(30.0) is None
        assert line.end is not None
        await line.close()
        await line.close()
        assert not line.is_open


def test_what_is_no_sound_is_refused():
    for rate in (0, -1, 1, 10**9, float("nan")):
        with pytest.raises(ConfigError, match="sample rate"):
            pcm_samples(SOUND, rate)
    assert len(pcm_samples(SOUND, 48000)) == 1200


async def test_a_line_tells_of_its_end_and_waits_for_nobody_who_is_gone():
    line = VoiceLine({})
    assert not line.is_open
    assert line.end is None
    line.stop()
    with pytest.raises(ConfigError, match="no call yet"):
        await line.say(SOUND)
    async with BentEmulator() as server:
        line = VoiceLine({"base_url": server.url, "api_key": KEY})
        first = await line.open()
        await line.say(SOUND)
        second = await line.open()  # a harness that connects again leaves no call behind
        assert first.state.name == "ENDED"
        await second.hangup()
        async with asyncio.timeout(30):
            with pytest.raises(CallEnded):
                await line.say(SOUND)
            assert await line.hear() is None
            assert await line.hear() is None
        await line.close()
