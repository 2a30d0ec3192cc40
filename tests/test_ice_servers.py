"""STUN and TURN servers: how they are written, and calls through a real one (coturn)."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import socket
import subprocess
import threading
import time
from types import SimpleNamespace

import aiortc
import pytest
from certificates import self_signed
from deadlines import too_late_in
from hypothesis import given, settings
from hypothesis import strategies as st
from live import Census, calling, eventually

from rtcvoice import ConfigError, IceServer, TransportError
from rtcvoice.config.call_config import CallConfig
from rtcvoice.rest.ice_servers import IceSettings, ice_servers_from
from rtcvoice.wire import _aioice, _aiortc

# -- as they are written ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("stun:stun.example.org", ("stun", "stun.example.org", 3478, "udp", None, None)),
        ("stun:10.0.0.1:19302", ("stun", "10.0.0.1", 19302, "udp", None, None)),
        ("turn:me:pw@host", ("turn", "host", 3478, "udp", "me", "pw")),
        ("turn:me:pw@host:80?transport=tcp", ("turn", "host", 80, "tcp", "me", "pw")),
        ("turns:me:pw@host", ("turns", "host", 5349, "tls", "me", "pw")),
        ("turns://me:pw@[::1]:443?transport=tcp", ("turns", "::1", 443, "tls", "me", "pw")),
        ("turn:1700%3Abob:a%40b%2Fc=@host", ("turn", "host", 3478, "udp", "1700:bob", "a@b/c=")),
        ("turn:me:p@w@host", ("turn", "host", 3478, "udp", "me", "p@w")),
    ],
)
def test_urls(written, read):
    (server,) = ice_servers_from(written)
    found = (server.scheme, server.host, server.port, server.transport)
    assert (*found, server.username, server.credential) == read


TURN = {"urls": ["turn:a", "turn:a?transport=tcp"], "username": "me", "credential": "pw"}
BOTH = (
    IceServer("turn:a", username="me", credential="pw"),
    IceServer("turn:a?transport=tcp", username="me", credential="pw"),
)


@pytest.mark.parametrize(
    "given",
    [
        TURN,
        [TURN],
        {"iceServers": [TURN]},
        list(BOTH),
        "turn:me:pw@a turn:me:pw@a?transport=tcp",
        "turn:me:pw@a,\n turn:me:pw@a?transport=tcp,",
        '[{"urls": ["turn:a", "turn:a?transport=tcp"], "username": "me", "credential": "pw"}]',
        [aiortc.RTCIceServer(TURN["urls"], username="me", credential="pw")],
        ({"url": "turn:a", "username": "me", "credential": "pw"}, "turn:me:pw@a?transport=tcp"),
    ],
)
def test_many_ways_to_write_the_same(given):
    assert ice_servers_from(given) == BOTH


@pytest.mark.parametrize("nothing", [None, "", " ", [], (), "[]"])
def test_none_at_all(nothing):
    assert ice_servers_from(nothing) == ()


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        ("http://host", "not a STUN or TURN address"),
        ("turn:me:hunter2@", r"'turn:\*\*\*@' is not a STUN or TURN address"),
        ("turn:host", "no user name and password"),
        ("turn:me@host", "no user name and password"),
        ("turn:me:hunter2@host:0", "no possible port"),
        ("turn:me:hunter2@host:65536", "no possible port"),
        ("turn:me:hun:ter2@host", "several colons"),
        ("stun:host?transport=udp", "UDP only"),
        ("turns:me:hunter2@host?transport=udp", "TLS, over TCP"),
        ("[{", "not valid JSON"),
        ({"username": "me"}, "without urls"),
        ({"urls": "turn:me:hunter2@a", "credential": "other"}, "given, too"),
        ({"urls": 7}, "without urls"),
        (7, "without urls"),
        ([7], "without urls"),
        ([None], "without urls"),
    ],
)
def test_what_cannot_work_is_refused_and_no_password_shown(written, complaint):
    with pytest.raises(ConfigError, match=complaint) as caught:
        CallConfig.from_options({"ice_servers": written})
    assert "hunter2" not in str(caught.value)
    assert "ter2" not in str(caught.value)


@settings(deadline=None, max_examples=100)
@given(st.text(max_size=40) | st.builds("turn:{}@{}".format, st.text(max_size=20), st.text()))
def test_any_text_is_read_or_refused(text):
    try:
        servers = ice_servers_from(text)
    except ConfigError:
        return
    assert all(server.host and 0 < server.port < 65536 for server in servers)


def test_no_password_is_shown():
    (server,) = ice_servers_from("turn:me:hunter2@host")
    assert "hunter2" not in f"{server} {server!r} {CallConfig(ice_servers=[server])!r}"


def test_the_environment_names_servers_and_policy(monkeypatch):
    monkeypatch.setenv("RTCVOICE_ICE_SERVERS", "stun:s turns:me:pw@t")
    monkeypatch.setenv("RTCVOICE_ICE_TRANSPORT_POLICY", "relay")
    made = CallConfig.from_options({})
    assert [str(server) for server in made.ice_servers] == ["stun:s", "turns:t"]
    assert made.ice_transport_policy == "relay"
    given = CallConfig.from_options({"ice_servers": [], "ice_transport_policy": "all"})
    assert given.ice_servers == ()


@pytest.mark.parametrize("servers", [[], ["stun:s"]])
def test_a_relay_needs_a_turn_server(servers):
    with pytest.raises(ConfigError, match="needs a TURN server"):
        CallConfig.from_options({"ice_servers": servers, "ice_transport_policy": "relay"})


def test_a_policy_that_does_not_exist():
    with pytest.raises(ConfigError, match="neither 'all' nor 'relay'"):
        CallConfig.from_options({"ice_transport_policy": "none"})


# -- calls through coturn ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def turn(tmp_path_factory):
    """A running coturn: its ports, and its certificate."""
    if shutil.which("turnserver") is None:
        assert not os.environ.get("CI"), "CI has to install coturn"
        pytest.skip("not installed: coturn")
    folder = tmp_path_factory.mktemp("coturn")
    certificate = self_signed(folder)
    port, tls_port = free_port(), free_port()
    process = subprocess.Popen(
        [
            *("turnserver", "-n", "--no-cli", "--log-file", "stdout"),
            *("--listening-ip", "127.0.0.1", "--relay-ip", "127.0.0.1"),
            *("-p", str(port), "--tls-listening-port", str(tls_port)),
            *("--cert", str(certificate), "--pkey", str(certificate)),
            *("-a", "-u", "me:hunter2", "-r", "test", "--allow-loopback-peers"),
            *("--pidfile", str(folder / "pid"), "--db", str(folder / "db")),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for(process, port, tls_port)
        yield SimpleNamespace(port=port, tls_port=tls_port, certificate=certificate)
    finally:
        process.terminate()
        process.wait(30)


def _wait_for(process, *ports):
    deadline = time.monotonic() + 30
    for port in ports:
        while True:
            assert process.poll() is None, "coturn does not start"
            assert time.monotonic() < deadline, "coturn does not listen"
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                time.sleep(0.02)


def free_port():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return unused.getsockname()[1]


def relayed(server, url, **options):
    return calling(server, ice_servers=[url], ice_transport_policy="relay", **options)


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
async def test_a_call_through_a_relay(emulator, turn, transport, no_stray_errors):
    url = {
        "udp": f"turn:me:hunter2@127.0.0.1:{turn.port}",
        "tcp": f"turn:me:hunter2@127.0.0.1:{turn.port}?transport=tcp",
        "tls": f"turns:me:hunter2@localhost:{turn.tls_port}",
    }[transport]
    async with relayed(emulator, url, ca_file=turn.certificate) as call:
        host = "localhost" if transport == "tls" else "127.0.0.1"
        stats = call.stats().transport
        assert stats.candidate_pair.startswith(f"relay udp via {host} by {transport} ")
        assert (stats.route, stats.via) == ("udp" if transport == "udp" else "tcp", "turn")
        await call.send("Hello")
        await call.wait_for("response.done", timeout=20)
        await eventually(lambda: call.stats().playout.packets_received > 5)


async def test_a_bad_network_is_made_on_what_goes_through_the_relay(
    emulator, turn, no_stray_errors
):
    url = f"turn:me:hunter2@127.0.0.1:{turn.port}"
    async with relayed(emulator, url, network="delay=40ms, downlink.duplicate=1") as call:
        await eventually(lambda: call.stats().round_trip_time is not None)
        stats = call.stats()
        assert stats.transport.via == "turn"
        assert 0.08 <= stats.round_trip_time < 10
        assert stats.transport.network.downlink.duplicated > 10
    await eventually(lambda: emulator.last().ended)


async def refusal(server, url, **options):
    with pytest.raises(TransportError) as caught:
        async with relayed(server, url, **options):
            pass
    assert caught.value.stage == "offer"
    assert "hunter2" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize("who", ["me:hunter2x", "nobody:hunter2"])
async def test_a_wrong_password_is_named(
    emulator, turn, transport, who, monkeypatch, no_stray_errors
):
    monkeypatch.setattr(_aioice, "RELAY_TIMEOUT", 60.0)
    url = f"turn:{who}@127.0.0.1:{turn.port}?transport={transport}"
    begun = time.monotonic()
    told = await refusal(emulator, url)
    assert "refuses the user name or password (401 Unauthorized)" in told
    assert "check the user name and password" in told
    assert time.monotonic() - begun < 20


async def test_a_certificate_that_is_not_trusted_is_named(emulator, turn):
    told = await refusal(emulator, f"turns:me:hunter2@localhost:{turn.tls_port}")
    assert "has a certificate that is not trusted" in told
    assert "ca_file=" in told


async def test_stun_and_turn_beside_a_direct_path(emulator, turn, no_stray_errors):
    servers = [f"stun:127.0.0.1:{turn.port}", f"turn:me:hunter2@127.0.0.1:{turn.port}"]
    async with calling(emulator, ice_servers=servers) as call:
        offer = call._roads.leg.transport._peer.localDescription.sdp
        assert " typ host" in offer
        assert " typ relay" in offer
        assert call.stats().transport.candidate_pair.startswith("host udp 127.0.0.1")


async def test_a_wrong_password_does_not_stop_a_call_that_needs_no_relay(emulator, turn, caplog):
    async with calling(emulator, ice_servers=[f"turn:me:hunter2x@127.0.0.1:{turn.port}"]):
        pass
    assert "refuses the user name or password" in caplog.text
    assert "hunter2" not in caplog.text


async def test_a_wrong_password_is_named_when_there_is_no_other_way(emulator, turn):
    emulator._rewrite = lambda sdp: re.sub(r"(127\.0\.0\.1) \d+ typ", r"\1 9 typ", sdp)
    url = f"turn:me:hunter2x@127.0.0.1:{turn.port}"
    refused = pytest.raises(TransportError, match="refuses the user name or password")
    with too_late_in("ice") as timeout, refused as caught:
        async with calling(emulator, ice_servers=[url], connect_timeout=timeout):
            pass
    assert caught.value.stage == "ice"
    assert "check the user name and password" in caught.value.hint


async def test_a_relay_that_may_not_reach_the_server_is_named(emulator, turn, monkeypatch):
    noted, note = [], IceSettings.note
    monkeypatch.setattr(IceSettings, "note", lambda *given: noted.append(given) or note(*given))
    emulator._rewrite = lambda sdp: re.sub(r"127\.0\.0\.1 \d+ typ", "0.0.0.1 9 typ", sdp)
    url = f"turn:me:hunter2@127.0.0.1:{turn.port}"
    refused = pytest.raises(TransportError, match="will not relay to the server of the call: 403")
    with too_late_in("ice", once=lambda: "will not relay" in f"{noted}") as timeout, refused:
        async with relayed(emulator, url, connect_timeout=timeout):
            pass


# -- servers that are not there ---------------------------------------------------------------


async def test_a_port_where_nobody_listens(emulator):
    told = await refusal(emulator, f"turn:me:hunter2@127.0.0.1:{free_port()}?transport=tcp")
    assert "cannot be reached" in told


async def test_a_port_without_tls(emulator):
    port = emulator.url.rpartition(":")[2].removesuffix("/v1")
    told = await refusal(emulator, f"turns:me:hunter2@127.0.0.1:{port}")
    assert "does not speak TLS there" in told


async def test_a_host_that_does_not_exist(emulator, monkeypatch):
    def unknown(*arguments, **options):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    told = await refusal(emulator, "turn:me:hunter2@no-such-host.invalid")
    assert "there is no host no-such-host.invalid" in told


@pytest.mark.parametrize("scheme", ["stun", "turn"])
async def test_a_silent_server_delays_a_call_by_its_patience_only(emulator, monkeypatch, scheme):
    monkeypatch.setattr(_aioice, "STUN_TIMEOUT", 0.1)
    monkeypatch.setattr(_aioice, "TURN_TIMEOUT", 0.1)
    with socket.socket(type=socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        who = "" if scheme == "stun" else "me:hunter2@"
        url = f"{scheme}:{who}127.0.0.1:{silent.getsockname()[1]}"
        async with calling(emulator, ice_servers=[url]) as call:
            assert call.timings.offer < 4.5  # aioice waits for 5 s


async def test_a_silent_relay_that_is_needed(emulator, monkeypatch):
    monkeypatch.setattr(_aioice, "RELAY_TIMEOUT", 0.1)
    with socket.socket(type=socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        told = await refusal(emulator, f"turn:me:hunter2@127.0.0.1:{silent.getsockname()[1]}")
    assert "does not answer by UDP within 0.1 s" in told
    assert "?transport=tcp" in told


async def test_a_relay_that_never_lets_go_is_left(emulator, turn, monkeypatch, no_stray_errors):
    """aioice would try for a minute to give its allocation back."""
    monkeypatch.setattr(_aioice, "DEALLOCATE_TIMEOUT", 0.05)
    async with relayed(emulator, f"turn:me:hunter2@127.0.0.1:{turn.port}") as call:
        (protocol,) = call._roads.leg.transport._ice._protocols
        inner = getattr(protocol.transport, _aioice._INNER)
        inner._send = lambda data: None  # from here on the network is dead
        begun = time.monotonic()
    assert time.monotonic() - begun < 20
    assert inner.transport.is_closing()


async def test_nothing_stays_behind(emulator, turn, monkeypatch, no_stray_errors):
    """After calls through a relay, refused ones, and ones given up while servers are asked."""
    url = f"turn:me:hunter2@127.0.0.1:{turn.port}"
    async with relayed(emulator, url):
        pass
    await emulator.end_calls()
    together = threading.Barrier(4)  # the loop's own threads, which look names up, stay
    await asyncio.gather(*(asyncio.to_thread(together.wait) for _ in range(4)))
    census = Census()
    async with relayed(emulator, url):
        pass
    await refusal(emulator, url.replace("hunter2", "wrong"))
    with socket.socket(type=socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        port = silent.getsockname()[1]
        servers = [f"stun:127.0.0.1:{port}", f"turn:me:hunter2@127.0.0.1:{port}", url]
        for _ in range(3):
            with pytest.raises(TransportError, match=r"longer than 0\.05 s"):
                async with calling(emulator, ice_servers=servers, connect_timeout=0.05):
                    pass
    await emulator.end_calls()
    await census.check()


# -- what is private of aioice ----------------------------------------------------------------


@pytest.mark.parametrize("call", [_aioice.gather_through_servers, _aioice.route_taken])
def test_another_aioice_is_refused(call):
    arguments = (SimpleNamespace(), IceSettings())[: 1 if call is _aioice.route_taken else 2]
    with pytest.raises(_aiortc.UnsupportedAiortc):
        call(*arguments)
