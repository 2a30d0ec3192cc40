"""The REST side against small servers on loopback: what is sent, what errors say, what is shown."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import socket
import ssl
import sys
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from certificates import self_signed, server_context
from live import calling

from rtcvoice.errors import ConfigError, RtcVoiceError, SignalingError
from rtcvoice.rest.addresses import is_loopback
from rtcvoice.rest.answers import HttpAnswer, refused
from rtcvoice.rest.client import BODY_LIMIT
from rtcvoice.rest.credentials import ApiKey, EphemeralToken
from rtcvoice.rest.signaling import Signaling

KEY = "sk-proj-4WYDeCqfVYt8Kq0R3tJzqKzq"
TOKEN = "ek_68af296e8e408191a1120ab6383263c2"
ODD_KEY = "9f86d081884c7d659a2feaa0c55ad015"
OFFER = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\n"
ANSWER = "v=0\r\no=- 2 2 IN IP4 0.0.0.0\r\n\r\n"

Respond = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Server:
    """Notes every request and answers each as `respond` says."""

    def __init__(self, respond: Respond) -> None:
        self.respond = respond
        self.requests: list[web.Request] = []
        self.bodies: list[bytes] = []
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        self.bodies.append(await request.read())
        return await self.respond(request)


@asynccontextmanager
async def serving(respond: Respond, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    server = Server(respond)
    runner = web.ServerRunner(web.Server(server.handle), shutdown_timeout=0.01)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
        await site.start()
        port = runner.addresses[0][1]
        server.url = f"http{'s' if tls else ''}://127.0.0.1:{port}/v1"
        yield server
    finally:
        await runner.cleanup()


@asynccontextmanager
async def client(url: str, key: str = KEY) -> AsyncIterator[Signaling]:
    credentials = EphemeralToken(key) if key == TOKEN else ApiKey(key)
    signaling = Signaling(base_url=url, credentials=credentials, headers={"OpenAI-Project": "p"})
    try:
        yield signaling
    finally:
        await signaling.aclose()


def always(*args, **kwargs) -> Respond:
    async def respond(request: web.Request) -> web.Response:
        return web.Response(*args, **kwargs)

    return respond


async def refusal(respond: Respond, key: str = KEY) -> SignalingError:
    """Ask for a token; return the error that comes of it."""
    async with serving(respond) as server, client(server.url, key) as signaling:
        with pytest.raises(SignalingError) as caught:
            await signaling.mint({"session": {}})
    return caught.value


def shown(error: BaseException) -> str:
    """Everything that a traceback of the error would show, save the code."""
    parts = []
    link: BaseException | None = error
    while link is not None:
        parts += [str(link), repr(link), repr(vars(link))]
        link = link.__cause__ or link.__context__
    return "\n".join(parts)


# -- the good case ----------------------------------------------------------------------------


async def test_a_token_carries_the_whole_session():
    body = json.dumps({"value": TOKEN, "expires_at": 1, "session": {}})
    async with serving(always(text=body)) as server, client(server.url) as signaling:
        assert await signaling.mint_token({"type": "realtime", "model": "m"}) == TOKEN
    request = server.requests[0]
    assert (request.method, request.path) == ("POST", "/v1/realtime/client_secrets")
    assert request.headers["Authorization"] == f"Bearer {KEY}"
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["User-Agent"] == "rtcvoice"
    assert request.headers["OpenAI-Project"] == "p"
    assert "OpenAI-Beta" not in request.headers
    assert json.loads(server.bodies[0]) == {"session": {"type": "realtime", "model": "m"}}


async def test_the_offer_goes_raw_with_the_token_and_the_answer_comes_back_unstripped():
    respond = always(
        status=201,
        body=ANSWER.encode(),
        content_type="text/plain",
        headers={"Location": "/v1/realtime/calls/rtc_u2_1"},
    )
    async with serving(respond) as server, client(server.url + "/") as signaling:
        answer = await signaling.call(OFFER, TOKEN)
    assert answer[:2] == (ANSWER, "rtc_u2_1")
    request = server.requests[0]
    assert (request.path, request.query_string) == ("/v1/realtime/calls", "")
    assert request.headers["Authorization"] == f"Bearer {TOKEN}"
    assert request.headers["Content-Type"] == "application/sdp"
    assert server.bodies[0] == OFFER.encode()


async def test_directly_offer_and_session_go_in_one_request_with_the_key():
    respond = always(status=201, text=ANSWER, headers={"Location": "/v1/realtime/calls/rtc_1"})
    async with serving(respond) as server, client(server.url) as signaling:
        answer = await signaling.call_directly(OFFER, {"type": "realtime"})
    assert answer[:2] == (ANSWER, "rtc_1")
    request = server.requests[0]
    assert request.headers["Authorization"] == f"Bearer {KEY}"
    boundary = request.headers["Content-Type"].removeprefix("multipart/form-data; boundary=")
    sdp, session = server.bodies[0].decode().split(f"--{boundary}")[1:-1]
    assert 'name="sdp"' in sdp
    assert sdp.endswith(f"Content-Type: application/sdp\r\n\r\n{OFFER}\r\n")
    assert 'name="session"' in session
    assert session.endswith('Content-Type: application/json\r\n\r\n{"type":"realtime"}\r\n')


# -- servers of other people's ----------------------------------------------------------------


def by_kind(places: dict[tuple[str, str], int]) -> Respond:
    """Answer by the last part of the path and the kind of body; 404 for what is not listed."""

    async def respond(request: web.Request) -> web.Response:
        kind = request.content_type.partition("/")[2]
        status = places.get((request.path.rpartition("/")[2], kind), 404)
        if status == 201:
            return web.Response(status=201, text=ANSWER, headers={"Location": "/calls/rtc_1"})
        return web.Response(status=status, text="no")

    return respond


def kinds(server: Server) -> list[str]:
    return [request.content_type.partition("/")[2] for request in server.requests]


@pytest.mark.parametrize("status", [404, 405, 501])
@pytest.mark.parametrize("form", ["sdp", "form-data"])
async def test_where_no_tokens_are_minted_the_offer_goes_with_the_key(status, form, caplog):
    caplog.set_level(logging.INFO)
    places = {("client_secrets", "json"): status, ("calls", "sdp"): 415, ("calls", form): 201}
    async with serving(by_kind(places)) as server, client(server.url) as signaling:
        assert await signaling.mint_token({"type": "realtime"}) == ""
        answer = await signaling.call_directly(OFFER, {"type": "realtime"})
        assert answer[:2] == (ANSWER, "rtc_1")
        assert signaling.session_is_unset is (form == "sdp")
        assert signaling.can_hang_up
    assert kinds(server) == ["json", "sdp", "form-data"][: 2 if form == "sdp" else 3]
    assert {request.headers["Authorization"] for request in server.requests} == {f"Bearer {KEY}"}
    assert f"no tokens there (HTTP {status})" in caplog.text
    if form == "sdp":
        assert server.bodies[1] == OFFER.encode()


async def test_a_form_that_is_refused_is_followed_by_the_other():
    places = {("calls", "form-data"): 415, ("calls", "sdp"): 201}
    async with serving(by_kind(places)) as server, client(server.url) as signaling:
        assert not signaling.session_is_unset
        assert (await signaling.call_directly(OFFER, {})).call_id == "rtc_1"
        assert signaling.session_is_unset
    assert kinds(server) == ["form-data", "sdp"]


async def test_a_servers_cookies_are_not_sent_back():
    """Found with random headers: a cookie beyond ASCII made the next request impossible."""

    async def respond(request: web.Request) -> web.Response:
        cookie = {"Set-Cookie": "who=\u00e9; Path=/"}
        return web.Response(status=404, headers=cookie)

    async with serving(respond) as server, client(server.url) as signaling:
        assert await signaling.mint_token({}) == ""
        with pytest.raises(SignalingError):
            await signaling.call_directly(OFFER, {})
    assert len(server.requests) > 1
    assert not any("Cookie" in request.headers for request in server.requests)


async def test_where_nothing_is_at_all_it_is_the_address():
    async with serving(by_kind({})) as server, client(server.url) as signaling:
        assert await signaling.mint_token({}) == ""
        with pytest.raises(SignalingError, match="asking for an ephemeral token failed") as caught:
            await signaling.call_directly(OFFER, {})
    assert "must be the API's root" in caught.value.hint


async def test_an_unknown_model_is_no_missing_place():
    body = json.dumps({"error": {"message": "no such model", "code": "model_not_found"}})
    async with serving(always(status=404, text=body)) as server, client(server.url) as signaling:
        with pytest.raises(SignalingError, match="no such model"):
            await signaling.mint_token({})


@pytest.mark.parametrize("status", [400, 401, 403, 429, 500])
async def test_no_other_refusal_sends_the_key_about(status):
    async with serving(always(status=status)) as server, client(server.url) as signaling:
        with pytest.raises(SignalingError):
            await signaling.mint_token({})
        with pytest.raises(SignalingError):
            await signaling.call_directly(OFFER, {})
    assert kinds(server) == ["json", "form-data"]


@pytest.mark.parametrize("direct", [False, True])
async def test_a_call_to_a_server_that_takes_bare_offers_only(emulator, direct):
    """It starts its own session: what the caller wants is sent once the call is up."""

    async def respond(request: web.Request) -> web.Response:
        if not request.path.endswith("/calls"):
            return web.Response(status=404 if request.path.endswith("/client_secrets") else 200)
        if request.content_type != "application/sdp":
            return web.Response(status=415)
        signaling = Signaling(base_url=emulator.url, credentials=ApiKey(KEY))
        model = {"type": "realtime", "model": "gpt-realtime-2.1"}
        answer = await signaling.call(await request.text(), await signaling.mint_token(model))
        await signaling.aclose()
        return web.Response(status=201, text=answer.sdp, headers={"Location": answer.call_id})

    async with serving(respond) as gateway:
        options = {"voice": "cedar", "instructions": "Be kind.", "direct": direct}
        async with calling(gateway, **options) as call:
            assert call.session.instructions == "Be kind."
            assert call.session.audio.output.voice == "cedar"


@pytest.mark.parametrize(
    ("location", "call_id"),
    [
        ("/v1/realtime/calls/rtc_1", "rtc_1"),
        ("https://api.openai.com/v1/realtime/calls/rtc_1", "rtc_1"),
        ("/v1/realtime/calls/rtc_1/", "rtc_1"),
        ("/v1/realtime/calls/rtc_1?api-version=1", "rtc_1"),
        ("rtc_1", "rtc_1"),
        ("", ""),
        (None, ""),
        ("http://[", "["),
        ("/v1/realtime/calls/..", ""),
        ("/v1/realtime/calls/rtc_1%2f..", "rtc_1%2f.."),
    ],
)
async def test_the_call_id_is_the_last_part_of_the_location(location, call_id):
    headers = {} if location is None else {"Location": location}
    respond = always(status=201, text=ANSWER, headers=headers)
    async with serving(respond) as server, client(server.url) as signaling:
        assert (await signaling.call(OFFER, TOKEN)).call_id == call_id


async def test_token_and_offer_share_one_connection():
    peers = set()

    async def respond(request: web.Request) -> web.Response:
        peers.add(request.transport.get_extra_info("peername"))
        return web.Response(text=json.dumps({"value": TOKEN}))

    async with serving(respond) as server, client(server.url) as signaling:
        token = await signaling.mint_token({})
        await signaling.call(OFFER, token)
    assert len(peers) == 1


# -- hanging up -------------------------------------------------------------------------------


async def test_hanging_up_names_the_call():
    async with serving(always()) as server, client(server.url) as signaling:
        assert signaling.can_hang_up
        await signaling.hang_up("rtc_u2_1")
        await signaling.hang_up("../../x?y#z")
    assert server.requests[0].path == "/v1/realtime/calls/rtc_u2_1/hangup"
    assert server.requests[1].raw_path == "/v1/realtime/calls/..%2F..%2Fx%3Fy%23z/hangup"


async def test_a_call_that_is_over_already_is_hung_up():
    body = json.dumps({"error": {"code": "call_id_not_found", "message": "No such call"}})
    async with serving(always(status=404, text=body)) as server, client(server.url) as signaling:
        await signaling.hang_up("rtc_1")
    assert len(server.requests) == 1


async def test_any_other_failure_to_hang_up_is_told():
    async with serving(always(status=500)) as server, client(server.url) as signaling:
        with pytest.raises(SignalingError, match="hanging up failed: HTTP 500"):
            await signaling.hang_up("rtc_1")


async def test_a_token_cannot_hang_up():
    async with client("http://127.0.0.1:9", TOKEN) as signaling:
        assert not signaling.can_hang_up


# -- refusals ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "host", "told"),
    [
        ("gsk_abcdefghijklmnop", "api.openai.com", True),
        ("eyJhbGciOiJIUzI1NiJ9.x", "eu.api.openai.com", True),
        ("sk-abcdefghijklmnop", "api.openai.com", False),
        ("ek_abcdefghijklmnop", "api.openai.com", False),
        ("gsk_abcdefghijklmnop", "gateway.example.com", False),
        ("0123456789abcdef", "mine.openai.azure.com", False),
        ("0123456789abcdef", "notapi.openai.com", False),
        ("0123456789abcdef", "localhost", False),
    ],
)
def test_a_key_of_another_form_is_told_at_openais_host_alone(key, host, told):
    body = json.dumps({"error": {"code": "invalid_api_key", "message": f"Incorrect: {key}."}})
    error = refused(HttpAnswer(401, {}, body.encode()), "it", (key,), host=host)
    assert ("another provider's" in error.hint) is told
    assert "check the key" in error.hint or told
    assert key not in str(error)


@pytest.mark.parametrize(
    ("status", "code", "hint"),
    [
        (401, "invalid_api_key", "check the key"),
        (401, None, "an ephemeral token lives ten minutes"),
        (403, None, "may not use this model"),
        (404, None, "API's root"),
        (400, "beta_api_shape_disabled", "API's root"),
        (400, "unknown_parameter", "does not know"),
        (400, "model_not_found", "check model="),
        (429, "insufficient_quota", "no credit left"),
        (429, "rate_limit_exceeded", "too many requests"),
        (500, "server_error", "try again"),
        (503, None, "try again"),
        (418, None, ""),
    ],
)
async def test_an_api_error_gives_status_code_request_and_cure(status, code, hint):
    body = json.dumps({"error": {"type": "t", "code": code, "message": "It is so.", "param": None}})
    error = await refusal(always(status=status, text=body, headers={"x-request-id": "req_7"}))
    assert (error.status, error.code, error.request_id) == (status, code, "req_7")
    assert f"HTTP {status}: It is so. [request req_7]" in str(error)
    assert hint in error.hint
    assert bool(hint) == bool(error.hint)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "no explanation given"),
        (b"<html>\n<h1>Bad   gateway</h1>", "<html> <h1>Bad gateway</h1>"),
        (b"\xff\xfe\x00", "\ufffd\ufffd"),
        (b'{"error": "as a text"}', "as a text"),
        (b'{"error": {"message": 7, "code": 8}}', "HTTP 502: 7"),
        (b'{"error": null}', "null"),
        (b'{"error": {"code": "x"}}', '"code": "x"'),
        (b"[1]", "[1]"),
        (b'{"error": "\xff"}', "\ufffd"),
        (b"[" * 20_000, "[[["),
        (b"x" * 100_000, "xxx"),
        (b'{"error": {"message": "' + b"long " * 10_000 + b'"}}', "long long"),
    ],
)
async def test_any_body_of_an_error_is_told_in_short(body, told):
    error = await refusal(always(status=502, body=body))
    assert told in str(error)
    assert error.status == 502
    assert error.code is None
    assert len(str(error)) < 700


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>welcome</html>",
        b"[]",
        b"{}",
        b'{"value": ""}',
        b'{"value": null}',
        b'{"value": 7}',
        b'{"value": "ek_a b"}',
        b'{"value": "ek_a\\r\\nX-Evil: 1"}',
        b'{"value": "\xff"}',
        b'{"client_secret": {"value": "ek_68af296e8e408191a1120ab6383263c2"}}',
    ],
)
async def test_an_answer_without_a_token_is_refused(body):
    error = await refusal(always(body=body, headers={"x-request-id": "req_8"}))
    assert "no ephemeral token" in str(error)
    assert (error.status, error.request_id) == (200, "req_8")
    assert "base_url" in error.hint
    assert TOKEN not in shown(error)


async def test_redirects_are_not_followed():
    async def respond(request: web.Request) -> web.Response:
        return web.Response(status=307, headers={"Location": "/elsewhere"})

    async with serving(respond) as server, client(server.url) as signaling:
        with pytest.raises(SignalingError, match="redirects are not followed") as caught:
            await signaling.mint_token({})
    assert caught.value.status == 307
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [200, 500])
async def test_an_endless_answer_is_not_swallowed(status):
    sent = 0

    async def respond(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse(status=status)
        await response.prepare(request)
        try:
            while sent < 100 * BODY_LIMIT:
                await response.write(b"v=0\r\n" * 20_000)
                sent += 100_000
        except ConnectionError:
            pass
        return response

    async with serving(respond) as server, client(server.url) as signaling:
        with pytest.raises(SignalingError) as caught:
            await signaling.call(OFFER, TOKEN)
    assert ("larger than" in str(caught.value)) == (status == 200)
    assert caught.value.status == status
    assert sent < 20 * BODY_LIMIT  # what the sockets buffer comes on top


@pytest.mark.parametrize("wbits", [31, 15])
async def test_a_compressed_answer_is_unpacked_no_further_than_the_limit(wbits):
    packer = zlib.compressobj(9, zlib.DEFLATED, wbits)
    zeros = bytes(1 << 20)
    bomb = b"".join(packer.compress(zeros) for _ in range(40)) + packer.flush()
    coding = {"Content-Encoding": "gzip" if wbits > 15 else "deflate"}
    async with serving(always(body=bomb, headers=coding)) as server, client(server.url) as asking:
        tracemalloc.start()
        with pytest.raises(SignalingError, match="larger than"):
            await asking.mint_token({})
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert most < 10 * BODY_LIMIT
    assert server.requests[0].headers["Accept-Encoding"] == "identity"


async def test_a_compressed_answer_is_read_all_the_same():
    body = gzip.compress(json.dumps({"value": TOKEN}).encode())
    answer = always(body=body, headers={"Content-Encoding": "gzip"})
    async with serving(answer) as server, client(server.url) as signaling:
        assert await signaling.mint_token({}) == TOKEN


@pytest.mark.parametrize(("coding", "says"), [("br", "compressed by br"), ("gzip", "damaged")])
async def test_a_compression_that_cannot_be_undone(coding, says):
    error = await refusal(always(body=b"zzzz", headers={"Content-Encoding": coding}))
    assert says in str(error)


async def test_a_server_cannot_steer_the_terminal():
    evil = "\x1b]0;pwned\x07\u202e"
    body = json.dumps({"error": {"message": f"wrong {evil}", "code": f"x{evil}"}}).encode()
    head = b"HTTP/1.1 401 No\r\nx-request-id: req\x1b[31m\r\nLocation: /rtc_\x1b[31m\r\n"

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head + b"Content-Length: %d\r\nConnection: close\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server, client(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1") as asked:
        with pytest.raises(SignalingError) as caught:
            await asked.mint_token({})
    error = caught.value
    for text in (str(error), error.hint, error.code, error.request_id):
        assert text is not None
        assert text.isprintable()
    assert (error.code, error.request_id) == ("x]0;pwned", "req[31m")


async def test_an_answer_of_the_allowed_size_is_read_whole():
    text = "v=0\r\n" + "x" * (BODY_LIMIT - 5)
    async with serving(always(status=201, text=text)) as server, client(server.url) as signaling:
        assert (await signaling.call(OFFER, TOKEN)).sdp == text


async def test_an_answer_that_is_no_utf8_is_still_text():
    async with (
        serving(always(body=b"v=0\r\ns=\xff\r\n")) as server,
        client(server.url) as signaling,
    ):
        assert (await signaling.call(OFFER, TOKEN)).sdp == "v=0\r\ns=\ufffd\r\n"


# -- no answer at all -------------------------------------------------------------------------


async def test_an_unreachable_port_is_named_and_the_emulator_offered():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{unused.getsockname()[1]}"
        async with client(f"http://{host}/v1") as signaling:
            with pytest.raises(SignalingError, match=f"cannot talk to {host}") as caught:
                await signaling.mint_token({})
    assert caught.value.status is None
    assert "python -m rtcvoice emulator" in caught.value.hint


@asynccontextmanager
async def rude(reply: bytes) -> AsyncIterator[str]:
    """Serve a server that says `reply` to anything and closes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(reply)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"SSH-2.0-OpenSSH_9\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nv=0",
        b"\x00" * 99,
    ],
)
async def test_a_server_that_breaks_off_is_a_signaling_error(reply):
    async with rude(reply) as url, client(url) as signaling:
        with pytest.raises(SignalingError, match="offering the call failed") as caught:
            await signaling.call(OFFER, TOKEN)
    assert caught.value.status is None
    assert caught.value.__cause__ is not None


