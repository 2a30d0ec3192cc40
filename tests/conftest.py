"""Fixtures for all tests: an environment without anybody's keys, and a running emulator."""

from __future__ import annotations

import gc
import logging
import os
import socket
from collections.abc import AsyncIterator, Generator, Iterator

import pytest
from hypothesis import HealthCheck, settings
from live import BentEmulator, heed_ctrl_c

from rtcvoice.system.states import StateTable

OURS = ("OPENAI_", "AZURE_OPENAI_", "RTCVOICE_ICE_")
"""The variables that a call reads."""


# How long an example takes says nothing: the machine may stand still in one.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")
heed_ctrl_c()
StateTable.strict = True  # a change of state that its table does not have raises


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Let workers tell of reruns at once: each test would wait 40 ms for a delayed ACK (Nagle)."""
    asks = getattr(getattr(config, "failures_db", None), "sock", None)
    if asks is not None:
        asks.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


FROM_THE_END = os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:] in ("1", "3")
"""Whether this is a worker that imports the last file of tests first.

Workers start at the same moment, and each has to import all files. pytest rewrites the asserts of a
file that is new to it, and keeps the result on disk: two that come from both ends meet in the
middle, and each finds the half of the other done.
"""


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    if FROM_THE_END and isinstance(collector, pytest.Dir):
        report.result.reverse()
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path)  # all workers need one order; that of a file stays


def pytest_collection_finish() -> None:
    """Leave what was imported out of each garbage collection that is to come, for it stays."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the developer's keys and addresses: no test may reach or depend on them."""
    for name in [name for name in os.environ if name.startswith(OURS)]:
        monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def levels_of_loggers() -> Iterator[None]:
    """Take back what a command sets: it is alone in its process, and tests are not."""
    yield
    for logger in logging.root.manager.loggerDict.values():
        # Each call of `setLevel` goes through all loggers: only where there is a level.
        if isinstance(logger, logging.Logger) and logger.level != logging.NOTSET:
            logger.setLevel(logging.NOTSET)


@pytest.fixture
async def emulator() -> AsyncIterator[BentEmulator]:
    """A running emulator with a quick pace, whose answers are as they are."""
    async with BentEmulator() as server:
        yield server


@pytest.fixture
def no_stray_errors(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fail when asyncio complains of an error that nobody retrieved, or of a task destroyed."""
    yield
    gc.collect(1)  # the young: a full collection costs a tenth of a second a test
    records = [r for when in ("setup", "call", "teardown") for r in caplog.get_records(when)]
    assert [r.getMessage() for r in records if r.name == "asyncio"] == []


@pytest.fixture
def nothing_is_lost(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fail when asyncio complains, while a test runs, of an exception that nobody asked for."""
    yield
    assert [r.getMessage() for r in caplog.get_records("call") if r.name == "asyncio"] == []


@pytest.fixture
def pipe() -> Iterator[dict[str, int]]:
    """Both ends of a pipe; one that is -1 afterwards was closed by the test."""
    reader, writer = os.pipe()
    files = {"reader": reader, "writer": writer}
    yield files
    for descriptor in files.values():
        if descriptor >= 0:
            os.close(descriptor)
