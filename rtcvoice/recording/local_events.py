"""What a call tells itself, as events of type `rtcvoice.*` for a recording; pure."""

from __future__ import annotations

from typing import Any

from rtcvoice.call import facts
from rtcvoice.call.facts import Fact

__all__ = ["SPEECH_BEGAN", "SPEECH_ENDED", "local_event"]

SPEECH_BEGAN, SPEECH_ENDED = "rtcvoice.speech_began", "rtcvoice.speech_ended"
"""The assistant's voice begins to be heard, and ends: over a WebSocket no event tells it."""


def local_event(fact: Fact) -> dict[str, Any] | None:
    """Return the event for a fact, as JSON; None for one that is told elsewhere."""
    match fact:
        case facts.ToolBegan():
            return {
                "type": "rtcvoice.tool_started",
                "call_id": fact.call_id,
                "name": fact.name,
                "arguments": dict(fact.arguments),
            }
        case facts.ToolEnded() if not fact.failure:
            return {
                "type": "rtcvoice.tool_finished",
                "call_id": fact.call_id,
                "name": fact.name,
                "output": fact.output,
                "seconds": fact.seconds,
            }
        case facts.ToolEnded():
            return {
                "type": "rtcvoice.tool_failed",
                "call_id": fact.call_id,
                "name": fact.name,
                "message": fact.output,
                "failure": str(fact.failure),
            }
        case facts.SpeechBegan(side="assistant"):
            return {"type": SPEECH_BEGAN, "side": fact.side, "id": fact.id}
        case facts.SpeechEnded(side="assistant"):
            return {"type": SPEECH_ENDED, "side": fact.side, "id": fact.id, "cut": fact.cut}
        case facts.LimitTold():
            return {
                "type": "rtcvoice.limit_reached" if fact.reached else "rtcvoice.limit_near",
                "limit": fact.limit,
                "used": fact.used,
                "maximum": fact.maximum,
            }
        case facts.LegUp():
            up = {"type": "rtcvoice.leg_up", "leg_id": fact.leg_id}
            return {**up, "route": fact.route, "via": fact.via}
        case facts.LegEnded():
            return {"type": "rtcvoice.leg_ended", "leg_id": fact.leg_id, "reason": fact.reason}
        case facts.Happened():
            return {"type": fact.type, **fact.fields}
    return None