async def test_a_certificate_that_is_not_trusted_is_called_so(tmp_path):
    tls = server_context(self_signed(tmp_path))
    async with serving(always(), tls=tls) as server, client(server.url) as signaling:
        with pytest.raises(SignalingError, match=r"certificate is not trusted.*SSL_CERT_FILE"):
            await signaling.mint_token({})
    assert server.requests == []


@pytest.mark.parametrize("proxy", ["nonsense://proxy:1", "socks5://proxy:1"])
def test_a_proxy_that_cannot_be_used_is_a_matter_of_configuration(proxy, monkeypatch):
    monkeypatch.setitem(sys.modules, "socksio", None)  # not installed
    monkeypatch.setenv("ALL_PROXY", proxy)
    with pytest.raises(ConfigError, match="ALL_PROXY"):
        Signaling(base_url="http://example.invalid/v1", credentials=ApiKey(KEY))


async def test_no_proxy_comes_between_this_machine_and_itself(monkeypatch):
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    async with serving(always(text=ANSWER)) as server, client(server.url) as signaling:
        assert (await signaling.call(OFFER, TOKEN)).sdp == ANSWER


async def test_closing_twice_is_closing_once():
    async with client("http://127.0.0.1:9") as signaling:
        await signaling.aclose()


async def test_a_request_can_be_cancelled():
    arrived = asyncio.Event()

    async def respond(request: web.Request) -> web.Response:
        arrived.set()
        await asyncio.Event().wait()
        raise AssertionError

    async with serving(respond) as server, client(server.url) as signaling:
        task = asyncio.create_task(signaling.mint_token({}))
        await arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


