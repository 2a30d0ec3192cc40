"""Events to user code: order, patterns, bounds, ends, and user code that misbehaves."""

from __future__ import annotations

import asyncio
import functools
import gc
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from virtual_loop import run

from rtcvoice import events
from rtcvoice.conversation.listening.dispatcher import HANDLER_THREADS, Dispatcher
from rtcvoice.conversation.listening.kinds import Kinds
from rtcvoice.conversation.listening.subscription import Subscription
from rtcvoice.errors import CallEnded, ConcurrencyError, ConfigError
from rtcvoice.events import EventsDropped, HandlerError

HUNG_UP = CallEnded("hung up", normal=True)
LOST = CallEnded("the connection is gone", normal=False)


@dataclass(frozen=True)
class Event:
    """As much of an event as a dispatcher looks at."""

    type: str
    number: int = 0


DONE = Event("response.done")
CREATED = Event("response.created")
REFUSED = events.ErrorEvent(error=events.ErrorDetail(message="no"))
CLEARED = events.InputAudioBufferCleared()


@pytest.fixture(autouse=True)
def nothing_is_lost(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fail when asyncio complains of an exception that nobody asked for."""
    yield
    assert [r.getMessage() for r in caplog.get_records("call") if r.name == "asyncio"] == []


async def rest(events) -> list:
    return [event async for event in events]


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def close(dispatcher: Dispatcher) -> None:
    dispatcher.end(HUNG_UP)
    await dispatcher.aclose(timeout=1.0)


# -- who gets what ----------------------------------------------------------------------------


def test_waiters_come_first_then_iterators_then_handlers():
    async def main():
        order = []
        dispatcher = Dispatcher()

        async def handler(event):
            order.append("handler")

        async def iterate(reader):
            await anext(reader)
            order.append("iterator")

        async def wait():
            await dispatcher.wait_for("response.done")
            order.append("waiter")

        dispatcher.on("response.done", handler=handler)
        iterating = asyncio.create_task(iterate(dispatcher.subscribe()))
        waiting = asyncio.create_task(wait())
        await settle()
        dispatcher.publish(DONE)
        await asyncio.gather(iterating, waiting)
        await settle()
        assert order == ["waiter", "iterator", "handler"]
        await close(dispatcher)

    run(main())


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        ("*", True),
        ("response.*", True),
        ("response.done", True),
        ("response.d?ne", True),
        ("*.done", True),
        ("response", False),
        ("response.created", False),
        ("RESPONSE.DONE", False),
    ],
)
def test_patterns_are_those_of_the_shell(pattern, matches):
    async def main():
        dispatcher = Dispatcher()
        handled = []

        async def handler(event):
            handled.append(event)

        reader = dispatcher.subscribe(pattern)
        dispatcher.on(pattern, handler=handler)
        with dispatcher.expect(pattern) as future:
            dispatcher.publish(DONE)
            assert future.done() == matches
        await close(dispatcher)
        assert await rest(reader) == [DONE] * matches
        assert handled == [DONE] * matches

    run(main())


def test_several_patterns_give_an_event_once():
    async def main():
        dispatcher = Dispatcher()
        reader = dispatcher.subscribe("response.*", "*.done", "error")
        dispatcher.publish(DONE)
        dispatcher.publish(Event("session.updated"))
        dispatcher.publish(Event("error"))
        dispatcher.end(HUNG_UP)
        assert await rest(reader) == [DONE, Event("error")]

    run(main())


def test_events_count_from_subscribing_on():
    async def main():
        dispatcher = Dispatcher()
        dispatcher.publish(CREATED)
        reader = dispatcher.subscribe()
        dispatcher.publish(DONE)
        dispatcher.end(HUNG_UP)
        dispatcher.publish(Event("error"))
        assert await rest(reader) == [DONE]

    run(main())


def test_each_iterator_gets_everything():
    async def main():
        dispatcher = Dispatcher()
        readers = [dispatcher.subscribe() for _ in range(3)]
        for number in range(5):
            dispatcher.publish(Event("error", number))
        dispatcher.end(HUNG_UP)
        for reader in readers:
            assert [event.number for event in await rest(reader)] == [0, 1, 2, 3, 4]

    run(main())


# -- names ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("beta", "successor"),
    [
        ("response.audio.delta", "response.output_audio.delta"),
        ("response.text.done", "response.output_text.done"),
        ("response.audio_transcript.*", "response.output_audio_transcript.delta"),
        ("transcription_session.updated", "session.updated"),
    ],
)
def test_names_of_the_beta_are_refused_with_their_successor(beta, successor):
    async def main():
        dispatcher = Dispatcher()
        with pytest.raises(ConfigError, match=successor):
            dispatcher.on(beta, handler=print)
        with pytest.raises(ConfigError, match=successor):
            dispatcher.subscribe("error", beta)
        with pytest.raises(ConfigError, match=successor):
            await dispatcher.wait_for(beta, timeout=1)

    run(main())


def test_an_old_name_that_other_servers_still_send_is_accepted(caplog):
    async def main():
        dispatcher = Dispatcher()
        reader = dispatcher.subscribe("conversation.item.created")
        dispatcher.publish(Event("conversation.item.created"))
        assert (await anext(reader)).type == "conversation.item.created"

    run(main())
    assert caplog.records == []


def test_a_typing_error_is_pointed_out(caplog):
    async def main():
        dispatcher = Dispatcher()
        dispatcher.subscribe("response.dnoe")
        dispatcher.subscribe("something.new.*")
        dispatcher.subscribe("rtcvoice.handler_error", "rtcvoice.*")

    run(main())
    first, second = (record.getMessage() for record in caplog.records)
    assert "did you mean 'response.done'?" in first
    assert "something.new.*" in second


# -- waiting ----------------------------------------------------------------------------------


def test_wait_for_returns_the_first_event_that_satisfies_where():
    async def main():
        dispatcher = Dispatcher()
        waiting = asyncio.create_task(
            dispatcher.wait_for("error", "response.*", where=lambda event: event.number > 1)
        )
        await settle()
        for number in range(4):
            dispatcher.publish(Event("response.done", number))
        assert await waiting == Event("response.done", 2)

    run(main())


def test_wait_for_gives_up_after_its_time():
    async def main():
        dispatcher = Dispatcher()
        with pytest.raises(TimeoutError):
            await dispatcher.wait_for("response.done", timeout=5)
        assert asyncio.get_running_loop().time() == 1005.0
        assert all(waiter.done() for waiter in dispatcher._waiters)

    run(main())


def test_wait_for_may_be_cancelled():
    async def main():
        dispatcher = Dispatcher()
        waiting = asyncio.create_task(dispatcher.wait_for("response.done"))
        await settle()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert all(waiter.done() for waiter in dispatcher._waiters)
        dispatcher.publish(DONE)

    run(main())


@pytest.mark.parametrize("error", [ZeroDivisionError, AttributeError, StopIteration])
def test_an_error_in_where_belongs_to_who_wrote_it(error):
    def where(event):
        raise error("in the predicate")

    async def main():
        dispatcher = Dispatcher()
        reader = dispatcher.subscribe()
        waiting = asyncio.create_task(dispatcher.wait_for("*", where=where))
        await settle()
        dispatcher.publish(DONE)
        with pytest.raises(RuntimeError if error is StopIteration else error, match="predicate"):
            await waiting
        assert await anext(reader) == DONE

    run(main())


def test_expect_counts_from_before_the_question():
    async def main():
        dispatcher = Dispatcher()
        with dispatcher.expect("response.done") as reply:
            dispatcher.publish(DONE)  # the answer comes before anybody awaits it
            assert await reply == DONE

    run(main())


@pytest.mark.parametrize("reason", [HUNG_UP, LOST])
def test_waiters_are_told_of_the_end(reason):
    async def main():
        dispatcher = Dispatcher()
        waiting = asyncio.create_task(dispatcher.wait_for("response.done"))
        await settle()
        dispatcher.end(reason)
        with pytest.raises(CallEnded) as caught:
            await waiting
        assert caught.value.reason == reason.reason
        with pytest.raises(CallEnded):
            await dispatcher.wait_for("response.done")
        with pytest.raises(CallEnded):
            dispatcher.on("error", handler=print)

    run(main())


def test_leaving_expect_early_leaves_no_complaint():
    def ask(dispatcher):
        with dispatcher.expect("response.done"), dispatcher.expect("error"):
            dispatcher.end(LOST)
            raise LOST  # as sending does

    async def main():
        dispatcher = Dispatcher()
        with pytest.raises(CallEnded):
            ask(dispatcher)
        assert all(waiter.done() for waiter in dispatcher._waiters)
        gc.collect()

    run(main())  # what asyncio logs of futures that nobody asked fails the test


# -- iterators --------------------------------------------------------------------------------


def test_after_a_normal_end_iteration_just_ends():
    async def main():
        dispatcher = Dispatcher()
        reader, late = dispatcher.subscribe(), None
        dispatcher.publish(DONE)
        dispatcher.end(HUNG_UP)
        late = dispatcher.subscribe()
        assert await rest(reader) == [DONE]
        assert await rest(late) == []

    run(main())


def test_after_another_end_iteration_gives_what_came_and_raises():
    async def main():
        dispatcher = Dispatcher()
        reader = dispatcher.subscribe()
        dispatcher.publish(DONE)
        dispatcher.end(LOST)
        assert await anext(reader) == DONE
        for each in (reader, reader, dispatcher.subscribe()):
            with pytest.raises(CallEnded, match="gone"):
                await anext(each)

    run(main())


def test_an_end_wakes_who_waits():
    async def main():
        dispatcher = Dispatcher()
        reading = asyncio.create_task(rest(dispatcher.subscribe()))
        await settle()
        dispatcher.end(HUNG_UP)
        assert await reading == []

    run(main())


def test_waiting_may_be_cancelled_without_losing_an_event():
    async def main():
        dispatcher = Dispatcher()
        reader = dispatcher.subscribe()
        for number in range(3):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1):
                    await anext(reader)
            dispatcher.publish(Event("error", number))
            assert (await anext(reader)).number == number

    run(main())


def test_a_reader_that_falls_behind_is_told_where_and_how_much():
    async def main():
        dispatcher = Dispatcher()
        reader = dispatcher.subscribe(limit=3)
        other = dispatcher.subscribe()
        for number in range(5):
            dispatcher.publish(Event("error", number))
        assert await anext(reader) == EventsDropped(count=2)
        assert (await anext(reader)).number == 2
        dispatcher.publish(Event("error", 5))
        dispatcher.publish(Event("error", 6))
        dispatcher.end(HUNG_UP)
        assert [getattr(event, "number", event) for event in await rest(reader)] == [
            EventsDropped(count=1),
            4,
            5,
            6,
        ]
        assert [event.number for event in await rest(other)] == list(range(7))

    run(main())


def test_a_reader_needs_room():
    async def main():
        with pytest.raises(ConfigError, match="limit=0"):
            Dispatcher().subscribe(limit=0)

    run(main())


def test_a_closed_reader_gives_what_it_has_and_gets_no_more():
    async def main():
        dispatcher = Dispatcher()
        reader = dispatcher.subscribe()
        dispatcher.publish(DONE)
        reader.close()
        dispatcher.publish(CREATED)
        dispatcher.end(LOST)
        assert await anext(reader) == DONE

    run(main())


def test_readers_that_nobody_holds_are_forgotten():
    async def main():
        dispatcher = Dispatcher()
        kept = dispatcher.subscribe()

        async def first():
            async for event in dispatcher.subscribe():
                if event.type == "error":
                    break
            return event

        for number in range(50):
            reading = asyncio.create_task(first())
            await settle()
            dispatcher.publish(Event("error", number))
            assert (await reading).number == number
        gc.collect()
        assert list(dispatcher._readers) == [kept]
        assert (await anext(kept)).number == 0

    run(main())


# -- handlers ---------------------------------------------------------------------------------


def test_a_handler_gets_its_events_one_by_one_in_order():
    async def main():
        dispatcher = Dispatcher()
        log = []

        async def handler(event):
            log.append(("begin", event.number))
            await asyncio.sleep(1 if event.number == 0 else 0)
            log.append(("end", event.number))

        dispatcher.on("error", handler=handler)
        for number in range(3):
            dispatcher.publish(Event("error", number))
        await asyncio.sleep(2)
        assert log == [(what, number) for number in range(3) for what in ("begin", "end")]
        await close(dispatcher)

    run(main())


def test_a_slow_handler_delays_nobody():
    async def main():
        dispatcher = Dispatcher()
        fast = []

        async def slow(event):
            await asyncio.sleep(3600)

        async def quick(event):
            fast.append(event.number)

        dispatcher.on("error", handler=slow)
        dispatcher.on("error", handler=quick)
        reader = dispatcher.subscribe()
        for number in range(5):
            dispatcher.publish(Event("error", number))
        await settle()
        assert fast == [0, 1, 2, 3, 4]
        assert (await anext(reader)).number == 0
        await close(dispatcher)

    run(main())


def test_a_handler_may_wait_for_later_events():
    async def main():
        dispatcher = Dispatcher()
        seen = []

        async def handler(event):
            seen.append(event)
            seen.append(await dispatcher.wait_for("response.done", timeout=5))

        dispatcher.on("response.created", handler=handler)
        dispatcher.publish(CREATED)
        await settle()
        dispatcher.publish(DONE)
        await settle()
        assert seen == [CREATED, DONE]
        await close(dispatcher)

    run(main())


def test_a_handler_that_raises_is_reported_once_and_goes_on(caplog):
    async def main():
        dispatcher = Dispatcher()
        reader = dispatcher.subscribe("rtcvoice.handler_error")
        handled = []

        async def broken(event):
            handled.append(event)
            raise ZeroDivisionError("a bug of the user's")

        dispatcher.on("response.*", handler=broken)
        dispatcher.publish(CREATED)
        dispatcher.publish(DONE)
        await settle()
        await close(dispatcher)
        assert handled == [CREATED, DONE]
        first, second = await rest(reader)
        assert (first.event, second.event) == (CREATED, DONE)
        assert isinstance(first, HandlerError)
        assert "broken" in first.handler
        assert isinstance(first.exception, ZeroDivisionError)

    run(main())
    assert caplog.text.count("ZeroDivisionError: ") == 2


def test_a_handler_of_errors_that_raises_calls_nobody_again():
    async def main():
        dispatcher = Dispatcher()
        handled = []

        async def broken(event):
            handled.append(event.type)
            raise ZeroDivisionError

        dispatcher.on("*", handler=broken)
        dispatcher.publish(DONE)
        await asyncio.sleep(1)
        await close(dispatcher)
        assert handled == ["response.done", "rtcvoice.handler_error"]

    run(main())


def test_a_handler_outlives_a_cancellation_that_was_not_meant_for_it():
    async def main():
        dispatcher = Dispatcher()
        handled = []

        async def handler(event):
            handled.append(event)
            job = asyncio.create_task(asyncio.sleep(60))
            await asyncio.sleep(0)
            job.cancel()
            await job

        dispatcher.on("response.*", handler=handler)
        reader = dispatcher.subscribe("rtcvoice.handler_error")
        dispatcher.publish(CREATED)
        dispatcher.publish(DONE)
        await asyncio.sleep(1)
        await close(dispatcher)
        assert handled == [CREATED, DONE]
        assert len(await rest(reader)) == 2

    run(main())


def test_a_handler_that_falls_behind_gets_nothing_it_did_not_ask_for(caplog):
    async def main():
        dispatcher = Dispatcher()
        handled, told = [], []

        async def handler(event):
            handled.append(event)

        async def teller(event):
            told.append(event)

        dispatcher.on("error", handler=handler)
        dispatcher.on("*", handler=teller)
        for number in range(1005):
            dispatcher.publish(Event("error", number))
        await close(dispatcher)
        assert [event.number for event in handled] == list(range(5, 1005))
        assert told == [EventsDropped(count=5), *handled]

    run(main())
    assert "handler is too slow: 5 events were dropped" in caplog.records[0].getMessage()


def test_closing_lets_handlers_finish_what_they_were_given():
    async def main():
        dispatcher = Dispatcher()
        handled = []

        async def handler(event):
            await asyncio.sleep(0.1)
            handled.append(event.number)

        dispatcher.on("error", handler=handler)
        for number in range(5):
            dispatcher.publish(Event("error", number))
        await close(dispatcher)
        assert handled == [0, 1, 2, 3, 4]

    run(main())


def test_closing_cancels_a_stuck_handler_and_leaves_a_stubborn_one(caplog):
    async def main():
        dispatcher = Dispatcher()

        async def stuck(event):
            await asyncio.Event().wait()

        async def stubborn(event):
            try:
                await asyncio.sleep(10)
            except asyncio.CancelledError:
                await asyncio.sleep(10)

        dispatcher.on("response.done", handler=stuck)
        dispatcher.on("error", handler=stubborn)
        dispatcher.publish(DONE)
        dispatcher.publish(Event("error"))
        await settle()
        before = asyncio.get_running_loop().time()
        await close(dispatcher)
        assert asyncio.get_running_loop().time() - before == pytest.approx(2.0)
        await asyncio.sleep(20)

    run(main())
    assert [record.getMessage() for record in caplog.records] == [
        "x a handler does not stop: rtcvoice on error"
    ]


def test_a_handler_may_close_its_own_dispatcher():
    async def main():
        dispatcher = Dispatcher()
        closed = asyncio.Event()

        async def handler(event):
            await close(dispatcher)
            closed.set()

        dispatcher.on("response.done", handler=handler)
        dispatcher.publish(DONE)
        await closed.wait()
        await settle()

    run(main())


# -- plain functions: real threads ------------------------------------------------------------


async def test_plain_functions_run_off_the_loop():
    dispatcher = Dispatcher()
    threads = []
    dispatcher.on("response.done", handler=lambda event: threads.append(threading.current_thread()))
    dispatcher.publish(DONE)
    await close(dispatcher)
    (thread,) = threads
    assert thread is not threading.current_thread()
    assert thread.name.startswith("rtcvoice handler")
    thread.join()


async def test_plain_functions_that_block_delay_neither_the_loop_nor_each_other():
    dispatcher = Dispatcher()
    go, all_running = threading.Event(), threading.Barrier(11)

    def blocking(event):
        all_running.wait(10)
        go.wait(10)

    for _ in range(10):
        dispatcher.on("response.done", handler=blocking)
    assert HANDLER_THREADS > 10
    dispatcher.publish(DONE)
    await asyncio.sleep(0)
    await asyncio.to_thread(all_running.wait, 10)  # breaks unless all ten run at the same time
    reader = dispatcher.subscribe()
    dispatcher.publish(Event("error"))
    assert await anext(reader) == Event("error")
    go.set()
    await close(dispatcher)


async def test_a_plain_function_may_return_something_to_await():
    dispatcher = Dispatcher()
    threads = []

    async def work(what, event):
        threads.append((what, threading.current_thread()))

    class Callable:
        async def __call__(self, event):
            await work("object", event)

    dispatcher.on("response.done", handler=lambda event: work("lambda", event))
    dispatcher.on("response.done", handler=functools.partial(work, "partial"))
    dispatcher.on("response.done", handler=Callable())
    dispatcher.publish(DONE)
    await close(dispatcher)
    assert sorted(what for what, _ in threads) == ["lambda", "object", "partial"]
    assert {thread for _, thread in threads} == {threading.current_thread()}


async def test_a_plain_function_that_raises_is_reported_too(caplog):
    dispatcher = Dispatcher()
    reader = dispatcher.subscribe("rtcvoice.handler_error")
    dispatcher.on("response.done", handler=lambda event: event.no_such_field)
    dispatcher.publish(DONE)
    error = await anext(reader)
    assert isinstance(error.exception, AttributeError)
    assert error.event is DONE
    await close(dispatcher)
    assert "no attribute 'no_such_field'" in caplog.text


async def test_no_thread_is_left_of_plain_functions():
    before = set(threading.enumerate())
    dispatcher = Dispatcher()
    dispatcher.on("response.done", handler=lambda event: None)
    dispatcher.publish(DONE)
    await close(dispatcher)
    for thread in set(threading.enumerate()) - before:
        thread.join(5)
        assert not thread.is_alive()


def test_a_reader_works_without_a_dispatcher():
    async def main():
        reader = Subscription(Kinds("a.*"), limit=1)
        assert reader.kinds.match(Event("a.b"))
        assert not reader.kinds.match(Event("b"))
        reader.put(1)
        reader.end()
        reader.put(2)
        assert await rest(reader) == [1]

    run(main())


async def test_what_is_no_function_is_no_handler():
    with pytest.raises(ConfigError, match="must be a function"):
        Dispatcher().on("error", handler="print")


# -- classes of events ------------------------------------------------------------------------


async def test_classes_are_told_apart_from_what_only_has_their_name():
    dispatcher = Dispatcher()
    reader = dispatcher.subscribe(HandlerError, events.ErrorEvent)
    forged = events.UnknownEvent("rtcvoice.handler_error", {"type": "rtcvoice.handler_error"})
    dispatcher.publish(forged)
    dispatcher.publish(REFUSED)
    dispatcher.publish(CLEARED)
    dispatcher.end(HUNG_UP)
    assert await rest(reader) == [REFUSED]


async def test_classes_and_patterns_and_base_classes():
    dispatcher = Dispatcher()
    mixed = dispatcher.subscribe("error", events.InputAudioBufferCleared)
    local, server = dispatcher.subscribe(events.LocalEvent), dispatcher.subscribe(events.FromServer)
    dropped = EventsDropped(count=1)
    for event in (REFUSED, CLEARED, dropped):
        dispatcher.publish(event)
    dispatcher.end(HUNG_UP)
    assert await rest(mixed) == [REFUSED, CLEARED]
    assert await rest(local) == [dropped]
    assert await rest(server) == [REFUSED, CLEARED]


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        (int, "not a kind of event"),
        (events.ErrorEvent | events.UnknownEvent, "not a kind of event"),
        (REFUSED, "not a kind of event"),
        (None, "not a kind of event"),
        (["error"], "not a kind of event"),
        (events.ResponseCreate, "is sent"),
    ],
)
async def test_what_is_no_kind_of_event_is_refused(kind, error):
    dispatcher = Dispatcher()
    with pytest.raises(ConfigError, match=error):
        dispatcher.subscribe(kind)
    with pytest.raises(ConfigError, match=error):
        dispatcher.on(kind, handler=print)
    with pytest.raises(ConfigError, match=error):
        dispatcher.expect("error", kind)


async def test_who_reads_a_class_is_told_of_drops_only_on_demand(caplog):
    dispatcher = Dispatcher()
    plain = dispatcher.subscribe(events.ErrorEvent, limit=1)
    asking = dispatcher.subscribe(events.ErrorEvent, EventsDropped, limit=1)
    for _ in range(3):
        dispatcher.publish(REFUSED)
    dispatcher.end(HUNG_UP)
    assert await rest(plain) == [REFUSED]
    assert plain.dropped == 2
    assert "2 events were dropped" in caplog.text
    assert await rest(asking) == [EventsDropped(count=2), REFUSED]


# -- one reader -------------------------------------------------------------------------------


async def test_a_second_reader_of_one_stream_is_refused():
    dispatcher = Dispatcher()
    reader = dispatcher.subscribe()
    first = asyncio.create_task(anext(reader))
    await settle()
    with pytest.raises(ConcurrencyError, match="another task"):
        await anext(reader)
    dispatcher.publish(DONE)
    assert await first == DONE  # the first one lost nothing
    abandoned = asyncio.create_task(anext(reader))
    await settle()
    abandoned.cancel()
    await settle()
    dispatcher.publish(DONE)
    assert await anext(reader) == DONE  # one that was cancelled reads no longer


# -- taking a handler back ----------------------------------------------------------------------


async def test_off_takes_a_handler_back_with_what_it_had_not_seen_yet():
    dispatcher = Dispatcher()
    seen = []

    async def handler(event):
        seen.append(event)
        dispatcher.off(handler)  # itself

    dispatcher.on("error", handler=handler)
    dispatcher.on(events.InputAudioBufferCleared, handler=handler)
    for _ in range(3):
        dispatcher.publish(REFUSED)
    await settle()
    dispatcher.publish(CLEARED)
    await settle()
    assert seen == [REFUSED]
    assert not dispatcher._handlers
    with pytest.raises(ConfigError, match="handles no events"):
        dispatcher.off(handler)
    dispatcher.end(HUNG_UP)
    dispatcher.off(handler)  # the end took everything back


async def test_off_finds_methods():
    class Robot:
        def __init__(self):
            self.seen = []

        async def hear(self, event):
            self.seen.append(event)

    dispatcher, robot = Dispatcher(), Robot()
    dispatcher.on("error", handler=robot.hear)
    dispatcher.publish(REFUSED)
    await settle()
    dispatcher.off(robot.hear)  # a new object, and equal
    dispatcher.publish(REFUSED)
    await settle()
    assert robot.seen == [REFUSED]


# -- expecting ----------------------------------------------------------------------------------


async def test_what_is_expected_may_be_awaited_late_and_again_and_by_several():
    dispatcher = Dispatcher()
    expected = dispatcher.expect(events.ErrorEvent)
    others = [asyncio.create_task(_result(expected)) for _ in range(2)]
    await settle()
    others[0].cancel()
    dispatcher.publish(REFUSED)
    dispatcher.publish(CLEARED)
    assert await others[1] is await expected is await expected is REFUSED


async def test_a_left_block_is_no_longer_waited_in():
    dispatcher = Dispatcher()
    async with dispatcher.expect("error") as expected:
        pass
    dispatcher.publish(REFUSED)
    with pytest.raises(ConfigError, match="did not come"):
        await expected


async def test_what_nobody_holds_is_not_waited_for():
    dispatcher = Dispatcher()
    dispatcher.expect("error")
    gc.collect()
    assert not dispatcher._waiters


def test_expecting_counts_its_time_from_the_await_on():
    async def main():
        dispatcher = Dispatcher()
        expected = dispatcher.expect("error", timeout=5)
        await asyncio.sleep(60)
        with pytest.raises(TimeoutError):
            await expected
        assert asyncio.get_running_loop().time() == 1065.0
        dispatcher.publish(REFUSED)
        assert await expected is REFUSED

    run(main())


async def _result(expected):
    return await expected
