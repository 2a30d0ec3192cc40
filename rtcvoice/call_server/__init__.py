"""A server for web pages that talk: it makes their calls, and each has its agent here.

    page ── POST call (SDP) ──> desk ── access, callers, offers ── creating ══ key ══> the service
    page <══ audio, WebRTC ═════════════════════════════════════════════════════════> the service
                                served_call ── rtcvoice.attach <══ events ══════════> the service
    page <══ WebSocket ══> page_socket: turns, tools, cost

server          `CallServer`: what users make; it listens, or is mounted
web_app, asgi   the two ways in: aiohttp, and whatever speaks ASGI
desk            the requests, whichever way they came
access          whose requests are answered: by the name of this server, the page, the caller
callers         how much each caller may: calls, time, money
session_guard   what a page does to a session that is not its own
"""
