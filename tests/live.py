"""What the tests of real calls share: a bent emulator, an ear, a census of what a process holds.

Nothing here stands in for WebRTC: every call of these tests is ICE, DTLS, SRTP and SCTP on
loopback. Waiting is always for a condition, with a deadline.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import aiortc.rtp
import numpy as np
import pytest
from checked import assert_events_are_correct, forget_refused_events

import rtcvoice
from rtcvoice.call.life import CallState
from rtcvoice.emulator import Emulator, Pace
from rtcvoice.playout.sink import HeadlessSink

QUICK = Pace(response_latency=0.01, delta_interval=0.001, transcription_latency=0.01, lead_deltas=1)
KEY = "sk-any"
STANDSTILL = 0.2
"""Seconds of lag from which on no test of real sound can be passed."""


def heed_ctrl_c():
    """Undo that a shell has what it puts into the background ignore Ctrl-C: here it is sent."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


class BentEmulator(Emulator):
    """An emulator that answers with `rewrite(sdp)` and does `bend(peer)` to each new peer.

    `bend` runs before the client has the answer, so before any packet of the call.
    """

    _warm = False

    def __init__(self, *, rewrite=str, bend=lambda peer: None, **options):
        super().__init__(**{"pace": QUICK, "seed": 1, **options})
        self._rewrite = rewrite
        self._bend = bend

    async def __aenter__(self):
        """Enter; a first call of the process imports all that calls need.

        On a busy machine that takes longer than the deadlines of tests about what is late.
        """
        if not BentEmulator._warm:
            BentEmulator._warm = True
            async with Emulator(pace=QUICK, seed=1) as first:
                await hold(first)
        return await super().__aenter__()

    async def __aexit__(self, exc_type, exc, traceback):
        """Leave; what was said in all calls must have kept the protocol, types and order."""
        await super().__aexit__(exc_type, exc, traceback)
        if exc_type is None:
            forget_refused_events(self)
            assert_events_are_correct(self)

    async def answer(self, offer_sdp, settings, call_id):
        sdp = await super().answer(offer_sdp, settings, call_id)
        self._bend(self.calls[call_id].peer)
        return self._rewrite(sdp)

    def last(self):
        """Return the newest call as the emulator sees it."""
        return list(self.calls.values())[-1]

    def expire(self):
        """Let the time of the newest session be over now; it ends as the faults say.

        A number of seconds may be over on a busy machine before the client is ready.
        """
        peer = self.last().peer
        peer._guarded(lambda now: peer._session._expire())

    async def end_calls(self):
        """Close the server's side of every call, also of those that a client gave up on."""
        for call in self.calls.values():
            await call.peer.aclose()


def calling(server, **options):
    """Return a `connect` to the emulator: one leg by WebRTC, no devices, unless told otherwise."""
    given = {"source": None, "sink": None, "reconnect": None, "transport": "webrtc"}
    given |= {"api_key": KEY, "base_url": server.url, **options}
    if "credentials" in given:
        del given["api_key"]
    return rtcvoice.connect(**given)


async def hold(server, **options):
    """Connect and hang up."""
    async with calling(server, **options):
        pass


