"""The command line as a process: what it prints, where, and how it ends."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import wave
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from live import again_if_late, eventually

from rtcvoice.cli import main
from rtcvoice.cli.options import COMMANDS, parse
from rtcvoice.emulator import Emulator, Pace, Turn, prompt_path

ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "OPENAI_API_KEY": "sk-cli"}


@pytest.fixture
async def server() -> AsyncIterator[Emulator]:
    script = [Turn(hears="Stop, please.", says=("it-is-done",))] * 2
    async with Emulator(script=script, pace=Pace(response_latency=0.02)) as emulator:
        yield emulator


async def start(
    *arguments: object, folder: Path, stdout: int = subprocess.PIPE, **environment: str
) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "rtcvoice",
        *map(str, arguments),
        cwd=folder,
        env={name: value for name, value in {**ENVIRONMENT, **environment}.items() if value},
        stdout=stdout,
        stderr=subprocess.PIPE,
    )


async def finish(process: asyncio.subprocess.Process) -> tuple[int | None, str, str]:
    output, errors = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode, (output or b"").decode(), errors.decode()


@again_if_late
async def test_a_question_from_a_file(server: Emulator, tmp_path: Path) -> None:
    process = await start(
        *("--base-url", server.url, "--input", prompt_path("stop"), "--output", "a.wav"),
        folder=tmp_path,
    )
    code, output, errors = await finish(process)
    assert (code, errors) == (0, "")
    lines = output.splitlines()
    assert "connected in" in lines[0]
    assert lines[1].split("  ")[-1] == "Stop, please."
    assert "assistant  It is done.  (answered in" in lines[2]
    assert "hung up; a.wav has" in lines[3]
    assert "\x1b" not in output
    with wave.open(str(tmp_path / "a.wav")) as file:
        assert file.getnframes() / file.getframerate() > 2


async def test_text_and_json(server: Emulator, tmp_path: Path) -> None:
    process = await start(
        "--base-url", server.url, "--text", "Hi", "--json", "--seconds", 2, folder=tmp_path
    )
    code, output, _ = await finish(process)
    assert code == 0
    lines = [json.loads(line) for line in output.splitlines()]
    assert lines[0]["connected"]["call_id"].startswith("rtc_")
    assert lines[0]["connected"]["session"]["id"].startswith("sess_")
    assert lines[-1]["ended"]["normal"] is True
    kinds = [line["event"]["type"] for line in lines if "event" in line]
    assert kinds.index("response.created") < kinds.index("response.done")
    times = [line["time"] for line in lines]
    assert times == sorted(times)


@again_if_late
async def test_seconds_is_the_longest_a_call_lasts(server: Emulator, tmp_path: Path) -> None:
    process = await start("--base-url", server.url, "--text", "Hi", "--seconds", 1, folder=tmp_path)
    code, output, _ = await finish(process)
    assert code == 0
    assert float(output.splitlines()[-1].split()[0]) == pytest.approx(1, abs=0.9)


@pytest.mark.parametrize("style", [[], ["--json"]])
async def test_a_reader_that_leaves_ends_the_call(
    server: Emulator, tmp_path: Path, style: list[str]
) -> None:
    """As behind `| head -1`: no traceback, and nobody goes on talking to nobody."""
    reader, writer = os.pipe()
    process = await start(
        *("--base-url", server.url, "--input", prompt_path("stop"), *style),
        folder=tmp_path,
        stdout=writer,
    )
    os.close(writer)
    assert await asyncio.to_thread(os.read, reader, 1)
    os.close(reader)
    code, _, errors = await finish(process)
    assert (code, errors) == (141, "")
    for call in server.calls.values():  # more than one where the machine stood still
        await asyncio.wait_for(call.peer.aclose(), 20)
        assert "output_audio_buffer.stopped" not in [entry.event["type"] for entry in call.events]


async def test_words_that_the_terminal_cannot_show_are_no_error(
    server: Emulator, tmp_path: Path
) -> None:
    arguments = ("--base-url", server.url, "--text", "Gr\xfc\xdfe", "--seconds", 1)
    process = await start(*arguments, folder=tmp_path, PYTHONIOENCODING="ascii", LC_ALL="C.UTF-8")
    code, output, errors = await finish(process)
    assert (code, errors) == (0, "")
    assert "you        Gr??e" in output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_hangs_up(server: Emulator, tmp_path: Path, number: signal.Signals) -> None:
    process = await start(
        *("--base-url", server.url, "--input", prompt_path("question"), "--output", "a.wav"),
        folder=tmp_path,
    )
    assert process.stdout is not None
    assert b"connected" in await process.stdout.readline()
    # In a first call sound begins a moment after it is up.
    await eventually(lambda: (tmp_path / "a.wav").exists() and (tmp_path / "a.wav").stat().st_size)
    process.send_signal(number)
    code, _, errors = await finish(process)
    assert (code, errors) == (128 + number, "")
    for call in server.calls.values():
        await asyncio.wait_for(call.peer.aclose(), 20)
    with wave.open(str(tmp_path / "a.wav")) as file:
        assert file.getframerate() == 24000


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--input", "missing.wav", "--base-url", "URL"], 6, "missing.wav"),
        (["--emulator", "--input", ""], 6, "is a directory"),
        (["--emulator", "--secnds", "3"], 2, "did you mean --seconds?"),
    ],
)
async def test_bad_input_is_explained(
    server: Emulator, tmp_path: Path, arguments: list[str], code: int, says: str
) -> None:
    arguments = [server.url if word == "URL" else word for word in arguments]
    process = await start(*arguments, folder=tmp_path)
    returned, _, errors = await finish(process)
    assert returned == code, errors
    assert says in errors
    assert "Traceback" not in errors


async def test_without_a_key_the_ways_forward_are_shown(tmp_path: Path) -> None:
    process = await start("--text", "Hi", folder=tmp_path, OPENAI_API_KEY="")
    code, output, errors = await finish(process)
    assert (code, output) == (3, "")
    assert "no API key" in errors
    assert "OPENAI_API_KEY" in errors
    assert "--emulator" in errors


async def test_a_refused_key_is_named_but_not_shown(tmp_path: Path) -> None:
    async with Emulator(api_keys={"sk-other"}) as server:
        process = await start("--text", "Hi", "--base-url", server.url, "-vv", folder=tmp_path)
        code, output, errors = await finish(process)
    assert code == 4
    assert "HTTP 401" in errors
    assert "sk-cli" not in output + errors


async def test_the_key_may_come_from_a_file_in_the_folder(server: Emulator, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"OPENAI_API_KEY=sk-file\nOPENAI_BASE_URL={server.url}\n")
    process = await start("--text", "Hi", "--seconds", 1, folder=tmp_path, OPENAI_API_KEY="")
    code, _, errors = await finish(process)
    assert (code, errors) == (0, "")


async def test_the_emulator_serves_until_it_is_stopped(tmp_path: Path) -> None:
    serving = await start("emulator", "--port", 0, folder=tmp_path)
    assert serving.stdout is not None
    first = (await serving.stdout.readline()).decode()
    url = next(word for word in first.split() if word.startswith("http://127.0.0.1:"))
    calling = await start("--base-url", url, "--text", "Hi", "--seconds", 1, folder=tmp_path)
    assert (await finish(calling))[0] == 0
    serving.send_signal(signal.SIGTERM)
    code, _, errors = await finish(serving)
    assert (code, errors) == (128 + signal.SIGTERM, "")


@again_if_late
async def test_the_demo_needs_no_network_at_all(tmp_path: Path) -> None:
    """In a network namespace with nothing but loopback: nobody to ask, nothing to resolve."""
    if shutil.which("unshare") is None or shutil.which("ip", path=ENVIRONMENT["PATH"]) is None:
        pytest.skip("needs unshare and ip (Debian: util-linux, iproute2)")
    alone = ["unshare", "--map-root-user", "--net"]
    if subprocess.run([*alone, "true"], capture_output=True).returncode:  # noqa: ASYNC221
        pytest.skip("this kernel does not let us make a network namespace")
    demo = f"{sys.executable} -m rtcvoice --emulator --output a.wav --seconds 6"
    command = f"ip link set lo up && exec {demo}"
    process = await asyncio.create_subprocess_exec(
        *alone,
        "sh",
        "-c",
        command,
        cwd=tmp_path,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    code, output, errors = await finish(process)
    assert (code, errors) == (0, "")
    assert "you        Hello! What is a jitter buffer" in output
    assert re.search(r"assistant  A jitter .*interrupted", output)
    with wave.open(str(tmp_path / "a.wav")) as file:
        assert file.getnframes() / file.getframerate() > 5


@pytest.mark.parametrize("command", COMMANDS)
def test_help_teaches(capsys: pytest.CaptureFixture[str], command: str) -> None:
    assert main([command, "--help"]) == 0
    shown = capsys.readouterr().out
    assert "examples:" in shown
    assert "exit codes:" in shown
    assert max(map(len, shown.splitlines())) < 80


def test_every_command_is_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--help"])
    shown = capsys.readouterr().out
    for name, command in COMMANDS.items():
        assert name == "talk" or re.search(
            rf"^  {name} +{re.escape(command.summary)}$", shown, re.M
        )


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--inptu", "a.wav"], "did you mean --input?"),
        (["emulator", "--prot=3"], "did you mean --port?"),
        (["emulater"], "did you mean emulator?"),
        (["unheard-of"], "commands: talk, "),
        (["--text", "Hi", "there"], "quote words"),
        (["--text"], "expected one argument"),
    ],
)
def test_a_near_miss_is_named(
    capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("rtcvoice: ")
    assert len(err.splitlines()) == 2
    assert says in err


@pytest.mark.parametrize(
    ("arguments", "verbose"),
    [
        (["-v", "emulator"], 1),
        (["emulator", "-v"], 1),
        (["-v", "emulator", "-v"], 2),
        (["-vv"], 2),
        (["talk"], 0),
    ],
)
def test_verbose_goes_before_or_after_the_command(arguments: list[str], verbose: int) -> None:
    assert parse(arguments).verbose == verbose


async def test_ctrl_c_while_it_imports_leaves_no_traceback(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-X", "importtime", "-m", "rtcvoice", "--emulator"),
        cwd=tmp_path,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    while b" asyncio" not in await process.stderr.readline():
        pass
    process.send_signal(signal.SIGINT)
    output, errors = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == -signal.SIGINT
    assert output == b""
    assert b"Traceback" not in errors
