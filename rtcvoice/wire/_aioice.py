"""How candidates are gathered through STUN and TURN servers, and which path was chosen.

aioice asks one server of each kind, waits 5 s for one that is silent, and swallows what went wrong:
with a wrong TURN password there is neither an error nor a candidate. Here one *instance* gathers
otherwise: all servers side by side, each with a deadline of its own, and what became of each is
noted. As in `_aiortc.py`, whatever is private is guarded: `UnsupportedAiortc` where it is missing.

STUN: RFC 8489; TURN: RFC 8656.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
import ssl
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, NamedTuple

from aioice import Candidate, Connection
from aioice.ice import StunProtocol, relayed_candidate, server_reflexive_candidate
from aioice.stun import TransactionError, TransactionFailed, TransactionTimeout

from rtcvoice.errors import one_line
from rtcvoice.rest.ice_servers import GatheringResult, IceServer, IceSettings
from rtcvoice.system import clock
from rtcvoice.system.threads import in_thread
from rtcvoice.wire._aiortc import UnsupportedAiortc
from rtcvoice.wire._wall_clock import relay_by_monotonic_clock

__all__ = ["RouteTaken", "gather_through_servers", "route_taken", "try_servers"]

logger = logging.getLogger(__name__)

STUN_TIMEOUT = 1.0
TURN_TIMEOUT = 2.0
"""Seconds that a server may take while there are other ways: the offer waits for it."""

RELAY_TIMEOUT = 5.0
"""Seconds that a TURN server may take when there is no other way."""

DEALLOCATE_TIMEOUT = 1.0
"""Seconds for giving an allocation back; aioice would try for a minute on a dead network."""

_INNER = "_TurnTransport__inner_protocol"

_REFUSALS = {
    401: "refuses the user name or password",
    403: "forbids it",
    441: "refuses the user name or password",
    486: "has no allocation left for this user",
    508: "has no capacity left",
}
_WRONG_PASSWORD = "check the user name and password; temporary ones expire"  # noqa: S105


class _CannotAskError(OSError):
    """There is no way from here to the server; the text says why."""


def gather_through_servers(connection: Any, settings: IceSettings) -> None:
    """Make `connection` ask `settings.servers` for candidates, and note how that went."""
    gather = getattr(connection, "get_component_candidates", None)
    if gather is None or not isinstance(getattr(connection, "_protocols", None), list):
        raise UnsupportedAiortc("Connection.get_component_candidates, ._protocols")

    async def with_servers(component: int, addresses: list[str], timeout: int = 5) -> Any:
        hosts: list[Candidate] = []
        if not settings.relay_only:
            hosts = await gather(component=component, addresses=addresses, timeout=timeout)
        tasks = [
            asyncio.create_task(_ask(connection, server, component, settings))
            for server in settings.servers
        ]
        try:
            found = await asyncio.gather(*tasks)
        finally:  # of a failure the first tells enough: no group of them leaves here
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return hosts + [candidate for candidates in found for candidate in candidates]

    connection.get_component_candidates = with_servers


async def try_servers(settings: IceSettings) -> None:
    """Ask the servers without a call; what became of each is noted."""
    connection = Connection(ice_controlling=True)
    gather_through_servers(connection, settings)
    try:
        await connection.gather_candidates()
    finally:
        await connection.close()


async def _ask(
    connection: Any, server: IceServer, component: int, settings: IceSettings
) -> list[Candidate]:
    begun = clock.now()
    timeout = STUN_TIMEOUT
    asking: Coroutine[Any, Any, list[Candidate]]
    if server.scheme == "stun":
        asking = _reflexive(connection, server)
    else:
        timeout = RELAY_TIMEOUT if settings.relay_only else TURN_TIMEOUT
        asking = _relayed(connection, server, component, settings)
    try:
        async with asyncio.timeout(timeout):
            found = await asking
    except (OSError, TransactionError) as exc:  # also TimeoutError and all of ssl's
        asked = GatheringResult(server, "", *_explained(server, exc, timeout), clock.now() - begun)
        settings.note(asked)
        return []
    given = ", ".join(f"{candidate.host}:{candidate.port}" for candidate in found)
    settings.note(GatheringResult(server, given, seconds=clock.now() - begun))
    return found


async def _reflexive(connection: Any, server: IceServer) -> list[Candidate]:
    """Ask from every IPv4 address at once; the first answer is enough, others may be too late."""
    try:
        address = await _resolved(server)
    except socket.gaierror:
        if await _has_ipv6(server):
            raise _CannotAskError("it has IPv6 addresses only, and STUN is asked by IPv4") from None
        raise
    protocols = [p for p in connection._protocols if _is_ipv4(p.local_candidate.host)]
    if not protocols:
        raise _CannotAskError("this machine has no IPv4 address to ask from")
    tasks = [asyncio.create_task(server_reflexive_candidate(p, address)) for p in protocols]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        found = [task.result()[0] for task in tasks if task.done() and not task.exception()]
        return found or [(await tasks[0])[0]]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _relayed(
    connection: Any, server: IceServer, component: int, settings: IceSettings
) -> list[Candidate]:
    candidate, protocol = await relayed_candidate(
        component=component,
        hide_related_address=settings.relay_only,
        protocol_factory=lambda: StunProtocol(connection),
        turn_server=(server.host, server.port),
        turn_username=server.username,
        turn_password=server.credential,
        turn_ssl=settings.tls() if server.transport == "tls" else False,  # type: ignore[arg-type]
        turn_transport="udp" if server.transport == "udp" else "tcp",
    )
    connection._protocols.append(protocol)  # from here on the connection closes it
    protocol.via = server  # type: ignore[attr-defined]  # told by `path`
    _bound_deallocation(protocol.transport)
    _watch_refusals(protocol, server, settings)
    return [candidate]


async def _resolved(server: IceServer) -> tuple[str, int]:
    found = await in_thread(  # no thread of the loop's: one that hangs would stay there
        socket.getaddrinfo, server.host, server.port, socket.AF_INET, socket.SOCK_DGRAM
    )
    host, port = found[0][4][:2]
    return str(host), int(port)


async def _has_ipv6(server: IceServer) -> bool:
    try:
        return bool(await in_thread(socket.getaddrinfo, server.host, server.port, socket.AF_INET6))
    except OSError:
        return False


def _bound_deallocation(transport: Any) -> None:
    inner: Any = getattr(transport, _INNER, None)
    delete = getattr(inner, "delete", None)
    if delete is None:
        raise UnsupportedAiortc(f"TurnTransport.{_INNER}.delete")

    async def delete_soon() -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(DEALLOCATE_TIMEOUT):
                await delete()

    inner.delete = delete_soon
    relay_by_monotonic_clock(inner)


def _watch_refusals(protocol: Any, server: IceServer, settings: IceSettings) -> None:
    """Note when the server will not relay to the other side: aioice only logs it."""
    told = set[str]()

    def error_received(exc: Exception) -> None:
        if isinstance(exc, TransactionFailed) and str(exc) not in told and len(told) < 3:
            told.add(str(exc))
            problem = f"{server} will not relay to the server of the call: {_code(exc)}"
            settings.note(
                GatheringResult(server, "", problem, "see the TURN server's rules for peers")
            )

    protocol.error_received = error_received


def _explained(server: IceServer, exc: Exception, timeout: float) -> tuple[str, str]:
    """Return what went wrong and what to do about it."""
    by = server.transport.upper()
    if isinstance(exc, TransactionFailed):
        what = _REFUSALS.get(exc.response.error_code or 0, "refuses")
        cure = _WRONG_PASSWORD if "password" in what else "see the TURN server's log"
        return f"{server} {what} ({_code(exc)})", cure
    if isinstance(exc, TimeoutError | TransactionTimeout):
        other = {"UDP": "or try ?transport=tcp or turns:", "TCP": "or try turns:"}.get(by, "")
        if server.scheme == "stun":
            other = "a call works without STUN: leave it out"
        hint = f"is it running there, and does the network let {by} through? {other}".rstrip()
        return f"{server} does not answer by {by} within {timeout:g} s", hint
    if isinstance(exc, ssl.SSLCertVerificationError):
        cure = "ca_file= (--ca-file) or SSL_CERT_FILE can name your own CA"
        return f"{server} has a certificate that is not trusted: {exc.verify_message}", cure
    if isinstance(exc, ssl.SSLError):
        return f"{server} does not speak TLS there ({exc.reason})", "is the port right?"
    if isinstance(exc, _CannotAskError):
        return f"{server} cannot be asked: {exc}", "a call works without STUN: leave it out"
    if isinstance(exc, socket.gaierror):
        return f"there is no host {server.host} ({exc.strerror})", "check its spelling, and the DNS"
    if isinstance(exc, ConnectionRefusedError):
        return f"{server} cannot be reached: nothing listens there", "is it running? on that port?"
    return f"{server} cannot be reached: {exc.strerror or exc}", "is it running there?"  # type: ignore[attr-defined]


def _code(exc: TransactionFailed) -> str:
    code, reason = exc.response.attributes.get("ERROR-CODE", (0, "no reason given"))
    return one_line(f"{code} {reason}", 100)  # its words are the server's


def _is_ipv4(host: str) -> bool:
    return ipaddress.ip_address(host).version == 4


class RouteTaken(NamedTuple):
    """How a call goes; all of it is empty while there is no way yet. See `TransportStats`."""

    route: str = ""
    via: str = ""
    candidate_pair: str = ""


def route_taken(connection: Any) -> RouteTaken:
    """Return how a call goes: by the nominated pair of candidates."""
    nominated = getattr(connection, "_nominated", None)
    if not isinstance(nominated, dict):
        raise UnsupportedAiortc("Connection._nominated")
    for pair in nominated.values():
        local, remote = pair.local_candidate, pair.remote_candidate
        by, route, via = local.transport, local.transport, "direct"
        if (server := getattr(pair.protocol, "via", None)) is not None:
            by += f" via {server.host} by {server.transport}"
            route, via = ("udp" if server.transport == "udp" else "tcp"), "turn"
        via = getattr(pair.protocol, "via_proxy", "") or via
        ends = f"{local.host}:{local.port} -> {remote.host}:{remote.port}"
        return RouteTaken(route, via, f"{local.type} {by} {ends}")
    return RouteTaken()
