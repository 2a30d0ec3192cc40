"""What importing rtcvoice does to a program's Ctrl-C: nothing, unless the program is rtcvoice."""

from __future__ import annotations

import importlib.util
import signal
import sys
from collections.abc import Iterator
from types import ModuleType

import pytest

import rtcvoice_main
from rtcvoice import _starting, cli


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def begun(monkeypatch: pytest.MonkeyPatch, argv: list[str], original: list[str]) -> ModuleType:
    """Import the module anew, as a process with these arguments does."""
    monkeypatch.setattr(sys, "argv", argv)
    monkeypatch.setattr(sys, "orig_argv", original)
    spec = importlib.util.find_spec(_starting.__name__)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("argv", "original"),
    [
        (["-m", "--text", "hi"], ["python", "-X", "dev", "-m", "rtcvoice", "--text", "hi"]),
        (["-m"], ["python", "-mrtcvoice"]),
    ],
)
def test_this_command(
    argv: list[str], original: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    module = begun(monkeypatch, argv, original)
    assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL
    module.finished()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize(
    ("argv", "original"),
    [
        (["-m"], ["python", "-m", "hostapp"]),
        (["-m", "rtcvoice"], ["python", "-m", "hostapp", "rtcvoice"]),
        (["/opt/rtcvoice", "call"], ["python", "/opt/rtcvoice", "call"]),
        (["-c"], ["python", "-c", "import rtcvoice"]),
        ([""], ["python"]),
        ([], []),
    ],
)
def test_other_programs_are_left_alone(
    argv: list[str], original: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    module = begun(monkeypatch, argv, original)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    module.finished()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_the_console_script(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "main", lambda: 7)
    assert rtcvoice_main.main() == 7
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    assert rtcvoice_main.main() == 7
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
