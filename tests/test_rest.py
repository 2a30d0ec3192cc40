"""The emulator's HTTP side keeps the statements of the conformance list, quoted in each test."""

import logging
from random import Random

import openai
import pytest
from aiohttp.test_utils import TestClient, TestServer
from rest_helpers import (
    ANSWER,
    CALLS,
    KEY,
    OFFER,
    SDP,
    SECRETS,
    SESSION,
    Clock,
    FakeCalls,
    bearer,
    error,
    post_form,
)

from rtcvoice.emulator.rest.app import InvalidOffer, RestError, build_app
from rtcvoice.emulator.rest.models import Models


@pytest.fixture
def calls():
    return FakeCalls()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
async def client(calls, clock):
    app = build_app(calls, clock=clock, random=Random(1))
    async with TestClient(TestServer(app)) as client:
        yield client


async def mint(client, body=None, headers=KEY):
    response = await client.post(SECRETS, json={"session": SESSION} | (body or {}), headers=headers)
    assert response.status == 200, await response.text()
    return await response.json()


# 1. "POST client_secrets with Bearer -> 200 {value:"ek_...",expires_at,session{...id,object}};
#    no/bad key -> 401 JSON error"


async def test_a_token_comes_with_the_full_session(client):
    body = await mint(client)
    assert body["value"].startswith("ek_")
    session = body["session"]
    assert session["object"] == "realtime.session"
    assert session["id"].startswith("sess_")
    assert session["expires_at"] == 0
    assert session["instructions"] == "Be brief."
    assert session["audio"]["output"]["voice"] == "marin"
    assert session["audio"]["input"]["turn_detection"]["silence_duration_ms"] == 500


@pytest.mark.parametrize("body", [b"", b" ", b"{}"])
async def test_everything_in_a_token_request_is_optional(client, body):
    headers = KEY | {"Content-Type": "application/json"}
    response = await client.post(SECRETS, data=body, headers=headers)
    assert (await response.json())["session"]["model"] == "gpt-realtime-2.1"


@pytest.mark.parametrize(
    ("header", "code"),
    [
        (None, None),
        ("", None),
        ("Bearer", None),
        ("Bearer ", None),
        ("Basic c2stdGVzdA==", None),
        ("Bearer nonsense", "invalid_api_key"),
        ("Bearer ek_abc", "invalid_api_key"),
    ],
)
@pytest.mark.parametrize("path", [SECRETS, CALLS, f"{CALLS}/rtc_1/hangup"])
async def test_without_a_key_nothing_is_done(client, header, code, path):
    headers = {} if header is None else {"Authorization": header}
    response = await client.post(path, json={}, headers=headers)
    refusal = await error(response, 401, code)
    assert "nonsense" not in refusal["message"]


async def test_only_the_given_keys_count(calls):
    app = build_app(calls, api_keys={"my-key"})
    async with TestClient(TestServer(app)) as client:
        assert (await client.post(SECRETS, headers=bearer("my-key"))).status == 200
        await error(await client.post(SECRETS, headers=KEY), 401, "invalid_api_key")


# 2. "expires_after.seconds outside 10..7200 -> 400; default expiry now+600"


async def test_a_token_lives_ten_minutes_unless_asked_otherwise(client):
    assert (await mint(client))["expires_at"] == 1_800_000_600
    after = {"anchor": "created_at", "seconds": 10}
    assert (await mint(client, {"expires_after": after}))["expires_at"] == 1_800_000_010


@pytest.mark.parametrize("seconds", [9, 7201, -1, 10.5, "60", None, True])
async def test_a_lifetime_out_of_range_is_refused(client, seconds):
    body = {"expires_after": {"anchor": "created_at", "seconds": seconds}}
    refusal = await error(await client.post(SECRETS, json=body, headers=KEY), 400, "invalid_value")
    assert refusal["param"] == "expires_after.seconds"


# 3. "Unknown top-level key -> 400 unknown_parameter with param"


