"""A long call of GPT-Live, the whole road against the emulator's core: nothing drifts."""

from __future__ import annotations

import asyncio
import os

import numpy as np
import pytest
from emulator_driver import silence, speech
from live_driver import BACKEND
from live_talk import TalkWithEmulator
from test_live_state_emulated import Audible
from virtual_loop import run

from rtcvoice import ToolSet
from rtcvoice.emulator import Turn

MINUTES = float(os.environ.get("RTCVOICE_LONG_MINUTES", "2"))
"""Of the call; half an hour takes 20 s, so that is for `RTCVOICE_LONG_MINUTES=30`."""

EVERY = 20.0
"""Seconds between two questions."""


def scripted(count):
    """Return what is asked and answered; each third time by a function."""
    script = []
    for number in range(count):
        if number % 3 == 2:
            then = Turn(says=f"It is {number} degrees.")
            calls = {"get_weather": {"city": "Paris"}}
            script.append(Turn(hears=f"weather {number}", calls=calls, then=then))
        else:
            script.append(Turn(hears=f"question {number}", says=f"answer {number} in some words"))
    return script


def test_turns_stay_where_they_were_said():
    async def main():
        async def get_weather(city: str) -> str:
            """Return the weather."""
            return '{"degrees": 18}'

        loop = asyncio.get_running_loop()
        count = round(MINUTES * 60 / EVERY)
        tools = ToolSet([get_weather])
        call = TalkWithEmulator(
            {"delegation": BACKEND}, voice=Audible(), script=scripted(count), tools=tools
        )
        turns = []
        call.talk.streams.put = turns.append
        await call.start()
        asked = []
        for _ in range(count):
            asked.append(loop.time())
            await call.hear(np.concatenate([speech(1.5), silence(EVERY - 1.5)]))
        users = [turn for turn in turns if turn.role == "user"]
        answers = [turn for turn in turns if turn.role == "assistant"]
        assert len(users) == count
        for turn, at in zip(users, asked, strict=True):
            assert turn.began == pytest.approx(at, abs=0.1)
        assert len(answers) == len(call.loud)
        for turn, at in zip(answers, call.loud, strict=True):
            assert turn.began == pytest.approx(at, abs=0.1)
        texts = [turn.text for turn in answers]
        assert sum("some words" in text for text in texts) == count - count // 3
        assert sum("degrees." in text for text in texts) == count // 3
        waited = [turn.seconds for turn in call.talk.accounts.latency]
        assert waited[-1] == pytest.approx(waited[0], abs=0.1)
        usage = call.talk.accounts.usage
        assert usage.seconds == pytest.approx(count * EVERY, abs=1.5)
        assert call.talk.is_idle
        await call.end()

    run(main())
