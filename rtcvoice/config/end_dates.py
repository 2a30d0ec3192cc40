"""What the service ends, and when: the one dated table, so that nothing else knows such a date.

Dates as OpenAI's page of deprecations showed them on the date below. A dated snapshot of a model
(`gpt-realtime-2025-08-28`) ends with its family unless it has a line of its own. Pure: the day
comes in with each question.

https://developers.openai.com/api/docs/deprecations
"""

from __future__ import annotations

import re
from datetime import date
from typing import NamedTuple

__all__ = ["BETA_FIELDS", "ENDS", "ENDS_DATE", "ending_told"]

ENDS_DATE = "2026-11-20"
"""When the table was last looked over."""

_SNAPSHOT = re.compile(r"-20\d\d-\d\d-\d\d$")


class Ending(NamedTuple):
    """When a model, or a field of a session, ends, and what takes its place."""

    day: date
    successor: str


_OLD_PREVIEW = Ending(date(2026, 5, 7), "gpt-realtime-2.1")
_FIRST = Ending(date(2027, 1, 20), "gpt-realtime-2.1")
_FIRST_MINI = Ending(date(2027, 1, 20), "gpt-realtime-2.1-mini")
_TRANSCRIBE = Ending(date(2027, 2, 26), "gpt-live-transcribe or gpt-transcribe")

ENDS: dict[str, Ending] = {
    "gpt-4o-realtime-preview": _OLD_PREVIEW,
    "gpt-4o-mini-realtime-preview": _OLD_PREVIEW,
    "gpt-realtime": _FIRST,
    "gpt-realtime-mini": _FIRST_MINI,
    "gpt-realtime-mini-2025-10-06": Ending(date(2026, 7, 23), "gpt-realtime-2.1-mini"),
    "gpt-audio-mini": _FIRST_MINI,
    "whisper-1": _TRANSCRIBE,
    "gpt-4o-transcribe": _TRANSCRIBE,
    "gpt-4o-mini-transcribe": _TRANSCRIBE,
    "gpt-4o-transcribe-diarize": _TRANSCRIBE,
    "prompt": Ending(date(2026, 11, 30), "instructions"),
}
"""By name of the model, or of the field of a session."""


BETA_FIELDS = {
    "input_audio_format": "session={'audio': {'input': {'format': ...}}}",
    "input_audio_noise_reduction": "noise_reduction=",
    "input_audio_transcription": "transcription=",
    "max_response_output_tokens": "max_output_tokens=",
    "modalities": "output_modalities= with exactly one of 'audio' and 'text'",
    "output_audio_format": "session={'audio': {'output': {'format': ...}}}",
    "temperature": "nothing: it was removed",
}
"""Fields of the beta API, which ended on 2026-05-12, and what to use instead."""


def ending_of(name: str) -> Ending | None:
    """Return when `name` ends, None if that is not known."""
    return ENDS.get(name) or ENDS.get(_SNAPSHOT.sub("", name))


def ending_told(name: str, today: date) -> str:
    """Return a sentence that says when `name` ends or has ended; "" if no end is known."""
    ending = ending_of(name)
    if ending is None:
        return ""
    ends = "ended" if ending.day <= today else "ends"
    return f"{name} {ends} on {ending.day}: use {ending.successor}"
