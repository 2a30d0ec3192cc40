"""Guards: the user's checks of what the model is saying, while it says it.

The words of an answer come faster than they are heard. A guard reads them along, every hundred
characters or so and once more at the end; when it objects, the answer is stopped, and the model is
told why and asked for another one.

    words of an answer -> due? -> the check, in a task or thread -> an objection -> stop, tell, ask
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from rtcvoice import events
from rtcvoice.conversation.owner import context_of
from rtcvoice.errors import CallEnded, ConfigError, RtcVoiceError, clean
from rtcvoice.events import GuardFailed, GuardTripped
from rtcvoice.masking import masked, masked_traceback
from rtcvoice.system.public import public
from rtcvoice.system.threads import DaemonThreads, contained

__all__ = ["Guard", "Guards", "Verdict", "checked_guards"]

logger = logging.getLogger(__name__)

Verdict = bool | str | None
"""What a check says of a text: None, False or "" where all is well, else why it is not."""

LONGEST_REASON = 1000
"""Characters of an objection that the model is told."""

MOST_IN_A_ROW = 3
"""Answers that may be stopped one after the other before the user has to speak again."""

MOST_ANSWERS = 100
"""Answers that are read along at a time; of a server that ends none, the oldest are given up."""

THREADS = 4
"""Checks by plain functions that may run at a time; the next ones wait."""


@public
@dataclass(frozen=True)
class Guard:
    """Has `check` read along what the model says: `connect(guards=[Guard(check)])`.

    check: gets the words of an answer so far, and returns None where all is well, or a text that
        says what is wrong with them (True: no reason is given). Plain functions run in a thread;
        coroutine functions on the event loop.
    every: characters of an answer between two checks (100); one more comes at its end. One that
        takes longer than the next hundred characters skips what came meanwhile: it is then asked
        about all of it.

    What is objected to is stopped as by `call.interrupt()`, which the user hears as a sentence that
    breaks off. The model is told why, and asked for another answer; after three in a row it is only
    told, and so it is where the objection comes when another answer has begun, which goes on.
    Responses out of band are not read. A check that raises objects to nothing: it is logged, and an
    `rtcvoice.guard_failed`.
    """

    check: Callable[[str], Verdict | Awaitable[Verdict]]
    every: int = field(default=100, kw_only=True)

    def __post_init__(self) -> None:
        if not callable(self.check):
            raise ConfigError(
                f"Guard(check={self.check!r:.80}) is not a function", hint="one that takes a text"
            )
        if not isinstance(self.every, int) or isinstance(self.every, bool) or self.every < 1:
            raise ConfigError(f"Guard(every={self.every!r:.80}) is not a whole number above 0")


def checked_guards(guards: Any) -> tuple[Guard, ...]:
    """Return guards as a tuple. Raises ConfigError for what is none."""
    given = (guards,) if isinstance(guards, Guard) else guards
    try:
        listed = tuple(given)
    except TypeError as exc:
        raise ConfigError(
            f"guards={given!r:.80} is not a list", hint="guards=[rtcvoice.Guard(check)]"
        ) from exc
    for each in listed:
        if not isinstance(each, Guard):
            raise ConfigError(
                f"guards= holds {each!r:.80}, which is no Guard", hint="rtcvoice.Guard(check)"
            )
    return listed


class Stopping(Protocol):
    """What a guard's objection needs of the conversation."""

    def is_outside(self, response_id: str) -> bool:
        """Whether a response is out of band: it is not part of the conversation."""

    async def stop(self) -> None:
        """Interrupt the answer, and let nothing follow it of itself."""

    async def tell(self, text: str, *, answer: bool) -> None:
        """Tell the model something, and have it answered if it is to be."""


@dataclass(eq=False)
class _Answer:
    """An answer that is read along."""

    response_id: str
    stopped: bool = False
    """Whether a guard objected to it: one objection is enough."""


@dataclass(eq=False)
class _Watch:
    """One guard, at the words of one answer."""

    guard: Guard
    answer: _Answer
    text: str = ""
    asked: int = 0
    """Characters that the check was asked about."""
    running: bool = False
    over: bool = False
    """Whether no more words come."""

    @property
    def due(self) -> bool:
        """Whether the check is to be asked now."""
        new = len(self.text) - self.asked
        if self.running or self.answer.stopped:
            return False
        return new >= self.guard.every or (self.over and new > 0)


