"""Responses that never end, ends that nobody tells, silence that is not a turn, speech heard."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import said
import virtual_loop
from virtual_call import HELD, VirtualCall

from rtcvoice import ServerError, Status
from rtcvoice import events as e
from rtcvoice.conversation.state.conversation import ConversationState
from rtcvoice.conversation.state.hearing import LONG_PAUSE, PAUSE, Sound
from rtcvoice.conversation.state.kept import IMAGES_KEPT
from rtcvoice.conversation.state.missed import ITEMS_TIMEOUT, NEWS_TIMEOUT, STOPPED_TIMEOUT
from rtcvoice.emulator.session.turn import Turn


def run(scene: Any) -> Any:
    return virtual_loop.run(asyncio.wait_for(scene, 600))


class Listener:
    """A conversation, its clock and its ear."""

    def __init__(self, *fed: Any, hears: bool = True) -> None:
        self.now = 100.0
        self.began = self.sounded = 0.0
        self.hears = hears
        self.finals: list[Any] = []
        self.ends: list[Any] = []
        numbers = iter(range(10**6))
        self.conversation = ConversationState(lambda: f"id_{next(numbers)}")
        self.feed(said.session(), *fed)

    def feed(self, *fed: Any, held: float = 0.0) -> None:
        for event in fed:
            for each in (*self.conversation.missed.before(event, self.now), event):
                self.conversation.feed(each, self.now, held=held)
            self.look()

    def look(self) -> None:
        sound = Sound(self.began, self.sounded) if self.hears else None
        for end in self.conversation.listen(self.now, sound):
            self.ends.append(end.response)
            self.conversation.feed(end, self.now)
        self.finals += [t for t in self.conversation.turns.take(self.now) if t.final]

    def wait(self, seconds: float, *, sound: bool = False) -> None:
        """Let time pass as the timers of a call would; `sound`: something is heard meanwhile."""
        end = self.now + seconds
        if sound and self.now - self.sounded > PAUSE:
            self.began = self.now
        while self.now < end:
            due = self.conversation.next_deadline(self.now)
            step = 0.05 if sound else 1000.0
            self.now = min(end, self.now + step, max(due or end, self.now + 0.001))
            if sound:
                self.sounded = self.now
            self.look()


# -- a response that never ends -----------------------------------------------------------------


def test_a_response_without_news_is_cancelled_and_the_next_one_is_made() -> None:
    async def scene() -> None:
        turns = (Turn(says="talk", stalls_after=4), Turn(says="reply-1"))
        async with VirtualCall(*turns) as call:
            begun = asyncio.get_running_loop().time()
            first = await call.ask("one")
            second = await call.ask("two")
            assert NEWS_TIMEOUT <= asyncio.get_running_loop().time() - begun < NEWS_TIMEOUT + 5
            with pytest.raises(ServerError, match="nothing was received of this response for 60 s"):
                await first.text()
            with pytest.raises(ServerError, match="it was cancelled"):
                await first.played()
            assert await second.text() == "This is the first short answer."
            assert [each["response_id"] for each in call.sent("response.cancel")] == [
                *first.response_ids
            ]
            await call.idle()
            assert [turn.status for turn in call.collected if turn.role == "assistant"] == [
                Status.FAILED,
                Status.COMPLETED,
            ]

    run(scene())


def test_a_response_out_of_band_is_given_up_as_well() -> None:
    listener = Listener(said.created("r1", conversation=None))
    listener.wait(NEWS_TIMEOUT + 0.1)
    assert [end.status for end in listener.ends] == ["failed"]
    assert listener.conversation.is_idle(listener.now)


def test_news_of_any_kind_keep_a_response_going() -> None:
    steps = said.message_steps("r1", "a1", "word " * 20, None)[:-2]
    listener = Listener(said.created("r1"))
    for step in steps:
        listener.feed(step)
        listener.wait(NEWS_TIMEOUT - 1)
    assert listener.ends == []
    listener.wait(2)
    (end,) = listener.ends
    assert (end.id, end.status) == ("r1", "failed")
    assert not listener.conversation.sequencer.busy


def test_speech_that_is_heard_is_news_for_ten_minutes_at_most() -> None:
    listener = Listener(said.created("r1"), *said.message_steps("r1", "a1", "Hi.", None)[:4])
    listener.wait(300, sound=True)
    assert listener.ends == []
    listener.wait(NEWS_TIMEOUT + 1)
    assert [end.status for end in listener.ends] == ["failed"]
    forever = Listener(said.created("r1"))
    forever.wait(600 + NEWS_TIMEOUT + 1, sound=True)
    assert [end.status for end in forever.ends] == ["failed"]


# -- ends that nobody tells ---------------------------------------------------------------------


def test_a_response_whose_end_was_lost_ends_with_its_items() -> None:
    steps = said.message_steps("r1", "a1", "Hi.", None, audio=False)
    listener = Listener(said.created("r1"), *steps)
    listener.wait(ITEMS_TIMEOUT - 0.1)
    assert listener.ends == []
    listener.wait(0.2)
    assert [end.status for end in listener.ends] == ["completed"]
    assert [turn.text for turn in listener.finals] == ["Hi."]


def test_audio_that_has_gone_out_ends_its_response() -> None:
    steps = said.message_steps("r1", "a1", "Hi.", None)
    listener = Listener(said.created("r1"), *steps, said.started("r1"), said.stopped("r1"))
    listener.wait(STOPPED_TIMEOUT + 0.1)
    assert [end.status for end in listener.ends] == ["completed"]


def test_a_server_that_tells_its_ends_may_think_between_two_items() -> None:
    before = said.answer("r0", "a0", "Hi.", None, audio=False)
    steps = said.message_steps("r1", "a1", "Let me see.", "a0", audio=False)
    listener = Listener(*before, said.created("r1"), *steps)
    listener.wait(NEWS_TIMEOUT - 1)
    assert listener.ends == []


def test_a_response_that_begins_ends_the_one_before() -> None:
    first = said.message_steps("r1", "a1", "One.", None, audio=False)
    listener = Listener(said.created("r1"), *first, said.created("r2"))
    assert [turn.text for turn in listener.finals] == ["One."]
    assert listener.conversation.sequencer.responding
    listener.feed(*said.message_steps("r2", "a2", "Two.", "a1", audio=False), said.done("r2"))
    assert [turn.text for turn in listener.finals] == ["One.", "Two."]
    assert not listener.conversation.sequencer.busy


def test_the_end_that_comes_after_all_changes_nothing() -> None:
    listener = Listener(said.created("r1"))
    listener.wait(NEWS_TIMEOUT + 1)
    late = said.message_steps("r1", "a1", "Late.", None, audio=False)
    listener.feed(*late, said.done("r1"))
    assert len(listener.ends) == 1
    assert not listener.conversation.sequencer.busy


# -- speech is over when it was heard -----------------------------------------------------------


def test_a_turn_is_final_and_the_call_idle_when_the_loudspeaker_is_done() -> None:
    listener = Listener(*said.answer("r1", "a1", "Hi there.", None))
    listener.wait(2.0, sound=True)
    listener.feed(said.stopped("r1"), held=0.7)
    stopped = listener.now
    listener.wait(0.6)
    assert listener.finals == []
    assert not listener.conversation.is_idle(listener.now)
    listener.wait(0.2)
    assert [turn.text for turn in listener.finals] == ["Hi there."]
    assert listener.conversation.is_idle(listener.now)
    assert listener.now - stopped < 0.81


def test_sound_that_lasts_longer_than_the_buffers_said_is_waited_for() -> None:
    listener = Listener(*said.answer("r1", "a1", "Hi there.", None), hears=True)
    listener.wait(1.0, sound=True)
    listener.feed(said.stopped("r1"), held=0.1)
    listener.wait(0.5, sound=True)
    assert listener.finals == []
    listener.wait(0.1)
    assert len(listener.finals) == 1
    noisy = Listener(*said.answer("r1", "a1", "Hi there.", None))
    noisy.feed(said.stopped("r1"), held=0.1)
    noisy.wait(2.0, sound=True)  # which is something else
    assert len(noisy.finals) == 1


def test_without_events_of_playing_the_ear_decides() -> None:
    steps = [said.created("r1"), *said.message_steps("r1", "a1", "Hi there.", None)]
    listener = Listener(*steps, said.done("r1"))
    assert not listener.conversation.is_idle(listener.now)  # it will be heard in a moment
    listener.wait(0.3)
    listener.wait(2.0, sound=True)
    assert listener.conversation.playing
    listener.wait(PAUSE - 0.1)
    assert listener.finals == []
    listener.wait(0.3)
    assert [(t.text, t.status) for t in listener.finals] == [("Hi there.", Status.COMPLETED)]
    assert listener.conversation.is_idle(listener.now)


def test_what_was_interrupted_is_known_without_the_server_s_word() -> None:
    steps = [said.created("r1"), *said.message_steps("r1", "a1", "word " * 40, None)]
    listener = Listener(*steps, said.done("r1"))
    listener.wait(2.0, sound=True)
    listener.conversation.sent(e.OutputAudioBufferClear(), listener.now)
    listener.conversation.flushed(listener.now, 0.0)
    listener.wait(2.0)
    (turn,) = listener.finals
    assert turn.status is Status.INTERRUPTED
    assert turn.heard_ms == pytest.approx(2000, abs=300)
    assert listener.conversation.is_idle(listener.now)


def test_an_end_of_playing_that_was_lost_is_noticed_by_ear() -> None:
    listener = Listener(*said.answer("r1", "a1", "Hi there.", None))
    listener.wait(1.0, sound=True)
    listener.wait(LONG_PAUSE + 0.5)
    assert [turn.text for turn in listener.finals] == ["Hi there."]
    assert listener.conversation.is_idle(listener.now)


def test_a_reply_is_not_played_before_it_was_heard() -> None:
    async def scene() -> None:
        async with VirtualCall(Turn(says="reply-1"), hears=True) as call:
            reply = await call.ask("Hello?")
            await reply.played()
            assert asyncio.get_running_loop().time() >= max(end for _, end in call._spans)
            assert not call._conversation.state.playing
            await call.idle()
            assert HELD > 0

    run(scene())


# -- silence, and pictures ----------------------------------------------------------------------


def timeout(item_id: str) -> Any:
    return e.InputAudioBufferTimeoutTriggered(item_id=item_id, audio_start_ms=0, audio_end_ms=5000)


def test_the_user_s_silence_is_no_turn() -> None:
    listener = Listener(timeout("u1"), *said.committed("u1"))
    listener.feed(said.not_transcribed("u1"), *said.answer("r1", "a1", "Hello?", "u1"))
    listener.feed(said.stopped("r1"))
    listener.wait(6)
    assert [(turn.role, turn.text) for turn in listener.finals] == [("assistant", "Hello?")]
    assert [entry["id"] for entry in listener.conversation.history] == ["a1"]


def test_words_that_were_said_into_the_silence_are_a_turn() -> None:
    listener = Listener(timeout("u1"), *said.committed("u1"), *said.transcribed("u1", "hm"))
    listener.feed(*said.answer("r1", "a1", "Hello?", "u1"), said.stopped("r1"))
    assert [(turn.role, turn.text) for turn in listener.finals] == [
        ("user", "hm"),
        ("assistant", "Hello?"),
    ]


def test_of_many_pictures_the_newest_are_kept() -> None:
    listener = Listener()
    size = IMAGES_KEPT // 4
    for number in range(6):
        url = f"data:image/png;base64,{number}".ljust(size, "A")
        part = e.ContentPart(type="input_image", image_url=url)
        item = e.Message(id=f"u{number}", role="user", content=[part])
        listener.conversation.sent(e.ConversationItemCreate(item=item), listener.now)
        listener.feed(*said.item_in(item, f"u{number - 1}" if number else None))
    urls = [entry["images"][0]["image_url"] for entry in listener.conversation.history]
    assert [url is None for url in urls] == [True, True, False, False, False, False]
