"""Puts the recordings of several calls on one timeline: those of a client that called again."""

from __future__ import annotations

import json
import wave
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rtcvoice.emulator.session.outputs import RATE_HZ
from rtcvoice.errors import ConfigError

__all__ = ["joined_audio"]

LONGEST = 4 * 3600
"""Seconds from the first call's offer to the last call's end, at most."""


def joined_audio(folders: Iterable[str | Path]) -> npt.NDArray[np.int16]:
    """Return both sides of several recorded calls, int16, 24 kHz, shape (n, 2): left the user.

    Sample 0 is the moment of the first offer. Where calls overlap, they are added, as they would be
    heard. Raises ConfigError for a folder without a recording.
    """
    calls = sorted((_began_at(Path(folder)), Path(folder)) for folder in folders)
    if not calls:
        return np.zeros((0, 2), np.int16)
    first = calls[0][0]
    placed = [(round((at - first) * RATE_HZ), _audio(folder)) for at, folder in calls]
    length = max(start + len(audio) for start, audio in placed)
    if length > LONGEST * RATE_HZ:
        raise ConfigError(
            f"these calls lie {length / RATE_HZ / 3600:.1f} hours apart", hint="join fewer of them"
        )
    joined = np.zeros((length, 2), np.int32)
    for start, audio in placed:
        joined[start : start + len(audio)] += audio
    return np.clip(joined, -32768, 32767).astype(np.int16)


def _began_at(folder: Path) -> float:
    try:
        return float(json.loads((folder / "call.json").read_text(encoding="ascii"))["began_at"])
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise _no_recording(folder, exc) from exc


def _audio(folder: Path) -> npt.NDArray[np.int16]:
    try:
        with wave.open(str(folder / "audio.wav")) as file:
            frames = file.readframes(file.getnframes())
    except (OSError, EOFError, wave.Error) as exc:
        raise _no_recording(folder, exc) from exc
    return np.frombuffer(frames, np.int16).reshape(-1, 2)


def _no_recording(folder: Path, cause: Exception) -> ConfigError:
    return ConfigError(
        f"{folder} has no recording of a call: {cause}", hint="name folders of Emulator(record=...)"
    )
