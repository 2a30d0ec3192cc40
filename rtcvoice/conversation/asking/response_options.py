"""What one response may differ in from the session, as keyword arguments of `ask` and its like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias, TypedDict

from rtcvoice.events import InputItem, Reasoning, ResponseAudio
from rtcvoice.system.public import public

__all__ = ["ResponseOptions", "SpokenOptions"]

JsonObject: TypeAlias = Mapping[str, object]


@public
class ResponseOptions(TypedDict, total=False):
    """The API's settings of one response; what is left out is as in the session."""

    instructions: str
    output_modalities: Sequence[str]
    tools: Sequence[JsonObject]
    tool_choice: str | JsonObject
    parallel_tool_calls: bool
    max_output_tokens: int | str
    conversation: str
    """ "none" makes it beside whatever else is, without a trace in the conversation."""
    input: Sequence[InputItem | JsonObject]
    metadata: Mapping[str, str]
    reasoning: Reasoning | JsonObject
    prompt: JsonObject


@public
class SpokenOptions(ResponseOptions, total=False):
    """The options of one response, and how it is to sound; for `say` and `respond`."""

    audio: ResponseAudio | JsonObject