async def eventually(condition: Callable[[], object], timeout: float = 30.0):
    """Wait until `condition()` is true and return its value; fails after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {timeout} s: {condition}"
        await asyncio.sleep(0.005)
    return value


async def until_given_up(call):
    """Wait until a call whose server fell silent is given up: its patience ends now.

    A short `liveness_timeout` would be over on a machine that stands still, too.
    """
    life, legs = call._life, len(call.legs)
    patience, life._liveness_timeout = life._liveness_timeout, 0.2
    life._stirred.set()
    await eventually(lambda: call.state is not CallState.ACTIVE or len(call.legs) > legs)
    life._liveness_timeout = patience


class Census:
    """The threads, tasks and descriptors of this process, to be compared with later ones."""

    def __init__(self):
        self._before = self._count()

    @staticmethod
    def _count():
        names = (thread.name for thread in threading.enumerate())
        here = Counter(name for name in names if not name.startswith("asyncio_"))  # the loop's own
        here.update(
            f"task {task.get_name()}: {task.get_coro()}"
            for task in asyncio.all_tasks()
            if task is not asyncio.current_task()
        )
        if Path("/proc/self/fd").is_dir():
            here["descriptors"] = len(os.listdir("/proc/self/fd")) - 1  # (the listing's own)
        return here

    def surplus(self):
        """Return what there is now beyond what there was at first; empty when nothing."""
        return self._count() - self._before

    async def check(self, timeout: float = 30.0):
        """Wait until there is no surplus: a closed socket leaves the loop one turn later."""
        with suppress(AssertionError):
            await eventually(lambda: not self.surplus(), timeout)
        assert not self.surplus(), dict(self.surplus())


class Lag:
    """How late the loop was at most, in seconds."""

    worst = 0.0

    @property
    def in_time(self):
        """Whether the machine kept up: sound that it was too late for is left out on purpose."""
        return self.worst < 0.05

    async def watch(self):
        clock = asyncio.get_running_loop().time
        while True:
            due = clock() + 0.01
            await asyncio.sleep(0.01)
            self.worst = max(self.worst, clock() - due)


@asynccontextmanager
async def loop_lag():
    """Measure meanwhile how late the loop is: what is in real time can be judged by it."""
    lag = Lag()
    watching = asyncio.create_task(lag.watch())
    try:
        yield lag
    finally:
        watching.cancel()


@contextmanager
def machine_lag():
    """As `loop_lag`, for a test that has no loop: how late a thread is that sleeps."""
    lag, over = Lag(), threading.Event()

    def watch():
        while not over.is_set():
            due = time.monotonic() + 0.01
            time.sleep(0.01)
            lag.worst = max(lag.worst, time.monotonic() - due)

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield lag
    finally:
        over.set()
        watching.join()


def again_if_late(scene):
    """Return the test of a scene of real sound: it is played again when it failed on a late loop.

    What the machine is too late for is left out on purpose, and silence in a sentence is heard as
    its end. A failure on a loop that was in time is one at once. The fifth is one, too, unless the
    machine stood still in all five: then the test is skipped, and says so.
    """
    plays, standstills = 5, []

    def failed(lag, error):
        standstills.append(lag.worst)
        if lag.in_time or (len(standstills) == plays and min(standstills) < STANDSTILL):
            raise error
        if len(standstills) == plays:
            times = ", ".join(f"{seconds:.2f}" for seconds in standstills)
            pytest.skip(f"the machine stood still for {times} s in {plays} plays: {error!r:.500}")

    @functools.wraps(scene)
    async def test(*args, **options):
        standstills.clear()
        while True:
            async with loop_lag() as lag:
                try:
                    return await scene(*args, **options)
                except Exception as exc:
                    failed(lag, exc)

    @functools.wraps(scene)
    def test_without_loop(*args, **options):
        standstills.clear()
        while True:
            with machine_lag() as lag:
                try:
                    return scene(*args, **options)
                except Exception as exc:
                    failed(lag, exc)

    return test if inspect.iscoroutinefunction(scene) else test_without_loop


class Ear(HeadlessSink):
    """A sink that remembers everything it heard."""

    def __init__(self):
        super().__init__()
        self._blocks = []

    def write(self, samples):
        self._blocks.append(samples.copy())

    @property
    def heard(self):
        return np.concatenate([np.zeros(0, np.int16), *self._blocks])


def find(part: np.ndarray, whole: np.ndarray) -> tuple[int, float]:
    """Return where in `whole` it sounds most like `part`, and how much so (1 being the same)."""
    a, b = part.astype(float), whole.astype(float)
    size = 1 << (len(a) + len(b)).bit_length()
    products = np.fft.irfft(np.fft.rfft(b, size) * np.conj(np.fft.rfft(a, size)), size)
    energies = np.cumsum(np.concatenate([[0.0], b * b]))
    lags = len(b) - len(a) + 1
    norms = np.sqrt((energies[len(a) :] - energies[:lags]) * (a @ a)) + 1e4
    likeness = products[:lags] / norms
    best = int(np.argmax(likeness))
    return best, float(likeness[best])


def spoil_packet(peer, spoil, *, at: int):
    """Put `spoil(rtp)` in place of the `at`-th RTP packet that `peer` sends from now on.

    `spoil` gets an aiortc RtpPacket, and returns one, or None for a packet that is lost.
    """
    transport = peer._peer.getSenders()[0].transport
    send, count = transport._send_rtp, 0

    async def send_rtp(data: bytes) -> None:
        nonlocal count
        if not 192 <= data[1] <= 223:  # RTCP shares the path (RFC 5761 §4)
            count += 1
            if count == at:
                packet = spoil(aiortc.rtp.RtpPacket.parse(data))
                if packet is None:
                    return
                data = packet.serialize()
        await send(data)

    transport._send_rtp = send_rtp


@asynccontextmanager
async def separate_emulator():
    """An emulator in a process of its own, to be killed: yields the process and its URL."""
    script = (
        "import asyncio\n"
        "from rtcvoice.emulator import Emulator\n"
        "async def main():\n"
        "    async with Emulator() as server:\n"
        "        print(server.url, flush=True)\n"
        "        await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    process = await asyncio.create_subprocess_exec(
        os.sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(60):
            url = (await process.stdout.readline()).decode().strip()
        process.url = url
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        process._transport.close()
