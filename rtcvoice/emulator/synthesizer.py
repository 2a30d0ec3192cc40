"""A voice that says any text, by a speech synthesizer that is installed: flite, espeak-ng or say.

Only on request: what it says depends on the machine. The program runs beside the event loop from
the moment its words are known, which is some 0.3 s before they are to be heard; only what is then
still missing is waited for. A synthesizer that fails is reported once, and the prompts speak.
"""

from __future__ import annotations

import logging
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

from rtcvoice.emulator.session.clips import Speech
from rtcvoice.emulator.session.outputs import Pcm
from rtcvoice.emulator.voice import PromptVoice, decode
from rtcvoice.errors import ConfigError

__all__ = ["SYNTHESIZERS", "SynthesizedVoice", "open_voice"]

logger = logging.getLogger(__name__)

SYNTHESIZERS: dict[str, Callable[[Path, Path], Sequence[str]]] = {
    "espeak-ng": lambda text, wav: ("espeak-ng", "-f", str(text), "-w", str(wav)),
    "flite": lambda text, wav: ("flite", "-voice", "rms", "-f", str(text), "-o", str(wav)),
    "say": lambda text, wav: (
        *("say", "-f", str(text), "-o", str(wav)),
        *("--file-format=WAVE", "--data-format=LEI16@24000"),
    ),
}
"""How each program is told to speak the file `text` into the file `wav`."""

_HINTS = {
    "espeak-ng": "on Debian and Ubuntu: apt install espeak-ng",
    "flite": "on Debian and Ubuntu: apt install flite",
    "say": "it is part of macOS",
}
_PATIENCE = 20.0  # seconds for one text
_LONGEST = 4000  # characters; what comes after that is not spoken


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
    if shutil.which(name) is None:
        raise ConfigError(f"the synthesizer {name} is not installed", hint=_HINTS[name])
    return SynthesizedVoice(name)


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
            return self.sound.result(_PATIENCE)
        except (OSError, ConfigError, subprocess.SubprocessError, FutureTimeoutError) as exc:
            logger.warning("x no synthesized speech, the prompts have to do: %s", exc)
            return self.instead().samples


class SynthesizedVoice(PromptVoice):
    """A program for everything but the clips asked for by name.

    `say` may be called from any thread. A program that is still running when the emulator's process
    ends is waited for.
    """

    def __init__(self, program: str) -> None:
        super().__init__()
        self._command = SYNTHESIZERS[program]
        self._workers = ThreadPoolExecutor(2, thread_name_prefix="rtcvoice emulator voice")
        self._spoken = lru_cache(64)(self._start)

    def say(self, text: str) -> Speech:
        """`text` in the program's voice; returns at once."""
        return _Synthesized(text, self._spoken(text), partial(super().say, text))

    def _start(self, text: str) -> Future[Pcm]:
        return self._workers.submit(self._synthesize, text[:_LONGEST])

    def _synthesize(self, text: str) -> Pcm:
        with tempfile.TemporaryDirectory(prefix="rtcvoice-") as folder:
            written, wav = Path(folder, "text"), Path(folder, "speech.wav")
            # By file: a text that begins with a dash would be an option.
            written.write_text(text, encoding="utf-8", errors="replace")
            subprocess.run(  # noqa: S603 - the command is from the table above
                self._command(written, wav), check=True, capture_output=True, timeout=_PATIENCE
            )
            return decode(wav)
