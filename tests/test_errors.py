"""The error tree: what a message says, and that errors travel between processes."""

from __future__ import annotations

import copy
import pickle

import pytest

from rtcvoice import errors
from rtcvoice.errors import (
    CallEnded,
    ConfigError,
    CredentialsError,
    DeviceError,
    RtcVoiceError,
    ServerError,
    SignalingError,
    TransportError,
)

EVERY_KIND = [
    ConfigError("m", hint="h"),
    CredentialsError("m", hint="h"),
    SignalingError("m", status=429, code="insufficient_quota", request_id="req_1", hint="h"),
    TransportError("m", stage="ice", hint="h"),
    DeviceError("m", hint="h"),
    ServerError("m", event={"type": "error"}, hint="h"),
    CallEnded("m", normal=True, hint="h"),
]


def test_the_list_of_kinds_is_complete():
    named = {getattr(errors, name) for name in errors.__all__}
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
