"""The doctor: each line says how it is and what to do, the exit code which kind of failure."""

from __future__ import annotations

import argparse
import json
import re
import socket
import sys
from importlib.metadata import PackageNotFoundError

import pytest
from aiohttp import web
from certificates import self_signed, server_context
from deadlines import too_late_in
from live import KEY, BentEmulator
from test_signaling import always, serving

import rtcvoice
from rtcvoice.cli import main
from rtcvoice.cli.doctor import run
from rtcvoice.cli.options import parse
from rtcvoice.device.device import Device
from rtcvoice.doctor import Severity, examine, machine, trial, ways
from rtcvoice.doctor.ways import Tried, verdict
from rtcvoice.errors import DeviceError
from rtcvoice.rest.credentials import ApiKey
from rtcvoice.rest.signaling import Signaling


@pytest.fixture(autouse=True)
def no_sound_card(monkeypatch):
    monkeypatch.setattr(machine, "devices", list)
    monkeypatch.setattr(trial, "LISTEN", 0.0)
    here = "{}.{}".format(*sys.version_info)
    monkeypatch.setattr(machine, "PYTHONS", (*machine.PYTHONS, here))


async def findings(**options):
    return {finding.area: finding async for finding in examine(options)}


def levels(found):
    return {area: finding.level for area, finding in found.items()}


async def test_all_is_well(emulator, monkeypatch):
    monkeypatch.setattr(trial, "LISTEN", 4.0)
    found = await findings(base_url=emulator.url, api_key=KEY)
    good = ("python", "packages", "opus", "webrtc", "server", "http", "key", "token")
    for area in (*good, "answer", "ice", "dtls", "channel", "session", "media"):
        assert found[area].level is Severity.OK, found[area]
    assert found["microphone"].level is Severity.WARN
    assert "there is no microphone" in found["microphone"].text
    assert "host udp 127.0.0.1" in found["ice"].text
    assert "round trip" in found["media"].text
    assert all(finding.cure for finding in found.values() if finding.level is not Severity.OK)
    assert KEY.removeprefix("sk-") not in str([f.text + f.cure for f in found.values()])


async def test_a_call_by_websocket_has_its_own_stages(emulator):
    found = await findings(base_url=emulator.url, api_key=KEY, transport="websocket")
    assert "open" in found["websocket"].text
    assert found["session"].level is Severity.OK
    assert not {"answer", "ice", "dtls", "channel"} & found.keys()


async def test_without_a_key(emulator):
    found = await findings(base_url=emulator.url)
    assert (found["http"].level, found["key"].level) == (Severity.OK, Severity.FAIL)
    assert found["call"].level is Severity.SKIP
    assert "OPENAI_API_KEY" in found["key"].cure


async def test_with_a_key_that_is_refused():
    async with BentEmulator(api_keys=set()) as emulator:
        found = await findings(base_url=emulator.url, api_key=KEY)
    assert found["token"].level is Severity.FAIL
    assert "HTTP 401" in found["token"].text
    assert "check the key" in found["token"].cure


async def test_with_a_key_in_a_file(emulator, tmp_path):
    from rtcvoice import ApiKeyFile

    file = tmp_path / "key"
    file.write_text(KEY)
    file.chmod(0o644)
    found = await findings(base_url=emulator.url, credentials=ApiKeyFile(file))
    assert found["key"].level is Severity.WARN
    assert found["key"].cure == f"chmod 600 {file}"
    assert found["session"].level is Severity.OK
    file.chmod(0o600)
    found = await findings(base_url=emulator.url, credentials=ApiKeyFile(file))
    assert found["key"].level is Severity.OK


async def test_an_installation_that_is_broken(emulator, monkeypatch):
    def broken(**options):
        raise ImportError("libsrtp2.so.1 is missing")

    monkeypatch.setattr(trial, "connect", broken)
    found = await findings(base_url=emulator.url, api_key=KEY)
    assert found["call"].level is Severity.FAIL
    assert "libsrtp2.so.1 is missing" in found["call"].text


