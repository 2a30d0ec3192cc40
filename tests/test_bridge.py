"""Two calls that hear each other."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from live import BentEmulator, calling

import rtcvoice
from rtcvoice import ConfigError
from rtcvoice.call.bridge import MOST, MUCH, Crossing
from rtcvoice.emulator import Turn

pytestmark = pytest.mark.usefixtures("no_stray_errors")

RATE = 24000


def test_what_goes_in_comes_out_one_block_later():
    crossing, sent = Crossing(RATE), np.arange(1, 24001, dtype=np.int16)
    got = []
    for block in range(50):
        for half in range(2):
            crossing.write(sent[block * 480 + half * 240 :][:240])
        got.append(crossing.read(480))
    heard = np.concatenate(got)
    assert np.array_equal(heard[heard != 0], sent[sent != 0])
    assert crossing.level == 0
    assert crossing.dropped == 0


@pytest.mark.parametrize("ppm", [100, -100, 1000])
def test_an_hour_with_clocks_that_differ(ppm):
    """Speech of 2 s and pauses of 1 s: nothing is lost of the speech, and the delay stays."""
    crossing = Crossing(RATE)
    written, read, worst = 0.0, 0.0, 0.0
    loud, silent = np.full(240, 5000, np.int16), np.zeros(240, np.int16)
    said = heard = 0
    for _ in range(180_000):
        read += 0.02
        while written < read * (1 + ppm * 1e-6):
            speaks = written % 3 < 2
            crossing.write(loud if speaks else silent)
            said += 240 * speaks
            written += 0.01
        heard += int(np.count_nonzero(crossing.read(480)))
        worst = max(worst, crossing.level)
    assert worst < MUCH + 0.03
    assert heard > 0.9999 * said - 480


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 2000)), max_size=200))
def test_no_order_of_writes_and_reads_loses_its_way(steps):
    crossing = Crossing(RATE)
    written = read = 0
    for writes, count in steps:
        if writes:
            crossing.write(np.full(count, 9, np.int16))
            written += count
        else:
            samples = crossing.read(count)
            assert len(samples) == count
            read += int(np.count_nonzero(samples))
        assert crossing.level <= MOST + 2000 / RATE
        assert written == read + crossing.dropped + round(crossing.level * RATE)


async def test_two_assistants_talk_until_a_word_is_said():
    bridge = rtcvoice.Bridge()
    async with (
        BentEmulator(script=[Turn(says="it-is-done")] * 3) as server,
        calling(server, **bridge.first) as first,
        calling(server, **bridge.second) as second,
    ):
        with pytest.raises(ConfigError, match="not a pattern"):
            await bridge.run(first, second, until="(")
        told = await bridge.run(first, second, until="is done", seconds=30)
        assert told == "it was said: is done"
    assert [entry["role"] for entry in first.history][:1] == ["assistant"]
    assert [entry["role"] for entry in second.history][:1] == ["user"]
    assert first.state is second.state is rtcvoice.CallState.ENDED


async def test_one_that_hangs_up_ends_both():
    bridge = rtcvoice.Bridge()
    async with (
        BentEmulator() as server,
        calling(server, **bridge.first) as first,
        calling(server, **bridge.second) as second,
    ):
        second.on("session.*")(lambda event: None)
        await second.hangup()
        told = await bridge.run(first, second, begin=False, seconds=5)
        assert told == "one side hung up: hung up"
    assert first.state is rtcvoice.CallState.ENDED
