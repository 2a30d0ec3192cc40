"""A robot with a loop of its own, without asyncio: `rtcvoice.blocking`.

    python robot_without_asyncio.py              # microphone and loudspeaker
    python robot_without_asyncio.py --emulator   # without a key and without devices

The model moves the robot with a tool. Tools run in threads of their own; so the tool only puts the
order into a queue, and the robot's own loop takes it out: one thread alone uses the motors.
"""

import queue
import sys
import time
from collections.abc import Callable
from typing import Any, Literal

import rtcvoice.blocking
from rtcvoice.emulator import BackgroundEmulator

Direction = Literal["left", "right", "forward", "back"]


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
    with rtcvoice.blocking.connect(tools=[move], **options) as call:
        call.send(greeting)
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
