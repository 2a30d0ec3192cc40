"""rtcvoice as a client of servers that others wrote: what the command line and a program see.

A server gets no more than its address and a key. It may lack tokens, forms, events; the steps say
what of a call is whole all the same.
"""

from __future__ import annotations

import asyncio
import os
import struct
import sys
import tempfile
import wave
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np

__all__ = ["opus_packets", "pion", "server_steps", "speech_server"]

HERE = Path(__file__).resolve().parent
BUILD = HERE.parent / "build" / "interop"
"""Where what is built and installed for this lies; not kept in the repository."""

KEY = "sk-interop"
WORDS = "This is an answer in a few words."
"""What the servers here answer."""

STEP_TIMEOUT = 30.0
START_TIMEOUT = 60.0

Step = tuple[str, bool | None, str]


# -- the servers -----------------------------------------------------------------------------------


@asynccontextmanager
async def pion(run: Sequence[str] = (), variables: Mapping[str, str] = {}) -> AsyncIterator[str]:
    """Build and run scripts/interop_pion; yields its address. Raises OSError with what is missing.

    `run` goes before the command, `variables` into its environment: HOST, where it listens, and
    TCP_ONLY.

    Needs Debian's golang-go and golang-github-pion-webrtc.v3-dev.
    """
    BUILD.mkdir(parents=True, exist_ok=True)
    program, packets = BUILD / "pion", BUILD / "packets.bin"
    source = HERE / "interop_pion" / "main.go"
    env = {**os.environ, "GO111MODULE": "off", "GOPATH": "/usr/share/gocode", "GOFLAGS": ""}
    built = await asyncio.create_subprocess_exec(
        "go", "build", "-o", str(program), str(source), env=env, stderr=asyncio.subprocess.PIPE
    )
    _, errors = await built.communicate()
    if built.returncode:
        raise OSError(errors.decode()[:300])
    packets.write_bytes(opus_packets())
    async with _running(*run, str(program), str(packets), variables=variables) as url:
        yield url


@asynccontextmanager
async def speech_server() -> AsyncIterator[str]:
    """Run the speech-to-speech package's server with stand-ins for its models.

    It gets an environment of its own, as it wants another aiortc. Raises OSError.
    """
    python = BUILD / "speech" / "bin" / "python"
    if not python.exists():
        raise OSError("not installed: scripts/interop --install")
    async with _running(str(python), str(HERE / "interop_speech.py")) as url:
        yield url


def install_speech_server() -> None:
    """Install the package without its models' libraries, which the stand-ins do not need."""
    BUILD.mkdir(parents=True, exist_ok=True)
    folder = BUILD / "speech"
    os.spawnlp(os.P_WAIT, sys.executable, sys.executable, "-m", "venv", str(folder))
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "-q"]
    needed = ["aiortc<1.16", "fastapi", "uvicorn", "openai==2.28.0", "numpy", "scipy", "httpx"]
    needed += ["jsonschema", "PyYAML", "rich", "nltk", "pillow", "websockets", "soxr", "requests"]
    for wanted in (["--no-deps", "speech-to-speech==1.1.0"], needed):
        os.spawnv(os.P_WAIT, pip[0], [*pip, *wanted])


