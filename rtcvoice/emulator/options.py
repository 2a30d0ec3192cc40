"""The options of `Emulator`, checked with the words that scripts and faults are checked with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rtcvoice.emulator.answer import AS_SEEN, AnswerShape
from rtcvoice.emulator.connection import Addresses
from rtcvoice.emulator.faults import NO_FAULTS, Faults
from rtcvoice.emulator.live.options import AS_KNOWN, LiveOptions
from rtcvoice.emulator.peer import PATIENCE
from rtcvoice.emulator.recording import RECORD_LIMIT
from rtcvoice.emulator.session.shared import Pace
from rtcvoice.errors import ConfigError
from rtcvoice.system.hosts import is_loopback_host
from rtcvoice.system.options import Options

__all__ = ["EmulatorOptions"]


@dataclass(frozen=True, kw_only=True)
class EmulatorOptions(Options):
    """See `Emulator`, which explains them. `script` is checked where it is read."""

    host: str = "127.0.0.1"
    port: int = 0
    script: object = None
    voice: str = "prompts"
    api_keys: tuple[str, ...] | None = None
    audio: Literal["real-time", "instant"] = "real-time"
    gap: bool = False
    no_udp: bool = False
    all_addresses: bool = False
    pace: Pace | None = None
    shape: AnswerShape = AS_SEEN
    duration: float | None = None
    client_timeout: float = PATIENCE
    seed: int | None = None
    record: str | Path | None = None
    record_limit: int = RECORD_LIMIT
    most_calls: int = 200
    origins: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    live: LiveOptions = AS_KNOWN
    faults: Faults = NO_FAULTS

    @property
    def addresses(self) -> Addresses:
        """Which addresses calls offer for their media."""
        if self.all_addresses:
            return "all"
        return "loopback" if is_loopback_host(self.host) else "own"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.port > 65535:  # uvloop would take another port in its place
            raise ConfigError(f"port={self.port} is not a port", hint="0 (any free one) to 65535")
        if self.most_calls == 0:
            raise ConfigError("most_calls=0 lets nobody call", hint="say 1 or more")
