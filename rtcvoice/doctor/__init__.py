"""Looks over everything that a call needs, from this machine to the server; says what to do.

    machine    versions and libraries, sound devices
    network    address, host name, encryption, HTTP, STUN and TURN servers
    ways       UDP, TCP, proxy and WebSocket, each by itself; which one calls take
    trial      key, token, and a real call of two seconds: answer, ICE, DTLS, channel, session

Each look is an async generator of `Finding`s, so that they can be shown as they come. A look never
raises: what goes wrong is what it has found.
"""

from collections.abc import AsyncIterator, Mapping
from typing import Any

from rtcvoice.config.dialect import config_for
from rtcvoice.doctor.finding import Finding, Severity, of_error
from rtcvoice.doctor.machine import look_at_devices, look_at_machine
from rtcvoice.doctor.network import look_at_network
from rtcvoice.doctor.trial import look_at_call
from rtcvoice.errors import RtcVoiceError

__all__ = ["Finding", "Severity", "examine", "of_error"]


async def examine(options: Mapping[str, Any]) -> AsyncIterator[Finding]:
    """Look at everything, for calls with these options of `rtcvoice.connect`."""
    for finding in look_at_machine():
        yield finding
    async for finding in look_at_devices():
        yield finding
    try:
        config = config_for(options)
    except RtcVoiceError as exc:
        yield of_error("options", exc)
        return
    async for finding in look_at_network(config):
        yield finding
    async for finding in look_at_call(config, options):
        yield finding
