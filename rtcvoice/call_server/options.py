"""The options of the session that a `CallServer` gives its calls: those of `rtcvoice.connect`."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import TYPE_CHECKING, Any

from rtcvoice.config.dialect import LiveOptions
from rtcvoice.rest.credentials import CredentialsSource

if TYPE_CHECKING:
    from rtcvoice.call.reconnect import Reconnect
    from rtcvoice.conversation.accounts.prices import ModelPrice
    from rtcvoice.conversation.listening.guards import Guard
    from rtcvoice.telemetry.options import Telemetry

__all__ = ["OF_ATTACH", "SessionOptions"]


class SessionOptions(LiveOptions, total=False):
    """See `rtcvoice.connect`."""

    model: str
    voice: str | dict[str, str]
    speed: float
    output_modalities: list[str]
    turn_detection: Mapping[str, object] | str | None
    transcription: Mapping[str, object] | str | None
    noise_reduction: Mapping[str, object] | str | None
    max_output_tokens: int | str
    tool_choice: str | dict[str, object]
    session: Mapping[str, object]
    price: ModelPrice
    guards: Guard | list[Guard]
    reconnect: Reconnect | None
    telemetry: Telemetry | bool | None
    base_url: str | None
    api_key: str | None
    credentials: CredentialsSource | None
    organization: str | None
    project: str | None
    safety_identifier: str | None
    proxy: str | None
    ca_file: str | PathLike[str] | None
    connect_timeout: float
    liveness_timeout: float
    close_timeout: float


OF_ATTACH = ("guards", "price", "reconnect", "telemetry")
"""Options of the call here, of which the session knows nothing."""


def of_session(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that the session is made of."""
    return {name: value for name, value in options.items() if name not in OF_ATTACH}
