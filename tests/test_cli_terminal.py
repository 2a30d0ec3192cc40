"""The command line at a real terminal (a pty), and with audio in its pipes."""

from __future__ import annotations

import fcntl
import io
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
import wave
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from live import again_if_late
from town import Town

from rtcvoice.emulator import Turn

RTCVOICE = [sys.executable, "-m", "rtcvoice"]
COOKED = termios.ICANON | termios.ECHO | termios.ISIG


@pytest.fixture(scope="module")
def town() -> Iterator[Town]:
    town = Town(script=[Turn(hears="Stop, please.", says=("three",))] * 3)
    yield town
    town.close()


def environment() -> dict[str, str]:
    path = "/usr/bin:/bin"
    return {
        "PATH": path,
        "OPENAI_API_KEY": "sk-any",
        "LANG": "C.UTF-8",
        "TERM": "xterm",
        "PS1": "$ ",
    }


class Terminal:
    """A pty with a program in it, as seen and typed at by a user."""

    def __init__(self, program: Sequence[str], *, columns: int = 80, rows: int = 24) -> None:
        self.descriptor, inside = pty.openpty()
        fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.seen = ""
        self.process = subprocess.Popen(
            program,
            stdin=inside,
            stdout=inside,
            stderr=inside,
            env=environment(),
            start_new_session=True,
            preexec_fn=self._inside,
        )
        os.close(inside)

    @staticmethod
    def _inside() -> None:
        """Be the terminal's own program, with the signals that a login gives it."""
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup leaves it ignored
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # so does a job in the background

    def wait_for(self, pattern: str, timeout: float = 30) -> None:
        """Read until `pattern` was seen since the last time."""
        deadline = time.monotonic() + timeout
        while not (found := re.search(pattern, self.seen)):
            assert time.monotonic() < deadline, f"no {pattern!r} in {self.seen!r}"
            if select.select([self.descriptor], [], [], 0.1)[0]:
                try:
                    self.seen += os.read(self.descriptor, 65536).decode(errors="replace")
                except OSError:  # nobody is left inside
                    break
        assert found or re.search(pattern, self.seen), self.seen
        self.seen = self.seen[found.end() :] if found else ""

    def type(self, text: str) -> None:
        os.write(self.descriptor, text.encode())

    @property
    def mode(self) -> tuple[int, int]:
        """The terminal's input and local flags, as far as we change them."""
        flags = termios.tcgetattr(self.descriptor)
        return flags[0] & termios.IXON, flags[3] & COOKED

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.descriptor)


def live_call(town: Town) -> list[str]:
    """A call that lasts until somebody ends it, without devices."""
    return [*RTCVOICE, "--input", "none", "--output", "none", "--base-url", town.emulator.url]


def test_what_is_typed_while_the_command_loads_is_not_echoed() -> None:
    terminal = Terminal([*RTCVOICE, "text", "--emulator"])
    try:
        cooked = terminal.mode
        terminal.wait_for("recorded words")
        deadline = time.monotonic() + 30
        while terminal.mode[1] & termios.ECHO:
            assert time.monotonic() < deadline
        terminal.type("hello there\n")
        terminal.wait_for("connected in")
        terminal.wait_for(r"\[\?2004h")  # where a paste begins and ends, please
        terminal.wait_for(r"you .*hello there")
        terminal.wait_for("assistant")
        more = "more of it\n" * 800  # longer than what a terminal gives at once
        terminal.type(f"\x1b[200~first line\n{more}last line\x1b[201~\n")
        terminal.wait_for(r"you .*first line")
        terminal.wait_for("assistant")
        terminal.type("exit\n")
        terminal.wait_for(r"(?s)\A(?:(?!you   ).)*\[\?2004l")  # it was one message
        terminal.wait_for("hung up")
        terminal.process.wait(30)
        assert terminal.mode == cooked
    finally:
        terminal.close()


def test_ctrl_c_while_the_command_loads_gives_the_terminal_back() -> None:
    terminal = Terminal([*RTCVOICE, "text", "--emulator"])
    try:
        cooked = terminal.mode
        terminal.wait_for("recorded words")
        terminal.type("\x03")
        terminal.process.wait(30)
        assert terminal.mode == cooked
    finally:
        terminal.close()


