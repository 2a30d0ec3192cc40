"""Tests of your own agent: no key, no internet, and no waiting for speech.

pytest scripts/examples

The fixture `rtcvoice_emulator` comes with rtcvoice[emulator]. During a test, OPENAI_BASE_URL and
OPENAI_API_KEY lead to the emulator, so the agent needs no change.
"""

import asyncio

import pytest

import rtcvoice
from rtcvoice.emulator import BackgroundEmulator, Faults, HttpFault, Turn

prices = {"margherita": 8.5, "funghi": 9.5}


def price_of(pizza: str) -> str:
    """Tell the price of a pizza."""
    return f"{prices[pizza]} euros" if pizza in prices else "We do not have that pizza."


async def agent(question: str) -> str:
    """Answer a customer; stands for the agent that you test."""
    try:
        async with rtcvoice.connect(source=None, sink=None, tools=[price_of]) as call:
            reply = await call.ask(question)
            await reply.played()
            return await reply.text()
    except rtcvoice.SignalingError as error:
        return f"Please call again later ({error.status})."


@pytest.mark.rtcvoice_emulator(
    audio="instant",  # answers are silent and at once
    script=[
        Turn(
            hears="What is the price of a funghi?",
            calls={"price_of": {"pizza": "funghi"}},
            then=Turn(says="It costs 9.5 euros."),
        )
    ],
)
def test_it_looks_up_the_price(rtcvoice_emulator: BackgroundEmulator) -> None:
    answer = asyncio.run(agent("What is the price of a funghi?"))
    assert answer.endswith("It costs 9.5 euros.")
    call = rtcvoice_emulator.last_call
    results = [
        event["item"]["output"]
        for event in call.from_client("conversation.item.create")
        if event["item"]["type"] == "function_call_output"
    ]
    assert results == ["9.5 euros"]
    assert not call.warnings  # everything went by the script


def test_it_is_polite_when_the_service_is_busy(rtcvoice_emulator: BackgroundEmulator) -> None:
    rtcvoice_emulator.faults = Faults(http=HttpFault.RATE_LIMIT)
    assert asyncio.run(agent("Hello?")) == "Please call again later (429)."
