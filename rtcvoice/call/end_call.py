"""A ready tool with which the model ends the call."""

from __future__ import annotations

from rtcvoice.call.current import current_call
from rtcvoice.conversation.tools.function_tool import tool
from rtcvoice.errors import CallEnded

__all__ = ["end_call"]


@tool(
    description="End the call. Use it once the user has said goodbye, or wants nothing more."
    " You will be asked to say goodbye after it.",
)
async def end_call() -> dict[str, str]:
    """Hang up once goodbye was said and heard: `connect(tools=[rtcvoice.end_call, ...])`.

    The model says goodbye in its answer to this tool; what is said then is heard to its end, for at
    most 30 s, and the call ends normally. `rtcvoice.ToolSet([...], approve=)` can keep it from it.
    Raises ConfigError when called outside a call.
    """
    current_call().end_after_answer(CallEnded("the model ended the call", normal=True))
    return {"status": "the call ends after your next words", "next": "say goodbye, in a few words"}