async def test_a_model_beside_the_session_is_refused(client):
    body = {"model": "gpt-realtime-2.1", "session": SESSION}
    response = await client.post(SECRETS, json=body, headers=KEY)
    refusal = await error(response, 400, "unknown_parameter")
    assert refusal["param"] == "model"
    assert refusal["message"] == "Unknown parameter: 'model'."
    assert refusal["type"] == "invalid_request_error"


async def test_a_beta_field_in_the_session_is_refused(client):
    body = {"session": {"type": "realtime", "voice": "alloy"}}
    response = await client.post(SECRETS, json=body, headers=KEY)
    refusal = await error(response, 400, "unknown_parameter")
    assert refusal["param"] == "session.voice"


# 4. "POST calls raw SDP + unexpired ek_ -> 201, Location: /v1/realtime/calls/rtc_<x>,
#    Access-Control-Allow-Origin: *, exposes Location; answers OPTIONS preflight"


async def test_an_offer_with_a_token_starts_a_call(client, calls):
    token = (await mint(client))["value"]
    headers = SDP | bearer(token) | {"Origin": "http://localhost:3000"}
    response = await client.post(CALLS, data=OFFER, headers=headers)
    assert response.status == 201
    assert await response.text() == ANSWER
    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
    location = response.headers["Location"]
    assert location.startswith("/v1/realtime/calls/rtc_")
    assert calls.running[location.rsplit("/", 1)[1]]["instructions"] == "Be brief."
    assert calls.offers == [OFFER]
    assert response.headers["Access-Control-Allow-Origin"] == "http://localhost:3000"
    assert "Location" in response.headers["Access-Control-Expose-Headers"]
    assert response.headers["x-request-id"]


async def test_a_browser_may_ask_first(client):
    wanted = "authorization,content-type,x-openai-agents-sdk"
    headers = {"Origin": "http://localhost", "Access-Control-Request-Headers": wanted}
    response = await client.options(CALLS, headers=headers)
    assert response.status == 200
    assert response.headers["Access-Control-Allow-Origin"] == "http://localhost"
    assert response.headers["Access-Control-Allow-Headers"] == wanted
    assert "POST" in response.headers["Access-Control-Allow-Methods"]


# 5. "Multipart sdp+session + API key -> 201; session.type missing -> 400
#    missing_required_parameter"


@pytest.mark.parametrize("filename", ["", "blob"])
@pytest.mark.parametrize("types", [True, False])
async def test_offer_and_session_in_one_form(client, calls, types, filename):
    response = await post_form(client, types=types, filename=filename)
    assert response.status == 201
    assert calls.offers == [OFFER]
    [started] = calls.running.values()
    assert started["instructions"] == "Be brief."


async def test_a_form_without_session_gets_the_defaults(client, calls):
    assert (await post_form(client, session=None)).status == 201
    [started] = calls.running.values()
    assert started["model"] == "gpt-realtime-2.1"


async def test_a_session_sent_with_a_token_replaces_the_tokens(client, calls):
    token = (await mint(client))["value"]
    other = {"type": "realtime", "instructions": "Be long."}
    assert (await post_form(client, bearer(token), session=other)).status == 201
    assert [s["instructions"] for s in calls.running.values()] == ["Be long."]


@pytest.mark.parametrize(
    ("parts", "code", "param"),
    [
        ({"session": {}}, "missing_required_parameter", "session.type"),
        ({"session": []}, "invalid_value", "session"),
        ({"session": "{"}, "invalid_json", "session"),
        ({"session": {"type": "robot"}}, "invalid_value", "session.type"),
        ({"sdp": None}, "missing_required_parameter", "sdp"),
        ({"model": "gpt-realtime-2.1"}, "unknown_parameter", "model"),
    ],
)
async def test_a_form_that_cannot_be_is_refused(client, calls, parts, code, param):
    response = await post_form(client, **parts)
    assert (await error(response, 400, code))["param"] == param
    assert not calls.running


# 6. "Expired/unknown token -> 401 with error.message string"


