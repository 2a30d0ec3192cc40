"""Where the emulator listens, what it calls itself, and who can reach its calls."""

from __future__ import annotations

import socket

import pytest
from live import BentEmulator, calling

from rtcvoice.errors import ConfigError


def can_listen_on(host):
    try:
        socket.create_server((host, 0), family=socket.getaddrinfo(host, 0)[0][0]).close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
async def test_by_any_name_of_loopback_its_calls_offer_nothing_else(host):
    """An address in the LAN would let others send to it."""
    if not can_listen_on(host):
        pytest.skip(f"this machine has no {host}")
    answers = []

    def note(sdp):
        answers.append(sdp)
        return sdp

    async with BentEmulator(host=host, rewrite=note) as server, calling(server) as call:
        assert call.id in server.calls
    candidates = [line.split() for line in answers[0].splitlines() if "a=candidate" in line]
    assert {words[4] for words in candidates} == {"127.0.0.1"}


async def test_a_port_beyond_the_last_is_a_config_error():
    with pytest.raises(ConfigError, match="cannot listen"):
        async with BentEmulator(port=65536):
            pass
