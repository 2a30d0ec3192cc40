"""A robot with a loop of its own, without asyncio: the call runs on a thread beside it.

    python robot_without_asyncio.py              # microphone and loudspeaker
    python robot_without_asyncio.py --emulator   # without a key and without devices

The model moves the robot with a tool. The tool only puts the order into a queue; the robot's own
loop takes it out, so that all motors are used by one thread.
"""

import asyncio
import queue
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Literal

import rtcvoice
from rtcvoice.emulator import BackgroundEmulator

Direction = Literal["left", "right", "forward", "back"]


class Voice:
    """A call on a thread of its own. `say` may be called from any thread."""

    def __init__(self, **options: Any) -> None:
        self._options = options
        self._stop = asyncio.Event()
        self._ready = threading.Event()
        self._call: rtcvoice.Call | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="voice", daemon=True)

    def __enter__(self) -> "Voice":
        self._thread.start()
        self._ready.wait()
        if self._error is not None:
            raise self._error
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def say(self, text: str) -> None:
        """Tell the model something, and return once it is delivered."""
        assert self._call is not None
        asyncio.run_coroutine_threadsafe(self._call.send(text), self._loop).result(timeout=10)

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as error:  # told to whoever waits for the call
            self._error = error
        finally:
            self._ready.set()

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        async with rtcvoice.connect(**self._options) as self._call:
            self._ready.set()
            await self._stop.wait()


def drive(robot: Callable[[Direction, float], None], greeting: str, **options: Any) -> None:
    """Let people tell the robot where to go, until it has stood still for a minute."""
    orders: queue.Queue[tuple[Direction, float]] = queue.Queue(maxsize=10)

    def move(direction: Direction, metres: float = 1.0) -> str:
        """Move the robot."""
        if not 0 < metres <= 2:
            return "The robot moves at most 2 metres at a time."
        orders.put_nowait((direction, metres))
        return "It moves."

    idle = options.pop("idle", 60.0)
    with Voice(tools=[move], **options) as voice:
        voice.say(greeting)
        while True:
            try:
                direction, metres = orders.get(timeout=idle)
            except queue.Empty:
                return
            robot(direction, metres)


def show(direction: Direction, metres: float) -> None:
    """Stand in for the motors."""
    print(f"the robot moves {direction} by {metres:g} m")
    time.sleep(0.1)


if __name__ == "__main__":
    if "--emulator" in sys.argv:
        with BackgroundEmulator() as server:
            drive(
                show,
                "Please move left.",
                base_url=server.url,
                api_key="sk-any",
                source=None,
                sink=None,
                idle=3.0,
            )
    else:
        drive(show, "Greet the people in the room.")
