"""Whom the emulator answers: this machine's programs and pages, no page from elsewhere."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest
from live import KEY, BentEmulator, calling, hold
from rest_helpers import CALLS, OFFER, SDP, SECRETS, bearer, error

from rtcvoice.emulator import Emulator
from rtcvoice.emulator.rest import body
from rtcvoice.emulator.rest.body import RestError
from rtcvoice.emulator.rest.guard import Guard
from rtcvoice.emulator.session.ids import checked_call_id
from rtcvoice.errors import ConfigError, SignalingError

pytestmark = pytest.mark.usefixtures("no_stray_errors")


def taken(host="127.0.0.1:8080", origin=None, **options):
    try:
        Guard(**options).check(host, origin)
    except RestError as exc:
        return exc.code
    return "taken"


@pytest.mark.parametrize(
    ("host", "code"),
    [
        ("localhost:8080", "taken"),
        ("LOCALHOST", "taken"),
        ("[::1]:8080", "taken"),
        ("192.168.1.7:8080", "taken"),  # an address is nobody's to point elsewhere
        ("emulator:8080", "taken"),  # a container's name has no dot; no public name is so short
        ("app.localhost:8080", "taken"),
        ("evil.example:8080", "host_not_allowed"),
        ("127.0.0.1.evil.example", "host_not_allowed"),
        ("localhost.evil.example", "host_not_allowed"),
        ("", "host_not_allowed"),
        ("[::1", "host_not_allowed"),
    ],
)
def test_a_name_that_others_can_point_to_this_machine_is_not_ours(host, code):
    assert taken(host) == code


@pytest.mark.parametrize(
    ("origin", "code"),
    [
        ("http://localhost:3000", "taken"),
        ("https://127.0.0.1:3000", "taken"),
        ("http://[::1]", "taken"),
        ("https://evil.example", "origin_not_allowed"),
        ("http://localhost.evil.example", "origin_not_allowed"),
        ("http://192.168.1.7", "origin_not_allowed"),
        ("file://localhost", "origin_not_allowed"),
        ("null", "origin_not_allowed"),
        ("", "origin_not_allowed"),
        ("http://[", "origin_not_allowed"),
    ],
)
def test_pages_of_this_machine_may_ask_and_no_others(origin, code):
    assert taken(origin=origin) == code


def test_other_pages_may_when_they_are_named():
    origins = ["https://shop.example/"]
    assert taken(origin="https://shop.example", origins=origins) == "taken"
    assert taken(origin="http://shop.example", origins=origins) == "origin_not_allowed"
    assert taken("shop.example:8080", origins=origins) == "taken"
    assert taken("evil.example", "https://evil.example", origins=["*"]) == "taken"
    for wrong in ("shop.example", "https://shop.example/path", "ftp://x", 3, "http://x:y"):
        with pytest.raises(ConfigError, match="origin"):
            Emulator(origins=[wrong])


async def test_over_http_a_foreign_page_gets_nothing_and_a_page_of_ours_all():
    async with Emulator() as server, aiohttp.ClientSession() as http:
        root = server.url.removesuffix("/v1")

        async def ask(path=SECRETS, method="POST", **headers):
            return await http.request(method, root + path, headers=headers | bearer(KEY))

        await error(await ask(Origin="https://evil.example"), 403, "origin_not_allowed")
        await error(await ask(Host="evil.example"), 403, "host_not_allowed")
        refused = await ask(method="OPTIONS", Origin="https://evil.example")
        assert refused.status == 403
        assert "Access-Control-Allow-Origin" not in refused.headers
        ours = await ask(Origin="http://localhost:3000")
        assert ours.status == 200
        assert ours.headers["Access-Control-Allow-Origin"] == "http://localhost:3000"
        assert ours.headers["Vary"] == "Origin"
        assert "Access-Control-Allow-Origin" not in (await ask()).headers

        upgrade = "/v1/realtime?call_id=rtc_any"
        for headers in ({"Origin": "https://evil.example"}, {"Host": "evil.example"}):
            with pytest.raises(aiohttp.WSServerHandshakeError) as raised:
                await http.ws_connect(root + upgrade, headers=headers | bearer(KEY))
            assert raised.value.status == 403

        for name in ("..%2F..%2Fetc", "%2e%2e", "rtc_x%00"):
            gone = await ask(f"{CALLS}/{name}/hangup")
            assert gone.status == 404


async def test_more_calls_than_may_run_are_refused_and_a_hang_up_makes_room():
    async with BentEmulator(most_calls=1) as server:
        async with calling(server):
            with pytest.raises(SignalingError, match="1 calls run already") as raised:
                await hold(server)
            assert raised.value.status == 429
        await server.end_calls()
        await hold(server)
    for wrong in (0, -1, "many", None):
        with pytest.raises(ConfigError, match="most_calls"):
            Emulator(most_calls=wrong)


async def test_a_body_that_does_not_come_is_waited_for_no_longer_than_the_limit(monkeypatch):
    monkeypatch.setattr(body, "BODY_TIMEOUT", 0.05)

    async def slowly(first):
        yield first
        await asyncio.Event().wait()

    form = {"Content-Type": "multipart/form-data; boundary=x"}
    async with Emulator() as server, aiohttp.ClientSession() as http:
        for path, headers, first in (
            ("/realtime/client_secrets", {"Content-Type": "application/json"}, b"{"),
            ("/realtime/calls", SDP, OFFER.encode()),
            ("/realtime/calls", form, b"--x\r\n"),
        ):
            response = await http.post(
                server.url + path, data=slowly(first), headers=headers | bearer(KEY)
            )
            await error(response, 408, None)


async def test_a_form_of_very_many_parts_is_not_read_to_its_end():
    part = b'--x\r\nContent-Disposition: form-data; name="sdp"\r\n\r\nv=0\r\n'
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    async with Emulator() as server, aiohttp.ClientSession() as http:
        response = await http.post(
            server.url + "/realtime/calls", data=part * 2000, headers=headers | bearer(KEY)
        )
        await error(response, 400, None)


def test_only_an_id_becomes_the_name_of_a_folder():
    assert checked_call_id("rtc_u2_abc") == "rtc_u2_abc"
    for wrong in ("", "..", "a/b", "a\\b", "/etc", "a\n", "x" * 101):
        with pytest.raises(ValueError, match="not an id"):
            checked_call_id(wrong)
