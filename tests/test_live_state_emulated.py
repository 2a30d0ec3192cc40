"""What the emulator's Live model says and does, understood by the state of a Live conversation.

Both are pure, so whole calls pass in virtual time: sound is real samples in both directions, and
events are the emulator's own.
"""

from __future__ import annotations

import itertools
import json
from typing import Any

import numpy as np
import pytest
from emulator_driver import FakeVoice, babble, silence, speech
from live_driver import BACKEND, LiveDriver

from rtcvoice.conversation.state.records import Status
from rtcvoice.conversation.state.turns import Turn as Said
from rtcvoice.emulator import Turn
from rtcvoice.emulator.session.clips import Clip
from rtcvoice.emulator.session.outputs import RATE_HZ, PlayAudio, StopAudio
from rtcvoice.events import live
from rtcvoice.live.state.live_state import LiveState

BLOCK = RATE_HZ // 50
EAR = 0.1
"""Seconds from the server's sending a sample until it is heard."""


class Audible(FakeVoice):
    """Whatever is said is a hum as long as its text."""

    def say(self, text: str) -> Clip:
        return Clip("", text, babble(text))


class Both:
    """The emulated model and what we make of it, 20 ms at a time."""

    def __init__(self, session: dict[str, Any] | None = None, **options: Any) -> None:
        ids = itertools.count(1)
        self.driver = LiveDriver(session, voice=Audible(), **options)
        self.state = LiveState(lambda: f"id_{next(ids)}", model="gpt-live-1.1")
        self.state.backend.calls_wanted = True
        self.turns: list[Said] = []
        self.local: list[Any] = []
        self.results = {"get_weather": '{"degrees": 18}'}
        self._queue = np.zeros(0, dtype=np.int16)
        self._events = self._sounds = 0
        self.state.created(self.driver.now)
        self._take()

    def user(self, seconds: float, after: float) -> None:
        """Let the user speak, and then be silent."""
        self.hear(np.concatenate([speech(seconds), silence(after)]))

    def quiet(self, seconds: float) -> None:
        """Let the user be silent."""
        self.hear(silence(seconds))

    def hear(self, samples: Any) -> None:
        """Let the microphone give this."""
        for start in range(0, len(samples) - BLOCK + 1, BLOCK):
            block, at = samples[start : start + BLOCK], self.driver.now
            self.state.user_sent(int(np.abs(block.astype(int)).max()), at)
            self.driver.hear(block)
            self._play(self.driver.now + EAR)
            self._take()

    def send(self, event: live.LiveClientEvent) -> None:
        """Send one event."""
        self.driver.send_text(live.encode(event))
        self.state.sent(event, self.driver.now)

    def _play(self, at: float) -> None:
        for _, output in self.driver.audio[self._sounds :]:
            if isinstance(output, PlayAudio):
                self._queue = np.concatenate([self._queue, output.samples])
            elif isinstance(output, StopAudio):
                self._queue = self._queue[:0]
        self._sounds = len(self.driver.audio)
        block, self._queue = self._queue[:BLOCK], self._queue[BLOCK:]
        self.state.assistant_heard(int(np.abs(block.astype(int)).max(initial=0)), at)

    def _take(self) -> None:
        now = self.driver.now
        for _, event in self.driver.log[self._events :]:
            decoded = live.decode(json.dumps(event))
            assert type(decoded).__name__ != "UnknownEvent", event
            self.state.feed(decoded, now)
        self._events = len(self.driver.log)
        for call in self.state.backend.take_new_calls():
            self.state.backend.answer(call.call_id, self.results[call.name])
        for due in self.state.due(now):
            self.send(due)
        self.local += self.state.listen(now)
        self.turns += self.state.turns.take(now)

    @property
    def said(self) -> list[tuple[str, str]]:
        """Who said what, in the order in which it began."""
        final = {turn.id: turn for turn in self.turns if turn.final}
        ordered = sorted(final.values(), key=lambda turn: turn.began)
        return [(turn.role, turn.text) for turn in ordered]

    def final(self, role: str) -> list[Said]:
        """The final turns of one side."""
        return [turn for turn in self.turns if turn.final and turn.role == role]


def test_questions_are_answered() -> None:
    script = [
        Turn(hears="how are you", says="I am fine, thank you."),
        Turn(hears="and the weather", says="It is sunny all day."),
    ]
    both = Both(script=script)
    both.user(1.2, 5.0)
    both.user(1.2, 7.0)
    assert both.said == [
        ("user", "how are you"),
        ("assistant", "I am fine, thank you."),
        ("user", "and the weather"),
        ("assistant", "It is sunny all day."),
    ]
    assert {turn.status for turn in both.turns if turn.final} == {Status.COMPLETED}
    assert len(both.state.latency) == 2
    assert all(0.3 < each.seconds < 2.0 for each in both.state.latency)
    assert both.state.is_idle(both.driver.now)


