"""Write down what is said in a recording. Nobody answers.

    python transcript_to_file.py talk.mp3 talk.txt

Ask everybody in the recording before you send it to a service.
"""

import asyncio
import sys
from contextlib import suppress
from pathlib import Path

import rtcvoice


async def write_down(recording: str, text_file: str) -> int:
    """Write a line for each thing said; return how many lines there are."""
    lines = 0
    source = rtcvoice.FileSource(recording)
    async with rtcvoice.connect(source=source, type="transcription") as call:
        turns = call.turns()
        ending = asyncio.create_task(_hang_up_when_finished(call))
        with Path(text_file).open("w", encoding="utf-8") as file:
            async for turn in turns:  # ends when the call ends
                file.write(f"{turn.text}\n")
                file.flush()  # so that nothing is lost when something fails later
                lines += 1
        await ending
    return lines


async def _hang_up_when_finished(call: rtcvoice.Call) -> None:
    with suppress(rtcvoice.CallEnded):
        await call.finished()
        await call.hangup()


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python transcript_to_file.py RECORDING TEXT_FILE")
    print(asyncio.run(write_down(sys.argv[1], sys.argv[2])), "lines")
