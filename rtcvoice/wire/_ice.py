"""The private names of aioice that decide over which path a call goes: a client's end of ICE.

aioice treats all local addresses alike: it never offers loopback, and lets every check nominate its
pair. What is known here and not there: which addresses the answer names, and which local address
this machine itself would use to reach them. As in `_aiortc.py` only one *instance* is mended, and
what is missing is named.

ICE: RFC 8445.
"""
# ruff: noqa: SLF001  (private names are what this module is for)

from __future__ import annotations

import asyncio
import functools
import ipaddress
import logging
import socket
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from rtcvoice.errors import TransportError
from rtcvoice.system.waiting import wait_done
from rtcvoice.wire._aiortc import LOOPBACK, UnsupportedAiortc
from rtcvoice.wire.sdp import MOST_CANDIDATES

__all__ = [
    "check_now",
    "gather_hosts",
    "keep_reading",
    "keep_to_loopback",
    "mismatch",
    "most_candidates",
    "prefer_routed_pairs",
    "routed_from",
    "sockets_needed",
    "watch_answers",
    "watch_errors",
]

logger = logging.getLogger(__name__)

LOOPBACK_6 = "::1"

MOST_PAIRS = 400
FEWEST_CANDIDATES = 4
"""Pairs of addresses that are checked, and candidates of the server's that are used however many
addresses this machine has; aioice's work grows with the square of the pairs."""

CHECKS = 4
"""Checks that are made at once, one after the other until one is answered: within 2 s."""

READ_AGAIN = 0.01
"""Seconds after an error of a socket at which it is read again, where asyncio would not."""


@contextmanager
def sockets_needed() -> Iterator[None]:
    """Tell by a TransportError(stage=offer) that the machine gives no socket."""
    try:
        yield
    except OSError as exc:
        raise TransportError(
            f"no socket can be made for the call: {exc.strerror or exc}",
            stage="offer",
            hint="check the limit of open files (ulimit -n), and the machine's network",
        ) from exc


def gather_hosts(connection: Any, *, loopback: bool) -> None:
    """Make `connection` gather its addresses one by one, with `loopback` 127.0.0.1 among them.

    aioice knows of the sockets that it binds only when all are there: a cancellation in between
    would leave them open.

    A server on this machine may be the emulator, which is reached by loopback, or a gateway or a
    container's port, which passes only the SDP on: the media goes elsewhere. The answer tells, and
    `keep_to_loopback` takes what is then of no use.
    """
    gather = getattr(connection, "get_component_candidates", None)
    if gather is None:
        raise UnsupportedAiortc("Connection.get_component_candidates")

    async def one_by_one(component: int, addresses: list[str], timeout: int = 5) -> Any:
        found = []
        for address in [LOOPBACK, *addresses] if loopback else addresses:
            binding = gather(component=component, addresses=[address], timeout=timeout)
            found += await _bound(binding)
        return found

    connection.get_component_candidates = one_by_one


async def keep_to_loopback(connection: Any, hosts: Iterable[str]) -> None:
    """Fit the local addresses to those that an answer names: loopback meets only loopback.

    Call it between gathering and connecting. Loopback is bound when the answer needs it and it was
    not gathered; sockets that reach none of `hosts` are closed.
    """
    names = ("_protocols", "_local_candidates", "get_component_candidates")
    if not all(hasattr(connection, name) for name in names):
        raise UnsupportedAiortc(f"Connection.{', .'.join(names)}")
    hosts = list(hosts)
    wanted = {_loopback_of(host) for host in hosts}
    local = {
        protocol: _loopback_of(protocol.local_candidate.host)
        for protocol in connection._protocols
        if protocol.local_candidate.type == "host"
    }
    missing = wanted - {"", *local.values()}
    gather = type(connection).get_component_candidates  # without servers, and nothing else
    for address in sorted(missing):
        connection._local_candidates += await _bound(gather(connection, 1, [address]))
    useless = [protocol for protocol, loopback in local.items() if loopback not in wanted]
    if len(useless) == len(connection._protocols):
        return  # nothing would be left, not even the reason why
    for protocol in useless:
        connection._protocols.remove(protocol)
        connection._local_candidates.remove(protocol.local_candidate)
        await protocol.close()