def test_the_model_that_yields_was_interrupted() -> None:
    story = "Once upon a time there was a king who had three sons and a very old horse to ride on."
    script = [Turn(hears="tell me a story", says=story), Turn(hears="stop it now", says="Sure.")]
    both = Both(script=script)
    both.user(1.0, 3.0)
    both.user(1.5, 7.0)
    first, second = both.final("assistant")
    assert first.status is Status.INTERRUPTED
    assert story.startswith(first.text)
    assert first.text.startswith(first.heard_text)
    assert 0 < len(first.heard_text) <= len(first.text) < len(story)
    assert (second.text, second.status) == ("Sure.", Status.COMPLETED)
    assert [turn.text for turn in both.final("user")] == ["tell me a story", "stop it now"]


def test_a_sign_of_listening_changes_nothing() -> None:
    story = "Once upon a time there was a king who had three sons and a very old horse to ride on."
    script = [
        Turn(hears="tell me a story", says=story),
        Turn(hears="mm-hm yes", backchannel=True),
    ]
    both = Both(script=script)
    both.user(1.0, 3.0)
    both.user(0.5, 12.0)
    assert both.said == [("user", "tell me a story"), ("assistant", story)]
    assert both.final("assistant")[0].status is Status.COMPLETED
    assert both.state.user.backchannels == 1


def test_a_tool_of_the_backend() -> None:
    ask = Turn(
        hears="what is the weather in paris",
        calls={"get_weather": {"city": "Paris"}},
        then=Turn(says="It is {result.degrees} degrees."),
    )
    both = Both({"delegation": BACKEND}, script=[ask])
    both.user(1.5, 14.0)
    assert both.said[0] == ("user", "what is the weather in paris")
    assert "It is 18 degrees." in both.said[-1][1]
    kinds = [entry["type"] for entry in both.state.history]
    assert kinds.count("function_call") == kinds.count("function_call_output") == 1
    told = [event for event in both.local if event.type == "rtcvoice.delegation"]
    assert [event.target for event in told] == ["responses"]
    assert both.state.is_idle(both.driver.now)
    usage = both.state.usage(both.driver.now)
    assert usage.tokens.total > 0
    assert usage.cost is not None
    errors = both.driver.events(kind="error")
    assert errors == []


def test_work_for_the_client_comes_with_what_was_said() -> None:
    script = [Turn(hears="book a table for two", delegates=True)]
    both = Both(script=script)
    both.user(1.5, 4.0)
    (told,) = [event for event in both.local if event.type == "rtcvoice.delegation"]
    assert told.target == "client"
    assert told.transcript.splitlines()[0] == "user: book a table for two"
    assert not both.state.is_idle(both.driver.now)
    both.send(live.CommentaryAppend(content="The table is booked.", delegation_id=told.id))
    both.quiet(8.0)
    assert both.state.delegations.open == []
    assert "The table is booked." in both.said[-1][1]
    assert both.state.is_idle(both.driver.now)


def test_the_clocks_stay_together_for_minutes() -> None:
    count = 40
    script = [Turn(hears=f"question {n} please", says=f"Answer {n} it is.") for n in range(count)]
    both = Both(script=script)
    for number in range(count):
        both.user(1.0, 4.0 + number % 3)
    both.quiet(4.0)
    expected: list[tuple[str, str]] = []
    for number in range(count):
        expected += [("user", f"question {number} please")]
        expected += [("assistant", f"Answer {number} it is.")]
    assert both.said == expected
    latencies = [each.seconds for each in both.state.latency]
    assert len(latencies) == count
    assert max(latencies) - min(latencies) < 0.5
    usage = both.driver.session._hub.clock_ms / 1000
    assert both.state.billing.seconds(both.driver.now)[0] == pytest.approx(usage, abs=2.0)


@pytest.mark.parametrize("pause_clock", ["stands", "runs"])
def test_a_pause_and_the_words_that_end_it(pause_clock: str) -> None:
    session = {"idle_timeout_s": 5, "wake_policy": {"type": "speech"}}
    script = [
        Turn(hears="good morning", says="Good morning to you."),
        Turn(hears="are you still there", says="Of course I am."),
    ]
    both = Both(session, script=script, pause_clock=pause_clock)
    both.user(1.0, 30.0)
    assert both.state.paused
    assert both.state.is_idle(both.driver.now)
    spoke = both.driver.now
    both.user(1.4, 7.0)
    assert both.said == [
        ("user", "good morning"),
        ("assistant", "Good morning to you."),
        ("user", "are you still there"),
        ("assistant", "Of course I am."),
    ]
    assert both.final("user")[-1].began == pytest.approx(spoke, abs=0.1)
    assert both.final("assistant")[-1].began > spoke + 1.4
    active, standby = both.state.billing.seconds(both.driver.now)
    assert standby > 10.0
    assert active + standby == pytest.approx(both.driver.now - 100.0, abs=3.0)


def test_an_uplink_that_stood_still_moves_no_words() -> None:
    script = [
        Turn(hears="first question", says="The first answer."),
        Turn(hears="second question", says="And the second one."),
        Turn(hears="third question", says="The third and last."),
    ]
    both = Both(script=script)
    both.user(1.0, 5.0)
    both.driver.run(20.0)  # nothing is sent: the model's clock stands
    both.quiet(0.1)
    for _ in range(2):
        both.user(1.0, 6.0)
    assert [text for _, text in both.said] == [
        *("first question", "The first answer.", "second question", "And the second one."),
        *("third question", "The third and last."),
    ]
