"""What a call is asked to be: options in, a frozen `CallConfig` and the session's JSON out.

The only reader of the environment. Options are checked before anything is sent; a field of the dead
beta API raises with the name of its successor. Only what the caller set travels, besides the model
and input transcription: whatever else is absent is the server's default.

https://platform.openai.com/docs/api-reference/realtime-sessions
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any
from urllib.parse import urlsplit

import msgspec

from rtcvoice.credentials import ApiKey, Credentials, EphemeralToken, credentials_from
from rtcvoice.errors import ConfigError

__all__ = ["DEFAULT_BASE_URL", "DEFAULT_MODEL", "CallConfig", "environment"]

DEFAULT_BASE_URL = "https://api.openai.com/v1"
DEFAULT_MODEL = "gpt-realtime-2.1"
DEFAULT_TRANSCRIPTION = "gpt-transcribe"
DEPLOYMENT_HOSTS = (".azure.com", ".azure.us", ".azure.cn")
"""Hosts where a model is named by the customer's own deployment: no default can be right there."""

BETA_FIELDS = {
    "input_audio_format": "session={'audio': {'input': {'format': ...}}}",
    "input_audio_noise_reduction": "noise_reduction=",
    "input_audio_transcription": "transcription=",
    "max_response_output_tokens": "max_output_tokens=",
    "modalities": "output_modalities= with exactly one of 'audio' and 'text'",
    "output_audio_format": "session={'audio': {'output': {'format': ...}}}",
    "temperature": "nothing: it was removed",
}

CHANGEABLE = (
    "instructions",
    "max_output_tokens",
    "noise_reduction",
    "output_modalities",
    "session",
    "speed",
    "tool_choice",
    "tools",
    "transcription",
    "turn_detection",
    "voice",
)
"""The options that a running call can change."""

_UNSET: Any = type("Unset", (), {"__repr__": lambda self: "unset"})()


def environment(name: str) -> str | None:
    """Return an environment variable's value, None when it is missing or blank."""
    return os.environ.get(name, "").strip() or None


