"""The emulator's voice: clips rendered beforehand, with their transcripts.

A server that is to be talked to needs to talk, and a speech synthesizer would be a large
dependency for it. So `prompts/` holds what the emulator says, as Ogg Opus, and `prompts.yaml` the
words. The same folder has a scripted user's side: `prompt_path("question")` is a file to send.
Clips are decoded when first asked for and kept: a call pays only for what it says. Other texts are
put together from the clips, and hummed where there is none (`synthesizer.py` speaks them instead).
"""

from __future__ import annotations

from collections import OrderedDict
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from rtcvoice.emulator.session.clips import Clip, Speech
from rtcvoice.emulator.session.outputs import RATE_HZ, Pcm
from rtcvoice.emulator.session.speaking import Phrasebook, speak
from rtcvoice.emulator.session.wording import plain_words
from rtcvoice.errors import ConfigError, DeviceError
from rtcvoice.sound.sound_file import read_sound
from rtcvoice.system.yaml_faults import yaml_cause, yaml_place

__all__ = ["PromptVoice", "decode", "prompt_path"]

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, where it is built
_SHIPPED = Path(__file__).parent / "prompts"
_SOUNDS = (".aac", ".aiff", ".flac", ".m4a", ".mp3", ".ogg", ".opus", ".wav", ".webm")
LONGEST_CLIP = 600
"""Seconds of a file that can be said: more would fill the memory."""

_MOST_SAID = 64  # texts put together that are kept; then the oldest go


class PromptVoice:
    """Speaks the clips of a folder: `prompts.yaml`, a list of name, text, file; and the files.

    The default folder is the one shipped. Any thread may call any method; two threads asking for
    the same new clip at once may both decode it, and get equal clips. Raises ConfigError for a
    folder without a readable index.
    """

    def __init__(self, folder: Path = _SHIPPED) -> None:
        self._folder = folder
        self._index = _shipped_index() if folder == _SHIPPED else _read_index(folder)
        self._clips: dict[str, Clip] = {}
        self._said: OrderedDict[str, Clip] = OrderedDict()
        self._answers = {
            tuple(plain_words(e["text"])): e["answer"]
            for e in self._index.values()
            if isinstance(e.get("answer"), str)
        }
        own = {name: e["text"] for name, e in self._index.items() if e.get("by") != "user"}
        self._whole = {text: name for name, text in own.items()}
        self._phrasebook = Phrasebook(own)

    def names(self) -> list[str]:
        """Every clip's name, in the order of the index."""
        return list(self._index)

    def text(self, name: str) -> str:
        """What `clip(name)` says, without decoding it. Raises ConfigError for an unknown name."""
        return self._entry(name)["text"]

    def path(self, name: str) -> Path:
        """The clip's file. Raises ConfigError for an unknown name."""
        return self._folder / self._entry(name)["file"]

    def user_clips(self) -> list[str]:
        """Names of the clips that are the user's side (`by: user` in the index)."""
        return [name for name, entry in self._index.items() if entry.get("by") == "user"]

    def answer_to(self, text: str) -> str | None:
        """Name of the clip that answers a user's clip with these words, None if none does."""
        return self._answers.get(tuple(plain_words(text)))

    def clip(self, name: str) -> Clip:
        """The clip: samples int16, mono, 24 kHz, read-only, shared by all who ask.

        `name` may also be the path of an audio file; the text of its clip is empty. The first call
        for a name takes a few milliseconds per second of speech. Raises ConfigError for an unknown
        name or a file that does not decode.
        """
        clip = self._clips.get(name)
        if clip is None:
            if name not in self._index and name.lower().endswith(_SOUNDS):
                clip = Clip(name=name, text="", samples=decode(Path(name)))
            else:
                sound = _shipped if self._folder == _SHIPPED else decode
                clip = Clip(name=name, text=self.text(name), samples=sound(self.path(name)))
            self._clips[name] = clip
        return clip

    def say(self, text: str) -> Speech:
        """`text` as the clip of it, or in the words that there are clips of, the others hummed."""
        if text in self._whole:
            return self.clip(self._whole[text])
        if text not in self._said:
            parts = self._phrasebook.parts(text)
            known = [self.clip(part) if isinstance(part, str) else part for part in parts]
            self._said[text] = Clip("", text, speak(known))
        self._said.move_to_end(text)
        while len(self._said) > _MOST_SAID:
            self._said.popitem(last=False)
        return self._said[text]

    def _entry(self, name: str) -> dict[str, str]:
        try:
            return self._index[name]
        except KeyError:
            raise ConfigError(
                f"There is no prompt called {name!r}", hint=f"one of: {', '.join(self._index)}"
            ) from None


def prompt_path(name: str) -> Path:
    """The file of a shipped clip, Ogg Opus. Raises ConfigError for an unknown name.

    The user's side: `question`, `follow-up`, `stop`, `ask-weather`, `ask-sum`, `ask-story`,
    `thanks`.
    """
    return PromptVoice().path(name)


@lru_cache(1)
def _shipped_index() -> dict[str, dict[str, str]]:
    return _read_index(_SHIPPED)


def _read_index(folder: Path) -> dict[str, dict[str, str]]:
    path = folder / "prompts.yaml"
    try:
        entries: Any = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # noqa: S506 - is safe
    except (OSError, yaml.YAMLError) as exc:
        place = yaml_place(exc, str(path))
        raise ConfigError(f"Cannot read the prompts in {place}: {yaml_cause(exc)}") from exc
    if not isinstance(entries, list):
        raise ConfigError(f"{path} is not a list of prompts")
    return {entry["name"]: entry for entry in map(_checked, entries)}


def _checked(entry: Any) -> dict[str, str]:
    if isinstance(entry, dict) and all(
        isinstance(entry.get(key), str) for key in ("name", "text", "file")
    ):
        return entry
    raise ConfigError(f"A prompt needs name, text and file as strings, this has not: {entry!r}")


@lru_cache
def _shipped(path: Path) -> Pcm:
    """Decode a shipped prompt, once in a process: 4 MB for all of them."""
    return decode(path)


def decode(path: Path) -> Pcm:
    """Return the sound of a file: int16, mono, 24 kHz, read-only. Raises ConfigError."""
    try:
        samples = read_sound(path, rate=RATE_HZ, longest=LONGEST_CLIP)
    except DeviceError as exc:
        raise ConfigError(
            f"Cannot decode {path}: {exc.message}", hint="name a prompt, or a file with sound in it"
        ) from exc
    if len(samples) > LONGEST_CLIP * RATE_HZ:
        raise ConfigError(f"{path} is longer than {LONGEST_CLIP // 60} minutes", hint="cut it")
    samples.setflags(write=False)
    return samples
