"""The emulator's HTTP side of Live sessions: what is refused before anything begins."""

from __future__ import annotations

import copy

import pytest
from aiohttp.test_utils import TestClient, TestServer
from live_checks import accepts
from rest_helpers import ANSWER, KEY, OFFER, FakeCalls, bearer, error

from rtcvoice.emulator.rest.app import InvalidOffer, build_app
from rtcvoice.emulator.rest.body import RestError

PATH = "/v1/live/sessions"
ID = "live_u1_" + "a" * 32
QUESTION = {"type": "predicate", "instructions": "?"}
TRIGGER = {
    "type": "decisions",
    "event_type": "session.input_transcript.delta",
    "decisions": {"questions": [QUESTION]},
}
FULL = {
    "model": "gpt-live-1.1",
    "instructions": "Be brief.",
    "audio": {"output": {"voice": "cedar"}},
    "input": [
        {"role": "user", "content": [{"text": "Hello.", "type": "input_text"}]},
        {"role": "assistant", "content": [{"text": "Hi.", "type": "output_text"}], "id": "a"},
        {"role": "developer", "content": [{"text": "Note."}], "type": "message"},
    ],
    "delegation": {
        "type": "responses",
        "acknowledgement_delay_ms": 200,
        "responses": {
            "model": "gpt-6-luna",
            "max_output_tokens": 100,
            "reasoning": {"effort": "low"},
            "text": {"verbosity": "low"},
            "tool_choice": {"type": "function", "name": "f"},
            "tools": [
                {"type": "function", "name": "f", "parameters": {"type": "object"}},
                {"type": "web_search"},
            ],
        },
    },
    "triggers": [TRIGGER],
    "store": True,
    "safety_identifier": "someone",
    "client": {
        "data_channel": {
            "allowed_client_events": ["session.close"],
            "allowed_server_events": [
                {"type": "session.started"},
                {"type": "response.event", "response_event": "response.completed"},
            ],
        }
    },
    "idle_timeout_s": 15,
    "wake_policy": {"type": "speech", "vad_threshold": 0.3},
}


class FakeSessions:
    """Takes every session, or raises what it is told to; remembers what it was given."""

    count_tokens = True

    def __init__(self):
        self.made = []
        self.raises = None

    async def create(self, offer, settings):
        if self.raises:
            raise self.raises
        self.made.append(settings)
        return ID, ANSWER

    def running(self, session_id):
        return None

    def hang_up(self, session_id):
        raise RestError(404, "No session found for the provided session_id", code="x")

    async def fork(self, session_id, offer, overrides):
        return ID, ANSWER

    def content(self, session_id):
        return b"RIFF"


@pytest.fixture
async def site():
    sessions = FakeSessions()
    app = build_app(FakeCalls(), live=sessions)
    async with TestClient(TestServer(app)) as client:
        client.sessions = sessions
        yield client


def body(session=FULL, sdp=OFFER, kind="webrtc", **others):
    return {"session": session, "transport": {"type": kind, "sdp": sdp}, **others}


def changed(path, value):
    """The full session with one place changed; `...` takes it away."""
    session = copy.deepcopy(FULL)
    *way, last = path.split(".")
    place = session
    for key in way:
        place = place[int(key) if key.isdigit() else key]
    if value is ...:
        del place[last]
    elif isinstance(place, list):
        place[int(last)] = value
    else:
        place[last] = value
    return session


async def test_a_session_is_made(site):  # 1
    assert accepts("create", body())
    response = await site.post(PATH, json=body(), headers=KEY | {"Origin": "http://localhost"})
    made = await response.json()
    assert response.status == 201
    assert made == {"session": {"id": ID}, "transport": {"type": "webrtc", "sdp": ANSWER}}
    assert accepts("created", made)
    assert response.content_type == "application/json"
    assert "Location" not in response.headers
    assert response.headers["Access-Control-Allow-Origin"] == "http://localhost"
    assert response.headers["Access-Control-Expose-Headers"] == "X-Request-Id, CF-Ray"
    (settings,) = site.sessions.made
    assert settings["wake_policy"] == {"type": "speech", "vad_threshold": 0.3}
    response = await site.options(PATH)
    assert response.status == 200
    assert "POST" in response.headers["Access-Control-Allow-Methods"]


@pytest.mark.parametrize("key", [{}, bearer("ek_x"), bearer("wrong"), {"api-key": "sk-any"}])
async def test_only_an_api_key_opens(site, key):  # 2
    for path in (PATH, f"{PATH}/{ID}/hangup", f"{PATH}/{ID}/fork"):
        assert (await site.post(path, json=body(), headers=key)).status == 401
    assert (await site.get(f"{PATH}/{ID}/content", headers=key)).status == 401
    assert (await site.get(f"{PATH}/{ID}/attach", headers=key)).status == 401
    assert not site.sessions.made


async def test_a_key_of_azure_opens_where_the_address_is_azures(site):  # 2
    for headers, status in (({"api-key": "sk-any"}, 201), (KEY, 201), ({"api-key": "x"}, 401)):
        path = "/openai/v1/live/sessions"
        assert (await site.post(path, json=body(), headers=headers)).status == status


async def test_the_other_dialect_has_no_live_models(site):
    session = {"type": "realtime", "model": "gpt-live-1.1"}
    answer = await site.post("/v1/realtime/client_secrets", json={"session": session}, headers=KEY)
    told = await error(answer, 400, "invalid_model")
    assert "realtime mode" in told["message"]