@dataclass(frozen=True, kw_only=True)
class CallConfig:
    """The options of one call; see `rtcvoice.connect` for their meaning.

    Session fields left unset are not sent. `turn_detection`, `transcription` and `noise_reduction`
    accept None, which switches them off, and a string as short for its `type` (or `model`).
    """

    # Session
    model: str = DEFAULT_MODEL
    voice: str | dict[str, str] = _UNSET
    speed: float = _UNSET
    instructions: str = _UNSET
    output_modalities: list[str] = _UNSET
    turn_detection: dict[str, Any] | str | None = _UNSET
    transcription: dict[str, Any] | str | None = _UNSET
    noise_reduction: dict[str, Any] | str | None = _UNSET
    max_output_tokens: int | str = _UNSET
    tools: list[dict[str, Any]] = _UNSET
    tool_choice: str | dict[str, Any] = _UNSET
    session: Mapping[str, Any] = field(default_factory=dict, repr=False)  # may hold tools' tokens

    # Where
    base_url: str = DEFAULT_BASE_URL
    api_key: str | None = field(default=None, repr=False)
    credentials: Credentials | None = None
    direct: bool = False
    organization: str | None = None
    project: str | None = None
    safety_identifier: str | None = None

    # Timeouts, in seconds
    connect_timeout: float = 10.0
    liveness_timeout: float = 10.0
    close_timeout: float = 5.0

    @classmethod
    def changes_from(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return the session fields that options of a running call set. Raises ConfigError."""
        for name in options:
            if name in {f.name for f in fields(cls)} - set(CHANGEABLE):
                raise ConfigError(
                    f"{name}= cannot change during a call",
                    hint=f"what can: {', '.join(CHANGEABLE)}",
                )
        return cls.from_options({**options, "base_url": DEFAULT_BASE_URL}).session_changes()

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> CallConfig:
        """Check keyword options and complete them from the environment. Raises ConfigError."""
        known = {f.name for f in fields(cls)}
        for name in options:
            if name in BETA_FIELDS:
                raise ConfigError(
                    f"{name}= belongs to the beta API, which is gone", hint=_successor(name)
                )
            if name not in known:
                raise ConfigError(
                    f"there is no option {name}=",
                    hint=f"options: {', '.join(sorted(known))}; any other session field goes into"
                    " session={...}",
                )
        given = dict(options)
        if given.get("base_url") is None:
            given["base_url"] = environment("OPENAI_BASE_URL") or DEFAULT_BASE_URL
        given.setdefault("organization", environment("OPENAI_ORG_ID"))
        given.setdefault("project", environment("OPENAI_PROJECT_ID"))
        return cls(**given)

    def __post_init__(self) -> None:
        _check_base_url(self.base_url)
        for name, value in self.headers.items():
            if not (isinstance(value, str) and value.isascii() and value.isprintable()):
                raise ConfigError(f"{name} {value!r} cannot be sent: only printable ASCII can")
        for name in ("connect_timeout", "liveness_timeout", "close_timeout"):
            value = getattr(self, name)
            if not isinstance(value, int | float) or not value > 0:
                raise ConfigError(f"{name}={value!r} must be a number of seconds above 0")
        if self.api_key is not None and self.credentials is not None:
            raise ConfigError("api_key= and credentials= are both given", hint="give one of them")
        self._check_session()

    def _check_session(self) -> None:
        if not self.model or not isinstance(self.model, str):
            raise ConfigError("model= is empty", hint=f"for example {DEFAULT_MODEL}")
        if not isinstance(self.session, Mapping):
            raise ConfigError(f"session= is a {type(self.session).__name__}", hint="pass a dict")
        if "tools" in self.session and self.tools is not _UNSET:
            raise ConfigError(
                "tools= and session={'tools': ...} are both given",
                hint="put all into tools=: functions, and dicts as the API wants them",
            )
        for name in self.session:
            if name in BETA_FIELDS or name in ("voice", "speed", "turn_detection"):
                raise ConfigError(
                    f"session field {name!r} belongs to the beta API, which is gone",
                    hint=_successor(name),
                )
        try:
            msgspec.json.encode(self.session_payload())
        except (TypeError, ValueError, RecursionError, msgspec.MsgspecError) as exc:
            raise ConfigError(
                f"the session cannot be written as JSON: {exc}",
                hint="use text, numbers, booleans, None, lists and dicts with text keys",
            ) from exc

    def resolve_credentials(self) -> Credentials:
        """Return the key or token to use. Raises CredentialsError when there is none."""
        if self.credentials is not None:
            if isinstance(self.credentials, ApiKey | EphemeralToken):
                return self.credentials
            raise ConfigError(
                f"credentials= is a {type(self.credentials).__name__}",
                hint="pass rtcvoice.ApiKey(...) or rtcvoice.EphemeralToken(...), or use api_key=",
            )
        return credentials_from(self.api_key or environment("OPENAI_API_KEY"))

    @property
    def headers(self) -> dict[str, str]:
        """HTTP headers that name who calls, without the key."""
        named = {
            "OpenAI-Organization": self.organization,
            "OpenAI-Project": self.project,
            "OpenAI-Safety-Identifier": self.safety_identifier,
        }
        return {name: value for name, value in named.items() if value}

    def session_payload(self) -> dict[str, Any]:
        """Return the complete session configuration for a token or a multipart request."""
        defaults: dict[str, Any] = {"type": "realtime", "model": self.model}
        if not (urlsplit(self.base_url).hostname or "").endswith(DEPLOYMENT_HOSTS):
            defaults["audio"] = {"input": {"transcription": {"model": DEFAULT_TRANSCRIPTION}}}
        return _merged(defaults, self.session_changes())

    def session_changes(self) -> dict[str, Any]:
        """Return only the fields that the caller set; empty when there are none."""
        audio_input = {
            "turn_detection": _short_for("type", self.turn_detection),
            "transcription": _short_for("model", self.transcription),
            "noise_reduction": _short_for("type", self.noise_reduction),
        }
        audio_output = {"voice": self.voice, "speed": self.speed}
        changes = _set_only(
            {
                "instructions": self.instructions,
                "output_modalities": self.output_modalities,
                "max_output_tokens": self.max_output_tokens,
                "tools": self.tools,
                "tool_choice": self.tool_choice,
                "audio": _set_only(
                    {
                        "input": _set_only(audio_input) or _UNSET,
                        "output": _set_only(audio_output) or _UNSET,
                    }
                )
                or _UNSET,
            }
        )
        return _merged(changes, self.session)


def _check_base_url(url: Any) -> None:
    try:
        parts = urlsplit(url if isinstance(url, str) and url.split() == [url] else "")
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
            raise ValueError("no scheme or host")
    except ValueError as exc:
        raise ConfigError(
            f"base_url {url!r} is no web address", hint=f"for example {DEFAULT_BASE_URL}"
        ) from exc
    if parts.username or parts.password:  # not shown: it may be a secret
        raise ConfigError(
            f"base_url for {parts.hostname} holds a user name or password",
            hint="leave it out; a key goes into api_key=",
        )
    if parts.query or parts.fragment:
        raise ConfigError(
            f"base_url {url!r} has a query or fragment, but paths are added to it",
            hint=f"for example {DEFAULT_BASE_URL}",
        )


def _successor(beta: str) -> str:
    return f"use {BETA_FIELDS.get(beta, f'the option {beta}=')}"


def _short_for(key: str, value: Any) -> Any:
    return {key: value} if isinstance(value, str) else value


def _set_only(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not _UNSET}


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Merge the groups of fields by field; everything else is replaced whole.

    Turn detection is: the fields of one type mean nothing to the other.
    """
    result = dict(base)
    for name, value in over.items():
        old = result.get(name)
        if name in ("audio", "input", "output", "transcription") and isinstance(old, dict):
            result[name] = _merged(old, value) if isinstance(value, Mapping) else value
        else:
            result[name] = value
    return result