@pytest.mark.parametrize(
    ("url", "loopback"),
    [
        ("http://127.0.0.1:8080/v1", True),
        ("http://127.1.2.3", True),
        ("http://localhost:1/v1", True),
        ("http://LOCALHOST", True),
        ("http://[::1]:8080", True),
        ("http://127.0.0.1.evil.example/v1", False),
        ("http://127.example", False),
        ("http://localhost.example", False),
        ("http://10.0.0.1", False),
        ("https://api.openai.com/v1", False),
    ],
)
def test_what_counts_as_this_machine(url, loopback):
    assert is_loopback(url) is loopback


# -- secrets ----------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [KEY, ODD_KEY])
@pytest.mark.parametrize("status", [200, 401, 500])
@pytest.mark.parametrize("wrap", ["{}", '{{"error": {{"message": "{}", "code": "c"}}}}', "x{}x"])
async def test_a_key_that_the_server_repeats_is_not_shown(key, status, wrap):
    echo = wrap.format("Incorrect API key provided: " + key)
    error = await refusal(always(status=status, text=echo), key)
    assert key not in shown(error)
    assert "***" in str(error)


async def test_keys_and_tokens_are_in_no_log_at_any_level(caplog):
    caplog.set_level(logging.DEBUG)
    for name in ("rtcvoice", "httpx", "httpcore"):
        caplog.set_level(logging.DEBUG, logger=name)
    body = json.dumps({"value": TOKEN})
    async with serving(always(text=body)) as server:
        async with client(server.url) as signaling:
            await signaling.call(OFFER, await signaling.mint_token({}))
            await signaling.call_directly(OFFER, {})
            await signaling.hang_up("rtc_1")
        async with client("http://127.0.0.1:9") as signaling:
            with pytest.raises(RtcVoiceError):
                await signaling.mint_token({})
    heads = {record.name.split(".")[0] for record in caplog.records}
    assert heads >= {"rtcvoice", "httpx", "httpcore"}
    for record in caplog.records:
        text = f"{record.getMessage()} {record.args!r}"
        assert KEY not in text
        assert TOKEN not in text


