"""Who speaks in the emulator: a persona decides what was heard and what to answer.

It is asked twice in a turn: what the user has just said (`hear`) and what to answer (`respond`).
There is no speech recognition here: a persona knows what it was told beforehand, or knows again a
clip it has. It owns its own memory and nothing else: no clock, no channel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from rtcvoice.emulator.session.items import Item
from rtcvoice.emulator.session.outputs import Pcm
from rtcvoice.emulator.session.plan import Plan
from rtcvoice.emulator.session.transcript_order import TranscriptOrder

__all__ = ["Context", "Hearing", "Persona", "Result"]


class Result(NamedTuple):
    """What a function call gave: the function's name, and the output as the client sent it."""

    name: str
    output: str


@dataclass(frozen=True)
class Hearing:
    """What a persona made of a spoken turn."""

    text: str | None = None
    """The words; None when nobody knows them, and their transcription fails."""
    transcription_fails: bool = False
    """The words are known, but their transcription is to fail."""
    order: TranscriptOrder | None = None
    """When the transcript comes; None: as the session has it."""


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
    user_id: str | None = None
    """Id of that item."""
    out_of_band: bool = False
    """Whether the answer stays outside the conversation (`conversation:"none"`)."""
    user_silent: bool = False
    """Whether the answer is due because the user said nothing for `idle_timeout_ms`."""
    request: dict[str, Any] = field(default_factory=dict)
    """The `response` of the `response.create`; empty when the server asked by itself."""
    session: dict[str, Any] = field(default_factory=dict)
    """The session's settings."""

    def _setting(self, name: str, default: Any) -> Any:
        return self.request.get(name, self.session.get(name, default))

    @property
    def tools(self) -> list[dict[str, Any]]:
        """The functions that may be called: the response's, else the session's."""
        return [tool for tool in self._setting("tools", []) if tool["type"] == "function"]

    @property
    def instructions(self) -> str:
        """What the model is told to be: by the response, else by the session."""
        return str(self._setting("instructions", "") or "")

    @property
    def tool_choice(self) -> str | dict[str, Any]:
        """`none`, `auto`, `required`, or the tool that has to be called."""
        choice: str | dict[str, Any] = self._setting("tool_choice", "auto")
        return choice

    @property
    def parallel_tool_calls(self) -> bool:
        """Whether several functions may be called in one response."""
        return bool(self._setting("parallel_tool_calls", True))

    @property
    def called(self) -> bool:
        """Whether a function was called since the user's last message."""
        for item in reversed(self.items):
            if item["type"] == "function_call":
                return True
            if item.get("role") == "user":
                break
        return False

    @property
    def results(self) -> list[Result]:
        """What the functions gave that were called since the last message; oldest first."""
        names = {
            item.get("call_id"): str(item["name"])
            for item in self.items
            if item["type"] == "function_call"
        }
        found: list[Result] = []
        for item in reversed(self.items):
            if item["type"] == "message":
                break
            if item["type"] == "function_call_output":
                found.insert(0, Result(names.get(item["call_id"], "function"), item["output"]))
        return found


class Persona(Protocol):
    """Whoever answers."""

    def hear(self, samples: Pcm) -> Hearing:
        """Return what the user said in the spoken turn that just ended: int16, mono, 24 kHz.

        What was not kept of a very long turn is missing at its beginning.
        """
        ...

    def respond(self, context: Context) -> Plan:
        """Return the answer that `context` calls for."""
        ...
