"""What strangers' settings and errors do to logs and hints."""

from __future__ import annotations

import logging

import pytest

from rtcvoice.cli.tool_files import load_tools
from rtcvoice.errors import ConfigError
from rtcvoice.masking import log_error
from rtcvoice.rest import client
from rtcvoice.rest.ice_servers import IceServer
from rtcvoice.token_server.access import Access


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
    with pytest.raises(ConfigError, match="not a STUN or TURN address"):
        IceServer(url)


@pytest.mark.parametrize("name", ["example.com", "https://app.example/path", "https://u@a.example"])
def test_an_origin_that_no_browser_sends_is_refused(name):
    """Seen with addresses that were copied from the browser's bar."""
    with pytest.raises(ConfigError, match="is the origin of no page"):
        access(name)


def test_origins_are_compared_as_browsers_write_them():
    assert access("HTTPS://App.Example/").knows("https://app.example")
    assert access("app-scheme://localhost").knows("app-scheme://localhost")
    assert access("*").knows("https://any.example")


def access(*origins):
    return Access("127.0.0.1", origins=origins, client_keys=(), public_hosts=(), open_to_all=False)


def test_what_a_tool_prints_is_no_part_of_stdout(tmp_path, capsys):
    """Seen with tools that show what they do, in a pipe that reads JSON."""
    (tmp_path / "printing_tools.py").write_text(
        "print('imported')\nimport sys\n"
        "def add(a: int, b: int):\n    print('adding')\n    print('out', file=sys.stdout)\n"
        "    return a + b\n"
    )
    tools = load_tools(tmp_path / "printing_tools.py")
    assert [tool.name for tool in tools] == ["add"]
    assert tools.get("add").function(1, 2) == 3
    printed = capsys.readouterr()
    assert printed.err.split() == ["imported", "adding"]
    assert printed.out == "out\n"  # where it is asked for by name
