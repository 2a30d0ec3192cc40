"""Random interleavings: whatever the order, no turn is lost, no answer given twice.

The server of `talkative_server.py` and the pure conversation talk through two queues that deliver
when they like, while the user speaks, types, interrupts, and tools finish.
"""

from __future__ import annotations

from random import Random

import pytest
from talkative_server import TalkativeServer

from rtcvoice import events as e
from rtcvoice.conversation.asking import commands
from rtcvoice.conversation.state.conversation import ConversationState
from rtcvoice.conversation.state.requests import Request, RequestState

RACES = {"conversation_already_has_active_response", "response_cancel_not_active"}


class Client:
    """What a call does with its conversation, without a call."""

    def __init__(self, random):
        self.random = random
        self.out = []
        self.now = 0.0
        self.numbers = iter(range(10**6))
        self.conversation = ConversationState(self.new_id)
        self.sequencer = self.conversation.sequencer
        self.sequencer.calls_wanted = True
        self.finals = []
        self.requests = []
        self.calls = []
        self.running = []
        self.surfaced_errors = []

    def new_id(self):
        return f"mine_{next(self.numbers)}"

    def receive(self, event):
        race = isinstance(event, e.ErrorEvent) and (
            self.sequencer.is_race(event.error) or event.error.code == "response_cancel_not_active"
        )
        if isinstance(event, e.ErrorEvent) and not race:
            self.surfaced_errors.append(event)
        self.conversation.feed(event, self.now)
        self.proceed()

    def send(self, event):
        self.conversation.sent(event, self.now)
        self.out.append(event)

    def proceed(self):
        for event in self.conversation.due(self.now):
            self.send(event)
        fresh = self.sequencer.take_calls()
        self.calls += fresh
        self.running += fresh
        for turn in self.conversation.turns.take(self.now, partial=False):
            self.finals.append(turn)

    def want(self, **options):
        request = Request(tag=self.new_id(), **options)
        self.requests.append(request)
        self.sequencer.add(request)
        self.proceed()

    # -- what the program and its user may do ---------------------------------------------------

    def write(self, *, shared):
        item_id = self.new_id()
        content = [e.ContentPart(type="input_text", text=f"text {item_id}")]
        self.send(
            e.ConversationItemCreate(item=e.Message(id=item_id, role="user", content=content))
        )
        self.want(items=frozenset({item_id}), shared=shared)

    def beside(self):
        self.want(params=e.ResponseParams(conversation="none"))

    def interrupt(self):
        if self.random.random() < 0.5:
            self.sequencer.stop()
        for command in commands.interrupt(
            responding=self.sequencer.responding or self.sequencer.asked,
            playing=self.conversation.playing,
            speaks=True,
            new_id=self.new_id,
        ):
            self.send(command)

    def finish_tool(self):
        call = self.running.pop(self.random.randrange(len(self.running)))
        self.sequencer.answer(call.call_id, f"result of {call.call_id}")
        self.proceed()

    def choices(self):
        doings = [
            lambda: self.write(shared=False),
            lambda: self.write(shared=True),
            self.sequencer_respond,
            self.beside,
            self.interrupt,
        ]
        return doings + [self.finish_tool] * (3 * bool(self.running))

    def sequencer_respond(self):
        self.want()


class Scene:
    def __init__(self, seed):
        self.random = Random(seed)
        self.server = TalkativeServer(self.random)
        self.client = Client(self.random)

    def deliver_down(self):
        self.client.receive(self.server.out.pop(0))

    def deliver_up(self):
        self.server.receive(self.client.out.pop(0))

    def network(self):
        return [self.deliver_down] * (3 * bool(self.server.out)) + [self.deliver_up] * (
            2 * bool(self.client.out)
        )

    def play(self, moves):
        for _ in range(moves):
            self.client.now += self.random.random() * 0.05
            options = self.network() + self.server.choices() * 2
            if self.random.random() < 0.15:
                options = self.client.choices()
            self.random.choice(options)()
        self.come_to_rest()

    def come_to_rest(self):
        """Let everything be said that is to be said; then let every patience end."""
        for _ in range(5):
            while (
                options := self.network()
                + self.server.choices(user=False)
                + ([self.client.finish_tool] if self.client.running else [])
            ):
                self.client.now += 0.01
                self.random.choice(options)()
            self.client.now += 12.0
            self.client.proceed()


@pytest.mark.parametrize("batch", range(10))
def test_random_interleavings(batch):
    for seed in range(batch * 100, batch * 100 + 100):
        scene = Scene(seed)
        scene.play(Random(seed).randint(5, 40) * 2)
        check(scene, seed)


def check(scene, seed):
    server, client = scene.server, scene.client
    conversation = client.conversation
    # Everything came to an end.
    assert server.quiet, seed
    assert not client.sequencer.busy, seed
    assert conversation.is_idle(client.now), seed
    # The chain is the server's, with every word.
    assert [entry["id"] for entry in conversation.history] == server.chain, seed
    # Turns are in its order, each once (a late transcript may correct one), with every word.
    said_ids = list(dict.fromkeys(turn.id for turn in client.finals))
    assert said_ids == [i for i in server.chain if not i.startswith("fc") and i in server.texts], (
        seed
    )
    latest = {turn.id: turn for turn in client.finals}
    for entry in conversation.history:
        if entry["type"] == "message":
            assert entry["text"] == server.texts[entry["id"]], (seed, entry)
            assert latest[entry["id"]].text == entry["text"], (seed, entry)
            assert entry["status"] != "in_progress", (seed, entry)
    # Nothing was refused but what was overtaken, and nobody was told of that.
    assert set(server.refused) <= RACES, seed
    assert client.surfaced_errors == [], seed
    # Every wish was answered, and by one response of its own unless it was shared.
    made = [tag for _, tag, _ in server.made if tag is not None]
    assert len(made) == len(set(made)), seed
    for request in client.requests:
        if request.shared and request.state is RequestState.WITHDRAWN:  # the user stopped it
            assert request.tag not in made, (seed, request)
            continue
        expected = {RequestState.DONE} | ({RequestState.COVERED} if request.shared else set())
        assert request.state in expected, (seed, request)
        assert (request.tag in made) == (request.state is RequestState.DONE), (seed, request)
        assert request.response_id in [response_id for response_id, _, _ in server.made], seed
    # Every call surfaced once and was answered once.
    assert sorted(call.call_id for call in client.calls) == sorted(server.calls), seed
    assert set(server.outputs) == set(server.calls), seed
