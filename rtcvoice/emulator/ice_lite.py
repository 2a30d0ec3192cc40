"""ICE as a server on this machine does it: lite, and on loopback only.

As in `wire/_aiortc.py`, one *instance* of aioice's Connection is changed, and whatever is private
is guarded: `UnsupportedAiortc` where it is missing.
"""

from __future__ import annotations

from typing import Any

from aioice.ice import ICE_COMPLETED

from rtcvoice.wire._aiortc import LOOPBACK, UnsupportedAiortc

__all__ = ["be_ice_lite", "gather_on_loopback"]


def be_ice_lite(connection: Any) -> None:
    """Make `connection` an ICE-lite agent: it answers checks and sends none (RFC 8445 §2.5).

    A pair is good as soon as the peer checked it, and chosen as soon as the peer nominates it. A
    full agent would first check in return, which costs a round trip before DTLS. With no peer,
    connecting waits until the connection is closed.
    """
    needed = ("_check_list_state", "_early_checks", "_early_checks_done", "check_incoming")
    if not all(hasattr(connection, name) for name in (*needed, "check_start", "check_complete")):
        raise UnsupportedAiortc("Connection.check_start, ._check_list_state, ._early_checks")

    async def check_start(pair: Any) -> None:
        pair.nominated = pair.remote_nominated
        connection.check_state(pair, type(pair).State.SUCCEEDED)
        connection.check_complete(pair)

    async def connect() -> None:
        for check in connection._early_checks:
            connection.check_incoming(*check)
        connection._early_checks.clear()
        connection._early_checks_done = True
        if await connection._check_list_state.get() != ICE_COMPLETED:
            raise ConnectionError("closed before a client came")

    connection.check_start = check_start
    connection.connect = connect


def gather_on_loopback(connection: Any, *, others: bool = False) -> None:
    """Make `connection` gather exactly one host candidate, on 127.0.0.1; others: all others, too.

    aioice never offers loopback addresses. With this, a call to a server on this machine works
    without any network and binds no address that others could reach.
    """
    gather = getattr(connection, "get_component_candidates", None)
    if gather is None:
        raise UnsupportedAiortc("Connection.get_component_candidates")

    async def on_loopback(component: int, addresses: list[str], timeout: int = 5) -> Any:
        chosen = [LOOPBACK, *(addresses if others else ())]
        return await gather(component=component, addresses=chosen, timeout=timeout)

    connection.get_component_candidates = on_loopback
