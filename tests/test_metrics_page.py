"""`--metrics PORT`: the page of figures, who gets it, and what is wrong when there is none."""

from __future__ import annotations

import argparse
import asyncio
import http.client
import sys

import pytest
from live import KEY, BentEmulator

from rtcvoice import ConfigError, connect
from rtcvoice.cli import options as commands
from rtcvoice.cli.figures import figures
from rtcvoice.cli.session_options import session_from
from rtcvoice.telemetry.prometheus import MetricsPage


def get(page: MetricsPage, path: str = "/metrics", *, host: str = "") -> tuple[int, str]:
    port = int(page.url.split(":")[2].partition("/")[0])
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", path, headers={"Host": host or f"127.0.0.1:{port}"})
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text


def test_the_page_has_what_was_counted() -> None:
    with MetricsPage(0) as page:
        assert page.url.startswith("http://127.0.0.1:")
        page.provider.get_meter("test").create_counter("told.things").add(3)
        page.show_count("asked.things", "things", lambda: [(5, {"kind": "odd"})])
        page.show_level("open.things", "things", lambda: [(2, {})])
        status, text = get(page)
        assert status == 200
        lines = [line for line in text.splitlines() if not line.startswith("#")]
        assert [line.split()[-1] for line in lines if line.startswith("told_things")] == ["3.0"]
        (asked,) = (line for line in lines if line.startswith("asked_things"))
        assert 'kind="odd"' in asked
        assert asked.endswith(" 5.0")
        assert any(line.startswith("open_things") and line.endswith(" 2.0") for line in lines)


def test_a_page_of_another_name_and_another_path_are_refused() -> None:
    with MetricsPage(0) as page:
        assert get(page, host="evil.example:80")[0] == 403
        assert get(page, host="localhost:9464")[0] == 200
        assert get(page, "/other")[0] == 404


def test_a_figure_that_cannot_be_read_does_not_stop_the_page(caplog) -> None:
    def broken() -> list[tuple[int, dict[str, str]]]:
        raise OSError("gone")

    with MetricsPage(0) as page:
        page.show_count("broken.things", "things", broken)
        page.show_level("open.things", "things", lambda: [(2, {})])
        assert "open_things" in get(page)[1]
    caplog.clear()  # the SDK complains of it


def test_a_port_that_is_in_use_is_an_error_with_a_cure() -> None:
    with MetricsPage(0) as page:
        port = int(page.url.split(":")[2].partition("/")[0])
        with pytest.raises(ConfigError, match=f"port {port}.*another port"):
            MetricsPage(port)


def test_without_the_extra_the_error_says_what_to_install(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    monkeypatch.delitem(sys.modules, "rtcvoice.telemetry.prometheus")
    with (
        pytest.raises(ConfigError, match=r"rtcvoice\[metrics\]"),
        figures(argparse.Namespace(metrics=0)),
    ):
        pass


def test_without_the_option_nothing_is_shown() -> None:
    with figures(argparse.Namespace(metrics=None)) as page:
        assert page is None


async def test_a_call_from_the_terminal_shows_its_figures(capfd) -> None:
    async with BentEmulator(audio="instant") as server:
        line = ["text", "--base-url", server.url, "--metrics", "0", "--json"]
        options = commands.parse([*line, "--limit-seconds", "30"])
        options.api_key = KEY
        with figures(options) as page:
            assert page is not None
            assert options.telemetry.meter_provider is page.provider
            session = session_from(options) | {"source": None, "sink": None}
            async with connect(**session) as call:
                await (await call.ask("Hello!")).text()
            _, text = await asyncio.to_thread(get, page)
            assert "rtcvoice_connect_duration_seconds_count" in text
    assert f"figures at {page.url}" in capfd.readouterr().err
