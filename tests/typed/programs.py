"""Small programs as users write them; `test_typing.py` has mypy read them, and nobody runs them.

A line's comment says what mypy tells of it: `# R: type` of a `reveal_type`, `# E: code` of an
error. Every other line must be without one.
"""

from __future__ import annotations

from typing import reveal_type

import rtcvoice
from rtcvoice import events
from rtcvoice.blocking import connect as blocking_connect


def use(*things: object) -> None:
    """Do something with what was found."""


async def reads_events() -> None:
    async with rtcvoice.connect(source=None, sink=None, voice="marin") as call:
        reveal_type(call)  # R: Call
        async for event in call:
            one: events.ServerEvent = event
            if isinstance(event, events.ResponseDone):
                reveal_type(event.response)  # R: RealtimeResponse
            if isinstance(event, rtcvoice.ToolFailed):
                reveal_type(event.failure)  # R: ToolFailure
            match event:
                case events.ErrorEvent():
                    reveal_type(event.error)  # R: ErrorDetail
                case events.UnknownEvent(type=name):
                    reveal_type(name)  # R: str
            use(one.type)


async def waits(call: rtcvoice.Call) -> None:
    done = await call.wait_for(events.ResponseDone, timeout=5)
    reveal_type(done)  # R: ResponseDone
    either = await call.wait_for(events.ResponseDone, events.ErrorEvent)
    reveal_type(either)  # R: ResponseDone | ErrorEvent
    await call.wait_for(events.ResponseDone, where=lambda event: event.response.id == "x")
    await call.wait_for(events.ResponseDone, where=lambda e: e.x is None)  # E: attr-defined
    await call.wait_for(int)  # E: type-var
    await call.wait_for(events.ResponseCreate)  # E: type-var
    async with call.expect(events.SessionUpdated, timeout=5) as updated:
        reveal_type(await call.update(instructions="Be brief."))  # R: Session
        reveal_type(await updated)  # R: SessionUpdated
    expected = call.expect(events.LimitNear, events.LimitReached)
    reveal_type((await expected).limit)  # R: 'cost' | 'idle' | 'seconds' | 'tokens'
    async for each in call.events(events.ResponseOutputTextDelta, events.ResponseDone):
        reveal_type(each)  # R: ResponseOutputTextDelta | ResponseDone
    stream = call.events("response.*", limit=10)
    reveal_type(stream.dropped)  # R: int


def handles(call: rtcvoice.Call) -> None:
    @call.on(events.ResponseDone)
    async def right(event: events.ResponseDone) -> None:
        use(event.response)

    @call.on(events.ResponseDone)  # E: arg-type
    def wrong(event: events.ErrorEvent) -> None:
        use(event.error)

    @call.on(events.LimitNear, events.LimitReached)
    def both(event: events.LimitNear | events.LimitReached) -> None:
        use(event.maximum)

    @call.on("response.*")
    def anything(event: events.ServerEvent) -> None:
        use(event.type)

    reveal_type(right)  # R: def (ResponseDone) -> Coroutine[Any, Any, None]
    call.off(right)
    call.off(both)


async def talks(call: rtcvoice.Call) -> None:
    reply = await call.ask("Hello", max_output_tokens=100)
    await call.ask("Hello", max_tokens=100)  # E: call-arg
    reveal_type(reply)  # R: Reply
    reveal_type(await reply.text())  # R: str
    reveal_type(reply.status)  # R: Status
    reply.give_up(None)  # E: attr-defined
    async for piece in reply:
        reveal_type(piece)  # R: str
    async for turn in call.turns():
        reveal_type(turn.role)  # R: 'user' | 'assistant'
        use(turn.role == "system")  # E: comparison-overlap
    async for block in call.audio():
        reveal_type(block.time)  # R: float
    for entry in call.history:
        if entry["type"] == "message":
            reveal_type(entry["role"])  # R: 'user' | 'assistant' | 'system'
        elif entry["type"] == "function_call":
            use(entry["arguments"], entry["output"])  # E: typeddict-item
    async with call.talk() as talk:
        pass
    reveal_type(talk.reply)  # R: Reply | None


async def prepares() -> None:
    async with rtcvoice.prepare(model="gpt-realtime-2.1") as prepared:
        async with prepared.connect(history=[{"role": "user", "text": "Hello"}]) as call:
            reveal_type(call)  # R: Call
        prepared.connect(voise="marin")  # E: call-arg
        rtcvoice.prepare(voise="marin")  # E: call-arg


def misspells() -> None:
    rtcvoice.connect(voise="marin")  # E: call-arg
    rtcvoice.connect(speed="fast")  # E: arg-type
    blocking_connect(voise="marin")  # E: call-arg


def blocks() -> None:
    with rtcvoice.blocking.connect(source=None, sink=None) as call:
        reveal_type(call.ask("Hello"))  # R: Reply
        reveal_type(call.ask("Hello").text())  # R: str
        reveal_type(call.wait_for(events.ResponseDone, timeout=5))  # R: ResponseDone
        reveal_type(call.hangup(drain=True))  # R: None
        call.hangup(drained=True)  # E: call-arg
        for event in call.events(events.ResponseDone):
            reveal_type(event)  # R: ResponseDone
        for turn in call.turns():
            reveal_type(turn.text)  # R: str

        @call.on(events.ErrorEvent)
        def shows(event: events.ErrorEvent) -> None:
            use(event.error.message)

        with call.expect(events.SessionUpdated) as updated:
            reveal_type(updated.get())  # R: SessionUpdated


def tool(question: str) -> str:
    """Ask another system."""
    call = rtcvoice.current_call()
    reveal_type(call.from_thread(call.ask, question))  # R: Reply
    reveal_type(call.from_thread(call.mute))  # R: None
    call.from_thread(call.ask, question=question)  # E: call-overload
    reveal_type(rtcvoice.blocking.current_call().say("One moment."))  # R: Reply
    return ""


async def fails(call: rtcvoice.Call) -> None:
    try:
        await call.update(voice="nobody")
    except rtcvoice.ServerError as error:
        reveal_type(error.event)  # R: ErrorEvent | None
    except rtcvoice.CallEnded as end:
        reveal_type(end.reason)  # R: str


class Beep(rtcvoice.PacedSource):
    def _next(self, count: int) -> rtcvoice.Samples:
        raise NotImplementedError
