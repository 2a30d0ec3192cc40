"""What the README shows is true: its code runs against the emulator, its commands exist."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from rtcvoice.cli.options import parse
from rtcvoice.emulator import Emulator, Pace, Turn, prompt_path

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
PYTHON = re.findall(r"^```python\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
SHELL = re.findall(r"^```sh\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
COMMANDS = [
    shlex.split(line, comments=True)
    for block in SHELL
    for line in block.splitlines()
    if line.strip()
]


@pytest.mark.parametrize("code", PYTHON, ids=range(len(PYTHON)))
async def test_code_runs(code: str, tmp_path: Path) -> None:
    (tmp_path / "question.wav").symlink_to(prompt_path("question"))
    script = [Turn(says=("reply-1",))] * 3
    async with Emulator(script=script, pace=Pace(response_latency=0.05)) as server:
        process = await _start(code, tmp_path, server.url)
        output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()


async def _start(code: str, folder: Path, url: str):  # type: ignore[no-untyped-def]
    import asyncio

    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-W",
        "error",
        "-c",
        code,
        cwd=folder,
        env={"OPENAI_API_KEY": "sk-readme", "OPENAI_BASE_URL": url, "PATH": "/usr/bin:/bin"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


@pytest.mark.parametrize("words", COMMANDS, ids=[" ".join(words[:4]) for words in COMMANDS])
def test_commands_exist(words: list[str]) -> None:
    if words[:3] == ["python", "-m", "rtcvoice"]:
        assert callable(parse(words[3:]).run)
    elif words[0].startswith("scripts/"):
        assert (ROOT / words[0]).stat().st_mode & 0o111
    else:
        assert words[0] in ("git", "pip")


def test_the_exit_codes_named_are_the_ones_used() -> None:
    from rtcvoice.cli.exit_codes import EXIT_CODES

    for _, code in EXIT_CODES:
        if code > 1:
            assert re.search(rf"\b{code} [a-z]", README)
