"""The one request that creates a session, and what is asked in its place; and the end by REST."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from live import KEY
from test_signaling import serving

from rtcvoice.errors import CredentialsError, SignalingError
from rtcvoice.rest.credentials import ApiKey, EphemeralToken
from rtcvoice.rest.live_signaling import LiveSignaling
from rtcvoice.rest.session_url import SessionUrl

OFFER = "v=0\r\n"
SESSION = {"model": "gpt-live-1.1"}
CREATED = {"session": {"id": "live_u1_x"}, "transport": {"type": "webrtc", "sdp": "v=0 answer\r\n"}}


class Recorder:
    """Answers each request with the next of `answers`, a status and JSON, or the last again."""

    def __init__(self, *answers):
        self.answers = list(answers) or [(201, CREATED)]
        self.asked = []

    async def __call__(self, request):
        body = await request.read()
        headers = dict(request.headers)
        self.asked.append((request.path_qs, headers, json.loads(body) if body else None))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        status, data = answer
        return web.json_response(data, status=status)


@asynccontextmanager
async def signaling(recorder, *, relay="", headers=None):
    async with serving(recorder) as server:
        place = server.url.removesuffix("/v1")
        credentials = SessionUrl(place + relay, headers=headers or {}) if relay else ApiKey(KEY)
        client = LiveSignaling(base_url=server.url, credentials=credentials)
        try:
            yield client
        finally:
            await client.aclose()


async def test_a_session_is_created_by_one_request_with_the_key():
    asked = Recorder()
    async with signaling(asked) as client:
        answer = await client.create(OFFER, SESSION)
    assert (answer.sdp, answer.call_id) == ("v=0 answer\r\n", "live_u1_x")
    assert answer.server_time is not None
    ((path, headers, body),) = asked.asked
    assert path == "/v1/live/sessions"
    assert headers["Authorization"] == f"Bearer {KEY}"
    assert headers["Content-Type"] == "application/json"
    assert body == {"session": SESSION, "transport": {"type": "webrtc", "sdp": OFFER}}
    assert client.can_hang_up
    assert not client.session_is_unset


@pytest.mark.parametrize("status", [400, 401, 403, 415, 429, 500, 503])
async def test_it_is_never_asked_for_twice(status):
    asked = Recorder((status, {"error": {"code": "forbidden", "message": "no"}}))
    async with signaling(asked) as client:
        with pytest.raises(SignalingError) as error:
            await client.create(OFFER, SESSION)
    assert len(asked.asked) == 1
    assert error.value.status == status
    assert "permissions" in error.value.hint


async def test_an_answer_that_is_no_session_is_hung_up_if_it_is_billed():
    asked = Recorder((201, {"session": {"id": "live_u1_x"}}), (200, {}))
    async with signaling(asked) as client:
        with pytest.raises(SignalingError, match="no session"):
            await client.create(OFFER, SESSION)
    assert [path for path, *_ in asked.asked] == [
        "/v1/live/sessions",
        "/v1/live/sessions/live_u1_x/hangup",
    ]


@pytest.mark.parametrize("data", [{}, [], "x", {"session": {"id": 5}, "transport": {"sdp": "x"}}])
async def test_other_answers_are_told_to_be_none(data):
    async with signaling(Recorder((201, data))) as client:
        with pytest.raises(SignalingError, match="no session"):
            await client.create(OFFER, SESSION)


async def test_a_session_that_is_over_needs_no_hang_up():
    gone = {"error": {"code": "session_id_not_found", "message": "No session found"}}
    asked = Recorder((404, gone), (500, {}))
    async with signaling(asked) as client:
        await client.hang_up("live_u1_../x")
        with pytest.raises(SignalingError):
            await client.hang_up("live_u1_x")
    assert asked.asked[0][0] == "/v1/live/sessions/live_u1_..%2Fx/hangup"


async def test_a_fork_says_what_differs():
    asked = Recorder()
    async with signaling(asked) as client:
        await client.fork("live_u1_x", OFFER, {"store": False})
    ((path, _, body),) = asked.asked
    assert path == "/v1/live/sessions/live_u1_x/fork"
    transport = {"type": "webrtc", "sdp": OFFER}
    assert body == {"session": {"store": False}, "transport": transport}


async def test_a_relay_gets_the_offer_and_no_key():
    asked = Recorder((201, CREATED), (200, {}))
    async with signaling(asked, relay="/session?a=b", headers={"X-Login": "me"}) as client:
        await client.authorize()
        answer = await client.create(OFFER, SESSION, chosen={"voice": "cedar"})
        await client.hang_up(answer.call_id)
        with pytest.raises(SignalingError, match="forks"):
            await client.fork("live_u1_x", OFFER, {})
    (created, hung_up) = asked.asked
    assert created[0] == "/session?a=b"
    assert created[2] == {"sdp": OFFER, "session": {"voice": "cedar"}}
    assert hung_up[0] == "/session/live_u1_x/hangup?a=b"
    for _, headers, _ in asked.asked:
        assert headers["X-Login"] == "me"
        assert "Authorization" not in headers


@pytest.mark.parametrize(("status", "hint"), [(403, "headers="), (404, "path"), (500, "")])
async def test_a_relay_that_refuses(status, hint):
    refusal = {"error": {"message": "secret-login", "code": "x"}}
    asked = Recorder((status, refusal))
    async with signaling(asked, relay="/session", headers={"X-Login": "secret-login"}) as client:
        with pytest.raises(SignalingError) as error:
            await client.create(OFFER, SESSION)
    assert hint in error.value.hint
    assert "secret-login" not in str(error.value)


async def test_a_key_that_turns_out_to_be_a_token_is_refused():
    client = LiveSignaling(base_url="http://127.0.0.1:1/v1", credentials=lambda: "ek_abc")
    with pytest.raises(CredentialsError, match="SessionUrl"):
        await client.authorize()
    await client.aclose()
    with pytest.raises(CredentialsError, match="SessionUrl"):
        LiveSignaling(base_url="http://127.0.0.1:1/v1", credentials=EphemeralToken("ek_abc"))
