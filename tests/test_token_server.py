"""The token server: calls without a key, who may ask, how often, for what; and what is told."""

# ruff: noqa: SIM117  (a server first, then what is asked of it)

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st
from live import KEY, BentEmulator, calling
from test_signaling import always, serving

from rtcvoice import ApiKeyFile, ConfigError, CredentialsError, SignalingError, TokenUrl
from rtcvoice.token_server.rate_limit import RequestLimit, household
from rtcvoice.token_server.server import TokenServer
from rtcvoice.token_server.session_file import session_options

PAGE = "https://app.example"
CLIENT_KEY = "client-key-4711"


@asynccontextmanager
async def token_server(emulator, options=None, **rules):
    given = {"api_key": KEY, "base_url": emulator.url, **(options or {})}
    async with TokenServer(given, **rules) as server:
        yield server


@pytest.fixture
async def http():
    async with aiohttp.ClientSession() as session:
        yield session


async def refused(response, status, code):
    body = await response.json()
    assert (response.status, body["error"]["code"]) == (status, code), body
    return body["error"]["message"]


# -- calls ------------------------------------------------------------------------------------


async def test_a_call_without_a_key(emulator, no_stray_errors):
    options = {"voice": "cedar", "instructions": "Be kind."}
    async with token_server(emulator, options) as server:
        async with calling(emulator, credentials=TokenUrl(server.url)) as call:
            assert call.session.audio.output.voice == "cedar"
            assert call.session.instructions == "Be kind."
            assert call.timings.token is not None


async def test_the_calls_own_options_come_on_top(emulator):
    async with token_server(emulator, {"voice": "cedar"}) as server:
        async with calling(emulator, credentials=TokenUrl(server.url), instructions="Hi.") as call:
            assert call.session.audio.output.voice == "cedar"
            assert call.session.instructions == "Hi."


async def test_a_token_for_every_call(emulator, http):
    async with token_server(emulator) as server:
        tokens = set()
        for _ in range(3):
            async with http.post(server.url) as response:
                minted = await response.json()
                assert set(minted) == {"value", "expires_at"}
                tokens.add(minted["value"])
        assert len(tokens) == 3


async def test_how_long_a_token_lives(emulator, http):
    lives = {}
    for seconds in (None, 10):
        async with token_server(emulator, token_seconds=seconds) as server:
            async with http.post(server.url) as response:
                lives[seconds] = (await response.json())["expires_at"]
    assert 580 < lives[None] - lives[10] <= 590


async def test_the_key_may_be_rotated(emulator, tmp_path, http):
    file = tmp_path / "key"
    file.write_text(KEY)
    options = {"api_key": None, "credentials": ApiKeyFile(file)}
    async with token_server(emulator, options) as server:
        async with http.post(server.url) as response:
            assert response.status == 200
        file.write_text("no-key-of-the-emulator")
        async with http.post(server.url) as response:
            await refused(response, 502, "upstream_refused")
        file.unlink()
        async with http.post(server.url) as response:
            await refused(response, 500, "no_key")


# -- what clients may choose ------------------------------------------------------------------


async def test_clients_choose_what_is_allowed(emulator):
    async with token_server(emulator, {"voice": "cedar"}, allow=["voice"]) as server:
        chosen = TokenUrl(server.url, body={"voice": "marin"})
        async with calling(emulator, credentials=chosen) as call:
            assert call.session.audio.output.voice == "marin"


@pytest.mark.parametrize(
    ("body", "code", "says"),
    [
        ('{"model": "expensive"}', "option_not_allowed", "'model' is not allowed; voice is."),
        ('{"api_key": "x"}', "option_not_allowed", "'api_key' is not allowed"),
        ('{"voice": 7}', "invalid_value", "voice= is a int"),
        ("[]", "invalid_json", "JSON object"),
        ("{", "invalid_json", "not valid JSON"),
        ("[" * 9999, "invalid_json", "not valid JSON"),
    ],
)
async def test_what_is_not_allowed_is_refused(emulator, http, body, code, says):
    async with token_server(emulator, allow=["voice"]) as server:
        async with http.post(server.url, data=body) as response:
            assert says in await refused(response, 400, code)


async def test_a_huge_request_is_not_read(emulator, http):
    async with token_server(emulator) as server:
        async with http.post(server.url, data=b" " * (1 << 20)) as response:
            await refused(response, 413, "invalid_request")


@pytest.mark.parametrize("name", ["session", "tools", "base_url", "nonsense"])
async def test_some_things_cannot_be_allowed(emulator, name):
    with pytest.raises(ConfigError, match="cannot be allowed to choose"):
        async with token_server(emulator, allow=[name]):
            pass


# -- who may ask ------------------------------------------------------------------------------


