"""`batch` and `load` on the command line."""

from __future__ import annotations

import asyncio
import io
import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from rtcvoice.cli.batch import DRY_RUN
from rtcvoice.cli.batch_progress import Progress
from rtcvoice.cli.exit_codes import NOT_ALL
from rtcvoice.cli.main import main
from rtcvoice.emulator import BackgroundEmulator
from rtcvoice.fleet.dry_run import EmulatorProcess
from rtcvoice.fleet.page import page_of
from rtcvoice.fleet.results import CallResult, Outcome
from rtcvoice.fleet.summary import summary_of


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("https://api.openai.com/v1", "vendor"),
        ("https://eu.API.openai.com./v1", "vendor"),
        ("https://mine.openai.azure.com/openai/v1", "vendor"),
        ("http://192.0.2.7:8080/v1", "--i-may-load-this-server"),
        ("http://127.0.0.1.example.com/v1", "another machine"),
        ("ftp://127.0.0.1/v1", "not an address"),
        ("nonsense", "not an address"),
        ("http://[::1", "not an address"),
        ("http://me:secret@127.0.0.1/v1", "not an address"),
        ("https://api.openai\u3002com/v1", "vendor"),
        ("https://api.\uff4fpenai.com/v1", "vendor"),
    ],
)
def test_nobody_elses_server_is_loaded(url, says, capsys):
    assert main(["load", "--base-url", url, "--calls", "1"]) == 2
    assert says in capsys.readouterr().err
    assert main(["load", "--base-url", "https://api.openai.com", "--i-may-load-this-server"]) == 2


class SeenError(Exception):
    """What is to be called is known."""


def test_a_model_that_plays_the_caller_is_where_the_agent_is(tmp_path, monkeypatch):
    calls = tmp_path / "calls.yaml"
    calls.write_text(
        "calls: [{scenario: a, persona: {options: {model: m, base_url: 'http://b/'}}}]"
    )
    server = "http://127.0.0.1:9/v1"
    seen = []

    def see(specs, **options):
        seen.extend(spec.persona.options["base_url"] for spec in specs)
        raise SeenError

    monkeypatch.setattr("rtcvoice.cli.batch.RunOfCalls", see)
    for number, given in enumerate((["load", "--file"], ["batch"])):
        args = [*given, str(calls), "--base-url", server, "--out", str(tmp_path / str(number))]
        with pytest.raises(SeenError):
            main(args)
    assert seen[0] == server  # a load falls on nobody else
    assert seen[-1] == "http://b/"  # a caller of a test may be served elsewhere


