"""Keeps the time of day out of aiortc and aioice, which measure by it.

They take `time.time()` for round trips, jitter and lifetimes. One step of it (the network's time
after a boot, a phone's mast, somebody's hand) and they are wrong for minutes, or raise. The methods
that ask for it are replaced on one *instance* by copies that see another clock; no module is
patched, and a method that is no longer there is named (`UnsupportedAiortc`).
"""

from __future__ import annotations

import functools
import types
from typing import Any

from aiortc import RTCRtpReceiver, RTCRtpSender
from aiortc.rtcrtpreceiver import StreamStatistics

from rtcvoice.system import clock
from rtcvoice.wire._aiortc import UnsupportedAiortc

__all__ = [
    "measure_by_monotonic_clock",
    "relay_by_monotonic_clock",
    "report_by_monotonic_clock",
    "use_monotonic_clock",
]

MOST_JITTER = 0xFFFFFFFF
"""Ticks; a report has 32 bits for it."""

_STEADY_TIME = types.SimpleNamespace(time=clock.now)


def use_monotonic_clock(owner: Any, *needed: str) -> None:
    """Give the methods of `owner` that ask `time.time()` a clock that nobody sets.

    `needed` are methods that have to be among them.
    """
    found = set()
    for cls in reversed(type(owner).__mro__):
        for name, method in vars(cls).items():
            names = getattr(getattr(method, "__code__", None), "co_names", ())
            if "time" in names or "StreamStatistics" in names:
                setattr(owner, name, types.MethodType(_rebound(method), owner))
                found.add(name)
    if missing := set(needed) - found:
        raise UnsupportedAiortc(f"{type(owner).__name__}.{', .'.join(sorted(missing))}")


@functools.cache
def _rebound(function: Any, time: Any = _STEADY_TIME) -> Any:
    """Return a copy of a function that sees another `time` than its module does."""
    seen = {**function.__globals__, "time": time}
    if "StreamStatistics" in seen and time is _STEADY_TIME:
        seen["StreamStatistics"] = _SteadyStatistics
    copy = types.FunctionType(
        function.__code__, seen, function.__name__, function.__defaults__, function.__closure__
    )
    copy.__kwdefaults__ = function.__kwdefaults__
    return copy


class _Arrival:
    """Stands for the `time` module, and tells when the packet came that is being counted."""

    def __init__(self) -> None:
        self.of_packet = 0.0

    def time(self) -> float:
        return self.of_packet


_ARRIVAL = _Arrival()
_count_packet = _rebound(StreamStatistics.add, _ARRIVAL)


class _SteadyStatistics(StreamStatistics):
    """Counts what arrives; the jitter that it reports does not jump with the time of day, and is
    the network's, not that of a loop which is late to read.
    """

    @property
    def jitter(self) -> int:
        """As aiortc has it, but no more than a report can hold, whatever timestamps come."""
        return min(super().jitter, MOST_JITTER)

    def add(self, packet: Any) -> None:
        """Count a packet that comes now, or one of ours, which knows when it came."""
        arrival = getattr(packet, "arrival", None)
        _ARRIVAL.of_packet = clock.now() if arrival is None else arrival
        _count_packet(self, packet)


def report_by_monotonic_clock(sender: RTCRtpSender, receiver: RTCRtpReceiver) -> None:
    """Keep a step of the wall clock out of RTCP reports.

    A step of years (a board without a clock of its own that hears of the time) is a jitter that no
    report can hold, and the end of all reports. Call it before `watch_reports`.
    """
    use_monotonic_clock(sender, "_run_rtcp", "_handle_rtcp_packet")
    use_monotonic_clock(receiver, "_run_rtcp", "_handle_rtp_packet")


def measure_by_monotonic_clock(sctp: Any) -> None:
    """Keep a step of the wall clock out of the data channel's round trips, timers and cookies.

    One step of an hour makes the retransmission timeout a minute, for a minute or more. Call this
    first: what else wraps these methods has to find them mended.
    """
    use_monotonic_clock(sctp, "_receive_sack_chunk", "_transmit", "_get_timestamp")


def relay_by_monotonic_clock(protocol: Any) -> None:
    """Keep a step of the wall clock from letting a TURN server forget its channel."""
    use_monotonic_clock(protocol, "send_data")
