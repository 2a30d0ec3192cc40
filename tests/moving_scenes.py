"""Random conversations that lose their session at any event, or exchange it; in virtual time.

The server of `talkative_server.py` and a whole `CallConversation` talk through queues that deliver
when they like. At any moment the session may be gone: then, or while it goes on, another one is
prepared, and the conversation moves to it.
"""

from __future__ import annotations

import asyncio
from random import Random

import said
from emulator_driver import speech
from fake_road import FakeLeg, FakeOutput
from talkative_server import TalkativeServer

from rtcvoice import events as e
from rtcvoice.conversation.asking.confirmations import new_id
from rtcvoice.conversation.moving import Move
from rtcvoice.conversation.road import CallConversation
from rtcvoice.errors import CallEnded, TransportError

__all__ = ["MovingScene"]

RACES = {
    "conversation_already_has_active_response",
    "item_delete_invalid_item_id",
    "response_cancel_not_active",
}
WORDS = speech(0.6)
LOST = TransportError("the network is gone", stage="connected")


class Server(TalkativeServer):
    """One session; `number` makes its ids its own. It takes what a new session is given."""

    def __init__(self, random, number):
        self._number = number
        self.given = []  # ids, in order
        self.settings = {}
        super().__init__(random)

    def new(self, kind):
        return f"{super().new(kind)}s{self._number}"

    def receive(self, event):
        item = getattr(event, "item", None)
        if item is not None:
            assert item.id not in self.chain, ("created twice", item)
            self.given.append(item.id)
        match event:
            case e.ConversationItemCreate(item=e.FunctionCall()):
                assert len(item.call_id) <= 32
                self.calls[item.call_id] = None
                self.say(*_in(item, self.previous))
                self.chain.append(item.id)
            case e.ConversationItemCreate(item=e.Message()):
                kinds = {part.type for part in item.content}
                assert kinds <= {"input_text", "output_text", "input_audio"}
                self.say(*_in(item, self.previous))
                self.chain.append(item.id)
                self.texts[item.id] = item.content[0].text
            case e.SessionUpdate():
                self.settings |= event.session
                self.say(e.SessionUpdated(session=said.session().session))
            case e.ConversationItemDelete() if event.item_id not in self.chain:
                self.refuse("item_delete_invalid_item_id", event)
            case e.ConversationItemDelete():
                self.chain.remove(event.item_id)
                self.say(e.ConversationItemDeleted(item_id=event.item_id))
            case _:
                super().receive(event)


def _in(item, previous):
    return [
        e.ConversationItemAdded(item=item, previous_item_id=previous),
        e.ConversationItemDone(item=item, previous_item_id=previous),
    ]


class Session:
    """A server and the wires to it."""

    def __init__(self, random, number):
        self.server = Server(random, number)
        self.up = []
        self.receive = None
        self.leg = FakeLeg(self.up.append, limit=1 << 20)

    def network(self):
        moves = [self.deliver_down] * (3 * bool(self.server.out))
        return moves + [self.deliver_up] * (2 * bool(self.up))

    def deliver_down(self):
        self.receive(e.encode(self.server.out.pop(0)))

    def deliver_up(self):
        self.server.receive(self.up.pop(0))