@asynccontextmanager
async def _running(*command: str, variables: Mapping[str, str] = {}) -> AsyncIterator[str]:
    """Run a program that prints its address first, and end it."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={**os.environ, **variables},
    )
    try:
        async with asyncio.timeout(START_TIMEOUT):
            url = (await process.stdout.readline()).decode().strip()
        if not url.startswith("http"):
            raise OSError(f"{command[0]} did not start")
        yield url
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def opus_packets() -> bytes:
    """Return a short prompt as Opus: for each 20 ms two bytes of length, and the packet."""
    import av

    from rtcvoice.emulator.voice import PromptVoice

    encoder = av.CodecContext.create("libopus", "w")
    encoder.sample_rate, encoder.layout, encoder.format = 48_000, "mono", "s16"
    encoder.open()
    samples = np.repeat(PromptVoice().clip("stopped").samples, 2)
    made = b""
    for at in range(0, len(samples) - 960, 960):
        frame = av.AudioFrame.from_ndarray(samples[None, at : at + 960], "s16", "mono")
        frame.sample_rate, frame.pts = 48_000, at
        for packet in encoder.encode(frame):
            made += struct.pack(">H", packet.size) + bytes(packet)
    return made


# -- the steps -------------------------------------------------------------------------------------


async def server_steps(url: str, microphone: Path) -> AsyncIterator[Step]:
    """Yield (step, whether it went well, what was seen) of all that a program may want."""
    for name, step in STEPS.items():
        try:
            async with asyncio.timeout(STEP_TIMEOUT):
                ok, told = await step(url, microphone)
        except Exception as exc:
            ok, told = False, f"{type(exc).__name__}: {exc}"
        yield name, ok, told


def _calling(url: str, **options: object):
    import rtcvoice

    return rtcvoice.connect(base_url=url, api_key=KEY, source=None, **{"sink": None, **options})


async def _cli(url: str, *arguments: str) -> tuple[int, str]:
    env = {**os.environ, "OPENAI_API_KEY": KEY, "NO_COLOR": "1"}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "rtcvoice", "--base-url", url, *arguments),
        env=env,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    return process.returncode or 0, output.decode()


def _loudness(path: Path) -> float:
    with wave.open(str(path)) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16)
    return float(np.abs(samples.astype(float)).max()) if len(samples) else 0.0


async def cli_text(url: str, microphone: Path) -> tuple[bool, str]:
    code, output = await _cli(url, "--text", "Hello.", "--output", "none")
    return code == 0 and WORDS in " ".join(output.split()), f"exit {code}: {output[-300:]!r}"


async def cli_audio(url: str, microphone: Path) -> tuple[bool, str]:
    with tempfile.TemporaryDirectory() as folder:
        heard = Path(folder) / "heard.wav"
        code, output = await _cli(url, "--text", "Hello.", "--output", str(heard))
        loud = _loudness(heard) if heard.exists() else 0.0
    return code == 0 and loud > 500, f"exit {code}, peak {loud:.0f}: {output[-120:]!r}"


async def played(url: str, microphone: Path) -> tuple[bool, str]:
    loop = asyncio.get_running_loop()
    async with _calling(url) as call:
        reply = await call.ask("Hello.")
        text, begun = await reply.text(), loop.time()
        await reply.played()
        seconds = loop.time() - begun
        return bool(text) and seconds < 12, f"{text!r}; heard to its end {seconds:.1f} s later"


async def turns_and_history(url: str, microphone: Path) -> tuple[bool, str]:
    async with _calling(url) as call:
        turns = call.turns()
        for question in ("One?", "Two?"):
            await (await call.ask(question)).played()
        seen = []
        while len(seen) < 4:
            turn = await anext(turns)
            if turn.final:
                seen.append((turn.role, turn.text))
        roles = [entry["role"] for entry in call.history if "role" in entry]
    ok = [role for role, _ in seen] == roles == ["user", "assistant"] * 2
    return ok, f"turns {seen}, history {roles}"


async def interruption(url: str, microphone: Path) -> tuple[bool, str]:
    async with _calling(url) as call:
        reply = await call.ask("Tell me a story.")
        await reply.text()
        await call.interrupt()
        await reply.played()
        again = await (await call.ask("And now?")).text()
        return bool(again), f"{reply.status}; then {again!r}"


async def tools(url: str, microphone: Path) -> tuple[bool, str]:
    made = []

    def look() -> str:
        """Look at the clock."""
        made.append("look")
        return "12:00"

    async with _calling(url, tools=[look]) as call:
        text = await (await call.ask("Use the tool.")).text()
    return made == ["look"] and bool(text), f"called {made}, then {text!r}"


STEPS = {
    "CLI: text": cli_text,
    "CLI: audio": cli_audio,
    "played()": played,
    "turns, history": turns_and_history,
    "interruption": interruption,
    "tools": tools,
}
