"""Fixtures for all tests: an environment without anybody's keys, and a running emulator."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import pytest
from live import BentEmulator


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the developer's keys and addresses: no test may reach or depend on them."""
    for name in [name for name in os.environ if name.startswith("OPENAI_")]:
        monkeypatch.delenv(name)


@pytest.fixture
async def emulator() -> AsyncIterator[BentEmulator]:
    """A running emulator with a quick pace, whose answers are as they are."""
    async with BentEmulator() as server:
        yield server
