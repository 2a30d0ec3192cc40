"""What of the integration of the Agents SDK needs no SDK: the sound that a program sends, as the
source of a call, and what is said where the SDK is missing.
"""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
import virtual_loop

import rtcvoice

FILE = Path(rtcvoice.__file__).parent / "integrations" / "openai_agents" / "sent_sound.py"
BLOCK = 480


@pytest.fixture
def new():
    """Make a source; the module is loaded by itself, for its package imports the SDK."""
    spec = importlib.util.spec_from_file_location("sent_sound", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.SentSound


def sound(first: int, blocks: float = 1) -> bytes:
    return np.arange(first, first + int(blocks * BLOCK), dtype="<i2").tobytes()


async def read(source, blocks: int) -> np.ndarray:
    return np.concatenate([(await source.read()).samples for _ in range(blocks)])


def test_uneven_pieces_come_out_whole(new):
    async def run():
        source = new()
        await source.open()
        pieces = [sound(1, 1.5), sound(1 + 720, 0.25), sound(1 + 840, 2.25)]
        for piece in pieces:
            await source.put(piece)
        heard = await read(source, 8)
        (begin,) = np.flatnonzero(heard)[:1]
        assert begin % BLOCK == 0
        assert np.array_equal(heard[begin : begin + 4 * BLOCK], np.arange(1, 1 + 4 * BLOCK))
        assert not heard[begin + 4 * BLOCK :].any()

    virtual_loop.run(run())


def test_a_short_sound_alone_goes_out_60_ms_later(new):
    async def run():
        source = new()
        await source.open()
        await read(source, 1)
        await source.put(sound(1, 0.5))
        heard = await read(source, 5)
        assert np.flatnonzero(heard)[0] == 3 * BLOCK
        assert np.count_nonzero(heard) == BLOCK // 2

    virtual_loop.run(run())


def test_sent_waits_until_all_is_on_its_way(new):
    async def run():
        source = new()
        await source.open()
        await source.sent()  # nothing was put in
        await source.put(sound(1, 4))
        sent = asyncio.create_task(source.sent())
        for _ in range(5):
            await read(source, 1)
            assert not sent.done()
        await read(source, 1)
        await asyncio.sleep(0)
        assert sent.done()

    virtual_loop.run(run())


def test_too_much_waits_for_room(new):
    async def run():
        source = new()
        await source.open()
        await source.put(bytes(60 * 48_000))
        more = asyncio.create_task(source.put(sound(1)))
        await asyncio.sleep(0)
        assert not more.done()
        await read(source, 2)
        await asyncio.sleep(0)
        assert more.done()

    virtual_loop.run(run())


def test_the_end_lets_nobody_wait(new):
    async def run():
        source = new()
        await source.open()
        await source.put(sound(1, 4))
        sent = asyncio.create_task(source.sent())
        await asyncio.sleep(0)
        await source.aclose()
        with pytest.raises(rtcvoice.CallEnded):
            await sent
        with pytest.raises(rtcvoice.CallEnded):
            await source.put(sound(1))

    virtual_loop.run(run())


def test_half_a_sample_is_refused(new):
    async def run():
        with pytest.raises(ValueError, match="3 bytes"):
            await new().put(bytes(3))

    virtual_loop.run(run())


def test_without_the_sdk_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "agents", None)
    monkeypatch.delitem(sys.modules, "rtcvoice.integrations.openai_agents", raising=False)
    with pytest.raises(ModuleNotFoundError, match=r'pip install "rtcvoice\[openai-agents\]"'):
        importlib.import_module("rtcvoice.integrations.openai_agents")
