"""Fixtures for all tests: an environment without anybody's keys, and a running emulator."""

from __future__ import annotations

import gc
import logging
import os
from collections.abc import AsyncIterator, Iterator

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
