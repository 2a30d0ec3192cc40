"""Snapshots of what a call is doing, in the names of webrtc-stats turned to snake_case; a leaf.

A snapshot is immutable, so a thread that makes one may hand it to another without a lock.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["PlayoutStats"]


@dataclass(frozen=True, kw_only=True, slots=True)
class PlayoutStats:
    """How the incoming audio fares, from the first packet on.

    Fields that webrtc-stats also has mean the same there (W3C webrtc-stats, inbound-rtp). A pause
    of the sender is neither a loss nor concealment.
    """

    packets_received: int = 0
    """Every RTP packet that arrived, duplicates not counted."""
    packets_lost: int = 0
    """Sequence numbers that never arrived, or only as garbage."""
    packets_discarded: int = 0
    """Arrived and never played: too late, stale, garbage, or thrown away to catch up or flush."""
    packets_duplicated: int = 0
    packets_empty: int = 0
    """Padding only; no audio."""
    packets_recovered: int = 0
    """Lost ones rebuilt from the FEC in their successor."""
    packets_undecodable: int = 0
    """Looked like Opus, but libopus refused them; concealed."""
    concealed_samples: int = 0
    """Invented, or silence, in place of audio that was lost or late."""
    concealment_events: int = 0
    """Runs of concealed samples."""
    removed_samples_for_acceleration: int = 0
    """Taken out to bring the delay back down."""
    inserted_samples_for_deceleration: int = 0
    """Repeated to be better prepared for a network that got worse."""
    jitter_buffer_delay: float = 0.0
    """Sum over all emitted samples of the seconds each waited; divide by the next field."""
    jitter_buffer_emitted_count: int = 0
    jitter_buffer_target_delay: float = 0.0
    """Seconds of audio the buffer aims to hold now (an instant value, not webrtc's sum)."""
    jitter_buffer_level: float = 0.0
    """Seconds of audio in the buffer now."""
    samples_played: int = 0
    """Handed to the sink so far, silence included, at the sink's rate."""
    inbox_dropped: int = 0
    """Packets and commands thrown away because nobody pulled."""
    pull_errors: int = 0
    """Pulls that failed inside and gave silence: a bug, if not 0."""
