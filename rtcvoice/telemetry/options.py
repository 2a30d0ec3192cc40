"""`Telemetry`: where spans and metrics go; and whether the program wants any. Imports nothing big.

rtcvoice configures nothing: without providers of the program's own there is no telemetry.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

from rtcvoice.errors import ConfigError
from rtcvoice.system.environment import environment
from rtcvoice.system.extras import install_extra
from rtcvoice.system.public import public
from rtcvoice.telemetry.names import CAPTURE_CONTENT

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

__all__ = ["Telemetry", "checked", "wanted"]

_PROVIDERS = (
    ("opentelemetry.trace", "get_tracer_provider"),
    ("opentelemetry.metrics", "get_meter_provider"),
)

_CAPTURES = {"true", "1", "span_only", "span_and_event"}
"""Values of the environment variable with which spans hold what was said."""


@public
@dataclass(frozen=True, kw_only=True)
class Telemetry:
    """Where a call's spans and metrics go: `connect(telemetry=Telemetry(tracer_provider=...))`."""

    tracer_provider: TracerProvider | None = None
    """OpenTelemetry's. None: the one that the program has set."""
    meter_provider: MeterProvider | None = None
    """OpenTelemetry's. None: the one that the program has set."""
    content: bool | None = None
    """Whether spans hold what was said, and what tools were given and gave. None: as the variable
    OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT says, by default not. Audio never is."""

    def __post_init__(self) -> None:
        if not (self.content is None or isinstance(self.content, bool)):
            raise ConfigError(f"Telemetry: content={self.content!r} is not True, False or None")
        for name, method in (("tracer_provider", "get_tracer"), ("meter_provider", "get_meter")):
            provider = getattr(self, name)
            if provider is not None and not callable(getattr(provider, method, None)):
                raise ConfigError(
                    f"Telemetry: {name}= is a {type(provider).__name__}",
                    hint="give a provider of OpenTelemetry",
                )

    @property
    def holds_content(self) -> bool:
        """Whether spans hold what was said."""
        if self.content is not None:
            return self.content
        return (environment(CAPTURE_CONTENT) or "").lower() in _CAPTURES


def checked(given: Telemetry | bool | None) -> Telemetry | bool | None:
    """Return what `connect(telemetry=)` was given. Raises ConfigError if it cannot be."""
    if not (given is None or isinstance(given, bool | Telemetry)):
        raise ConfigError(
            f"telemetry= is a {type(given).__name__}",
            hint="True, False, None, or rtcvoice.Telemetry(...)",
        )
    if given and find_spec("opentelemetry") is None:
        raise ConfigError(
            "telemetry= needs the package opentelemetry-api", hint=install_extra("otel")
        )
    return Telemetry() if given is True else given


def wanted(given: Telemetry | bool | None) -> Telemetry | None:
    """Return where the telemetry of a call goes that begins now; None if there is none.

    None given: there is, if the program has set a provider that does something.
    """
    if isinstance(given, Telemetry):
        return given
    if given is None and any(_is_set(*provider) for provider in _PROVIDERS):
        return Telemetry()
    return None


def _is_set(module: str, getter: str) -> bool:
    """Whether the program has set a provider; those of the API itself do nothing."""
    api = sys.modules.get(module)
    if api is None or not hasattr(api, getter):
        return False
    return not type(getattr(api, getter)()).__module__.startswith(module)
