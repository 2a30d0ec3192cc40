"""Options in, session and headers out; what cannot work is refused before anything is sent."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import fields
from datetime import date
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from rtcvoice.config.call_config import DEFAULT_MODEL, CallConfig
from rtcvoice.errors import ConfigError, CredentialsError, RtcVoiceError
from rtcvoice.rest.addresses import DEFAULT_BASE_URL
from rtcvoice.rest.credentials import (
    AccessToken,
    ApiKey,
    ApiKeyFile,
    AzureApiKey,
    EntraToken,
    EphemeralToken,
    TokenUrl,
)
from rtcvoice.system.environment import environment

KEY = "sk-proj-4WYDeCqfVYt8Kq0R3tJzqKzq"


def config(**options):
    return CallConfig.from_options(options)


# -- the session ------------------------------------------------------------------------------


def test_by_default_only_model_and_transcription_are_sent():
    assert config().session_payload() == {
        "type": "realtime",
        "model": DEFAULT_MODEL,
        "audio": {"input": {"transcription": {"model": "gpt-transcribe"}}},
    }
    assert config().session_changes() == {}


def test_every_option_has_its_place():
    tools = [{"type": "function", "name": "now"}]
    payload = config(
        model="gpt-realtime-2.1-mini",
        voice="cedar",
        speed=1.2,
        instructions="Be brief.",
        output_modalities=["text"],
        max_output_tokens=300,
        tool_choice="none",
        turn_detection={"type": "server_vad", "threshold": 0.7},
        transcription={"model": "whisper-1"},
        noise_reduction={"type": "far_field"},
        session={"tools": tools, "truncation": "disabled"},
    ).session_payload()
    assert payload == {
        "type": "realtime",
        "model": "gpt-realtime-2.1-mini",
        "instructions": "Be brief.",
        "output_modalities": ["text"],
        "max_output_tokens": 300,
        "tool_choice": "none",
        "audio": {
            "input": {
                "turn_detection": {"type": "server_vad", "threshold": 0.7},
                "transcription": {"model": "whisper-1"},
                "noise_reduction": {"type": "far_field"},
            },
            "output": {"voice": "cedar", "speed": 1.2},
        },
        "tools": tools,
        "truncation": "disabled",
    }


@pytest.mark.parametrize(
    ("option", "given", "sent"),
    [
        ("turn_detection", None, None),
        ("turn_detection", "semantic_vad", {"type": "semantic_vad"}),
        ("noise_reduction", None, None),
        ("noise_reduction", "near_field", {"type": "near_field"}),
        ("transcription", None, None),
        ("transcription", "whisper-1", {"model": "whisper-1"}),
        ("transcription", {"language": "de"}, {"model": "gpt-transcribe", "language": "de"}),
    ],
)
def test_none_switches_off_and_text_is_short_for_the_type(option, given, sent):
    assert config(**{option: given}).session_payload()["audio"]["input"][option] == sent


def test_changes_are_only_what_was_set():
    changes = config(transcription={"language": "de"}, voice="marin").session_changes()
    assert changes == {
        "audio": {"input": {"transcription": {"language": "de"}}, "output": {"voice": "marin"}}
    }


def test_session_is_merged_field_by_field_and_wins():
    payload = config(
        voice="marin",
        turn_detection={"type": "server_vad", "threshold": 0.9},
        session={
            "audio": {
                "input": {"turn_detection": {"type": "semantic_vad"}, "format": {"type": "a"}},
                "output": {"speed": 0.9},
            },
            "instructions": "from session",
        },
        instructions="from the option",
    ).session_payload()
    assert payload["instructions"] == "from session"
    assert payload["audio"]["output"] == {"voice": "marin", "speed": 0.9}
    assert payload["audio"]["input"] == {
        "turn_detection": {"type": "semantic_vad"},  # not with the threshold of the other type
        "transcription": {"model": "gpt-transcribe"},
        "format": {"type": "a"},
    }


def test_merging_changes_nothing_of_the_callers():
    session = {"audio": {"input": {"format": {"type": "audio/pcmu"}}}}
    made = config(session=session, voice="ash")
    assert made.session_payload() == made.session_payload()
    assert session == {"audio": {"input": {"format": {"type": "audio/pcmu"}}}}


def test_where_models_are_deployments_no_transcription_is_assumed():
    url = "https://me.openai.azure.com/openai/v1"
    assert "audio" not in config(base_url=url, model="my-deployment").session_payload()
    asked = config(base_url=url, transcription="my-whisper").session_payload()
    assert asked["audio"]["input"]["transcription"] == {"model": "my-whisper"}
    lookalike = config(base_url="https://notazure.com/v1").session_payload()
    assert "audio" in lookalike


# -- refusals ---------------------------------------------------------------------------------


def test_an_unknown_option_lists_the_known_ones():
    with pytest.raises(ConfigError, match=r"no option voicee=.*turn_detection.*session=\{"):
        config(voicee="marin")


@pytest.mark.parametrize(
    ("beta", "successor"),
    [
        ("temperature", "removed"),
        ("modalities", "output_modalities"),
        ("input_audio_format", "audio"),
        ("output_audio_format", "audio"),
        ("input_audio_transcription", "transcription="),
        ("input_audio_noise_reduction", "noise_reduction="),
        ("max_response_output_tokens", "max_output_tokens="),
    ],
)
def test_beta_names_name_their_successor(beta, successor):
    with pytest.raises(ConfigError, match=successor):
        config(**{beta: 1})
    with pytest.raises(ConfigError, match=successor):
        config(session={beta: 1})


@pytest.mark.parametrize("name", ["voice", "speed", "turn_detection"])
def test_options_that_moved_are_refused_at_their_old_place(name):
    with pytest.raises(ConfigError, match=f"the option {name}="):
        config(session={name: 1})


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"model": ""}, "model= is empty"),
        ({"model": " "}, "model= is empty"),
        ({"model": None}, "model= is a NoneType"),
        ({"model": 7}, "model= is a int"),
        ({"connect_timeout": True}, "connect_timeout=True"),
        ({"connect_timeout": 10**400}, "connect_timeout=1000"),
        ({"connect_timeout": 1e300}, "connect_timeout"),
        ({"connect_timeout": -math.inf}, "connect_timeout"),
        ({"close_timeout": None}, "close_timeout=None"),
        ({"speed": math.nan}, "audio.output.speed is nan"),
        ({"session": {"a": [{"b": math.inf}]}}, r"a\[0\].b is inf"),
        ({"max_output_tokens": "4096"}, "max_output_tokens='4096' is text"),
        ({"direct": "false"}, "direct= is a str"),
        ({"ca_file": 7}, "ca_file=7 names no file"),
        ({"ca_file": ""}, "ca_file='' names no file"),
        ({"organization": 7}, "organization= 7"),
        ({"connect_timeout": 0}, "connect_timeout"),
        ({"liveness_timeout": -1}, "liveness_timeout"),
        ({"close_timeout": math.nan}, "close_timeout"),
        ({"connect_timeout": "10"}, "connect_timeout"),
        ({"session": "marin"}, "session= is a str"),
        ({"session": {"tools": [object()]}}, "cannot be written as JSON"),
        ({"instructions": "\ud800"}, "cannot be written as JSON"),
        ({"api_key": KEY, "credentials": ApiKey(KEY)}, "both given"),
        ({"safety_identifier": "naïve"}, "safety_identifier="),
        ({"project": "a\r\nX-Evil: 1"}, "project="),
    ],
)
def test_what_cannot_work_is_refused(options, complaint):
    with pytest.raises(ConfigError, match=complaint) as caught:
        config(**options)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "api.openai.com/v1",
        "ftp://api.openai.com",
        "https://",
        "https://:443",
        "http://[::1",
        "http://host:99999/v1",
        "http://host:0",
        "http://host/v1 ",
        "http://ho st/v1",
        "https://host/v1?api-version=1",
        "https://host/v1#top",
        7,
    ],
)
def test_addresses_that_cannot_work_are_refused(url):
    with pytest.raises(ConfigError, match="base_url"):
        config(base_url=url)


def test_a_password_in_the_address_is_refused_and_not_shown():
    with pytest.raises(ConfigError, match="user name or password") as caught:
        config(base_url="https://me:hunter2@host/v1")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8080", "https://host/v1/", "http://[::1]:9/v1", "http://localhost"]
)
def test_other_addresses_are_fine(url):
    assert config(base_url=url).base_url == url


# -- the environment --------------------------------------------------------------------------


def test_blank_variables_count_as_missing(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "  ")
    assert environment("OPENAI_API_KEY") is None
    monkeypatch.setenv("OPENAI_API_KEY", f" {KEY}\n")
    assert environment("OPENAI_API_KEY") == KEY


def test_the_environment_completes_what_was_not_given(monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", "http://localhost:1234/v1")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_ORG_ID", "org-1")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj_1")
    made = config(safety_identifier="user-7")
    assert made.base_url == "http://localhost:1234/v1"
    assert made.credentials_source() == ApiKey(KEY)
    assert made.headers == {
        "OpenAI-Organization": "org-1",
        "OpenAI-Project": "proj_1",
        "OpenAI-Safety-Identifier": "user-7",
    }


def test_what_is_given_wins_over_the_environment(monkeypatch):
    for name in ("OPENAI_BASE_URL", "OPENAI_API_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.setenv(name, "http://wrong")
    made = config(base_url="http://right", api_key="ek_right", organization="o", project="p")
    assert made.base_url == "http://right"
    assert made.credentials_source() == EphemeralToken("ek_right")
    assert made.headers == {"OpenAI-Organization": "o", "OpenAI-Project": "p"}


def test_without_an_environment_there_are_the_defaults():
    made = config()
    assert made.base_url == DEFAULT_BASE_URL
    assert made.headers == {}
    with pytest.raises(CredentialsError, match="OPENAI_API_KEY"):
        made.credentials_source()


def test_credentials_are_taken_as_they_are():
    token = EphemeralToken("ek_1234")
    assert config(credentials=token).credentials_source() is token
    with pytest.raises(ConfigError, match="credentials= is a str"):
        config(credentials="ek_1234")


def test_it_shows_no_key_and_cannot_be_changed():
    mcp = {"type": "mcp", "server_label": "x", "authorization": "secret-of-mcp"}
    for made in (config(api_key=KEY), config(credentials=ApiKey(KEY))):
        assert KEY not in repr(made)
    assert "secret-of-mcp" not in repr(config(session={"tools": [mcp]}))
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.model = "other"


def nested(depth):
    value = {}
    for _ in range(depth):
        value = {"a": value}
    return value


def test_a_session_that_has_no_end_is_refused():
    own = {}
    own["own"] = own
    for session in (own, nested(5000)):
        with pytest.raises(ConfigError, match="nested too deeply"):
            config(session=session)


@pytest.mark.parametrize(
    ("value", "meant"), [(math.inf, math.inf), (np.float32(2.5), 2.5), (np.int64(3), 3.0), (7, 7.0)]
)
def test_numbers_of_seconds(value, meant):
    assert config(liveness_timeout=value).liveness_timeout == meant


def test_spaces_around_names_are_harmless():
    made = config(model=" gpt-realtime-2.1\n", organization=" org_1 \n", project="")
    assert made.model == "gpt-realtime-2.1"
    assert made.headers == {"OpenAI-Organization": "org_1"}


@pytest.mark.parametrize("quote", ['"', "'"])
def test_quotes_around_a_variable_are_no_part_of_it(quote, monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", f"{quote}http://127.0.0.1:1/v1{quote}")
    assert CallConfig.from_options({}).base_url == "http://127.0.0.1:1/v1"
    monkeypatch.setenv("OPENAI_BASE_URL", quote * 2)
    assert CallConfig.from_options({}).base_url == DEFAULT_BASE_URL


def test_instructions_in_a_file_have_to_be_read():
    with pytest.raises(ConfigError) as caught:
        config(instructions=Path("agent.txt"))
    assert "instructions=path.read_text()" in caught.value.hint


# -- what ends ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, []),
        ({"model": "gpt-realtime"}, ["gpt-realtime ends on 2027-01-20: use gpt-realtime-2.1"]),
        ({"transcription": "whisper-1"}, ["whisper-1 ends on 2027-02-26: use gpt-live-transcribe"]),
        (
            {"type": "transcription", "transcription": {"model": "gpt-4o-transcribe"}},
            ["gpt-4o-transcribe ends on 2027-02-26"],
        ),
        ({"session": {"prompt": {"id": "p"}}}, ["prompt ended on 2026-11-30: use instructions"]),
        ({"transcription": None, "session": {"audio": None}}, []),
        ({"model": "gpt-realtime", "base_url": "https://x.openai.azure.com"}, []),
    ],
)
def test_what_ends_is_known_beforehand(options, told):
    found = config(**options).endings(date(2026, 12, 1))
    assert len(found) == len(told)
    assert all(text.startswith(start) for text, start in zip(found, told, strict=True))


def test_what_has_ended_is_told_once(caplog):
    for _ in range(3):
        CallConfig.from_options({"model": "gpt-4o-realtime-preview-2024-12-17"})
    (line,) = caplog.messages
    assert line.endswith("ended on 2026-05-07: use gpt-realtime-2.1")


# -- kinds of values --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "value", "what"),
    [
        ("instructions", 5, "text"),
        ("instructions", None, "text, or left out"),
        ("voice", 7, "text such as 'marin'"),
        ("voice", True, "text such as 'marin'"),
        ("speed", "1.2", "a number"),
        ("speed", True, "a number"),
        ("max_output_tokens", 1.5, "a number or 'inf'"),
        ("max_output_tokens", True, "a number or 'inf'"),
        ("output_modalities", "text", "a list"),
        ("turn_detection", True, "or None"),
        ("transcription", ["whisper-1"], "or None"),
        ("noise_reduction", 1, "or None"),
        ("tool_choice", None, "text such as 'auto'"),
        ("direct", "yes", "True or False"),
    ],
)
def test_values_of_a_wrong_kind_are_refused_before_anything_is_sent(option, value, what):
    with pytest.raises(ConfigError, match=f"{option}=") as caught:
        config(**{option: value})
    assert what in caught.value.hint


def test_a_running_call_is_no_more_lenient():
    with pytest.raises(ConfigError, match="instructions= is a int"):
        CallConfig.changes_from({"instructions": 5})


# -- where credentials come from ---------------------------------------------------------------


async def mint():
    return "ek_1"


@pytest.mark.parametrize(
    "source",
    [
        ApiKeyFile("key"),
        TokenUrl("https://my.server/token"),
        EntraToken(mint),
        mint,
        AzureApiKey("k"),
    ],
)
def test_places_of_credentials_are_passed_on(source):
    assert config(credentials=source).credentials_source() is source


@pytest.mark.parametrize("value", [7, b"sk-1", ["sk-1"]])
def test_what_is_no_credentials(value):
    with pytest.raises(ConfigError, match="credentials= is a"):
        config(credentials=value)
    with pytest.raises(ConfigError, match="api_key= is a"):
        config(api_key=value)


# -- Azure ------------------------------------------------------------------------------------

AZURE = "https://me.openai.azure.com"


@pytest.mark.parametrize("path", ["", "/", "/openai", "/openai/", "/openai/v1", "/openai/v1/"])
def test_the_root_of_an_azure_resource_is_completed(path):
    assert config(base_url=AZURE + path).base_url.rstrip("/") == f"{AZURE}/openai/v1"


@pytest.mark.parametrize(
    "path", ["/openai/deployments/d", "/openai/realtime", "/openai/v1/realtime"]
)
def test_older_addresses_of_azure_name_the_new_one(path):
    with pytest.raises(ConfigError, match=r"use https://RESOURCE.openai.azure.com/openai/v1"):
        config(base_url=AZURE + path)


def test_azure_takes_no_offer_with_a_key():
    with pytest.raises(ConfigError, match="direct=True is not possible on Azure"):
        config(base_url=AZURE, direct=True)
    with pytest.raises(ConfigError, match="direct=True is not possible on Azure"):
        config(base_url="https://gateway.example/v1", direct=True, credentials=AzureApiKey("k"))


def test_a_key_for_azure(monkeypatch):
    assert config(base_url=AZURE, api_key="k").credentials_source() == AzureApiKey("k")
    assert config(base_url=AZURE, api_key="ek_1").credentials_source() == EphemeralToken("ek_1")
    assert config(base_url=AZURE, api_key="eyJx").credentials_source() == AccessToken("eyJx")
    monkeypatch.setenv("OPENAI_API_KEY", "azure-key")
    assert config(base_url=AZURE).credentials_source() == AzureApiKey("azure-key")
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "better")
    assert config(base_url=AZURE).credentials_source() == AzureApiKey("better")


def test_a_key_of_openais_is_not_sent_to_azure(monkeypatch):
    with pytest.raises(CredentialsError, match="AZURE_OPENAI_API_KEY"):
        config(base_url=AZURE).credentials_source()
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with pytest.raises(CredentialsError, match="not sent to Azure") as caught:
        config(base_url=AZURE).credentials_source()
    assert KEY not in str(caught.value)


def test_behind_a_gateway_azure_is_known_by_its_credentials():
    made = config(base_url="https://gateway.example/v1", credentials=EntraToken(mint))
    assert made.base_url == "https://gateway.example/v1"
    assert "audio" not in made.session_payload()


def test_a_proxys_password_does_not_show():
    assert "hunter2" not in repr(config(proxy="http://me:hunter2@proxy:3128"))


# -- whatever a stranger passes ---------------------------------------------------------------

ODD = [
    *(None, True, False, 0, -1, 10**400, 1.5, math.nan, math.inf, 1j, Decimal("1.5")),
    *("", " ", "x", "1", "true", "a\nb", "\ud800", "\0", "x" * 100_000, b"x", bytearray(b"x")),
    *([], [1], [None], ["x"], [{}], [{"urls": 7}], (), set(), {}, {"x": 1}, {1: 2}, {"type": None}),
    *(object(), Path("x"), date(2026, 1, 1), len, CallConfig, range(3), iter([])),
    *("http://[", "http://x:99999999/v1", "http://x/v1\n", "http://\u202e/v1", "turn:a:b@c"),
]


@pytest.mark.parametrize("option", [field.name for field in fields(CallConfig)])
def test_any_value_is_taken_or_refused_in_words(option):
    for value in ODD:
        try:
            made = CallConfig.from_options({option: value})
            assert "type" in made.session_payload()
            assert repr(made)
            assert isinstance(made.headers, dict)
            made.credentials_source()
        except RtcVoiceError as error:
            assert len(str(error)) < 1000  # noqa: PT017
