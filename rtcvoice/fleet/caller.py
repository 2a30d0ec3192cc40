"""The caller of a fleet's call: does one step after the other, in real time."""

from __future__ import annotations

import asyncio
import importlib.resources
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from rtcvoice.call.call import Call
from rtcvoice.capture.file import load_file
from rtcvoice.capture.spoken import SpokenSource
from rtcvoice.errors import ConfigError, RtcVoiceError
from rtcvoice.playout.sink import HeadlessSink
from rtcvoice.sound.samples import DEFAULT_RATE, Samples, peak_of
from rtcvoice.sound.synthesizer import checked_synthesizer, synthesized
from rtcvoice.system.threads import in_thread

from .line import LineEffects
from .spans import PAUSE, AudibleSpans
from .specs import Line, Step

__all__ = ["Caller", "StepFailed", "load_clips"]

LONGEST_CLIP = 600.0
"""Seconds of one clip."""

LONGEST_CLIPS = 3600.0
"""Seconds of all clips of a call together: they are in memory."""

PROMPT = "prompt:"

ANSWER_WITHIN = 30.0
"""Seconds that the answer to the last step may take."""

QUIET = 1.0
"""Seconds without speech and without an answer after which none will come."""

NOTICED_WITHIN = 5.0
"""The same where the other side has not noticed yet that something was said: it may be slow."""

LOOK = 0.02
"""Seconds between two looks at the call."""


class StepFailed(Exception):  # noqa: N818
    """A step could not be done: the other side did not do its part."""


class CallerEar(HeadlessSink):
    """What the caller hears: kept are the stretches in which there was sound."""

    def __init__(self) -> None:
        super().__init__(rate=DEFAULT_RATE)
        self.spans = AudibleSpans()

    def write(self, samples: Samples) -> None:
        """Take the next 10 ms."""
        now = asyncio.get_running_loop().time()
        self.spans.feed(peak_of(samples), now, now + len(samples) / self.rate)


class CallerSource(SpokenSource):
    """What the caller says, and silence in between."""

    def __init__(self, line: Line, seed: int) -> None:
        super().__init__()
        self.spans = AudibleSpans()
        self._line = LineEffects(line, rate=self.rate, seed=seed)

    def _next(self, count: int) -> Samples:
        block = np.zeros(count, np.int16)
        if spoken := self._fill(block):
            now = asyncio.get_running_loop().time()
            self.spans.feed(peak_of(block), now, now + spoken / self.rate)
        return self._line.process(block)


async def load_clips(steps: Iterable[Step]) -> dict[str, Samples]:
    """Return what all steps say, by name or text. Raises DeviceError, ConfigError."""
    steps = tuple(steps)
    texts = dict.fromkeys(step.speak for step in steps if step.speak is not None)
    found: dict[str, Samples] = {}
    program = checked_synthesizer() if texts else ""
    for text in texts:
        try:
            found[text] = await in_thread(synthesized, program, text)
        except (OSError, subprocess.SubprocessError) as exc:
            raise ConfigError(f"{program} did not speak {text!r:.80}: {exc}") from exc
    for name in dict.fromkeys(step.say for step in steps if step.say is not None):
        found[name] = await load_file(_path_of(name), longest=LONGEST_CLIP)
        if sum(map(len, found.values())) > LONGEST_CLIPS * DEFAULT_RATE:
            raise ConfigError(f"the clips of a call are longer than {LONGEST_CLIPS:g} s in all")
    return found


def _path_of(name: str) -> Path:
    if not name.startswith(PROMPT):
        return Path(name)
    prompt = name.removeprefix(PROMPT)
    shipped = Path(str(importlib.resources.files("rtcvoice.emulator") / "prompts"))
    path = shipped / f"{prompt}.ogg"
    if not prompt.replace("-", "").isalnum() or not path.is_file():
        there = sorted(each.stem for each in shipped.glob("*.ogg"))
        raise ConfigError(f"there is no clip {name!r:.100}", hint=f"one of {', '.join(there)}")
    return path


class Caller:
    """One caller that does steps. `source` and `sink` are to be the call's; then `run(call)`."""

    def __init__(
        self, steps: Iterable[Step], clips: Mapping[str, Samples], *, line: Line, seed: int
    ) -> None:
        self.source = CallerSource(line, seed)
        self.sink = CallerEar()
        self._steps = tuple(steps)
        self._clips = clips
        self.tokens, self.cost = 0, 0.0
        """What the caller itself used: nothing."""
        self._said = False
        self.interruptions = 0
        """How often the caller barged in while the other side spoke."""
        self.written: list[float] = []
        """When something was written, on the clock of the loop: that is answered, too."""

    async def run(self, call: Call) -> None:
        """Do all steps, and wait for the answer to the last. Raises StepFailed, CallEnded.

        Returns at once from a step that hangs up.
        """
        for number, step in enumerate(self._steps, 1):
            try:
                if step.hang_up:
                    return
                await self._do(step, call)
            except StepFailed as failed:
                raise StepFailed(f"step {number}: {failed}") from failed
            except RtcVoiceError as exc:
                if call.state is not call.state.ACTIVE:
                    raise
                raise StepFailed(f"step {number}: {exc}") from exc
        if self._steps and self._steps[-1].listen is None and self._steps[-1].wait is None:
            await self._listen(call, ANSWER_WITHIN)

    async def _do(self, step: Step, call: Call) -> None:
        said = step.say if step.say is not None else step.speak
        if said is not None:
            if step.after is not None:
                await self._barge_in(step.after)
            self.source.say(self._clips[said])
            await self.source.said.wait()
            self._said = True
        elif step.write is not None:
            self.written.append(asyncio.get_running_loop().time())
            await call.send(step.write)
        elif step.wait is not None:
            await asyncio.sleep(step.wait)
        elif step.listen is not None:
            await self._listen(call, step.listen)

    async def _listen(self, call: Call, seconds: float) -> None:
        """Wait until the other side has answered, and nothing more comes."""
        loop = asyncio.get_running_loop()
        deadline, quiet_since = loop.time() + seconds, loop.time()
        noticed = not (self._said and call.is_idle)
        self._said = False
        while loop.time() - quiet_since < (QUIET if noticed else NOTICED_WITHIN):
            await asyncio.sleep(LOOK)
            if not call.is_idle:
                quiet_since, noticed = loop.time(), True
            if loop.time() > deadline:
                raise StepFailed(f"the answer is not over after {seconds:g} s")

    async def _barge_in(self, after: float) -> None:
        """Wait until the other side has been heard for so long."""
        loop, heard = asyncio.get_running_loop(), self.sink.spans
        deadline, before = loop.time() + ANSWER_WITHIN + after, heard.ended or 0.0
        while heard.began is None or heard.ended == before or loop.time() - heard.began < after:
            await asyncio.sleep(LOOK)
            if loop.time() > deadline:
                raise StepFailed("there was no answer to barge in on")
        if heard.ended is None or loop.time() - heard.ended > PAUSE:
            raise StepFailed(f"the answer was over before {after:g} s: nobody to barge in on")
        self.interruptions += 1
