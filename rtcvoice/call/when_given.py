"""What not every call has, imported for those that have it: devices, tools, limits, history."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from os import PathLike
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rtcvoice.capture.source import Source
    from rtcvoice.config.call_config import CallConfig
    from rtcvoice.conversation.accounts.limits import Limits
    from rtcvoice.conversation.accounts.prices import ModelPrice
    from rtcvoice.conversation.listening.guards import Guard
    from rtcvoice.conversation.tools.mcp.servers import McpServers
    from rtcvoice.conversation.tools.toolset import AnyTool, ToolSet
    from rtcvoice.playout.sink import Sink
    from rtcvoice.recording.options import Recording
    from rtcvoice.telemetry.options import Telemetry

__all__ = [
    "check_limits_of",
    "default_microphone",
    "default_speaker",
    "given_guards",
    "given_recording",
    "given_telemetry",
    "history_items",
    "served",
    "tool_set",
    "wanted_telemetry",
]


def tool_set(
    tools: ToolSet | Iterable[AnyTool] | None,
) -> ToolSet:
    """Return what the model may call, as a ToolSet. Raises ConfigError."""
    from rtcvoice.conversation.tools.toolset import ToolSet

    return ToolSet.of(tools)


async def served(
    tools: ToolSet | None, config: CallConfig
) -> tuple[McpServers | None, ToolSet | None, CallConfig]:
    """Start the MCP servers among the tools: before the call, which is to know their tools.

    Returns them, and tools and configuration with what they offer. Raises ConfigError.
    """
    if tools is None or not tools.servers:
        return None, tools, config
    from rtcvoice.conversation.tools.mcp.servers import McpServers

    servers = McpServers()
    tools = await servers.started(tools)
    return servers, tools, replace(config, tools=tools.definitions)


def check_limits_of(model: str, limits: Limits | None, price: ModelPrice | None) -> None:
    """Raise ConfigError for limits or a price that cannot be kept."""
    from rtcvoice.conversation.accounts.accounts import check_limits

    check_limits(model, limits, price)


def default_microphone() -> Source:
    """Return the system's microphone."""
    from rtcvoice.capture.microphone import Microphone

    return Microphone()


def default_speaker() -> Sink:
    """Return the system's loudspeaker."""
    from rtcvoice.playout.speaker import Speaker

    return Speaker()


def history_items(history: Iterable[Mapping[str, object]]) -> list[Any]:
    """Return the items of what was said before. Raises ConfigError."""
    if isinstance(history, tuple) and not history:
        return []
    from rtcvoice.conversation.asking.requesting import Requester

    return list(Requester.history_items(history))


def given_guards(guards: Guard | Iterable[Guard]) -> tuple[Guard, ...]:
    """Return what reads along what the model says. Raises ConfigError."""
    if isinstance(guards, tuple) and not guards:
        return ()
    from rtcvoice.conversation.listening.guards import checked_guards

    return checked_guards(guards)


def given_recording(record: str | PathLike[str] | Recording | None) -> Recording | None:
    """Return how a call is recorded, None if it is not. Raises ConfigError."""
    if record is None:
        return None
    from rtcvoice.recording.options import recording_of

    return recording_of(record)


def given_telemetry(telemetry: Telemetry | bool | None) -> Telemetry | bool | None:
    """Return what was given. Raises ConfigError if it cannot be, or the package is not there."""
    if telemetry is None or telemetry is False:
        return telemetry
    from rtcvoice.telemetry.options import checked

    return checked(telemetry)


def wanted_telemetry(given: Telemetry | bool | None) -> Telemetry | None:
    """Return where spans and metrics of a call go that begins now; None if there are none.

    A program that wants them has imported OpenTelemetry; nothing is imported for the others.
    """
    if given is False or (given is None and "opentelemetry" not in sys.modules):
        return None
    from rtcvoice.telemetry.options import wanted

    return wanted(given)
