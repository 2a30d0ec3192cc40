"""A room on a sound server: hears a loudspeaker, resounds, adds a user, and is a microphone.

A process of its own, so that it disturbs nobody: `parec` of the loudspeaker's monitor in, `pacat`
into the microphone's sink out. Argument: a JSON object with gain, rt60, seed and `user`, a file of
int16 samples at 48 kHz that are spoken along. It prints a line when it begins, and goes on until
its standard input closes. The tests' folder has to be on PYTHONPATH.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys

import numpy as np
from echo_scene import RATE as SCENE_RATE
from echo_scene import bent, impulse_response

RATE = 48000
BLOCK = RATE // 100
FORMAT = ("--raw", "--format=s16le", f"--rate={RATE}", "--channels=1")
CUSHION = 6
"""Blocks of silence that the way out begins with, so that it does not run dry."""


def main() -> None:
    urgent()
    plan = json.loads(sys.argv[1])
    user = np.fromfile(plan["user"], "<i2").astype(float)
    path = np.repeat(impulse_response(plan["rt60"], plan["seed"]), RATE // SCENE_RATE)
    path *= plan["gain"] / (RATE // SCENE_RATE)
    size = 1 << int(np.ceil(np.log2(BLOCK + len(path))))
    spectrum, tail = np.fft.rfft(path, size), np.zeros(size)
    noise = np.random.default_rng(5).standard_normal(10 * RATE) * 32768 * 10 ** (-65 / 20)
    ear = subprocess.Popen(
        ["pacat", "--record", "--device=spk.monitor", "--latency-msec=10", *FORMAT],
        stdout=subprocess.PIPE,
        bufsize=0,
    )
    mouth = subprocess.Popen(
        ["pacat", "--playback", "--device=micbus", "--latency-msec=60", *FORMAT],
        stdin=subprocess.PIPE,
    )
    # Both have to run before the first sound, or what piles up meanwhile stays as delay.
    mouth.stdin.write(bytes(2 * BLOCK * 50))
    mouth.stdin.flush()
    exactly(ear.stdout.fileno(), 2 * BLOCK * 50)
    while select.select([ear.stdout], [], [], 0)[0]:
        os.read(ear.stdout.fileno(), 65536)
    mouth.stdin.write(bytes(2 * BLOCK * CUSHION))
    at = 0
    while not select.select([sys.stdin], [], [], 0)[0]:
        data = exactly(ear.stdout.fileno(), 2 * BLOCK)
        if at == 0:
            print("begun", flush=True)
        sound = np.fft.rfft(bent(np.frombuffer(data, "<i2").astype(float)), size) * spectrum
        echo = np.fft.irfft(sound, size) + tail
        tail = np.concatenate((echo[BLOCK:], np.zeros(BLOCK)))
        heard = echo[:BLOCK] + noise[at % len(noise) :][:BLOCK]
        spoken = user[at : at + BLOCK]
        heard[: len(spoken)] += spoken
        mouth.stdin.write(np.clip(np.rint(heard), -32768, 32767).astype("<i2").tobytes())
        mouth.stdin.flush()
        at += BLOCK
    for process in (ear, mouth):
        process.kill()
        process.wait()


def urgent() -> None:
    """Be on time, as physics is, however busy the machine; needs root."""
    with contextlib.suppress(OSError, AttributeError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(5))
    with contextlib.suppress(OSError, AttributeError):
        os.nice(-15)


def exactly(file: int, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = os.read(file, count - len(data))
        if not more:
            sys.exit("the sound server is gone")
        data += more
    return data


if __name__ == "__main__":
    main()