def test_keys_and_the_shell_s_job_control(town: Town) -> None:
    terminal = Terminal(["bash", "--norc", "--noprofile", "--noediting", "-i"])
    try:
        terminal.wait_for(r"\$ ")
        before = terminal.mode
        terminal.type(" ".join(live_call(town)) + "\n")
        terminal.wait_for("connected in")
        terminal.wait_for("0:00  you .*assistant .*\\? keys")
        assert terminal.mode == (0, termios.ISIG)
        terminal.type("m")
        terminal.wait_for("muted")
        terminal.type("?\x1b[A")  # and an arrow, which means nothing
        terminal.wait_for("Ctrl-Z twice.* suspend")
        terminal.type("\x1a")
        terminal.wait_for("Ctrl-Z again")
        terminal.type("\x1a")
        terminal.wait_for(r"Stopped.*\n.*\$ ")
        assert terminal.mode == before
        terminal.type("fg\n")
        terminal.wait_for("0:0.*you .*muted")
        assert terminal.mode == (0, termios.ISIG)
        terminal.type("q")
        terminal.wait_for("hung up")
        terminal.wait_for(r"\$ ")
        assert terminal.mode == before
        terminal.type("echo code $?\n")
        terminal.wait_for("code 0")
    finally:
        terminal.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_gives_the_terminal_back(town: Town, number: signal.Signals) -> None:
    terminal = Terminal(live_call(town), columns=40)
    try:
        before = terminal.mode
        terminal.wait_for("0:00 you")
        assert terminal.mode != before
        if number is signal.SIGINT:
            terminal.type("\x03")
        else:
            terminal.process.send_signal(number)
        terminal.wait_for("hung up")
        assert terminal.process.wait(20) == 128 + number
        assert terminal.mode == before
    finally:
        terminal.close()


def call(town: Town, *arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [*RTCVOICE, "--base-url", town.emulator.url, *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, env=environment(), timeout=60)


def spoken(samples: np.ndarray) -> float:
    """Seconds in which something can be heard."""
    frames = samples[: len(samples) // 240 * 240].reshape(-1, 240).astype(float)
    return float((np.sqrt((frames**2).mean(axis=1)) > 300).sum() * 0.01)


def question(seconds: float) -> np.ndarray:
    """Something to say: loud enough to be taken for speech."""
    noise = np.random.default_rng(1).normal(0, 3000, int(24000 * seconds))
    return noise.astype(np.int16)


@again_if_late
def test_wav_in_and_wav_out_with_the_words_on_stderr(town: Town) -> None:
    stdin = io.BytesIO()
    with wave.open(stdin, "wb") as file:
        file.setparams((1, 2, 24000, 0, "NONE", ""))
        file.writeframes(question(1.0).tobytes())
    done = call(town, "--input", "-", "--output", "-", stdin=stdin.getvalue())
    assert done.returncode == 0, done.stderr
    with wave.open(io.BytesIO(done.stdout)) as file:
        assert file.getframerate() == 24000
        samples = np.frombuffer(file.readframes(10**8), np.int16)
    assert spoken(samples) > 0.2
    errors = done.stderr.decode()
    assert "you        Stop, please." in errors
    assert "assistant  three" in errors
    assert "\x1b" not in errors


@again_if_late
def test_raw_in_and_raw_out_as_json(town: Town) -> None:
    stdin = question(1.0).tobytes() + b"\x01"  # half a sample
    pipes = (
        "--input",
        "/dev/stdin",
        "--output",
        "/dev/stdout",
        "--raw",
        "--json",
        "--seconds",
        "1.5",
    )
    done = call(town, *pipes, stdin=stdin)
    assert done.returncode == 0, done.stderr
    assert done.stdout[:4] != b"RIFF"
    assert len(done.stdout) / 48000 == pytest.approx(1.5, abs=0.3)
    lines = [json.loads(line) for line in done.stderr.decode().splitlines()]
    kinds = [line["event"]["type"] for line in lines if "event" in line]
    assert "input_audio_buffer.speech_started" in kinds


def test_what_is_no_audio_is_refused(town: Town) -> None:
    done = call(town, "--input", "-", "--output", "none", stdin=b"OggS" + bytes(1000))
    assert done.returncode == 6
    assert "this is Ogg" in done.stderr.decode()
    assert "what to do: " in done.stderr.decode()


def test_a_player_that_leaves_ends_the_call(town: Town) -> None:
    command = [*RTCVOICE, "--base-url", town.emulator.url, "--input", "none", "--output", "-"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
    )
    assert process.stdout is not None
    assert process.stdout.read(4) == b"RIFF"
    process.stdout.close()
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 141
    assert "Traceback" not in errors.decode()
    assert "rtcvoice: " not in errors.decode()