async def test_a_token_nobody_minted_is_refused(client):
    response = await client.post(CALLS, data=OFFER, headers=SDP | bearer("ek_1"))
    assert (await error(response, 401, "invalid_api_key"))["message"] == "Invalid ephemeral key."


async def test_a_token_ends_at_its_expiry(client, clock):
    body = await mint(client)
    headers = SDP | bearer(body["value"])
    clock.now = body["expires_at"] - 0.1
    assert (await client.post(CALLS, data=OFFER, headers=headers)).status == 201
    clock.now = body["expires_at"]
    refusal = await error(
        await client.post(CALLS, data=OFFER, headers=headers), 401, "invalid_api_key"
    )
    assert "expired" in refusal["message"]


async def test_of_very_many_tokens_the_oldest_are_forgotten(client):
    first = (await mint(client))["value"]
    for _ in range(256):
        last = (await mint(client))["value"]
    headers = SDP | bearer(first)
    await error(await client.post(CALLS, data=OFFER, headers=headers), 401, "invalid_api_key")
    assert (await client.post(CALLS, data=OFFER, headers=SDP | bearer(last))).status == 201


# 7. "Offer without final CRLF, empty, or not SDP -> 400 JSON error"


@pytest.mark.parametrize("offer", ["", OFFER.strip(), "v=0"])
async def test_a_stripped_offer_is_refused_in_the_services_words(client, offer):
    response = await client.post(CALLS, data=offer, headers=SDP | KEY)
    refusal = await error(response, 400, "invalid_offer")
    assert refusal["message"] == "Failed to parse offer: failed to unmarshal SDP: EOF"


@pytest.mark.parametrize("offer", [b"hello\r\n", b'{"sdp":"v=0"}\n', b"v=0\r\n\r\n", b"\xff\xfe\n"])
async def test_what_is_no_sdp_is_refused(client, offer):
    refusal = await error(
        await client.post(CALLS, data=offer, headers=SDP | KEY), 400, "invalid_offer"
    )
    assert "WHIP-compliant" in refusal["message"]
    await error(await post_form(client, sdp=offer), 400, "invalid_offer")


async def test_the_calls_may_refuse_an_offer_or_the_caller(client, calls):
    calls.raises = InvalidOffer("No audio section.")
    refusal = await error(
        await client.post(CALLS, data=OFFER, headers=SDP | KEY), 400, "invalid_offer"
    )
    assert refusal["message"] == "No audio section."
    calls.raises = RestError(
        429, "No credit.", code="insufficient_quota", kind="insufficient_quota"
    )
    await error(await client.post(CALLS, data=OFFER, headers=SDP | KEY), 429, "insufficient_quota")


# 8. "Beta paths (/v1/realtime?model= POST, /realtime/sessions) -> 400 beta_api_shape_disabled"


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/v1/realtime?model=gpt-4o-realtime-preview", {}),
        ("/v1/realtime/sessions", {}),
        ("/v1/realtime/transcription_sessions", {}),
        (SECRETS, {"OpenAI-Beta": "realtime=v1"}),
    ],
)
async def test_the_beta_is_over(client, path, headers):
    response = await client.post(path, data=OFFER, headers=SDP | KEY | headers)
    refusal = await error(response, 400, "beta_api_shape_disabled")
    assert refusal["message"].startswith("The Realtime Beta API is no longer supported.")


# 9. "POST .../calls/{id}/hangup -> 200 and peer closes; unknown -> 404"


async def test_a_call_can_be_hung_up_once(client, calls):
    response = await client.post(CALLS, data=OFFER, headers=SDP | KEY)
    path = response.headers["Location"] + "/hangup"
    assert (await client.post(path, headers=KEY)).status == 200
    assert not calls.running
    await error(await client.post(path, headers=KEY), 404, "call_id_not_found")


@pytest.mark.parametrize("verb", ["accept", "reject", "refer"])
async def test_there_are_no_telephone_calls(client, verb):
    response = await client.post(f"{CALLS}/rtc_1/{verb}", json={}, headers=KEY)
    await error(response, 404, "call_id_not_found")


