"""The emulator's voice: clips rendered beforehand, with their transcripts.

A server that is to be talked to needs to talk, and a speech synthesizer would be a large
dependency for it. So `prompts/` holds what the emulator says, as Ogg Opus, and `prompts.yaml` the
words. The same folder has a scripted user's side: `prompt_path("question")` is a file to send.
Clips are decoded when first asked for and kept: a call pays only for what it says.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import yaml

from rtcvoice.emulator.session.outputs import RATE_HZ, Pcm
from rtcvoice.emulator.session.persona import Clip
from rtcvoice.errors import ConfigError

__all__ = ["PromptVoice", "prompt_path"]

_SHIPPED = Path(__file__).parent / "prompts"


class PromptVoice:
    """Speaks the clips of a folder: `prompts.yaml`, a list of name, text, file; and the files.

    The default folder is the one shipped. Any thread may call any method; two threads asking for
    the same new clip at once may both decode it, and get equal clips. Raises ConfigError for a
    folder without a readable index.
    """

    def __init__(self, folder: Path = _SHIPPED) -> None:
        self._folder = folder
        self._index = _read_index(folder / "prompts.yaml")
        self._clips: dict[str, Clip] = {}

    def names(self) -> list[str]:
        """Every clip's name, in the order of the index."""
        return list(self._index)

    def text(self, name: str) -> str:
        """What `clip(name)` says, without decoding it. Raises ConfigError for an unknown name."""
        return self._entry(name)["text"]

    def path(self, name: str) -> Path:
        """The clip's file. Raises ConfigError for an unknown name."""
        return self._folder / self._entry(name)["file"]

    def clip(self, name: str) -> Clip:
        """The clip: samples int16, mono, 24 kHz, read-only, shared by all who ask.

        The first call for a name takes a few milliseconds per second of speech. Raises ConfigError
        for an unknown name or a file that does not decode.
        """
        clip = self._clips.get(name)
        if clip is None:
            clip = Clip(name=name, text=self.text(name), samples=_decode(self.path(name)))
            self._clips[name] = clip
        return clip

    def _entry(self, name: str) -> dict[str, str]:
        try:
            return self._index[name]
        except KeyError:
            raise ConfigError(
                f"There is no prompt called {name!r}", hint=f"one of: {', '.join(self._index)}"
            ) from None


def prompt_path(name: str) -> Path:
    """The file of a shipped clip, Ogg Opus. Raises ConfigError for an unknown name.

    The user's side of the demo: `question`, `follow-up`, `stop`.
    """
    return PromptVoice().path(name)


def _read_index(path: Path) -> dict[str, dict[str, str]]:
    try:
        entries: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as exc:
        raise ConfigError(f"Cannot read the prompts in {path}: {exc}") from exc
    if not isinstance(entries, list):
        raise ConfigError(f"{path} is not a list of prompts")
    return {entry["name"]: entry for entry in map(_checked, entries)}


def _checked(entry: Any) -> dict[str, str]:
    if isinstance(entry, dict) and all(
        isinstance(entry.get(key), str) for key in ("name", "text", "file")
    ):
        return entry
    raise ConfigError(f"A prompt needs name, text and file as strings, this has not: {entry!r}")


def _decode(path: Path) -> Pcm:
    resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE_HZ)
    try:
        with av.open(str(path)) as container:
            parts = [
                part.to_ndarray()[0]
                for frame in [*container.decode(audio=0), None]
                for part in resampler.resample(frame)
            ]
    except (av.FFmpegError, IndexError, OSError) as exc:
        raise ConfigError(f"Cannot decode the prompt {path}: {exc}") from exc
    samples = np.concatenate([np.empty(0, np.int16), *parts])
    samples.setflags(write=False)
    return samples
