"""Who listens to the facts of a call: what was asked for, imported when a call asks for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from dataclasses import fields
from typing import TYPE_CHECKING

from rtcvoice.call.facts import CallStarted, FactListener
from rtcvoice.call.imports import imported
from rtcvoice.call.listeners import Facts
from rtcvoice.call.when_given import wanted_telemetry
from rtcvoice.errors import ConfigError
from rtcvoice.system.threads import in_thread

if TYPE_CHECKING:
    from rtcvoice.config.call_config import CallConfig
    from rtcvoice.recording.options import Recording
    from rtcvoice.telemetry.options import Telemetry

__all__ = ["FACTS_TIMEOUT", "facts_of"]

FACTS_TIMEOUT = 2.0
"""Seconds that a recording gets to write of a call that did not come about."""

NAME = "rtcvoice facts"


async def facts_of(
    config: CallConfig,
    others: Iterable[FactListener],
    recording: Recording | None,
    telemetry: Telemetry | bool | None,
) -> Facts:
    """Let everybody listen who is to, and tell of the beginning of a call.

    Raises ConfigError where calls cannot be recorded.
    """
    facts = Facts()
    for listener in others:
        facts.listen(listener, name=NAME)
    if recording is not None:
        await _check(recording)
        await imported(("rtcvoice.recording.recorder",))
        from rtcvoice.recording.recorder import Recorder

        facts.listen(Recorder(recording), name=NAME)
    if (spans_go_to := wanted_telemetry(telemetry)) is not None:
        await imported(("rtcvoice.telemetry.listener",))
        from rtcvoice.telemetry.listener import TelemetryListener

        teller = TelemetryListener(spans_go_to)
        facts.listen(teller, name=NAME, see=teller.see)
        facts.on_tool = teller.tool_began
    if facts:
        options = {f.name: getattr(config, f.name) for f in fields(config)}
        options["session"] = config.session_payload()
        facts.tell(CallStarted(time=facts.now(), unix_time=time.time(), options=options))
    return facts


async def _check(recording: Recording) -> None:
    try:
        async with asyncio.timeout(FACTS_TIMEOUT):
            await in_thread(recording.check)
    except TimeoutError as exc:
        raise ConfigError(
            f"calls cannot be recorded in {recording.folder}: the disk does not answer",
            hint="name another folder",
        ) from exc
