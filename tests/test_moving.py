"""A conversation moves to another session: the real verbs, two session cores, virtual time."""

from __future__ import annotations

import asyncio

import virtual_loop
from moving_call import MovingCall

from rtcvoice.conversation.state.records import Status
from rtcvoice.emulator.session.script import Turn


def run(main):
    return virtual_loop.run(main())


def test_the_next_answer_knows_what_was_said():
    async def main():
        async with MovingCall(Turn(says="One answer.")) as call:
            await (await call.ask("first question")).played()
            await call.idle()
            before = call.history
            await call.lose_and_reconnect()
            assert call.history == before
            assert call.known_to_server[:2] == [
                ("user", "first question"),
                ("assistant", "One answer."),
            ]
            await (await call.ask("second question")).played()
            await call.idle()
            texts = [(entry["role"], entry["text"]) for entry in call.history]
            assert texts[2:] == [("user", "second question"), ("assistant", "One answer.")]
            assert call.said == texts

    run(main)


def test_an_answer_that_is_spoken_ends_as_interrupted_with_what_was_heard():
    async def main():
        words = " ".join(f"Word{n}" for n in range(60))
        async with MovingCall(Turn(says=words), hears=True) as call:
            reply = await call.ask("tell me")
            await asyncio.sleep(2.0)
            call.lose()
            assert await reply.text() == words
            await reply.played()
            assert reply.status is Status.INTERRUPTED
            await call.reconnect()
            entry = call.history[-1]
            assert entry["status"] == "interrupted"
            assert 0 < len(entry["heard_text"]) < len(words)
            assert call.known_to_server[1] == (
                "assistant",
                f"{entry['heard_text']} [cut off here]",
            )
            assert call.said[-1] == ("assistant", words)

    run(main)
