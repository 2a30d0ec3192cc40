"""The conversation on GPT-Live, between a fake leg and a fake ear, in virtual time."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from virtual_loop import run

from rtcvoice import Limits, ToolSet, events, tool, tool_progress
from rtcvoice.conversation.state.records import Status
from rtcvoice.errors import CallEnded, ConfigError, ServerError, TransportError
from rtcvoice.events import live
from rtcvoice.live.road import LiveConversation

STARTED = {
    "type": "session.started",
    "session": {"id": "live_u1_x", "model": "gpt-live-1.1", "delegation": {"type": "client"}},
}
BACKEND = {"type": "responses", "responses": {"model": "gpt-6-luna", "tools": []}}
LOUD, QUIET = 5000, 0


class Leg:
    """Keeps what is sent, and acknowledges it at once unless `silent`."""

    progress = (0, 0)
    round_trip = 0.0
    message_limit = 65536

    def __init__(self, talk):
        self.sent: list[Any] = []
        self.silent = False
        self.refusal = ""
        self._talk = talk

    def send(self, text):
        event = live.decode_client(text)
        self.sent.append(event)
        if not self.silent and event.event_id:
            asyncio.get_running_loop().call_later(0.05, self._answer, event)

    def _answer(self, event):
        name = event.event_id
        if self.refusal:
            error = {"message": self.refusal, "type": "invalid_request_error", "code": "x"}
            tell(self._talk, "error", error=error | {"client_event_id": name})
            return
        kind = event.type.replace(".append", ".appended").replace(".mute", ".muted")
        kind = kind.replace(".unmute", ".unmuted").replace(".update", ".updated")
        kind = kind.replace("session.close", "session.closed")
        if event.type.startswith("response."):
            return
        more = {"session": STARTED["session"]} if kind.endswith("updated") else {}
        more |= {"reason": "close_requested"} if kind.endswith("closed") else {}
        tell(self._talk, kind, client_event_id=name, start_ms=0, end_ms=0, **more)

    @property
    def types(self):
        return [event.type for event in self.sent]


class Ear:
    rate = 24000
    latency = held = 0.0
    sound = None

    def __init__(self):
        self.flushes = self.resumes = 0

    async def listen(self):
        await asyncio.Event().wait()
        yield

    def flush(self):
        self.flushes += 1

    def resume(self):
        self.resumes += 1


class Scene:
    """A conversation that has started; `hear` and `speak` pass 20 ms blocks."""

    def __init__(self, **options):
        loop = asyncio.get_running_loop()
        self.ear = Ear()
        self.now = loop.time
        self.talk = LiveConversation(self.ear, model="gpt-live-1.1", clock=loop.time, **options)
        self.leg = Leg(self.talk)
        self.published = []
        self.talk.dispatcher.listeners.append(self.published.append)

    async def start(self, **session):
        self.talk.attach(self.leg)
        tell(self.talk, "session.started", session=STARTED["session"] | session)
        await self.talk.ready()
        self.talk.accounts.begin()
        await self.sound(0.6)  # in which the ear is deaf

    async def sound(self, seconds, *, heard=QUIET, sent=QUIET):
        for _ in range(round(seconds / 0.02)):
            for _ in range(2):
                self.talk.heard(heard, self.now())
            self.talk.sent_sound(sent, self.now())
            await asyncio.sleep(0.02)

    def says(self, *words):
        at = getattr(self, "_at", 1000)
        for word in words:
            tell(
                self.talk,
                "session.output_transcript.delta",
                delta=word,
                start_ms=at,
                end_ms=at + 200,
            )
            at += 200
        self._at = at

    def of(self, kind):
        return [event for event in self.published if isinstance(event, kind)]


def tell(talk, kind, **fields):
    talk.receive(json.dumps({"type": kind, **fields}))


def scene(test):
    """Run a test of a scene that has started."""

    async def main():
        stage = Scene()
        await stage.start()
        await test(stage)
        stage.talk.end(CallEnded("over", normal=True))
        await stage.talk.aclose()

    def wrapped():
        run(main())

    wrapped.__name__ = test.__name__
    return wrapped


@scene
async def test_a_reply_is_the_speech_that_follows(stage):
    reply = await stage.talk.requests.say("Greet the user.")
    stage.says("Hello", " there")
    await stage.sound(0.5, heard=LOUD)
    assert (reply.text_so_far, reply.status) == ("Hello there", Status.IN_PROGRESS)
    assert not stage.talk.is_idle
    await stage.sound(1.0)
    assert await reply.text() == "Hello there"
    assert reply.status is Status.COMPLETED
    await stage.sound(4.0)
    assert stage.talk.is_idle
    assert [entry["text"] for entry in stage.talk.history] == ["Hello there"]


@scene
async def test_a_refused_text_raises_and_leaves_no_reply(stage):
    stage.leg.refusal = "Context append text must not exceed 500 tokens."
    with pytest.raises(ServerError, match="500 tokens"):
        await stage.talk.requests.say("Greet the user.")
    assert not stage.talk.requests.awaits()
    assert not stage.of(live.ErrorEvent)  # it was meant for the one who asked


@scene
async def test_a_server_that_does_not_acknowledge(stage):
    stage.leg.silent = True
    with pytest.raises(TransportError, match="did not say"):
        await stage.talk.requests.think("The user likes tea.")


@scene
async def test_a_reply_that_never_comes_has_failed(stage):
    reply = await stage.talk.requests.respond()
    with pytest.raises(ServerError, match="said nothing"):
        await reply.text()


@scene
async def test_what_is_being_said_already_is_not_the_reply(stage):
    stage.says("I was", " saying")
    await stage.sound(0.2, heard=LOUD)
    asked = asyncio.create_task(stage.talk.requests.say("Greet."))
    await asyncio.sleep(0.01)
    stage.says(" this")
    reply = await asked
    stage.says(" Hello")
    assert reply.text_so_far == " Hello"


@scene
async def test_an_interruption_silences_the_ear_until_the_speech_is_over(stage):
    stage.says("A long", " story")
    await stage.sound(0.4, heard=LOUD)
    stage.talk.interrupt()
    assert stage.leg.types[-1] == "session.instructions.append"
    flushes = stage.ear.flushes
    stage.says(" goes on")
    await stage.sound(0.5)
    assert stage.ear.flushes > flushes + 20  # the player's own gate would have opened
    assert stage.ear.resumes == 0
    await stage.sound(0.6)
    assert stage.ear.resumes == 1
    sent = len(stage.leg.sent)
    await stage.sound(4.0)
    (turn,) = [entry for entry in stage.talk.history if entry["text"]]
    assert turn["status"] == "interrupted"
    stage.talk.interrupt()  # nobody speaks
    assert len(stage.leg.sent) == sent


@scene
async def test_the_user_opens_the_ear(stage):
    stage.says("A long", " story")
    await stage.sound(0.4, heard=LOUD)
    stage.talk.interrupt()
    stage.says(" goes on")
    await stage.sound(0.2, sent=LOUD)
    assert stage.ear.resumes == 1


@scene
async def test_mute_is_told_once_and_again_to_another_session(stage):
    stage.talk.mute(on=True)
    stage.talk.mute(on=True)
    assert stage.leg.types == ["session.input_audio.mute"]
    stage.talk.leave(TransportError("gone", stage="connected"))
    another = Leg(stage.talk)
    stage.talk.take_over(another)
    assert another.types == []
    tell(stage.talk, "session.started", session=STARTED["session"])
    assert another.types == ["session.input_audio.mute"]
    stage.talk.mute(on=False)
    assert another.types[-1] == "session.input_audio.unmute"


@scene
async def test_the_verbs_wait_for_another_session(stage):
    stage.talk.leave(TransportError("gone", stage="connected"))
    waiting = asyncio.create_task(stage.talk.requests.think("The user likes tea."))
    await asyncio.sleep(1.0)
    assert not waiting.done()
    another = Leg(stage.talk)
    stage.talk.take_over(another)
    tell(stage.talk, "session.started", session=STARTED["session"])
    await waiting
    assert another.types == ["session.thinking.append"]


@scene
async def test_the_farewell_waits_for_the_last_event(stage):
    lost = asyncio.get_running_loop().create_future()
    stage.talk.detach(CallEnded("hung up", normal=True))
    assert await stage.talk.goodbye(lost, 5.0)
    assert stage.leg.types == ["session.close"]
    assert await stage.talk.goodbye(lost, 5.0)  # it is over
    assert stage.leg.types == ["session.close"]


@scene
async def test_a_farewell_that_nobody_answers(stage):
    stage.leg.silent = True
    lost = asyncio.get_running_loop().create_future()
    stage.talk.detach(CallEnded("hung up", normal=True))
    began = stage.now()
    assert not await stage.talk.goodbye(lost, 5.0)
    assert stage.now() - began == pytest.approx(5.0)
    lost.set_result(None)
    assert not await stage.talk.goodbye(lost, 5.0)
    assert stage.now() - began == pytest.approx(5.0)


def test_a_session_that_is_refused():
    async def main():
        stage = Scene()
        stage.talk.attach(stage.leg)
        error = {"message": "no credit", "type": "x", "code": "credit_balance_exhausted"}
        tell(stage.talk, "error", error=error)
        with pytest.raises(TransportError, match="no credit") as raised:
            await stage.talk.ready()
        assert "billing" in raised.value.hint

    run(main())


def test_the_end_of_the_session_is_told_in_words():
    async def main():
        stage = Scene()
        await stage.start()
        told = []
        stage.talk.on_closed = lambda reason, why: told.append((reason, why))
        tell(stage.talk, "session.closed", reason="content")
        ((reason, why),) = told
        assert reason == "content"
        assert "safety" in why
        stage.talk.end(CallEnded("over", normal=True))

    run(main())


def test_silence_ends_a_call_after_a_warning():
    async def main():
        stage = Scene(limits=Limits(idle=20))
        await stage.start()
        reached = []
        stage.talk.on_limit = reached.append
        await asyncio.sleep(17.5)
        assert [event.limit for event in stage.of(events.LimitNear)] == ["idle"]
        assert not reached
        stage.says("Are you there?")
        await stage.sound(0.2, heard=LOUD)
        await asyncio.sleep(15)
        assert not reached
        await asyncio.sleep(10)
        (limit,) = reached
        assert limit.limit == "idle"
        stage.talk.end(CallEnded("over", normal=True))

    run(main())


def test_a_silence_is_spoken_of_before_it_ends_the_call():
    async def main():
        stage = Scene(limits=Limits(idle=20, nudge="Are you still there?"))
        await stage.start()
        reached = []
        stage.talk.on_limit = reached.append
        await asyncio.sleep(17)
        (near,) = stage.of(events.LimitNear)
        assert near.nudge == "Are you still there?"
        stage.says(near.nudge)  # which does not begin the silence anew
        await stage.sound(0.2, heard=LOUD)
        await asyncio.sleep(5)
        assert [limit.limit for limit in reached] == ["idle"]
        stage.talk.end(CallEnded("over", normal=True))

    run(main())


def work(*answers):
    """Return a handler that gives the next answer, and what it was given."""
    given, left = [], list(answers)

    async def handler(asked):
        given.append(asked)
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        if callable(answer):
            return await answer(asked)
        return answer

    return handler, given


def delegated(stage, name="item_1", target="client"):
    delegation = {"id": name, "type": "delegation", "target": target}
    tell(stage.talk, "session.delegation.created", delegation=delegation, offset_ms=0)


def spoken_for(stage, name="item_1"):
    return [
        event.content
        for event in stage.leg.sent
        if isinstance(event, live.CommentaryAppend) and event.delegation_id == name
    ]


def test_work_goes_to_the_users_function_whose_text_is_spoken():
    async def main():
        handler, given = work("It rains.")
        stage = Scene(on_delegation=handler)
        await stage.start()
        stage.says("Let me see.")
        delegated(stage)
        await asyncio.sleep(3)
        (asked,) = given
        assert (asked.id, asked.transcript) == ("item_1", "assistant: Let me see.")
        assert spoken_for(stage) == ["It rains."]
        await asyncio.sleep(100)
        assert spoken_for(stage) == ["It rains."]
        stage.talk.end(CallEnded("over", normal=True))

    run(main())


@pytest.mark.parametrize(
    ("answer", "expected"),
    [(None, "done"), ("", "done"), (ValueError("x"), "did not work"), (5, "did not work")],
)
def test_work_is_never_left_open(answer, expected):
    async def main():
        handler, _ = work(answer)
        stage = Scene(on_delegation=handler)
        await stage.start()
        delegated(stage)
        await asyncio.sleep(3)
        (text,) = spoken_for(stage)
        assert expected in text
        stage.talk.end(CallEnded("over", normal=True))

    run(main())


def test_work_that_takes_too_long_is_declined_aloud():
    async def main():
        async def forever(asked):
            await asyncio.Event().wait()

        handler, _ = work(forever)
        stage = Scene(on_delegation=handler)
        await stage.start()
        delegated(stage)
        await asyncio.sleep(59)
        assert spoken_for(stage) == []
        await asyncio.sleep(5)
        (text,) = spoken_for(stage)
        assert "cannot" in text
        stage.talk.end(CallEnded("over", normal=True))
        await stage.talk.aclose()

    run(main())


@scene
async def test_work_that_nobody_does_is_declined_soon(stage):
    delegated(stage)
    await asyncio.sleep(7)
    (text,) = spoken_for(stage)
    assert "cannot" in text


@scene
async def test_work_may_be_answered_by_hand(stage):
    delegated(stage)
    await asyncio.sleep(2)
    (told,) = stage.of(events.Delegation)
    stage.talk.send_by_hand(live.CommentaryAppend(content="It rains.", delegation_id=told.id))
    await asyncio.sleep(60)
    assert spoken_for(stage) == ["It rains."]


def response(stage, kind, **fields):
    inner = {"type": f"response.{kind}", **fields}
    tell(stage.talk, "response.event", delegation_id="item_1", event=inner)


def test_tools_behind_a_backend_are_answered_together_and_once():
    async def main():
        async def add(a: int, b: int) -> int:
            """Add."""
            await asyncio.sleep(a)
            return a + b

        stage = Scene(tools=ToolSet([add]))
        await stage.start(delegation=BACKEND)
        delegated(stage, target="responses")
        response(stage, "created", response={"id": "resp_1"})
        for number in (1, 3):
            call = {
                "type": "function_call",
                "id": f"fc_{number}",
                "call_id": f"call_{number}",
                "name": "add",
                "arguments": json.dumps({"a": number, "b": 1}),
                "status": "completed",
            }
            response(stage, "output_item.done", item=call)
        response(stage, "completed", response={"id": "resp_1", "output": []})
        await asyncio.sleep(2)
        assert stage.leg.types == []
        assert not stage.talk.is_idle
        await asyncio.sleep(2)
        assert stage.leg.types == ["response.item.create"] * 2 + ["response.create"]
        outputs = [event.item["output"] for event in stage.leg.sent[:2]]
        assert outputs == ["2", "4"]
        assert [event.name for event in stage.of(events.ToolFinished)] == ["add", "add"]
        stage.talk.end(CallEnded("over", normal=True))

    run(main())


def calls(stage, name):
    """Let the backend call a function without arguments, and wait for its output."""
    delegated(stage, target="responses")
    response(stage, "created", response={"id": "resp_1"})
    item = {"type": "function_call", "call_id": "call_1", "name": name, "arguments": "{}"}
    response(stage, "output_item.done", item=item)
    response(stage, "completed", response={"id": "resp_1", "output": []})


@pytest.mark.parametrize("verb", ["ask", "say"])
def test_a_tool_may_wait_for_what_it_has_the_voice_say(verb):
    """Its backend takes nothing before it has returned, so the voice answers."""

    async def main():
        async def look() -> str:
            """Look."""
            asked = ([], "Which city?") if verb == "ask" else ("Which city?",)
            reply = await getattr(stage.talk.requests, verb)(*asked)
            await reply.played()
            return await reply.text()

        stage = Scene(tools=ToolSet([look]))
        await stage.start(delegation=BACKEND)
        outer = stage.talk.requests.next_reply()
        stage.says("One moment.")
        await stage.sound(0.4, heard=LOUD)
        calls(stage, "look")
        await stage.sound(1.5)
        assert stage.leg.types[-1] == "session.commentary.append"
        stage.says(" In Paris?")
        await stage.sound(0.4, heard=LOUD)
        await stage.sound(1.5)
        (finished,) = stage.of(events.ToolFinished)
        assert finished.output == " In Paris?"
        assert stage.leg.types[-2:] == ["response.item.create", "response.create"]
        stage.says(" It rains.")
        await stage.sound(0.4, heard=LOUD)
        response(stage, "created", response={"id": "resp_2"})
        response(stage, "completed", response={"id": "resp_2", "output": []})
        await stage.sound(3.0)
        assert await outer.text() == "One moment. It rains."
        stage.talk.end(CallEnded("over", normal=True))

    run(main())


@pytest.mark.parametrize("how", ["text", "played", "idle"])
def test_a_tool_does_not_wait_for_what_waits_for_it(how):
    async def main():
        async def look() -> str:
            """Look."""
            if how == "idle":
                while not stage.talk.is_idle:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
                return "idle"
            return str(await getattr(outer, how)())

        stage = Scene(tools=ToolSet([look]))
        await stage.start(delegation=BACKEND)
        outer = stage.talk.requests.next_reply()
        stage.says("One moment.")
        await stage.sound(0.4, heard=LOUD)
        calls(stage, "look")
        await stage.sound(5.0)
        (finished,) = stage.of(events.ToolFinished)
        assert finished.output == {"text": "One moment.", "played": "None", "idle": "idle"}[how]
        stage.talk.end(CallEnded("over", normal=True))

    run(main())


def test_a_function_that_does_work_may_wait_for_what_it_says():
    async def main():
        async def look(asked):
            reply = await stage.talk.requests.ask([], "Which city?")
            heard = await reply.text()
            while not stage.talk.is_idle:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            return f"You said {heard}"

        stage = Scene(on_delegation=look)
        await stage.start()
        outer = stage.talk.requests.next_reply()
        delegated(stage)
        await asyncio.sleep(1.0)
        stage.says("In Paris?")
        await stage.sound(0.4, heard=LOUD)
        await stage.sound(5.0)
        assert spoken_for(stage) == ["You said In Paris?"]
        assert [each.role for each in stage.talk.state.turns.all] == ["assistant"]
        assert not outer.done
        stage.talk.end(CallEnded("over", normal=True))

    run(main())


def test_pictures_wait_until_the_tool_has_returned():
    async def main():
        async def look() -> str:
            """Look."""
            item = {"type": "message", "role": "user", "content": [{"type": "input_image"}]}
            with pytest.raises(ConfigError) as refused:
                await stage.talk.requests.ask([item], "What is this?")
            await stage.talk.requests.send([item], "")
            return str(refused.value)

        stage = Scene(tools=ToolSet([look]))
        await stage.start(delegation=BACKEND)
        calls(stage, "look")
        await asyncio.sleep(1.0)
        (finished,) = stage.of(events.ToolFinished)
        assert "images" in finished.output
        assert stage.leg.types == ["response.item.create", "response.create"]
        response(stage, "created", response={"id": "resp_2"})
        response(stage, "completed", response={"id": "resp_2", "output": []})
        assert stage.leg.types == ["response.item.create", "response.create"] * 2
        stage.talk.end(CallEnded("over", normal=True))

    run(main())


@pytest.mark.parametrize("backend", [False, True])
def test_what_the_user_writes_is_a_turn(backend):
    async def main():
        stage = Scene()
        await stage.start(**({"delegation": BACKEND} if backend else {}))
        content = [{"type": "input_text", "text": "Hello!"}]
        item = {"type": "message", "role": "user", "content": content}
        await stage.talk.requests.ask([item], "Hello!")
        await stage.talk.requests.send([item], "Hello!")
        told = [(turn.role, turn.text, turn.spoken) for turn in stage.talk.state.turns.all]
        assert told == [("user", "Hello!", False)] * (1 if backend else 2)  # it waits for its turn
        await stage.talk.requests.think("It rains.")
        assert len(stage.talk.state.turns.all) == len(told)  # nobody said that
        stage.talk.end(CallEnded("over", normal=True))

    run(main())


def test_text_goes_to_the_backend_if_there_is_one():
    async def main():
        stage = Scene()
        await stage.start(delegation=BACKEND)
        item = {"type": "message", "role": "user", "content": []}
        await stage.talk.requests.send([item], "")
        assert stage.leg.types == ["response.item.create", "response.create"]
        stage.talk.end(CallEnded("over", normal=True))

    run(main())


@scene
async def test_the_end_ends_all_waiting(stage):
    stage.leg.silent = True
    waiting = asyncio.create_task(stage.talk.requests.say("Hello."))
    await asyncio.sleep(0.1)
    reply = stage.talk.requests.next_reply()
    stage.talk.end(CallEnded("over", normal=True))
    with pytest.raises(CallEnded):
        await waiting
    with pytest.raises(CallEnded):
        await reply.text()
    with pytest.raises(CallEnded):
        await stage.talk.requests.say("Hello.")


@scene
async def test_whatever_the_server_sends_does_no_harm(stage):
    for text in ("", "[]", "5", '{"type": 5}', '{"type": "session.started"}', "\x00"):
        stage.talk.receive(text)
    for kind in live.SERVER_EVENTS:
        if kind != "session.closed":
            tell(stage.talk, kind)
            tell(stage.talk, kind, session={}, delegation={}, event={}, error={}, usage={})
    reply = await stage.talk.requests.say("Hello.")
    stage.says("Hello")
    assert reply.text_so_far == "Hello"


@scene
async def test_decisions_come_as_events_and_end_what_was_handed_on(stage):
    delegated(stage, target="decisions")
    assert not stage.talk.is_idle
    decision = {"answers": [{"type": "choice", "choice": "urgent", "confidence": 0.9}]}
    result = {"type": "decision.completed", "decision": decision}
    tell(stage.talk, "decision.event", event=result, delegation_id="item_1")
    tell(stage.talk, "decision.event", event=result, trigger_id="t", source_event_id="event_1")
    told = stage.of(live.DecisionEvent)
    assert told[0].event.decision.answers[0]["choice"] == "urgent"
    assert told[1].trigger_id == "t"
    await stage.sound(4.0)
    assert stage.talk.is_idle
    assert stage.leg.sent == []  # it is nobody's business but the service's
    await stage.talk.update({"triggers": []})
    assert stage.leg.sent[-1].session == {"triggers": []}


def test_a_tool_in_the_background_reports_and_is_spoken_of_later():
    async def main():
        @tool(background=True)
        async def book() -> str:
            """Book."""
            await asyncio.sleep(1)
            tool_progress("half way", speak=True)
            await asyncio.sleep(2)
            return "LH1"

        stage = Scene(tools=ToolSet([book]))
        await stage.start(delegation=BACKEND)
        calls(stage, "book")
        await asyncio.sleep(0.5)
        assert stage.leg.types == ["response.item.create", "response.create"]
        assert "running" in stage.leg.sent[0].item["output"]
        await asyncio.sleep(1)
        assert "half way" in stage.leg.sent[-1].content
        response(stage, "created", response={"id": "resp_2"})
        response(stage, "completed", response={"id": "resp_2", "output": []})
        assert not stage.talk.is_idle  # the result will be spoken of
        await asyncio.sleep(3)
        assert stage.leg.types[2:] == ["session.commentary.append"] * 2
        assert "LH1" in stage.leg.sent[-1].content
        stage.talk.end(CallEnded("over", normal=True))

    run(main())
