"""An assistant with two tools. Speak to it, or ask in writing.

python agent_with_tools.py                                    # microphone and loudspeaker
python agent_with_tools.py "What is the weather in Ulm?"      # in writing
python agent_with_tools.py --emulator "What is the weather in Ulm?"   # without a key
"""

import asyncio
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated

import rtcvoice
from rtcvoice.emulator import Emulator

INSTRUCTIONS = "You are a friendly assistant. Answer in one or two sentences."


def weather(city: Annotated[str, "the town"]) -> dict[str, object]:
    """Tell the weather in a town."""
    return {"city": city, "sky": "sunny", "degrees": 21}  # ask a weather service here


def current_time() -> str:
    """Tell the date and the time, in UTC."""
    return datetime.now(UTC).isoformat(timespec="minutes")


TOOLS: list[Callable[..., object]] = [weather, current_time]


async def ask(question: str, base_url: str | None = None, api_key: str | None = None) -> str:
    """Ask in writing and return the answer in writing: no sound device is used."""
    async with rtcvoice.connect(
        base_url=base_url,
        api_key=api_key,
        instructions=INSTRUCTIONS,
        tools=TOOLS,
        output_modalities=["text"],
    ) as call:
        return await (await call.ask(question)).text()


async def talk() -> None:
    """Talk until the program is ended with Ctrl-C, for at most ten minutes and 50 cents."""
    limits = rtcvoice.Limits(cost=0.50, seconds=600)
    async with rtcvoice.connect(instructions=INSTRUCTIONS, tools=TOOLS, limits=limits) as call:
        async for turn in call.turns():
            print(f"{turn.role}: {turn.text}")


async def main(arguments: list[str]) -> None:
    """Choose by the command line."""
    if "--emulator" in arguments:
        async with Emulator() as server:
            print(await ask(" ".join(arguments[1:]), server.url, "sk-any"))
    elif arguments:
        print(await ask(" ".join(arguments)))
    else:
        await talk()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
