"""The doors of a `CallServer`: who is let in, before anybody is paid; what an enemy sends."""

from __future__ import annotations

import asyncio
import io
import json
import ssl
import subprocess
from functools import partial

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from call_page import SDP, page_of
from live import KEY

import rtcvoice
from rtcvoice.call_server import offers
from rtcvoice.call_server.callers import Callers
from rtcvoice.call_server.http import Refusal
from rtcvoice.rest.signaling import Signaling

pytestmark = pytest.mark.usefixtures("no_stray_errors")

OFFER = (
    "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n"
    "c=IN IP4 0.0.0.0\r\na=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuv\r\n"
    "a=fingerprint:sha-256 00:11\r\na=mid:0\r\n"
)


class Provider:
    """A service that refuses every call, and remembers what it was asked."""

    def __init__(self):
        self.asked = []
        app = web.Application()
        app.router.add_route("*", "/{rest:.*}", self._answer)
        self.server = TestServer(app)

    async def _answer(self, request):
        self.asked.append((request.path, request.headers.copy(), await request.text()))
        error = {"message": f"no more for {KEY}", "type": "x", "code": "insufficient_quota"}
        return web.json_response({"error": error}, status=429)

    async def __aenter__(self):
        await self.server.start_server()
        self.url = str(self.server.make_url("/v1"))
        return self

    async def __aexit__(self, *exc):
        await self.server.close()


def serving(provider, **options):
    given = {"callers": rtcvoice.CallerLimits(calls_per_minute=100, at_once=100), **options}
    return rtcvoice.CallServer(api_key=KEY, base_url=provider.url, **given)


async def ask(url, *, data=OFFER, **headers):
    """Ask for a call; return the status and the code of the error."""
    if isinstance(data, str | bytes):
        data = io.BytesIO(data.encode() if isinstance(data, str) else data)
    headers = SDP | {name.replace("_", "-"): value for name, value in headers.items()}
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{url}call", data=data, headers=headers) as answer,
    ):
        text = await answer.text()
        assert KEY not in text
        return answer.status, json.loads(text)["error"]["code"]


EVIL = [
    ({"Origin": "https://evil.example"}, OFFER, 403),
    ({"Origin": "null"}, OFFER, 403),
    ({"Sec_Fetch_Site": "cross-site"}, OFFER, 403),
    ({"Host": "evil.example"}, OFFER, 421),
    ({"Host": "127.0.0.1.evil.example:80"}, OFFER, 421),
    ({"Host": "[::1"}, OFFER, 421),
    ({}, "v=0\r\n" + "a=x\r\n" * 250_000, 413),
    ({}, "garbage", 400),
    ({}, "", 400),
    ({}, OFFER.strip(), 400),
    ({}, OFFER.replace("audio", "video"), 400),
    ({}, OFFER.replace("a=mid:0", "a=mid:0\x00"), 400),
    ({}, OFFER.encode() + b"a=\xff\xfe\r\n", 400),
    ({}, OFFER + "a=x\r\n" * 3000, 400),
    ({"Content_Type": "text/plain"}, OFFER, 415),
    ({"Content_Type": "application/json"}, "{}", 415),
]


@pytest.mark.parametrize(("headers", "data", "status"), EVIL)
async def test_what_is_evil_is_refused_before_anybody_is_asked(headers, data, status):
    async with Provider() as provider, serving(provider) as server:
        assert (await ask(server.url, data=data, **headers))[0] == status
        assert provider.asked == []


async def test_a_slow_body_is_given_up(monkeypatch):
    monkeypatch.setattr(offers, "BODY_TIMEOUT", 0.05)
    waits = asyncio.Event()

    async def slowly():
        yield OFFER[:50].encode()
        await waits.wait()

    async with Provider() as provider, serving(provider) as server:
        assert await ask(server.url, data=slowly()) == (408, "too_slow")
        assert provider.asked == []
    waits.set()


