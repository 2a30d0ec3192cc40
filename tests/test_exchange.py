"""What is sent and confirmed: changes one by one, histories by bytes, time from its leaving."""

from __future__ import annotations

import asyncio
import base64
import functools

import pytest
import virtual_loop
from virtual_call import VirtualCall

from rtcvoice import events
from rtcvoice.call.connecting import Connecting
from rtcvoice.call.timings import Timings
from rtcvoice.config.call_config import CallConfig
from rtcvoice.conversation.asking.confirmations import AHEAD, REPLY_TIMEOUT, Confirmations, new_id
from rtcvoice.errors import CallEnded, ServerError, TransportError

TEXT = {"output_modalities": ["text"]}
NONSENSE = {"audio": {"input": {"turn_detection": {"type": "nonsense"}}}}


def virtual(test):
    @functools.wraps(test)
    def run(*args, **kwargs):
        virtual_loop.run(test(*args, **kwargs))

    return run


def seconds():
    return asyncio.get_running_loop().time()


async def outcome(awaitable):
    """What came of it: the kind of an error, or "ok"."""
    try:
        await awaitable
    except Exception as exc:
        return type(exc).__name__
    return "ok"


# ---- changes of the session


@virtual
async def test_each_of_many_changes_has_its_own_answer():
    async with VirtualCall(session=TEXT) as call:
        update = call._conversation.commands.update
        changes = [{"instructions": "a"}, NONSENSE, {"instructions": "b"}, NONSENSE]
        got = await asyncio.gather(*(outcome(update(change)) for change in changes))
        assert got == ["ok", "ServerError", "ok", "ServerError"]
        assert call._conversation.state.session.instructions == "b"


@virtual
async def test_what_belongs_to_a_change_is_left_with_what_becomes_of_it():
    told = []

    class During:
        def __init__(self, name):
            self.name = name

        def __enter__(self):
            told.append(f"{self.name} begins")

        def __exit__(self, kind, *rest):
            told.append(f"{self.name} {kind.__name__ if kind else 'done'}")

    async with VirtualCall(session=TEXT) as call:
        update = call._conversation.commands.update
        await asyncio.gather(
            outcome(update(NONSENSE, during=During("a"))),
            outcome(update({"instructions": "x"}, during=During("b"))),
        )
    assert told == ["a begins", "a ServerError", "b begins", "b done"]


@pytest.mark.parametrize("event_id", [None, "mine"])
@pytest.mark.parametrize("typed", [False, True])
@pytest.mark.parametrize("other", [{"instructions": "y"}, NONSENSE], ids=["taken", "refused"])
@virtual
async def test_a_change_of_somebody_else_answers_none_of_ours(event_id, typed, other):
    session = {"type": "realtime", **other}
    event = events.SessionUpdate(session=session, event_id=event_id)
    async with VirtualCall(session=TEXT) as call:
        sent = event if typed else {k: v for k, v in events.as_dict(event).items() if v}
        for change, right in ((NONSENSE, "ServerError"), ({"instructions": "z"}, "ok")):
            await call.send_event(sent)
            assert await outcome(call._conversation.commands.update(change)) == right


@virtual
async def test_an_update_that_nobody_answers_costs_the_next_one_nothing():
    exchange = Confirmations()

    async def update(answered):
        event = events.SessionUpdate(session={}, event_id=new_id())

        def send(event):
            exchange.sent(event)
            if answered:
                exchange.feed(events.SessionUpdated(session=events.Session()))

        return await outcome(exchange.confirm(event, send, what="it"))

    exchange.sent(events.SessionUpdate(session={}, event_id="by hand"))
    begun = seconds()
    assert await update(False) == "TransportError"
    assert seconds() - begun == pytest.approx(REPLY_TIMEOUT)
    await asyncio.sleep(0.1)
    assert await update(True) == "ok"


# ---- the time for an answer


class Network:
    """Takes `rate` bytes a second of `size` bytes that wait, until `stops`."""

    def __init__(self, size, rate, stops=1e9):
        self.size, self.rate, self.stops = size, rate, stops
        self.begun = seconds()

    def progress(self):
        elapsed = min(seconds() - self.begun, self.stops)
        return self.size, min(self.size, round(elapsed * self.rate))


async def waits(exchange):
    """Seconds until a command that nobody answers is given up."""
    begun = seconds()
    event = events.InputAudioBufferClear(event_id=new_id())
    with pytest.raises(TransportError, match="did not confirm it within 10 s"):
        await exchange.confirm(event, lambda event: None, what="it")
    return seconds() - begun


