"""Runs the function calls of the model, each in a task, and always has an answer for the model.

A call goes through five gates: a known name, arguments that fit, an approval, a free place, a
result in time that can be sent. Whatever fails on the way becomes an error output for the model,
which can then try otherwise or tell the user, and an `rtcvoice.tool_failed` event. The user's code
runs in a task, a thread or a process of its own, so it can neither block nor end the call; when the
call ends, coroutines are cancelled, processes killed, and what a thread still returns is dropped.

Which outputs go in together, and when the model is asked to go on, is the sequencer's business.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    asynccontextmanager,
    contextmanager,
    nullcontext,
)
from functools import partial
from typing import Any

import msgspec

from rtcvoice.conversation.owner import context_of
from rtcvoice.conversation.state.function_calls import (
    CURRENT_CALL,
    CalledFunction,
    CurrentCall,
    OnStart,
)
from rtcvoice.errors import one_line
from rtcvoice.events import (
    ToolCancelled,
    ToolFailed,
    ToolFailure,
    ToolFinished,
    ToolStarted,
)
from rtcvoice.masking import masked, masked_traceback
from rtcvoice.system import clock
from rtcvoice.system.threads import DaemonThreads, contained, settable_in_future

from .answering import Answering
from .failures import Failed, LateError, failures, readable
from .function_tool import Approval, Tool, ToolCall
from .later import Later, as_output
from .results import called, encoded
from .schema import Arguments
from .served import ServedTools
from .toolset import ToolSet
from .work import Processes

__all__ = ["ToolRunner"]

logger = logging.getLogger(__name__)

WAITING = 100
"""Calls that may run or wait at a time; a model that makes more is told so."""

THREADS = 32
"""Jobs in threads at a time, those given up on included: each of these keeps its thread."""

ENVELOPE = 1024
"""Bytes of a message that are around the result in it."""


class ToolRunner(ServedTools):
    """Runs the calls of one session. Event loop only; nothing here raises to its caller.

    conversation: where calls come from and outputs go.
    publish: takes the events for the user.
    Functions run in a copy of the context in which the runner is made; `owner` is the call, which
    they get from `current_call()`.
    """

    def __init__(
        self,
        tools: ToolSet,
        conversation: Answering,
        publish: Callable[[Any], None],
        *,
        clock: Callable[[], float] = clock.now,
    ) -> None:
        self.owner: object = None
        self.on_start: OnStart | None = None
        """Told of each call just before its tool runs."""
        self._conversation = conversation
        self._publish = publish
        self._clock = clock
        self._context = contextvars.copy_context()
        self._threads = DaemonThreads(THREADS)
        self._processes = Processes()
        self._calls: dict[asyncio.Task[None], CalledFunction] = {}
        self._later = Later(conversation, publish, self.spawn)
        self._jobs: set[asyncio.Future[Any]] = set()
        self._ended = False

        conversation.on_calls = self._called
        self._use(tools)

    @property
    def tools(self) -> ToolSet:
        """The tools that calls are looked up in."""
        return self._tools

    @contextmanager
    def replacing(self, tools: ToolSet | None) -> Iterator[None]:
        """Serve other tools once the block is left without an error; inside it, both.

        Calls that run go on. None changes nothing.
        """
        if tools is None:
            yield
            return
        self._coming = tools
        try:
            yield
            self._use(tools)
        finally:
            self._coming = self._tools

    def run(self, call: CalledFunction) -> None:
        """Begin to run a call; its answer comes later, and always, unless the end comes first."""
        if self._ended:
            return
        if len(self._calls) >= WAITING:
            self._fail(call, Failed(ToolFailure.BUSY, f"{WAITING} calls are waiting already"))
            return
        task = self.spawn(self._serve(call), f"rtcvoice tool {_name_of(call)}")
        self._calls[task] = call
        task.add_done_callback(lambda done: self._calls.pop(done, None))

    def keeps_busy(self, but: Collection[str] = ()) -> bool:
        """Whether something runs in the background whose result will be spoken of.

        `but`: ids of calls that do not count.
        """
        return self._later.expected(but)

    def end(self) -> None:
        """Cancel everything: the call is over. Further calls are ignored."""
        if self._ended:
            return
        self._ended = True
        self._later.end()
        self._end_servers()
        for task, call in list(self._calls.items()):
            task.cancel()
            self._publish(ToolCancelled(**self._about(call)))

    async def aclose(self, *, timeout: float) -> None:
        """Wait up to `timeout` s for what `end` cancelled; what does not stop then is logged."""
        self.end()
        tasks = {*self._calls, *self._jobs, *self._later.tasks} - {asyncio.current_task()}
        if tasks:
            _, stuck = await asyncio.wait(tasks, timeout=timeout)
            for task in stuck:
                name = task.get_name() if isinstance(task, asyncio.Task) else "a thread"
                logger.warning("x a tool does not stop: %s", name)
        await self._close_servers(timeout)
        if self._processes:
            close = self._threads.start(
                self._processes.close, name="tool close", context=self._context_of_call()
            )
            await asyncio.wait({close}, timeout=timeout)

    def _use(self, tools: ToolSet) -> None:
        self._tools = self._coming = tools
        self._places = asyncio.Semaphore(tools.concurrency)
        self._places_of: dict[str, asyncio.Semaphore] = {}
        self._conversation.want_calls(len(tools) > 0)
        self._keep_servers(tools)

    def _called(self, calls: list[CalledFunction]) -> None:
        for call in calls:
            if self._tool(call.name) is None and call.name in self._conversation.function_names:
                self._conversation.ignore_call(call.call_id)  # the user defined it, and answers it
            else:
                self.run(call)

    def _tool(self, name: str) -> Tool | None:
        return self._tools.get(name) or self._coming.get(name)

    # -- one call -------------------------------------------------------------------------------

    async def _serve(self, call: CalledFunction) -> None:
        current = CurrentCall(call)
        CURRENT_CALL.set(current)
        tool = self._tool(call.name)
        try:
            with self._later.reporting(current):
                output = await self._output(call, tool)
        except Failed as failed:
            output = self._failure_output(call, failed)
        except Exception as exc:  # a bug of ours must not leave the model waiting for ever
            shown = masked_traceback(exc)
            logger.error("x running tool %s failed\n%s", _name_of(call), shown)  # noqa: TRY400
            output = self._failure_output(call, Failed(ToolFailure.RAISED, "internal error", exc))
        finally:
            current.running = False
        speak = tool is None or tool.speak
        if current.answered:
            await self._later.give(call, output, speak=speak)
        else:
            self._give(call, output, speak=speak)

    def _give(self, call: CalledFunction, output: str, *, speak: bool) -> None:
        try:
            self._conversation.answer_call(call.call_id, output, speak=speak)
        except Exception as exc:
            shown = masked_traceback(exc)
            logger.error("x the output of tool %s is lost\n%s", _name_of(call), shown)  # noqa: TRY400

    async def _output(self, call: CalledFunction, tool: Tool | None) -> str:
        if tool is None:
            raise Failed(ToolFailure.UNKNOWN_NAME, f"there is no tool called {_name_of(call)!r}")
        arguments = await self._bound(tool, call)
        async with self._place(tool):
            await self._approve(tool, call, arguments.named)
            about = self._about(call)
            if self.on_start is not None and (current := CURRENT_CALL.get()):
                current.enter = self.on_start(call, tool.name)
            self._publish(ToolStarted(**about, arguments=arguments.named))
            if tool.background:
                self._give(call, as_output("running"), speak=tool.speak)
                self._later.begin(call, speak=tool.speak)
            began = self._clock()
            output = await self._result(tool, arguments)
            seconds = self._clock() - began
        self._publish(ToolFinished(**about, output=output, seconds=seconds))
        return output

    async def _bound(self, tool: Tool, call: CalledFunction) -> Arguments:
        """Return the model's arguments as values. Raises Failed."""
        with failures(tool):
            bind = partial(tool.signature.bind, call.arguments)
            if tool.signature.runs_user_code:
                made: Arguments = await self._in_thread(tool, bind)
                return made
            return bind()

    @asynccontextmanager
    async def _place(self, tool: Tool) -> AsyncIterator[None]:
        """Hold one of the places of the tool, then one of all; none of all in the background."""
        own: AbstractAsyncContextManager[None] = nullcontext()
        if tool.concurrency is not None:
            own = self._places_of.setdefault(tool.name, asyncio.Semaphore(tool.concurrency))
        async with own, nullcontext() if tool.background else self._places:
            yield

    async def _approve(self, tool: Tool, call: CalledFunction, named: dict[str, Any]) -> None:
        """Return if the call may run. An approval has no timeout: a person may be asked."""
        if tool.approve is None:
            return
        asked = ToolCall(name=tool.name, arguments=named, call_id=call.call_id, server=tool.server)
        try:
            verdict = await self.verdict(tool.approve, asked)
        except Exception as exc:
            raise Failed(ToolFailure.REFUSED, "the approval of this call failed", exc) from exc
        if isinstance(verdict, str):
            raise Failed(ToolFailure.REFUSED, f"not approved: {verdict}")
        if verdict is not True:
            raise Failed(ToolFailure.REFUSED, "not approved")

    async def verdict(self, hook: Approval, asked: ToolCall) -> Any:
        """Ask a hook, as long as that takes; raises what it raises."""
        if inspect.iscoroutinefunction(hook):
            return await self._await(hook(asked), None)
        work = partial(hook, asked)
        job = self._threads.start(work, name="tool approval", context=self._context_of_call())
        verdict = await self._wait(job, None)
        return await self._await(verdict, None) if inspect.isawaitable(verdict) else verdict

    async def _result(self, tool: Tool, arguments: Arguments) -> str:
        """Run the function and return its encoded result. Raises Failed."""
        args, kwargs, _ = arguments
        limit = min(self._tools.output_limit, self._conversation.message_limit - ENVELOPE)
        deadline = self._clock() + tool.timeout
        with failures(tool):
            if tool.is_async:
                result = await self._await(tool.function(*args, **kwargs), tool.timeout)
                return await self._encoded(result, limit)
            if tool.process:
                job = self._processes.job(tool.function, args, kwargs, limit)
                return str(await self._in_thread(tool, job.run, on_cancel=job.kill))
            work = partial(called, tool.function, args, kwargs, limit)
            result = await self._in_thread(tool, work)
            if inspect.isawaitable(result):  # a plain function that gave a coroutine
                result = await self._await(result, deadline - self._clock())
                return await self._encoded(result, limit)
            return str(result)

    async def _encoded(self, result: Any, limit: int) -> str:
        """Encode beside the loop what may take long: a coroutine's result can be of any size."""
        if isinstance(result, str) and len(result) <= limit:
            return encoded(result, limit)
        work = partial(encoded, result, limit)
        job = self._threads.start(work, name="tool result", context=self._context_of_call())
        return str(await self._wait(job, None))

    async def _in_thread(
        self, tool: Tool, work: Callable[[], Any], on_cancel: Callable[[], None] = lambda: None
    ) -> Any:
        job = self._threads.start(work, name=f"tool {tool.name}", context=self._context_of_call())
        job.add_done_callback(lambda done: on_cancel() if done.cancelled() else None)
        return await self._wait(job, tool.timeout)

    async def _await(self, awaitable: Awaitable[Any], timeout: float | None) -> Any:
        return await self._wait(self.spawn(contained(awaitable), "rtcvoice tool"), timeout)

    async def _wait(self, job: asyncio.Future[Any], timeout: float | None) -> Any:
        """Return a job's result; raises LateError after `timeout` s, with the job cancelled.

        The job is not waited for then: what ignores its cancellation would hold up the answer.
        """
        self._jobs.add(job)
        job.add_done_callback(self._done)
        try:
            done, _ = await asyncio.wait({job}, timeout=timeout)
        finally:
            job.cancel()  # does nothing to one that is done
        if not done:
            raise LateError
        if job.cancelled():  # not by us: by its own doing
            raise RuntimeError("the function was cancelled")
        if (error := job.exception()) is not None:
            raise settable_in_future(error)
        return job.result()

    def _done(self, job: asyncio.Future[Any]) -> None:
        self._jobs.discard(job)
        if not job.cancelled():
            job.exception()  # seen: what comes after its time is dropped

    def spawn(self, coroutine: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        """Start a task in the user's context."""
        return asyncio.create_task(coroutine, name=name, context=self._context_of_call())

    def _context_of_call(self) -> contextvars.Context:
        """Return a copy of the user's context in which the call that is being served is known."""
        context = self._context.copy().run(context_of, self.owner)
        if (current := CURRENT_CALL.get()) is not None:
            current.make_known(context)
        return context

    def _fail(self, call: CalledFunction, failed: Failed) -> None:
        self._give(call, self._failure_output(call, failed), speak=True)

    def _about(self, call: CalledFunction) -> dict[str, str]:
        """Return the fields of an event that say which call it is about."""
        tool = self._tool(call.name)
        shown = {"name": _name_of(call), "server": tool.server if tool is not None else ""}
        return {**shown, "call_id": call.call_id, "item_id": call.item_id}

    def _failure_output(self, call: CalledFunction, failed: Failed) -> str:
        """Tell the user of a failure; return what the model is told."""
        message = readable(failed.message)
        if failed.cause is None:
            logger.warning("x tool %r: %s", _name_of(call), message)
        else:
            shown = masked_traceback(failed.cause)
            logger.error("x tool %r: %s\n%s", _name_of(call), message, shown)
        about, cause = self._about(call), failed.cause
        self._publish(ToolFailed(**about, failure=failed.failure, message=message, exception=cause))
        return msgspec.json.encode({"error": failed.for_model or message}).decode()


def _name_of(call: CalledFunction) -> str:
    """Return the name of what is called, fit for people: the model may have made it up."""
    return masked(one_line(call.name, 64))
