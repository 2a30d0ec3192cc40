"""What is asked by HTTP: tokens, the exchange of offer and answer, hanging up. It knows no road.

client       the only importer of httpx: proxies, certificates, bounded bodies
signaling    the requests of the Realtime API
credentials  where keys and tokens come from; how they are kept out of texts
proxies      which proxy a request takes; tunnels: TCP through one, for media
addresses, ice_servers   what a base URL, a STUN or TURN server may look like
"""