async def test_udp_that_is_blocked(emulator, monkeypatch):
    with (
        socket.socket(type=socket.SOCK_DGRAM) as silent,
        too_late_in("ice", after=0.2) as timeout,
    ):
        monkeypatch.setattr(ways, "TRY_TIMEOUT", timeout)
        silent.bind(("127.0.0.1", 0))
        port = silent.getsockname()[1]
        emulator._rewrite = lambda sdp: sdp.replace(
            sdp.partition("127.0.0.1 ")[2].partition(" ")[0], str(port)
        )
        found = await findings(base_url=emulator.url, api_key=KEY, connect_timeout=timeout)
    assert found["answer"].level is Severity.OK
    assert found["ice"].level is Severity.FAIL
    assert "UDP" in found["ice"].cure
    assert "dtls" not in found


async def test_a_server_that_is_reached_by_tcp_alone():
    async with BentEmulator(no_udp=True) as server:
        found = await findings(base_url=server.url, api_key=KEY, transport="webrtc")
        await server.end_calls()
    assert found["tcp"].level is Severity.OK
    assert found["udp"].level is found["way"].level is Severity.WARN
    assert "calls go by TCP:" in found["way"].text
    assert "UDP out" in found["way"].cure
    assert "websocket" not in found
    assert found["ice"].text.startswith("host tcp ")


NAMED = "\r\n".join(
    ["v=0"]
    + [f"a=candidate:1 1 udp 5 20.1.2.{n} 3478 typ host" for n in (1, 2)]
    + ["a=candidate:1 1 tcp 5 20.1.2.1 443 typ host tcptype passive"]
)


@pytest.mark.parametrize(
    ("works", "levels", "way", "cure"),
    [
        ("udp tcp websocket", "ok ok ok ok", "calls go by UDP", ""),
        (
            "tcp websocket",
            "warn ok ok warn",
            "calls go by TCP: lost",
            "UDP out to the server's port 3478",
        ),
        ("websocket", "warn - ok warn", "calls go by a WebSocket: lost", "UDP out"),
        ("", "fail fail fail fail", "no way to the server works", "administrator"),
    ],
)
def test_which_way_calls_go_and_what_to_ask_for(works, levels, way, cure):
    tried = {
        name: Tried(0.1, "" if name in works.split() else "silence", NAMED)
        for name in ("udp", "tcp", "websocket")
    }
    found = verdict(tried)
    assert " ".join(each.level for each in found) == levels
    assert found[-1].text.startswith(way)
    assert cure in found[-1].cure
    if "tcp" not in works.split():
        assert "TCP out to the server's port 443" in found[1].cure


async def test_a_server_that_is_something_else():
    async with serving(always(text="<html>Welcome to our Wi-Fi")) as server:
        found = await findings(base_url=server.url, api_key=KEY)
    assert found["http"].level is Severity.WARN
    assert "login page" in found["http"].cure
    assert found["token"].level is Severity.FAIL


async def test_a_server_that_mints_no_tokens(emulator):
    async def respond(request):
        """Take bare offers with a key, as other people's servers do."""
        if not request.path.endswith("/calls"):
            return web.Response(status=404)
        signaling = Signaling(base_url=emulator.url, credentials=ApiKey(KEY))
        token = await signaling.mint_token({"type": "realtime", "model": "gpt-realtime-2.1"})
        answer = await signaling.call(await request.text(), token)
        await signaling.aclose()
        return web.Response(status=201, text=answer.sdp)

    async with serving(respond) as server:
        found = await findings(base_url=server.url, api_key=KEY)
    assert found["token"].level is Severity.WARN
    assert "the server mints no tokens" in found["token"].text
    assert found["session"].level is Severity.OK


async def test_a_host_that_does_not_exist():
    found = await findings(base_url="https://no-such-host.invalid/v1", api_key=KEY)
    assert found["dns"].level is Severity.FAIL
    assert "tls" not in found
    assert "http" not in found
    assert found["token"].level is Severity.FAIL


async def test_encryption(tmp_path):
    certificate = self_signed(tmp_path)
    async with serving(always(status=401, text=""), tls=server_context(certificate)) as server:
        found = await findings(base_url=server.url, api_key=KEY)
        assert found["tls"].level is Severity.FAIL
        assert "not trusted" in found["tls"].text
        assert "ca_file=" in found["tls"].cure
        assert "http" not in found
        found = await findings(base_url=server.url, api_key=KEY, ca_file=certificate)
        assert "TLSv1." in found["tls"].text
        assert "localhost" in found["tls"].text
        assert found["http"].level is Severity.OK