async def test_the_client_itself_shows_no_key():
    async with client("http://127.0.0.1:9") as signaling:
        assert KEY not in repr(signaling)
        assert KEY not in repr(vars(signaling))


# -- whatever a server sends ------------------------------------------------------------------

GOOD = json.dumps({"value": TOKEN}).encode()


def raw(body: bytes, *headers: bytes, status: bytes = b"200 OK") -> bytes:
    length = b"Content-Length: %d" % len(body)
    return b"\r\n".join((b"HTTP/1.1 " + status, length, *headers, b"", body))


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\0\xff" * 2000 + b"\r\n\r\n",
        b"HTTP/1.1 9999 X\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 300_000 + b"\r\n\r\n",
        b"HTTP/1.1 101 Switch\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        raw(b"[" * 500_000),
        raw(b'{"value":"ek_12\\u001b34"}'),
        raw(b'{"value":"ek_\\ud800"}'),
        raw(b'{"value":"' + b"a" * 500_000 + b'"}'),
        raw(b'{"error":{"message":{"a":1},"code":["x"],"param":{"a":1}}}', status=b"400 X"),
        raw(b"", b"Retry-After: \xc2\xb2", status=b"429 X"),
        raw(b"", status=b"500 \x1b[31mevil"),
        raw(gzip.compress(gzip.compress(GOOD)), b"Content-Encoding: gzip, gzip"),
    ],
    ids=lambda answer: repr(answer[:30]),
)
async def test_odd_answers_are_errors_of_one_line(answer):
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server, client(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1") as asked:
        with pytest.raises(SignalingError) as caught:
            await asked.mint_token({})
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 900
    assert KEY not in str(caught.value)


async def test_a_mark_before_the_json_is_passed_over():
    async with serving(always(body=b"\xef\xbb\xbf" + GOOD)) as server, client(server.url) as asked:
        assert await asked.mint_token({}) == TOKEN