class Guards:
    """The guards of one call. Event loop only; `owner` is the call that checks run for."""

    def __init__(
        self, guards: Sequence[Guard], conversation: Stopping, publish: Callable[[Any], None]
    ) -> None:
        self.owner: object = None
        self._guards = guards
        self._conversation = conversation
        self._publish = publish
        self._context = contextvars.copy_context()
        self._threads = DaemonThreads(THREADS)
        self._watches: dict[str, list[_Watch]] = {}  # by response, that are not over
        self._tasks: set[asyncio.Task[None]] = set()
        self._in_a_row = 0
        self._newest = ""
        """The response that said something last."""

    def feed(self, event: object) -> None:
        """Take the next event of the server."""
        if not self._guards:
            return
        match event:
            case events.ResponseOutputAudioTranscriptDelta() | events.ResponseOutputTextDelta():
                if not self._conversation.is_outside(event.response_id):
                    self._newest = event.response_id
                    for watch in self._watches_of(event.response_id):
                        watch.text += event.delta
                        self._look(watch)
            case events.ResponseDone():
                for watch in self._watches.pop(event.response.id or "", ()):
                    watch.over = True
                    self._look(watch)
            case events.InputAudioBufferCommitted():
                self._in_a_row = 0
            case events.ConversationItemDone(item=events.Message(role="user")):
                self._in_a_row = 0

    def end(self) -> None:
        """Check nothing more: the call is over."""
        for task in list(self._tasks):
            task.cancel()

    async def aclose(self, *, timeout: float) -> None:
        """Wait up to `timeout` s for what `end` cancelled."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=timeout)
        self._threads.shutdown()

    def _watches_of(self, response_id: str) -> list[_Watch]:
        if response_id not in self._watches:
            answer = _Answer(response_id)
            self._watches[response_id] = [_Watch(guard, answer) for guard in self._guards]
            if len(self._watches) > MOST_ANSWERS:
                del self._watches[next(iter(self._watches))]
        return self._watches[response_id]

    def _look(self, watch: _Watch) -> None:
        if not watch.due:
            return
        watch.running, watch.asked = True, len(watch.text)
        context = self._context.copy().run(context_of, self.owner)
        task = asyncio.create_task(self._ask(watch), name="rtcvoice guard", context=context)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _ask(self, watch: _Watch) -> None:
        verdict: Verdict = None
        try:
            verdict = await self._verdict(watch.guard, watch.text)
        except asyncio.CancelledError:
            raise
        except Exception as exc:
            logger.error("x a guard failed\n%s", masked_traceback(exc))  # noqa: TRY400
            self._publish(GuardFailed(response_id=watch.answer.response_id, exception=exc))
        watch.running = False
        if not verdict:
            self._look(watch)  # at what came meanwhile
            return
        if watch.answer.stopped:
            return
        watch.answer.stopped = True
        reason = verdict if isinstance(verdict, str) else "it is not allowed"
        await self._object(watch, masked(clean(reason))[:LONGEST_REASON])

    async def _verdict(self, guard: Guard, text: str) -> Verdict:
        if inspect.iscoroutinefunction(guard.check):
            found: Verdict = await contained(guard.check(text))
            return found
        context = contextvars.copy_context()
        result = await self._threads.start(
            partial(guard.check, text), name="guard", context=context
        )
        return await contained(result) if inspect.isawaitable(result) else result

    async def _object(self, watch: _Watch, reason: str) -> None:
        logger.warning("x a guard stopped an answer: %s", reason)
        response_id = watch.answer.response_id
        late = response_id != self._newest
        self._in_a_row += not late
        self._publish(GuardTripped(response_id=response_id, text=watch.text, reason=reason))
        try:
            if late:  # who would be stopped now has done nothing
                which = "An earlier answer of yours was objected to by a check, after it was heard."
            else:
                await self._conversation.stop()
                which = "Your last answer was stopped by a check, and may have been heard in part."
            await self._conversation.tell(
                f"{which} What was wrong with it: {reason}. Do not repeat it.",
                answer=not late and self._in_a_row <= MOST_IN_A_ROW,
            )
        except CallEnded:
            pass
        except RtcVoiceError as exc:
            logger.warning("x an answer that a guard objects to was not replaced: %s", exc)
