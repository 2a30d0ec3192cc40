"""The connections that a call has had: what is told of each, and their counters together."""

from __future__ import annotations

from dataclasses import dataclass, replace

from rtcvoice.stats import TransportStats, UplinkStats
from rtcvoice.system.public import public

__all__ = ["LegFacts", "added"]


@public
@dataclass(frozen=True, kw_only=True, slots=True)
class LegFacts:
    """One connection of a call: `call.legs`."""

    id: str
    """The server's id of it, `rtc_...`; over a WebSocket of its session, `sess_...`."""
    began: float
    """Seconds from the beginning of the call until it took over."""
    ended: float | None = None
    """Seconds from the beginning of the call until it was lost or replaced; None: it is up."""
    why: str = ""
    """Why it ended."""
    route: str = ""
    """The path that it took at its end, or takes now, as in `TransportStats.route`."""


def added(
    before: tuple[UplinkStats, TransportStats], now: tuple[UplinkStats, TransportStats]
) -> tuple[UplinkStats, TransportStats]:
    """Return the statistics of now with the counters of all connections before added to them."""
    (uplink, transport), (last_uplink, last_transport) = now, before
    return (
        replace(
            uplink,
            packets_sent=last_uplink.packets_sent + uplink.packets_sent,
            packets_left_out=last_uplink.packets_left_out + uplink.packets_left_out,
            bytes_sent=last_uplink.bytes_sent + uplink.bytes_sent,
            reports_received=last_uplink.reports_received + uplink.reports_received,
            packets_lost=last_uplink.packets_lost + uplink.packets_lost,
        ),
        replace(
            transport,
            packets_received=last_transport.packets_received + transport.packets_received,
            bytes_received=last_transport.bytes_received + transport.bytes_received,
        ),
    )
