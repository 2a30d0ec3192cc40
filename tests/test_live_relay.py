"""Sessions of GPT-Live by the token server: who may begin one, and what clients choose of it."""

# ruff: noqa: SIM117  (a server first, then what is asked of it)

from __future__ import annotations

import aiohttp
import pytest
from live import KEY, calling
from test_live_signaling import CREATED, OFFER, Recorder
from test_signaling import serving
from test_token_server import CLIENT_KEY, PAGE, refused

import rtcvoice
from rtcvoice.emulator import Emulator
from rtcvoice.emulator.live.options import LiveOptions
from rtcvoice.rest.credentials import ApiKey
from rtcvoice.rest.live_signaling import LiveSignaling
from rtcvoice.token_server.access import Refusal
from rtcvoice.token_server.server import TokenServer
from rtcvoice.token_server.sessions import Sessions

LIVE = {"model": "gpt-live-1.1", "api_key": KEY, "voice": "cedar"}


@pytest.fixture
async def http():
    async with aiohttp.ClientSession() as session:
        yield session


def relay(upstream, options=None, **rules):
    return TokenServer({**LIVE, "base_url": upstream.url, **(options or {})}, **rules)


async def test_a_call_without_a_key_whose_session_is_the_servers():
    async with Emulator(seed=1, live=LiveOptions(close_delay=0.05)) as emulator:
        async with relay(emulator, allow=["instructions"]) as server:
            assert server.url.endswith("/session")
            credentials = rtcvoice.SessionUrl(server.url)
            given = {"model": "gpt-live-1.1", "credentials": credentials}
            async with calling(emulator, instructions="Be brief.", **given) as call:
                assert call.session.audio.output.voice == "cedar"
                assert call.session.instructions == "Be brief."
                call_id = call.id
            assert emulator.calls[call_id].ended
            with pytest.raises(rtcvoice.SignalingError) as error:
                async with calling(emulator, voice="marin", **given):
                    pass
            assert error.value.code == "option_not_allowed"
            token = rtcvoice.TokenUrl(server.url.replace("session", "token"))
            with pytest.raises(rtcvoice.SignalingError) as error:
                async with calling(emulator, credentials=token):
                    pass
            assert error.value.status == 404


async def test_the_answer_is_passed_on_as_it_is_and_the_key_is_not(http):
    upstream = Recorder()
    async with serving(upstream) as provider:
        async with relay(provider, per_client_identifier=True, allow=["input"]) as server:
            body = {"sdp": OFFER, "session": {"input": [{"role": "user", "content": []}]}}
            async with http.post(server.url, json=body) as response:
                assert response.status == 201
                assert response.headers["Cache-Control"] == "no-store"
                assert await response.json() == CREATED
                assert KEY not in str(response.headers)
    ((path, headers, sent),) = upstream.asked
    assert path == "/v1/live/sessions"
    assert headers["Authorization"] == f"Bearer {KEY}"
    session = sent["session"]
    assert session["audio"] == {"output": {"voice": "cedar"}}
    assert session["input"] == body["session"]["input"]
    assert len(session["safety_identifier"]) == 32
    assert sent["transport"] == {"type": "webrtc", "sdp": OFFER}


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        ({}, {}, 400, "invalid_offer"),
        ({"sdp": 5}, {}, 400, "invalid_offer"),
        ({"sdp": OFFER, "session": []}, {}, 400, "invalid_value"),
        ({"sdp": OFFER, "key": 1}, {}, 400, "unknown_parameter"),
        ({"sdp": OFFER, "session": {"voice": "x"}}, {}, 400, "option_not_allowed"),
        ({"sdp": OFFER, "session": {"base_url": "http://a"}}, {}, 400, "option_not_allowed"),
        ({"sdp": OFFER, "session": {"standby": "x"}}, {}, 400, "invalid_value"),
        ({"sdp": OFFER + "x" * 70_000}, {}, 413, "invalid_request"),
        ({"sdp": OFFER}, {"Origin": "https://evil.example"}, 403, "origin_not_allowed"),
        ({"sdp": OFFER}, {"Authorization": "Bearer no"}, 401, "invalid_client_key"),
    ],
)
async def test_what_is_refused_costs_nothing(body, headers, status, code, http):
    upstream = Recorder()
    rules = {"allow": ["standby"], "client_keys": [CLIENT_KEY], "origins": [PAGE]}
    shown = {"Authorization": f"Bearer {CLIENT_KEY}"} | headers
    async with serving(upstream) as provider, relay(provider, **rules) as server:
        async with http.post(server.url, json=body, headers=shown) as response:
            message = await refused(response, status, code)
    assert upstream.asked == []
    assert KEY not in message


