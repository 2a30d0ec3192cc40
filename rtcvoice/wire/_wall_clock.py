"""Keeps the time of day out of aiortc and aioice, which measure by it.

They take `time.time()` for round trips, jitter and lifetimes. One step of it (the network's time
after a boot, a phone's mast, somebody's hand) and they are wrong for minutes, or raise. The methods
that ask for it are replaced on one *instance* by copies that see another clock; no module is
patched, and a method that is no longer there is named (`UnsupportedAiortc`).
"""
# ruff: noqa: SLF001  (private names are what this module is for)

from __future__ import annotations

import functools
import types
from typing import Any

from aiortc import RTCRtpReceiver, RTCRtpSender
from aiortc.rtcrtpreceiver import StreamStatistics

from rtcvoice.system import clock
from rtcvoice.wire._aiortc import UnsupportedAiortc

__all__ = [
    "SteadyStatistics",
    "measure_by_monotonic_clock",
    "relay_by_monotonic_clock",
    "report_by_monotonic_clock",
    "use_monotonic_clock",
]

MOST_JITTER = 0xFFFFFFFF
"""Ticks; a report has 32 bits for it."""

_STEADY_TIME = types.SimpleNamespace(time=clock.now)

_COUNTED = (
    *("base_seq", "max_seq", "cycles", "packets_received"),
    *("_clockrate", "_jitter_q4", "_last_arrival", "_last_timestamp"),
)


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
def _rebound(function: Any) -> Any:
    """Return a copy of a function that sees another `time` than its module does."""
    seen = {**function.__globals__, "time": _STEADY_TIME}
    if "StreamStatistics" in seen:
        seen["StreamStatistics"] = SteadyStatistics
    copy = types.FunctionType(
        function.__code__, seen, function.__name__, function.__defaults__, function.__closure__
    )
    copy.__kwdefaults__ = function.__kwdefaults__
    return copy


class SteadyStatistics(StreamStatistics):
    """Counts what arrives; the jitter that it reports does not jump with the time of day, and is
    the network's, not that of a loop which is late to read.
    """

    _last_arrival: Any  # None before the first packet, as aiortc has it
    _last_timestamp: Any

    @property
    def jitter(self) -> int:
        """As aiortc has it, but no more than a report can hold, whatever timestamps come."""
        return min(super().jitter, MOST_JITTER)

    def add(self, packet: Any) -> None:
        """Count a packet of aiortc's, which comes now."""
        self.count(packet.sequence_number, packet.timestamp, clock.now())

    def count(self, sequence_number: int, timestamp: int, arrival: float) -> None:
        """Count a packet by its numbers and when it came, in seconds of `clock.now()`."""
        self.packets_received += 1
        newest = self.max_seq
        if newest is None:
            self.base_seq = sequence_number
        elif not 0 < (sequence_number - newest) & 0xFFFF < 0x8000:
            return  # late, or once more
        elif sequence_number < newest:
            self.cycles += 1 << 16
        self.max_seq = sequence_number
        came = int(arrival * self._clockrate)
        if newest is not None and timestamp != self._last_timestamp:
            # RFC 3550 §A.8: the change of the time on the way, smoothed.
            change = abs(came - self._last_arrival - (timestamp - self._last_timestamp))
            self._jitter_q4 += change - ((self._jitter_q4 + 8) >> 4)
        self._last_arrival, self._last_timestamp = came, timestamp


def report_by_monotonic_clock(sender: RTCRtpSender, receiver: RTCRtpReceiver) -> None:
    """Keep a step of the wall clock out of RTCP reports.

    A step of years (a board without a clock of its own that hears of the time) is a jitter that no
    report can hold, and the end of all reports. Call it before `watch_reports`.
    """
    use_monotonic_clock(sender, "_run_rtcp", "_handle_rtcp_packet")
    use_monotonic_clock(receiver, "_run_rtcp", "_handle_rtp_packet")
    handle: Any = receiver._handle_rtp_packet
    if "StreamStatistics" not in handle.__code__.co_names:
        raise UnsupportedAiortc("StreamStatistics in RTCRtpReceiver._handle_rtp_packet")
    if missing := set(_COUNTED) - vars(StreamStatistics(1)).keys():
        raise UnsupportedAiortc(f"StreamStatistics.{', .'.join(sorted(missing))}")


def measure_by_monotonic_clock(sctp: Any) -> None:
    """Keep a step of the wall clock out of the data channel's round trips, timers and cookies.

    One step of an hour makes the retransmission timeout a minute, for a minute or more. Call this
    first: what else wraps these methods has to find them mended.
    """
    use_monotonic_clock(sctp, "_receive_sack_chunk", "_transmit", "_get_timestamp")


def relay_by_monotonic_clock(protocol: Any) -> None:
    """Keep a step of the wall clock from letting a TURN server forget its channel."""
    use_monotonic_clock(protocol, "send_data")
