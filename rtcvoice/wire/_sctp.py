"""What aiortc's SCTP association knows and does not tell: how much it takes, how much has arrived.

As in `_aiortc.py`, whatever is private is guarded: `UnsupportedAiortc` where it is missing.
"""

from __future__ import annotations

from typing import Any

from aiortc import RTCPeerConnection

from rtcvoice.wire._aiortc import UnsupportedAiortc

__all__ = ["max_message_size", "unacknowledged"]


def unacknowledged(peer: RTCPeerConnection) -> int:
    """Return the bytes of messages that SCTP has begun to send and the remote side has not got."""
    sctp: Any = peer.sctp
    try:
        return sum(
            len(chunk.user_data)
            for queue in (sctp._outbound_queue, sctp._sent_queue)
            for chunk in queue
        )
    except AttributeError as exc:
        raise UnsupportedAiortc("RTCSctpTransport._outbound_queue, ._sent_queue") from exc


def max_message_size(peer: RTCPeerConnection) -> int:
    """Return the largest data-channel message, in bytes, that the remote side accepts."""
    size = getattr(peer.sctp, "_remote_max_message_size", None)
    if not isinstance(size, int):
        raise UnsupportedAiortc("RTCSctpTransport._remote_max_message_size")
    return size or 2**30  # 0 announces "any size" (RFC 8841 §6.1)
