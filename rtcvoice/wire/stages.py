"""How far a connection is: the stages of `transport.py`, from the offer to the close."""

from __future__ import annotations

import enum

from rtcvoice.system.states import StateTable

__all__ = ["STAGES", "TransportStage"]


class TransportStage(enum.Enum):
    """How far a connection is. ICE and DTLS have states of their own, in the W3C's terms."""

    NEW = "There is no offer yet."
    OFFERED = "The offer is made; the answer is to come."
    CHECKING = "The answer is in; ICE looks for a pair of addresses that works."
    SECURING = "A pair works; the DTLS handshake is under way."
    OPENING = "Media is encrypted and flows; the event channel is to open."
    OPEN = "All is up."
    LOST = "It was up, and failed or was closed by the server; `on_lost` was called."
    CLOSED = "`aclose` was called."


STAGES = StateTable(
    {
        TransportStage.NEW: {TransportStage.OFFERED, TransportStage.CLOSED},
        TransportStage.OFFERED: {TransportStage.CHECKING, TransportStage.CLOSED},
        TransportStage.CHECKING: {TransportStage.SECURING, TransportStage.CLOSED},
        TransportStage.SECURING: {TransportStage.OPENING, TransportStage.CLOSED},
        TransportStage.OPENING: {TransportStage.OPEN, TransportStage.CLOSED},
        TransportStage.OPEN: {TransportStage.LOST, TransportStage.CLOSED},
        TransportStage.LOST: {TransportStage.CLOSED},
        TransportStage.CLOSED: set(),
    }
)
