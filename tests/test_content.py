"""What a user puts into the conversation: what cannot be sent is refused in words, before it is."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
import virtual_loop
from virtual_call import VirtualCall

from rtcvoice.errors import ConfigError

TEXT = {"output_modalities": ["text"]}
SECOND = np.zeros(24000, np.int16)
JPEG = b"\xff\xd8\xff" + bytes(100)


def virtual(test: Any) -> Any:
    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        virtual_loop.run(test(*args, **kwargs))

    return run


@pytest.mark.parametrize("limit", [1, 500, 1000, 1024, 5000, 12_000])
@virtual
async def test_a_server_that_takes_next_to_nothing_gets_no_clips(limit: int) -> None:
    async with VirtualCall(session=TEXT, limit=limit) as call:
        with pytest.raises(ConfigError, match=f"no clip can be sent.* {limit} bytes"):
            await call.send(audio=SECOND)
        if limit < 2000:
            with pytest.raises(ConfigError, match="the most that fits into an event is 0"):
                await call.send(images=[JPEG])


@pytest.mark.parametrize("limit", [14_000, 20_000, 65536])
@virtual
async def test_a_clip_is_parted_to_fit(limit: int) -> None:
    async with VirtualCall(session=TEXT, limit=limit) as call:
        await call.send(audio=np.arange(50_000, dtype=np.int16))
        sent = call.sent("conversation.item.create")
        pieces = [event["item"]["content"][0]["audio"] for event in sent]
        assert all(0.1 * 48_000 <= len(piece) * 3 / 4 <= limit for piece in pieces)


@pytest.mark.parametrize(
    ("clip", "complaint"),
    [
        ((SECOND, 0), "the rate 0"),
        ((SECOND, -1), "the rate -1"),
        ((SECOND, "x"), "the rate 'x'"),
        ((SECOND, 24000.5), "the rate 24000.5"),
        ((SECOND, None), "the rate None"),
        ((SECOND, True), "the rate True"),
        ((SECOND, 10**12), "the rate 10"),
        ((SECOND,), "neither a file nor"),
        ((SECOND, 24000, 1), "neither a file nor"),
        ((), "neither a file nor"),
        (SECOND.astype(np.float32), "int16 mono"),
        (SECOND.reshape(2, -1), "int16 mono"),
        (SECOND[:10], "lasts 0.00 s"),
    ],
)
@virtual
async def test_what_is_no_clip(clip: Any, complaint: str) -> None:
    async with VirtualCall(session=TEXT) as call:
        with pytest.raises(ConfigError, match=complaint):
            await call.send(audio=clip)


@virtual
async def test_rates_of_numpy_and_odd_ones_are_taken() -> None:
    async with VirtualCall(session=TEXT) as call:
        for rate in (np.int64(24000), 44_100, 8000):
            await call.send(audio=(SECOND, rate))


HALF = "half \ud83d"


@virtual
async def test_text_that_cannot_be_sent_is_refused_at_once() -> None:
    async with VirtualCall(session=TEXT) as call:
        for verb in (
            call.send(HALF),
            call.ask(HALF),
            call.ask("x", instructions=HALF),
            call.say(HALF),
            call.respond(metadata={"a": HALF}),
            call.respond(tools=[{"type": "function", "name": HALF}]),
            call.seed([{"role": "user", "text": HALF}]),
            call.send_event({"type": "response.create", "response": {"instructions": HALF}}),
            call._conversation.commands.update({"instructions": HALF}),
        ):
            with pytest.raises(ConfigError, match="surrogate"):
                await verb
        assert call.sent("conversation.item.create") == []
        assert await (await call.ask("Still there?")).text()


@virtual
async def test_a_data_uri_that_is_no_ascii() -> None:
    async with VirtualCall(session=TEXT) as call:
        with pytest.raises(ConfigError, match="not valid base64"):
            await call.send(images=["data:image/png;base64,ä"])