async def test_pages_of_other_origins_get_nothing(emulator, http):
    async with token_server(emulator, origins=[PAGE + "/"]) as server:
        async with http.post(server.url, headers={"Origin": "https://evil.example"}) as response:
            await refused(response, 403, "origin_not_allowed")
            assert "Access-Control-Allow-Origin" not in response.headers
        async with http.post(server.url, headers={"Origin": PAGE}) as response:
            assert (await response.json())["value"].startswith("ek_")
            assert response.headers["Access-Control-Allow-Origin"] == PAGE
            assert response.headers["Vary"] == "Origin"
            assert response.headers["Cache-Control"] == "no-store"
        async with http.options(server.url, headers={"Origin": PAGE}) as response:
            assert response.status == 204
            assert response.headers["Access-Control-Allow-Origin"] == PAGE
            assert "POST" in response.headers["Access-Control-Allow-Methods"]


async def test_all_pages_if_so_wanted(emulator, http):
    async with token_server(emulator, origins=["*"]) as server:
        async with http.post(server.url, headers={"Origin": "https://any.example"}) as response:
            assert response.headers["Access-Control-Allow-Origin"] == "https://any.example"


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "[", "127.0.0.1.evil.example"])
async def test_a_name_that_was_pointed_at_this_machine(emulator, http, host):
    async with token_server(emulator) as server:
        async with http.post(server.url, headers={"Host": host}) as response:
            await refused(response, 403, "host_not_allowed")


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("evil.example", 403),
        ("evil.example:80", 403),
        ("", 403),
        ("tokens.example", 200),
        ("TOKENS.example:80", 200),
        ("localhost", 200),
        ("127.0.0.1", 200),
        ("[::1]:80", 200),
        ("192.168.1.7:8090", 200),
    ],
)
async def test_names_on_an_address_that_others_reach(emulator, http, host, status):
    rules = {"open_to_all": True, "public_hosts": ["tokens.example"]}
    async with token_server(emulator, host="0.0.0.0", **rules) as server:
        url = server.url.replace("0.0.0.0", "127.0.0.1")
        async with http.post(url, headers={"Host": host}) as response:
            assert response.status == status


@pytest.mark.parametrize("host", ["0.0.0.0", "", "::", "tokens.example", "192.0.2.1"])
def test_nobody_listens_to_other_machines_by_mistake(host):
    with pytest.raises(ConfigError, match="would get tokens at your expense") as caught:
        TokenServer({"api_key": KEY}, host=host)
    assert "--client-key-file" in caught.value.hint
    TokenServer({"api_key": KEY}, host=host, open_to_all=True)
    TokenServer({"api_key": KEY}, host=host, client_keys=[CLIENT_KEY])


async def test_a_foreign_page_uses_up_nothing(emulator, http):
    async with token_server(emulator, per_minute=1) as server:
        for site in ("cross-site", "same-site"):
            image = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors"}
            async with http.post(server.url, headers=image) as response:
                await refused(response, 403, "origin_not_allowed")
        async with http.get(server.url) as response:
            await refused(response, 405, "invalid_request")
        async with http.post(server.url) as response:
            assert response.status == 200


@pytest.mark.parametrize(
    "rules",
    [
        {"client_keys": "abc"},
        {"client_keys": [""]},
        {"client_keys": [" "]},
        {"client_keys": [None]},
        {"client_keys": 7},
        {"origins": PAGE},
        {"allow": "voice"},
        {"public_hosts": "tokens.example"},
        {"per_minute": 0},
        {"per_minute": float("nan")},
        {"per_minute": "10"},
        {"per_minute": True},
        {"port": "8090"},
        {"port": 65536},
        {"port": -1},
        {"token_seconds": 60.0},
        {"token_seconds": "60"},
    ],
)
def test_rules_that_cannot_work(rules):
    with pytest.raises(ConfigError):
        TokenServer({"api_key": KEY}, **rules)


@pytest.mark.parametrize("options", [{"api_key": None}, {"api_key": "ek_123456"}])
def test_the_hint_is_one_for_servers(options):
    with pytest.raises(CredentialsError) as caught:
        TokenServer(options)
    assert "--api-key-file" in caught.value.hint
    assert "emulator" not in caught.value.hint


def test_fields_and_tools_that_do_not_go_together(tmp_path):
    file = tmp_path / "agent.yaml"
    file.write_text("session: text\ntools: []\n")
    with pytest.raises(ConfigError, match="is not a group of fields"):
        session_options(file)


