"""The call that a tool or a handler runs for."""

from __future__ import annotations

from rtcvoice.call.call import Call
from rtcvoice.conversation.owner import OWNER
from rtcvoice.errors import ConfigError

__all__ = ["current_call"]


def current_call() -> Call:
    """Return the call whose tool or handler is running; also in the threads that they run in.

    In a thread use it by `rtcvoice.blocking.current_call`. Raises ConfigError elsewhere: in a
    thread or process that your program started itself, it is not known.
    """
    owner = OWNER.get(None)
    if isinstance(owner, Call):
        return owner
    raise ConfigError(
        "no call is current here",
        hint="only tools and handlers of a call have one; hand it on to threads that you start",
    )