async def test_what_goes_to_the_provider_is_ours_alone():
    async with Provider() as provider, serving(provider, instructions="Be brief.") as server:
        evil = {
            "Cookie": "session=secret",
            "Authorization": "Bearer mine",
            "OpenAI_Safety_Identifier": "forged",
            "OpenAI_Organization": "forged",
            "X_Forwarded_For": "192.0.2.1",
            "User_Agent": "page",
        }
        assert await ask(server.url, **evil) == (429, "insufficient_quota")
        (path, headers, body) = provider.asked[0]
        assert path == "/v1/realtime/calls"
        assert headers["Authorization"] == f"Bearer {KEY}"
        assert "forged" not in str(headers)
        assert "secret" not in str(headers)
        assert headers["User-Agent"] == "rtcvoice"
        assert len(headers["OpenAI-Safety-Identifier"]) == 32
        assert "Be brief." in body
        assert OFFER in body


@pytest.mark.parametrize("path", ["call/forged", "call/../call/x", "call//bye", "call/x/bye"])
async def test_forged_handles_are_no_calls(path):
    async with Provider() as provider, serving(provider) as server, aiohttp.ClientSession() as http:
        assert (await http.delete(server.url + path)).status == 404
        assert (await http.post(server.url + path)).status in (404, 405)
        with pytest.raises(aiohttp.WSServerHandshakeError) as raised:
            await http.ws_connect(f"{server.url}{path}/events")
        assert raised.value.status == 404
        headers = {"Origin": "https://evil.example"}
        with pytest.raises(aiohttp.WSServerHandshakeError) as raised:
            await http.ws_connect(f"{server.url}{path}/events", headers=headers)
        assert raised.value.status == 403


async def test_a_page_of_another_site_that_is_let_in():
    async with Provider() as provider, serving(provider, origins=["https://app.example"]) as server:
        origin = {"Origin": "https://app.example"}
        async with aiohttp.ClientSession() as http:
            asked = {"Access-Control-Request-Method": "POST", **origin}
            async with http.options(f"{server.url}call", headers=asked) as answer:
                assert answer.status == 204
                assert answer.headers["Access-Control-Allow-Origin"] == origin["Origin"]
                assert "Location" in answer.headers["Access-Control-Expose-Headers"]
            async with http.options(f"{server.url}call", headers={"Origin": "http://x"}) as answer:
                assert answer.status == 403
                assert "Access-Control-Allow-Origin" not in answer.headers
        assert (await ask(server.url, **origin))[0] == 429
        assert len(provider.asked) == 1


async def test_where_only_tokens_are_taken_one_is_made_for_the_call(emulator):
    """As on Azure, whose `/calls` refuses keys."""
    signaling = Signaling(base_url=emulator.url, credentials=rtcvoice.ApiKey(KEY))
    signaling._azure = True
    sent = []
    signaling._offered = partial(_noted, sent, signaling._offered)
    async with page_of("http://unused/") as page:
        session = {"type": "realtime", "instructions": "Be brief."}
        answer = await signaling.call_for(
            await page.offer(), session, {"OpenAI-Safety-Identifier": "a"}
        )
        assert answer.call_id in emulator.calls
    assert sent[0].value.startswith("ek_")
    await signaling.hang_up(answer.call_id)
    await signaling.aclose()


async def _noted(sent, offered, offer, shown, named={}):  # noqa: B006
    sent.append(shown)
    return await offered(offer, shown, named)


async def test_who_calls_is_found_out_by_the_users_own_function():
    async def who(request):
        assert request.path == "/call"
        name = request.headers.get("authorization")
        if name == "broken":
            raise RuntimeError("sk-secret")
        return name

    async with Provider() as provider, serving(provider, authenticate=who) as server:
        assert await ask(server.url) == (401, "unauthorized")
        assert await ask(server.url, Authorization="broken") == (500, "server_error")
        assert provider.asked == []
        await ask(server.url, Authorization="ann")
        await ask(server.url, Authorization="ben")
        await ask(server.url, Authorization="ann")
        names = [headers["OpenAI-Safety-Identifier"] for _, headers, _ in provider.asked]
        assert (names[0], names[0] == names[1]) == (names[2], False)


