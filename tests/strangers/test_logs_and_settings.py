"""What strangers' settings and errors do to logs and hints."""

from __future__ import annotations

import logging

import pytest

from rtcvoice.errors import ConfigError
from rtcvoice.masking import log_error
from rtcvoice.rest import client
from rtcvoice.rest.ice_servers import IceServer


def test_the_traceback_of_an_error_is_logged_without_keys(caplog):
    """Seen with a sink of a user's whose `aclose` raised its HTTP client's error."""
    try:
        raise ValueError("401 for Bearer sk-proj-abcdefghijklmnop1234\x1b[2J")
    except ValueError as exc:
        log_error(logging.getLogger("rtcvoice.test"), exc, "x %s failed", "closing")
    assert "x closing failed\nTraceback" in caplog.text
    assert "ValueError: 401 for Bearer sk-***" in caplog.text
    assert not any(secret in caplog.text for secret in ("abcdef", "\x1b"))
    caplog.clear()


def test_a_key_log_that_cannot_be_written_is_named(monkeypatch, tmp_path):
    """Seen with SSLKEYLOGFILE left over from a debugging session."""
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "missing" / "keys"))
    client._default_context.cache_clear()
    with pytest.raises(ConfigError, match="SSLKEYLOGFILE"):
        client.tls_context()


@pytest.mark.parametrize("url", ["stun:a\0b", "stun:\x1b[2J", "turn:u:p@a\x7fb"])
def test_no_host_has_control_characters(url):
    with pytest.raises(ConfigError, match="no STUN or TURN address"):
        IceServer(url)
