"""Who the user's code is running for: set in tools and handlers, and in the threads they run in."""

from __future__ import annotations

from contextvars import Context, ContextVar, copy_context

__all__ = ["OWNER", "context_of"]

OWNER: ContextVar[object] = ContextVar("rtcvoice call")
"""The call that a tool or handler belongs to; unset elsewhere."""


def context_of(owner: object) -> Context:
    """Return a copy of the current context in which `owner` is the one; None leaves it as it is."""
    context = copy_context()
    if owner is not None:
        context.run(OWNER.set, owner)
    return context
