"""The error tree: what a message says, and that errors travel between processes."""

from __future__ import annotations

import copy
import pickle

import pytest

from rtcvoice import errors
from rtcvoice.errors import (
    CallEnded,
    ConcurrencyError,
    ConfigError,
    CredentialsError,
    DeviceError,
    RtcVoiceError,
    ServerError,
    SignalingError,
    TransportError,
    clean,
    one_line,
)
from rtcvoice.events import ErrorDetail, ErrorEvent

REFUSED = ErrorEvent(error=ErrorDetail(message="no"))

EVERY_KIND = [
    ConfigError("m", hint="h"),
    CredentialsError("m", hint="h"),
    SignalingError("m", status=429, code="insufficient_quota", request_id="req_1", hint="h"),
    TransportError("m", stage="ice", hint="h"),
    DeviceError("m", hint="h"),
    ServerError("m", event=REFUSED, hint="h"),
    ConcurrencyError("m", hint="h"),
    CallEnded("m", normal=True, hint="h"),
]


def test_the_list_of_kinds_is_complete():
    named = {each for name in errors.__all__ if isinstance(each := getattr(errors, name), type)}
    assert named == {type(error) for error in EVERY_KIND} | {RtcVoiceError}


@pytest.mark.parametrize("error", EVERY_KIND, ids=lambda error: type(error).__name__)
def test_each_is_an_rtcvoice_error_and_names_the_cure(error):
    assert isinstance(error, RtcVoiceError)
    assert str(error) == "m (h)"
    assert (error.message, error.hint) == ("m", "h")


def test_without_a_hint_there_are_no_brackets():
    assert str(ConfigError("the model is unknown")) == "the model is unknown"


def test_a_config_error_is_a_value_error():
    with pytest.raises(ValueError, match="bad option"):
        raise ConfigError("bad option")


@pytest.mark.parametrize("error", EVERY_KIND, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("duplicate", [copy.copy, lambda e: pickle.loads(pickle.dumps(e))])
def test_they_can_be_copied_and_pickled(error, duplicate):
    other = duplicate(error)
    assert type(other) is type(error)
    assert str(other) == str(error)
    assert vars(other) == vars(error)


EVIL = "\x1b]0;title\x07\x1b[31m\x9b\x7f\u202e\u2066\u2069\u200f\u200e\u061c\rred\udc80"


@pytest.mark.parametrize(
    "error",
    [
        ConfigError(EVIL, hint=EVIL),
        SignalingError(EVIL, code=EVIL, request_id=EVIL, hint=EVIL),
        TransportError(EVIL, stage="ice", hint=EVIL),
        ServerError(EVIL, hint=EVIL),
        CallEnded(EVIL, normal=False, hint=EVIL).again(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_no_control_character_gets_into_an_error(error):
    texts = [str(error), *map(str, error.args)]
    texts += [value for value in vars(error).values() if isinstance(value, str)]
    assert any("red" in text for text in texts)
    for text in texts:
        assert text.isprintable(), ascii(text)
        text.encode()  # has a UTF-8 form


def test_what_is_harmless_stays_as_it_is():
    text = "Grüße, שלום, 你好 👋🏽\nsecond line"
    assert clean(text) == text
    assert clean("a\tb\r\nc\u2028d") == "a b\nc\nd"


def test_one_line_is_one_bounded_line():
    assert one_line(" a\n\tb\x1b[1m ") == "a b[1m"
    assert one_line("x" * 1000, 10) == "xxxxxxx..."


def test_a_message_is_no_longer_than_a_screen():
    """Found with a status line of 5000 letters, which the HTTP library quotes whole."""
    error = RtcVoiceError("a" * 5000 + "end", hint="b" * 5000)
    assert len(str(error)) < 4100
    assert error.message.startswith("aaa")
    assert error.message.endswith("end")
    assert RtcVoiceError("a" * 2000).message == "a" * 2000
