"""Snapshots of what a call is doing, in the names of webrtc-stats turned to snake_case; a leaf.

A field that webrtc-stats also has means the same there, and has its unit: seconds, samples, packets
or bytes, counted from the beginning of the call (W3C webrtc-stats, "Identifiers for WebRTC's
Statistics API"). Each docstring begins with the counterpart's name where there is one. Rates are
left to whoever takes two snapshots.

A snapshot is immutable, so a thread that makes one may hand it to another without a lock.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from rtcvoice.system.public import public

__all__ = [
    "CallStats",
    "DeviceStats",
    "LinkStats",
    "LoadStats",
    "NetworkStats",
    "PlayoutStats",
    "TransportStats",
    "UplinkStats",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class PlayoutStats:
    """How the incoming audio fares, from the first packet on (webrtc-stats: inbound-rtp).

    A pause of the sender is neither a loss nor concealment. Samples are counted at the rate of the
    engine: the sink's, or 48000 where that is not a rate of Opus's.
    """

    packets_received: int = 0
    """packetsReceived: every RTP packet that arrived, duplicates not counted."""
    packets_lost: int = 0
    """packetsLost: sequence numbers that never arrived, or only as garbage."""
    packets_discarded: int = 0
    """packetsDiscarded: arrived and never played: too late, stale, garbage, or thrown away to catch
    up or flush."""
    packets_late: int = 0
    """Of those discarded, the ones that came when their turn was over."""
    packets_duplicated: int = 0
    """packetsDuplicated."""
    packets_empty: int = 0
    """Padding only; no audio."""
    packets_recovered: int = 0
    """Lost ones, wholly or in part rebuilt from the FEC in their successor."""
    packets_undecodable: int = 0
    """Looked like Opus, but libopus refused them; concealed."""
    concealed_samples: int = 0
    """concealedSamples: invented, or silence, in place of audio that was lost or late."""
    silent_concealed_samples: int = 0
    """silentConcealedSamples: of those, silence, after a concealment that had faded out."""
    concealment_events: int = 0
    """concealmentEvents: runs of concealed samples."""
    underruns: int = 0
    """Concealment events without a lost packet: the buffer ran dry, and the audio came later."""
    removed_samples_for_acceleration: int = 0
    """removedSamplesForAcceleration: taken out to bring the delay back down."""
    inserted_samples_for_deceleration: int = 0
    """insertedSamplesForDeceleration: repeated, to be better prepared for a network that got
    worse."""
    jitter_buffer_delay: float = 0.0
    """jitterBufferDelay: sum over all emitted samples of the seconds each waited; divide by the
    next field."""
    jitter_buffer_emitted_count: int = 0
    """jitterBufferEmittedCount: samples."""
    jitter_buffer_target_delay: float = 0.0
    """Seconds of audio the buffer aims to hold now (an instant value; jitterBufferTargetDelay is
    its sum over all samples)."""
    jitter_buffer_level: float = 0.0
    """Seconds of audio in the buffer now."""
    samples_played: int = 0
    """totalSamplesReceived: handed to the sink so far, silence included; at the sink's rate."""
    inbox_dropped: int = 0
    """Packets and commands thrown away because nobody pulled."""
    pull_errors: int = 0
    """Pulls that failed inside and gave silence: a bug, if not 0."""


@dataclass(frozen=True, kw_only=True, slots=True)
class UplinkStats:
    """What is sent (outbound-rtp), and how it arrives (remote-inbound-rtp, from RTCP reports)."""

    packets_sent: int = 0
    """packetsSent: RTP packets; silence is sent as well."""
    packets_left_out: int = 0
    """Blocks of the source that were not sent: the machine was too slow; see `LoadStats`."""
    bytes_sent: int = 0
    """bytesSent: of Opus, or of PCM over a WebSocket; no headers."""
    bitrate: int = 0
    """targetBitrate: bit/s that the encoder aims at now, FEC included, no headers."""
    loss_percent: int = 0
    """Loss in percent that the encoder is prepared for now; from 1 on, packets carry FEC."""
    audio_level: float = 0.0
    """audioLevel (media-source): the loudest sample sent within 100 ms, 0 to 1; 0 while muted."""
    reports_received: int = 0
    """Reports of the receiver so far; while it is 0, the fields below say nothing."""
    fraction_lost: float = 0.0
    """fractionLost: 0 to 1, between the last two reports."""
    packets_lost: int = 0
    """packetsLost: of all packets sent; negative if more arrived than were sent."""
    jitter: float = 0.0
    """jitter: seconds; how unevenly packets arrive (RFC 3550 §6.4.1)."""
    round_trip_time: float | None = None
    """roundTripTime: seconds, by the last report that allowed a measurement; None before it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LinkStats:
    """What one direction of `network=` did to the packets of a call; webrtc-stats knows none of
    this. Packets are datagrams of any kind.
    """

    sent: int = 0
    """That came to it."""
    delivered: int = 0
    """That it let through, those that it doubled twice; the rest is lost, or under way, or
    was so when its connection ended."""
    lost: int = 0
    overflowed: int = 0
    """Lost because it was full; one that was doubled counts like any packet."""
    duplicated: int = 0
    reordered: int = 0
    corrupted: int = 0
    """With one bit wrong; some of them are among the lost."""
    stalled: int = 0
    """Held back by a stall."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkStats:
    """What `network=` did, on all connections of a call together."""

    asked: str = ""
    """What it was asked to be, in words that `network=` takes."""
    uplink: LinkStats = field(default_factory=LinkStats)
    downlink: LinkStats = field(default_factory=LinkStats)