class MovingScene:
    """One conversation; `await play(moves, losses)`, then `check()`."""

    def __init__(self, seed):
        self.seed = seed
        self.random = Random(seed)
        self.loop = asyncio.get_running_loop()
        self.conversation = CallConversation(FakeOutput(), model="m", clock=self.loop.time)
        self.sessions = []
        self.session = self.new_session()
        self.session.receive = self.conversation.receive
        self.conversation.attach(self.session.leg)
        self.conversation.want_calls(True)
        self.conversation.on_calls = self.called
        self.next = None  # a session that is being prepared, and its move
        self.moving = None
        self.lost = False
        self.asks = []  # (item id or None, task)
        self.written = []  # ids
        self.deleted = set()
        self.updates = 0
        self.calls = []
        self.running = []
        self.finals = []
        self.snapshots = []
        self.turns = self.conversation.turns()
        self.reading = asyncio.ensure_future(self.read())
        self.happened = []
        self.late = set()

    def new_session(self):
        session = Session(self.random, len(self.sessions))
        self.sessions.append(session)
        return session

    async def read(self):
        try:
            async for turn in self.turns:
                self.finals.append(turn)
        except CallEnded:
            pass

    def called(self, calls):
        self.calls += calls
        self.running += calls

    # -- what the program and its user may do ---------------------------------------------------

    def write(self):
        text = e.ContentPart(type="input_text", text=f"text {len(self.written)}")
        item = e.Message(id=new_id(), role="user", content=[text])
        self.written.append(item.id)
        requests = self.conversation.requests
        asking = self.random.random() < 0.5
        verb = requests.ask([item]) if asking else requests.send([item])
        self.asks.append((asking, asyncio.ensure_future(verb)))

    def respond(self):
        params = e.ResponseParams(conversation="none") if self.random.random() < 0.4 else None
        verb = self.conversation.requests.respond_to((), params)
        self.asks.append(("beside" if params else True, asyncio.ensure_future(verb)))

    def interrupt(self):
        self.happened.append("interrupted")
        stop = self.conversation.commands.stop
        verb = stop if self.random.random() < 0.5 else self.conversation.commands.interrupt
        self.asks.append((False, asyncio.ensure_future(verb())))

    def update(self):
        self.updates += 1
        change = self.conversation.commands.update({"instructions": self.updates})
        self.asks.append((False, asyncio.ensure_future(change)))

    def delete(self):
        """Delete something that was said and is over."""
        over = [r.id for r in self.conversation.state.items if r.published and r.text]
        if over:
            item_id = self.random.choice(over)
            self.deleted.add(item_id)
            verb = self.conversation.commands.delete(item_id)
            self.asks.append((False, asyncio.ensure_future(verb)))

    def finish_tool(self):
        call = self.running.pop(self.random.randrange(len(self.running)))
        self.conversation.answer_call(call.call_id, f"result of {call.call_id}")

    def choices(self):
        doings = [self.write] * 4 + [self.respond, self.interrupt] * 2 + [self.update, self.delete]
        return doings + [self.finish_tool] * (3 * bool(self.running))

    # -- the session ----------------------------------------------------------------------------

    def lose(self):
        """The session is gone, whatever was under way."""
        self.happened.append("lost")
        self.lost = True
        self.session.server.out.clear()
        self.session.up.clear()
        self.snapshots.append(self.said())
        self.conversation.leave(LOST)
        self.snapshots.append(self.said())
        if self.next is not None:
            return  # the one that is being prepared will do
        self.prepare()

    def prepare(self):
        session = self.new_session()
        move = Move(self.conversation, session.leg)
        session.receive = move.receive
        self.next = session, move
        self.moving = asyncio.ensure_future(self.give(move))

    async def give(self, move):
        await move.ready(self.conversation.session_updates)
        await move.seed()
        await move.catch_up()

    def renew(self):
        """Prepare another session while this one goes on."""
        if self.next is None and not self.lost:
            self.happened.append("renewed")
            self.prepare()

    def fail_to_move(self):
        """The session that is being prepared is gone, too."""
        session, move = self.next
        session.up.clear()
        session.server.out.clear()
        move.abandon(CallEnded("gone", normal=False))
        self.moving.cancel()
        self.next = self.moving = None
        self.happened.append("failed")
        if self.lost:
            self.prepare()

    async def exchange(self, *, user=True):
        session, move = self.next
        await self.moving
        self.moving = asyncio.ensure_future(move.catch_up())
        while not self.moving.done():  # the world goes on meanwhile
            self.step(0.2 * user, user=user)
            await asyncio.sleep(0)
        await self.moving
        self.snapshots.append(self.said())
        words = WORDS if self.random.random() < 0.2 else None
        self.session = session
        self.lost, self.next, self.moving = False, None, None
        self.happened.append("moved")
        move.take_over(words)
        # The user's next turn may overtake what is given at the last moment.
        self.late |= {event.item.id for event in session.up if hasattr(event, "item")}
        self.asks.append((False, asyncio.ensure_future(move.finish())))

    # -- the course of things -------------------------------------------------------------------

    def network(self):
        moves = [] if self.lost else self.session.network()
        return moves + (self.next[0].network() if self.next is not None else [])

    def step(self, doings, *, user=True):
        options = self.network()
        if not self.lost:
            speaks = user and self.random.random() < 0.1  # else nobody could finish a sentence
            options += self.session.server.choices(user=speaks) * 4
        if self.random.random() < doings / 2:
            options = self.choices()
        if options:
            self.random.choice(options)()

    async def play(self, moves, events):
        """Make so many moves, and let the session be lost or renewed at some of them."""
        when = {self.random.randrange(moves) for _ in range(events)}
        for number in range(moves):
            if number in when:
                kind = self.random.random()
                if self.next is not None and kind < 0.2:
                    self.fail_to_move()
                elif not self.lost and kind < 0.7:
                    self.lose()
                else:
                    self.renew()
            self.step(0.15)
            await asyncio.sleep(self.random.random() * 0.05)
            if self.next is not None and self.moving.done() and self.random.random() < 0.3:
                await self.exchange()
        await self.come_to_rest()

    async def come_to_rest(self):
        """Let everything be said that is to be said; then let every patience end."""
        for _ in range(4):
            while True:
                if self.next is not None and self.moving.done():
                    await self.exchange(user=False)
                options = self.network() + [self.finish_tool] * bool(self.running)
                if not self.lost:
                    options += self.session.server.choices(user=False)
                if options:
                    self.random.choice(options)()
                    await asyncio.sleep(0.01)
                    continue
                await asyncio.sleep(0.05)
                if not self.network() and (self.next is None or not self.moving.done()):
                    break
            await asyncio.sleep(13.0)

    async def close(self):
        self.conversation.end(CallEnded("over", normal=True))
        await asyncio.wait({self.reading})
        await self.conversation.aclose()
        for _, task in self.asks:
            task.cancel()
        await asyncio.gather(*(task for _, task in self.asks), return_exceptions=True)

    # -- what must hold -------------------------------------------------------------------------

    def said(self):
        return [(x["id"], x.get("text")) for x in self.conversation.history]

    def called_by(self, reply):
        """Whether a reply called functions, or was about to."""
        made = [self.conversation.state.items.of_response(each) for each in reply.response_ids]
        return any(record.kind == "function_call" for records in made for record in records)

    def check(self):
        seed, server, conversation = self.seed, self.session.server, self.conversation
        history = conversation.history
        ids = [entry["id"] for entry in history]
        assert len(ids) == len(set(ids)), (seed, "twice in the history")
        # Everything came to an end, and nobody waits.
        assert server.quiet, seed
        assert not conversation.state.sequencer.busy, seed
        assert conversation.is_idle, seed
        for asking, task in self.asks:
            assert task.done(), (seed, task)
            assert task.exception() is None, (seed, task.exception())
            if asking:
                reply = task.result()
                assert reply.done, (seed, reply)
                # What had not begun was asked again.
                begun = reply.text_so_far or reply.reason != "connection_lost"
                assert "interrupted" in self.happened or begun or self.called_by(reply), (
                    seed,
                    reply,
                )
                # Of an answer outside the conversation this server plays nothing.
                assert asking == "beside" or reply._answer.over, (seed, reply)
        # Nothing that was known is lost, or changes: what was there at a loss is there in order.
        for snapshot in self.snapshots:
            kept = [i for i, _ in snapshot if i in ids]
            assert kept == [i for i in ids if i in set(kept)], (seed, "order")
            gone = [x for x in snapshot if x[0] not in ids and x[0] not in self.deleted]
            assert all(not text for _, text in gone), (seed, gone)
            now = {entry["id"]: entry.get("text") for entry in history}
            same = all(now[i].startswith(text) for i, text in snapshot if text and i in now)
            assert same, (seed, snapshot)
        # What was written is there once, here and in the session.
        for item_id in set(self.written) - self.deleted:
            assert ids.count(item_id) == 1, (seed, item_id)
            assert server.chain.count(item_id) == 1, (seed, item_id)
        # The session has what was said, in our order; calls come with their outputs.
        ours = [i for i in ids if i in server.texts and i not in self.late]
        theirs = [i for i in server.chain if i in set(ours)]
        assert ours == theirs, (seed, ours, theirs)
        assert not self.deleted & {*ids, *server.chain}, (seed, "deleted and there")
        assert server.settings.get("instructions", 0) == self.updates, (seed, "settings")
        # Each turn was told once as final, in order (a late transcript corrects one).
        final = list(dict.fromkeys(turn.id for turn in self.finals))
        told = [x["id"] for x in history if x["type"] == "message"]
        assert [i for i in told if i in final] == [i for i in final if i in told], (seed, "turns")
        assert set(told) <= set(final), (seed, set(told) - set(final))
        # No function ran twice, and each has one output.
        names = [call.call_id for call in self.calls]
        assert len(names) == len(set(names)), (seed, "ran twice")
        outputs = [x["call_id"] for x in history if x["type"] == "function_call_output"]
        assert sorted(outputs) == sorted(names), (seed, outputs, names)
        assert set(names) <= set(server.outputs), (seed, "an output is not in the session")
        for session in self.sessions:
            assert set(session.server.refused) <= RACES, (seed, session.server.refused)
        for entry in history:
            assert entry["status"] != "in_progress", (seed, entry)
