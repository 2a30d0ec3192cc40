"""One call from its spec to its result: a plain function with an event loop of its own.

Whatever happens becomes a result; nothing is raised but what ends the process. What went wrong
before there was a call, or with the connection, is told from what the other side did wrong: only
the first is worth another try.
"""

from __future__ import annotations

import asyncio
import os
import platform
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from rtcvoice.call.connect import connect
from rtcvoice.conversation.accounts.limits import Limits
from rtcvoice.errors import (
    CallEnded,
    ConfigError,
    CredentialsError,
    RtcVoiceError,
    SignalingError,
    TransportError,
    one_line,
)
from rtcvoice.events import ToolFailed, ToolFinished, ToolStarted
from rtcvoice.masking import masked
from rtcvoice.recording.options import Recording
from rtcvoice.system.environment import environment

from .caller import Caller, StepFailed, load_clips
from .checks import judge
from .mocks import MockedTools
from .persona import ModelCaller
from .results import CallResult, Outcome, SaidTurn, ToolUse, result_to_json
from .spans import compare
from .specs import CallSpec

if TYPE_CHECKING:
    from rtcvoice.call.call import Call

__all__ = ["LATE", "carry_out", "run_call"]

LATE = 0.25
"""Seconds by which the loop of a call may be late before what was measured counts as invalid."""

TICK = 0.02
"""Seconds between two looks at how late the loop is."""

LONGEST_ERROR = 500

EMULATOR_KEY = "sk-emulator"


def run_call(spec: CallSpec) -> CallResult:
    """Make one call and return what became of it; never raises an Exception.

    Runs in an event loop of its own, so it may be called in any thread or process that has none:
    `executor.map(run_call, specs)`. Keys come from the environment of the process it runs in
    (`OPENAI_API_KEY`); a server on this machine needs none.
    """
    return asyncio.run(carry_out(spec))


async def carry_out(spec: CallSpec) -> CallResult:
    """Do the same on the running loop. Cancelled, it hangs up and raises CancelledError."""
    lag = _Lag()
    watching = asyncio.create_task(lag.watch(), name="rtcvoice fleet lag")
    record = _Record(spec, lag)
    try:
        await record.make()
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
    try:
        made = record.result()
        result_to_json(made)
    except Exception as exc:  # such as a text that is none; the run needs an answer to every spec
        return record.without_details(exc)
    return made


