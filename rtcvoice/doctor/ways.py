"""Tries each way to a server by itself, and says which one calls will take.

    udp         ICE by UDP                        what calls take where it works
    tcp         ICE by TCP, directly
    proxy       ICE by TCP, through the proxy for HTTP
    websocket   no WebRTC at all

Each is a real connection, up to its event channel, over which nothing is said.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from rtcvoice.call.connecting import made_ready
from rtcvoice.call.media_ways import media_proxy, media_ways
from rtcvoice.call.timings import Timings
from rtcvoice.call.ways import connecting_for
from rtcvoice.config.call_config import CallConfig
from rtcvoice.doctor.finding import Finding, Severity
from rtcvoice.errors import RtcVoiceError, TransportError

__all__ = ["Tried", "look_at_ways", "verdict"]

TRY_TIMEOUT = 5.0
"""Seconds for each way; they are tried side by side."""

NAMES = {
    "udp": "UDP",
    "tcp": "TCP",
    "proxy": "TCP through the proxy",
    "websocket": "a WebSocket",
}
"""Best first: a call takes the first one that works."""

_CANDIDATE = re.compile(r"^a=candidate:\S+ 1 (udp|tcp) \d+ (\S+) (\d+) ", re.MULTILINE | re.I)


class Tried(NamedTuple):
    """How one way went."""

    seconds: float
    trouble: str = ""
    """Why it did not work; empty if it did."""
    answer: str = ""
    """The server's SDP answer, where there was one."""


async def look_at_ways(config: CallConfig) -> AsyncIterator[Finding]:
    """Try every way that `config` allows; its credentials have to be good for several calls."""
    if config.ice_transport_policy == "relay":
        return  # there is one way, and the call that comes takes it
    ways: dict[str, Mapping[str, Any]] = {}
    if config.transport != "websocket":
        ways["udp"] = {"ways": media_ways(config, tcp=False)}
        ways["tcp"] = {"ways": media_ways(config, udp=False, past_proxy=True)}
        if media_proxy(config, "192.0.2.1", 443) is not None:  # an address that nobody has
            ways["proxy"] = {"ways": media_ways(config, udp=False)}
    if config.transport != "webrtc" and config.may_open_socket:
        ways["websocket"] = {}
    await made_ready(config)
    tried = await asyncio.gather(*(_try(config, name, options) for name, options in ways.items()))
    for finding in verdict(dict(zip(ways, tried, strict=True)), config.transport):
        yield finding


async def _try(config: CallConfig, name: str, options: Mapping[str, Any]) -> Tried:
    begun = time.monotonic()
    limit = min(TRY_TIMEOUT, config.connect_timeout)
    transport = "websocket" if name == "websocket" else "webrtc"
    connecting = connecting_for(replace(config, transport=transport), Timings(), **options)
    trouble = ""
    try:
        async with asyncio.timeout(limit) as deadline:
            await connecting.run()
    except TimeoutError:
        error = connecting.too_late() if deadline.expired() else TransportError("", stage=name)
        known = getattr(error, "message", "").partition(", and ")[2]
        trouble = known or f"no answer within {limit:g} s"
    except RtcVoiceError as exc:
        trouble = exc.message
    except Exception as exc:  # an installation that is broken
        trouble = f"{type(exc).__name__}: {exc}"
    finally:
        await connecting.aclose()
    return Tried(time.monotonic() - begun, trouble, getattr(connecting, "answer_sdp", ""))


def verdict(tried: Mapping[str, Tried], transport: str = "auto") -> list[Finding]:
    """Return a finding for each way, and which one calls take; pure."""
    works = [name for name in NAMES if name in tried and not tried[name].trouble]
    taken = next(iter(works), None)
    named = _named(next((each.answer for each in tried.values() if each.answer), ""))
    found = []
    for name, each in tried.items():
        if not each.trouble:
            text = f"{NAMES[name]} gets through ({each.seconds * 1000:.0f} ms)"
            found.append(Finding(name, Severity.OK, text))
        elif not (name in ("tcp", "proxy") and named and "tcp" not in named):  # it is offered
            level = Severity.WARN if name == "udp" else Severity.SKIP
            level = level if taken else Severity.FAIL
            text = f"{NAMES[name]} does not get through: {each.trouble}"
            found.append(Finding(name, level, text, _to_ask_for(name, named)))
    if taken is None:
        text = "no way to the server works"
        cure = "show this to the network's administrator, or try another network"
        return [*found, Finding("way", Severity.FAIL, text, cure, _error(text))]
    if taken == "udp" or transport == "websocket":
        return [*found, Finding("way", Severity.OK, f"calls go by {NAMES[taken]}")]
    text = f"calls go by {NAMES[taken]}: lost packets delay speech, where by UDP nobody hears them"
    return [*found, Finding("way", Severity.WARN, text, _to_ask_for("udp", named))]


def _named(answer: str) -> dict[str, list[str]]:
    """Return what an answer names, by transport: ports, and addresses as host:port."""
    named: dict[str, list[str]] = {}
    for transport, _, port in _CANDIDATE.findall(answer):
        ports = named.setdefault(transport.lower(), [])
        if port not in ports:
            ports.append(port)
    return named


def _to_ask_for(name: str, named: Mapping[str, list[str]]) -> str:
    ports = ", ".join(named.get("udp" if name == "udp" else "tcp", ())[:3])
    to = f"to the server's port {ports}" if ports else "to the server"
    ask = {
        "udp": f"UDP out {to}, with the answers to it",
        "tcp": f"TCP out {to}",
        "proxy": f"the proxy's CONNECT {to}",
        "websocket": "TCP out to the API's port, with Upgrade: websocket",
    }[name]
    return f"ask the network's administrator to allow {ask}"


def _error(text: str) -> TransportError:
    return TransportError(text, stage="ice")
