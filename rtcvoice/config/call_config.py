"""What a call is asked to be: options in, a frozen `CallConfig` and the session's JSON out.

Options are checked before anything is sent; a field of the dead beta API raises with the name of
its successor. Only what the caller set travels, besides the model and input transcription: whatever
else is absent is the server's default.

https://platform.openai.com/docs/api-reference/realtime-sessions
"""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import date
from typing import TYPE_CHECKING, Any, ClassVar, Self

from rtcvoice.config.checks import (
    check_kinds,
    check_sendable,
    header_value,
    line_rate,
    path_of,
    seconds,
    short,
    text_of,
)
from rtcvoice.config.end_dates import BETA_FIELDS, ending_told
from rtcvoice.config.keys import azure_key, check_credentials, openai_key
from rtcvoice.config.session_fields import UNSET, Unset, merged, set_only, short_for, within
from rtcvoice.errors import ConfigError, CredentialsError
from rtcvoice.rest.addresses import (
    DEFAULT_BASE_URL,
    azure_root,
    check_base_url,
    is_azure,
    is_loopback,
)
from rtcvoice.rest.credentials import AzureApiKey, CredentialsSource, EntraToken
from rtcvoice.rest.ice_servers import IceServer, ice_servers_from
from rtcvoice.rest.session_url import SessionUrl
from rtcvoice.system.environment import environment

if TYPE_CHECKING:
    from rtcvoice.network.settings import CallNetwork

__all__ = ["CHANGEABLE", "DEFAULT_MODEL", "DEFAULT_TRANSCRIPTION", "CallConfig"]

logger = logging.getLogger(__name__)


DEFAULT_MODEL = "gpt-realtime-2.1"
DEFAULT_TRANSCRIPTION = "gpt-transcribe"

ANSWERING = (
    "instructions",
    "max_output_tokens",
    "output_modalities",
    "speed",
    "tool_choice",
    "tools",
    "voice",
)
"""The options that only a session with an assistant in it has."""

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

TRANSPORTS = ("auto", "webrtc", "websocket")
"""How a call may travel: by whatever gets through, best first; by UDP or TCP; by a WebSocket."""

_ELSEWHERE = {
    "base_url": DEFAULT_BASE_URL,
    "ice_servers": (),
    "ice_transport_policy": "all",
}
"""Where a call goes is no concern of its changes, nor is the environment."""


