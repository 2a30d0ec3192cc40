"""Part of scripts/fuzz: conversations whose session is lost, or exchanged, at any event."""

from __future__ import annotations

import asyncio
import logging
from random import Random

import virtual_loop
from moving_scenes import MovingScene

from rtcvoice.system.states import StateTable

__all__ = ["case"]

LONGEST = 3000.0
"""Seconds, in virtual time, in which everything has to come to rest."""

logging.disable(logging.CRITICAL)
StateTable.strict = True


def case(seed: int) -> str:
    """Play a conversation; return how often its session was lost, renewed, and could not be had."""
    return virtual_loop.run(_played(seed))


async def _played(seed: int) -> str:
    random = Random(seed)
    scene = MovingScene(seed)
    try:
        play = scene.play(random.randint(5, 70) * 2, random.randint(1, 6))
        await asyncio.wait_for(play, LONGEST)
        scene.check()
    finally:
        await scene.close()
    counts = {kind: scene.happened.count(kind) for kind in ("lost", "renewed", "failed")}
    return ", ".join(f"{kind} {min(count, 3)}" for kind, count in counts.items())
