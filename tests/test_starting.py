"""A quick start: what is imported when, and what Ctrl-C does meanwhile."""

from __future__ import annotations

import ast
import asyncio
import enum
import json
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import rtcvoice
from rtcvoice import __main__ as command
from rtcvoice import cli, public_names
from rtcvoice.system.interrupts import (
    ignore_interrupts,
    interrupts_end_the_process,
    started_without_interrupts,
)

HEAVY = {"aiohttp", "aiortc", "asyncio", "av", "httpx", "msgspec", "numpy", "rich", "ssl", "typing"}
BEFORE = "import json, signal, sys; before = set(sys.modules)\n"
AFTER = """
loaded = sorted({name.partition(".")[0] for name in set(sys.modules) - before})
print(json.dumps([loaded, signal.getsignal(2) is signal.default_int_handler]))
"""


def run(code: str) -> tuple[set[str], bool]:
    """Run code in a process of its own: the packages that it loads, and whether SIGINT is as ever.

    Without the site, whose own imports would hide some: the path is taken along.
    """
    path = f"import sys; sys.path[:] = {sys.path!r}\n"
    done = subprocess.run(
        [sys.executable, "-S", "-c", path + BEFORE + code + AFTER],
        capture_output=True,
        text=True,
        check=True,
    )
    loaded, as_ever = json.loads(done.stdout.splitlines()[-1])
    return set(loaded), as_ever


def test_importing_the_package_imports_nothing_else_and_leaves_ctrl_c_alone() -> None:
    assert run("import rtcvoice") == ({"rtcvoice"}, True)


def test_a_call_without_a_bad_network_imports_nothing_of_it() -> None:
    call = "import rtcvoice; rtcvoice.connect(api_key='sk-any', source=None, sink=None)\n"
    leg = "import rtcvoice.wire.leg\n"
    assert run(f"{call}{leg}assert 'rtcvoice.network' not in sys.modules")[1]


@pytest.mark.parametrize("argv", [["--help"], ["--version"], ["--odd"], ["doctor", "--help"]])
def test_help_and_complaints_wait_for_nothing_heavy(argv: list[str]) -> None:
    loaded, as_ever = run(f"from rtcvoice.__main__ import main; sys.argv[1:] = {argv}; main()")
    assert not loaded & HEAVY - {"typing"}
    assert as_ever


# --------------------------------------------------------------------------------- public names


def test_type_checkers_see_the_names_where_they_are() -> None:
    tree = ast.parse(Path(rtcvoice.__file__).read_text())
    (checked,) = (
        node
        for node in tree.body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    )
    seen: dict[str, str | None] = {}
    modules: set[str] = set()
    for node in checked.body:
        assert isinstance(node, ast.ImportFrom)
        names = {alias.name for alias in node.names}
        if node.module == "rtcvoice":
            modules |= names
        else:
            seen |= dict.fromkeys(names, node.module)
    assert seen == public_names.MODULE_OF
    assert sorted(modules) == sorted(public_names.MODULES)
    assert set(rtcvoice.__all__) == seen.keys()


def test_names_are_there_when_they_are_used() -> None:
    assert {*rtcvoice.__all__, "emulator", "events", "__version__"} <= set(dir(rtcvoice))
    code = "import rtcvoice; rtcvoice.events.ResponseDone; rtcvoice.emulator.Emulator"
    loaded, _ = run(code)
    assert "msgspec" in loaded
    with pytest.raises(AttributeError, match=r"module 'rtcvoice' has no attribute 'Mikrophone'"):
        _ = getattr(rtcvoice, "Mikrophone")  # noqa: B009
    with pytest.raises(ImportError, match="Mikrophone"):
        exec("from rtcvoice import Mikrophone", {})


# --------------------------------------------------------------------------------------- Ctrl-C


@pytest.fixture
def _as_before() -> Iterator[None]:
    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_as_before")