async def test_each_client_begins_so_many_a_minute(http):
    upstream = Recorder()
    async with serving(upstream) as provider, relay(provider, per_minute=1) as server:
        async with http.post(server.url, json={"sdp": OFFER}) as response:
            assert response.status == 201
        async with http.post(server.url, json={"sdp": OFFER}) as response:
            await refused(response, 429, "rate_limit_exceeded")
            assert int(response.headers["Retry-After"]) > 0
    assert len(upstream.asked) == 1


async def test_a_client_ends_its_own_sessions_only(http):
    upstream = Recorder((201, CREATED), (200, {}))
    async with serving(upstream) as provider, relay(provider, behind_proxy=True) as server:
        mine = {"X-Forwarded-For": "192.0.2.1"}
        async with http.post(server.url, json={"sdp": OFFER}, headers=mine):
            pass
        hangup = f"{server.url}/live_u1_x/hangup"
        async with http.post(hangup, headers={"X-Forwarded-For": "192.0.2.9"}) as response:
            await refused(response, 404, "session_id_not_found")
        async with http.post(f"{server.url}/live_u1_y/hangup", headers=mine) as response:
            await refused(response, 404, "session_id_not_found")
        assert len(upstream.asked) == 1
        async with http.post(hangup, headers=mine) as response:
            assert response.status == 200
        async with http.post(hangup, headers=mine) as response:
            await refused(response, 404, "session_id_not_found")
    assert [path for path, *_ in upstream.asked] == [
        "/v1/live/sessions",
        "/v1/live/sessions/live_u1_x/hangup",
    ]


@pytest.mark.parametrize(("status", "told"), [(401, 502), (429, 429), (400, 502), (500, 502)])
async def test_what_the_provider_says_of_our_key_stays_here(status, told, http):
    upstream = Recorder((status, {"error": {"message": f"bad key {KEY}", "code": "x"}}))
    async with serving(upstream) as provider, relay(provider) as server:
        async with http.post(server.url, json={"sdp": OFFER}) as response:
            assert response.status == told
            assert KEY not in await response.text()


async def test_a_server_of_tokens_begins_no_sessions(http):
    upstream = Recorder()
    options = {"model": "gpt-realtime-2.1", "voice": "marin"}
    async with serving(upstream) as provider, relay(provider, options) as server:
        assert server.url.endswith("/token")
        url = server.url.replace("token", "session")
        async with http.post(url, json={"sdp": OFFER}) as response:
            await refused(response, 404, "not_here")
    assert upstream.asked == []


def test_what_clients_may_choose():
    with pytest.raises(rtcvoice.ConfigError, match="tools"):
        TokenServer(LIVE, allow=["tools"])
    with pytest.raises(rtcvoice.CredentialsError):
        TokenServer({**LIVE, "api_key": None, "credentials": rtcvoice.SessionUrl("https://a.b")})


async def test_a_session_whose_client_has_left_is_ended():
    upstream = Recorder((201, CREATED), (200, {}))
    async with serving(upstream) as provider:
        signaling = LiveSignaling(base_url=provider.url, credentials=ApiKey(KEY))
        sessions = Sessions(signaling)
        with pytest.raises(Refusal, match="left"):
            await sessions.create(OFFER, {}, "192.0.2.1", gone=lambda: True)
        with pytest.raises(Refusal, match="No session"):
            await sessions.hang_up("live_u1_x", "192.0.2.1")
        await signaling.aclose()
    assert [path for path, *_ in upstream.asked] == [
        "/v1/live/sessions",
        "/v1/live/sessions/live_u1_x/hangup",
    ]
