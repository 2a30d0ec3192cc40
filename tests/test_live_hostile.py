"""What a stranger's or an enemy's server may send a call of GPT-Live: bounded, and harmless."""

from __future__ import annotations

import asyncio
import copy
import json
import logging
from random import Random

import pytest
from live_driver import BACKEND as EMULATED
from live_driver import LiveDriver
from live_samples import FROM_SERVER
from test_live_road import BACKEND, LOUD, Scene, tell
from virtual_loop import run

from rtcvoice import Limits, ToolSet
from rtcvoice.errors import CallEnded
from rtcvoice.live.state import backend, call_entries, spoken

FLOOD = 1500
FAR = 2**53
JUNK = [None, True, -1, FAR, 1e308, -1e308, "", "\ud800", "x" * 5000, [], {}, [[]], {"type": 5}]


async def add(a: int, b: int) -> int:
    """Add."""
    return a + b


async def never(asked):
    await asyncio.Event().wait()


def staged(test, **options):
    """Run a test of a scene that is under way; nothing may fail inside."""

    async def main():
        faults = Faults()
        logging.getLogger("rtcvoice").addHandler(faults)
        stage = Scene(**options)
        await stage.start(delegation=BACKEND if options.get("tools") else {"type": "client"})
        stage.talk.dispatcher.listeners.clear()
        try:
            await test(stage)
        finally:
            logging.getLogger("rtcvoice").removeHandler(faults)
            stage.talk.end(CallEnded("over", normal=True))
            await stage.talk.aclose()
        assert not faults.seen

    run(main())


class Faults(logging.Handler):
    """Errors of ours: exceptions that were caught and logged."""

    def __init__(self):
        super().__init__(logging.ERROR)
        self.seen = []

    def emit(self, record):
        self.seen.append(record.getMessage())


def inner(kind, delegation="item_1", **fields):
    return {
        "type": "response.event",
        "delegation_id": delegation,
        "event": {"type": f"response.{kind}", **fields},
    }


def called(number, delegation="item_1", arguments='{"a":1,"b":1}'):
    call = {"type": "function_call", "id": f"fc_{number}", "call_id": f"call_{number}"}
    return inner(
        "output_item.done", delegation, item=call | {"name": "add", "arguments": arguments}
    )


def delta(number, text=" la", start=None, side="output"):
    start = 200 * number if start is None else start
    kind = f"session.{side}_transcript.delta"
    return {"type": kind, "delta": text, "start_ms": start, "end_ms": start + 200}


def created(number, target):
    given = {"id": f"item_{number}", "type": "delegation", "target": target}
    return {"type": "session.delegation.created", "delegation": given, "offset_ms": -number}


FLOODS = {
    "huge deltas": lambda n: delta(n, "x" * 20_000),
    "deltas out of order": lambda n: delta(n, start=(n * 7919) % 3000 * 200),
    "deltas of another age": lambda n: delta(n, start=FAR * (-1) ** n + n),
    "both sides": lambda n: delta(n, start=20_000 * n, side=("input", "output")[n % 2]),
    "work for us": lambda n: created(n, "client"),
    "work for the backend": lambda n: created(n, "responses"),
    "work for nobody": lambda n: created(n, "decisions"),
    "responses": lambda n: inner("created", f"item_{n}", response={"id": f"resp_{n}"}),
    "ends": lambda n: inner(
        "completed", f"item_{n}", response={"id": f"resp_{n}", "usage": {"input_tokens": 10**18}}
    ),
    "calls": lambda n: called(n, f"item_{n}", '{"a":' + "1" * 20_000),
    "the same call": lambda n: called(1),
    "errors": lambda n: {"type": "error", "error": {"type": "x", "code": None, "message": "m" * n}},
    "ends of the session": lambda n: {"type": "session.closed", "reason": "x" * n},
    "pauses": lambda n: {"type": ("session.paused", "session.resumed")[n % 2]},
    "usage": lambda n: {
        "type": "session.usage.updated",
        "usage": {"seconds": n * 1e300, "active_seconds": -n, "paused_seconds": -n},
        "context_window": {"usage_ratio": -1e300 * (-1) ** n},
    },
    "sessions": lambda n: {"type": "session.started", "session": {"id": f"live_{n}"}},
    "acknowledgements": lambda n: {
        "type": "session.commentary.appended",
        "client_event_id": f"id_{n}",
        "start_ms": FAR,
        "end_ms": -FAR,
    },
}


