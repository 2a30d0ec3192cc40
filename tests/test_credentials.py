"""Keys and tokens: told apart by their prefix, checked, and never shown."""

from __future__ import annotations

import string

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rtcvoice.credentials import ApiKey, EphemeralToken, credentials_from, masked
from rtcvoice.errors import CredentialsError

KEY = "sk-proj-4WYDeCqfVYt8Kq0R3tJzqKzq"


def test_the_prefix_tells_a_token_from_a_key():
    assert credentials_from("ek_123456") == EphemeralToken("ek_123456")
    assert credentials_from(f"  {KEY}\n") == ApiKey(KEY)
    assert credentials_from("an-azure-key-0123") == ApiKey("an-azure-key-0123")


def test_no_key_names_the_ways_out():
    with pytest.raises(CredentialsError, match=r"OPENAI_API_KEY.*--emulator"):
        credentials_from(None)


@pytest.mark.parametrize("kind", [ApiKey, EphemeralToken])
@pytest.mark.parametrize("value", ["", " ", "a b", "key\n", "k\x00y", "k\x7f", "schlüssel", "k\tk"])
def test_what_no_header_can_hold_is_refused(kind, value):
    with pytest.raises(CredentialsError) as caught:
        kind(value)
    assert not value.strip() or value not in str(caught.value)


@pytest.mark.parametrize(
    ("secret", "shown"),
    [
        (ApiKey(KEY), "ApiKey('sk-***')"),
        (EphemeralToken("ek_68af296e8e408191a1120ab6"), "EphemeralToken('ek_***')"),
        (ApiKey("9f86d081884c7d659a2feaa0c55ad015"), "ApiKey('***')"),
        (ApiKey("abc"), "ApiKey('***')"),
    ],
)
def test_it_does_not_show(secret, shown):
    assert repr(secret) == shown
    assert str(secret) == shown
    assert f"{[secret]}" == f"[{shown}]"


def test_two_kinds_are_never_equal():
    assert ApiKey("same") != EphemeralToken("same")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"Incorrect API key provided: {KEY}.", "Incorrect API key provided: sk-***"),
        ("you sent sk-proj-****abcd", "you sent sk-***"),
        ('{"value":"ek_68af296e8e408191"}', '{"value":"ek_***"}'),
        (f"Bearer{KEY}", "Bearersk-***"),
        ("the task-force asked for a desk-top", "the task-force asked for a desk-top"),
    ],
)
def test_texts_are_masked(text, shown):
    assert masked(text) == shown


@settings(deadline=None, max_examples=200)
@given(
    before=st.text(max_size=20),
    prefix=st.sampled_from(["sk-", "sk-proj-", "sk-svcacct-", "ek_", "rk-"]),
    body=st.text(string.ascii_letters + string.digits + "_-", min_size=16, max_size=64),
    after=st.text(max_size=20),
)
def test_no_key_survives_wherever_it_stands(before, prefix, body, after):
    assume(body not in before + after)
    shown = masked(before + prefix + body + after)
    assert body not in shown
    assert masked(shown) == shown


@settings(deadline=None, max_examples=200)
@given(before=st.text("xyz -_", max_size=9), key=st.text("abc123", min_size=8, max_size=40))
def test_a_key_that_looks_like_none_is_masked_where_it_is_known(before, key):
    assert key not in masked(f"{before}{key}{before}", key)