class _Lag:
    """How late the loop was at most."""

    def __init__(self) -> None:
        self.worst = 0.0

    async def watch(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + TICK
            await asyncio.sleep(TICK)
            self.worst = max(self.worst, loop.time() - due)


class _Record:
    """What is found out about one call while it is made."""

    def __init__(self, spec: CallSpec, lag: _Lag) -> None:
        self._spec = spec
        self._lag = lag
        self._outcome = Outcome.COMPLETED
        self._found: dict[str, Any] = {}
        self._turns: list[SaidTurn] = []
        self._tools: dict[str, ToolUse] = {}
        self._began = 0.0
        self._tasks: list[asyncio.Task[None]] = []
        self._folder = Path(spec.record) / spec.file_name if spec.record else None

    def result(self) -> CallResult:
        spec, outcome, late = self._spec, self._outcome, self._lag.worst
        if outcome in (Outcome.COMPLETED, Outcome.FAILED) and late > LATE:
            outcome = Outcome.INVALID
            late_text = f"this machine was too slow: the loop was {late:.2f} s late"
            self._found["error"] = "; ".join(filter(None, [late_text, self._found.get("error")]))
        if self._folder is not None and self._folder.is_dir():
            newest = max(self._folder.iterdir(), key=lambda each: each.name, default=self._folder)
            self._found["recording"] = str(newest.relative_to(spec.record))
        made = CallResult(
            run=spec.run,
            scenario=spec.scenario,
            trial=spec.trial,
            seed=spec.seed,
            outcome=outcome,
            late=round(late, 4),
            turns=tuple(self._turns),
            tools=tuple(self._tools.values()),
            worker=f"{platform.node()}/{os.getpid()}",
            network=str(spec.bad_network or ""),
            **self._found,
        )
        return _judged(made, spec) if outcome is Outcome.COMPLETED else made

    def without_details(self, exc: Exception) -> CallResult:
        """Return a result where what was found out cannot be told."""
        spec = self._spec
        return CallResult(
            run=spec.run,
            scenario=spec.scenario,
            trial=spec.trial,
            seed=spec.seed,
            outcome=Outcome.FAILED,
            error=masked(one_line(f"no result: {type(exc).__name__}: {exc}", LONGEST_ERROR)),
            tokens=self._found.get("tokens", 0),
            cost=self._found.get("cost"),
        )

    async def make(self) -> None:
        try:
            async with asyncio.timeout(self._spec.seconds):
                await self._call()
        except TimeoutError:
            ready = bool(self._began)
            told = f"the call was not {'over' if ready else 'ready'} after {self._spec.seconds:g} s"
            self._fail(Outcome.FAILED if ready else Outcome.INFRASTRUCTURE, told)
        except StepFailed as failed:
            self._fail(Outcome.FAILED, str(failed))
        except CallEnded as end:
            lost = isinstance(end.__cause__, TransportError | SignalingError)
            self._fail(Outcome.INFRASTRUCTURE if lost else Outcome.FAILED, str(end), end.__cause__)
        except (SignalingError, TransportError) as exc:
            self._fail(Outcome.INFRASTRUCTURE if _passes(exc) else Outcome.FAILED, str(exc), exc)
        except RtcVoiceError as exc:
            self._fail(Outcome.FAILED, str(exc), exc)
        except Exception as exc:  # a bug of ours must not lose the other calls' results
            self._fail(Outcome.FAILED, f"{type(exc).__name__}: {exc}", exc)

    def _fail(self, outcome: Outcome, error: str, cause: BaseException | None = None) -> None:
        self._outcome = outcome
        self._found["error"] = masked(one_line(error, LONGEST_ERROR))
        self._found["stage"] = one_line(str(getattr(cause, "stage", "") or ""), 100)
        self._found["code"] = one_line(str(getattr(cause, "code", "") or ""), 100)
        self._found["retry_after"] = getattr(cause, "retry_after", None)
        self._found["same_for_all"] = _would_fail_all(cause)
        if not self._began and isinstance(cause, ConfigError | CredentialsError):
            self._found["cost"] = 0.0  # nothing was sent

    async def _call(self) -> None:
        spec = self._spec
        caller: Caller | ModelCaller
        if spec.persona is not None:
            limits = Limits(cost=spec.cost)
            options = {**_options(spec.persona.options), "limits": limits}
            caller = ModelCaller(spec.persona, options, line=spec.line, seed=spec.seed)
        else:
            clips = await load_clips(spec.steps)
            caller = Caller(spec.steps, clips, line=spec.line, seed=spec.seed)
        folder = self._folder
        tools = MockedTools(spec.tools, spec.state) if spec.tools else None
        began = asyncio.get_running_loop().time()
        async with connect(
            **_options(spec.options),
            source=caller.source,
            sink=caller.sink,
            tools=tools,
            limits=Limits(cost=spec.cost),
            network=spec.bad_network,
            record=Recording(folder) if folder is not None else None,
        ) as call:
            self._began, self._lag.worst = asyncio.get_running_loop().time(), 0.0
            self._found["connect_seconds"] = round(call.timings.total or 0.0, 4)
            self._follow(call)
            try:
                await caller.run(call)
                await call.hangup()
            finally:
                self._look(call, caller, began)
                if tools is not None:
                    self._found["state"] = tools.state
        end = await call.wait_ended()
        self._found["ended"] = one_line(end.reason, 200)
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _follow(self, call: Call) -> None:
        self._tasks = [asyncio.create_task(self._note_turns(call), name="rtcvoice fleet turns")]
        call.on(ToolStarted, ToolFinished, ToolFailed)(self._note_tool)

    async def _note_turns(self, call: Call) -> None:
        with suppress(CallEnded):
            async for turn in call.turns():
                self._turns.append(
                    SaidTurn(
                        role=turn.role,
                        text=turn.text,
                        status=turn.status.value,
                        began=round(turn.began - self._began, 3),
                        heard_text=turn.heard_text if turn.heard_ms is not None else "",
                    )
                )

    async def _note_tool(self, event: ToolStarted | ToolFinished | ToolFailed) -> None:
        now = round(asyncio.get_running_loop().time() - self._began, 3)
        use = self._tools.get(event.call_id) or ToolUse(name=event.name, arguments={}, at=now)
        if isinstance(event, ToolStarted):
            plain = msgspec.to_builtins(dict(event.arguments), enc_hook=str)
            use = msgspec.structs.replace(use, arguments=plain)
        elif isinstance(event, ToolFinished):
            use = msgspec.structs.replace(use, output=event.output)
        else:
            use = msgspec.structs.replace(use, failure=f"{event.failure}: {event.message}")
        self._tools[event.call_id] = use

    def _look(self, call: Call, caller: Caller | ModelCaller, began: float) -> None:
        """Note what the call says of itself; at its end."""
        stats, usage = call.stats(), call.usage
        playout = stats.playout
        played = max(1, playout.samples_played)
        spoke = caller.source.spans.since(self._began)
        heard = caller.sink.spans.since(self._began)
        sides = compare(spoke, heard)
        written = ((at - self._began, at - self._began) for at in caller.written)
        waits = compare(sorted([*spoke, *written]), heard).latencies
        self._found |= {
            "seconds": round(asyncio.get_running_loop().time() - began, 3),
            "call_id": one_line(call.id, 200),
            "spoke": spoke,
            "heard": heard,
            "latencies": tuple(round(each, 3) for each in waits),
            "talk_over": round(sides.talk_over, 3),
            "interruptions": caller.interruptions,
            "tokens": usage.tokens.total + caller.tokens,
            "cost": _both(usage.cost, caller.cost),
            "packets_lost": playout.packets_lost,
            "uplink_packets_lost": max(0, stats.uplink.packets_lost),
            "packets_received": playout.packets_received,
            "concealed": round(playout.concealed_samples / played, 5),
            "playout_delay": round(playout.jitter_buffer_target_delay, 4),
            "round_trip": stats.round_trip_time,
            "legs": len(call.legs),
            "route": stats.transport.route,
        }


def _both(one: float | None, other: float | None) -> float | None:
    """Return the sum of two costs, None where one is unknown."""
    return None if one is None or other is None else one + other


def _judged(made: CallResult, spec: CallSpec) -> CallResult:
    """Return a result with what it is held to; one that does not pass has failed."""
    checks = tuple(judge(check, made) for check in spec.checks)
    wrong = [each for each in checks if not each.passed]
    if not wrong:
        return msgspec.structs.replace(made, checks=checks)
    told = "; ".join(f"{each.check} (found: {each.found})" for each in wrong)
    error = masked(one_line(f"{len(wrong)} of {len(checks)} checks: {told}", LONGEST_ERROR))
    return msgspec.structs.replace(made, checks=checks, outcome=Outcome.FAILED, error=error)


def _options(given: Mapping[str, Any]) -> dict[str, Any]:
    options = dict(given)
    host = urlsplit(str(options.get("base_url") or "")).hostname
    if host in ("127.0.0.1", "localhost", "::1") and not environment("OPENAI_API_KEY"):
        options["api_key"] = EMULATOR_KEY
    return options


def _would_fail_all(exc: BaseException | None) -> bool:
    """Whether a call failed as every other one would: nobody answers there, or the key is wrong."""
    return isinstance(exc, CredentialsError) or (
        isinstance(exc, SignalingError) and exc.status in (None, 401)
    )


def _passes(exc: RtcVoiceError) -> bool:
    """Whether a failure may be gone at the next try: not a request that is wrong."""
    status = getattr(exc, "status", None)
    return (
        not isinstance(exc, SignalingError)
        or status in (None, 408, 409, 425, 429)
        or (isinstance(status, int) and status >= 500)
    )