@dataclass(frozen=True, kw_only=True, slots=True)
class TransportStats:
    """What comes in over the network (transport)."""

    packets_received: int = 0
    """packetsReceived: datagrams of any kind: RTP, RTCP, events, and ICE's checks."""
    bytes_received: int = 0
    """bytesReceived: payload of those datagrams, encrypted as they came."""
    packets_discarded_on_send: int = 0
    """packetsDiscardedOnSend (candidate-pair): datagrams that were too old when TCP took them, or
    blocks of audio that a WebSocket was too slow for."""
    route: str = ""
    """What leaves this machine: "udp", "tcp" or "websocket"; empty while there is no way yet. Over
    TCP, a lost packet holds up all that follow: a call sounds worse when packets are lost."""
    via: str = ""
    """Through what: "direct", "turn", "http-proxy" or "socks5"."""
    candidate_pair: str = ""
    """The nominated one, such as "host udp 192.0.2.7:5000 -> 198.51.100.1:3478"; empty while there
    is none. With TURN: "relay", how the TURN server is reached, its address for us."""
    network: NetworkStats | None = None
    """What the bad network did that was asked for by `network=`; None where none was."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadStats:
    """Whether the machine is fast enough for all calls of an event loop; webrtc-stats knows none of
    this. Of the latest second.
    """

    state: str = "roomy"
    """ "roomy"; "busy": much of the core is used, and shortcuts are taken; "overloaded": the core
    cannot do all, and a part of what is said, or heard, is left out; "held_up": other work keeps
    the loop, so that everything is late."""
    busy: float = 0.0
    """Share of one core that the loop's thread used."""
    sound: float = 0.0
    """Share of the loop's time that sending and playing took, of all calls together."""
    behind: float = 0.0
    """Seconds that the loop came late to what it had to do, on average."""
    left_out: float = 0.0
    """Share of what was to be said that was not sent, 0 to 1."""
    skipped: float = 0.0
    """Share of what was to be heard that was left out, 0 to 1."""


@public
@dataclass(frozen=True, kw_only=True, slots=True)
class DeviceStats:
    """A sound device, as this call uses it; none of it is in webrtc-stats."""

    device: str = ""
    """Its name."""
    rate: int = 0
    """Hz that it runs at."""
    working: bool = False
    """Whether sound comes from it, or goes to it, now; False while a lost one is looked for."""
    latency: float = 0.0
    """Seconds from a sound in the air to the program, or the other way, measured of late."""
    dropouts: int = 0
    """Times that the program was too late for it: samples were lost (microphone), or it had nothing
    to play (loudspeaker)."""
    reopenings: int = 0
    """Times that it was opened again: lost and found, or given a larger buffer."""


@public
@dataclass(frozen=True, kw_only=True, slots=True)
class CallStats:
    """All of a call; `dataclasses.asdict()` makes a plain dict of it."""

    playout: PlayoutStats = field(default_factory=PlayoutStats)
    """The downlink, as heard; at most 100 ms of playing old."""
    uplink: UplinkStats = field(default_factory=UplinkStats)
    """What the other side is sent, and how it says that it arrives."""
    transport: TransportStats = field(default_factory=TransportStats)
    """The connection under both."""
    microphone: DeviceStats | None = None
    """The device that is spoken into; None where the source is not a device."""
    loudspeaker: DeviceStats | None = None
    """The device that is listened to; None where the sink is not a device."""
    round_trip_time: float | None = None
    """roundTripTime: seconds, as in `uplink`."""
    load: LoadStats = field(default_factory=LoadStats)
    """Whether the machine is fast enough for this call and the others of its event loop."""
