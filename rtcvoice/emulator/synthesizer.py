"""A voice that says any text, by a speech synthesizer that is installed: flite, espeak-ng or say.

Only on request: what it says depends on the machine. The program runs beside the event loop from
the moment its words are known, which is some 0.3 s before they are to be heard; only what is then
still missing is waited for. A synthesizer that fails is reported once, and the prompts speak.
"""

from __future__ import annotations

import logging
import subprocess
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from functools import lru_cache, partial

from rtcvoice.emulator.session.clips import Speech
from rtcvoice.emulator.session.outputs import Pcm
from rtcvoice.emulator.voice import PromptVoice
from rtcvoice.errors import ConfigError, DeviceError
from rtcvoice.sound.synthesizer import PATIENCE, SYNTHESIZERS, checked_synthesizer, synthesized

__all__ = ["SynthesizedVoice", "open_voice"]

logger = logging.getLogger(__name__)


def open_voice(name: str = "prompts") -> PromptVoice:
    """Return the voice `name`: `prompts`, or a synthesizer.

    Raises ConfigError for a name that is none, and for a program that is not installed.
    """
    if name == "prompts":
        return PromptVoice()
    if name not in SYNTHESIZERS:
        raise ConfigError(
            f"there is no voice {name!r}", hint=f"one of: prompts, {', '.join(SYNTHESIZERS)}"
        )
    return SynthesizedVoice(checked_synthesizer(name))


@dataclass(frozen=True)
class _Synthesized:
    """Speech in the making."""

    text: str
    sound: Future[Pcm]
    instead: Callable[[], Speech]

    @property
    def samples(self) -> Pcm:
        """Wait for the sound, at most as long as one text may take."""
        try:
            return self.sound.result(PATIENCE)
        except (OSError, DeviceError, subprocess.SubprocessError, FutureTimeoutError) as exc:
            logger.warning("x no synthesized speech, the prompts have to do: %s", exc)
            return self.instead().samples


class SynthesizedVoice(PromptVoice):
    """A program for everything but the clips asked for by name.

    `say` may be called from any thread. A program that is still running when the emulator's process
    ends is waited for.
    """

    def __init__(self, program: str) -> None:
        super().__init__()
        self._program = program
        self._workers = ThreadPoolExecutor(2, thread_name_prefix="rtcvoice emulator voice")
        self._spoken = lru_cache(64)(self._start)

    def say(self, text: str) -> Speech:
        """`text` in the program's voice; returns at once."""
        return _Synthesized(text, self._spoken(text), partial(super().say, text))

    def _start(self, text: str) -> Future[Pcm]:
        return self._workers.submit(synthesized, self._program, text)