@dataclass(frozen=True, kw_only=True)
class CallConfig:
    """The options of one call; see `rtcvoice.connect` for their meaning.

    Session fields left unset are not sent. `turn_detection`, `transcription` and `noise_reduction`
    accept None, which switches them off, and a string as short for its `type` (or `model`).
    """

    # Session
    type: str = "realtime"
    model: str = DEFAULT_MODEL
    voice: str | dict[str, str] | Unset = UNSET
    speed: float | Unset = UNSET
    instructions: str | Unset = UNSET
    output_modalities: list[str] | Unset = UNSET
    turn_detection: dict[str, Any] | str | Unset | None = UNSET
    transcription: dict[str, Any] | str | Unset | None = UNSET
    noise_reduction: dict[str, Any] | str | Unset | None = UNSET
    max_output_tokens: int | str | Unset = UNSET
    tools: list[dict[str, Any]] | Unset = UNSET
    tool_choice: str | dict[str, Any] | Unset = UNSET
    session: Mapping[str, Any] = field(default_factory=dict, repr=False)  # may hold tools' tokens

    # Where
    base_url: str = DEFAULT_BASE_URL
    api_key: str | None = field(default=None, repr=False)
    credentials: CredentialsSource | None = None
    direct: bool = False
    organization: str | None = None
    project: str | None = None
    safety_identifier: str | None = None

    # Network
    proxy: str | None = field(default=None, repr=False)  # may hold a password
    ca_file: str | os.PathLike[str] | None = None
    ice_servers: Sequence[IceServer | Mapping[str, Any] | str] = ()
    ice_transport_policy: str = "all"
    transport: str = "auto"
    downlink_bps: float | None = None
    network: CallNetwork | None = None

    # Timeouts, in seconds
    connect_timeout: float = 10.0
    liveness_timeout: float = 10.0
    close_timeout: float = 5.0

    is_live: ClassVar[bool] = False
    """Whether it is a call of GPT-Live: a `LiveConfig`."""
    is_translation: ClassVar[bool] = False
    """Whether it is a translation: a `TranslationConfig`."""
    is_continuous: ClassVar[bool] = False
    """Whether it is either of these: both sides speak at any time, and no turns are told."""

    @classmethod
    def changes_from(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return the session fields that options of a running call set. Raises ConfigError."""
        for name in options:
            if name in {f.name for f in fields(cls)} - set(CHANGEABLE):
                raise ConfigError(
                    f"{name}= cannot change during a call",
                    hint=f"what can: {', '.join(CHANGEABLE)}",
                )
        return cls.from_options({**options, **_ELSEWHERE}).session_changes()

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> Self:
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
        if given.get("ice_servers") is None:
            given["ice_servers"] = environment("RTCVOICE_ICE_SERVERS") or ()
        if given.get("ice_transport_policy") is None:
            given["ice_transport_policy"] = environment("RTCVOICE_ICE_TRANSPORT_POLICY") or "all"
        config = cls(**given)
        for told in config.endings(date.today()):
            _warn_once(told)
        return config

    def endings(self, today: date) -> list[str]:
        """Return a sentence for each model or field used here that ends, or has ended."""
        payload = self.session_payload()
        used = [payload.get("model"), within(payload, "audio", "input", "transcription", "model")]
        used += ["prompt"] if payload.get("prompt") else []
        told = [ending_told(name, today) for name in used if isinstance(name, str)]
        return [] if self.on_azure else [text for text in told if text]

    def __post_init__(self) -> None:
        check_base_url(self.base_url)
        if is_azure(self.base_url):
            self._set("base_url", azure_root(self.base_url))
        self._check_network()
        check_credentials(self.api_key, self.credentials)
        self._check_where()
        for name in ("organization", "project", "safety_identifier"):
            if (value := getattr(self, name)) is not None:
                self._set(name, header_value(f"{name}=", value))
        for name in ("connect_timeout", "liveness_timeout", "close_timeout"):
            self._set(name, seconds(name, getattr(self, name)))
        self._check_session()

    def _check_where(self) -> None:
        """Check what depends on how calls are begun there."""
        if self.direct and self.on_azure:
            raise ConfigError(
                "direct=True is not possible on Azure: it takes offers with ephemeral tokens only",
                hint="leave it out; a token is minted with the key then",
            )
        if isinstance(self.credentials, SessionUrl):
            raise CredentialsError(
                "SessionUrl begins sessions of GPT-Live only; this call speaks the Realtime API",
                hint="TokenUrl(...) for this one, or model='gpt-live-1.1'",
            )

    def _set(self, name: str, value: Any) -> None:
        """Replace an option by what it means, while this object is being made."""
        object.__setattr__(self, name, value)

    def _check_network(self) -> None:
        if self.ca_file is not None:
            path_of("ca_file", self.ca_file)
        self._set("ice_servers", ice_servers_from(self.ice_servers))
        if self.ice_transport_policy not in ("all", "relay"):
            policy = short(self.ice_transport_policy)
            raise ConfigError(f"ice_transport_policy={policy} is neither 'all' nor 'relay'")
        if self.transport not in TRANSPORTS:
            raise ConfigError(
                f"transport={short(self.transport)} is none of {', '.join(map(repr, TRANSPORTS))}"
            )
        if self.transport == "websocket" and not self.may_open_socket:
            raise ConfigError(
                "transport='websocket' would send the key unencrypted over the network",
                hint="use an https:// base_url; http:// only where the server is on this machine",
            )
        if self.downlink_bps is not None:
            self._set("downlink_bps", line_rate("downlink_bps", self.downlink_bps))
        if self.network is not None:
            self._set("network", self._checked_network())
        relays = any(server.scheme != "stun" for server in self.ice_servers)  # type: ignore[union-attr]
        if self.ice_transport_policy == "relay" and not relays:
            raise ConfigError(
                "ice_transport_policy='relay' needs a TURN server",
                hint="ice_servers=['turn:user:password@host:3478'], or RTCVOICE_ICE_SERVERS",
            )

    def _checked_network(self) -> CallNetwork:
        from rtcvoice.network.settings import CallNetwork, Network  # late: hardly a call has one

        if self.transport == "websocket":
            raise ConfigError(
                "network= is made on the packets of WebRTC, and transport='websocket' has none",
                hint="leave transport= out, or network=",
            )
        given: Any = self.network
        return (
            given if isinstance(given, CallNetwork) else CallNetwork(Network.of(given, "network="))
        )

    def _check_session(self) -> None:
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        check_kinds(set_only(given))
        self._check_type()
        self._set("model", text_of("model", self.model, DEFAULT_MODEL))
        if not isinstance(self.session, Mapping):
            raise ConfigError(f"session= is a {type(self.session).__name__}", hint="pass a dict")
        if "tools" in self.session and self.tools is not UNSET:
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
        check_sendable(self.session_payload())

    def _check_type(self) -> None:
        if self.type not in ("realtime", "transcription"):
            raise ConfigError(f"type={short(self.type)} is neither 'realtime' nor 'transcription'")
        if self.type == "realtime":
            return
        for name in ANSWERING:
            if getattr(self, name) is not UNSET:
                raise ConfigError(
                    f"{name}= cannot be used in a transcription session: nobody answers there",
                    hint="its options: transcription, turn_detection, noise_reduction, session",
                )

    @property
    def is_silent(self) -> bool:
        """Whether nothing will be spoken by the server: answers are text, or there are none."""
        modalities = self.session.get("output_modalities", self.output_modalities)
        return self.type == "transcription" or modalities in (["text"], ("text",))

    @property
    def may_open_socket(self) -> bool:
        """Whether the call may go over a WebSocket."""
        return self.keeps_key

    @property
    def keeps_key(self) -> bool:
        """Whether a WebSocket keeps the key to itself: by encryption, or on this machine."""
        here = is_loopback(self.base_url) and (self.proxy is None or is_loopback(str(self.proxy)))
        return self.base_url.lower().startswith("https:") or here

    @property
    def on_azure(self) -> bool:
        """Whether the server is an Azure resource: models are deployments, keys differ."""
        return is_azure(self.base_url) or isinstance(self.credentials, AzureApiKey | EntraToken)

    def credentials_source(self) -> CredentialsSource:
        """Return the key or token to use, or where it comes from.

        Raises CredentialsError when there is none.
        """
        if self.credentials is not None:
            return self.credentials
        return azure_key(self.api_key) if self.on_azure else openai_key(self.api_key)

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
        defaults: dict[str, Any] = {"type": self.type}
        if self.type == "realtime":
            defaults["model"] = self.model
        if not self.on_azure:
            defaults["audio"] = {"input": {"transcription": {"model": DEFAULT_TRANSCRIPTION}}}
        return merged(defaults, self.session_changes())

    def session_changes(self) -> dict[str, Any]:
        """Return only the fields that the caller set; empty when there are none."""
        audio_input = {
            "turn_detection": short_for("type", self.turn_detection),
            "transcription": short_for("model", self.transcription),
            "noise_reduction": short_for("type", self.noise_reduction),
        }
        audio_output = {"voice": self.voice, "speed": self.speed}
        changes = set_only(
            {
                "instructions": self.instructions,
                "output_modalities": self.output_modalities,
                "max_output_tokens": self.max_output_tokens,
                "tools": self.tools,
                "tool_choice": self.tool_choice,
                "audio": set_only(
                    {
                        "input": set_only(audio_input) or UNSET,
                        "output": set_only(audio_output) or UNSET,
                    }
                )
                or UNSET,
            }
        )
        return merged(changes, self.session)


@functools.cache
def _warn_once(told: str) -> None:
    logger.warning("x %s", told)


def _successor(beta: str) -> str:
    return f"use {BETA_FIELDS.get(beta, f'the option {beta}=')}"
