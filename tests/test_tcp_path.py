"""What loss, jitter and a slow line do to a TCP stream: it stalls, and loses nothing."""

from __future__ import annotations

import asyncio
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtcvoice import ConfigError
from rtcvoice.emulator.tcp_path import SEGMENT, TcpPath
from rtcvoice.emulator.tcp_relay import TcpRelay


class LosesThese(TcpPath):
    """Loses the n-th segments, each so many times."""

    def __init__(self, losses, **options):
        super().__init__(**options)
        self._planned = losses

    def _losses(self):
        return self._planned.get(self.sent - 1, 0)


def arrivals(path, sent):
    """Return when each of `sent` (time, bytes) arrived, in milliseconds."""
    come = []
    sent = [*sent]
    while sent or path.next_deadline() is not None:
        due = path.next_deadline()
        if sent and (due is None or sent[0][0] <= due):
            when, data = sent.pop(0)
            path.send(data, when)
        else:
            data = path.due(due)
            come += [(round(1000 * due), data)]
    return come


def blocks(count, step=0.02):
    return [(n * step, bytes([n])) for n in range(count)]


def test_without_loss_everything_takes_the_delay():
    assert arrivals(TcpPath(delay=0.03), blocks(3)) == [(30, b"\0"), (50, b"\1"), (70, b"\2")]


def test_a_hole_is_told_by_what_comes_behind_it_and_all_waits_for_it():
    path = LosesThese({1: 1}, delay=0.03)
    # Block 2 leaves at 40 ms, is there at 70; told at 100 and 15; block 1 comes again at 145.
    assert arrivals(path, blocks(5)) == [(30, b"\0"), (145, b"\1\2\3\4")]


def test_at_the_end_of_what_is_said_the_timer_tells():
    assert arrivals(LosesThese({2: 1}, delay=0.03), blocks(3))[-1] == (40 + 30 + 260, b"\2")
    assert arrivals(LosesThese({0: 2}, delay=0.0), blocks(1)) == [(200 + 400, b"\0")]


def test_what_is_lost_again_waits_for_the_timer():
    come = arrivals(LosesThese({1: 2}, delay=0.03), blocks(30))
    assert come[1][0] == 145 + 260


def test_a_slow_line_takes_one_after_the_other():
    path = TcpPath(rate_bps=8 * (SEGMENT + 52) * 10)  # a segment in 100 ms
    assert arrivals(path, [(0.0, bytes(3 * SEGMENT))]) == [
        (100, bytes(SEGMENT)),
        (200, bytes(SEGMENT)),
        (300, bytes(SEGMENT)),
    ]


def test_the_window_is_bounded():
    path = TcpPath(delay=1.0, window=1000)
    path.send(bytes(999), 0.0)
    assert not path.is_full
    path.send(b"x", 0.0)
    assert path.is_full
    path.due(1.0)
    assert not path.is_full


def test_a_share_that_is_none():
    with pytest.raises(ConfigError, match="5"):
        TcpPath(loss=5)


@given(
    st.lists(st.binary(max_size=3 * SEGMENT), max_size=20),
    st.floats(0, 0.9),
    st.floats(0, 0.1),
    st.integers(0, 99),
)
def test_nothing_is_lost_and_the_order_kept(pieces, loss, jitter, seed):
    path = TcpPath(delay=0.01, loss=loss, jitter=jitter, rate_bps=1e6, seed=seed)
    come = arrivals(path, [(0.01 * n, piece) for n, piece in enumerate(pieces)])
    assert b"".join(data for _, data in come) == b"".join(pieces)
    assert all(before <= after for (before, _), (after, _) in itertools.pairwise(come))
    again = TcpPath(delay=0.01, loss=loss, jitter=jitter, rate_bps=1e6, seed=seed)
    assert come == arrivals(again, [(0.01 * n, piece) for n, piece in enumerate(pieces)])


async def test_a_stream_through_a_bad_network_is_whole():
    body = bytes(range(256)) * 300

    async def echo(reader, writer):
        writer.write(await reader.readexactly(len(body)))
        writer.close()

    paths = []

    def bad(number):
        paths.append(TcpPath(delay=0.002, loss=0.1, seed=number))
        return paths[-1]

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    place = server.sockets[0].getsockname()[:2]
    async with server, TcpRelay(place, up=bad, down=bad) as relay:
        reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
        writer.write(body)
        async with asyncio.timeout(60):
            assert await reader.read() == body
        writer.close()
    assert [path.lost > 0 for path in paths] == [True, True]
