"""HTTP over networks as they are: proxies, own CAs, broken encryption, token URLs; and Azure."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import ssl
from contextlib import asynccontextmanager

import aiohttp
import httpx
import pytest
from aiohttp import web
from certificates import self_signed, server_context, signed_by_a_lax_ca
from deadlines import too_late_in
from live import KEY, BentEmulator, calling
from test_signaling import TOKEN, always, serving

from rtcvoice import (
    ApiKeyFile,
    AzureApiKey,
    ConfigError,
    CredentialsError,
    EntraToken,
    SignalingError,
    TokenUrl,
    TransportError,
)
from rtcvoice.emulator import AnswerShape
from rtcvoice.rest import client as rest
from rtcvoice.rest.client import tls_context
from rtcvoice.rest.credentials import ApiKey, EphemeralToken, credentials_from
from rtcvoice.rest.signaling import Signaling, fetch_token


async def failure(url, **options):
    """Ask `url` for a token; return the error that comes of it."""
    signaling = Signaling(base_url=url, credentials=ApiKey(KEY), **options)
    try:
        with pytest.raises(SignalingError) as caught:
            await signaling.mint_token({})
    finally:
        await signaling.aclose()
    assert caught.value.hint
    return caught.value


# -- encryption -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("certificate", "told", "cure"),
    [
        ({}, "its certificate is not trusted", "ca_file="),
        ({"days": (-9, -1)}, "its certificate has expired", "clock"),
        ({"days": (1, 9)}, "its certificate is not valid yet", "clock"),
        ({"name": "elsewhere.example"}, "its certificate is for another", "host name"),
    ],
)
async def test_certificates_that_do_not_fit(tmp_path, certificate, told, cure):
    path = self_signed(tmp_path, **certificate)
    trusted = {"ca_file": path} if certificate else {}
    async with serving(always(), tls=server_context(path)) as server:
        error = await failure(server.url, **trusted)
    assert told in str(error)
    assert cure in error.hint
    assert server.requests == []


async def test_a_ca_of_ones_own(tmp_path):
    path = self_signed(tmp_path)
    body = json.dumps({"value": TOKEN})
    async with serving(always(text=body), tls=server_context(path)) as server:
        signaling = Signaling(base_url=server.url, credentials=ApiKey(KEY), ca_file=path)
        assert await signaling.mint_token({}) == TOKEN
        await signaling.aclose()


async def test_a_certificate_that_python_is_strict_about(tmp_path):
    ca, path = signed_by_a_lax_ca(tmp_path)
    tls_context(ca).verify_flags |= ssl.VERIFY_X509_STRICT  # as Python 3.13 does by itself
    async with serving(always(), tls=server_context(path)) as server:
        error = await failure(server.url, ca_file=ca)
    assert "is not trusted" in str(error)
    assert "RFC 5280" in error.hint
    assert "can name your own CA" not in error.hint  # it does already


async def test_a_ca_from_the_environment(tmp_path, monkeypatch):
    path = self_signed(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    assert isinstance(tls_context(path), ssl.SSLContext)
    context = httpx.create_ssl_context()
    assert len(context.get_ca_certs()) == 1


@pytest.mark.parametrize("text", [None, "", "no certificate"])
def test_a_ca_file_that_is_none(tmp_path, text):
    path = tmp_path / "ca.pem"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match=r"ca_file .*cannot be used") as caught:
        Signaling(base_url="https://x.invalid/v1", credentials=ApiKey(KEY), ca_file=path)
    assert "BEGIN CERTIFICATE" in caught.value.hint


@pytest.mark.parametrize("text", [None, "no certificate"])
def test_certificates_of_the_environment_that_are_none(tmp_path, monkeypatch, text):
    path = tmp_path / "ca.pem"
    if text is not None:
        path.write_text(text)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    monkeypatch.setattr(rest, "_default_context", rest._default_context.__wrapped__)
    (tmp_path / "good").mkdir()
    for ca_file in (None, self_signed(tmp_path / "good")):
        with pytest.raises(ConfigError, match="certificates to trust cannot be read") as caught:
            tls_context(ca_file)
        assert "SSL_CERT_FILE" in caught.value.hint


@pytest.mark.parametrize("name", ["a\0b", "x" * 5000])
def test_a_ca_file_with_an_odd_name(name):
    with pytest.raises(ConfigError, match="cannot be used"):
        tls_context(name)


async def test_a_server_without_tls():
    async with serving(always()) as server:
        error = await failure(server.url.replace("http:", "https:"))
    assert "it does not speak TLS there" in str(error)
    assert "http://" in error.hint


@asynccontextmanager
async def listening(reply):
    """Serve a server that answers anything with `reply`, encrypted or not, and closes."""

    async def serve(reader, writer):
        await reader.read(1)
        writer.write(reply)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.parametrize("reply", [b"", b"\x15\x03\x03\x00\x02\x02\x28", b"\x00" * 300])
async def test_a_handshake_that_is_cut_off(reply):
    async with listening(reply) as port:
        error = await failure(f"https://127.0.0.1:{port}/v1")
    assert error.status is None
    assert "cannot talk to" in str(error)


# -- nobody there -----------------------------------------------------------------------------


async def test_a_host_that_does_not_exist():
    error = await failure("https://no-such-host.invalid/v1")
    assert "there is no such host" in str(error)
    assert "DNS" in error.hint


async def test_a_port_where_nobody_listens():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        error = await failure(f"https://127.0.0.1:{closed.getsockname()[1]}/v1")
    assert "connection refused" in str(error)


async def test_plain_http_to_elsewhere_is_told_once(caplog, monkeypatch):
    monkeypatch.setattr("rtcvoice.rest.client._unencrypted", set())
    for _ in range(3):
        await failure("http://no-such-host.invalid/v1")
    told = "keys and tokens travel unencrypted to no-such-host.invalid"
    assert caplog.text.count(told) == 1


# -- too much ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "headers", "cure"),
    [
        ("rate_limit_exceeded", {"Retry-After": "7"}, "try again in 7 s"),
        ("rate_limit_exceeded", {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}, "wait a little"),
        ("rate_limit_exceeded", {"Retry-After": "9" * 50}, "wait a little"),
        ("insufficient_quota", {"Retry-After": "7"}, "no credit left"),
        ("billing_hard_limit_reached", {}, "spending limit"),
        (None, {}, "wait, or see the provider's limits page"),
    ],
)
async def test_quota_is_not_a_rate_limit(code, headers, cure):
    body = json.dumps({"error": {"message": "No.", "code": code}})
    async with serving(always(status=429, text=body, headers=headers)) as server:
        error = await failure(server.url)
    assert error.code == code
    assert cure in error.hint


# -- proxies ----------------------------------------------------------------------------------


class Proxy:
    """An HTTP proxy that notes what it is asked, and refuses or carries it out."""

    def __init__(self, port, asked):
        self.url, self.asked = f"http://me:hunter2@127.0.0.1:{port}", asked


@asynccontextmanager
async def proxy(status):
    asked = []

    async def serve(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        asked.append(head.decode())
        body = json.dumps({"value": TOKEN})
        length = f"Content-Length: {len(body)}\r\n"
        writer.write(f"HTTP/1.1 {status}\r\n{length}Connection: close\r\n\r\n{body}".encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield Proxy(server.sockets[0].getsockname()[1], asked)


async def test_requests_go_through_the_proxy():
    async with proxy("200 OK") as through:
        signaling = Signaling(
            base_url="http://api.example/v1", credentials=ApiKey(KEY), proxy=through.url
        )
        assert await signaling.mint_token({}) == TOKEN
        await signaling.aclose()
    (head,) = through.asked
    assert head.startswith("POST http://api.example/v1/realtime/client_secrets ")
    assert "Proxy-Authorization: Basic" in head


async def test_the_proxy_of_the_environment(monkeypatch):
    async with proxy("200 OK") as through:
        monkeypatch.setenv("HTTP_PROXY", through.url)
        monkeypatch.setenv("http_proxy", through.url)
        signaling = Signaling(base_url="http://api.example/v1", credentials=ApiKey(KEY))
        assert await signaling.mint_token({}) == TOKEN
        await signaling.aclose()
    assert len(through.asked) == 1


async def test_a_proxy_that_wants_a_password():
    async with proxy("407 Proxy Authentication Required") as through:
        error = await failure("https://api.example/v1", proxy=through.url)
    assert "407" in str(error)
    assert "the proxy wants a name and password" in error.hint
    assert "hunter2" not in str(error)


async def test_a_proxy_that_is_not_there():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        where = f"127.0.0.1:{closed.getsockname()[1]}"
        error = await failure("https://api.example/v1", proxy=f"http://me:hunter2@{where}")
    assert f"go through the proxy {where}: is it right?" in error.hint
    assert "hunter2" not in str(error)


@pytest.mark.parametrize("url", ["nonsense://me:hunter2@proxy", "proxy:", "http://[", 7])
def test_a_proxy_that_cannot_be_one(url):
    with pytest.raises(ConfigError, match="correct proxy=") as caught:
        Signaling(base_url="http://api.example/v1", credentials=ApiKey(KEY), proxy=url)
    assert "hunter2" not in str(caught.value)


# -- token URLs -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        json.dumps({"value": TOKEN, "expires_at": 1}),
        json.dumps({"token": TOKEN}),
        json.dumps({"client_secret": {"value": TOKEN}}),
        json.dumps({"client_secret": TOKEN}),
        json.dumps(TOKEN),
        f" {TOKEN}\n",
    ],
)
async def test_tokens_in_many_wrappings(body):
    async with serving(always(text=body)) as server:
        assert await fetch_token(TokenUrl(server.url)) == EphemeralToken(TOKEN)


async def test_what_a_token_url_is_asked():
    async with serving(always(text=TOKEN)) as server:
        source = TokenUrl(f"{server.url}?app=1", headers={"Cookie": "a=b"}, body={"voice": "ash"})
        await fetch_token(source)
        await fetch_token(TokenUrl(server.url, method="GET"))
    post, get = server.requests
    assert (post.method, post.query_string, post.headers["Cookie"]) == ("POST", "app=1", "a=b")
    assert json.loads(server.bodies[0]) == {"voice": "ash"}
    assert (get.method, server.bodies[1]) == ("GET", b"")


@pytest.mark.parametrize(
    ("respond", "told", "cure"),
    [
        (always(text="<html>"), "holds no ephemeral token", "must answer with the token"),
        (always(text=""), "holds no ephemeral token", "must answer with the token"),
        (always(text='{"value": null}'), "holds no ephemeral token", "must answer with the token"),
        (always(text='{"token": 7}'), "holds no ephemeral token", "must answer with the token"),
        (always(text="x" * 99), "holds no ephemeral token", "must answer with the token"),
        (always(text='{"token": "sk-proj-1234"}'), "an API key instead", "stay on the server"),
        (always(text="sk-proj-1234"), "hands out an API key instead", "stay on the server"),
        (always(status=401, text="who are you, hunter2?"), "HTTP 401", "headers= of TokenUrl"),
        (always(status=405), "HTTP 405", 'method="GET"'),
        (always(status=302, headers={"Location": "/login"}), "HTTP 302", "not followed"),
        (always(status=500), "HTTP 500", "try again"),
    ],
)
async def test_a_token_url_without_a_token(respond, told, cure):
    async with serving(respond) as server:
        source = TokenUrl(f"{server.url}?secret=hunter2", headers={"X-Login": "hunter2"})
        with pytest.raises(SignalingError, match=re.escape(told)) as caught:
            await fetch_token(source)
    assert cure in caught.value.hint
    assert "hunter2" not in str(caught.value)
    assert "proj-1234" not in str(caught.value)


async def test_a_token_server_that_is_not_running():
    with pytest.raises(SignalingError, match="is the token server running") as caught:
        await fetch_token(TokenUrl("http://127.0.0.1:9/token"))
    assert "python -m rtcvoice token-server" in caught.value.hint


async def test_a_token_server_that_never_answers(emulator):
    asked, over = asyncio.Event(), asyncio.Event()

    async def hang(request):
        asked.set()
        await over.wait()
        return web.Response()

    async with serving(hang) as server:
        with (
            too_late_in("token", once=asked.is_set) as timeout,
            pytest.raises(TransportError, match="token server at") as caught,
        ):
            async with calling(emulator, credentials=TokenUrl(server.url), connect_timeout=timeout):
                pass
        over.set()
    assert caught.value.stage == "token"


async def test_an_async_function_is_asked_for_every_call(emulator):
    asked = []

    async def mint():
        asked.append(1)
        async with httpx.AsyncClient(trust_env=False) as http:
            response = await http.post(
                f"{emulator.url}/realtime/client_secrets",
                json={"session": {"type": "realtime", "instructions": "Be kind."}},
                headers={"Authorization": f"Bearer {KEY}"},
            )
        return response.json()["value"]

    for voice in ("ash", "cedar"):
        async with calling(emulator, credentials=mint, voice=voice) as call:
            assert call.session.instructions == "Be kind."
            assert call.session.audio.output.voice == voice
    assert len(asked) == 2


async def test_a_function_that_fails_ends_the_connecting(emulator, no_stray_errors):
    async def mint():
        raise OSError("the vault is locked")

    with pytest.raises(CredentialsError, match=r"mint\(\).* the vault is locked"):
        async with calling(emulator, credentials=mint):
            pass


# -- Azure ------------------------------------------------------------------------------------

ENTRA = "eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9.eyJhdWQiOiJodHRwcyJ9.c2lnbmF0dXJl"
AZURE_KEY = "0123456789abcdef0123456789abcdef"


class Resource:
    """An Azure resource in front of the emulator: its addresses, its keys, its refusals.

    Tokens are minted for `api-key` or an Entra token; offers are taken raw and with a token only;
    `api-version` is refused; models are deployments.
    """

    def __init__(self, emulator):
        self._emulator = emulator
        self.sessions = []
        self.url = ""

    async def handle(self, request):
        path = request.path.removeprefix("/openai/v1")
        if request.query_string:
            return web.Response(status=401, text="api-version")
        if path == "/realtime/client_secrets":
            return await self._secrets(request)
        if path == "/realtime/calls":
            bearer = request.headers.get("Authorization", "")
            if not bearer.startswith("Bearer ek_") or request.content_type != "application/sdp":
                return _azure_error(401, "401", "This operation requires ephemeral tokens")
            return await self._forward(request, path, bearer)
        return _azure_error(404, "404", "Resource not found")

    async def _secrets(self, request):
        known = request.headers.get("api-key") == AZURE_KEY
        if not known and request.headers.get("Authorization") != f"Bearer {ENTRA}":
            text = "Access denied due to invalid subscription key or wrong API endpoint."
            return _azure_error(401, "401", text)
        session = (await request.json())["session"]
        self.sessions.append(session)
        if session["model"] != "my-deployment":
            return _azure_error(404, "DeploymentNotFound", "The deployment does not exist.")
        return await self._forward(request, "/realtime/client_secrets", f"Bearer {KEY}")

    async def _forward(self, request, path, bearer):
        headers = {"Authorization": bearer, "Content-Type": request.content_type}
        async with (
            aiohttp.ClientSession() as http,
            http.post(
                self._emulator.url + path, data=await request.read(), headers=headers
            ) as response,
        ):
            location = response.headers.get("Location", "")
            return web.Response(
                status=response.status,
                body=await response.read(),
                headers={"Location": location} if location else {},
            )


def _azure_error(status, code, message):
    body = {"error": {"code": code, "message": message}}
    return web.json_response(body, status=status, headers={"apim-request-id": "azure-7"})


@pytest.fixture
async def resource():
    shape = AnswerShape(ice_lite=False, end_of_candidates=True, candidates_everywhere=True)
    async with BentEmulator(shape=shape, models=["my-deployment"]) as emulator:
        azure = Resource(emulator)
        runner = web.ServerRunner(web.Server(azure.handle), shutdown_timeout=0.01)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            azure.url = f"http://127.0.0.1:{runner.addresses[0][1]}/openai/v1"
            yield azure
        finally:
            await runner.cleanup()


async def entra():
    return ENTRA


@pytest.mark.parametrize(
    "credentials", [AzureApiKey(AZURE_KEY), EntraToken(entra), EntraToken(lambda: ENTRA)]
)
async def test_a_call_to_azure(resource, credentials, no_stray_errors):
    options = {"credentials": credentials, "model": "my-deployment", "instructions": "Be kind."}
    async with calling(resource, **options) as call:
        assert call.session.instructions == "Be kind."
        assert call.id.startswith("rtc_")
    (session,) = resource.sessions
    assert session == {
        "type": "realtime",
        "model": "my-deployment",
        "instructions": "Be kind.",
    }  # and no transcription: its model would have to be a deployment, too


@pytest.mark.parametrize("secret", [AZURE_KEY, ENTRA, "ek_1234567"])
@pytest.mark.parametrize("place", ["itself", "file", "function"])
async def test_at_an_address_of_azures_a_key_is_one_for_azure(tmp_path, secret, place):
    file = tmp_path / "key"
    file.write_text(secret)
    source = {"itself": credentials_from(secret), "file": ApiKeyFile(file)}.get(place)
    signaling = Signaling(
        base_url="https://me.openai.azure.com/openai/v1", credentials=source or (lambda: secret)
    )
    shown = (await signaling.authorize()).headers
    await signaling.aclose()
    bearer = {"Authorization": f"Bearer {secret}"}
    assert shown == ({"api-key": secret} if secret == AZURE_KEY else bearer)


async def test_a_key_that_azure_refuses(resource):
    with pytest.raises(SignalingError, match="Access denied") as caught:
        async with calling(resource, credentials=AzureApiKey("wrong-key")):
            pass
    error = caught.value
    assert (error.status, error.code, error.request_id) == (401, "401", "azure-7")
    assert "wrong-key" not in str(error)


async def test_a_deployment_that_does_not_exist(resource):
    with pytest.raises(SignalingError, match="does not exist") as caught:
        async with calling(resource, credentials=AzureApiKey(AZURE_KEY)):
            pass
    assert "name of your deployment" in caught.value.hint
