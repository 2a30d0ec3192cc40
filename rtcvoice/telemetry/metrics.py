"""The instruments, one set for each meter provider, and how facts are recorded with them.

No id is ever a label, nor is anything that a server may choose: what is counted stays few series.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from opentelemetry import metrics

from rtcvoice.system.environment import environment

from . import names
from .attributes import scope_version

if TYPE_CHECKING:
    from opentelemetry.metrics import Histogram, Meter, MeterProvider

    from rtcvoice.stats import CallStats

    from .attributes import Attributes

__all__ = ["Instruments", "LinkMetrics", "instruments_of"]

_DURATIONS = [0.01 * 2**n for n in range(14)]
_TOKENS = [4.0**n for n in range(14)]
_DELAYS = [0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 5.0]
_LATENCIES = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0]
_RATIOS = [0.0, 0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0]


class Instruments:
    """All instruments of one provider; any thread."""

    def __init__(self, meter: Meter, gen_ai: names.GenAiMetrics) -> None:
        def histogram(name: str, unit: str, told: str, bounds: list[float]) -> Histogram:
            return meter.create_histogram(
                name, unit, told, explicit_bucket_boundaries_advisory=bounds
            )

        self.gen_ai = gen_ai
        self.duration = histogram(gen_ai.duration, "s", "How long responses took", _DURATIONS)
        self.first_chunk = histogram(
            gen_ai.first_chunk, "s", "From the beginning of a response to its output", _DURATIONS
        )
        self.tokens = [
            histogram(name, "{token}", "Tokens of responses", _TOKENS)
            for name in ((gen_ai.usage,) if gen_ai.usage else gen_ai[3:])
        ]
        self.tool_duration = histogram(names.TOOL_DURATION, "s", "How long tools ran", _DURATIONS)
        self.connect = histogram(
            names.CONNECT_DURATION, "s", "How long each stage of connecting took", _DURATIONS
        )
        self.latency = histogram(
            names.TURN_LATENCY,
            "s",
            "From the user's last sound to the first sound of the answer at the loudspeaker",
            _LATENCIES,
        )
        self.round_trip = histogram(
            names.ROUND_TRIP, "s", "The network's round trip, each second of a call", _DELAYS
        )
        self.playout_delay = histogram(
            names.PLAYOUT_DELAY, "s", "What the jitter buffer aims to hold, each second", _DELAYS
        )
        self.concealed = histogram(
            names.CONCEALED, "1", "The part of each second's sound that was concealed", _RATIOS
        )
        self.lost = meter.create_counter(names.PACKETS_LOST, "{packet}", "RTP packets lost")
        self.received = meter.create_counter(
            names.PACKETS_RECEIVED, "{packet}", "RTP packets received"
        )
        self.interruptions = meter.create_counter(
            names.INTERRUPTIONS, "{interruption}", "Answers that were cut short"
        )
        self.reconnects = meter.create_counter(
            names.RECONNECTS, "{reconnect}", "Connections that took the place of another"
        )
        self.active = meter.create_up_down_counter(
            names.ACTIVE_CALLS, "{call}", "Calls that are ready and have not ended"
        )
        self.cost = meter.create_counter(names.COST, "USD", "What calls cost, as far as known")

    def record_tokens(self, input_tokens: int, output_tokens: int, common: Attributes) -> None:
        """Record the tokens of one response."""
        if self.gen_ai.usage:
            for kind, count in (("input", input_tokens), ("output", output_tokens)):
                self.tokens[0].record(count, {**common, names.TOKEN_TYPE: kind})
        else:
            for instrument, count in zip(self.tokens, (input_tokens, output_tokens), strict=True):
                instrument.record(count, common)


class LinkMetrics:
    """Records the figures of one call, second by second."""

    def __init__(self, instruments: Instruments) -> None:
        self._to = instruments
        self._before: CallStats | None = None
        self._cost = 0.0

    def record(self, stats: CallStats, cost: float, model: Attributes) -> None:
        """Record what is new since the last time."""
        to, before, self._before = self._to, self._before, stats
        playout = stats.playout
        was = before.playout if before is not None else None
        if stats.round_trip_time is not None:
            to.round_trip.record(stats.round_trip_time)
        if playout.packets_received:
            to.playout_delay.record(playout.jitter_buffer_target_delay)
        lost = max(0, playout.packets_lost - (was.packets_lost if was else 0))
        received = max(0, playout.packets_received - (was.packets_received if was else 0))
        for counter, count in ((to.lost, lost), (to.received, received)):
            if count:
                counter.add(count, {names.DIRECTION: "receive"})
        sent_lost = max(
            0, stats.uplink.packets_lost - (before.uplink.packets_lost if before else 0)
        )
        if sent_lost:
            to.lost.add(sent_lost, {names.DIRECTION: "transmit"})
        emitted = playout.jitter_buffer_emitted_count - (
            was.jitter_buffer_emitted_count if was else 0
        )
        concealed = playout.concealed_samples - (was.concealed_samples if was else 0)
        if emitted + concealed > 0 and received:
            to.concealed.record(min(1.0, max(0.0, concealed / (emitted + concealed))))
        self.record_cost(cost, model)

    def record_cost(self, cost: float, model: Attributes) -> None:
        """Record what the call costs, in all, in US dollars."""
        if cost > self._cost:
            self._to.cost.add(cost - self._cost, model)
            self._cost = cost


_lock = threading.Lock()
_known: WeakKeyDictionary[MeterProvider, dict[names.GenAiMetrics, Instruments]] = (
    WeakKeyDictionary()
)


def instruments_of(provider: MeterProvider | None) -> Instruments:
    """Return the instruments of a provider, None for the one that is set; one set for all calls."""
    provider = metrics.get_meter_provider() if provider is None else provider
    gen_ai = names.chosen(environment(names.OPT_IN))
    with _lock:
        sets = _known.setdefault(provider, {})
        if gen_ai not in sets:
            sets[gen_ai] = Instruments(provider.get_meter(names.SCOPE, scope_version()), gen_ai)
        return sets[gen_ai]
