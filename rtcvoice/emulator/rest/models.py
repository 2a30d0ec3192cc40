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

from rtcvoice.config.end_dates import ending_told
from rtcvoice.emulator.rest.body import RestError
from rtcvoice.emulator.session.schema import RequestError
from rtcvoice.emulator.session.settings import Settings

__all__ = ["MODELS", "TRANSLATION_MODELS", "Models"]

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
TRANSLATION_MODELS = ("gpt-realtime-translate",)
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
        """Return complete settings as they are. Raises RestError for an unknown model."""
        try:
            endings = self.check(settings)
        except RequestError as exc:
            status = 400 if exc.code == "invalid_model" else 404
            raise RestError(status, exc.message, code=exc.code, param=exc.param) from exc
        for told in endings:
            logger.warning("x %s", told)
        return settings

    def checked_translation(self, settings: Settings) -> Settings:
        """Return the settings of a translation as they are. Raises RestError (404)."""
        try:
            self._known(settings["model"], TRANSLATION_MODELS, "session.model")
            transcription = settings["audio"]["input"]["transcription"] or {}
            if name := transcription.get("model"):
                path = "session.audio.input.transcription.model"
                self._known(name, TRANSCRIPTION_MODELS, path)
        except RequestError as exc:
            raise RestError(404, exc.message, code=exc.code, param=exc.param) from exc
        return settings

    def check(self, settings: Settings) -> list[str]:
        """Return a sentence for each model of complete settings that ends, or has ended.

        Raises RequestError for an unknown model.
        """
        named: list[str] = []
        if settings["type"] == "realtime":
            named.append(self._known(settings["model"], MODELS, "session.model"))
        transcription = settings["audio"]["input"]["transcription"] or {}
        if name := transcription.get("model"):
            path = "session.audio.input.transcription.model"
            named.append(self._known(name, TRANSCRIPTION_MODELS, path))
        today = datetime.now(UTC).date()
        return [told for name in named if (told := ending_told(name, today))]

    def _known(self, name: str, known: tuple[str, ...], path: str) -> str:
        if known is MODELS and name.startswith("gpt-live"):
            message = f"The model '{name[:100]}' is not supported in realtime mode."
            raise RequestError("invalid_model", message, path)
        if not self._also & {name, "*"} and _SNAPSHOT.sub("", name) not in known:
            near = difflib.get_close_matches(name, [*known, *self._also], 1)
            guess = f" Did you mean '{near[0]}'?" if near else ""
            raise RequestError(
                "model_not_found",
                f"The model '{name[:100]}' does not exist or you do not have access to it.{guess}"
                " (The emulator takes other names when it is started with models=[...].)",
                path,
            )
        return name
