"""Options of a call of GPT-Live: what goes into the one request, and what is refused before it."""

from __future__ import annotations

import pytest

import rtcvoice
from rtcvoice.config.call_config import CallConfig
from rtcvoice.config.dialect import config_for, is_live
from rtcvoice.config.live_config import DEFAULT_BACKEND, check_size, live_changes
from rtcvoice.errors import ConfigError, CredentialsError
from rtcvoice.rest.credentials import ApiKey, EphemeralToken, TokenUrl
from rtcvoice.rest.session_url import SessionUrl

TOOL = {"type": "function", "name": "now", "parameters": {"type": "object", "properties": {}}}


def live(**options):
    return config_for({"model": "gpt-live-1.1", "api_key": "sk-any", **options})


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"model": "gpt-live-1"}, True),
        ({"model": "gpt-live-1.1-2026-10-01"}, True),
        ({"model": "gpt-realtime-2.1"}, False),
        ({"model": "gpt-live-transcribe"}, False),
        ({"model": "my-deployment", "api": "live"}, True),
        ({"model": "gpt-live-1", "api": "realtime"}, False),
        ({}, False),
    ],
)
def test_the_model_or_the_user_chooses_the_api(options, expected):
    assert is_live(options) is expected
    assert config_for({**options, "api_key": "sk-any"}).is_live is expected


def test_without_a_model_api_live_takes_one():
    assert config_for({"api": "live", "model": "gpt-realtime-2.1"}).model == "gpt-live-1.1"
    with pytest.raises(ConfigError, match="is none of"):
        config_for({"api": "Live"})


def test_a_plain_session_says_its_model_and_who_does_the_work():
    expected = {"model": "gpt-live-1.1", "delegation": {"type": "client"}}
    assert live().session_payload() == expected


def test_every_option_has_its_place():
    config = live(
        voice="cedar",
        instructions="Be brief.",
        tools=[TOOL],
        tool_choice="none",
        backend={"model": "gpt-6-sol", "reasoning": {"effort": "low"}},
        acknowledge_after=0.4,
        standby=15,
        store=True,
        safety_identifier="somebody",
        triggers=[{"type": "decisions"}],
        data_channel={"allowed_client_events": "all"},
        session={"idle_timeout_s": 20},
    )
    assert config.session_payload() == {
        "model": "gpt-live-1.1",
        "instructions": "Be brief.",
        "audio": {"output": {"voice": "cedar"}},
        "delegation": {
            "type": "responses",
            "acknowledgement_delay_ms": 400,
            "responses": {
                "model": "gpt-6-sol",
                "reasoning": {"effort": "low"},
                "tools": [TOOL],
                "tool_choice": "none",
            },
        },
        "triggers": [{"type": "decisions"}],
        "store": True,
        "safety_identifier": "somebody",
        "client": {"data_channel": {"allowed_client_events": "all"}},
        "idle_timeout_s": 20,
        "wake_policy": {"type": "speech"},
    }
    assert "OpenAI-Safety-Identifier" not in config.headers
    assert config.backend_model == "gpt-6-sol"


def test_tools_without_a_backend_have_the_documented_one():
    assert live(tools=[TOOL]).backend_model == DEFAULT_BACKEND
    assert live().backend_model is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"turn_detection": None}, "decides by itself"),
        ({"transcription": None}, "both sides are transcribed"),
        ({"noise_reduction": "near_field"}, "Microphone"),
        ({"speed": 1.2}, "instructions"),
        ({"max_output_tokens": 10}, "backend="),
        ({"output_modalities": ["text"]}, "Realtime"),
        ({"type": "transcription"}, "Realtime"),
        ({"transport": "websocket"}, "WebRTC"),
        ({"tools": [TOOL], "tool_choice": "required"}, "without end"),
        ({"backend": {"tool_choice": {"type": "function", "name": "f"}}}, "without end"),
        ({"tool_choice": "auto"}, "needs tools="),
        ({"backend": 5}, "pass a dict"),
        ({"backend": " "}, "empty"),
        ({"backend": {"model": 5}}, "model"),
        ({"backend": {"tools": []}, "tools": [TOOL]}, "both given"),
        ({"backend": "x", "on_delegation": print}, "one owner"),
        ({"backend": "x", "delegation": {"type": "decisions"}}, "one owner"),
        ({"on_delegation": "x"}, "not a function"),
        ({"delegation": "responses"}, "needs more"),
        ({"delegation": 3}, "pass a dict"),
        ({"standby": 0}, "number of seconds"),
        ({"standby": 1.5}, "whole number"),
        ({"standby": float("nan")}, "number of seconds"),
        ({"acknowledge_after": -1}, "number of seconds"),
        ({"acknowledge_after": True}, "number of seconds"),
        ({"store": 1}, "neither True nor False"),
        ({"triggers": {}}, "list of dicts"),
        ({"triggers": [1]}, "pass a dict"),
        ({"data_channel": []}, "pass a dict"),
        ({"data_channel": {"allowed_server_events": []}}, "session.started"),
        ({"instructions": "x" * 250_000}, "'instructions'"),
        ({"session": {"x": object()}}, "JSON"),
        ({"voise": "x"}, "no option"),
        ({"model": ""}, "empty"),
    ],
)
def test_what_cannot_work_is_told_before_anything_is_sent(options, message):
    with pytest.raises(ConfigError, match=message):
        live(**{"model": "gpt-live-1.1", "api": "live", **options})


