"""The seam of facts: what a call tells, and that no listener can hold it up or break it."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter

import pytest
from live import BentEmulator, calling, eventually

import rtcvoice
from rtcvoice.call import facts as told
from rtcvoice.call.facts import CallOver, EventReceived, LegUp, StageBegan
from rtcvoice.call.listeners import MOST_FACTS, Facts
from rtcvoice.emulator import Turn
from rtcvoice.errors import CallEnded

pytestmark = pytest.mark.usefixtures("no_stray_errors")

END = CallEnded("hung up", normal=True)


class Notes:
    """A listener that keeps everything; `hold` blocks it, `error` is raised by it."""

    def __init__(self, *, wants_audio=True, hold=None, error=None):
        self.wants_audio = wants_audio
        self.facts, self.dropped = [], 0
        self._hold, self._error = hold, error

    def take(self, facts, dropped):
        if self._hold is not None:
            self._hold.wait(60)
        if self._error is not None:
            raise self._error
        self.facts += facts
        self.dropped += dropped

    def of(self, kind):
        return [fact for fact in self.facts if isinstance(fact, kind)]


def stage(n):
    return StageBegan(time=float(n), stage="ice")


async def test_whoever_listens_gets_everything_in_order_and_the_end_last():
    facts, notes = Facts(), Notes()
    assert not facts
    facts.tell(stage(0))  # to nobody
    facts.listen(notes, name="notes")
    assert facts
    for n in range(1, 100):
        facts.tell(stage(n))
    facts.end(END, None)
    facts.tell(stage(100))  # too late
    await facts.aclose(timeout=30)
    assert [fact.time for fact in notes.facts[:-1]] == list(range(1, 100))
    assert isinstance(notes.facts[-1], CallOver)
    assert not facts


async def test_a_listener_that_blocks_loses_what_is_too_much_and_nobody_waits(caplog):
    blocked, facts = threading.Event(), Facts()
    slow, quick = Notes(hold=blocked), Notes()
    facts.listen(slow, name="slow")
    facts.listen(quick, name="quick")
    facts.tell(stage(0))
    await eventually(lambda: quick.facts)
    for n in range(MOST_FACTS + 50):
        facts.tell(stage(n))
    facts.end(END, None)
    await facts.aclose(timeout=0.2)  # does not wait for the slow one
    assert "has not finished" in caplog.text
    blocked.set()
    await eventually(lambda: slow.of(CallOver))
    assert slow.dropped >= 50
    assert len(slow.facts) + slow.dropped == MOST_FACTS + 52


async def test_long_events_fill_the_queue_by_their_length():
    blocked, facts = threading.Event(), Facts()
    slow = Notes(hold=blocked)
    facts.listen(slow, name="slow")
    for _ in range(40):
        facts.tell(EventReceived(time=0.0, leg_id="rtc_1", text="x"), size=1 << 20)
    facts.end(END, None)
    blocked.set()
    await facts.aclose(timeout=30)
    assert 8 <= slow.dropped < 40


async def test_a_listener_that_raises_is_told_no_more_and_the_others_are(caplog):
    facts, good = Facts(), Notes()
    facts.listen(Notes(error=ValueError("broken")), name="bad")
    facts.listen(good, name="good")
    for n in range(3):
        facts.tell(stage(n))
        await asyncio.sleep(0.11)
    facts.end(END, None)
    await facts.aclose(timeout=30)
    assert len(good.facts) == 4
    assert caplog.text.count("a listener to the call's facts failed") == 1


async def test_audio_is_told_only_to_those_who_want_it():
    facts, deaf, notes = Facts(), Notes(wants_audio=False), Notes()
    facts.listen(deaf, name="deaf")
    assert not facts.wants_audio
    facts.listen(notes, name="notes")
    assert facts.wants_audio
    facts.tell_audio(told.AudioSent(time=0.0, samples=b"", rate=24000, index=0))
    facts.end(END, None)
    await facts.aclose(timeout=30)
    assert len(notes.of(told.AudioSent)) == 1
    assert len(deaf.facts) == 1


async def test_a_call_tells_of_everything_that_happens_in_it():
    def clock() -> str:
        return "noon"

    notes = Notes()
    script = [Turn(calls=["clock"], then=Turn(says=("it-is-done",)))]
    async with BentEmulator(script=script, audio="instant") as server:
        connecting = calling(server, tools=[clock])
        connecting._listeners.append(notes)
        async with connecting as call:
            reply = await call.ask("What time is it?")
            await reply.played()
    count = Counter(type(fact).__name__ for fact in notes.facts)
    assert isinstance(notes.facts[0], told.CallStarted)
    assert notes.facts[-1].reason.normal
    stages = {fact.stage for fact in notes.of(told.StageEnded)}
    assert {"token", "offer", "answer", "ice", "dtls", "channel", "session"} <= stages
    assert [fact.leg_id for fact in notes.of(LegUp)] == [call.id]
    assert count["CallReady"] == count["ToolBegan"] == count["ToolEnded"] == 1
    assert count["ReplyBegan"] == count["ReplyEnded"] == 2
    assert [fact.turn.role for fact in notes.of(told.TurnEnded)] == ["user", "assistant"]
    assert count["StatsTick"] >= 1
    assert count["EventReceived"] > count["EventSent"] >= 2
    heard = notes.of(told.AudioHeard)
    assert [fact.index for fact in heard] == list(range(0, 240 * len(heard), 240))
    assert len({len(fact.samples) for fact in notes.of(told.AudioSent)}) == 1
    assert not notes.of(told.LegEnded)


async def test_a_call_that_does_not_come_about_tells_why():
    notes = Notes()
    connecting = rtcvoice.connect(
        source=None, sink=None, api_key="sk-any", base_url="http://127.0.0.1:9/v1"
    )
    connecting._listeners.append(notes)
    with pytest.raises(rtcvoice.RtcVoiceError):
        await connecting
    assert "connecting failed" in str(notes.facts[-1].reason)