@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS)
def test_a_flood_is_bounded(flood):
    async def test(stage):
        for number in range(FLOOD):
            stage.talk.receive(json.dumps(flood(number)))
            if number % 100 == 0:
                await stage.sound(0.02, heard=LOUD)
        await stage.sound(0.2)
        state = stage.talk.state
        assert len(state.backend._running) <= backend.MOST_RUNNING
        assert len(state.backend._calls) <= backend.MOST_CALLS
        assert state.backend._entries.size <= call_entries.MOST_HISTORY_BYTES
        assert len(state.delegations._all) <= 100
        assert all(len(each.text) <= spoken.MOST_TEXT for each in state.turns.all)
        assert len(stage.leg.sent) <= 50  # nobody is made to flood the server in turn
        assert 0 <= (stage.talk.accounts.usage.context or 0) <= 1
        assert stage.talk.accounts.usage.standby_seconds >= 0
        assert len(asyncio.all_tasks()) < 250
        assert str(stage.talk.accounts.usage)
        assert stage.talk.history is not None

    staged(test, tools=ToolSet([add]))


def test_work_without_end_is_declined_and_handlers_are_few():
    async def test(stage):
        for number in range(FLOOD):
            tell(
                stage.talk,
                **{"kind" if k == "type" else k: v for k, v in created(number, "client").items()},
            )
        await asyncio.sleep(5)
        assert len(stage.talk._delegations._working) <= 16

    staged(test, on_delegation=never)


def test_events_before_the_session_and_after_its_end():
    async def main():
        stage = Scene()
        stage.talk.attach(stage.leg)
        for number in range(5):
            for make in FLOODS.values():
                event = make(number)
                if event["type"] not in ("error", "session.closed", "session.started"):
                    stage.talk.receive(json.dumps(event))
        assert stage.leg.sent == []
        tell(stage.talk, "session.started", session={"id": "live_u1_x"})
        await stage.talk.ready()
        told = []
        stage.talk.on_closed = lambda reason, why: told.append(reason)
        for _ in range(3):
            tell(stage.talk, "session.closed", reason="expired")
        stage.talk.end(CallEnded("over", normal=True))
        for make in FLOODS.values():
            stage.talk.receive(json.dumps(make(1)))
        assert told[:3] == ["expired"] * 3
        await stage.talk.aclose()

    run(main())


def emulated():
    """Return the events of an emulated call with speech, a function call and mute."""
    driver = LiveDriver({"delegation": EMULATED})
    driver.send("session.commentary.append", content="What is the weather?", delegation_id=None)
    driver.say(1.0, 2.0)
    driver.send("response.create")
    driver.send("session.input_audio.mute")
    return [json.dumps(event) for event in driver.events()]


EVENTS = [*FROM_SERVER, *emulated()]


def mutated(random, text):
    """One event with some places of it replaced, removed or doubled."""
    event = json.loads(text)
    for _ in range(random.randrange(3)):
        spot = event
        while True:
            keys = list(spot) if isinstance(spot, dict) else list(range(len(spot)))
            if not keys:
                break
            key = random.choice(keys)
            if isinstance(spot[key], dict | list) and random.random() < 0.7:
                spot = spot[key]
                continue
            if random.random() < 0.3:
                del spot[key]
            else:
                spot[key] = copy.deepcopy(random.choice([*JUNK, random.choice(EVENTS)]))
            break
    return json.dumps(event)


@pytest.mark.parametrize("seed", range(6))
def test_events_gone_wrong_leave_the_call_alive(seed):
    random = Random(seed)

    async def test(stage):
        for _ in range(400):
            text = mutated(random, random.choice(EVENTS))
            stage.talk.receive(text if random.random() < 0.95 else text[: len(text) // 2])
            if random.random() < 0.3:
                loud = random.choice((0, LOUD))
                await stage.sound(random.uniform(0.02, 0.5), heard=loud, sent=LOUD - loud)
        stage.talk.receive(json.dumps({"type": "session.started", "session": {"delegation": None}}))
        await stage.sound(6.0)
        for answer in list(stage.talk.requests._answers):
            answer.finish(spoken.Status.COMPLETED)
        reply = await stage.talk.requests.say("Hello.")
        stage.talk.receive(json.dumps(delta(0, "Hello.", start=None)))
        assert reply.text_so_far.endswith("Hello.")

    staged(test, tools=ToolSet([add]), limits=Limits(tokens=10**30))
