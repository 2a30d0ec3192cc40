"""What is missing is installed in one way, which pages and hints name alike."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from rtcvoice.system.extras import install_extra

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
FILES = [
    *ROOT.glob("*.md"),
    *(file for end in ("py", "md") for file in (ROOT / "rtcvoice").rglob(f"*.{end}")),
    *(ROOT / "scripts").rglob("*.md"),
]
FIRST = '.venv/bin/pip install ".[emulator]"'
"""The one line that works before rtcvoice is installed, in its folder."""


def test_an_extra_is_named_in_one_way_and_is_there() -> None:
    told = {file: file.read_text(encoding="utf-8") for file in FILES}
    used = {name for text in told.values() for name in re.findall(r"rtcvoice\[([\w-]+)\]", text)}
    used |= {
        name for text in told.values() for name in re.findall(r"install_extra\(.([\w-]+).\)", text)
    }
    assert {"mcp", "server", "emulator"} <= used <= PROJECT["optional-dependencies"].keys()
    for file, text in told.items():
        text = text.replace(FIRST, "")
        for command in re.findall(r"pip install[^`\n]*\[[^`\n]*", text):
            named = re.search(r"\[([\w-]+|\{name\})\]", command)
            assert named, (file, command)
            assert command.startswith(install_extra(named[1])), (file, command)
    assert FIRST in told[ROOT / "README.md"]
