"""The pytest plugin as its users have it: in a pytest of its own, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rtcvoice.emulator import Faults, HttpFault, Strike
from rtcvoice.emulator.background import BackgroundEmulator
from rtcvoice.errors import ConfigError

ROOT = Path(__file__).resolve().parent.parent

EXAMPLE = next(
    code
    for code in (ROOT / "rtcvoice" / "emulator" / "README.md").read_text().split("```python\n")[1:]
    if "rtcvoice_emulator(" in code
).partition("```")[0]

MORE = """
import os


def test_without_the_fixture_there_is_no_emulator():
    assert "OPENAI_BASE_URL" not in os.environ
"""

LAZY = """
import sys


def test_the_plugin_alone_imports_nothing_heavy():
    heavy = {"aiortc", "asyncio", "av", "numpy", "aiohttp", "msgspec"}
    assert not heavy & sys.modules.keys()
    ours = {name for name in sys.modules if name.startswith("rtcvoice")}
    assert ours == {"rtcvoice", "rtcvoice.public_names", "rtcvoice.pytest_plugin"}
"""


def run_pytest(folder, name, text):
    """Run one test file with the plugin, as an installation's entry point loads it."""
    (folder / name).write_text(text)
    environment = {key: value for key, value in os.environ.items() if "OPENAI" not in key}
    environment |= {"PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "rtcvoice.pytest_plugin",
        "--strict-markers",
        "-q",
    ]
    return subprocess.run(
        [*command, "-p", "no:cacheprovider", name],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.parametrize(("text", "passed"), [(EXAMPLE + MORE, 3), (LAZY, 1)])
def test_in_a_project_of_its_own(tmp_path, text, passed):
    result = run_pytest(tmp_path, "test_agent.py", text)
    assert f"{passed} passed" in result.stdout, result.stdout + result.stderr


def test_options_without_a_name_are_refused(tmp_path):
    wrong = (
        "import pytest\n\n@pytest.mark.rtcvoice_emulator([1])\ndef test(rtcvoice_emulator): ...\n"
    )
    result = run_pytest(tmp_path, "test_agent.py", wrong)
    assert "takes options by name" in result.stdout
    assert "passed" not in result.stdout


def test_the_installed_package_offers_the_plugin():
    text = (ROOT / "pyproject.toml").read_text()
    assert '[project.entry-points.pytest11]\nrtcvoice = "rtcvoice.pytest_plugin"' in text


def test_the_background_emulator_is_steered_from_another_thread():
    with BackgroundEmulator(faults=Faults(http=HttpFault.QUOTA)) as server:
        assert server.faults.http is HttpFault.QUOTA
        server.faults = Faults()
        assert server.url.startswith("http://127.0.0.1:")
        with pytest.raises(LookupError, match="nobody has called"):
            server.strike(Strike.FREEZE)
    with pytest.raises(ConfigError), BackgroundEmulator(port=70_000):
        pass
    with pytest.raises(RuntimeError):
        _ = BackgroundEmulator().url
