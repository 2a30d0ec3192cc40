"""The life of a call with fake parts, in virtual time: every way to end it, at every moment."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator

import anyio
import pytest
from virtual_loop import run

from rtcvoice.call.life import CANCEL_TIMEOUT, TRANSITIONS, CallState, Parts, Supervisor
from rtcvoice.errors import CallEnded, ConfigError, SignalingError, TransportError

LOST = TransportError("the server closed the connection", stage="connected")


@pytest.fixture(autouse=True)
def nothing_is_lost(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fail when asyncio complains of an exception that nobody asked for."""
    yield
    assert [r.getMessage() for r in caplog.get_records("call") if r.name == "asyncio"] == []


def now() -> float:
    return asyncio.get_running_loop().time()


async def nothing() -> None:
    pass


class FakeCall:
    """Parts that note what happens to them, and the supervisor that runs them."""

    def __init__(
        self,
        *,
        connect: Callable[[], Awaitable[None]] = nothing,
        close: Callable[[], Awaitable[None]] = nothing,
        ended: Callable[[], Awaitable[None]] = nothing,
    ) -> None:
        self.happened: list[str] = []
        self.heard_at = now()
        self._connect, self._close, self._ended = connect, close, ended
        self.life = Supervisor(
            Parts(
                connect=self.connect,
                heard_at=lambda: self.heard_at,
                ending=self.ending,
                close=self.close,
                ended=self.ended,
            ),
            liveness_timeout=10.0,
            close_timeout=5.0,
            clock=asyncio.get_running_loop().time,
        )

    async def connect(self) -> None:
        self.happened.append("connect")
        await self._connect()
        self.heard_at = now()
        self.happened.append("connected")

    def ending(self, reason: CallEnded) -> None:
        self.happened.append(f"ending {self.life.state.name}")

    async def close(self) -> None:
        self.happened.append("close")
        await self._close()
        self.happened.append("closed")

    async def ended(self) -> None:
        self.happened.append(f"ended {self.life.state.name}")
        await self._ended()


FULL_LIFE = ["connect", "connected", "ending CLOSING", "close", "closed", "ended ENDED"]
ABORTED = [what for what in FULL_LIFE if what != "connected"]


def test_a_call_lives_and_ends():
    async def main():
        call = FakeCall()
        assert call.life.state is CallState.NEW
        await call.life.start()
        assert call.life.state is CallState.ACTIVE
        assert call.life.end is None
        await call.life.aclose()
        assert call.life.state is CallState.ENDED
        assert call.happened == FULL_LIFE
        end = await call.life.wait_ended()
        assert (end.reason, end.normal) == ("hung up", True)

    run(main())


def test_states_are_documented_and_only_move_on():
    assert list(TRANSITIONS) == list(CallState)
    order = list(CallState)
    for state, successors in TRANSITIONS.items():
        assert state.value.endswith(".")
        assert all(order.index(after) > order.index(state) for after in successors)


def test_transitions_are_logged(caplog):
    async def main():
        call = FakeCall()
        await call.life.start()
        await call.life.aclose()

    caplog.set_level(logging.DEBUG, "rtcvoice.call.life")
    run(main())
    assert [record.getMessage() for record in caplog.records] == [
        "= NEW -> CONNECTING",
        "= CONNECTING -> ACTIVE",
        "= ACTIVE -> CLOSING",
        "= CLOSING -> ENDED",
    ]


def test_closing_again_changes_nothing():
    async def main():
        call = FakeCall()
        await call.life.start()
        await asyncio.gather(call.life.aclose(), call.life.aclose())
        await call.life.aclose()
        assert call.happened == FULL_LIFE

    run(main())


# -- connecting -------------------------------------------------------------------------------


def test_what_connecting_raises_comes_out_after_everything_is_closed():
    error = SignalingError("no such model", status=400)

    async def fail():
        raise error

    async def main():
        call = FakeCall(connect=fail)
        with pytest.raises(SignalingError) as caught:
            await call.life.start()
        assert caught.value is error
        assert call.happened == ABORTED
        end = await call.life.wait_ended()
        assert end.__cause__ is error
        assert not end.normal

    run(main())


def test_an_unforeseen_error_is_logged_with_its_traceback(caplog):
    async def fail():
        raise ZeroDivisionError("a bug")

    async def main():
        call = FakeCall(connect=fail)
        with pytest.raises(ZeroDivisionError):
            await call.life.start()
        assert call.life.state is CallState.ENDED

    run(main())
    (record,) = caplog.records
    assert record.exc_info[0] is ZeroDivisionError


def test_a_second_start_is_refused_and_disturbs_nobody():
    async def main():
        call = FakeCall()
        first, second = await asyncio.gather(
            call.life.start(), call.life.start(), return_exceptions=True
        )
        assert first is None
        assert isinstance(second, ConfigError)
        assert call.life.state is CallState.ACTIVE
        await call.life.aclose()
        with pytest.raises(ConfigError, match="entered before"):
            await call.life.start()
        assert call.happened == FULL_LIFE

    run(main())


