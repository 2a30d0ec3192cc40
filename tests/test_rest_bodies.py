"""Whatever bytes a client posts to the emulator, the answer is JSON and never a server error."""

import asyncio
import io
import json
from contextlib import asynccontextmanager

import pytest
from aiohttp.test_utils import TestClient, TestServer
from hypothesis import given, settings
from hypothesis import strategies as st
from rest_helpers import CALLS, KEY, SECRETS, FakeCalls, error, form

from rtcvoice.emulator.rest.app import build_app


@pytest.fixture
async def client():
    async with TestClient(TestServer(build_app(FakeCalls()))) as client:
        yield client


async def test_other_paths_methods_and_types_are_refused_as_json(client):
    await error(await client.post("/v1/nope", headers=KEY), 404, None)
    await error(await client.get(CALLS, headers=KEY), 405, None)
    for path in (CALLS, SECRETS):
        response = await client.post(path, data="a=b", headers=KEY | {"Content-Type": "text/html"})
        await error(response, 400, "unsupported_content_type")


@pytest.mark.parametrize(
    ("path", "kind"),
    [(CALLS, "application/sdp"), (CALLS, "multipart"), (SECRETS, "application/json")],
)
async def test_a_body_above_the_limit_is_refused(client, path, kind):
    data, headers = b"v=0\r\n" + b"a=x\r\n" * 300_000, {"Content-Type": kind}
    if kind == "multipart":
        data, headers = form(sdp=data)
    response = await client.post(path, data=io.BytesIO(data), headers=KEY | headers)
    await error(response, 413, None)


@pytest.mark.parametrize("depth", [40, 300, 1000, 20_000])
async def test_deep_nesting_is_taken_or_refused(client, depth):
    deep = '{"type":"object","properties":{"a":' * depth + "{}" + "}}" * depth
    tool = f'{{"type":"function","name":"f","parameters":{deep}}}'
    body = f'{{"session":{{"type":"realtime","tools":[{tool}]}}}}'
    headers = KEY | {"Content-Type": "application/json"}
    response = await client.post(SECRETS, data=body, headers=headers)
    assert response.status == 200 if depth < 300 else response.status in (200, 400)


KINDS = [
    "application/json",
    "application/sdp",
    "multipart/form-data",
    "multipart/form-data; boundary=x",
    "multipart/form-data; boundary=",
    "text/plain",
    "nonsense",
]
PIECES = [
    b"--x\r\n",
    b"--x--\r\n",
    b'Content-Disposition: form-data; name="sdp"\r\n\r\n',
    b'Content-Disposition: form-data; name="session"\r\n',
    b'Content-Disposition: form-data; name="session"; filename="a"\r\n',
    b"Content-Disposition: form-data\r\n\r\n",
    b"Content-Type: text/plain; charset=nonsense\r\n\r\n",
    b"Content-Type: multipart/mixed; boundary=y\r\n\r\n--y\r\n",
    b"Content-Transfer-Encoding: base64\r\n\r\n!",
    b"Content-Encoding: gzip\r\n\r\n!",
    b'{"session":',
    b"\r\n",
    b"v=0\r\n",
    b"\xff",
]
JSON = st.recursive(st.none() | st.text(max_size=5) | st.floats(), lambda inner: st.lists(inner))
BODIES = st.one_of(
    st.binary(max_size=100),
    st.lists(st.sampled_from(PIECES), max_size=8).map(b"".join),
    st.builds(
        lambda key, value: json.dumps({key: value}).encode(),
        st.sampled_from(["session", "expires_after", "x"]),
        JSON,
    ),
)


@pytest.fixture(scope="module")
def talk():
    """A function that posts bytes as they are to one server that lives as long as the module."""
    with asyncio.Runner() as runner:
        server = TestServer(build_app(FakeCalls()))
        runner.run(server.start_server())
        yield lambda *request: runner.run(_post(server.port, *request))
        runner.run(server.close())


async def _post(port, path, headers, body):
    async with _connection(port) as (reader, writer):
        lines = [f"POST {path} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        writer.write("\r\n".join([*lines, "Connection: close", "", ""]).encode() + body)
        answer = await asyncio.wait_for(reader.read(), 30)
    head, _, content = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), content


@asynccontextmanager
async def _connection(port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()
        await writer.wait_closed()


@settings(deadline=None, max_examples=200)
@given(path=st.sampled_from([CALLS, SECRETS]), kind=st.sampled_from(KINDS), body=BODIES)
def test_garbage_gets_json_and_never_a_server_error(talk, path, kind, body):
    status, content = talk(path, KEY | {"Content-Type": kind}, body)
    assert 200 <= status < 500, content
    if status >= 400:
        assert json.loads(content)["error"]["message"]


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "nonsense"])
@pytest.mark.parametrize("path", [CALLS, SECRETS])
def test_a_content_encoding_that_does_not_decode_is_refused(talk, path, encoding):
    headers = KEY | {"Content-Type": "application/sdp", "Content-Encoding": encoding}
    status, _ = talk(path, headers, b"garbage")
    assert status == 400
