"""Whatever the session is lost at, or exchanged: the conversation is whole, and nobody waits."""

from __future__ import annotations

import asyncio

import pytest
import virtual_loop
from moving_scenes import MovingScene


@pytest.mark.parametrize("batch", range(12))
def test_a_session_that_is_lost_at_any_event(batch):
    for seed in range(batch * 10, batch * 10 + 10):
        virtual_loop.run(played(seed))


async def played(seed):
    scene = MovingScene(seed)
    try:
        await asyncio.wait_for(scene.play(10 + seed % 60 * 2, seed % 4 + 1), 3000)
        scene.check()
    finally:
        await scene.close()