AWAITS = 5


@pytest.mark.parametrize("at", range(AWAITS + 2))
@pytest.mark.parametrize("tidy", [False, True])
def test_start_can_be_cancelled_at_every_await_of_connecting(at, tidy):
    tidied = []

    async def connect():
        try:
            for _ in range(AWAITS):
                await asyncio.sleep(1)
        finally:
            if tidy:
                await asyncio.sleep(0.5)
                tidied.append(now())

    async def main():
        call = FakeCall(connect=connect)
        starting = asyncio.create_task(call.life.start())
        await asyncio.sleep(0)
        await asyncio.sleep(at - 0.6 if at else 0)
        starting.cancel()
        if at == AWAITS + 1 and not tidy:  # too late: it is connected
            await starting
            await call.life.aclose()
            assert call.happened == FULL_LIFE
            return
        with pytest.raises(asyncio.CancelledError):
            await starting
        assert call.life.state is CallState.ENDED
        assert call.happened[-4:] == FULL_LIFE[-4:]
        interrupted = "connect" in call.happened and at <= AWAITS  # at the last it tidies already
        assert len(tidied) == (tidy and interrupted)
        assert (await call.life.wait_ended()).reason == "connecting was cancelled"

    run(main())


def test_a_deadline_around_start_is_a_timeout_and_closes():
    async def main():
        call = FakeCall(connect=asyncio.Event().wait)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3):
                await call.life.start()
        assert call.happened == ABORTED
        assert now() == 1003.0

    run(main())


def test_losing_the_connection_while_connecting_is_what_start_raises():
    async def main():
        call = FakeCall(connect=asyncio.Event().wait)
        starting = asyncio.create_task(call.life.start())
        await asyncio.sleep(1)
        call.life.lose(LOST)
        with pytest.raises(TransportError) as caught:
            await starting
        assert caught.value is LOST
        assert call.happened == ABORTED

    run(main())


def test_hanging_up_while_connecting_is_no_cancellation_of_the_caller():
    async def main():
        call = FakeCall(connect=asyncio.Event().wait)
        starting = asyncio.create_task(call.life.start())
        await asyncio.sleep(1)
        call.life.request_end(CallEnded("hung up", normal=True))
        with pytest.raises(CallEnded, match="hung up"):
            await starting
        assert not starting.cancelled()
        assert call.happened == ABORTED

    run(main())


def test_an_end_before_the_first_step_connects_nothing():
    async def main():
        call = FakeCall()
        starting = asyncio.create_task(call.life.start())
        await asyncio.sleep(0)
        assert call.happened == []
        call.life.request_end(CallEnded("hung up", normal=True))
        with pytest.raises(CallEnded):
            await starting
        assert call.happened == FULL_LIFE[2:]

    run(main())


def test_a_connect_that_ignores_the_end_is_closed_all_the_same():
    async def stubborn():
        try:
            await asyncio.sleep(5)
        except asyncio.CancelledError:
            await asyncio.sleep(1)

    async def main():
        call = FakeCall(connect=stubborn)
        starting = asyncio.create_task(call.life.start())
        await asyncio.sleep(1)
        call.life.request_end(CallEnded("hung up", normal=True))
        with pytest.raises(CallEnded):
            await starting
        assert call.happened == FULL_LIFE

    run(main())


def test_an_end_before_the_start_is_the_end():
    async def main():
        call = FakeCall()
        call.life.request_end(CallEnded("changed my mind", normal=True))
        assert (await call.life.wait_ended()).reason == "changed my mind"
        with pytest.raises(ConfigError):
            await call.life.start()
        await call.life.aclose()
        assert call.happened == []

    run(main())


# -- the end ----------------------------------------------------------------------------------


def test_the_first_reason_counts():
    async def main():
        call = FakeCall()
        await call.life.start()
        call.life.lose(LOST)
        call.life.request_end(CallEnded("hung up", normal=True))
        end = await call.life.wait_ended()
        assert end.__cause__ is LOST
        assert (end.reason, end.normal) == (LOST.message, False)
        await call.life.aclose()

    run(main())


def test_waiters_for_the_end_all_get_the_reason():
    async def main():
        call = FakeCall()
        await call.life.start()
        waiting = [asyncio.create_task(call.life.wait_ended()) for _ in range(3)]
        await asyncio.sleep(1)
        assert not any(task.done() for task in waiting)
        await call.life.aclose()
        assert {task.result() for task in [*waiting] if await task} == {call.life.end}

    run(main())


def test_a_close_that_hangs_is_given_up_on_after_the_deadline(caplog):
    async def main():
        call = FakeCall(close=asyncio.Event().wait)
        await call.life.start()
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
        await call.life.start()
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
        await call.life.start()
        await call.life.aclose()
        assert call.life.state is CallState.ENDED
        assert call.happened[-1] == "ended ENDED"

    run(main())
    assert ("closing failed" in caplog.text) == isinstance(error, OSError)


