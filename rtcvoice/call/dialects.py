"""The parts of a call that differ between the APIs; each imported when used.

What all have in common is everything else: the leg, the ends, the player, the life.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from rtcvoice.call.imports import FOR_CALL, FOR_LIVE, FOR_TRANSLATION
from rtcvoice.config.call_config import CallConfig
from rtcvoice.errors import ConfigError
from rtcvoice.system import clock

if TYPE_CHECKING:
    from rtcvoice.call.call import Call
    from rtcvoice.call.life import Life, Rescue
    from rtcvoice.call.live_call import Forking
    from rtcvoice.call.live_connecting import ForkOf
    from rtcvoice.call.reconnect import Reconnect
    from rtcvoice.call.roads import AnyConversation, Output, Roads
    from rtcvoice.call.timings import Timings
    from rtcvoice.config.live_config import LiveConfig
    from rtcvoice.conversation.accounts.limits import Limits
    from rtcvoice.conversation.accounts.prices import ModelPrice
    from rtcvoice.conversation.listening.guards import Guard
    from rtcvoice.conversation.road import CallConversation
    from rtcvoice.conversation.tools.toolset import ToolSet

__all__ = [
    "bring_in",
    "call_of",
    "check_bounds",
    "conversation_for",
    "for_call",
    "fork_of",
    "rescue_for",
    "with_history",
]


_KEPT_BY_FORKS = {"history", "instructions", "model", "voice"}


def check_bounds(config: CallConfig, guards: Sequence[Guard], limits: Limits | None) -> None:
    """Raise ConfigError for guards of a model that nothing stops, and for what it cannot say."""
    if config.is_translation and guards:
        raise ConfigError(
            "guards= cannot be used in a translation: nothing stops the interpreter",
            hint="read along with call.turns(partial=True), and call.mute() or call.hangup()",
        )
    if config.is_translation and limits is not None and limits.nudge:
        raise ConfigError(
            "Limits(nudge=...) cannot be used in a translation: the interpreter says only what was"
            " said",
            hint="rtcvoice.limit_near is told all the same",
        )
    if config.is_live and guards:
        raise ConfigError(
            "guards= cannot be used with GPT-Live: it has no stop, and what it said stays said",
            hint="say in instructions= what it must not speak of, or use a Realtime model",
        )


def for_call(config: CallConfig) -> tuple[str, ...]:
    """Return what such a call needs imported beyond its first request."""
    if config.is_translation:
        return FOR_CALL + FOR_TRANSLATION
    return FOR_CALL + FOR_LIVE if config.is_live else FOR_CALL


def with_history(config: CallConfig, history: list[Any]) -> tuple[CallConfig, list[Any]]:
    """Return the config, and what is left of a history to be brought in once the call is up.

    To GPT-Live it goes with the request that creates the session. Raises ConfigError.
    """
    if not config.is_continuous or not history:
        return config, history
    if config.is_translation:
        raise ConfigError(
            "history= cannot be used in a translation: it remembers nothing",
            hint="a Realtime model that is told by instructions= to interpret does",
        )
    from rtcvoice.live.seeding import messages_of

    live = cast("LiveConfig", config)
    return replace(live, input=messages_of(history)), []


async def bring_in(conversation: AnyConversation, history: list[Any]) -> None:
    """Bring in what was said before, where it did not go with the first request."""
    await cast("CallConversation", conversation).requests.add_history(history)


def conversation_for(
    config: CallConfig,
    output: Output,
    *,
    tools: ToolSet,
    limits: Limits | None,
    price: ModelPrice | None,
    guards: Sequence[Guard],
) -> AnyConversation:
    """Return the conversation of a call: its third road."""
    now = clock.of_loop(asyncio.get_running_loop())
    if config.is_translation:
        from rtcvoice.translation.road import TranslationConversation

        return TranslationConversation(
            output, model=config.model, limits=limits, price=price, clock=now
        )
    if config.is_live:
        from rtcvoice.live.road import LiveConversation

        live = cast("LiveConfig", config)
        return LiveConversation(
            output,
            model=live.model,
            on_delegation=live.on_delegation,
            seeds=live.input,
            tools=tools,
            limits=limits,
            price=price,
            clock=now,
        )
    from rtcvoice.conversation.road import CallConversation

    return CallConversation(
        output,
        model=config.model,
        tools=tools,
        limits=limits,
        price=price,
        guards=guards,
        clock=now,
    )


def rescue_for(options: Reconnect, config: CallConfig, roads: Roads, life: Life) -> Rescue:
    """Return what makes another leg when one is lost."""
    if config.is_translation:
        from rtcvoice.call.translation_reconnecting import TranslationReconnector

        return TranslationReconnector(options, config, roads, life)
    if config.is_live:
        from rtcvoice.call.live_reconnecting import LiveReconnector

        return LiveReconnector(options, config, roads, life)
    from rtcvoice.call.reconnecting import Reconnector

    return Reconnector(options, config, roads, life)


def fork_of(session_id: str, config: CallConfig, options: Mapping[str, object]) -> ForkOf:
    """Return what is forked, and what is to differ. Raises ConfigError for what cannot."""
    from rtcvoice.call.live_connecting import ForkOf

    if wrong := sorted(_KEPT_BY_FORKS & options.keys()):
        raise ConfigError(
            f"{wrong[0]}= cannot differ in a fork: it goes on with that of the call before",
            hint="connect(history=call.history) begins with the words alone",
        )
    session = config.session_payload()
    changes: dict[str, Any] = {
        name: session[name] for name in ("client", "store") if name in session
    }
    if options.keys() & {"backend", "tools"}:
        changes["delegation"] = session["delegation"]
    return ForkOf(session_id, changes)


def call_of(
    config: CallConfig, roads: Roads, life: Life, timings: Timings, *, forked: Forking
) -> Call:
    """Return the call, made of its parts; `forked` returns the making of one that goes on."""
    if config.is_translation:
        from rtcvoice.call.translation_call import TranslationCall

        return TranslationCall(roads, life, timings)
    if config.is_live:
        from rtcvoice.call.live_call import LiveCall

        return LiveCall(roads, life, timings, forked=forked)
    from rtcvoice.call.call import Call

    return Call(roads, life, timings)
