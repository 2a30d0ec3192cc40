"""Keys and tokens: told apart by their prefix, checked, and never shown."""

from __future__ import annotations

import asyncio
import functools
import string

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rtcvoice.errors import ConfigError, CredentialsError
from rtcvoice.masking import masked
from rtcvoice.rest.credentials import (
    AccessToken,
    ApiKey,
    ApiKeyFile,
    AzureApiKey,
    EntraToken,
    EphemeralToken,
    TokenUrl,
    credentials_from,
    resolved,
    waited_for,
)

KEY = "sk-proj-4WYDeCqfVYt8Kq0R3tJzqKzq"
JWT = "eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9.eyJhdWQiOiJodHRwcyJ9.c2lnbmF0dXJl"


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


@pytest.mark.parametrize(
    ("text", "secrets", "shown"),
    [
        # A short value of some header is no reason to make a message unreadable.
        ("HTTP 401: 1 of 12 is wrong", ["1"], "HTTP 401: 1 of 12 is wrong"),
        ("the user abcd of abcdef", ["abcd"], "the user *** of abcdef"),
        ("no token hunter2hunter2 here", ["Bearer hunter2hunter2"], "no token *** here"),
        ("Bearer hunter2hunter2", ["Bearer hunter2hunter2"], "***"),
        ("Bearer is wanted", ["Bearer hunter2hunter2"], "Bearer is wanted"),
    ],
)
def test_secrets_are_masked_in_parts_but_not_everywhere(text, secrets, shown):
    assert masked(text, *secrets) == shown


# -- files ------------------------------------------------------------------------------------


WRITTEN = [
    *(KEY, f"{KEY}\n", f"\n  {KEY}\r\n\n", f'"{KEY}"', f"'{KEY}'", f"\u201c{KEY}\u201d"),
    *(
        f"\ufeff{KEY}",
        f"{KEY[:9]}\u200b{KEY[9:]}",
        f"Bearer {KEY}",
        f'export OPENAI_API_KEY="{KEY}"',
    ),
    *(f"OPENAI_API_KEY={KEY}\r\n", f"AZURE_OPENAI_API_KEY = '{KEY}'", f"`{KEY}`"),
]
"""A key as editors, env files and headers leave it."""


@pytest.mark.parametrize("text", WRITTEN)
def test_what_surrounds_a_key_is_taken_off(text):
    assert credentials_from(text) == ApiKey(KEY)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("sk-abc\ndefgh", "a line break"),
        ('"' * 60_000, "more than 16384 characters"),
        ("your-" * 12_000, "more than 16384 characters"),
        ("'" * 50, "quotes"),
        ('sk-abc"defgh', "quotes"),
        ('"sk-abcdefgh', "quotes"),
        ("sk-abc defgh", "spaces"),
        ("sk-abc\x07defgh", "control characters"),
        ("sk-\u0430bcdefgh", r"the character U\+0430"),
        ("sk-...", "a placeholder"),
        ("your-api-key-here", "a placeholder"),
        ("<your key>", "spaces"),
        ("OPENAI_API_KEY=", "is empty"),
        ('""', "is empty"),
    ],
)
def test_what_cannot_be_a_key_is_named(text, named):
    with pytest.raises(CredentialsError, match=named) as caught:
        credentials_from(text)
    assert "abc" not in str(caught.value)


@pytest.mark.parametrize("text", [*WRITTEN, f"# mine\n{KEY}\n"])
def test_a_key_from_a_file(tmp_path, text, caplog):
    file = tmp_path / "key"
    file.write_bytes(text.encode())
    file.chmod(0o600)
    assert ApiKeyFile(file).read() == ApiKey(KEY)
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"sk-one sk-two", "holds no key: the API key has spaces"),
        (b"sk-one\nsk-two", "holds more than one line"),
        (b"OPENAI_API_KEY=sk-one\nOTHER=x", "holds more than one line"),
        (b"sk-...", "a placeholder from an example"),
        (b"\xff\xfe\x00", "not text in UTF-8"),
        ("schlüssel".encode(), r"the character U\+00FC"),
        (b"x " * 100_000, "larger than 64 KiB"),
        (None, "no such file"),
        ("folder", "is a folder"),
    ],
)
def test_a_file_without_a_key(tmp_path, data, complaint):
    file = tmp_path / "key"
    if data == "folder":
        file.mkdir()
    elif data is not None:
        file.write_bytes(data)
    with pytest.raises(CredentialsError, match=complaint) as caught:
        ApiKeyFile(file).read()
    assert str(file) in str(caught.value)
    assert "write the key and nothing else" in caught.value.hint
    assert "sk-one" not in str(caught.value)


def test_a_file_that_everybody_can_read_is_told(tmp_path, caplog):
    file = tmp_path / "key"
    file.write_text(KEY)
    file.chmod(0o644)
    assert ApiKeyFile(str(file)).read() == ApiKey(KEY)
    assert "chmod 600 it" in caplog.text
    assert KEY not in caplog.text


# -- other places -----------------------------------------------------------------------------


async def no_url(source):
    raise AssertionError(source)


async def minted():
    return "ek_123456"


def plain():
    return KEY


class Provider:
    async def __call__(self):
        return EphemeralToken("ek_654321")


