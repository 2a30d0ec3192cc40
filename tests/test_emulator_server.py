"""Where the emulator listens, what it calls itself, and who can reach its calls."""

from __future__ import annotations

import asyncio
import socket

import aioice
import pytest
from live import BentEmulator, calling

from rtcvoice.emulator.rest import newcomers as newcomers_module
from rtcvoice.emulator.rest.newcomers import HEADERS_TIMEOUT, Newcomers
from rtcvoice.errors import ConfigError, ServerError


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


async def test_with_all_addresses_its_calls_offer_them_beside_loopback():
    """Firefox sends nothing to 127.0.0.1, nor does a client of another machine."""
    answers = []

    def note(sdp):
        answers.append(sdp)
        return sdp

    async with (
        BentEmulator(all_addresses=True, rewrite=note) as server,
        calling(server) as call,
    ):
        assert call.id in server.calls
    candidates = [line.split() for line in answers[0].splitlines() if "a=candidate" in line]
    own = aioice.ice.get_host_addresses(use_ipv4=True, use_ipv6=True)
    assert {words[4] for words in candidates} == {"127.0.0.1", *own}


def test_a_port_beyond_the_last_is_a_config_error():
    with pytest.raises(ConfigError, match="port=65536 is not a port"):
        BentEmulator(port=65536)


class Connection:
    closed = False

    def force_close(self):
        self.closed = True


def test_who_never_finishes_the_first_headers_is_let_go():
    newcomers, slow, quick, late = Newcomers(), Connection(), Connection(), Connection()
    newcomers.spoke(quick)
    assert newcomers.overdue([slow, quick], 100.0) == []
    assert newcomers.overdue([slow, quick, late], 110.0) == []
    assert newcomers.overdue([slow, quick, late], 100.0 + HEADERS_TIMEOUT) == [slow]
    assert newcomers.overdue([quick, late], 110.0 + HEADERS_TIMEOUT) == [late]
    assert newcomers.overdue([], 1000.0) == []


async def test_half_a_request_line_does_not_hold_a_connection(monkeypatch):
    monkeypatch.setattr(newcomers_module, "HEADERS_TIMEOUT", 0.05)
    monkeypatch.setattr(newcomers_module, "_LOOK", 0.02)
    async with BentEmulator() as server:
        host, port = server.url.split("/")[2].split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"POST /v1/realtime/calls HTTP/1.1\r\nHost: 127")
        async with asyncio.timeout(20):
            assert await reader.read() == b""
        writer.close()


async def test_a_model_that_ends_is_among_the_warnings_of_the_call():
    options = {"model": "gpt-realtime", "transcription": "whisper-1"}
    async with BentEmulator() as server, calling(server, **options) as call:
        told = server.calls[call.id].warnings
        assert [text.split(" ends on ")[0] for text in told] == ["gpt-realtime", "whisper-1"]
        with pytest.raises(ServerError, match="Did you mean 'gpt-4o-transcribe'"):
            await call.update(transcription="gpt-4o-transcirbe")
        await call.update(transcription="gpt-4o-mini-transcribe")
        assert server.calls[call.id].warnings[2].startswith("gpt-4o-mini-transcribe ends on ")
