"""Speech from text, by a program that is installed: flite, espeak-ng or say."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from rtcvoice.errors import ConfigError

from .samples import DEFAULT_RATE, Samples
from .sound_file import read_sound

__all__ = ["SYNTHESIZERS", "checked_synthesizer", "synthesized"]

SYNTHESIZERS: dict[str, Callable[[Path, Path], Sequence[str]]] = {
    "espeak-ng": lambda text, wav: ("espeak-ng", "-f", str(text), "-w", str(wav)),
    "flite": lambda text, wav: ("flite", "-voice", "rms", "-f", str(text), "-o", str(wav)),
    "say": lambda text, wav: (
        *("say", "-f", str(text), "-o", str(wav)),
        *("--file-format=WAVE", "--data-format=LEI16@24000"),
    ),
}
"""How each program is told to speak the file `text` into the file `wav`."""

PATIENCE = 20.0
"""Seconds that one text may take."""

LONGEST = 4000
"""Characters of a text; what comes after that is not spoken."""

LONGEST_SPEECH = 600.0

_HINTS = {
    "espeak-ng": "on Debian and Ubuntu: apt install espeak-ng",
    "flite": "on Debian and Ubuntu: apt install flite",
    "say": "it is part of macOS",
}


def checked_synthesizer(name: str = "") -> str:
    """Return the name of a program that is installed; without a name the first one that is.

    Raises ConfigError for a name that is none, and where nothing is installed.
    """
    if name and name not in SYNTHESIZERS:
        raise ConfigError(
            f"there is no synthesizer {name!r:.80}", hint=f"one of: {', '.join(SYNTHESIZERS)}"
        )
    for each in (name,) if name else ("flite", "espeak-ng", "say"):
        if shutil.which(each) is not None:
            return each
    if name:
        raise ConfigError(f"the synthesizer {name} is not installed", hint=_HINTS[name])
    raise ConfigError("no speech synthesizer is installed", hint=_HINTS["flite"])


def synthesized(program: str, text: str) -> Samples:
    """Return a text as speech, int16 mono at 24 kHz; waits, up to 20 s. Any thread.

    Raises OSError, subprocess.SubprocessError, DeviceError when the program fails.
    """
    with tempfile.TemporaryDirectory(prefix="rtcvoice-") as folder:
        written, wav = Path(folder, "text"), Path(folder, "speech.wav")
        # By file: a text that begins with a dash would be an option.
        written.write_text(text[:LONGEST], encoding="utf-8", errors="replace")
        subprocess.run(  # noqa: S603 - the command is from the table above
            SYNTHESIZERS[program](written, wav), check=True, capture_output=True, timeout=PATIENCE
        )
        return read_sound(wav, rate=DEFAULT_RATE, longest=LONGEST_SPEECH)