@pytest.mark.parametrize(
    "shown", ["", "Bearer", "Bearer other", f"Bearer {CLIENT_KEY}x", "Bearer \xfc"]
)
async def test_programs_show_a_client_key(emulator, http, shown):
    async with token_server(emulator, client_keys=["first", CLIENT_KEY]) as server:
        async with http.post(server.url, headers={"Authorization": shown}) as response:
            await refused(response, 401, "invalid_client_key")
        good = {"Authorization": f"Bearer {CLIENT_KEY}"}
        async with calling(emulator, credentials=TokenUrl(server.url, headers=good)):
            pass
        with pytest.raises(SignalingError, match="see headers= of TokenUrl") as caught:
            async with calling(emulator, credentials=TokenUrl(server.url)):
                pass
        assert caught.value.status == 401


async def test_too_many_tokens(emulator, http):
    async with token_server(emulator, per_minute=2) as server:
        for status in (200, 200, 429):
            async with http.post(server.url) as response:
                assert response.status == status
        assert 25 <= int(response.headers["Retry-After"]) <= 31
        with pytest.raises(SignalingError, match="too many requests: try again in") as caught:
            async with calling(emulator, credentials=TokenUrl(server.url)):
                pass
        assert (caught.value.status, caught.value.code) == (429, "rate_limit_exceeded")


async def test_behind_a_proxy_clients_are_told_apart(emulator, http):
    rules = {"behind_proxy": True, "public_hosts": ["public.example"]}
    async with token_server(emulator, per_minute=1, **rules) as server:
        for client, status in (("10.0.0.1", 200), ("9.9.9.9, 10.0.0.2", 200), ("10.0.0.1", 429)):
            headers = {"X-Forwarded-For": client, "Host": "public.example"}
            async with http.post(server.url, headers=headers) as response:
                assert response.status == status


async def test_health_and_nothing_else(emulator, http):
    async with token_server(emulator) as server:
        root = server.url.removesuffix("/token")
        async with http.get(f"{root}/health") as response:
            assert await response.json() == {"status": "ok"}
        async with http.get(f"{root}/other") as response:
            await refused(response, 404, "invalid_request")


# -- the provider -----------------------------------------------------------------------------


async def test_a_hash_of_the_client_is_its_safety_identifier(http):
    clients = ["198.51.100.1", "198.51.100.1", "198.51.100.2"]
    async with serving(always(text='{"value": "ek_123456", "expires_at": 1}')) as provider:
        given = {"api_key": KEY, "base_url": provider.url}
        async with TokenServer(given, per_client_identifier=True, behind_proxy=True) as server:
            for client in clients:
                async with http.post(server.url, headers={"X-Forwarded-For": client}) as response:
                    assert response.status == 200
    one, same, other = (r.headers["OpenAI-Safety-Identifier"] for r in provider.requests)
    assert one == same != other
    assert len(one) == 32
    assert not any(client in str(r.headers) for r in provider.requests for client in clients)


async def test_a_refused_key_is_no_business_of_clients(http, caplog):
    async with BentEmulator(api_keys={"another"}) as emulator:
        async with token_server(emulator, {"api_key": "sk-secret-of-the-server"}) as server:
            async with http.post(server.url) as response:
                await refused(response, 502, "upstream_refused")
                assert "secret" not in await response.text()
    assert "HTTP 401" in caplog.text
    assert "secret-of-the-server" not in caplog.text


async def test_a_provider_that_is_not_there(http):
    async with TokenServer({"api_key": KEY, "base_url": "http://127.0.0.1:9/v1"}) as server:
        async with http.post(server.url) as response:
            await refused(response, 502, "upstream_error")


async def test_who_has_asked_is_answered_before_it_stops(http):
    arrived = asyncio.Event()

    async def slow(request):
        arrived.set()
        await asyncio.sleep(0.2)
        return web.json_response({"value": "ek_123456", "expires_at": 1})

    async with serving(slow) as provider:
        async with TokenServer({"api_key": KEY, "base_url": provider.url}) as server:
            asking = asyncio.create_task(http.post(server.url))
            await arrived.wait()
        response = await asking
        assert (await response.json())["value"] == "ek_123456"


async def test_nothing_secret_is_logged(emulator, http, caplog):
    caplog.set_level(logging.DEBUG)
    async with token_server(emulator, {"api_key": "sk-4711-secret"}) as server:
        async with http.post(server.url) as response:
            token = (await response.json())["value"]
    assert "token for 127.0.0.1" in caplog.text
    assert "4711" not in caplog.text
    assert token not in caplog.text


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"api_key": None}, CredentialsError, "no API key"),
        ({"api_key": "ek_123456"}, CredentialsError, "cannot make others"),
        ({"api_key": None, "credentials": TokenUrl("http://x/")}, CredentialsError, "key itself"),
        ({"voicee": "x"}, ConfigError, "voicee"),
    ],
)
def test_a_server_that_cannot_work(options, error, says):
    with pytest.raises(error, match=says):
        TokenServer({"api_key": KEY, **options})