def test_what_is_missing_is_told_before_the_first_call(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.chdir(tmp_path)
    assert main(["batch", "none.yaml"]) == 2
    assert "relative paths start at" in capsys.readouterr().err
    calls = tmp_path / "calls.yaml"
    calls.write_text("calls: [{scenario: a, steps: [{say: none.wav}]}]")
    assert main(["batch", str(calls), "--emulator"]) == 2
    assert "scenario a: there is no sound file" in capsys.readouterr().err
    calls.write_text("calls: [{scenario: a, options: {voic: marin}, steps: [{wait: 1}]}]")
    assert main(["batch", str(calls), "--base-url", "http://127.0.0.1:9/v1"]) == 2
    assert "scenario a: there is no option voic=" in capsys.readouterr().err
    calls.write_text("calls: [{scenario: a, steps: [{say: 'prompt:stop'}]}]")
    assert main(["batch", str(calls)]) == 3
    assert "no API key" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_a_run_is_made_kept_and_resumed(tmp_path, capsys):
    calls = tmp_path / "calls.yaml"
    calls.write_text(
        """
calls:
  - {scenario: well, steps: [{wait: 0.1}]}
  - {scenario: badly, steps: [{wait: 0.1}], checks: [{called: {name: weather}}]}
"""
    )
    out = tmp_path / "run"
    with BackgroundEmulator() as server:
        given = ["batch", str(calls), "--base-url", server.url, "--processes", "1"]
        given += ["--out", str(out)]
        assert main(given) == NOT_ALL
        told = capsys.readouterr()
        assert "2 calls: 1 completed, 1 failed" in told.out
        assert "1 of 1 checks: called" in told.out
        assert main(given) == 2
        assert "--resume" in capsys.readouterr().err
        assert main([*given, "--resume"]) == NOT_ALL  # what stands is not done again
        assert len(server.calls) == 2
    lines = (out / "results.jsonl").read_text().splitlines()
    assert {json.loads(line)["outcome"] for line in lines} == {"completed", "failed"}
    page = (out / "report.html").read_text()
    assert "badly.1.0" in page
    assert 'report.html">report</a>' in page
    assert (out / "results.csv").read_text().count("\n") == 3
    assert json.loads((out / "config.json").read_text())["calls"] == 2


def test_a_server_that_is_not_there_ends_the_run_at_once(tmp_path, capsys):
    given = ["load", "--calls", "50", "--processes", "1", "--out", str(tmp_path / "run")]
    assert main([*given, "--base-url", "http://127.0.0.1:9/v1"]) == 4
    told = capsys.readouterr()
    assert "nothing listens there (connection refused)" in told.err
    assert "--resume" not in told.err  # which load does not have
    assert told.out == ""


def test_costs_that_nobody_is_charged_are_not_told_as_if_spent():
    made = CallResult(
        run="r", scenario="a", trial=1, seed=0, outcome=Outcome.COMPLETED, cost=0.25, tokens=9
    )
    progress = Progress(2, priced=DRY_RUN)
    progress.take(made)
    assert "US$ 0.25 not charged, " in progress.line()
    assert "US$, not charged" in page_of(summary_of([made]), [made], title="t", priced=DRY_RUN)
    progress = Progress(2)
    progress.take(made)
    assert "US$ 0.25, " in progress.line()


class LostEmulator:
    """Is gone as soon as a result is kept."""

    late = 0.0

    def __init__(self, script=None):
        self.server = BackgroundEmulator()

    async def __aenter__(self):
        self.url = (await asyncio.to_thread(self.server.__enter__)).url
        return self

    async def __aexit__(self, *exc):
        await asyncio.to_thread(self.server.__exit__, *exc)

    async def wait_lost(self):
        while not list(Path("run/results").glob("*.json")):  # noqa: ASYNC110, ASYNC240
            await asyncio.sleep(0.02)
        return "the emulator's process is gone (SIGKILL)"


def test_a_dry_run_ends_when_its_emulator_is_gone(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("rtcvoice.cli.batch.EmulatorProcess", LostEmulator)
    calls = [{"scenario": name, "steps": [{"wait": s}]} for name, s in (("a", 0.1), ("b", 60))]
    Path("calls.json").write_text(json.dumps({"calls": calls}))
    given = ["batch", "calls.json", "--emulator", "--processes", "1", "--out", "run"]
    assert main(given) == NOT_ALL
    told = capsys.readouterr().out
    assert "1 call: 1 completed" in told
    assert "stopped: the emulator's process is gone (SIGKILL); --out run --resume goes on" in told


async def test_an_emulator_that_is_killed_is_noticed():
    reader, writer = os.pipe()
    emulator = EmulatorProcess()
    emulator._process = SimpleNamespace(sentinel=reader, join=lambda timeout: None, exitcode=-9)
    waiting = asyncio.create_task(emulator.wait_lost())
    await asyncio.sleep(0)
    assert not waiting.done()
    os.close(writer)
    assert await waiting == "the emulator's process is gone (SIGKILL)"
    os.close(reader)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_the_line_of_a_run_fits_and_ends_once(monkeypatch):
    monkeypatch.setattr("sys.stderr", told := Terminal())
    monkeypatch.setenv("COLUMNS", "40")
    with Progress(200, priced=DRY_RUN) as progress:
        progress.end()
        told.write("200 calls")
    line, then = told.getvalue().split("\n")
    assert len(line.removeprefix("\r\x1b[K")) == 39
    assert then == "200 calls"


def test_the_key_of_a_run_may_be_in_dot_env_and_has_to_be_one(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("OPENAI_API_KEY", "")
    monkeypatch.delenv("OPENAI_API_KEY")
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "calls.yaml").write_text("calls: [{scenario: a, steps: [{wait: 0.1}]}]")
    (tmp_path / ".env").write_text("OPENAI_API_KEY=sk-...\n")
    assert main(["batch", "calls.yaml"]) == 3
    assert "is a placeholder" in capsys.readouterr().err


def test_the_page_of_a_run_is_safe_whatever_was_said():
    evil = '"><script>alert(1)</script><img src=x onerror=y>'
    made = CallResult(
        run="r",
        scenario="a",
        trial=1,
        seed=0,
        outcome=Outcome.FAILED,
        error=evil,
        ended=evil,
        recording=evil,
        latencies=(1.0,),
    )
    page = page_of(summary_of([made], stopped=evil), [made], title=evil)
    assert "<script" not in page
    assert "<img" not in page
    assert "default-src 'none'" in page
    assert page_of(summary_of([]), [], title="nothing")


def test_each_call_of_a_batch_has_the_network_that_it_names(tmp_path, capsys):
    # By the first one's seed the first 30 packets that are no sound arrive: it connects at once.
    calls, out = tmp_path / "calls.yaml", tmp_path / "run"
    calls.write_text(
        """
        steps: [{wait: 0.7}]
        calls:
          - {scenario: bad, network: {downlink: {loss: 30%}, seed: 28805}}
          - {scenario: far, network: far, seed: 3}
        """
    )
    given = ["batch", str(calls), "--processes", "1", "--no-record", "--out"]
    assert main([*given, str(out), "--emulator"]) == 0
    lines = map(json.loads, (out / "results.jsonl").read_text().splitlines())
    made = {result["scenario"]: result for result in lines}
    assert made["bad"]["packets_lost"] > 1
    assert made["bad"]["network"] == "downlink.loss=0.3, seed=28805"
    assert made["far"]["network"] == "delay=0.125, seed=3"  # the seed of the call
    assert made["far"].get("packets_lost", 0) == 0
    assert made["far"]["connect_seconds"] > 0.5
    assert "downlink.loss=0.3, seed=28805" in (out / "report.html").read_text()
    assert "downlink.loss=0.3, seed=28805" in (out / "results.csv").read_text()
    capsys.readouterr()
    for wrong, told in (
        ("{downlink: {los: 0.5}}", "did you mean 'loss'?"),
        ("{loss: 5}", "5 % is 0.05"),
        ("wlan", "wifi"),
        ("wifi, options: {transport: websocket}", "packets of WebRTC"),
        ("3", "network"),
    ):
        calls.write_text(f"calls: [{{scenario: bad, network: {wrong}}}]")
        assert main([*given, str(tmp_path / "again"), "--emulator"]) == 2
        assert told in capsys.readouterr().err
    assert main([*given, str(tmp_path / "again"), "--network", "loss=5"]) == 2
    assert "5 % is 0.05" in capsys.readouterr().err