async def test_stun_and_turn_servers(emulator):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"turn:me:hunter2@127.0.0.1:{closed.getsockname()[1]}?transport=tcp"
        found = await findings(base_url=emulator.url, api_key=KEY, ice_servers=[url])
    assert found["turn"].level is Severity.WARN
    assert "cannot be reached" in found["turn"].text
    assert "hunter2" not in str(found["turn"])
    assert found["session"].level is Severity.OK


async def test_options_that_cannot_work():
    found = await findings(base_url="nonsense")
    assert found["options"].level is Severity.FAIL
    assert "key" not in found


async def test_devices(monkeypatch):
    card = {"index": 0, "host_api": "ALSA", "default_rate": 48000}
    headset = Device(**card, name="Headset", inputs=1, outputs=2, is_default_input=True)
    monkeypatch.setattr(machine, "devices", lambda: [headset])
    found = {finding.area: finding async for finding in machine.look_at_devices()}
    assert found["microphone"].text == "Headset (48000 Hz, ALSA; 1 of 1)"
    assert found["speaker"].level is Severity.WARN
    assert found["speaker"].cure == "name one: --speaker NAME"


async def test_no_portaudio(monkeypatch):
    def missing():
        raise DeviceError("the PortAudio library is not installed", hint="apt install it")

    monkeypatch.setattr(machine, "devices", missing)
    (finding,) = [finding async for finding in machine.look_at_devices()]
    assert finding[:4] == (
        *("sound", Severity.WARN),
        *("the PortAudio library is not installed", "apt install it"),
    )


# -- the command ------------------------------------------------------------------------------


async def command(*arguments):
    options = parse(["doctor", *map(str, arguments)])
    return await run(argparse.Namespace(**vars(options)))


async def test_in_a_pipe(emulator, capsys, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert await command("--base-url", emulator.url) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "\x1b" not in "".join(lines)
    assert lines[0].startswith("ok    python      ")
    assert lines[-1].startswith("calls work; ")
    assert sum(line.startswith("ok ") for line in lines) > 10


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--base-url", "nonsense"], 2),
        (["--base-url", "URL"], 3),
        (["--base-url", "http://127.0.0.1:9/v1"], 4),
        (["--base-url", "https://no-such-host.invalid/v1"], 4),
        (["--base-url", "URL", "--ice-server", "stun:x", "--relay"], 2),
        (["--emulator", "--connect-timeout", "0.001"], 5),
    ],
)
async def test_the_exit_code_is_that_of_the_first_failure(emulator, capsys, arguments, code):
    arguments = [emulator.url if word == "URL" else word for word in arguments]
    assert await command(*arguments) == code
    assert "from working" in capsys.readouterr().out


async def test_as_json(emulator, capsys, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert await command("--base-url", emulator.url, "--json") == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {"area", "level", "text"} <= set(told[0])
    assert {line["level"] for line in told} == {"ok", "warn"}


async def test_in_a_terminal_lines_are_wrapped(emulator, capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    await command("--base-url", emulator.url)
    for line in capsys.readouterr().out.splitlines():
        assert len(re.sub("\x1b\\[[0-9;]*m", "", line)) < 80


def test_a_program_that_was_frozen_knows_no_versions(monkeypatch, capsys):
    def nobody(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(machine, "version", nobody)
    found = list(machine.look_at_machine())
    assert all(finding.level is not Severity.FAIL for finding in found)
    assert "rtcvoice (version unknown)" in found[1].text
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"{rtcvoice.__version__}\n"


@pytest.mark.parametrize(
    ("system", "python", "untried"),
    [
        ("Linux", ("3", "11"), []),
        ("Linux", ("3", "13"), []),
        ("Linux", ("3", "99"), ["Python 3.11, 3.12, 3.13"]),
        ("Darwin", ("3", "13"), ["never tried on macOS"]),
        ("Windows", ("3", "99"), ["never tried on Windows", "Python 3.11, 3.12, 3.13"]),
    ],
)
def test_it_names_what_it_cannot_vouch_for(system, python, untried):
    finding = machine.look_at_system(system, python)
    assert finding.level is (Severity.WARN if untried else Severity.OK)
    assert all(what in finding.text for what in untried)
    assert ("tried" in finding.text) == bool(untried)