async def _bound(binding: Coroutine[Any, Any, list[Any]]) -> list[Any]:
    """Wait until a socket is bound, and known to those who close it, whoever cancels meanwhile.

    asyncio closes a socket of which nobody waits any more to be told; uvloop leaves it open.
    """
    task = asyncio.create_task(binding, name="rtcvoice bind")
    cancelled = await wait_done(task)
    if cancelled is not None:
        raise cancelled
    return task.result()


def _loopback_of(host: str) -> str:
    """Return the loopback address that reaches `host`, or nothing if it is not on loopback."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return ""
    if not address.is_loopback:
        return ""
    return LOOPBACK if address.version == 4 else LOOPBACK_6


def most_candidates(connection: Any) -> int:
    """Return how many candidates are worth checking: each is checked from every address."""
    addresses = max(1, len(connection.local_candidates))
    return max(FEWEST_CANDIDATES, min(MOST_CANDIDATES, MOST_PAIRS // addresses))


def mismatch(connection: Any, hosts: Iterable[str]) -> str:
    """Return why the local addresses cannot reach those of an answer, if they tell; else nothing.

    `hosts` are the answer's addresses.
    """
    theirs, ours = list(hosts), [candidate.host for candidate in connection.local_candidates]
    if not theirs:
        return ""
    for version, other in ((4, "6"), (6, "4")):
        if not any(map(_is_version(version), ours)) and all(map(_is_version(version), theirs)):
            return (
                f"the server has IPv{version} addresses only and this machine has none:"
                f" have it offer an IPv{other} address, or go through a TURN server"
            )
    if all(map(_loopback_of, theirs)):
        return (
            "the server names only its own loopback address: is it on this machine (then check the"
            " firewall), or behind a tunnel, a gateway or a container's port, through which only"
            " HTTP passes? Have it offer an address that is reached by UDP"
        )
    return ""


def _is_version(version: int) -> Callable[[str], bool]:
    return lambda host: (":" in host) == (version == 6)


def prefer_routed_pairs(connection: Any) -> None:
    """Check where this machine's own routes go first, and nominate there with the first check.

    A nomination with the first check (aggressive, RFC 5245 §8.1.1.2) saves a round trip. But a lite
    server takes the pair at once: if our check arrives there and its answer never comes back, the
    call begins on a path without return. That happens with addresses that are not meant for the
    server (bridges of containers, other networks), so pairs of those have to be answered before
    they are nominated. The others are those of the local address that a plain socket would use, or
    of the only one. They come first, because the next check waits 20 ms.
    """
    names = ("check_start", "sort_check_list", "remote_is_lite", "_check_list")
    if not all(hasattr(connection, name) for name in names):
        raise UnsupportedAiortc(f"Connection.{', .'.join(names)}")
    check, sort = connection.check_start, connection.sort_check_list
    source = functools.cache(_source_for)

    def is_routed(pair: Any) -> bool:
        return bool(pair.local_candidate.host == source(*pair.remote_addr))

    def is_tcp(pair: Any) -> bool:  # a connection that is up has a way back
        return bool(pair.local_candidate.transport == "tcp")

    def sort_check_list() -> None:
        sort()
        connection._check_list.sort(key=lambda pair: (is_tcp(pair), not is_routed(pair)))

    async def check_start(pair: Any) -> None:
        by_udp = {id(other.protocol) for other in connection._check_list if not is_tcp(other)}
        # It is looked at when a check begins, before anything is awaited.
        connection.remote_is_lite = not (len(by_udp) <= 1 or is_tcp(pair) or is_routed(pair))
        await check(pair)

    connection.sort_check_list, connection.check_start = sort_check_list, check_start


def _source_for(host: str, port: int) -> str:
    """Return the local address that this machine would send from; empty if there is no route."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((host, port))  # sends nothing
            return str(probe.getsockname()[0])
    except OSError:
        return ""


