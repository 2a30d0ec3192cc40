"""The clients of `bench_start`: one process, one call, as a user's program has it; no script.

    python bench_start_clients.py CLIENT BASE_URL FOLDER CA

CA: a file with the certificate to trust, or empty. Prints the moment at which the call was ready,
by the clock that all processes of the machine share, and leaves. The imports are the clients' own:
nothing is imported here that they do not need.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any

KEY = "sk-bench"
MODEL = "gpt-realtime-2.1"


async def rtcvoice_file(url: str, folder: str, ca: str) -> None:
    import rtcvoice

    source = rtcvoice.FileSource(f"{folder}/said.wav")
    await rtcvoice_call(url, ca, source=source, sink=rtcvoice.FileSink(f"{folder}/heard.wav"))


async def rtcvoice_devices(url: str, folder: str, ca: str) -> None:
    import rtcvoice

    await rtcvoice_call(url, ca, source=rtcvoice.Microphone(), sink=rtcvoice.Speaker())


async def rtcvoice_none(url: str, folder: str, ca: str) -> None:
    await rtcvoice_call(url, ca, source=None, sink=None)


async def rtcvoice_call(url: str, ca: str, **ends: Any) -> None:
    import rtcvoice

    async with rtcvoice.connect(base_url=url, api_key=KEY, model=MODEL, ca_file=ca or None, **ends):
        ready()


async def aiortc_call(url: str, folder: str, ca: str) -> None:
    from bench_connect_clients import aiortc_client

    await aiortc_client(stun=False)(url, ca, ready)


async def libwebrtc_call(url: str, folder: str, ca: str) -> None:
    from bench_connect_clients import libwebrtc_client

    await libwebrtc_client()(url, ca, ready)


CLIENTS = {
    "rtcvoice-file": rtcvoice_file,
    "rtcvoice-devices": rtcvoice_devices,
    "rtcvoice-none": rtcvoice_none,
    "aiortc": aiortc_call,
    "libwebrtc": libwebrtc_call,
}


def ready() -> None:
    print(time.perf_counter(), flush=True)


if __name__ == "__main__":
    asyncio.run(CLIENTS[sys.argv[1]](*sys.argv[2:]))