@pytest.mark.parametrize("name", ["backend", "on_delegation", "store", "standby", "triggers"])
def test_options_of_gpt_live_are_told_to_be_that(name):
    with pytest.raises(ConfigError, match="GPT-Live") as error:
        config_for({name: "x"})
    assert "gpt-live" in error.value.hint


def test_none_leaves_an_option_out():
    nothing = dict.fromkeys(("api", "backend", "on_delegation", "store", "standby", "triggers"))
    assert live(**nothing).session_payload() == live().session_payload()
    assert not config_for({"api_key": "sk-any", **nothing}).is_live


def test_there_are_no_ephemeral_tokens():
    for credentials in (EphemeralToken("ek_abc"), TokenUrl("https://a.example/token")):
        with pytest.raises(CredentialsError, match="SessionUrl"):
            live(api_key=None, credentials=credentials)
    relay = SessionUrl("https://a.example/session")
    assert live(api_key=None, credentials=relay).credentials_source() is relay
    with pytest.raises(CredentialsError, match="GPT-Live"):
        CallConfig.from_options({"credentials": relay})
    assert live(api_key=None, credentials=ApiKey("sk-any")).credentials_source().value == "sk-any"


@pytest.mark.parametrize(
    "url", ["", "a.example", "ftp://a.example", "https://u:p@a.example/x", 5, "https://a b"]
)
def test_a_session_url_is_a_web_address(url):
    with pytest.raises(CredentialsError):
        SessionUrl(url)
    with pytest.raises(CredentialsError):
        SessionUrl("https://a.example", headers={"A\n": "b"})


def test_a_session_url_keeps_its_query_to_itself():
    assert repr(SessionUrl("https://a.example/s?key=secret")) == "SessionUrl('https://a.example/s')"


def test_what_a_relay_is_asked_for_is_what_was_set():
    assert live().relay_options() == {}
    config = live(voice="cedar", tools=[TOOL], session={"x": 1}, store=False)
    assert config.relay_options() == {
        "voice": "cedar",
        "tools": [TOOL],
        "store": False,
        "session": {"x": 1},
    }


def test_the_session_has_to_fit_into_one_message_of_the_offer():
    payload = {"model": "m", "instructions": "x" * 60_000}
    check_size(payload)
    check_size(payload, message_limit=262_144)
    with pytest.raises(ConfigError, match="50 KiB"):
        check_size(payload, message_limit=65_536)


def test_what_a_running_call_can_change():
    assert live_changes({"backend": "m", "tools": [TOOL]}, owner="responses") == {
        "delegation": {"type": "responses", "responses": {"model": "m", "tools": [TOOL]}}
    }
    assert live_changes({"acknowledge_after": 1, "triggers": []}, owner="client") == {
        "delegation": {"type": "client", "acknowledgement_delay_ms": 1000},
        "triggers": [],
    }
    assert live_changes({}, owner="client") == {}
    for options, owner in (
        ({"instructions": "x"}, "client"),
        ({"voice": "cedar"}, "client"),
        ({"turn_detection": None}, "client"),
        ({"tools": []}, "client"),
        ({"backend": {"tool_choice": "required"}}, "responses"),
    ):
        with pytest.raises(ConfigError):
            live_changes(options, owner=owner)


def test_a_history_is_the_newest_text_that_fits():
    history = [
        {"role": "system", "text": "Be kind."},
        *({"role": "user", "text": f"{n}"} for n in range(200)),
    ]
    history[-1]["role"] = "assistant"
    connecting = rtcvoice.connect(
        model="gpt-live-1.1", api_key="sk-any", source=None, sink=None, history=history
    )
    messages = connecting._config.session_payload()["input"]
    assert len(messages) == 128
    assert messages[-1]["role"] == "assistant"
    assert messages[-1]["content"] == [{"type": "output_text", "text": "199"}]
    assert messages[0]["content"] == [{"type": "input_text", "text": "72"}]
    few = rtcvoice.connect(
        model="gpt-live-1.1", api_key="sk-any", source=None, sink=None, history=history[:1]
    )
    (message,) = few._config.session_payload()["input"]
    assert message["role"] == "developer"


def test_guards_are_refused():
    with pytest.raises(ConfigError, match="guards="):
        rtcvoice.connect(
            model="gpt-live-1.1",
            api_key="sk-any",
            source=None,
            sink=None,
            guards=rtcvoice.Guard(lambda text: None),
        )
