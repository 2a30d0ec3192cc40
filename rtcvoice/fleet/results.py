"""What became of a call of a fleet: JSON values, whatever happened."""

from __future__ import annotations

import enum
from typing import Any

import msgspec

__all__ = [
    "CallResult",
    "CheckResult",
    "Outcome",
    "SaidTurn",
    "ToolUse",
    "result_from_json",
    "result_to_json",
]


class Outcome(enum.StrEnum):
    """How a call of a fleet ended, and so what is done about it."""

    COMPLETED = "completed"
    """The caller did all of its steps, and the call ended as it should."""
    FAILED = "failed"
    """The other side failed: it ended the call, was late, refused a step or passed not every check.
    Never repeated."""
    INFRASTRUCTURE = "infrastructure"
    """There was no call, or it was lost: the network, a rate limit, a worker. Repeated."""
    INVALID = "invalid"
    """This machine was too slow: what was measured is worth nothing. Repeated."""
    STOPPED = "stopped"
    """The run was stopped while it was under way, or before it began."""


class SaidTurn(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One turn; `began` in seconds from when the call was ready."""

    role: str
    text: str
    status: str
    began: float
    heard_text: str = ""


class ToolUse(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One call of a tool; `at` in seconds from when the call was ready."""

    name: str
    arguments: dict[str, Any]
    at: float
    output: str = ""
    failure: str = ""


class CheckResult(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One check of a call: what was wanted, whether it is so, and what was found."""

    check: str
    passed: bool
    found: str = ""


class CallResult(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One call, as it went. Times in seconds.

    latencies: from the caller's last word on, or from when it wrote something.
    spoke, heard: when the caller and the other side were audible, from when the call was ready.
    talk_over: seconds while both were.
    same_for_all: it failed as each call would: the server cannot be reached, or refuses the key.
    late: the most by which the loop of the call was late, in seconds.
    attempts: how often it was tried. retry_after: seconds that the server asked to wait.
    call_id, recording: the service's id of the call, and the folder of its recording.
    worker: where it ran, host and process.
    network: the bad one that it was made with, in words that `CallSpec.network` takes.
    """

    run: str
    scenario: str
    trial: int
    seed: int
    outcome: Outcome
    error: str = ""
    stage: str = ""
    code: str = ""
    same_for_all: bool = False
    ended: str = ""
    seconds: float = 0.0
    connect_seconds: float = 0.0
    turns: tuple[SaidTurn, ...] = ()
    tools: tuple[ToolUse, ...] = ()
    latencies: tuple[float, ...] = ()
    spoke: tuple[tuple[float, float], ...] = ()
    heard: tuple[tuple[float, float], ...] = ()
    talk_over: float = 0.0
    interruptions: int = 0
    tokens: int = 0
    cost: float | None = None
    packets_lost: int = 0
    packets_received: int = 0
    uplink_packets_lost: int = 0
    """Of what the caller sent, as the other side reports it."""
    concealed: float = 0.0
    """Share of what was heard that was invented in place of lost sound."""
    playout_delay: float = 0.0
    round_trip: float | None = None
    route: str = ""
    legs: int = 1
    checks: tuple[CheckResult, ...] = ()
    state: dict[str, Any] = {}
    """What the tools left behind."""
    late: float = 0.0
    attempts: int = 1
    retry_after: float | None = None
    call_id: str = ""
    recording: str = ""
    worker: str = ""
    network: str = ""

    @property
    def unit(self) -> str:
        """What names it within its run, as `CallSpec.unit`."""
        return f"{self.scenario}.{self.trial}.{self.seed}"

    @property
    def file_name(self) -> str:
        """What names it among all runs, as `CallSpec.file_name`."""
        return f"{self.run}~{self.unit}"


def result_from_json(text: bytes | str) -> CallResult:
    """Return the result that a JSON text is. Raises msgspec.MsgspecError."""
    return msgspec.json.decode(text, type=CallResult)


def result_to_json(result: CallResult) -> bytes:
    """Return a result as JSON, on one line."""
    return msgspec.json.encode(result)
