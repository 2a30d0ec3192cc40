"""Every conversation of a test is recorded, and replayed against the same script: same turns.

As a plugin of pytest (`-p replaying`) for all scenes; `replayed` does it for one of them.
"""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import pytest
import virtual_call
import virtual_loop
from emulator_driver import CHUNK

from rtcvoice import ReplaySource
from rtcvoice.call import facts
from rtcvoice.call.telling import Telling
from rtcvoice.errors import CallEnded
from rtcvoice.recording.given_tools import runs_of
from rtcvoice.recording.options import Recording
from rtcvoice.recording.reading import RecordedCall
from rtcvoice.recording.recorder import Recorder
from rtcvoice.stats import CallStats

VirtualCall = virtual_call.VirtualCall


class _Facts:
    """Keeps the facts, in virtual time; the recorder gets them at the end."""

    wants_audio = False  # what is said and heard is told by the call itself

    def __init__(self, loop):
        self.now = loop.time
        self.told = []

    def tell(self, fact, *, size=0):
        self.told.append(fact)

    def end(self, reason, usage):
        self.tell(facts.CallOver(time=self.now(), reason=reason, usage=None))


class RecordedVirtualCall(VirtualCall):
    """A virtual call that is recorded into a folder of its own."""

    made: ClassVar[list] = []
    root: ClassVar[str] = ""

    def __init__(self, *turns, **options):
        super().__init__(*turns, **options)
        self._again = (type(self).socket, turns, {**options, "history": ()})
        self._facts = _Facts(self._loop)
        self._index = 0
        self.faulty = options.get("change") is not None
        self.stats_of = lambda: (None, 0.0)
        self._facts.tell(
            facts.CallStarted(
                time=self._loop.time(),
                unix_time=1796000000.0 + len(self.made),
                options={"session": {"type": "realtime", **options.get("session", {})}},
            )
        )
        self._facts.tell(
            facts.LegUp(time=self._loop.time(), leg_id="rtc_1", route="udp", via="direct")
        )
        self._telling = Telling(
            self._facts, self._conversation, None, figures=lambda: (CallStats(), 0.0)
        )
        self.made.append(self)

    async def __aexit__(self, *exc_info):
        reason = self._ended or CallEnded("over", normal=True)
        await super().__aexit__(*exc_info)
        self._telling.end(reason)
        Recorder(Recording(self.root, raw=True)).take(self._facts.told, 0)

    def _transmit(self, text):
        super()._transmit(text)
        self._facts.tell(facts.EventSent(time=self._loop.time(), leg_id="rtc_1", text=text))

    def _receive(self, text):
        if self._ended is None:
            fact = facts.EventReceived(time=self._loop.time(), leg_id="rtc_1", text=text)
            self._facts.tell(fact)
        super()._receive(text)

    def _hear(self, piece):
        time = self._loop.time() - self._way - CHUNK / 24000
        sent = facts.AudioSent(time=time, samples=piece, rate=24000, index=self._index)
        self._index += len(piece)
        self._facts.tell(sent)
        super()._hear(piece)


class ReplayedCall(VirtualCall):
    """A virtual call whose user is a recorded one; tools give back what was recorded."""

    def __init__(self, source, recorded, *turns, **options):
        super().__init__(*turns, **options)
        self._source = source
        runs = runs_of(recorded.events())
        self._runs = {run.name: [each for each in runs if each.name == run.name] for run in runs}
        if runs:
            self._conversation.on_calls = self._answer
            self._conversation.state.sequencer.calls_wanted = True

    def _answer(self, calls):
        for call in calls:
            run = self._runs[call.name].pop(0)
            self._loop.call_later(
                run.seconds, self._conversation.answer_call, call.call_id, run.output
            )

    async def hangup(self):
        self.end(CallEnded("over", normal=True))

    async def _live(self):
        while True:
            await asyncio.sleep(CHUNK / 24000)
            self._loop.call_later(self._way, self._hear, self._source._next(CHUNK))


async def _replay(folder, again, by_clock):
    socket, turns, options = again
    source = ReplaySource(folder, by_clock=by_clock)
    made = type("Replayed", (ReplayedCall,), {"socket": socket})
    async with made(source, RecordedCall(folder), *turns, **options) as call:
        return await asyncio.wait_for(source.replay(call), 1000)


@contextmanager
def recording(monkeypatch, *modules):
    """Let the virtual calls of these modules be recorded; yields them."""
    with tempfile.TemporaryDirectory() as root:
        made = []
        recorded = type("Recorded", (RecordedVirtualCall,), {"made": made, "root": root})
        for module in modules:
            monkeypatch.setattr(module, "VirtualCall", recorded)
        yield made


def replay_all(made, *, by_clock=False):
    """Replay what was recorded; return the results."""
    folders = sorted(Path(made[0].root).iterdir()) if made else []
    return [
        virtual_loop.run(_replay(folder, call._again, by_clock))
        for folder, call in zip(folders, made, strict=True)
    ]


# -- the plugin -------------------------------------------------------------------------------


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem):
    """Run the test, and then replay what it recorded."""
    module = pyfuncitem.module
    if not hasattr(module, "VirtualCall"):
        return (yield)
    with pytest.MonkeyPatch.context() as patch:
        import test_conversation_scenarios

        modules = {module, test_conversation_scenarios}
        patch.setattr(VirtualCall, "socket", VirtualCall.socket)
        with recording(patch, *modules) as made:
            done = yield
            for result in replay_all(made):
                if not result.same_turns:
                    raise AssertionError(f"the replay is another call\n{result}")
    return done