async def test_too_many_calls_are_refused_before_they_are_paid_for(emulator):
    callers = rtcvoice.CallerLimits(calls_per_minute=3, at_once=1)
    async with (
        rtcvoice.CallServer(api_key=KEY, base_url=emulator.url, callers=callers) as server,
        page_of(server.url) as page,
    ):
        assert await page.call() == 201
        assert await ask(server.url) == (429, "too_many_calls")
        assert await ask(server.url, data="x") == (400, "invalid_offer")
        assert await ask(server.url) == (429, "rate_limit_exceeded")
        assert len(emulator.calls) == 1


def test_what_a_caller_may_use_in_a_day():
    limits = rtcvoice.CallerLimits(calls_per_minute=100, at_once=2, seconds=100, cost=1.0)
    callers = Callers(limits, most_calls=3)
    first = callers.admit("ann", 0.0)
    first.meter = lambda: 0.4
    assert callers.left(first, 0.0) == (100, 1.0)
    callers.end(first, 60.0)
    callers.end(first, 90.0)
    second = callers.admit("ann", 60.0)
    assert callers.left(second, 60.0) == (40, 0.6)
    second.meter = lambda: 0.7
    with pytest.raises(Refusal, match="cost"):
        callers.admit("ann", 70.0)
    second.meter = lambda: None  # its price is not known
    with pytest.raises(Refusal, match="time"):
        callers.admit("ann", 101.0)
    for caller in ("ben", "cid"):
        callers.admit(caller, 101.0)
    with pytest.raises(Refusal, match="busy"):
        callers.admit("dan", 101.0)
    callers.end(second, 102.0)
    assert callers.running == 2
    callers.admit("ann", 24 * 3600.0 + 61)  # the first call is over a day old


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"host": "0.0.0.0"}, "HTTPS"),
        ({"host": "0.0.0.0", "behind_proxy": True}, "at your expense"),
        ({"public_hosts": ["talk.example"]}, "at your expense"),
        ({"origins": ["*"]}, "every page of the web"),
        ({"origins": ["app.example"]}, "origin of no page"),
        ({"agent": print}, "async function"),
        ({"foreign": "ignore"}, "foreign="),
        ({"cert": "nothing.pem"}, "cannot be used"),
        ({"key": "key.pem"}, "without cert"),
        ({"port": 70000}, "port"),
        ({"most_calls": 0}, "most_calls"),
        ({"limits": None}, "limits="),
        ({"authenticate": "ann"}, "not a function"),
        ({"credentials": rtcvoice.EphemeralToken("ek_1"), "api_key": None}, "API key itself"),
        ({"turn_detectoin": None}, "turn_detectoin"),
    ],
)
def test_what_cannot_work_is_told_at_once(options, told):
    with pytest.raises(rtcvoice.RtcVoiceError, match=told):
        rtcvoice.CallServer(**{"api_key": KEY, **options})


@pytest.fixture
def files(tmp_path):
    """A certificate that a machine made for itself."""
    files = {"cert": tmp_path / "cert.pem", "key": tmp_path / "key.pem"}
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-subj", "/CN=localhost", "-out", files["cert"], "-keyout", files["key"]]
    subprocess.run(command, check=True, capture_output=True)
    return files


async def test_https(files):
    trusting = ssl.create_default_context(cafile=files["cert"])
    trusting.check_hostname = False
    async with Provider() as provider, serving(provider, **files) as server:
        assert server.url.startswith("https://")
        async with (
            aiohttp.ClientSession() as http,
            http.get(server.url, ssl=trusting) as answer,
        ):
            assert answer.status == 200


async def test_who_follows_a_link_sees_the_page_and_who_came_by_a_wrong_name_is_told_why():
    link = {
        "Sec-Fetch-Site": "cross-site",
        "Sec-Fetch-Mode": "navigate",
        "Sec-Fetch-Dest": "document",
    }
    async with Provider() as provider, serving(provider) as server, aiohttp.ClientSession() as http:
        async with http.get(server.url, headers=link) as answer:
            assert answer.status == 200
        async with http.get(server.url, headers={"Host": "talk.example"}) as answer:
            assert (answer.status, answer.content_type) == (421, "text/plain")
            assert "--public-host" in await answer.text()
        async with http.get(f"{server.url}options", headers=link) as answer:
            assert answer.status == 403
