"""A sound card for tests: a PulseAudio daemon of their own with null sinks, as real as it gets.

    what the program plays  ->  sink `spk`     ->  spk.monitor, recorded by `PulseServer.record`
    `PulseServer.play`      ->  sink `micbus`  ->  source `mic`, what the program captures

PortAudio reaches it through ALSA's pulse plugin, as on most Linux desktops. The daemon lives in a
folder of its own, talks to nobody else's, and dies with the test. It needs the Debian packages
pulseaudio, pulseaudio-utils, libasound2-plugins and libportaudio2. In CI (CI=true) a test fails
where they are missing; elsewhere it is skipped.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

PROGRAMS = ("pulseaudio", "pactl", "pacat")
RATE = 48000

# Without norewinds a null sink begins with a buffer of 2 s, and half the audio gets lost.
MODULES = (
    "module-native-protocol-unix auth-anonymous=1 socket={socket}",
    "module-null-sink sink_name=spk norewinds=1 rate=48000 channels=2",
    "module-null-sink sink_name=other norewinds=1 rate=48000 channels=2",
    "module-null-sink sink_name=micbus norewinds=1 rate=48000 channels=1",
    "module-remap-source source_name=mic master=micbus.monitor",
)


class PulseServer:
    """The daemon; `start`, `kill`, and what can be played into it and recorded from it."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="rtcvoice-pulse-"))
        self.socket = self.folder / "native"
        self._daemon: subprocess.Popen[bytes] | None = None
        self._helpers: list[subprocess.Popen[bytes]] = []

    @property
    def environment(self) -> dict[str, str]:
        """What a client process needs to find this daemon, and nobody else's."""
        return {
            "PULSE_SERVER": f"unix:{self.socket}",
            "PULSE_COOKIE": str(self.folder / "cookie"),
            "PULSE_SINK": "spk",
            "PULSE_SOURCE": "mic",
        }

    def start(self) -> None:
        """Start the daemon, also again after `kill`; returns when it answers."""
        self.socket.unlink(missing_ok=True)
        modules = [word for each in MODULES for word in ("-L", each.format(socket=self.socket))]
        command = ["pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=600"]
        runtime = {"HOME": str(self.folder), "XDG_RUNTIME_DIR": str(self.folder)}
        with (self.folder / "log").open("ab") as log:
            self._daemon = subprocess.Popen(
                [*command, "--use-pid-file=no", "--disable-shm=yes", *modules],
                env={**os.environ, **runtime, "PULSE_RUNTIME_PATH": str(self.folder)},
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + 30
        while not self._answers():
            assert time.monotonic() < deadline, (self.folder / "log").read_text()
            time.sleep(0.02)
        self.pactl("set-default-sink", "spk")
        self.pactl("set-default-source", "mic")

    def ensure(self) -> None:
        """Start the daemon unless it runs: what a test before this one did may have ended it."""
        if self._daemon is None or self._daemon.poll() is not None:
            self.start()

    def kill(self) -> None:
        """End the daemon as a crash would; what plays or records here ends, too."""
        if self._daemon is not None:
            self._daemon.send_signal(signal.SIGKILL)
            self._daemon.wait()
            self._daemon = None

    def close(self) -> None:
        """End everything and remove its folder."""
        for helper in self._helpers:
            with contextlib.suppress(ProcessLookupError):
                helper.kill()
            helper.wait()
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def pactl(self, *words: str) -> str:
        """Run pactl and return what it prints."""
        done = subprocess.run(
            ["pactl", *words], env=self._client_environment(), capture_output=True, timeout=30
        )
        assert not done.returncode, done.stderr.decode()
        return done.stdout.decode()

    def play(self, samples: np.ndarray, *, rate: int = RATE, sink: str = "micbus") -> None:
        """Play int16 mono into a sink, by default the microphone's; returns when it has begun."""
        path = self.folder / f"play-{len(self._helpers)}.raw"
        path.write_bytes(samples.astype("<i2").tobytes())
        command = ["pacat", "--playback", f"--device={sink}", "--raw", "--format=s16le"]
        self._helpers.append(
            subprocess.Popen(
                [*command, f"--rate={rate}", "--channels=1", "--latency-msec=20", str(path)],
                env=self._client_environment(),
                stderr=subprocess.DEVNULL,
            )
        )

    @contextmanager
    def record(self, source: str = "spk.monitor", *, rate: int = RATE) -> Iterator[Recording]:
        """Record a source meanwhile; the samples are there once the block is left."""
        path = self.folder / f"record-{len(self._helpers)}.raw"
        command = ["pacat", "--record", f"--device={source}", "--raw", "--format=s16le"]
        process = subprocess.Popen(
            [*command, f"--rate={rate}", "--channels=1", "--latency-msec=20", str(path)],
            env=self._client_environment(),
            stderr=subprocess.DEVNULL,
        )
        self._helpers.append(process)
        recording = Recording(path)
        try:
            yield recording
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(30)
            recording.finish()

    def _client_environment(self) -> dict[str, str]:
        return {**os.environ, **self.environment, "HOME": str(self.folder)}

    def _answers(self) -> bool:
        return not subprocess.run(
            ["pactl", "info"], env=self._client_environment(), capture_output=True, timeout=30
        ).returncode


class Recording:
    """What was recorded so far, int16 mono."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._samples: np.ndarray | None = None

    @property
    def samples(self) -> np.ndarray:
        """Everything recorded; grows until the recording has ended."""
        return self._read() if self._samples is None else self._samples

    def finish(self) -> None:
        self._samples = self._read()

    def _read(self) -> np.ndarray:
        data = self._path.read_bytes() if self._path.exists() else b""
        return np.frombuffer(data[: len(data) & ~1], "<i2").astype(np.int16)


def need_pulse() -> None:
    """Skip the test where PulseAudio is not installed, but in CI fail it."""
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        assert not os.environ.get("CI"), f"CI has to install {missing}"
        pytest.skip(f"not installed: {', '.join(missing)}")


@contextmanager
def pulse_server() -> Iterator[PulseServer]:
    """A running daemon that this process's PortAudio streams reach, until the block is left."""
    need_pulse()
    server = PulseServer()
    before = {name: os.environ.get(name) for name in server.environment}
    try:
        server.start()
        os.environ.update(server.environment)
        yield server
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        server.close()