async def test_an_address_that_is_taken(emulator):
    async with token_server(emulator) as server:
        with pytest.raises(ConfigError, match="cannot listen on"):
            async with token_server(emulator, port=server._port):
                pass


@pytest.mark.parametrize("seconds", [9, 7201])
def test_a_life_that_the_provider_refuses(seconds):
    with pytest.raises(ConfigError, match="10 to 7200"):
        TokenServer({"api_key": KEY}, token_seconds=seconds)


# -- session files ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "options"),
    [
        ("s.yaml", "voice: cedar\nspeed: 1.2\n", {"voice": "cedar", "speed": 1.2}),
        ("s.json", '{"voice": "cedar"}', {"voice": "cedar"}),
        (
            "s.json",
            '{"type": "realtime", "model": "m", "audio": {"output": {"voice": "ash"}}}',
            {"model": "m", "session": {"audio": {"output": {"voice": "ash"}}}},
        ),
        (
            "s.yml",
            "voice: ash\ntools: [{type: function, name: now}]",
            {"voice": "ash", "session": {"tools": [{"type": "function", "name": "now"}]}},
        ),
    ],
)
def test_sessions_from_files(tmp_path, name, text, options):
    file = tmp_path / name
    file.write_text(text)
    assert session_options(file) == options
    TokenServer({"api_key": KEY, **session_options(file)})


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("s.yaml", b"voice: [", r"s.yaml, line 1 cannot be understood: expected the node"),
        ("s.json", b"{", "cannot be understood"),
        ("s.json", b"\xff", "cannot be read"),
        ("s.yaml", b"- a", "holds no options"),
        ("s.yaml", b"", "holds no options"),
        ("s.yaml", b"1: 2", "holds no options"),
        (".", None, "cannot be read"),
        ("missing.json", None, "cannot be read"),
    ],
)
def test_files_that_hold_no_session(tmp_path, name, data, says):
    file = tmp_path / name
    if data is not None:
        file.write_bytes(data)
    with pytest.raises(ConfigError, match=says):
        session_options(file)


# -- how often --------------------------------------------------------------------------------


def test_a_burst_then_evenly():
    limit = RequestLimit(6)
    assert [limit.take("a", 0.0) for _ in range(6)] == [0.0] * 6
    assert limit.take("a", 0.0) == pytest.approx(10.0)
    assert limit.take("b", 0.0) == 0.0
    assert limit.take("a", 9.9) == pytest.approx(0.1)
    assert limit.take("a", 10.0) == 0.0
    assert limit.take("a", 10.0) > 0


@settings(deadline=None, max_examples=60)
@given(st.lists(st.floats(0, 30), max_size=60), st.integers(1, 20))
def test_never_more_than_allowed(waits, per_minute):
    limit, now, granted = RequestLimit(per_minute), 0.0, []
    for wait in waits:
        now += wait
        if not limit.take("a", now):
            granted.append(now)
    for at in granted:
        assert sum(at <= other <= at + 60 for other in granted) <= 2 * per_minute


@pytest.mark.parametrize(
    ("client", "counted"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("2001:db8:0:7::1", "2001:db8:0:7::/64"),
        ("2001:db8:0:7:ffff::2", "2001:db8:0:7::/64"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("fe80::1%eth0", "fe80::/64"),
        ("?", "?"),
        ("", ""),
    ],
)
def test_a_household_is_one_client(client, counted):
    assert household(client) == counted


def test_only_so_many_clients_are_remembered():
    limit = RequestLimit(1, most=3)
    for n in range(10):
        assert limit.take(str(n), 0.0) == 0.0
    assert len(limit._left) == 3
    assert limit.take("9", 0.0) > 0


# -- the command ------------------------------------------------------------------------------


async def test_the_command_serves_until_it_is_stopped(emulator, tmp_path):
    (tmp_path / "agent.yaml").write_text("instructions: Be kind.\n")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "rtcvoice", "token-server", "--port", "0"),
        *("--base-url", emulator.url, "--session", "agent.yaml", "--voice", "cedar"),
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "OPENAI_API_KEY": KEY},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        line = (await process.stdout.readline()).decode()
        url = line.split()[3]
        async with calling(emulator, credentials=TokenUrl(url)) as call:
            assert call.session.instructions == "Be kind."
            assert call.session.audio.output.voice == "cedar"
        process.send_signal(signal.SIGTERM)
        _, errors = await process.communicate()
    assert process.returncode == 128 + signal.SIGTERM
    assert "token for 127.0.0.1" in errors.decode()
    assert KEY not in line + errors.decode()
