"""What a system holds of what was sent by TCP: it tells, or it is made to hold little."""

from __future__ import annotations

import asyncio
import errno
import socket
from contextlib import suppress
from types import SimpleNamespace

import pytest
from tcp_doubles import Pipe
from virtual_loop import run

from rtcvoice.rest.tunnels import Dialled
from rtcvoice.wire import tcp_link
from rtcvoice.wire.backlog import LITTLE, SO_NWRITE, backlog_of
from rtcvoice.wire.tcp_link import TcpLink

RATE = 3000
"""Bytes per second that the slow network takes: half of what is said."""

SAID = 110
"""Bytes of 20 ms of speech."""


class FakeSocket:
    """A socket of a system that tells what it holds, or does not (None)."""

    family = socket.AF_INET

    def __init__(self, held=None):
        self.held = held
        self.options = {}

    def getsockopt(self, level, option):
        if self.held is None or (level, option) != (socket.SOL_SOCKET, SO_NWRITE):
            raise OSError(errno.ENOPROTOOPT, "Protocol not available")
        return self.held

    def setsockopt(self, level, option, value):
        self.options[level, option] = value

    def fileno(self):
        return -1


SMALL = {(socket.SOL_SOCKET, socket.SO_SNDBUF): LITTLE}


@pytest.mark.parametrize("platform", ["win32", "linux", "darwin", "freebsd14"])
def test_a_system_that_does_not_tell_is_made_to_hold_little(platform):
    sock = FakeSocket()
    assert backlog_of(sock, platform) is None
    assert sock.options == SMALL


def test_macos_tells_until_the_socket_is_closed():
    sock = FakeSocket(held=700)
    backlog = backlog_of(sock, "darwin")
    assert backlog() == 700
    sock.held = None
    assert backlog() == 0
    assert not sock.options


def test_what_only_looks_like_a_socket_is_no_error():
    assert backlog_of(SimpleNamespace(), "win32") is None
    assert backlog_of(SimpleNamespace(), "linux") is None


def test_this_system_tells_of_a_real_connection():
    with socket.create_server(("127.0.0.1", 0)) as server:
        near = socket.create_connection(server.getsockname())
        with near, server.accept()[0] as far:
            near.setblocking(False)
            far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            backlog = backlog_of(near)
            if backlog is None:
                pytest.skip("this system does not tell")
            assert backlog() == 0
            with suppress(BlockingIOError):
                while True:
                    near.send(bytes(65536))
            assert backlog() > 0
        assert backlog() == 0  # closed


class SlowPipe(Pipe):
    """A connection whose system holds `LITTLE` bytes and sends `RATE` a second."""

    def __init__(self, sock):
        super().__init__()
        self._sock = sock
        self.held = 0
        self.arrived = []
        self._paused = False

    def get_extra_info(self, name, default=None):
        return self._sock if name == "socket" else super().get_extra_info(name, default)

    def write(self, data):
        self.held += len(data)
        asyncio.get_running_loop().call_later(self.held / RATE, self._take, bytes(data))
        if self.held > LITTLE and not self._paused:
            self._paused = True
            self._protocol.pause_writing()

    def _take(self, data):
        now = asyncio.get_running_loop().time()
        self.held -= len(data)
        self.arrived += [(now, datagram) for datagram in self._deframer.feed(data)]
        if self._paused and self.held <= LITTLE:
            self._paused = False
            self._protocol.resume_writing()


def test_where_the_system_does_not_tell_speech_is_late_by_a_bounded_time(monkeypatch):
    monkeypatch.setattr(tcp_link, "backlog_of", lambda sock: backlog_of(sock, "win32"))
    sock = FakeSocket()

    async def main():
        loop = asyncio.get_running_loop()
        pipe = SlowPipe(sock)

        async def dial(host, port):
            return Dialled(SimpleNamespace(transport=pipe), "direct")

        link = TcpLink(("20.1.2.3", 443), dial, on_datagram=lambda data, address: None)
        await link.open()
        said = []
        for n in range(1500):  # half a minute
            said.append(loop.time())
            link.send(n.to_bytes(2, "big") + bytes(SAID - 2))
            await asyncio.sleep(0.02)
        dropped = link.dropped
        link.close()
        late = [when - said[int.from_bytes(data[:2], "big")] for when, data in pipe.arrived]
        return late, dropped

    late, dropped = run(main())
    assert SMALL.items() <= sock.options.items()
    longest = tcp_link.MOST_WAITING + (LITTLE + tcp_link.ONE_SEGMENT + SAID) / RATE
    assert max(late) <= longest + 0.021
    assert max(late[-100:]) <= max(late[200:300]) + 0.021  # it does not grow
    passed = 30 * RATE / (SAID + 2)
    assert dropped == pytest.approx(1500 - passed, abs=(LITTLE + 0.2 * RATE) / SAID + 10)
