"""The life of a call with fake roads, in virtual time: every way to end it, at every moment."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

import anyio
import pytest
from virtual_loop import run

from rtcvoice.call.life import CANCEL_TIMEOUT, TRANSITIONS, CallState, Life
from rtcvoice.errors import CallEnded, TransportError

LOST = TransportError("the server closed the connection", stage="connected")
HUNG_UP = CallEnded("hung up", normal=True)


pytestmark = pytest.mark.usefixtures("nothing_is_lost")


def now() -> float:
    return asyncio.get_running_loop().time()


async def nothing() -> None:
    pass


class FakeCall:
    """Roads that note what happens to them, their leg, and the life that closes them."""

    def __init__(
        self,
        *,
        close: Callable[[], Awaitable[None]] = nothing,
        ended: Callable[[], Awaitable[None]] = nothing,
    ) -> None:
        self.happened: list[str] = []
        self.heard_at = now()
        self.leg = self
        self.lost: asyncio.Future[TransportError] = asyncio.get_running_loop().create_future()
        self._close, self._ended = close, ended
        self.life = Life(
            self,  # type: ignore[arg-type]
            liveness_timeout=10.0,
            close_timeout=5.0,
            clock=asyncio.get_running_loop().time,
        )

    def detach(self, reason: CallEnded) -> None:
        self.happened.append("detach")

    def farewell(self, reason: CallEnded, timeout: float) -> None:
        return None

    def why_lost(self, error: TransportError) -> TransportError:
        return error

    def end(self, reason: CallEnded) -> None:
        self.happened.append(f"end {self.life.state.name}")

    async def aclose(self) -> None:
        self.happened.append("close")
        await self._close()
        self.happened.append("closed")

    async def ended(self) -> None:
        self.happened.append(f"ended {self.life.state.name}")
        await self._ended()


FULL_LIFE = ["detach", "end CLOSING", "close", "closed", "ended ENDED"]


def test_a_call_lives_and_ends():
    async def main():
        call = FakeCall()
        assert call.life.state is CallState.ACTIVE
        assert call.life.end is None
        await call.life.aclose()
        assert call.life.state is CallState.ENDED
        assert call.happened == FULL_LIFE
        end = await call.life.wait_ended()
        assert (end.reason, end.normal) == ("hung up", True)

    run(main())


def test_states_are_documented_and_only_reconnecting_leads_back():
    assert list(TRANSITIONS) == list(CallState)
    order = list(CallState)
    for state, successors in TRANSITIONS.items():
        assert state.value.endswith(".")
        back = {after for after in successors if order.index(after) <= order.index(state)}
        assert back == ({CallState.ACTIVE} if state is CallState.RECONNECTING else set())


def test_transitions_are_logged(caplog):
    async def main():
        call = FakeCall()
        await call.life.aclose()

    caplog.set_level(logging.DEBUG, "rtcvoice.call.life")
    run(main())
    assert [record.getMessage() for record in caplog.records] == [
        "= ACTIVE -> CLOSING",
        "= CLOSING -> ENDED",
    ]


def test_closing_again_changes_nothing():
    async def main():
        call = FakeCall()
        await asyncio.gather(call.life.aclose(), call.life.aclose())
        await call.life.aclose()
        assert call.happened == FULL_LIFE

    run(main())


# -- the end ----------------------------------------------------------------------------------


def test_the_first_reason_counts():
    async def main():
        call = FakeCall()
        call.life.lose(LOST)
        call.life.request_end(CallEnded("hung up", normal=True))
        end = await call.life.wait_ended()
        assert end.__cause__ is LOST
        assert (end.reason, end.normal) == (LOST.message, False)
        await call.life.aclose()

    run(main())


def test_a_handler_that_closes_is_not_waited_for_by_itself():
    async def main():
        call: FakeCall
        handler: asyncio.Task[None]

        async def handlers_are_done() -> None:
            await asyncio.wait({handler})

        call = FakeCall(ended=handlers_are_done)
        began = now()
        handler = asyncio.create_task(call.life.aclose(until_ended=True))
        await handler
        assert now() == began
        assert call.happened == FULL_LIFE
        await call.life.aclose()

    run(main())


def test_waiters_for_the_end_all_get_the_reason():
    async def main():
        call = FakeCall()
        waiting = [asyncio.create_task(call.life.wait_ended()) for _ in range(3)]
        await asyncio.sleep(1)
        assert not any(task.done() for task in waiting)
        await call.life.aclose()
        assert {task.result() for task in [*waiting] if await task} == {call.life.end}

    run(main())


def test_a_close_that_hangs_is_given_up_on_after_the_deadline(caplog):
    async def main():
        call = FakeCall(close=asyncio.Event().wait)
        began = now()
        await call.life.aclose()
        assert now() - began == pytest.approx(5.0)
        assert call.life.state is CallState.ENDED
        assert call.happened[-2:] == ["close", "ended ENDED"]

    run(main())
    assert "closing took over 5 s" in caplog.text


def test_even_one_that_ignores_its_cancellation_is_left_behind():
    async def stubborn():
        for _ in range(3):
            try:
                await asyncio.sleep(4)
            except asyncio.CancelledError:
                continue

    async def main():
        call = FakeCall(close=stubborn)
        began = now()
        await call.life.aclose()
        assert now() - began == pytest.approx(5.0 + CANCEL_TIMEOUT)
        assert call.life.state is CallState.ENDED
        await asyncio.sleep(20)  # it ends by itself

    run(main())


@pytest.mark.parametrize("error", [OSError("device gone"), asyncio.CancelledError()])
def test_a_close_that_raises_still_ends_the_call(error, caplog):
    async def fail():
        raise error

    async def main():
        call = FakeCall(close=fail)
        await call.life.aclose()
        assert call.life.state is CallState.ENDED
        assert call.happened[-1] == "ended ENDED"

    run(main())
    assert ("closing a part of the call failed" in caplog.text) == isinstance(error, OSError)


def test_telling_of_the_end_may_fail_too(caplog):
    async def fail():
        raise ZeroDivisionError("a bug in ended")

    async def main():
        call = FakeCall(ended=fail)
        call.end = lambda reason: 1 / 0
        await call.life.aclose()
        assert call.life.state is CallState.ENDED
        assert call.happened == [what for what in FULL_LIFE if not what.startswith("end ")]

    run(main())
    assert len(caplog.records) == 2


@pytest.mark.parametrize("times", [1, 2, 3])
def test_cancelling_the_closing_finishes_it_first(times):
    async def slow():
        await asyncio.sleep(3)

    async def main():
        call = FakeCall(close=slow)
        closing = asyncio.create_task(call.life.aclose())
        for _ in range(times):
            await asyncio.sleep(0.5)
            closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        assert call.happened == FULL_LIFE
        assert now() == 1003.0

    run(main())


@pytest.mark.parametrize("when", [0.0, 1.5, 4.5, 7.5])
def test_the_task_itself_may_be_cancelled_from_outside(when):
    """As the end of asyncio.run does: before its first step, active, closing, giving up."""

    async def stuck_close():
        try:
            await asyncio.sleep(9)
        finally:
            await asyncio.sleep(0.5)

    async def main():
        call = FakeCall(close=stuck_close)
        loop = asyncio.get_running_loop()
        loop.call_later(when, call.life._task.cancel)
        loop.call_later(2.0, call.life.request_end, HUNG_UP)
        end = await call.life.wait_ended()
        assert end.reason == ("the call was cancelled" if when < 2 else "hung up")
        await call.life.aclose()
        assert call.happened[-1] == "ended ENDED"

    run(main())


def test_a_task_cancelled_before_its_first_step_still_closes():
    async def main():
        call = FakeCall()
        call.life._task.cancel()
        await asyncio.sleep(0)
        await call.life.aclose()
        assert call.happened == FULL_LIFE

    run(main())


# -- what goes on only while the call does ---------------------------------------------------------


def test_work_ends_with_the_call_and_raises_why():
    async def main():
        call = FakeCall()
        working = asyncio.create_task(call.life.unless_ended(asyncio.sleep(60)))
        await asyncio.sleep(1)
        call.lost.set_result(LOST)
        with pytest.raises(TransportError) as caught:
            await working
        assert caught.value is LOST
        assert now() == 1001.0
        await call.life.aclose()

    run(main())


def test_work_that_is_done_or_fails_is_told_as_it_is():
    async def fail():
        raise ZeroDivisionError

    async def main():
        call = FakeCall()
        await call.life.unless_ended(asyncio.sleep(1))
        with pytest.raises(ZeroDivisionError):
            await call.life.unless_ended(fail())
        assert call.life.state is CallState.ACTIVE
        await call.life.aclose()
        with pytest.raises(CallEnded, match="hung up"):
            await call.life.unless_ended(asyncio.sleep(1))

    run(main())


def test_work_is_over_before_its_cancellation_is_told():
    tidied = []

    async def work():
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(1)
            tidied.append(now())

    async def main():
        call = FakeCall()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2):
                await call.life.unless_ended(work())
        assert tidied == [1003.0]
        await call.life.aclose()

    run(main())


# -- liveness ---------------------------------------------------------------------------------


def test_silence_on_the_wire_ends_the_call_after_exactly_its_time():
    async def main():
        call = FakeCall()
        end = await call.life.wait_ended()
        assert now() == pytest.approx(1010.0)
        assert not end.normal
        assert isinstance(end.__cause__, TransportError)
        assert "nothing was received from the server for 10 s" in str(end)
        await call.life.aclose()

    run(main())


def test_whatever_is_heard_prolongs_it():
    async def main():
        call = FakeCall()
        for _ in range(20):
            await asyncio.sleep(9.9)
            call.heard_at = now()
        assert call.life.state is CallState.ACTIVE
        last = now()
        await call.life.wait_ended()
        assert now() - last == pytest.approx(10.0)
        await call.life.aclose()

    run(main())


@pytest.mark.parametrize("answers", [True, False])
def test_a_process_that_stood_still_listens_once_more(answers):
    async def main():
        call = FakeCall()
        await asyncio.sleep(5)
        asyncio.get_running_loop().block(60.0)
        await asyncio.sleep(0.5)
        assert call.life.state is CallState.ACTIVE
        if answers:
            call.heard_at = now()
        await call.life.wait_ended()
        assert now() == pytest.approx(1075.5 if answers else 1066.0)
        await call.life.aclose()

    run(main())


def test_watching_costs_a_wakeup_per_timeout_not_more():
    class Busy(FakeCall):
        """A call in full swing: something every 20 ms."""

        asked = 0

        @property
        def heard_at(self):
            self.asked += 1
            return now() - 0.02

        @heard_at.setter
        def heard_at(self, at):
            pass

    async def main():
        call = Busy()
        await asyncio.sleep(100)
        assert call.asked <= 12
        await call.life.aclose()

    run(main())


def test_a_cancel_scope_of_anyio_waits_without_turning_the_loop():
    """It cancels again at every turn of the loop until the task has left."""
    turns = []

    async def slow() -> None:
        loop = asyncio.get_running_loop()
        before = loop.turns
        await asyncio.sleep(2.0)
        turns.append(loop.turns - before)

    async def main():
        call = FakeCall(close=slow)
        with anyio.move_on_after(1.0) as scope:
            try:
                await asyncio.sleep(60)
            finally:
                await call.life.aclose()
        assert scope.cancelled_caught
        assert call.life.state is CallState.ENDED
        assert now() == pytest.approx(1003.0)
        assert turns[0] < 10

    run(main())
