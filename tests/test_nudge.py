"""A silence that lasts is spoken of, and then ends the call; in virtual time."""

from __future__ import annotations

import asyncio

import pytest
import virtual_loop
from virtual_call import VirtualCall

from rtcvoice import LimitNear, LimitReached
from rtcvoice.conversation.accounts.accounts import Accounts
from rtcvoice.conversation.accounts.limits import Limits
from rtcvoice.emulator.session.turn import Turn

pytestmark = pytest.mark.usefixtures("no_stray_errors")


virtual = virtual_loop.within(900)


def limited(call, limits):
    """Give a call limits, and note when it is told of them."""
    road, told = call._conversation, []
    road.accounts = Accounts(
        road._output,
        publish=road.dispatcher.publish,
        reached=lambda limit: None,
        model="virtual",
        limits=limits,
        is_idle=lambda: road.state.is_idle(road.now),
        clock=road._clock,
    )
    began = road.now
    call.on(LimitNear, LimitReached)(lambda event: told.append((event, road.now - began)))
    road.accounts.begin()
    return told


@virtual
@pytest.mark.parametrize("asks", [True, False])
async def test_the_user_is_asked_and_then_the_call_ends(asks):
    """So it is where the server asks by itself, too, after `idle_timeout_ms`."""
    detection = {"type": "server_vad", "idle_timeout_ms": 10_000}
    session = {} if asks else {"audio": {"input": {"turn_detection": detection}}}
    async with VirtualCall(Turn(says="reply-1"), session=session, hears=True) as call:
        told = limited(call, Limits(idle=60, nudge="Are you still there?"))
        await asyncio.sleep(110)
        kinds = [type(event) for event, _ in told]
        assert kinds == [LimitNear, LimitReached]
        near, reached = (at for _, at in told)
        assert 45 < near < 60
        assert near + 5 < reached < near + 20
        (asked,) = [e for e in call.sent("response.create") if "still" in str(e)]
        assert call.errors[1] == ()
        assert asked


@virtual
@pytest.mark.parametrize("nudge", ["Are you still there?", ""])
async def test_a_server_that_asks_again_and_again_keeps_no_call_alive(nudge):
    detection = {"type": "server_vad", "idle_timeout_ms": 10_000}
    session = {"audio": {"input": {"turn_detection": detection}}}
    async with VirtualCall(*[Turn(says="reply-1")] * 30, session=session, hears=True) as call:
        told = limited(call, Limits(idle=60, nudge=nudge))
        await call.ask("Hello?")
        await asyncio.sleep(30)
        call.speak(1.0)  # the user does
        await asyncio.sleep(110)
        assert len(call.server.of("input_audio_buffer.timeout_triggered")) > 4
        assert [type(event) for event, _ in told] == [LimitNear, LimitReached]
        assert 75 < told[0][1] < 95
        assert 90 < told[1][1] < 115


@virtual
async def test_a_user_who_answers_is_not_hung_up_on():
    async with VirtualCall(Turn(says="reply-1"), Turn(hears="Yes!", says="reply-2")) as call:
        told = limited(call, Limits(idle=60, nudge="Are you still there?"))
        await asyncio.sleep(55)
        call.speak(1.0)
        await asyncio.sleep(40)
        assert [type(event) for event, _ in told] == [LimitNear]
