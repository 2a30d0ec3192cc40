"""Faults of the user's side: devices, the user's code, clocks and sleep, processes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import rtcvoice
from faults import own_strikes as own
from faults import strikes
from faults.calls import AGAIN, ALONE, NOTICED, lost, stays
from faults.row import Ends, Fails, GoesOn, Row, Where
from rtcvoice.emulator import Faults
from rtcvoice.errors import DeviceError, TransportError

__all__ = ["ROWS"]


def opening(injected: str, must: Fails, **options: Any) -> Row:
    """A row of an end that does not open."""
    return Row(where=Where.DEVICES, injected=injected, must=must, options=options)


def device(injected: str, *, told: str = "", **row: Any) -> Row:
    """A row of an end that fails during the call, which goes on."""
    return stays(Where.DEVICES, injected, must=GoesOn(told=told), **row)


GONE = Path("/nowhere")

DEVICES = (
    opening(
        "a source that cannot be opened",
        Fails(error=DeviceError, saying="unplugged"),
        source=own.BrokenSource(at="open"),
    ),
    opening(
        "a sink that cannot be opened",
        Fails(error=DeviceError, saying="unplugged"),
        sink=own.BrokenSink(at="open"),
    ),
    opening(
        "a file to be said that is not there",
        Fails(error=DeviceError, saying="does not exist"),
        source=rtcvoice.FileSource(GONE / "a.wav"),
    ),
    opening(
        "a file to be written in a folder that is not there",
        Fails(error=DeviceError, saying="create the folder"),
        sink=rtcvoice.FileSink(GONE / "a.wav"),
    ),
    opening(
        "a source that opens for ever",
        Fails(error=TransportError, having={"stage": "devices"}, within=1.8),
        source=own.BrokenSource(at="open for ever"),
        connect_timeout=0.5,
    ),
    device(
        "a source that raises while it is read",
        options={"source": own.BrokenSource(at="read")},
        strike=own.for_a_while,
        quick=True,
    ),
    device(
        "a source whose blocks never come",
        options={"source": own.BrokenSource(at="read for ever")},
        strike=own.for_a_while,
    ),
    device(
        "blocks of another length and of no samples",
        options={"source": own.BrokenSource(at="odd blocks")},
        strike=own.for_a_while,
    ),
    device(
        "an iterable of sound that raises",
        options={"source": rtcvoice.PcmSource(own.raising_chunks())},
        strike=own.for_a_while,
    ),
    device(
        "an iterable of sound that exits",
        options={"source": rtcvoice.PcmSource(own.exiting_chunks())},
        strike=own.for_a_while,
    ),
    device(
        "a sink that raises while it is written",
        options={"sink": own.BrokenSink(at="write")},
        strike=own.for_a_while,
    ),
    device(
        "a sink whose latency is not a number",
        options={"sink": own.BrokenSink(at="latency")},
        strike=own.for_a_while,
    ),
    device("ends that cannot be closed", options={"source": own.BrokenSource(at="close")}),
    device(
        "a microphone that is pulled out",
        around=own.fake_microphone,
        strike=own.pulled_out,
        told="rtcvoice.device_changed",
    ),
    device(
        "a loudspeaker that is pulled out and put back",
        around=own.fake_loudspeaker,
        strike=own.pulled_out_and_put_back,
        told="rtcvoice.device_changed",
    ),
)


def code(injected: str, strike: Any, *, must: Any = None, **row: Any) -> Row:
    return stays(Where.USER_CODE, injected, strike, must=must, **row)


def tool(injected: str, function: Any, *, told: str = "rtcvoice.tool_failed") -> Row:
    """A row of a tool that the assistant calls."""
    return code(injected, own.call_the_tool, must=GoesOn(told=told), options={"tools": [function]})


HANDLER_ERROR = GoesOn(told="rtcvoice.handler_error")

USER_CODE = (
    code("a handler that raises", own.handler(own.raises), must=HANDLER_ERROR, quick=True),
    code("a plain handler that raises", own.handler(own.raises_plainly), must=HANDLER_ERROR),
    code("a handler that exits the program", own.handler(own.exits), must=HANDLER_ERROR),
    code("a handler that never returns", own.handler(own.never)),
    code("a plain handler that blocks its thread", own.handler(own.blocks)),
    code("a handler that blocks the event loop", own.handler(own.blocks_the_loop)),
    code(
        "a handler that hangs up",
        own.hanging_up,
        must=Ends(saying="hung up", normal=True, within=2.0),
    ),
    code("a filter that raises", own.raising_filter),
    code("a reader that falls behind by 5,000 events", own.slow_reader),
    code("a question that is cancelled", own.cancelled_question),
    code("ten questions at once", own.ten_questions),
    tool("a tool that raises", own.broken_tool),
    tool("a tool that exits the program", own.exiting_tool),
    tool("a tool that returns what JSON cannot hold", own.odd_tool),
    tool("a tool that returns 1 MB", own.large_tool),
    tool("a tool that never returns", own.endless_tool, told="rtcvoice.tool_started"),
    code(
        "a tool that runs while the leg is lost: it runs once, its result is told once",
        own.tool_over_a_gap,
        options={**NOTICED, **AGAIN, "tools": [own.slow_tool]},
        must=GoesOn(within=4.0, legs=2, told="rtcvoice.tool_finished"),
    ),
    code("an event by hand that the server refuses", own.refused_event),
    code("an event by hand that is too large", own.large_event),
    code(
        "a stream of events that two tasks read",
        own.two_readers,
    ),
)

CLOCK = (
    stays(
        Where.CLOCK,
        "the time of day steps by a year, and back",
        own.step_of_the_wall_clock,
        around=own.wall_clock,
        must=GoesOn(within=4.0),
        quick=True,
    ),
    stays(
        Where.CLOCK,
        "the event loop stands still for 0.8 s, longer than it takes to notice silence",
        strikes.stand_still,
        options=NOTICED,
        must=GoesOn(within=3.0),
    ),
    stays(
        Where.CLOCK,
        "the machine slept for a minute, and the leg is still there",
        own.sleep_of_a_minute,
        around=own.clock_that_counts_sleep,
        options=AGAIN,
        must=GoesOn(within=3.0),
    ),
    stays(
        Where.CLOCK,
        "the machine slept for a minute, and the server is gone",
        own.sleep_and_silence,
        around=own.clock_that_counts_sleep,
        options=AGAIN,
        must=GoesOn(within=4.0, legs=2, told="rtcvoice.reconnected"),
    ),
    stays(
        Where.CLOCK,
        "Ctrl-Z, and fg after 1.5 s",
        own.stopped_and_continued,
        must=GoesOn(within=20.0),
    ),
)

PROCESS = (
    *(
        Row(
            where=Where.PROCESS,
            injected=f"the server's process is {what}; reconnect=None",
            must=Ends(saying="nothing was received", within=2.0),
            around=own.other_process,
            strike=strike,
            options={**NOTICED, **ALONE},
        )
        for what, strike in (("killed", own.kill_server), ("stopped", own.stop_server))
    ),
    *lost(
        Where.PROCESS,
        "the server is restarted, and back after 0.5 s",
        Ends(saying="nothing was received", within=2.0),
        strikes.restart,
        quick=True,
    ),
    Row(
        where=Where.PROCESS,
        injected="no descriptor is left",
        must=Fails(error=TransportError, saying="ulimit", within=2.0),
        around=own.no_descriptors,
    ),
    Row(
        where=Where.PROCESS,
        injected="every task of the loop is cancelled",
        must=Ends(saying="cancelled", within=2.0),
        strike=own.cancel_tasks,
        around=own.other_process,
        options=ALONE,
    ),
    stays(
        Where.PROCESS,
        "a program that ends without hanging up",
        own.program(own.LEAVES, ends_with=0),
        must=GoesOn(within=20.0),
    ),
    stays(
        Where.PROCESS,
        "Ctrl-C in the middle of a call",
        own.program(own.WAITS, interrupted=True, ends_with=-2),
        must=GoesOn(within=20.0),
    ),
)

EVENTS = (
    stays(
        Where.EVENTS,
        "a response.done that cannot be read, before the answer to a tool's result",
        own.question_with_tool,
        server={"faults": Faults(malformed_events=True, unknown_fields=True)},
        options={"tools": [own.quick_tool]},
        must=GoesOn(told="rtcvoice.tool_finished"),
        quick=True,
    ),
)

ROWS: Iterable[Row] = (*DEVICES, *USER_CODE, *EVENTS, *CLOCK, *PROCESS)
