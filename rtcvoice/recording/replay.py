"""Does again, in a new call, what the user did in a recorded one, and compares the two.

    source = rtcvoice.ReplaySource("calls/20261129-...")
    async with rtcvoice.connect(source=source, **source.options) as call:
        print(await source.replay(call))

What was said is played, what was written or shown is sent, answers are stopped and the session is
changed, at the same moments relative to the other side's answers, or by the clock. Tools give back
what was recorded. Of the recording only sound, pictures, words and settings of the session are
taken: no address, no key, no path, no code.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Coroutine, Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from rtcvoice.capture.source import PacedSource
from rtcvoice.config.call_config import CHANGEABLE
from rtcvoice.conversation.tools.toolset import ToolSet
from rtcvoice.errors import CallEnded, ConfigError, RtcVoiceError
from rtcvoice.events import (
    ContentPart,
    ConversationItemCreate,
    InputAudioBufferClear,
    InputAudioBufferCommit,
    InputAudioBufferSpeechStopped,
    Message,
)
from rtcvoice.masking import masked
from rtcvoice.sound import numpy_later as np
from rtcvoice.sound.samples import DEFAULT_RATE, OPUS_RATES, Samples
from rtcvoice.system import clock
from rtcvoice.system.public import public
from rtcvoice.system.threads import in_thread

from .acts import Act, ActKind
from .compared import Course, ReplayResult, course_of
from .given_tools import GivenTools, ToolRun, runs_of
from .marks import READY, Mark, MarkKind, Marks
from .reading import RecordedCall
from .session_taken import session_taken
from .user_acts import acts_of

if TYPE_CHECKING:
    from rtcvoice.call.call import Call
    from rtcvoice.conversation.asking.talk import Talk

__all__ = ["ReplaySource"]

logger = logging.getLogger(__name__)

PATIENCE = 10.0
"""Seconds more than in the recorded call that an answer is waited for: it may never come."""

QUIET_AFTER_SPEECH, QUIET_AFTER_TEXT = 1.5, 0.3
"""Seconds without an event after which no answer to the last act will come."""

NOTICED_WITHIN = 0.5
"""Seconds around the end of the user's words within which the server notices that it is one."""

LONGEST_SILENCE = 60.0
"""Seconds without an event after which an answer that has begun is given up."""

LONGEST_WAIT = 120.0
"""Seconds that one act waits at most, whatever the recording says."""

_IN_WRITING = (ActKind.WRITES, ActKind.PUTS, ActKind.ADDS, ActKind.CHANGES, ActKind.LISTENS)


