"""What the parts of one session share, and the pace at which they pretend to work."""

from __future__ import annotations

from dataclasses import dataclass

from rtcvoice.emulator.session.agenda import Agenda
from rtcvoice.emulator.session.budget import TokenBudget
from rtcvoice.emulator.session.conversation import Conversation
from rtcvoice.emulator.session.delta_buffer import DeltaBuffer
from rtcvoice.emulator.session.ids import Ids
from rtcvoice.emulator.session.output_buffer import OutputBuffer
from rtcvoice.emulator.session.outputs import Outbox
from rtcvoice.system.options import Options

__all__ = ["AT_ONCE", "Pace", "Shared"]


@dataclass(frozen=True, kw_only=True)
class Pace(Options):
    """How long things take, in seconds. The defaults are those of a quick model nearby."""

    response_latency: float = 0.3
    """From `response.created` to the first output item."""
    delta_interval: float = 0.02
    """Between two text deltas, each a word: some 15 times faster than speech."""
    transcription_latency: float = 0.4
    """From the commit to the transcript, when no response is there to order it by."""
    lead_deltas: int = 3
    """How many deltas come before the first audio."""


AT_ONCE = Pace(response_latency=0.0, delta_interval=0.0, transcription_latency=0.0)
"""Nothing takes any time."""


@dataclass(frozen=True)
class Shared:
    """The hub of a session: whoever has it can send, wait, and look up items."""

    ids: Ids
    outbox: Outbox
    agenda: Agenda
    conversation: Conversation
    output: OutputBuffer | DeltaBuffer
    budget: TokenBudget
    pace: Pace
