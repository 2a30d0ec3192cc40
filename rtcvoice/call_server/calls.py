"""How the calls of one server are made: the same session, tools, bounds and agent for each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from os import PathLike
from typing import TYPE_CHECKING, Any

from rtcvoice.config.call_config import CallConfig

from .attaching import OwnAttach
from .creating import ServiceCall
from .options import OF_ATTACH
from .served_call import Agent, ServedCall

if TYPE_CHECKING:
    from rtcvoice.conversation.accounts.limits import Limits
    from rtcvoice.conversation.tools.toolset import ToolSet
    from rtcvoice.recording.options import Recording

__all__ = ["Making"]


class Making:
    """Makes calls. `options`: of the session, and of the call here; `config`: them, checked."""

    def __init__(
        self,
        config: CallConfig,
        options: Mapping[str, Any],
        *,
        agent: Agent | None,
        tools: ToolSet | None,
        limits: Limits,
        record: str | PathLike[str] | Recording | None,
        foreign: str,
        show_tools: bool,
    ) -> None:
        self._config = config
        names = (*OF_ATTACH, *_OF_CONFIG, *(_OF_LIVE if config.is_live else _OF_REALTIME))
        self._options = {name: options[name] for name in names if name in options}
        self._options["api"] = "live" if config.is_live else "realtime"
        self._agent = agent
        self._tools = tools
        self._limits = limits
        self._record = record
        self._foreign = foreign
        self._show_tools = show_tools

    def service_call(self) -> ServiceCall:
        """Return the way to the service for one call."""
        return ServiceCall(self._config)

    def served(
        self,
        handle: str,
        caller: str,
        service_call: ServiceCall,
        *,
        on_end: Callable[[ServedCall], None],
    ) -> ServedCall:
        """Return what sees one call through to its end."""
        return ServedCall(
            handle,
            caller,
            service_call,
            agent=self._agent,
            foreign=self._foreign,
            show_tools=self._show_tools,
            reads_back=not self._config.is_live,
            on_end=on_end,
        )

    @property
    def attaches_first(self) -> bool:
        """Whether a call is attached to before its page has the answer.

        A page of the Realtime API could change the session at once. A session of GPT-Live starts
        with the page's audio, and its page may not change it.
        """
        return not self._config.is_live

    def attach(
        self,
        service_call: ServiceCall,
        served: ServedCall,
        left: tuple[float | None, float | None],
        *,
        recorded: bool,
    ) -> OwnAttach:
        """Return what attaches to a call. `left`: seconds and US dollars that its caller has."""
        seconds, cost = left
        limits = replace(
            self._limits,
            seconds=_least(self._limits.seconds, seconds),
            cost=_least(self._limits.cost, cost),
        )
        return OwnAttach(
            service_call.call_id,
            on_foreign=served.foreign,
            session_is_set=not service_call.session_is_unset,
            tools=self._tools,
            limits=limits,
            record=self._record if recorded else None,
            **self._options,
        )


_OF_CONFIG = (
    *("api_key", "base_url", "ca_file", "close_timeout", "connect_timeout", "credentials"),
    *("liveness_timeout", "model", "organization", "project", "proxy", "session"),
)
_OF_REALTIME = (
    *("instructions", "max_output_tokens", "noise_reduction", "output_modalities", "speed"),
    *("tool_choice", "transcription", "turn_detection", "voice"),
)
_OF_LIVE = ("acknowledge_after", "backend", "on_delegation", "triggers")


def _least(one: float | None, other: float | None) -> float | None:
    given = [max(each, 0.001) for each in (one, other) if each is not None]
    return min(given, default=None)
