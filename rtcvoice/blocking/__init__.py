"""Calls without asyncio: the same verbs, which wait, for scripts, robots and web servers.

    with rtcvoice.blocking.connect(source=None, sink=None) as call:
        print(call.ask("Hello!").text())

The call lives on an event loop of its own, in a daemon thread. Any thread may use it, also several
at a time; a thread that runs an event loop may not, for it would stop that loop (ConfigError).
Handlers and tools may be plain functions, which run in threads of their own, and may use the call.
Ctrl-C interrupts whatever waits. Leaving the block hangs up, within a bounded time.

loop_thread.py   an event loop in a thread, and the way to have it do something
verbs.py         makes a verb that waits of one that is awaited
streams.py       events, turns, audio, text: what is iterated over
reply.py         an answer, and the block of push to talk
call.py          the call, and the connection around it
connection.py    `connect`, `attach`, `current_call`
"""

from rtcvoice.blocking.call import Call, Connection
from rtcvoice.blocking.connection import attach, connect, current_call
from rtcvoice.blocking.reply import Reply, Talk
from rtcvoice.blocking.streams import Expected, Stream

__all__ = [
    "Call",
    "Connection",
    "Expected",
    "Reply",
    "Stream",
    "Talk",
    "attach",
    "connect",
    "current_call",
]
