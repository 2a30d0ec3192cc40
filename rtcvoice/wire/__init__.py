"""How packets and text travel: one leg of a call, from SDP to the data channel. It knows no road.

leg        one connection to one server, with what it sends and what it calls
transport  RTCPeerConnection: offer, answer, ICE, DTLS, data channel, packets
sdp, rtp   pure: the text of offers and answers, packets and their numbers
_aiortc, _aioice   every private name of these libraries that is used, guarded
"""