@virtual
async def test_the_time_for_an_answer_begins_when_the_bytes_have_left():
    assert await waits(Confirmations()) == pytest.approx(10)
    slow = Confirmations(Network(500_000, 20_000).progress)
    assert await waits(slow) == pytest.approx(35, abs=0.5)


@virtual
async def test_a_network_that_takes_nothing_more_is_not_waited_for():
    stuck = Confirmations(Network(500_000, 20_000, stops=5).progress)
    assert await waits(stuck) == pytest.approx(15, abs=0.5)
    begun = seconds()
    with pytest.raises(TransportError, match="taken nothing for 10 s"):
        await stuck.wait_for_space()
    assert seconds() - begun == pytest.approx(10, abs=0.1)


@virtual
async def test_room_is_made_by_what_leaves_and_ends_with_the_call():
    network = Network(3 * AHEAD, AHEAD)
    await Confirmations(network.progress).wait_for_space()
    assert seconds() - network.begun == pytest.approx(2, abs=0.1)
    exchange = Confirmations(Network(3 * AHEAD, 1).progress)
    waiting = asyncio.create_task(exchange.wait_for_space())
    await asyncio.sleep(1)
    exchange.end(CallEnded("over", normal=True))
    with pytest.raises(CallEnded):
        await waiting


PICTURE = b"\xff\xd8\xff" + bytes(150_000)


@virtual
async def test_a_picture_and_what_is_asked_behind_it_over_a_slow_uplink():
    async with VirtualCall(session=TEXT, limit=1 << 20, uplink=10_000) as call:
        picture = asyncio.create_task(outcome(call.send("What is this?", images=[PICTURE])))
        await asyncio.sleep(0.1)
        behind = [
            outcome(call._conversation.commands.update({"instructions": "x"})),
            outcome(call.ask("And you?")),
            outcome(call.respond(conversation="none")),
        ]
        assert await asyncio.gather(*behind) == ["ok", "ok", "ok"]
        assert await picture == "ok"
        assert seconds() > 20  # 200 kB of base64 at 10 kB/s
        assert not call.errors[0]


# ---- histories


def history(count, **more):
    roles = ("user", "assistant")
    return [{"role": roles[n % 2], "text": f"words of turn {n}", **more} for n in range(count)]


@virtual
async def test_a_long_history_takes_hardly_longer_than_a_short_one():
    took = []
    for count in (1, 300):
        begun = seconds()
        async with VirtualCall(session=TEXT, way=0.15, history=history(count)) as call:
            took.append(seconds() - begun)
            assert [entry["text"] for entry in call.history] == [
                entry["text"] for entry in history(count)
            ]
    assert took[1] - took[0] < 0.1


@virtual
async def test_a_history_of_large_pictures_goes_in_piece_by_piece():
    url = f"data:image/jpeg;base64,{base64.b64encode(PICTURE).decode()}"
    entries = history(8, images=[{"image_url": url}])
    most = 0
    async with VirtualCall(session=TEXT, limit=1 << 20, uplink=100_000) as call:

        async def watch():
            nonlocal most
            while True:
                given, left = call._up.progress
                most = max(most, given - left)
                await asyncio.sleep(0.01)

        watching = asyncio.create_task(watch())
        await call.seed(entries)
        watching.cancel()
        assert len(call.history) == 8
        assert most < AHEAD + 210_000


@virtual
async def test_a_history_that_is_refused_ends_at_the_entry():
    async with VirtualCall(session=TEXT, limit=1 << 20, uplink=100_000) as call:
        seeds = call._conversation.requests.history_items(history(400, text="x" * 10_000))
        odd = [events.ContentPart(type="nonsense")]
        refused = events.Message(id=new_id(), role="user", content=odd)
        seeds[10] = events.ConversationItemCreate(event_id=new_id(), item=refused)
        with pytest.raises(ServerError, match="refused the history"):
            await call._conversation.requests.add_history(seeds)
        assert len(call.sent("conversation.item.create")) < 60
        assert await (await call.ask("Still there?")).text()


def test_a_history_that_takes_too_long_is_what_the_error_names():
    timings, config = Timings(), CallConfig.from_options({"api_key": "sk-test"})
    with pytest.raises(asyncio.CancelledError), timings.stage("history"):
        raise asyncio.CancelledError
    assert "longer than 2.5 s;" in Connecting(config, timings).too_late(2.5).message
    error = Connecting(config, timings).too_late()
    assert error.stage == "history"
    assert "the history is long for this network" in str(error)