@public
class ReplaySource(PacedSource):
    """The user of a recorded call, as the source of another one. Raises ConfigError.

    folder: of one call, the client's recording or the emulator's.
    by_clock: act at the recorded times, whatever the other side does meanwhile.
    tools: functions to be run, as `connect` takes them. None: what was recorded is given back.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        by_clock: bool = False,
        tools: ToolSet | Iterable[Callable[..., object] | Mapping[str, object]] | None = None,
    ) -> None:
        recorded = RecordedCall(folder)
        if kind := _without_turns(recorded):
            raise ConfigError(
                f"{folder} is {kind}: it has no turns that could be waited for",
                hint="its sound is audio.wav: connect(source=FileSource(...)) speaks it again",
            )
        with recorded.audio() as audio:
            rate = audio.rate or DEFAULT_RATE
        if rate not in OPUS_RATES:
            raise ConfigError(f"{folder} is recorded at {rate} Hz, which no call has")
        super().__init__(rate=rate)
        self._recorded = recorded
        self._by_clock = by_clock
        self._acts, self._marks_then, self.left_out = acts_of(
            recorded.events(), end=recorded.hung_up_at
        )
        """What the recorded user did that is not done again, in a line each."""
        taken = session_taken(recorded)
        self._runs: list[ToolRun] | None = None if tools is not None else runs_of(recorded.events())
        self.tools = (
            ToolSet.of(tools) if self._runs is None else GivenTools(taken.tools, self._runs)
        )
        """The session's functions: each gives back what was recorded, if no others were given."""
        self.options: dict[str, Any] = {**taken.options, "tools": self.tools}
        """The settings of the recorded session, as `connect` takes them; with `tools`."""
        self.recorded: Course = course_of(recorded)
        """How the recorded call went."""
        self._speech: Samples = np.zeros(0, np.int16)
        self._talk: Talk | None = None
        self._speaking = (-1, 0.0)  # number of the act, and when it will be over
        self._began = True
        self._spoken = asyncio.Event()
        self._marks = Marks()
        self._reached = asyncio.Event()
        self._session: dict[str, Any] = {}
        self._under_way: set[asyncio.Task[None]] = set()
        self._ended: CallEnded | None = None
        self._now = clock.now

    @property
    def acts(self) -> int:
        """How many things the user did."""
        return sum(act.kind not in (ActKind.LISTENS, ActKind.HANGS_UP) for act in self._acts)

    @property
    def seconds(self) -> float:
        """How long the recorded user took for them."""
        ready = self._marks_then.times.get(READY, 0.0)
        return max((act.end - ready for act in self._acts), default=0.0)

    async def replay(self, call: Call) -> ReplayResult:
        """Do everything that the user did; return how both calls went, once all is answered.

        What the new call refuses of it is logged, and left out. Raises CallEnded when the new call
        ends before that by a failure.
        """
        course, self._now = Course(), clock.of_loop(asyncio.get_running_loop())
        began, self._session = self._now(), dict(self.options)
        watching = [
            asyncio.create_task(self._watch(call, course)),
            asyncio.create_task(_note_turns(call, course)),
        ]
        try:
            self._reach(READY, began)
            for number, act in enumerate(self._acts):
                await self._wait_for(act, began)
                await self._do(act, call, number)
            await self._finish_acts()
            self._finished.set()
            if self._ended is None:
                await self._answered(call)
            else:
                await asyncio.wait(watching, timeout=PATIENCE)
        finally:
            self._finished.set()
            for task in (*watching, *self._under_way):
                task.cancel()
            await asyncio.gather(*watching, *self._under_way, return_exceptions=True)
        course.waits = [latency.seconds for latency in call.latency]
        return ReplayResult(recorded=self.recorded, now=course, left_out=tuple(self.left_out))

    def _next(self, count: int) -> Samples:
        part, self._speech = self._speech[:count], self._speech[count:]
        if len(part) and not self._began:
            self._began = True
            self._reach(Mark(MarkKind.SPEAKS, self._speaking[0]), self._now() - count / self.rate)
        if not len(self._speech):
            self._spoken.set()
        if len(part) == count:
            return part
        return np.concatenate((part, np.zeros(count - len(part), np.int16)))

    # -- acts -----------------------------------------------------------------------------------

    async def _wait_for(self, act: Act, began: float) -> None:
        """Return when it is time for an act."""
        ready = self._marks_then.times.get(READY, 0.0)
        if self._by_clock:
            await self._sleep_until(began + act.begin - ready)
            return
        at = self._marks.times.get(act.mark)
        if at is None:
            since = self._marks_then.times.get(act.mark, act.begin)
            last = max((t for t in self._marks_then.times.values() if t < since), default=since)
            patience = min(since - last + PATIENCE, LONGEST_WAIT)
            with suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    while (at := self._marks.times.get(act.mark)) is None:
                        self._reached.clear()
                        await self._reached.wait()
                        self._check_end()
        if at is None:
            logger.warning("x the answer that was waited for does not come: the replay goes on")
            return
        await self._sleep_until(min(at + act.delay, self._now() + LONGEST_WAIT))

    async def _answered(self, call: Call) -> None:
        """Return when the call is idle and stays so, or has ended normally."""
        wrote = all(act.kind in _IN_WRITING for act in self._acts[-3:])
        quiet = QUIET_AFTER_TEXT if wrote else QUIET_AFTER_SPEECH
        last = self._now()
        try:
            while True:
                with suppress(TimeoutError):
                    await call.wait_for("*", timeout=quiet)
                    last = self._now()
                    continue
                if call.is_idle:
                    return
                if self._now() - last > LONGEST_SILENCE:
                    logger.warning("x the last answer does not come to its end: the replay ends")
                    return
        except CallEnded as end:
            if not end.normal:
                raise

    async def _do(self, act: Act, call: Call, number: int) -> None:
        """Begin an act; what takes time goes on beside those that follow."""
        if act.kind is ActKind.SPEAKS:
            # Somebody may press a key while speaking, but speaks once at a time.
            await self._finish_acts(ActKind.SPEAKS)
        elif act.kind is ActKind.COMMITS:
            await self._finish_acts(ActKind.SPEAKS)
        doing = self._done_with(self._work(act, call, number), act, number)
        task = asyncio.create_task(doing, name=f"rtcvoice replay {act.kind.name}")
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        await asyncio.sleep(0)  # in order: a text is sent before the answer to it is stopped
        if act.kind in (ActKind.ADDS, ActKind.HANGS_UP):
            await asyncio.wait([task])
        if act.kind is not ActKind.SPEAKS:
            self._reach(Mark(MarkKind.ACTED, number), self._now())
        self._check_end()

    async def _done_with(self, doing: Coroutine[Any, Any, None], act: Act, number: int) -> None:
        try:
            await doing
        except CallEnded as end:
            self._ended = end
        except RtcVoiceError as exc:
            logger.warning(
                "x of the recorded call this cannot be done again (%s): %s",
                act.kind.name.lower(),
                masked(str(exc)),
            )
        if act.kind is ActKind.SPEAKS:
            if act.noticed:
                await self._until_noticed(number)
            self._reach(Mark(MarkKind.ACTED, number), self._now())

    async def _until_noticed(self, number: int) -> None:
        """Wait for the server to notice that the user has stopped speaking; not for long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(NOTICED_WITHIN):
                while Mark(MarkKind.ACTED, number) not in self._marks.times:
                    self._reached.clear()
                    await self._reached.wait()

    async def _finish_acts(self, kind: ActKind | None = None) -> None:
        name = f"rtcvoice replay {kind.name}" if kind else "rtcvoice replay"
        tasks = [task for task in self._under_way if task.get_name().startswith(name)]
        if tasks:
            await asyncio.wait(tasks, timeout=LONGEST_WAIT if kind is None else None)
        self._check_end()

    def _check_end(self) -> None:
        if self._ended is not None and not self._ended.normal:
            raise self._ended.again()

    async def _work(self, act: Act, call: Call, number: int) -> None:
        match act.kind:
            case ActKind.SPEAKS:
                await self._say(act, number)
            case ActKind.WRITES:
                clip = np.frombuffer(act.clip, "<i2").astype(np.int16) if act.clip else None
                if act.answered:
                    await call.ask(act.text, images=act.images, audio=clip, **act.options)
                else:
                    await call.send(act.text, images=act.images, audio=clip)
            case ActKind.PUTS:
                text = ContentPart(type="input_text", text=act.text)
                item = Message(role="user", content=[text])
                await call.send_event(ConversationItemCreate(item=item))
            case ActKind.ADDS:
                await call.seed(act.history)
            case ActKind.CLEARS:
                await call.send_event(InputAudioBufferClear())
            case ActKind.COMMITS:
                await call.send_event(InputAudioBufferCommit())
                if act.answered:
                    await call.respond(**act.options)
            case ActKind.PRESSES:
                self._talk = call.talk(respond=act.answered)
                await self._talk.__aenter__()
            case ActKind.RELEASES if self._talk is not None:
                talk, self._talk = self._talk, None
                try:
                    await talk.__aexit__(None, None, None)
                finally:
                    call.unmute()  # silence is in the recording where there was one
            case ActKind.ASKS:
                await call.respond(**act.options)
            case ActKind.STOPS:
                await call.interrupt()
            case ActKind.CHANGES:
                await self._change(act, call)
            case ActKind.LISTENS:
                pass
            case ActKind.HANGS_UP:
                await call.hangup()
                self._ended = CallEnded("hung up, as in the recorded call", normal=True)

    async def _change(self, act: Act, call: Call) -> None:
        """Change what is not so already: over a WebSocket the first change only sets it up."""
        changes = {
            name: value
            for name, value in act.options.items()
            if name in CHANGEABLE and self._session.get(name) != value
        }
        self._session |= changes
        if act.tools is not None and self._runs is not None:
            tools = GivenTools(act.tools, self._runs)
            if tools.definitions != self.tools.definitions:
                self.tools = changes["tools"] = tools
        if changes:
            await call.update(**changes)

    async def _say(self, act: Act, number: int) -> None:
        """Play a stretch of the recorded user's voice, and return when it was said."""
        heard = await in_thread(self._read, act.begin, act.end)
        if len(heard):
            self._spoken.clear()
            self._speech, self._began = heard, False
            self._speaking = (number, self._now() + len(heard) / self.rate)
            await self._spoken.wait()

    def _read(self, begin: float, end: float) -> Samples:
        with self._recorded.audio() as audio:
            samples: Samples = np.ascontiguousarray(audio.read(begin, end)[:, 0])
        return samples

    # -- what the other side does ---------------------------------------------------------------

    async def _sleep_until(self, moment: float) -> None:
        await asyncio.sleep(max(0.0, moment - self._now()))

    def _reach(self, mark: Mark, time: float) -> None:
        self._marks.note(mark, time)
        self._reached.set()

    async def _watch(self, call: Call, course: Course) -> None:
        try:
            async for event in call:
                self._marks.feed(event, self._now())
                if isinstance(event, InputAudioBufferSpeechStopped):
                    number, end = self._speaking
                    if self._now() >= end - NOTICED_WITHIN:
                        self._reach(Mark(MarkKind.ACTED, number), self._now())
                course.feed(event)
                self._reached.set()
        except CallEnded as end:
            self._ended = end
        self._reached.set()


async def _note_turns(call: Call, course: Course) -> None:
    with suppress(CallEnded):
        async for turn in call.turns():
            course.turn(turn.role, turn.text, turn.status.value)


def _without_turns(recorded: RecordedCall) -> str:
    """Return what call it is whose server tells no turns, by its model; empty for all others."""
    options = recorded.call.get("options")
    model = str(options.get("model") or "") if isinstance(options, dict) else ""
    kinds = {"gpt-live": "a call of GPT-Live", "gpt-realtime-translate": "a translation"}
    return next((kind for name, kind in kinds.items() if model.startswith(name)), "")