def test_ctrl_c_ends_the_process_only_within_the_block() -> None:
    with interrupts_end_the_process():
        assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    with pytest.raises(ZeroDivisionError), interrupts_end_the_process():
        _ = 1 / 0
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.usefixtures("_as_before")
@pytest.mark.parametrize("other", [signal.SIG_IGN, lambda number, frame: None])
def test_what_others_made_of_ctrl_c_stays(other: signal.Handlers) -> None:
    signal.signal(signal.SIGINT, other)
    with interrupts_end_the_process():
        assert signal.getsignal(signal.SIGINT) is other
    with interrupts_end_the_process():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


BLOCKED = "import signal; print(signal.pthread_sigmask(signal.SIG_BLOCK, []))"


@pytest.mark.usefixtures("_as_before")
@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="Windows has no such masks")
def test_processes_that_are_started_for_us_do_not_see_ctrl_c() -> None:
    """Those of a batch told of it by a traceback each, while they were starting."""
    with started_without_interrupts():
        process = subprocess.run([sys.executable, "-S", "-c", BLOCKED], capture_output=True)
        assert b"SIGINT" in process.stdout
        assert signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, [])
        ignore_interrupts()  # what such a process does first
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


@pytest.mark.usefixtures("_as_before")
def test_in_a_thread_nothing_is_changed() -> None:
    seen = []

    def importing() -> None:
        with interrupts_end_the_process():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=importing)
    thread.start()
    thread.join()
    assert seen == [signal.default_int_handler]


@pytest.mark.usefixtures("_as_before")
def test_the_console_script(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "main", lambda: 7)
    assert command.main() == 7
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    text = (Path(__file__).resolve().parent.parent / "pyproject.toml").read_text()
    assert 'rtcvoice = "rtcvoice.__main__:main"' in text


def test_public_classes_say_that_they_are_public() -> None:
    for name in rtcvoice.__all__:
        value = getattr(rtcvoice, name)
        if isinstance(value, type) and not issubclass(value, enum.Enum):
            assert (value.__module__, value.__qualname__) == ("rtcvoice", name)
            assert pickle.loads(pickle.dumps(value)) is value


# ------------------------------------------------------------------------------- a cold call

COLD_CALL = """
import asyncio, json, sys
import rtcvoice

UNUSED = ["numpy", "dns", "rtcvoice.playout.engine", "rtcvoice.device",
          "rtcvoice.capture.echo", "rtcvoice.capture.microphone", "rtcvoice.playout.speaker",
          "rtcvoice.telemetry", "opentelemetry", "rtcvoice.live", "rtcvoice.events.live",
          "rtcvoice.config.live_config", "rtcvoice.call.live_call"]
BEFORE_REQUEST = [*UNUSED, "aiortc", "av", "rtcvoice.conversation.road", "rtcvoice.events"]


async def main():
    connecting = rtcvoice.connect(
        base_url=sys.argv[1], api_key="sk-test", source=None, sink=None, reconnect=None
    )
    found = {"request": [name for name in BEFORE_REQUEST if name in sys.modules]}
    from rtcvoice.call.life import Life

    begin = Life.__init__

    def noting(self, *args, **options):  # the connection is up, and all that a call is made of
        found["ready"] = [name for name in UNUSED if name in sys.modules]
        begin(self, *args, **options)

    Life.__init__ = noting
    async with connecting as call:
        async with asyncio.timeout(60):  # then it is, beside the call
            while "rtcvoice.playout.engine" not in sys.modules:
                await asyncio.sleep(0.01)
    print(json.dumps(found))


asyncio.run(main())
"""


async def test_a_cold_call_imports_nothing_before_it_is_needed(emulator) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", COLD_CALL, emulator.url, stdout=subprocess.PIPE
    )
    output, _ = await process.communicate()
    assert process.returncode == 0
    assert json.loads(output) == {"request": [], "ready": []}
