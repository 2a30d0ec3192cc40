"""The echo scene on real streams: a call over PulseAudio, a room between speaker and microphone.

The emulator talks and records what it hears; its voice activity detection judges: every
`speech_started` is a barge-in. It is told not to stop at one, so that all of them are counted; only
without cancellation it does as usual, since its own voice would be one endless barge-in. When the
user spoke is found in the recording itself, so no clock has to be trusted.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
import wave
from contextlib import suppress
from pathlib import Path
from typing import Any

import bench_echo_speech as programme
import numpy as np
from echo_scene import RATE as SCENE_RATE
from echo_scene import echo_gain
from pulse import pulse_server

import rtcvoice
from rtcvoice.emulator import Emulator, Pace, Turn
from rtcvoice.emulator.session.voice_activity import SpeechStarted, VadSettings, VoiceActivity
from rtcvoice.emulator.voice import PromptVoice

ROOT = Path(__file__).resolve().parent.parent
LONG = ("talk", "jitter-buffer", "lost-packet", "greeting", "reply-7")
ROOM_RATE = 48000
SLACK = 0.1
"""Seconds after an utterance's end within which it may still be noticed: the detector's frames."""
JUDGE = {"type": "server_vad", "create_response": False, "interrupt_response": False}
SERVER_VAD = {"type": "server_vad"}


def measure(
    echo_db: float, *, alone: float, over: float, cancel: bool, rt60: float = 0.25
) -> dict[str, Any]:
    """One call: `alone` seconds of the assistant, `over` seconds with the user putting in words."""
    samples, said = programme.user(alone, alone + over, ROOM_RATE)
    voice = PromptVoice()
    speech = np.concatenate([voice.clip(name).samples for name in LONG[:2]])
    gain = echo_gain(speech[: 10 * SCENE_RATE], programme.USER_DBFS + echo_db, rt60)
    with suppress(OSError):  # other programs are not what is measured; needs root
        os.nice(-10)
    with tempfile.TemporaryDirectory() as folder, pulse_server():
        path = Path(folder) / "user.raw"
        np.clip(samples, -32768, 32767).astype("<i2").tofile(path)
        plan = {"gain": gain, "rt60": rt60, "seed": 3, "user": str(path)}
        figures = asyncio.run(_called(plan, folder, alone + over, cancel))
        (recorded,) = Path(folder).glob("*/audio.wav")
        heard = _user_side(recorded)
    begun = _place(samples[:: ROOM_RATE // SCENE_RATE], heard) if over else 0.0
    onsets = [at - begun for at in _onsets(heard)]
    false, waits = programme.judge(onsets, said, slack=SLACK)
    return figures | {
        "false": false if cancel else figures["events"],
        "heard": len(waits),
        "said": len(said),
        "wait_ms": round(1000 * float(np.median(waits))) if waits else None,
        "onsets": [round(at, 2) for at in onsets],
    }


async def _called(
    plan: dict[str, Any], folder: str, seconds: float, cancel: bool
) -> dict[str, Any]:
    script = [Turn(says=LONG * (int(seconds // 50) + 2))] * (1 if cancel else 100)
    microphone, speaker = rtcvoice.Microphone(echo_cancellation=cancel), rtcvoice.Speaker()
    started: list[Any] = []
    async with (
        Emulator(script=script, pace=Pace(response_latency=0.05), seed=1, record=folder) as server,
        rtcvoice.connect(
            base_url=server.url,
            api_key="sk-any",
            source=microphone,
            sink=speaker,
            turn_detection=JUDGE if cancel else SERVER_VAD,
        ) as call,
    ):

        @call.on("input_audio_buffer.speech_started")
        async def note(event: Any) -> None:
            started.append(event)

        await call.send("Talk.")
        await call.wait_for("output_audio_buffer.started", timeout=20)
        await asyncio.to_thread(_in_a_room, plan, seconds)
        stats = call.stats()
    dropouts = stats.loudspeaker.dropouts + stats.microphone.dropouts
    return {"events": len(started), "dropouts": dropouts}


def _in_a_room(plan: dict[str, Any], seconds: float) -> None:
    program = str(ROOT / "scripts" / "bench_echo_room.py")
    with subprocess.Popen(
        [sys.executable, program, json.dumps(plan)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as room:
        room.stdout.readline()
        time.sleep(seconds)
        room.stdin.close()


def _user_side(recorded: Path) -> np.ndarray:
    with wave.open(str(recorded)) as file:
        both = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2)
    return both[:, 0]


def _place(user: np.ndarray, heard: np.ndarray) -> float:
    """Return at which second of `heard` the user's programme begins."""
    size = len(user) + len(heard)
    likeness = np.fft.irfft(np.fft.rfft(heard, size) * np.fft.rfft(user, size).conj(), size)
    return float(np.argmax(likeness[: len(heard)])) / SCENE_RATE


def _onsets(heard: np.ndarray) -> list[float]:
    """Return when the server's detector, given this, says that speech began."""
    detector, onsets = VoiceActivity(VadSettings()), []
    for at in range(0, len(heard), SCENE_RATE // 50):
        for event in detector.process(heard[at : at + SCENE_RATE // 50]):
            onsets += [detector.position / SCENE_RATE] * isinstance(event, SpeechStarted)
    return onsets
