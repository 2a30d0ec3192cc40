"""The conversation side of a call: its end reaches everybody, whatever one part does."""

from __future__ import annotations

import asyncio
import logging

import numpy as np
import pytest
import virtual_loop

from rtcvoice.conversation.ports import Ports
from rtcvoice.conversation.side import ConversationSide
from rtcvoice.errors import CallEnded


async def nothing_heard():
    """A sink that gets nothing."""
    return
    yield


async def no_clip(file, longest):
    """A clip of silence."""
    return np.zeros(2400, np.int16)


class Side(ConversationSide):
    """A conversation with what it sends in `wire`, and facts in `facts`."""

    def __init__(self, **options):
        self.wire = []
        self.facts = []
        ports = Ports(
            send=self.wire.append,
            message_limit=lambda: 65536,
            open_microphone=lambda on: None,
            listen=nothing_heard,
            rate=lambda: 24000,
            held=lambda: 0.0,
            load_clip=no_clip,
        )
        super().__init__(
            ports, act_on=self.facts.append, reached=lambda limit: None, model="m", **options
        )


def broken(*args):
    """Raise, as a part with a bug would."""
    raise RuntimeError("a bug")


@pytest.mark.parametrize(
    "part", ["tools", "accounts", "dialogue", "dialogue.exchange", "dialogue._replies"]
)
def test_every_part_ends_although_one_raises(part, caplog):
    async def main():
        side = Side()
        target = side
        for name in part.split("."):
            target = getattr(target, name)
        target.end = broken
        events, turns = side.dispatcher.subscribe(), side.dialogue.turns()
        with side.dispatcher.expect("error") as waiter:
            side.end(CallEnded("hung up", normal=True))
            assert [event async for event in events] == []
            if part != "dialogue":
                assert [turn async for turn in turns] == []
            with pytest.raises(CallEnded, match="hung up"):
                await waiter
        await side.aclose()

    with caplog.at_level(logging.ERROR):
        virtual_loop.run(main())
    assert "a bug" in caplog.text


def test_what_fails_in_closing_is_logged_and_the_rest_is_closed(caplog):
    closed = []

    async def main():
        side = Side()

        async def fails():
            raise RuntimeError("a bug")

        async def works():
            await asyncio.sleep(1)
            closed.append(True)

        side.dialogue.aclose, side.accounts.aclose = fails, works
        side.end(CallEnded("hung up", normal=True))
        await side.aclose()

    with caplog.at_level(logging.ERROR):
        virtual_loop.run(main())
    assert closed == [True]
    assert "a bug" in caplog.text


def test_a_type_with_control_characters_is_clean_in_the_log(caplog):
    async def main():
        Side().receive('{"type": "evil\\u001b]0;x\\u0007\\u202e\\nfaked line"}')

    with caplog.at_level(logging.DEBUG):
        virtual_loop.run(main())
    (line,) = [r.getMessage() for r in caplog.records if r.name.startswith("rtcvoice")]
    assert line == "< evil]0;x faked line"
