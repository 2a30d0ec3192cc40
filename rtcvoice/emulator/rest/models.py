"""Which models can be called here, so that a wrong name is refused as the service refuses it.

Names of the service are known, also their dated snapshots; a program that has other servers'
names says so by `also`. Of a model that ends the log has the date.
"""

from __future__ import annotations

import difflib
import logging
import re
from collections.abc import Iterable
from datetime import UTC, datetime

from rtcvoice.emulator.rest.body import RestError
from rtcvoice.emulator.session.settings import Settings
from rtcvoice.end_dates import ending_told

__all__ = ["MODELS", "TRANSCRIPTION_MODELS", "Models"]

logger = logging.getLogger(__name__)

MODELS = (
    "gpt-realtime-2.1",
    "gpt-realtime-2.1-mini",
    "gpt-realtime-2",
    "gpt-realtime-1.5",
    "gpt-realtime",
    "gpt-realtime-mini",
    "gpt-audio-1.5",
    "gpt-audio-mini",
)
TRANSCRIPTION_MODELS = (
    "gpt-live-transcribe",
    "gpt-transcribe",
    "gpt-realtime-whisper",
    "gpt-4o-transcribe",
    "gpt-4o-mini-transcribe",
    "gpt-4o-transcribe-diarize",
    "whisper-1",
)

_SNAPSHOT = re.compile(r"-20\d\d-\d\d-\d\d$")


class Models:
    """Takes the service's names and those in `also`; `*` takes every name."""

    def __init__(self, also: Iterable[str] = ()) -> None:
        self._also = frozenset([also] if isinstance(also, str) else also)

    def checked(self, settings: Settings) -> Settings:
        """Return complete settings as they are. Raises RestError (404) for an unknown model."""
        if settings["type"] == "realtime":
            self._check(settings["model"], MODELS, "session.model")
        transcription = settings["audio"]["input"]["transcription"] or {}
        if name := transcription.get("model"):
            path = "session.audio.input.transcription.model"
            self._check(name, TRANSCRIPTION_MODELS, path)
        return settings

    def _check(self, name: str, known: tuple[str, ...], path: str) -> None:
        if not self._also & {name, "*"} and _SNAPSHOT.sub("", name) not in known:
            near = difflib.get_close_matches(name, [*known, *self._also], 1)
            guess = f" Did you mean '{near[0]}'?" if near else ""
            raise RestError(
                404,
                f"The model '{name[:100]}' does not exist or you do not have access to it.{guess}"
                " (The emulator takes other names when it is started with models=[...].)",
                code="model_not_found",
                param=path,
            )
        if told := ending_told(name, datetime.now(UTC).date()):
            logger.warning("x %s", told)
