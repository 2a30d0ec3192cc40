"""What a call of GPT-Live is asked to be: options in, and the body of its one request out.

Nearly all of a Live session is fixed by the request that creates it, so all of it is checked here,
before anything is sent and paid for. Options that only the Realtime API has are refused when
somebody set them, with what takes their place.

https://platform.openai.com/docs/api-reference/live
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import msgspec

from rtcvoice.config.call_config import CallConfig
from rtcvoice.config.checks import check_kinds, check_sendable, short, text_of
from rtcvoice.config.session_fields import UNSET, Unset, merged, set_only, within
from rtcvoice.errors import ConfigError, CredentialsError
from rtcvoice.rest.credentials import EphemeralToken, TokenUrl

__all__ = [
    "DEFAULT_BACKEND",
    "DEVICE_CHANNEL",
    "LIVE_CHANGEABLE",
    "RELAYED",
    "LiveConfig",
    "check_size",
    "live_changes",
]

DEFAULT_BACKEND = "gpt-6-luna"
"""The text model that has the tools, where there are tools and nobody named one."""

LIVE_CHANGEABLE = ("acknowledge_after", "backend", "session", "tools", "triggers")
"""The options that a running call can change."""

RELAYED = (
    *("acknowledge_after", "backend", "data_channel", "delegation", "input", "instructions"),
    *("standby", "store", "tool_choice", "tools", "triggers", "voice"),
)
"""The options that a server which has the key may let its clients choose."""

LARGEST_SESSION = 200 * 1024
"""Bytes of JSON. The server echoes the session in its first event, which has to fit into one
message of the 256 KiB that our offer announces; one that is too large closes the channel."""

SHARE_OF_MESSAGE = 0.78
"""How much of a message the session may fill; the rest is what the server adds."""

MOST_MESSAGES = 128
"""Messages of a history."""

DEVICE_CHANNEL: dict[str, Any] = {
    "allowed_client_events": [],
    "allowed_server_events": [{"type": "session.started"}, {"type": "session.closed"}],
}
"""`data_channel` of a device that nobody trusts, whose server does the rest."""

NO_TOKENS = "GPT-Live has no ephemeral tokens: use SessionUrl(...) of a token server"

_INSTEAD = {
    "output_modalities": "it always speaks; for text alone use a Realtime model",
    "turn_detection": "the model listens while it speaks and decides by itself when to answer",
    "transcription": "both sides are transcribed, always",
    "noise_reduction": "the microphone's own processing stays; see Microphone(...)",
    "speed": "ask for a pace in instructions=",
    "max_output_tokens": "for the text model behind it: backend={'model': ...,"
    " 'max_output_tokens': ...}",
}
"""Options that only the Realtime API has, and what takes their place."""

_FORCED = "it would be applied to every response of the delegation, without end"


@dataclass(frozen=True, kw_only=True)
class LiveConfig(CallConfig):
    """The options of one call of GPT-Live; see `rtcvoice.connect`, and `LiveOptions`.

    `input`: messages of what was said before, as the API has them.
    """

    model: str = "gpt-live-1.1"
    backend: str | Mapping[str, Any] | Unset = UNSET
    on_delegation: Callable[..., object] | None = field(default=None, repr=False)
    delegation: Mapping[str, Any] | str | Unset | None = UNSET
    store: bool | Unset = UNSET
    standby: float | Unset | None = UNSET
    acknowledge_after: float | Unset = UNSET
    triggers: Sequence[Mapping[str, Any]] | Unset = UNSET
    data_channel: Mapping[str, Any] | Unset = UNSET
    input: Sequence[Mapping[str, Any]] = field(default=(), repr=False)

    is_live: ClassVar[bool] = True
    is_continuous: ClassVar[bool] = True

    def _check_network(self) -> None:
        if self.transport == "websocket":
            raise ConfigError(
                "GPT-Live is reached by WebRTC only here: transport='websocket' cannot be used",
                hint="leave transport= out; where no UDP gets through, media goes by TCP",
            )
        super()._check_network()

    def _check_where(self) -> None:
        """Check that there is a key, or a server that has it."""
        if isinstance(self.credentials, EphemeralToken | TokenUrl):
            raise CredentialsError(NO_TOKENS, hint="or pass the API key: api_key=, ApiKey(...)")

    def _check_session(self) -> None:
        self._set("model", text_of("model", self.model, "gpt-live-1.1"))
        if self.type != "realtime":
            raise ConfigError(
                f"type={short(self.type)}: GPT-Live has no sessions in which nobody answers",
                hint="type='transcription' needs a Realtime model",
            )
        for name, instead in _INSTEAD.items():
            if getattr(self, name) is not UNSET:
                raise ConfigError(f"GPT-Live has no {name}=", hint=instead)
        given = {
            name: getattr(self, name)
            for name in ("voice", "instructions", "tool_choice", "tools", "session")
        }
        check_kinds(set_only(given))
        if not isinstance(self.session, Mapping):
            raise ConfigError(f"session= is a {type(self.session).__name__}", hint="pass a dict")
        self._check_owner()
        if not isinstance(self.store, bool | Unset):
            raise ConfigError(f"store={short(self.store)} is neither True nor False")
        self._check_channel()
        payload = self.session_payload()
        check_sendable(payload)
        self._check_payload(payload)
        check_size(payload)

    def _check_owner(self) -> None:
        """Check that at most one is named who does the work that the voice hands on."""
        work = self.backend is not UNSET or bool(self._tools)
        if self.on_delegation is not None and not callable(self.on_delegation):
            raise ConfigError(
                f"on_delegation= is a {type(self.on_delegation).__name__}, not a function"
            )
        named = {
            "backend= or tools=": work,
            "on_delegation=": self.on_delegation is not None,
            "delegation=": self.delegation is not UNSET and not self._client_alone,
        }
        if len(given := [name for name, is_given in named.items() if is_given]) > 1:
            raise ConfigError(
                f"{given[0]} and {given[1]} are both given: the work has one owner",
                hint="tools= and backend=: a text model that calls your functions;"
                " on_delegation=: your own function does all of it",
            )

    def _check_channel(self) -> None:
        """Check that this client gets the event without which no call is ready."""
        allowed = within(self.data_channel, "allowed_server_events")
        if isinstance(allowed, Sequence) and not isinstance(allowed, str):
            names = [within(each, "type") for each in allowed]
            if "session.started" not in names:
                raise ConfigError(
                    "data_channel= keeps session.started from this client: it would wait for it",
                    hint="add {'type': 'session.started'} to allowed_server_events",
                )

    @property
    def _client_alone(self) -> bool:
        """Whether `delegation=` says no more than that we do the work."""
        kind = within(self.delegation, "type")
        return self.delegation in (None, "client") or kind == "client"

    @property
    def _tools(self) -> list[dict[str, Any]]:
        return [] if isinstance(self.tools, Unset) else self.tools

    @staticmethod
    def _check_payload(payload: Mapping[str, Any]) -> None:
        messages = payload.get("input", [])
        if isinstance(messages, list) and len(messages) > MOST_MESSAGES:
            raise ConfigError(f"a history of {len(messages)} messages is over {MOST_MESSAGES}")
        _check_choice(within(payload, "delegation", "responses"))

    @property
    def is_silent(self) -> bool:
        """False: it always speaks."""
        return False

    @property
    def may_open_socket(self) -> bool:
        """False: it goes by WebRTC only."""
        return False

    @property
    def headers(self) -> dict[str, str]:
        """HTTP headers that name who calls, without the key; the end user is in the session."""
        headers = super().headers
        headers.pop("OpenAI-Safety-Identifier", None)
        return headers

    @property
    def backend_model(self) -> str | None:
        """The text model that does the work; None where there is none."""
        model = within(self.session_payload(), "delegation", "responses", "model")
        return model if isinstance(model, str) else None

    def session_payload(self) -> dict[str, Any]:
        """Return the session as the creating request has it; `session={...}` goes on top."""
        body = set_only(
            {
                "model": self.model,
                "instructions": self.instructions,
                "audio": UNSET if self.voice is UNSET else {"output": {"voice": self.voice}},
                "input": [dict(message) for message in self.input] or UNSET,
                "delegation": self._delegation(),
                "triggers": _listed("triggers", self.triggers),
                "store": self.store,
                "safety_identifier": self.safety_identifier or UNSET,
                "client": UNSET
                if isinstance(self.data_channel, Unset)
                else {"data_channel": _mapping("data_channel", self.data_channel)},
                **self._standby(),
            }
        )
        return merged(body, self.session)

    def relay_options(self) -> dict[str, Any]:
        """Return the options that were set, for a server that has the key and the session."""
        given = {name: getattr(self, name) for name in RELAYED}
        options = {name: value for name, value in given.items() if value not in (UNSET, (), [])}
        if self.session:
            options["session"] = dict(self.session)
        return options

    def session_changes(self) -> dict[str, Any]:
        """Return nothing: the whole session travelled with the request that created it."""
        return {}

    def _delegation(self) -> dict[str, Any]:
        after: dict[str, Any] = {}
        if not isinstance(self.acknowledge_after, Unset):
            number = _number("acknowledge_after", self.acknowledge_after, least=0.0)
            after["acknowledgement_delay_ms"] = round(number * 1000)
        if self.backend is not UNSET or self._tools:
            responses = backend_for(self.backend, self._tools)
            if not isinstance(self.tool_choice, Unset):
                responses["tool_choice"] = self.tool_choice
            return {"type": "responses", "responses": responses, **after}
        if not isinstance(self.tool_choice, Unset):
            raise ConfigError(
                "tool_choice= needs tools= with GPT-Live",
                hint="tools=[...], or backend={'model': ..., 'tools': [...]}",
            )
        given = self.delegation
        if isinstance(given, Unset) or given is None:
            return {"type": "client", **after}
        if isinstance(given, str):
            if given != "client":
                raise ConfigError(
                    f"delegation={short(given)} needs more than its name",
                    hint="backend='gpt-...' for a text model, or a dict as the API has it",
                )
            return {"type": "client", **after}
        return {**_mapping("delegation", given), **after}

    def _standby(self) -> dict[str, Any]:
        if isinstance(self.standby, Unset) or self.standby is None:
            return {}
        seconds = _number("standby", self.standby, least=1.0)
        if seconds != int(seconds):
            raise ConfigError(f"standby={short(self.standby)} is not a whole number of seconds")
        return {"idle_timeout_s": int(seconds), "wake_policy": {"type": "speech"}}


def live_changes(options: Mapping[str, Any], *, owner: str) -> dict[str, Any]:
    """Return what `session.update` is to say. `owner`: the type of the session's delegation.

    Raises ConfigError for what cannot change, or not in this session.
    """
    for name in options:
        if name == "instructions":
            raise ConfigError(
                "instructions= cannot change during a call of GPT-Live",
                hint="call.instruct(text) adds to them",
            )
        if name not in LIVE_CHANGEABLE:
            why = _INSTEAD.get(name, f"what can: {', '.join(LIVE_CHANGEABLE)}")
            raise ConfigError(f"{name}= cannot change during a call of GPT-Live", hint=why)
    delegation: dict[str, Any] = {}
    responses: dict[str, Any] = {}
    if "backend" in options:
        responses |= {} if options["backend"] is None else backend_for(options["backend"], [])
    if "tools" in options:
        responses["tools"] = list(options["tools"])
    if responses:
        if owner != "responses":
            raise ConfigError(
                "this call has no backend that could have tools, and cannot get one now",
                hint="connect with backend= or tools=",
            )
        _check_choice(responses)
        delegation["responses"] = responses
    if "acknowledge_after" in options:
        after = _number("acknowledge_after", options["acknowledge_after"], least=0.0)
        delegation["acknowledgement_delay_ms"] = round(after * 1000)
    changes: dict[str, Any] = {"delegation": {"type": owner, **delegation}} if delegation else {}
    if "triggers" in options:
        changes["triggers"] = _listed("triggers", options["triggers"])
    changes = merged(changes, _mapping("session", options.get("session", {})))
    check_sendable(changes)
    check_size(changes)
    return changes


def backend_for(
    backend: str | Mapping[str, Any] | Unset, tools: list[dict[str, Any]]
) -> dict[str, Any]:
    """Return `delegation.responses`. Raises ConfigError for what is no backend."""
    if isinstance(backend, Unset):
        responses: dict[str, Any] = {"model": DEFAULT_BACKEND}
    elif isinstance(backend, str):
        responses = {"model": text_of("backend", backend, DEFAULT_BACKEND)}
    else:
        responses = _mapping("backend", backend)
        text_of("backend's model", responses.get("model", DEFAULT_BACKEND), DEFAULT_BACKEND)
        responses.setdefault("model", DEFAULT_BACKEND)
    if tools:
        if "tools" in responses:
            raise ConfigError(
                "tools= and backend={'tools': ...} are both given", hint="put all into tools="
            )
        responses["tools"] = tools
    return responses


def check_size(payload: Mapping[str, Any], *, message_limit: int | None = None) -> None:
    """Raise ConfigError for a session that the server cannot echo in one message.

    `message_limit`: the largest message in bytes that our offer takes, where it is known.
    """
    most = LARGEST_SESSION
    if message_limit is not None:
        most = min(most, int(message_limit * SHARE_OF_MESSAGE))
    if (size := len(msgspec.json.encode(payload))) <= most:
        return
    sizes = {name: len(msgspec.json.encode(value)) for name, value in payload.items()}
    largest = max(sizes, key=sizes.__getitem__)
    raise ConfigError(
        f"the session is {size / 1024:.0f} KiB of JSON, and the server repeats it in one message"
        f" that can hold {most / 1024:.0f} KiB",
        hint=f"most of it is {largest!r}, {sizes[largest] / 1024:.0f} KiB: shorten that",
    )


def _check_choice(responses: Any) -> None:
    choice = within(responses, "tool_choice")
    forced = isinstance(choice, Mapping) and choice.get("type") != "allowed_tools"
    if choice == "required" or forced:
        raise ConfigError(
            f"tool_choice={short(choice)} cannot be used with GPT-Live: {_FORCED}",
            hint="'auto' or 'none'; say in the backend's instructions when a tool is to be used",
        )


def _mapping(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ConfigError(f"{name}= is a {type(value).__name__}", hint="pass a dict")
    return dict(value)


def _listed(name: str, value: Any) -> Any:
    if isinstance(value, Unset):
        return value
    if isinstance(value, str | Mapping) or not isinstance(value, Sequence):
        raise ConfigError(f"{name}= is a {type(value).__name__}", hint="pass a list of dicts")
    return [_mapping(f"{name}[{index}]", each) for index, each in enumerate(value)]


def _number(name: str, value: Any, *, least: float) -> float:
    fits = isinstance(value, int | float) and not isinstance(value, bool)
    if not fits or not least <= value < 1e6:
        raise ConfigError(f"{name}={short(value)} must be a number of seconds from {least:g} on")
    return float(value)
