"""Any of the 1,000 random conversations loses its session at any event: its history is the same.

What the server said in each of them is known from `test_conversation_random.py`. One conversation
is told all of it, the other one up to some event; then its session is lost, and it moves to another
one. What both have must be the same, but for what was cut.
"""

from __future__ import annotations

import asyncio
from random import Random

import pytest
import virtual_loop
from fake_road import FakeLeg, FakeOutput
from moving_scenes import LOST, Session
from test_conversation_random import Scene

from rtcvoice import events as e
from rtcvoice.conversation.moving import Move
from rtcvoice.conversation.road import CallConversation
from rtcvoice.conversation.state.replay import CUT_OFF
from rtcvoice.errors import CallEnded

OVER = CallEnded("over", normal=True)


def told(seed):
    """Return what the server of one conversation said, in order."""
    scene, texts = Scene(seed), []
    receive = scene.client.receive
    scene.client.receive = lambda event: (texts.append(e.encode(event)), receive(event))
    scene.play(Random(seed).randint(5, 40) * 2)
    return texts


def conversation():
    made = CallConversation(FakeOutput(), model="m", clock=asyncio.get_running_loop().time)
    made.want_calls(True)
    made.on_calls = lambda calls: None  # they run for longer than this lasts
    made.attach(FakeLeg([].append))
    return made


async def settled(session, work):
    """Let the new session's server do what it is asked to, until `work` is done."""
    task = asyncio.ensure_future(work)
    while not task.done():
        for move in session.network()[:1]:
            move()
        await asyncio.sleep(0)
    await task


async def move(talk):
    """Lose the session of `talk`, and give it another one."""
    talk.leave(LOST)
    session = Session(Random(0), 1)
    moving = Move(talk, session.leg)
    session.receive = moving.receive
    await settled(session, moving.ready(talk.session_updates))
    await settled(session, moving.seed())
    await settled(session, moving.catch_up())
    moving.take_over()
    await settled(session, moving.finish())
    return session.server


async def check(seed):
    texts = told(seed)
    count = Random(-seed).randint(1, len(texts))
    whole, cut = conversation(), conversation()
    for text in texts:
        whole.receive(text)
    for text in texts[:count]:
        cut.receive(text)
    known = {entry["id"]: entry for entry in cut.history}
    final = {record.id for record in cut.state.items if record.published}
    server = await move(cut)
    undisturbed, history = whole.history, cut.history
    ids = [entry["id"] for entry in history]
    # In the same order, each once, if its place was told; and nothing that had words is gone.
    placed = [i for i in ids if i in known]
    assert placed == [x["id"] for x in undisturbed if x["id"] in set(placed)], (seed, count)
    assert len(ids) == len(set(ids)), (seed, count)
    gone = [x for i, x in known.items() if i not in ids and x.get("text")]
    assert gone == [], (seed, count)
    # With the same words, but for what was cut here, or there by its own user.
    there = {entry["id"]: entry for entry in undisturbed}
    for entry in history:
        same = there[entry["id"]]
        before = known.get(entry["id"], entry)  # one whose place was not told yet shows now
        assert entry["type"] == same["type"], (seed, count)
        if entry["type"] != "message":
            for field in ("call_id", "name"):
                assert entry.get(field) == same.get(field), (seed, count)
            assert str(same.get("arguments")).startswith(str(entry.get("arguments"))), (seed, count)
            continue
        assert entry["role"] == same["role"], (seed, count)
        assert before["text"].startswith(entry["text"]), (seed, count, entry, before)
        if entry["id"] in final:
            assert entry["text"] == before["text"], (seed, count, entry, before)
        if same["status"] == "completed":
            assert same["text"].startswith(entry["text"]), (seed, count, entry, same)
        assert entry["status"] != "in_progress", (seed, count, entry)
    # The new session has been given the same, in this order; of speech what was heard.
    given = [i for i in server.chain if i in set(ids)]
    assert given == [i for i in ids if i in set(given)], (seed, count)
    for record in cut.state.items:
        if record.kind not in ("", "message") or not record.text:
            continue
        assert record.id in given or record.heard_ms == 0, (seed, count, record)
        words = server.texts.get(record.id, "").removesuffix(CUT_OFF).strip()
        assert record.text.startswith(words), (seed, count, record, words)
        if record.role == "user" or (record.id in final and record.heard_ms is None):
            assert words == record.text, (seed, count, record, words)
    for talk in (whole, cut):
        talk.end(OVER)
        await talk.aclose()


@pytest.mark.parametrize("batch", range(3))
def test_a_history_outlives_its_session(batch):
    for seed in range(batch, 1000, 40):
        virtual_loop.run(check(seed))
