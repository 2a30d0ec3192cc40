"""What a translation is asked to be: options in, the JSON of its session out.

The endpoint has one target language, and hardly anything else to choose. Options that only the
Realtime API has are refused when somebody set them, with what takes their place.

https://platform.openai.com/docs/guides/realtime-translation
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from rtcvoice.config.call_config import CallConfig
from rtcvoice.config.checks import check_kinds, check_sendable, short, text_of
from rtcvoice.config.session_fields import UNSET, merged, set_only, short_for, within
from rtcvoice.errors import ConfigError

__all__ = [
    "TranslationConfig",
    "translation_changes",
]

DEFAULT_TRANSLATOR = "gpt-realtime-translate"

DEFAULT_SOURCE_TRANSCRIPTION = "gpt-realtime-whisper"
"""What writes down the words of the speaker, if nobody chose: it does so while he speaks."""

TRANSLATION_CHANGEABLE = ("noise_reduction", "session", "to", "transcription")
"""The options that a running translation can change."""

_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*")
"""A language as the API has it (BCP 47)."""

_INSTEAD = {
    "voice": "the interpreter speaks with a voice like the speaker's, or its own",
    "speed": "the interpreter keeps the speaker's pace",
    "instructions": "it translates, and nothing else; a Realtime model takes instructions",
    "output_modalities": "it always speaks; sink=None hears nothing, the words come all the same",
    "max_output_tokens": "it speaks as long as somebody does",
    "turn_detection": "it translates while somebody speaks, and waits for no turn",
    "tools": "an interpreter calls no functions; a Realtime model does",
    "tool_choice": "an interpreter calls no functions; a Realtime model does",
}
"""Options that only the Realtime API has, and what takes their place."""


@dataclass(frozen=True, kw_only=True)
class TranslationConfig(CallConfig):
    """The options of one translation; see `rtcvoice.connect`. `to`: the target language's code."""

    model: str = DEFAULT_TRANSLATOR
    to: str = ""

    is_translation: ClassVar[bool] = True
    is_continuous: ClassVar[bool] = True

    def _check_where(self) -> None:
        """Check what depends on how calls are begun there."""
        super()._check_where()
        if self.direct:
            raise ConfigError(
                "direct=True is not possible for translations: they begin with ephemeral tokens",
                hint="leave it out; a token is minted with the key then",
            )

    def _check_session(self) -> None:
        self._set("model", text_of("model", self.model, DEFAULT_TRANSLATOR))
        if self.type != "realtime":
            raise ConfigError(
                f"type={short(self.type)} cannot be used for a translation",
                hint="type='transcription' needs a Realtime model; a translation writes down what"
                " is said as well",
            )
        for name, instead in _INSTEAD.items():
            if getattr(self, name) is not UNSET:
                raise ConfigError(f"a translation has no {name}=: {instead}")
        named = ("transcription", "noise_reduction", "session")
        check_kinds(set_only({name: getattr(self, name) for name in named}))
        if not isinstance(self.session, Mapping):
            raise ConfigError(f"session= is a {type(self.session).__name__}", hint="pass a dict")
        payload = self.session_payload()
        check_sendable(payload)
        if not self.to and within(payload, "audio", "output", "language") is None:
            raise ConfigError(
                "to= is missing: into which language is to be translated",
                hint="a code, such as to='es'",
            )

    @property
    def is_silent(self) -> bool:
        """False: it always speaks."""
        return False

    def session_payload(self) -> dict[str, Any]:
        """Return the complete session, for a token; what is said is written down by default."""
        defaults: dict[str, Any] = {"model": self.model}
        if not self.on_azure:
            model = {"model": DEFAULT_SOURCE_TRANSCRIPTION}
            defaults["audio"] = {"input": {"transcription": model}}
        return merged(defaults, self.session_changes())

    def session_changes(self) -> dict[str, Any]:
        """Return only the fields that the caller set."""
        audio: dict[str, Any] = {}
        heard = {
            "transcription": short_for("model", self.transcription),
            "noise_reduction": short_for("type", self.noise_reduction),
        }
        if given := set_only(heard):
            audio["input"] = given
        if self.to:
            audio["output"] = {"language": language(self.to)}
        return merged({"audio": audio} if audio else {}, self.session)


def language(code: object) -> str:
    """Return the code of a language. Raises ConfigError for what is none."""
    if not isinstance(code, str) or not _LANGUAGE.fullmatch(code.strip()):
        raise ConfigError(
            f"to={short(code)} is no code of a language", hint="such as 'es', 'de' or 'pt-BR'"
        )
    return code.strip()


def translation_changes(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return what `session.update` is to say. Raises ConfigError for what cannot change."""
    for name in options:
        if name not in TRANSLATION_CHANGEABLE:
            why = _INSTEAD.get(name, f"what can: {', '.join(TRANSLATION_CHANGEABLE)}")
            raise ConfigError(f"{name}= cannot change during a translation", hint=why)
    check_kinds({name: value for name, value in options.items() if name != "to"})
    audio: dict[str, Any] = {}
    heard = {
        name: short_for(key, options[name])
        for name, key in (("transcription", "model"), ("noise_reduction", "type"))
        if name in options
    }
    if heard:
        audio["input"] = heard
    if "to" in options:
        audio["output"] = {"language": language(options["to"])}
    session = options.get("session", {})
    if not isinstance(session, Mapping):
        raise ConfigError(f"session= is a {type(session).__name__}", hint="pass a dict")
    changes = merged({"audio": audio} if audio else {}, session)
    check_sendable(changes)
    return changes
