"""Road 3 put together: one leg after the other, and an end that reaches everybody."""

from __future__ import annotations

import asyncio
import logging

import pytest
import virtual_loop
from fake_road import FakeLeg, FakeOutput

from rtcvoice.conversation.road import CallConversation
from rtcvoice.errors import CallEnded


class Road(CallConversation):
    """A conversation with what it sends in `leg.sent`, and what it does to the ear in `output`."""

    def __init__(self, **options):
        self.leg, self.output = FakeLeg(), FakeOutput()
        super().__init__(self.output, model="m", **options)
        self.attach(self.leg)


def broken(*args):
    """Raise, as a part with a bug would."""
    raise RuntimeError("a bug")


@pytest.mark.parametrize("part", ["tools", "accounts", "_confirmations", "_replies", "streams"])
def test_every_part_ends_although_one_raises(part, caplog):
    async def main():
        road = Road()
        getattr(road, part).end = broken
        events, turns = road.dispatcher.subscribe(), road.turns()
        with road.dispatcher.expect("error") as waiter:
            road.end(CallEnded("hung up", normal=True))
            assert [event async for event in events] == []
            if part != "streams":
                assert [turn async for turn in turns] == []
            with pytest.raises(CallEnded, match="hung up"):
                await waiter
        await road.aclose()

    with caplog.at_level(logging.ERROR):
        virtual_loop.run(main())
    assert "a bug" in caplog.text


def test_what_fails_in_closing_is_logged_and_the_rest_is_closed(caplog):
    closed = []

    async def main():
        road = Road()

        async def fails():
            raise RuntimeError("a bug")

        async def works():
            await asyncio.sleep(1)
            closed.append(True)

        road._replies.aclose, road.accounts.aclose = fails, works
        road.end(CallEnded("hung up", normal=True))
        await road.aclose()

    with caplog.at_level(logging.ERROR):
        virtual_loop.run(main())
    assert closed == [True]
    assert "a bug" in caplog.text


def test_a_type_with_control_characters_is_clean_in_the_log(caplog):
    async def main():
        Road().receive('{"type": "evil\\u001b]0;x\\u0007\\u202e\\nfaked line"}')

    with caplog.at_level(logging.DEBUG):
        virtual_loop.run(main())
    (line,) = [r.getMessage() for r in caplog.records if r.name.startswith("rtcvoice")]
    assert line == "< evil]0;x faked line"


def test_a_conversation_goes_on_over_another_leg():
    async def main():
        road = Road()
        ready = asyncio.create_task(road.ready())
        await asyncio.sleep(1)
        assert not ready.done()
        road.receive('{"type": "session.created", "session": {"instructions": "a"}}')
        await ready
        gone = CallEnded("the first leg is gone", normal=False)
        road.detach(gone)
        with pytest.raises(CallEnded, match="first leg is gone"):
            await road.commands.update({"instructions": "b"})
        second = FakeLeg()
        road.attach(second)
        ready = asyncio.create_task(road.ready())
        await asyncio.sleep(1)
        assert not ready.done()  # of this leg nothing is known yet
        assert road.session.instructions == "a"
        road.receive('{"type": "session.created", "session": {"instructions": "b"}}')
        await ready
        road.send_by_hand({"type": "response.cancel"})
        assert [event.type for event in second.sent] == ["response.cancel"]
        assert road.leg.sent == []

    virtual_loop.run(main())


def test_what_is_cut_is_silent_at_once_and_the_next_answer_is_heard():
    async def main():
        road = Road()
        road.receive('{"type": "output_audio_buffer.started", "response_id": "r"}')
        assert (road.output.flushes, road.output.resumes) == (0, 1)
        road.send_by_hand({"type": "output_audio_buffer.clear"})
        assert road.output.flushes == 1  # not a round trip later

    virtual_loop.run(main())
