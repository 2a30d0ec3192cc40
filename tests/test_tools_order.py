"""Tools and sequencer together, in virtual time: however calls and events interleave, all outputs
go in before the one request for what follows, and nobody is answered twice."""

from __future__ import annotations

import asyncio
from typing import Any

from fake_road import FakeLeg, FakeOutput
from hypothesis import given, settings
from hypothesis import strategies as st
from virtual_loop import run

import rtcvoice.events as ev
from rtcvoice.conversation.road import CallConversation
from rtcvoice.conversation.tools.toolset import ToolSet

DELAYS = st.sampled_from([0.0, 0.01, 0.5, 2.0, 5.0, 40.0])
"""Seconds that a call takes; the last is beyond the tool's timeout."""


async def work(seconds: float) -> float:
    """Take a while."""
    await asyncio.sleep(seconds)
    if seconds == 0.5:
        raise RuntimeError("on purpose")
    return seconds


class Wire:
    """A dialogue and its tools, with what they sent; the test plays the server."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        tools = ToolSet([work], timeout=30, concurrency=3)
        self.leg = FakeLeg()
        self.sent = self.leg.sent
        self.conversation = CallConversation(FakeOutput(), model="m", tools=tools, clock=loop.time)
        self.conversation.attach(self.leg)
        self.runner = self.conversation.tools
        self.events: list[Any] = []
        self.conversation.dispatcher.publish = self.events.append  # type: ignore[method-assign]
        self.runner._publish = self.events.append
        self.feed(ev.SessionCreated(session=ev.Session()))

    def feed(self, event: Any) -> None:
        self.conversation.feed(event)

    def created(self, response_id: str) -> None:
        response = ev.RealtimeResponse(id=response_id, conversation_id="conv", status="in_progress")
        self.feed(ev.ResponseCreated(response=response))

    def called(self, response_id: str, number: int, seconds: float) -> None:
        item = ev.FunctionCall(
            id=f"item_{response_id}_{number}",
            call_id=f"call_{response_id}_{number}",
            name="work" if number != 3 else "nonsense",
            arguments=f'{{"seconds":{seconds}}}',
            status="completed",
        )
        self.feed(
            ev.ResponseOutputItemDone(response_id=response_id, output_index=number, item=item)
        )

    def done(self, response_id: str) -> None:
        response = ev.RealtimeResponse(id=response_id, conversation_id="conv", status="completed")
        self.feed(ev.ResponseDone(response=response))

    async def aclose(self) -> None:
        self.runner.end()
        await self.runner.aclose(timeout=1)
        await self.conversation.aclose()


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.floats(0, 3), DELAYS), min_size=1, max_size=5),
    st.floats(0, 6),
)
def test_all_outputs_of_a_response_go_in_before_one_request(
    calls: list[tuple[float, float]], over_after: float
) -> None:
    async def main() -> None:
        wire = Wire()
        wire.created("resp_1")
        for number, (pause, seconds) in enumerate(calls):
            await asyncio.sleep(pause)
            wire.called("resp_1", number, seconds)
        await asyncio.sleep(over_after)
        assert wire.sent == []  # nothing while the response is being made
        wire.done("resp_1")
        for _ in range(200):
            if any(isinstance(event, ev.ResponseCreate) for event in wire.sent):
                break
            await asyncio.sleep(0.5)
        await asyncio.sleep(5)
        *outputs, create = wire.sent
        assert isinstance(create, ev.ResponseCreate)
        assert [event.item.call_id for event in outputs] == [
            f"call_resp_1_{number}" for number in range(len(calls))
        ]
        for number, (output, (_, seconds)) in enumerate(zip(outputs, calls, strict=True)):
            failed = seconds in (0.5, 40.0) or number == 3
            assert output.item.output.startswith('{"error":') == failed
        assert not wire.runner._calls
        await wire.aclose()

    run(main())


def test_a_response_cut_off_calls_nothing() -> None:
    async def main() -> None:
        wire = Wire()
        wire.created("resp_1")
        item = ev.FunctionCall(
            id="i", call_id="c", name="work", arguments='{"sec', status="incomplete"
        )
        wire.feed(ev.ResponseOutputItemDone(response_id="resp_1", output_index=0, item=item))
        wire.done("resp_1")
        await asyncio.sleep(5)
        assert wire.sent == wire.events == []
        await wire.aclose()

    run(main())
