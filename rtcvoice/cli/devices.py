"""`python -m rtcvoice devices`: lists microphones and loudspeakers; `--test` tries two of them."""

from __future__ import annotations

import argparse
import asyncio
import math
import sys
from contextlib import AsyncExitStack

import numpy as np
import numpy.typing as npt

import rtcvoice
from rtcvoice.cli.keys import Keyboard
from rtcvoice.cli.native_stderr import quiet_libraries
from rtcvoice.cli.output import write_line
from rtcvoice.cli.parser import device_meant
from rtcvoice.errors import clean
from rtcvoice.sound.samples import level
from rtcvoice.system.threads import in_thread

__all__ = ["run"]

RATE = 48000
TONE_HZ, TONE_SECONDS = 440, 1.0
RECORD_SECONDS = 3.0

SILENT, FAINT, CLIPPED = -75.0, -45.0, -1.0
"""Peaks in dB below full scale: nothing at all, hardly a voice, and too much of it."""

METER = 30
"""Columns of the level."""

Samples = npt.NDArray[np.int16]


async def run(options: argparse.Namespace) -> int:
    """List the devices, or try two of them; 0 when it worked."""
    if options.test:
        microphone = options.microphone or options.usual_microphone
        speaker = options.speaker or options.usual_speaker
        with quiet_libraries():
            return await _test(device_meant(microphone), device_meant(speaker))
    devices = await in_thread(rtcvoice.devices, refresh=True)
    for title, able, default in (
        ("microphones", "inputs", "is_default_input"),
        ("loudspeakers", "outputs", "is_default_output"),
    ):
        write_line(sys.stdout, title)
        found = [device for device in devices if getattr(device, able)]
        for device in found:
            _show(device, marked=getattr(device, default))
        if not found:
            write_line(sys.stdout, "    none")
    return 0


def _show(device: rtcvoice.Device, *, marked: bool) -> None:
    mark = "*" if marked else " "
    name = clean(device.name).replace("\n", " ")
    kilohertz = f"{device.default_rate / 1000:g} kHz"
    write_line(sys.stdout, f"  {mark} {device.index:2}  {name:40}  {device.host_api}, {kilohertz}")


class _Tape:
    """A player of one recording: 10 ms at a time, then silence."""

    def __init__(self, samples: Samples) -> None:
        self._samples = samples
        self._position = 0

    def pull(self, now: float) -> Samples:
        """Return the next 10 ms."""
        block = np.zeros(RATE // 100, np.int16)
        part = self._samples[self._position : self._position + len(block)]
        block[: len(part)] = part
        self._position += len(block)
        return block


async def _test(wanted_microphone: int | str | None, wanted_speaker: int | str | None) -> int:
    speaker = rtcvoice.Speaker(wanted_speaker, rate=RATE)
    microphone = rtcvoice.Microphone(wanted_microphone, rate=RATE)
    async with AsyncExitStack() as stack:
        for end in (speaker, microphone):
            stack.push_async_callback(end.aclose)
            await end.open()
        await _play(speaker, _tone(), "a tone")
        if not await _yes("did you hear a tone?"):
            write_line(sys.stdout, "             turn it up, or try another: --speaker NAME")
            return 6
        heard = await _record(microphone)
        peak = level(heard).peak_dbfs
        write_line(sys.stdout, f"microphone   {_about(microphone)}: {_verdict(peak)}")
        await _play(speaker, heard, "what the microphone heard")
    return 0 if peak > SILENT else 6


def _tone() -> Samples:
    time = np.arange(int(TONE_SECONDS * RATE)) / RATE
    fade = np.minimum(1, np.minimum(time, TONE_SECONDS - time) / 0.02)
    return (6000 * fade * np.sin(2 * math.pi * TONE_HZ * time)).astype(np.int16)


async def _play(speaker: rtcvoice.Speaker, samples: Samples, what: str) -> None:
    speaker.start(_Tape(samples))
    await asyncio.sleep(len(samples) / RATE + speaker.latency + 0.1)
    write_line(sys.stdout, f"loudspeaker  {_about(speaker)}: played {what}")


async def _yes(question: str) -> bool:
    """Ask somebody who can answer with a key; where nobody can, take it for a yes."""
    with Keyboard() as keyboard:
        if not keyboard.works:
            return True
        write_line(sys.stdout, f"             {question} y or n: ", end="")
        async for key in keyboard:
            if key in ("y", "n", "\n", "\r"):
                write_line(sys.stdout, "no" if key == "n" else "yes")
                return key != "n"
    return True


async def _record(microphone: rtcvoice.Microphone) -> Samples:
    """Record, showing the level where somebody looks."""
    watched = sys.stdout.isatty()
    write_line(sys.stdout, f"say something: {RECORD_SECONDS:.0f} s are recorded")
    blocks = []
    for number in range(round(RECORD_SECONDS * 50)):
        blocks.append((await microphone.read()).samples)
        if watched and number % 5 == 4:
            sys.stdout.write(f"\r  {_meter(level(np.concatenate(blocks[-5:])).peak_dbfs)}")
            sys.stdout.flush()
    if watched:
        sys.stdout.write("\r" + " " * (METER + 14) + "\r")
    return np.concatenate(blocks)


def _about(end: rtcvoice.Microphone | rtcvoice.Speaker) -> str:
    stats = end.device_stats
    assert stats is not None
    facts = [f"{stats.rate / 1000:g} kHz", f"{stats.latency * 1000:.0f} ms"]
    if stats.dropouts:
        facts.append(f"{stats.dropouts} dropouts")
    return f"{clean(stats.device)} ({', '.join(facts)})"


def _meter(dbfs: float) -> str:
    full = round(min(1.0, max(0.0, (dbfs + 60) / 60)) * METER)
    return f"[{'#' * full}{'-' * (METER - full)}] {dbfs:4.0f} dB"


def _verdict(peak: float) -> str:
    if peak <= SILENT:
        return "silence; is it muted, or may this program not use it?"
    if peak <= FAINT:
        return f"very faint, {peak:.0f} dB at most; turn it up, or speak closer to it"
    if peak >= CLIPPED:
        return "too loud, it clips; turn it down"
    return f"it works, {peak:.0f} dB at most"
