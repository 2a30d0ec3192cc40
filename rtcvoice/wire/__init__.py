"""How packets and text travel: one leg of a call, from SDP to the data channel. It knows no road.

leg        one connection to one server, with what it sends and what it calls; socket_leg,
           websocket_leg, sideband_leg: over a WebSocket, with audio or without (websocket, outbox)
transport  RTCPeerConnection: offer, answer, ICE, DTLS, data channel, packets; stages: how far it is
           text_channel: its data channel, bounded
sdp, sdp_lines, rtp   pure: the text of offers and answers, packets and their numbers
answer     what of an answer is used; tcp_candidates: which TCP addresses a server may name
tcp_link   datagrams on one TCP connection: framing (pure), in_flight (pure: what is late)
_*         every private name of aiortc and aioice that is used, guarded: _aiortc, _media (packets),
           _datagrams, _rtp_receiver and _rtp_sender (the short way of sound to and from the
           socket), _sources (its streams, bounded), _channels and _sctp (data channels), _ice (the
           path), _round_trip (its delay), _aioice (STUN and TURN servers), _ice_tcp (paths over
           TCP), _network (bad ones, for tests), _wall_clock; aiortc_release says which release
           they fit
later      what of aioice is not imported before somebody uses it
"""

from rtcvoice.wire.later import import_mdns_later

import_mdns_later()  # before anything here imports aiortc
