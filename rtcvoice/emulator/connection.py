"""Makes the aiortc connection of one call: one transceiver, and ICE in the shape that was asked."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Literal

from aiortc import (
    MediaStreamTrack,
    RTCBundlePolicy,
    RTCConfiguration,
    RTCPeerConnection,
    RTCRtpSender,
)

from rtcvoice.emulator.ice_lite import be_ice_lite, gather_on_loopback
from rtcvoice.wire import _aiortc, _media

__all__ = ["Addresses", "be_dtls_server", "new_connection"]

Addresses = Literal["loopback", "own", "all"]
"""What a connection offers: 127.0.0.1, the machine's other addresses, or both."""

CODECS = ("opus", "PCMU", "PCMA")
"""What is negotiated, best first, as the service does."""


def new_connection(
    track: MediaStreamTrack, hear: Callable[[Any], None], *, ice_lite: bool, addresses: Addresses
) -> RTCPeerConnection:
    """Return a connection that sends `track` and gives every RTP packet to `hear`."""
    peer = RTCPeerConnection(
        RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE)
    )
    transceiver = peer.addTransceiver(track, direction="sendrecv")
    codecs = {codec.name: codec for codec in RTCRtpSender.getCapabilities("audio").codecs}
    transceiver.setCodecPreferences([codecs[name] for name in CODECS])
    _media.take_packets(transceiver.receiver, hear)
    ice = _aiortc.ice_connection(peer)
    if ice_lite:
        be_ice_lite(ice)
    else:
        _aiortc.quick_checks(ice)
    if addresses != "own":
        gather_on_loopback(ice, others=addresses == "all")
    return peer


def be_dtls_server(peer: RTCPeerConnection) -> None:
    """Be the DTLS server where the offer, which was set, leaves that open (RFC 8842 §5.3)."""
    transport = peer.getTransceivers()[0].receiver.transport
    if not hasattr(transport, "_set_role") or not hasattr(transport, "_role"):
        raise _aiortc.UnsupportedAiortc("RTCDtlsTransport._set_role, ._role")
    remote = re.search(r"^a=setup:(\w+)", peer.remoteDescription.sdp, re.MULTILINE)
    if remote is None or remote[1] != "passive":
        transport._set_role("server")  # noqa: SLF001
