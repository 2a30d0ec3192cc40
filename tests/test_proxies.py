"""Which proxy a request goes through, and which variables are not even looked at."""

from __future__ import annotations

import sys

import pytest

from rtcvoice.errors import ConfigError
from rtcvoice.rest.client import Rest
from rtcvoice.rest.credentials import ApiKey
from rtcvoice.rest.proxies import passes_by, proxy_for
from rtcvoice.rest.signaling import Signaling

API = "https://api.example/v1"
VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def used(url: str = API, option: str | None = None) -> tuple[str, str] | None:
    found = proxy_for(url, option)
    return found and (found.place, found.named_by)


def test_one_variable_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    assert used() is None
    assert used(option="http://me:pw@p:1") == ("p:1", "proxy= (--proxy)")
    monkeypatch.setenv("ALL_PROXY", "socks4://r:3")
    assert used() == ("r:3", "ALL_PROXY")
    monkeypatch.setenv("https_proxy", "http://me:pw@q:2")
    assert used() == ("q:2", "https_proxy")
    assert used("http://api.example/v1") == ("r:3", "ALL_PROXY")
    monkeypatch.setenv("NO_PROXY", "intranet.example")
    assert used("https://intranet.example/v1") is None
    assert used("https://127.0.0.1/v1") is None


def test_a_blank_variable_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", " ")
    assert used() is None
    monkeypatch.setenv("ALL_PROXY", "p:1")
    assert used() == ("p:1", "ALL_PROXY")


@pytest.mark.parametrize("scheme", ["socks5", "socks", "socks4", "nonsense"])
async def test_variables_that_are_not_needed_are_passed_over(
    scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://p:3128")
    monkeypatch.setenv("ALL_PROXY", f"{scheme}://p:1080")
    monkeypatch.setenv("HTTP_PROXY", f"{scheme}://p:1080")
    monkeypatch.setenv("NO_PROXY", "http://x:y,[::1,\u4f8b\u3048.jp")
    await Rest(API).aclose()


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("socks5://me:hunter2@p:1080", "HTTPS_PROXY needs the package socksio"),
        ("socks://me:hunter2@p:1080", "HTTPS_PROXY needs the package socksio"),
        ("socks4://me:hunter2@p:1080", "the proxy of HTTPS_PROXY cannot be used"),
        ("http://me:hunter2@", "the proxy of HTTPS_PROXY cannot be used"),
        ("http://me:hunter2@p:port", "the proxy of HTTPS_PROXY cannot be used"),
        ("http://me:hunter2@[::1", "the proxy of HTTPS_PROXY cannot be used"),
        ("http://me:hunter2/x@p:1", "the proxy of HTTPS_PROXY cannot be used"),
    ],
)
def test_the_one_that_is_needed_is_named(
    value: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", value)
    monkeypatch.setitem(sys.modules, "socksio", None)  # that it is not installed
    with pytest.raises(ConfigError) as caught:
        Signaling(base_url=API, credentials=ApiKey("sk-x"))
    assert says in str(caught.value)
    assert "HTTPS_PROXY" in caught.value.hint
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("no_proxy", "host", "passes"),
    [
        ("*", "api.example", True),
        ("", "api.example", False),
        (" , ,", "api.example", False),
        ("api.example", "api.example", True),
        ("API.example", "api.EXAMPLE", True),
        ("example", "api.example", True),
        (".example", "api.example", True),
        ("*.example", "api.example", True),
        ("le", "api.example", False),
        ("pi.example", "api.example", False),
        ("https://api.example", "api.example", True),
        ("api.example:443", "api.example", True),
        ("api.example:80", "api.example", False),
        ("*.example:443", "api.example", True),
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "11.1.2.3", False),
        ("10.1.2.3", "10.1.2.3", True),
        ("2.3", "10.1.2.3", False),
        ("localhost,127.0.0.0/8,::1/128", "api.example", False),
        ("::1/128", "::1", True),
        ("[::1]", "::1", True),
        ("[::1]:443", "::1", True),
        ("[::1]:80", "::1", False),
        ("fd07:b51a:cc66:f0::/64", "fd07:b51a:cc66:f0::7", True),
        ("[fe80::]/10,x", "fe80::1", True),
        ("http://x:y,api.example", "api.example", True),
        ("[::1,1.2.3.4/99,::/x", "api.example", False),
    ],
)
def test_what_no_proxy_leaves_out(no_proxy: str, host: str, passes: bool) -> None:
    assert passes_by(host, 443, no_proxy) is passes