def test_telling_of_the_end_may_fail_too(caplog):
    async def fail():
        raise ZeroDivisionError("a bug in ended")

    async def main():
        call = FakeCall(ended=fail)
        call.life._parts = Parts(**{**vars(call.life._parts), "ending": lambda reason: 1 / 0})
        await call.life.start()
        await call.life.aclose()
        assert call.life.state is CallState.ENDED
        assert call.happened == [what for what in FULL_LIFE if not what.startswith("ending")]

    run(main())
    assert len(caplog.records) == 2


@pytest.mark.parametrize("times", [1, 2, 3])
def test_cancelling_the_closing_finishes_it_first(times):
    async def slow():
        await asyncio.sleep(3)

    async def main():
        call = FakeCall(close=slow)
        await call.life.start()
        closing = asyncio.create_task(call.life.aclose())
        for _ in range(times):
            await asyncio.sleep(0.5)
            closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        assert call.happened == FULL_LIFE
        assert now() == 1003.0

    run(main())


@pytest.mark.parametrize("when", [0.0, 0.5, 1.5, 4.5, 5.5, 8.5])
def test_the_task_itself_may_be_cancelled_from_outside(when):
    """As the end of asyncio.run does: while connecting, active, closing, giving up, ended."""

    async def slow_connect():
        await asyncio.sleep(1)

    async def stuck_close():
        try:
            await asyncio.sleep(9)
        finally:
            await asyncio.sleep(0.5)

    async def main():
        call = FakeCall(connect=slow_connect, close=stuck_close)
        starting = asyncio.create_task(call.life.start())
        await asyncio.sleep(0)
        owner = call.life._task
        asyncio.get_running_loop().call_later(when, owner.cancel)
        asyncio.get_running_loop().call_later(
            2.0, lambda: call.life.request_end(CallEnded("hung up", normal=True))
        )
        await asyncio.wait([starting])
        assert not starting.cancelled()
        assert (starting.exception() is None) == (when > 1)
        end = await call.life.wait_ended()
        assert end.reason == ("the call was cancelled" if when < 2 else "hung up")
        await call.life.aclose()
        assert call.happened[-1] == "ended ENDED"

    run(main())


def test_a_task_cancelled_before_its_first_step_still_ends():
    async def main():
        call = FakeCall()
        starting = asyncio.create_task(call.life.start())
        await asyncio.sleep(0)
        call.life._task.cancel()
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        await call.life.wait_ended()
        assert call.happened == []

    run(main())


# -- liveness ---------------------------------------------------------------------------------


def test_silence_on_the_wire_ends_the_call_after_exactly_its_time():
    async def main():
        call = FakeCall()
        await call.life.start()
        end = await call.life.wait_ended()
        assert now() == pytest.approx(1010.0)
        assert not end.normal
        assert isinstance(end.__cause__, TransportError)
        assert "nothing was heard from the server for 10 s" in str(end)
        await call.life.aclose()

    run(main())


def test_whatever_is_heard_prolongs_it():
    async def main():
        call = FakeCall()
        await call.life.start()
        for _ in range(20):
            await asyncio.sleep(9.9)
            call.heard_at = now()
        assert call.life.state is CallState.ACTIVE
        last = now()
        await call.life.wait_ended()
        assert now() - last == pytest.approx(10.0)
        await call.life.aclose()

    run(main())


def test_changes_meanwhile_do_not_prolong_it():
    async def main():
        call = FakeCall()
        await call.life.start()
        while call.life.state is CallState.ACTIVE:
            call.life.changed()
            await asyncio.sleep(0.7)
        assert now() == pytest.approx(1010.5, abs=0.3)
        await call.life.aclose()

    run(main())


def test_watching_costs_a_wakeup_per_timeout_not_more():
    async def main():
        asked = 0

        def heard_at():
            nonlocal asked
            asked += 1
            return now() - 0.02  # a call in full swing: something every 20 ms

        call = FakeCall()
        call.life._parts = Parts(**{**vars(call.life._parts), "heard_at": heard_at})
        await call.life.start()
        await asyncio.sleep(100)
        assert asked <= 12
        await call.life.aclose()

    run(main())


@pytest.mark.parametrize("when", ["connecting", "closing"])
def test_a_cancel_scope_of_anyio_waits_without_turning_the_loop(when):
    """It cancels again at every turn of the loop until the task has left."""
    turns = []

    async def slow() -> None:
        loop = asyncio.get_running_loop()
        before = loop.turns
        await asyncio.sleep(2.0)
        turns.append(loop.turns - before)

    async def main():
        call = FakeCall(close=slow)
        if when == "connecting":
            call = FakeCall(connect=lambda: asyncio.sleep(60), close=slow)
        with anyio.move_on_after(1.0) as scope:
            try:
                await call.life.start()
                await asyncio.sleep(60)
            finally:
                await call.life.aclose()
        assert scope.cancelled_caught
        assert call.life.state is CallState.ENDED
        assert now() == pytest.approx(1003.0)
        assert turns[0] < 10

    run(main())