def routed_from(connection: Any) -> str:
    """Return the local address that the routes give for the nominated pair; empty if there is none.

    Loopback counts as one address: it is there whatever happens to the network.
    """
    nominated = getattr(connection, "_nominated", None)
    if nominated is None:
        raise UnsupportedAiortc("Connection._nominated")
    for pair in nominated.values():
        return _source_for(*pair.remote_addr[:2])
    return ""


def watch_answers(connection: Any, on_answer: Callable[[], None]) -> None:
    """Call `on_answer` whenever the peer answers one of our checks, with its password."""
    protocols = getattr(connection, "_protocols", None)
    if protocols is None or not all(hasattr(protocol, "request") for protocol in protocols):
        raise UnsupportedAiortc("Connection._protocols, StunProtocol.request")
    for protocol in protocols:
        if "request" not in vars(protocol):
            _watch_answers(protocol, on_answer)


def _watch_answers(protocol: Any, on_answer: Callable[[], None]) -> None:
    ask = protocol.request

    async def request(message: Any, addr: Any, *args: Any, **options: Any) -> Any:
        answer = await ask(message, addr, *args, **options)
        if options.get("integrity_key"):
            on_answer()
        return answer

    protocol.request = request


def watch_errors(connection: Any, on_error: Callable[[Exception], None]) -> None:
    """Call `on_error` with each error of the socket that the nominated pair uses.

    Such as ENETUNREACH once the address of this machine is gone; other pairs may always have some.
    """
    if not hasattr(connection, "_nominated"):
        raise UnsupportedAiortc("Connection._nominated")
    for protocol in connection._protocols:
        if "errors_watched" not in vars(protocol):
            _watch_errors(protocol, connection._nominated, on_error)


def _watch_errors(protocol: Any, nominated: Any, on_error: Callable[[Exception], None]) -> None:
    tell = getattr(protocol, "error_received", None)
    if tell is None:
        raise UnsupportedAiortc("StunProtocol.error_received")

    def error_received(exc: Exception) -> None:
        tell(exc)
        if any(pair.protocol is protocol for pair in nominated.values()):
            on_error(exc)

    protocol.error_received = error_received
    protocol.errors_watched = True


async def check_now(connection: Any, is_up: Callable[[], bool]) -> None:
    """Ask the server, on the path in use, whether it is there; `watch_answers` tells. Never raises.

    It is asked a few times, as long as `is_up`. aioice's own repetitions would go on, and fail,
    when the socket is closed meanwhile.
    """
    for pair in list(connection._nominated.values()):
        for _ in range(CHECKS):
            if not is_up():
                return
            with suppress(Exception):  # no answer, no socket, no route: then it is not heard
                await pair.protocol.request(
                    connection.build_request(pair, nominate=False),
                    pair.remote_addr,
                    integrity_key=connection.remote_password.encode(),
                    retransmissions=0,
                )
                return


def keep_reading(connection: Any, call_later: Callable[..., Any]) -> None:
    """Have sockets read on after an error, where asyncio stops (Windows, its default event loop).

    There an ICMP "port unreachable" is an error of the next read, after which a datagram socket is
    deaf: a check of one address that nobody listens at would end all others.
    """
    for protocol in connection._protocols:
        transport = getattr(protocol, "transport", None)
        if hasattr(transport, "_loop_reading") and "reads_on" not in vars(protocol):
            _read_again(protocol, transport, call_later)


def _read_again(protocol: Any, transport: Any, call_later: Callable[..., Any]) -> None:
    tell = protocol.error_received

    def read() -> None:
        # Newer releases of Python go on by themselves: then there is a read under way.
        if transport._read_fut is None and not transport.is_closing():
            transport._loop_reading()

    def error_received(exc: Exception) -> None:
        tell(exc)
        call_later(READ_AGAIN, read)

    protocol.error_received = error_received
    protocol.reads_on = True
