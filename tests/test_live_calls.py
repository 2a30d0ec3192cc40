"""Live sessions over real WebRTC: one call of each kind."""

from __future__ import annotations

import asyncio
import re

from live import eventually
from live_checks import LiveLint, accepts
from live_client import live_call

from rtcvoice.emulator import Emulator
from rtcvoice.emulator.voice import PromptVoice


async def test_a_call_from_the_offer_to_the_end():
    """Statements 1, 9, 10, 13, 15, 22, 23, 27 and 34: the answer, a greeting, a question, mute."""
    async with Emulator(seed=1) as server, live_call(server, {"store": False}) as call:
        assert re.fullmatch(r"live_u\d_[A-Za-z0-9]{32}", call.id)
        assert call.answer.count("a=setup:passive\r\n") == 2
        assert "a=ice-lite" in call.answer
        assert "end-of-candidates" not in call.answer
        assert re.search(r"^a=max-message-size:\d{6}", call.answer, re.MULTILINE)
        assert [event["type"] for event in call.events] == ["session.started"]
        call.send(
            "session.commentary.append", content="reply-3", delegation_id=None, event_id="mine"
        )
        done = await call.until("session.commentary.appended")
        assert done["client_event_id"] == "mine"
        await eventually(lambda: max(call.heard[-50:], default=0) > 1000)
        call.microphone.say(PromptVoice().clip("stop").samples)  # over the model's words
        await call.until("session.input_transcript.delta")
        call.send("session.input_audio.mute", event_id="m")
        await call.until("session.input_audio.muted")
        call.send("session.close", event_id="c")
        closed = await call.until("session.closed")
        assert (closed["reason"], closed["client_event_id"]) == ("close_requested", "c")
        assert closed["usage"]["seconds"] > 0.5
        lint = LiveLint()
        for event in call.events:
            lint.feed(event)
        emulated = server.calls[call.id]
        assert [e["type"] for e in emulated.from_client()] == [
            "session.commentary.append",
            "session.input_audio.mute",
            "session.close",
        ]
        assert all(accepts("client", event) for event in emulated.from_client())


async def test_the_clock_stands_while_no_audio_comes():
    """Statement 12."""
    async with Emulator(seed=1) as server, live_call(server) as call:
        session = server.calls[call.id].peer._core
        await eventually(lambda: session._hub.clock_ms > 200)
        call.microphone.stalled = True
        await asyncio.sleep(0.8)
        stood = session._hub.clock_ms
        call.send("session.commentary.append", content="reply-1", delegation_id=None)
        await asyncio.sleep(0.4)
        assert session._hub.clock_ms == stood
        assert not [e for e in call.events if e["type"] == "session.commentary.appended"]
        call.microphone.stalled = False
        await call.until("session.commentary.appended")
        await call.until("session.output_transcript.delta")


async def test_hang_up_by_rest():
    """Statement 7, and what is not stored."""
    async with Emulator(seed=1) as server, live_call(server) as call:
        assert (await call.post(f"/{call.id}/fork", {"transport": {"type": "webrtc", "sdp": "x"}}))[
            0
        ] in range(400, 410)
        assert await call.post(f"/{call.id}/hangup") == (200, None)
        assert (await call.until("session.closed"))["reason"] == "close_requested"
        assert await call.post(f"/{call.id}/hangup") == (
            404,
            {
                "error": {
                    "message": "No session found for the provided session_id",
                    "type": "invalid_request_error",
                    "code": "session_id_not_found",
                    "param": "session_id",
                }
            },
        )
        await eventually(lambda: server.calls[call.id].ended)