@pytest.mark.parametrize(
    ("source", "got"),
    [
        (ApiKey(KEY), ApiKey(KEY)),
        (EphemeralToken("ek_1"), EphemeralToken("ek_1")),
        (minted, EphemeralToken("ek_123456")),
        (plain, ApiKey(KEY)),
        (lambda: minted(), EphemeralToken("ek_123456")),
        (Provider(), EphemeralToken("ek_654321")),
        (EntraToken(JWT), AccessToken(JWT)),
        (EntraToken(lambda: JWT), AccessToken(JWT)),
        (EntraToken(lambda: jwt()), AccessToken(JWT)),
    ],
)
async def test_credentials_come_from_many_places(source, got):
    assert await resolved(source, no_url) == got


async def jwt():
    return JWT


async def test_a_plain_function_does_not_hold_up_the_loop():
    loop = asyncio.get_running_loop()
    entered = asyncio.Event()

    def slow():
        loop.call_soon_threadsafe(entered.set)
        return asyncio.run_coroutine_threadsafe(minted(), loop).result(5)  # needs the loop

    assert await resolved(slow, no_url) == EphemeralToken("ek_123456")
    assert entered.is_set()


async def broken():
    raise OSError(f"vault says {KEY} is locked")


async def nothing():
    return None


async def empty():
    return " "


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        (broken, r"broken\(\).* failed: OSError: vault says sk-\*\*\* is locked"),
        (nothing, "returned a NoneType"),
        (empty, "API key is empty"),
        (EntraToken(nothing), "returned a NoneType"),
        (EntraToken(""), "access token is empty"),
        (EntraToken(broken), "failed: OSError"),
    ],
)
async def test_a_function_that_gives_none(source, complaint):
    with pytest.raises(CredentialsError, match=complaint) as caught:
        await resolved(source, no_url)
    assert KEY not in str(caught.value)


async def test_errors_of_ours_pass_as_they_are():
    async def refused():
        raise CredentialsError("not today")

    with pytest.raises(CredentialsError, match=r"^not today$"):
        await resolved(refused, no_url)


@pytest.mark.parametrize(
    "url",
    ["", "my.server/token", "ftp://x", 7, "http://", "http://[", "http://h:x/", "http://h/a b"],
)
def test_a_token_url_that_is_none(url):
    with pytest.raises(CredentialsError, match="not a web address"):
        TokenUrl(url)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"headers": {"Authorization": None}}, "the header Authorization"),
        ({"headers": {"Authorization": "Bearer hunter2\n"}}, "the header Authorization"),
        ({"headers": {"Authorization": "schlüssel"}}, "the header Authorization"),
        ({"headers": {"X Y": "hunter2"}}, "a name that HTTP cannot carry"),
        ({"headers": {7: "hunter2"}}, "a name that HTTP cannot carry"),
        ({"headers": "hunter2"}, "is a str"),
        ({"body": {"x": object()}}, "cannot be written as JSON"),
    ],
)
def test_what_a_token_url_cannot_send_is_told_at_once(options, says):
    with pytest.raises(CredentialsError, match=says) as caught:
        TokenUrl("https://my.server/token", **options)
    assert "hunter2" not in str(caught.value)


def test_an_entra_token_that_is_none():
    with pytest.raises(CredentialsError, match="not a int"):
        EntraToken(7)


def test_a_token_url_holds_no_password():
    with pytest.raises(CredentialsError, match="send it in headers=") as caught:
        TokenUrl("https://me:hunter2@my.server/token")
    assert "hunter2" not in str(caught.value)


def test_a_token_url_has_two_methods():
    with pytest.raises(CredentialsError, match="use POST or GET"):
        TokenUrl("https://my.server/token", method="PUT")


@pytest.mark.parametrize(
    "source",
    [
        TokenUrl(
            "https://my.server/token?key=hunter2",
            headers={"Authorization": "hunter2"},
            body={"key": "hunter2"},
        ),
        EntraToken("hunter2"),
        AzureApiKey("hunter2"),
        AccessToken("hunter2"),
    ],
)
def test_no_place_shows_a_secret(source):
    assert "hunter2" not in f"{source} {source!r} {[source]}"


def test_what_the_server_is_shown():
    assert ApiKey("a").headers == {"Authorization": "Bearer a"}
    assert AccessToken("a").headers == {"Authorization": "Bearer a"}
    assert AzureApiKey("a").headers == {"api-key": "a"}


def test_web_tokens_are_masked():
    assert masked(f"Bearer {JWT} is wrong") == "Bearer eyJ*** is wrong"


def test_only_text_is_a_secret():
    with pytest.raises(CredentialsError, match="API key is a bytes"):
        ApiKey(b"sk-1")


@pytest.mark.parametrize("path", [None, 5, b"key.txt"])
def test_a_key_file_is_named_by_a_path(path) -> None:
    with pytest.raises(ConfigError, match="takes a path"):
        ApiKeyFile(path)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (ApiKey(KEY), ""),
        (EntraToken(KEY), ""),
        (ApiKeyFile("/run/key"), "the key file /run/key"),
        (TokenUrl("https://a.b/token?x=1"), "the token server at https://a.b/token"),
        (functools.partial(resolved, KEY), "resolved(), which gives the key or token,"),
        (EntraToken(lambda: KEY), "<lambda>(), which gives the key or token,"),
    ],
)
def test_what_is_waited_for_is_named_without_secrets(source, said):
    shown = waited_for(source)
    assert shown.endswith(said)
    assert bool(shown) == bool(said)
    assert KEY not in shown