# 10. "An ek_ works for several calls until expiry; a running call survives expiry"


async def test_a_token_starts_several_calls_and_ends_none(client, calls, clock):
    body = await mint(client)
    for _ in range(3):
        response = await client.post(CALLS, data=OFFER, headers=SDP | bearer(body["value"]))
        assert response.status == 201
    clock.now = body["expires_at"] + 1
    assert len(calls.running) == 3
    path = response.headers["Location"] + "/hangup"
    assert (await client.post(path, headers=KEY)).status == 200


# Clients we did not write, and bodies nobody should write


async def test_openai_python_mints_and_calls(client, calls):
    url = str(client.make_url("/v1"))
    async with openai.AsyncOpenAI(api_key="sk-test", base_url=url, max_retries=0) as api:
        token = await api.realtime.client_secrets.create(session=SESSION)
        assert token.value.startswith("ek_")
        assert token.session.type == "realtime"
        with_session = await api.realtime.calls.create(sdp=OFFER, session=SESSION)
        assert with_session.text == ANSWER
        call_id = with_session.response.headers["location"].rsplit("/", 1)[1]
        assert (await api.realtime.calls.create(sdp=OFFER)).text == ANSWER
        await api.realtime.calls.hangup(call_id)
        assert len(calls.running) == 1
        with pytest.raises(openai.NotFoundError) as caught:
            await api.realtime.calls.hangup(call_id)
        assert caught.value.code == "call_id_not_found"
        assert caught.value.request_id
    async with openai.AsyncOpenAI(api_key="ek_old", base_url=url, max_retries=0) as api:
        with pytest.raises(openai.AuthenticationError) as caught:
            await api.realtime.calls.create(sdp=OFFER)
        assert caught.value.code == "invalid_api_key"


async def test_a_bug_of_ours_is_a_500_and_logged(client, calls, caplog):
    calls.raises = ZeroDivisionError()
    with caplog.at_level(logging.DEBUG):
        response = await client.post(CALLS, data=OFFER, headers=SDP | KEY)
    refusal = await error(response, 500, None)
    assert refusal["type"] == "server_error"
    assert "ZeroDivisionError" in caplog.text


async def test_no_key_or_token_is_ever_logged(client, caplog):
    with caplog.at_level(logging.DEBUG, "rtcvoice"):
        token = (await mint(client))["value"]
        await client.post(CALLS, data=OFFER, headers=SDP | bearer(token))
        await client.post(CALLS, data=OFFER, headers=SDP | bearer("ek_unknown"))
    assert "201" in caplog.text
    assert not any(secret in caplog.text for secret in (token, "sk-test", "ek_unknown"))


async def test_a_model_that_is_none_is_refused_and_the_nearest_named(client, caplog):
    async def post(**session):
        return await client.post(
            SECRETS, json={"session": {"type": "realtime", **session}}, headers=KEY
        )

    refusal = await error(await post(model="gpt-realtime-2.l"), 404, "model_not_found")
    assert "'gpt-realtime-2.1'" in refusal["message"]
    transcription = {"audio": {"input": {"transcription": {"model": "wisper-1"}}}}
    refusal = await error(await post(**transcription), 404, "model_not_found")
    assert refusal["param"] == "session.audio.input.transcription.model"
    assert "'whisper-1'" in refusal["message"]
    await error(await post_form(client, session={**SESSION, "model": "x"}), 404, "model_not_found")
    assert (await post(model="gpt-realtime-2.1-2026-07-01")).status == 200
    assert not caplog.messages
    assert (await post(model="gpt-realtime")).status == 200
    assert "2027-01-20: use gpt-realtime-2.1" in caplog.text


@pytest.mark.parametrize("also", [["my-model"], ["*"], "my-model"])
async def test_other_servers_names_are_taken_when_they_are_told(calls, also):
    app = build_app(calls, models=Models(also))
    body = {"session": {"type": "realtime", "model": "my-model"}}
    async with TestClient(TestServer(app)) as client:
        assert (await client.post(SECRETS, json=body, headers=KEY)).status == 200