TEXT = {"text": "x"}
LONG = {"role": "user", "content": [{"text": "x" * 40_000}]}


@pytest.mark.parametrize(
    ("path", "value", "code", "param"),
    [
        ("type", "realtime", "unknown_parameter", "session.type"),
        ("other", 1, "unknown_parameter", "session.other"),
        ("model", ..., "missing_required_parameter", "session.model"),
        ("model", "gpt-realtime-2.1", "unsupported_model", "session.model"),
        ("model", 7, "invalid_value", "session.model"),
        ("audio.format", {}, "unknown_parameter", "session.audio.format"),
        ("audio.input", {}, "unknown_parameter", "session.audio.input"),
        ("audio.output.speed", 1, "unknown_parameter", "session.audio.output.speed"),
        ("input.0.role", "system", "invalid_value", "session.input[0].role"),
        ("input.0.content", [], "invalid_value", "session.input[0].content"),
        ("input.0.content", [TEXT, TEXT], "invalid_value", "session.input[0].content"),
        ("input.0.content.0.type", "text", "invalid_value", "session.input[0].content[0].type"),
        ("input.1.content.0.type", "input_text", "invalid_value", None),
        ("input", [FULL["input"][0]] * 129, "invalid_value", "session.input"),
        ("input", [LONG], "invalid_value", "session.input"),
        ("instructions", "x" * 65_540, "invalid_value", "session.instructions"),
        ("idle_timeout_s", 0, "invalid_value", "session.idle_timeout_s"),
        ("idle_timeout_s", 1.5, "invalid_value", "session.idle_timeout_s"),
        ("wake_policy.vad_threshold", 1.1, "invalid_value", "session.wake_policy.vad_threshold"),
        ("wake_policy", ..., "invalid_value", "session.idle_timeout_s"),
        ("triggers", [TRIGGER, TRIGGER], "invalid_value", "session.triggers"),
        ("delegation.type", "nobody", "invalid_value", "session.delegation.type"),
        ("delegation.client", {}, "unknown_parameter", "session.delegation.client"),
        (
            "delegation.responses.model",
            ...,
            "missing_required_parameter",
            "session.delegation.responses.model",
        ),
        (
            "delegation.responses.tools.0.x",
            1,
            "unknown_parameter",
            "session.delegation.responses.tools[0].x",
        ),
        (
            "delegation.responses.max_output_tokens",
            8,
            "invalid_value",
            "session.delegation.responses.max_output_tokens",
        ),
        ("client.data_channel.allowed_client_events", "none", "invalid_value", None),
        (
            "client.data_channel.allowed_server_events",
            [{"type": "response.event"}],
            "invalid_value",
            "session.client.data_channel.allowed_server_events[0].response_event",
        ),
        ("store", "yes", "invalid_value", "session.store"),
    ],
)
async def test_sessions_that_are_refused(site, path, value, code, param):  # 3, 4, 5
    response = await site.post(PATH, json=body(changed(path, value)), headers=KEY)
    told = await error(response, 400, code)
    assert param is None or told["param"] == param
    assert not site.sessions.made


async def test_a_voice_that_is_none(site):  # 4
    response = await site.post(PATH, json=body(changed("audio.output.voice", "fable")), headers=KEY)
    await error(response, 403, "forbidden")
    own = body(changed("audio.output.voice", {"id": "voice_1"}))
    assert (await site.post(PATH, json=own, headers=KEY)).status == 201


async def test_long_texts_are_taken_where_nobody_counts(site):  # 4, the switch
    site.sessions.count_tokens = False
    long = body(changed("instructions", "x" * 65_540))
    assert (await site.post(PATH, json=long, headers=KEY)).status == 201


@pytest.mark.parametrize(
    ("value", "code", "param"),
    [
        ({"session": FULL}, "missing_required_parameter", "transport"),
        ({"transport": {"type": "webrtc", "sdp": OFFER}}, "missing_required_parameter", "session"),
        ({**body(), "model": "x"}, "unknown_parameter", "model"),
        (body(kind="websocket"), "invalid_value", "transport.type"),
        (body(sdp=7), "invalid_value", "transport.sdp"),
        (body(sdp=""), "invalid_offer", None),
        (body(sdp="hello\n"), "invalid_offer", None),
        (body(sdp=OFFER.rstrip()), "invalid_offer", None),
        (body(session=[]), "invalid_value", "session"),
    ],
)
async def test_requests_that_are_refused(site, value, code, param):  # 3, 6
    response = await site.post(PATH, json=value, headers=KEY)
    told = await error(response, 400, code)
    assert param is None or told["param"] == param
    assert not site.sessions.made


async def test_the_model_is_not_in_the_address(site):
    response = await site.post(f"{PATH}?model=gpt-live-1", json=body(), headers=KEY)
    await error(response, 400, "unknown_parameter")


async def test_an_offer_that_cannot_be_answered(site):  # 6
    site.sessions.raises = InvalidOffer("the offer has no audio section")
    await error(await site.post(PATH, json=body(), headers=KEY), 400, "invalid_offer")


async def test_telephone_verbs_and_unknown_sessions(site):  # 7
    for verb in ("accept", "reject", "refer"):
        response = await site.post(f"{PATH}/{ID}/{verb}", headers=KEY)
        await error(response, 404, "session_id_not_found")
    response = await site.get(f"{PATH}/{ID}/attach", headers=KEY)
    await error(response, 404, "session_id_not_found")
