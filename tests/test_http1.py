"""HTTP without a library: what servers may answer, and what must not get through."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from rtcvoice.errors import SignalingError
from rtcvoice.rest.client import BODY_LIMIT, Rest
from rtcvoice.rest.http1 import Direct, HttpError
from rtcvoice.rest.opening import LARGEST_LINE

OK = b"HTTP/1.1 200 OK\r\n"
TWO = OK + b"Content-Length: 2\r\n\r\nhi"


@asynccontextmanager
async def answering(*replies, hang_up=False):
    """A server that gives its replies to one request each; it notes the heads by connection."""
    asked, left, tasks = [], list(replies), []

    async def serve(reader, writer):
        tasks.append(asyncio.current_task())
        heads = []
        asked.append(heads)
        try:
            while left:
                head = await reader.readuntil(b"\r\n\r\n")
                lines = head.decode().lower().split("\r\n")
                length = [line.split()[1] for line in lines if line.startswith("content-length")]
                body = await reader.readexactly(int(length[0]) if length else 0)
                heads.append(head.decode() + body.decode())
                writer.write(left.pop(0))
                if hang_up:
                    break
                await writer.drain()
            else:
                await reader.read()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", asked
        for http in _made:
            await http.aclose()
        _made.clear()
        await asyncio.wait(tasks, timeout=5)


_made = []


def direct(**options):
    http = Direct(**{"headers": {"User-Agent": "test"}, "tls": None, "keep": 5.0} | options)
    _made.append(http)
    return http


async def body_of(http, url, method="POST", **request):
    response = await http.send(method, url, **request)
    try:
        return b"".join([piece async for piece in response.body])
    finally:
        await http.finish(response)


@pytest.mark.parametrize(
    "reply",
    [
        TWO,
        OK + b"content-length:2\r\nContent-Length: 2\r\n\r\nhi",
        b"HTTP/1.1 200\nContent-Length: 2\n\nhi",
        b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + TWO,
        OK + b"Transfer-Encoding: chunked\r\n\r\n1;x=y\r\nh\r\n01\r\ni\r\n0\r\nT: x\r\n\r\n",
    ],
)
async def test_the_forms_of_an_answer_and_the_connection_afterwards(reply):
    async with answering(reply, TWO) as (url, asked):
        http = direct()
        assert await body_of(http, url, content=b"{}") == b"hi"
        assert await body_of(http, url, method="GET") == b"hi"
        await http.aclose()
        await http.aclose()
    ((post, get),) = asked
    assert post.startswith("POST /v1 HTTP/1.1\r\nHost: 127.0.0.1:")
    assert "User-Agent: test\r\n" in post
    assert post.endswith("Content-Length: 2\r\n\r\n{}")
    assert "Content-Length" not in get


@pytest.mark.parametrize(
    ("reply", "body"),
    [
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", b"hi"),
        (OK + b"Connection: x, Close\r\nContent-Length: 2\r\n\r\nhi", b"hi"),
        (TWO + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", b"hi"),
        (
            OK + b"Content-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
            b"hi",
        ),
    ],
)
async def test_a_connection_that_is_not_used_again(reply, body):
    async with answering(reply, TWO) as (url, asked):
        http = direct()
        assert await body_of(http, url) == body
        assert await body_of(http, url) == b"hi"
        await http.aclose()
    assert [len(heads) for heads in asked] == [1, 1]


async def test_one_whose_answer_was_not_read_is_not_used_again():
    async with answering(TWO, TWO) as (url, asked):
        http = direct()
        await http.finish(await http.send("POST", url))
        assert await body_of(http, url) == b"hi"
        await http.aclose()
    assert [len(heads) for heads in asked] == [1, 1]


async def test_an_answer_to_head_has_no_body_whatever_it_says():
    async with answering(OK + b"Content-Length: 2\r\n\r\n", TWO) as (url, asked):
        http = direct()
        await http.finish(await http.send("HEAD", url))
        assert await body_of(http, url) == b"hi"
        await http.aclose()
    assert [len(heads) for heads in asked] == [2]


async def test_an_answer_without_a_length_ends_with_the_connection():
    async with answering(OK + b"\r\nhi", hang_up=True) as (url, _):
        assert await body_of(direct(), url) == b"hi"


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"SSH-2.0-x\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 " + b"x" * (2 * LARGEST_LINE) + b"\r\n\r\n",
        OK + b"X: y\r\n" * 300 + b"\r\n",
        OK + b"no header\r\n\r\n",
        OK + b"Na me: x\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 300,
        OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nhi",
        OK + b"Content-Length: -1\r\n\r\n",
        OK + b"Content-Length: 1, 1\r\n\r\nh",
        OK + b"Content-Length: 9\r\n\r\nhi",
        OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhihi\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n9\r\nhi",
    ],
)
async def test_what_is_no_answer(reply):
    async with answering(reply, hang_up=True) as (url, _):
        rest = Rest(url)
        with pytest.raises(SignalingError, match="cannot talk to") as caught:
            await rest.request("POST", url, "asking", secrets=())
        await rest.aclose()
    assert caught.value.status is None


async def test_an_endless_body_is_not_read_to_its_end():
    async with answering(OK + b"\r\n" + b"x" * (BODY_LIMIT + 2)) as (url, _):
        rest = Rest(url)
        with pytest.raises(SignalingError, match="larger than"):
            await rest.request("POST", url, "asking", secrets=())
        await rest.aclose()


@pytest.mark.parametrize(
    ("url", "headers"),
    [
        ("http://127.0.0.1:9/", {"X": "a\r\nEvil: b"}),
        ("http://127.0.0.1:9/", {"X y": "a"}),
        ("http://127.0.0.1:9/", {"X": "\N{SNOWMAN}"}),
        ("http://127.0.0.1:x/", {}),
        ("http:///v1", {}),
        (f"http://{'a' * 70}.example/", {}),
    ],
)
async def test_what_is_never_sent(url, headers):
    with pytest.raises((HttpError, OSError)):
        await direct().send("POST", url, headers=headers)


async def test_what_stands_in_a_path_cannot_begin_another_line():
    async with answering(TWO) as (url, asked):
        await body_of(direct(), f"{url}/a b?q=\N{SNOWMAN}")
    assert asked[0][0].startswith("POST /v1/a%20b?q=%E2%98%83 HTTP/1.1\r\n")


async def test_a_client_that_is_closed_sends_nothing():
    http = direct()
    await http.aclose()
    assert http.is_closed
    with pytest.raises(HttpError, match="closed"):
        await http.send("POST", "http://127.0.0.1:9/")
