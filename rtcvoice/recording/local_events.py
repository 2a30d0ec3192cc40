"""What a call tells itself, as events of type `rtcvoice.*` for a recording; pure."""

from __future__ import annotations

from typing import Any

from rtcvoice.call import facts
from rtcvoice.call.facts import Fact

__all__ = ["local_event"]


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
