"""Who speaks in the emulator: decides what to answer, and with which clip.

A persona is asked twice in a turn: what the user has just said (`hear`; only somebody who knows it
beforehand can tell, there is no speech recognition here) and what to answer (`respond`). It owns
its own memory and nothing else: no clock, no channel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from rtcvoice.emulator.session.items import Item
from rtcvoice.emulator.session.outputs import RATE_HZ, Pcm

__all__ = ["Assistant", "Clip", "Context", "Persona", "Reply", "Voice", "join"]


@dataclass(frozen=True)
class Clip:
    """A piece of recorded speech: its name, its words, its samples (int16, mono, 24 kHz)."""

    name: str
    text: str
    samples: Pcm

    @property
    def seconds(self) -> float:
        """How long it is."""
        return len(self.samples) / RATE_HZ


class Voice(Protocol):
    """A set of clips."""

    def names(self) -> list[str]:
        """Return the names of all clips."""
        ...

    def clip(self, name: str) -> Clip:
        """Return the clip `name`. Raises ConfigError for an unknown one."""
        ...


@dataclass(frozen=True)
class Reply:
    """An answer: its words, and the recording of them, without which it can only be written."""

    text: str
    clip: Clip | None = None


@dataclass(frozen=True)
class Context:
    """What a persona may know when it is asked to answer."""

    items: Sequence[Item]
    """The conversation, oldest first, or the `input` of the response."""
    user_text: str | None
    """What the user said or wrote last; None when nobody knows."""
    new_turn: bool
    """Whether the user said or wrote something since the last answer."""
    spoken: bool
    """Whether that was by voice."""
    out_of_band: bool = False
    """Whether the answer stays outside the conversation (`conversation:"none"`)."""
    user_silent: bool = False
    """Whether the answer is due because the user said nothing for `idle_timeout_ms`."""
    request: dict[str, Any] = field(default_factory=dict)
    """The `response` of the `response.create`; empty when the server asked by itself."""
    session: dict[str, Any] = field(default_factory=dict)
    """The session's settings."""


class Persona(Protocol):
    """Whoever answers."""

    def hear(self) -> str | None:
        """Return what the user said in the spoken turn that just ended; None if unknown."""
        ...

    def respond(self, context: Context) -> Reply:
        """Return the answer that `context` calls for."""
        ...


_WISHES = ("long", "story", "talk", "lecture")


class Assistant:
    """Answers short prompts in rotation, and with a long talk when the user asks for one.

    It knows the shipped prompts by name (`greeting`, `reply-1`..., `talk`, `still-there`); of
    another voice it says whatever there is. Raises ValueError for a voice without clips.
    """

    def __init__(self, voice: Voice) -> None:
        self._voice = voice
        names = voice.names()
        if not names:
            raise ValueError("a voice needs at least one clip")
        self._known = set(names)
        self._replies = [n for n in names if n.startswith("reply")] or names
        self._next = 0

    def hear(self) -> str | None:
        """Return None: it has no ears."""
        return None

    def respond(self, context: Context) -> Reply:
        """Answer with a prompt."""
        clip = self._voice.clip(self._choose(context))
        return Reply(clip.text, clip)

    def _choose(self, context: Context) -> str:
        if context.user_silent and "still-there" in self._known:
            return "still-there"
        text = (context.user_text or "").lower()
        if "talk" in self._known and any(wish in text for wish in _WISHES):
            return "talk"
        if not context.items and "greeting" in self._known:
            return "greeting"
        name = self._replies[self._next % len(self._replies)]
        self._next += 1
        return name


def join(clips: Sequence[Clip]) -> Clip:
    """Return several clips said one after the other as one."""
    if len(clips) == 1:
        return clips[0]
    return Clip(
        "+".join(clip.name for clip in clips),
        " ".join(clip.text for clip in clips),
        np.concatenate([clip.samples for clip in clips]),
    )
