"""Connecting that fails: the error names stage and cause, and nothing stays behind.

Every test here ends with a census: what was opened before the failure must be closed after it.
"""

from __future__ import annotations

import asyncio
import re
import socket
from contextlib import asynccontextmanager, contextmanager, suppress
from types import SimpleNamespace

import httpx
import pytest
from aiohttp import web
from deadlines import NEVER, too_late_in
from live import KEY, BentEmulator, Census, Ear, calling, hold

import rtcvoice
from rtcvoice import (
    CallState,
    ConfigError,
    CredentialsError,
    DeviceError,
    EphemeralToken,
    FileSink,
    FileSource,
    ServerError,
    SignalingError,
    TransportError,
)
from rtcvoice.wire.sdp import media_sections

pytestmark = pytest.mark.usefixtures("no_stray_errors")


@pytest.fixture
async def census(emulator):
    """Count after a good call; count again after the failed ones."""
    await hold(emulator)
    await asyncio.to_thread(int)
    census = Census()
    yield census
    await emulator.end_calls()
    await census.check()


@contextmanager
def failing(error, **attributes):
    """Expect `error` with these attributes."""
    with pytest.raises(error) as raised:
        yield raised
    found = {name: getattr(raised.value, name) for name in attributes}
    assert found == attributes


# -- the REST side ---------------------------------------------------------------------------------


@asynccontextmanager
async def serving(handler):
    """A server that answers every request with `handler`; yields something with its `url`."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield SimpleNamespace(url=f"http://127.0.0.1:{runner.addresses[0][1]}/v1")
    finally:
        await runner.cleanup()


async def test_a_port_where_nobody_listens(emulator, census):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        with failing(SignalingError, status=None) as raised:
            await hold(emulator, base_url=url)
    assert "emulator" in raised.value.hint
    assert raised.value.__cause__ is not None


@pytest.mark.parametrize(("options", "stage"), [({}, "token"), ({"direct": True}, "answer")])
async def test_a_server_that_never_answers(emulator, census, options, stage):
    over = asyncio.Event()

    async def hang(request):
        await over.wait()
        return web.Response()

    async with serving(hang) as server:
        with too_late_in(stage) as timeout, failing(TransportError, stage=stage) as raised:
            await hold(server, connect_timeout=timeout, **options)
        over.set()
    assert f"{NEVER:g} s" in str(raised.value)
    assert raised.value.hint


async def test_a_key_that_is_refused_is_named_and_not_shown(emulator, census):
    with failing(SignalingError, status=401, code="invalid_api_key") as raised:
        await hold(emulator, api_key="wrong-secret-key")
    assert raised.value.request_id.startswith("req_")
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ("<!DOCTYPE html><title>Sign in</title>", "not SDP"),
        ("", "not SDP"),
        ("v=0\r\n", "no media section"),
        ("v=0\r\nm=audio 0 UDP/TLS/RTP/SAVPF 0\r\n", "refuses audio"),
    ],
)
async def test_an_answer_that_is_not_one(emulator, census, body, complaint):
    async def wifi_portal(request):
        return web.Response(text=body, content_type="text/html")

    async with serving(wifi_portal) as server:
        with failing(TransportError, stage="answer") as raised:
            await hold(server, direct=True)
    assert complaint in str(raised.value)


async def test_an_answer_that_repeats_a_key_is_not_quoted_with_it(emulator, census):
    """Found with random answers to an offer."""

    async def echo(request):
        return web.json_response({"value": "sk-proj-0123456789abcdef"})

    async with serving(echo) as server:
        with failing(TransportError, stage="answer") as raised:
            await hold(server, direct=True)
    assert "not SDP" in str(raised.value)
    assert "0123456789" not in str(raised.value)


async def test_a_token_that_is_not_one(emulator, census):
    async def wifi_portal(request):
        return web.Response(text="<html>", content_type="text/html")

    async with serving(wifi_portal) as server:
        with failing(SignalingError, status=200):
            await hold(server)


# -- the stages of WebRTC --------------------------------------------------------------------------


async def test_an_answer_without_candidates(emulator, census):
    emulator._rewrite = lambda sdp: re.sub("a=candidate:.*\r\n", "", sdp)
    with failing(TransportError, stage="answer") as raised:
        await hold(emulator, transport="webrtc")
    assert "candidate" in str(raised.value)


async def test_ice_without_an_answer(emulator, census):
    with socket.socket(type=socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        port = silent.getsockname()[1]
        emulator._rewrite = lambda sdp: re.sub(r"(127\.0\.0\.1) \d+ typ", rf"\1 {port} typ", sdp)
        with too_late_in("ice") as timeout, failing(TransportError, stage="ice") as raised:
            await hold(emulator, connect_timeout=timeout)
    assert "UDP" in raised.value.hint


async def test_ice_at_a_port_that_is_closed(emulator, census):
    emulator._rewrite = lambda sdp: re.sub(r"(127\.0\.0\.1) \d+ typ", r"\1 9 typ", sdp)
    with too_late_in("ice") as timeout, failing(TransportError, stage="ice"):
        await hold(emulator, connect_timeout=timeout)


async def never(*arguments):
    """Stand in for a step of the server's that is never taken."""


async def test_dtls_that_never_begins(emulator, census):
    emulator._bend = lambda peer: setattr(dtls_of(peer), "start", never)
    with too_late_in("dtls") as timeout, failing(TransportError, stage="dtls"):
        await hold(emulator, connect_timeout=timeout)


def dtls_of(peer):
    return peer._peer.getTransceivers()[0].receiver.transport


async def test_a_certificate_that_is_not_the_one_announced(emulator, census):
    def rewrite(sdp):
        return re.sub(
            r"(a=fingerprint:sha-256 )(..)",
            lambda found: found[1] + ("00" if found[2] != "00" else "11"),
            sdp,
        )

    emulator._rewrite = rewrite
    begun = asyncio.get_running_loop().time()
    with failing(TransportError, stage="dtls"):
        await hold(emulator, transport="webrtc", connect_timeout=NEVER)
    assert asyncio.get_running_loop().time() - begun < NEVER / 2  # it is known at once


async def test_a_channel_that_never_opens(emulator, census):
    emulator._bend = lambda peer: setattr(peer._peer.sctp, "start", never)
    with too_late_in("channel") as timeout, failing(TransportError, stage="channel"):
        await hold(emulator, connect_timeout=timeout)


@pytest.mark.parametrize("present", [True, False])
async def test_an_answer_that_refuses_the_channel(emulator, census, present):
    def rewrite(sdp):
        session, (audio, channel) = media_sections(sdp)
        channel = [re.sub(r"^m=application \d+", "m=application 0", channel[0]), *channel[1:]]
        lines = [*session, *audio, *(channel if present else ())]
        text = "".join(f"{line}\r\n" for line in lines)
        return text.replace("a=group:BUNDLE 0 1", "a=group:BUNDLE 0")

    emulator._rewrite = rewrite
    with failing(TransportError, stage="answer") as raised:
        await hold(emulator, transport="webrtc")
    assert "refuses the event channel" in str(raised.value)


async def test_a_session_that_never_starts(emulator, census):
    emulator._bend = lambda peer: setattr(peer._session, "open", lambda now: None)
    with too_late_in("session") as timeout, failing(TransportError, stage="session"):
        await hold(emulator, connect_timeout=timeout)


@pytest.mark.parametrize("ends", ["channel", "peer"])
async def test_a_server_that_leaves_before_the_session_starts(emulator, census, ends):
    def bend(peer):
        def leave(now):
            (peer._channel.close if ends == "channel" else peer.end)()

        peer._session.open = leave

    emulator._bend = bend
    begun = asyncio.get_running_loop().time()
    with failing(TransportError, stage="session") as raised:
        await hold(emulator, connect_timeout=NEVER)
    assert "closed" in str(raised.value)
    assert asyncio.get_running_loop().time() - begun < NEVER / 2


# -- the user's side -------------------------------------------------------------------------------


async def test_a_missing_input_file_closes_everything(emulator, census, tmp_path):
    with failing(DeviceError) as raised:
        await calling(emulator, source=FileSource(tmp_path / "none.wav"), sink=Ear())
    assert "does not exist" in str(raised.value)


async def test_an_output_that_cannot_be_written(emulator, census, tmp_path):
    sink = FileSink(tmp_path / "missing" / "out.wav")
    with failing(DeviceError) as raised:
        await hold(emulator, sink=sink)
    assert "create the folder" in raised.value.hint


class Late(Ear):
    """A sink whose opening takes 0.1 s and cannot be cut short, as with devices."""

    def __init__(self):
        super().__init__()
        self.steps = []

    async def open(self):
        self.steps.append("opening")
        opening = asyncio.create_task(asyncio.sleep(0.1))
        while not opening.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait({opening})
        self.steps.append("open")

    async def aclose(self):
        self.steps.append("closed")


class Broken(rtcvoice.Silence):
    def __init__(self, error):
        super().__init__()
        self._error = error

    async def open(self):
        raise self._error


async def test_nothing_is_closed_while_it_still_opens(emulator, census):
    sink = Late()
    with failing(DeviceError):
        await hold(emulator, source=Broken(DeviceError("unplugged")), sink=sink)
    assert sink.steps == ["opening", "open", "closed"]


async def test_a_source_with_a_timeout_of_its_own_is_not_taken_for_ours(emulator, census):
    with failing(TimeoutError) as raised:
        await hold(emulator, source=Broken(TimeoutError("its own")))
    assert str(raised.value) == "its own"


async def test_no_key(emulator, census):
    with failing(CredentialsError) as raised:
        await hold(emulator, api_key=None)
    assert "OPENAI_API_KEY" in raised.value.hint


async def test_the_key_of_the_environment(emulator, census, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", emulator.url)
    async with rtcvoice.connect(source=None, sink=None) as call:
        assert call.id in emulator.calls


async def test_a_connect_serves_one_call(emulator, census):
    once = calling(emulator)
    async with once:
        with pytest.raises(ConfigError):
            async with once:
                pass
    with pytest.raises(ConfigError):
        async with once:
            pass


async def test_a_call_without_a_block(emulator, census):
    call = await calling(emulator)
    assert call.id in emulator.calls
    await call.aclose()
    assert call.state is CallState.ENDED


# -- configuration by event ------------------------------------------------------------------------


async def minted(server, **session):
    """Return a token as a web server would hand it to its client."""
    async with httpx.AsyncClient(trust_env=False) as http:
        response = await http.post(
            f"{server.url}/realtime/client_secrets",
            json={"session": {"type": "realtime", **session}},
            headers={"Authorization": f"Bearer {KEY}"},
        )
    return EphemeralToken(response.json()["value"])


def sent_updates(server):
    """Return the `session.update` events that the newest call received."""
    events = [logged for logged in server.last().events if logged.direction == "in"]
    return [logged.event for logged in events if logged.event["type"] == "session.update"]


async def test_a_ready_token_with_options_updates_the_session_first(emulator, census):
    token = await minted(emulator, instructions="Be kind.")
    async with calling(emulator, credentials=token, instructions="Be brief.") as call:
        assert call.session.instructions == "Be brief."
        (update,) = sent_updates(emulator)
        assert update["session"] == {"type": "realtime", "instructions": "Be brief."}


async def test_a_ready_token_without_options_changes_nothing(emulator, census):
    token = await minted(emulator, instructions="Be kind.")
    async with calling(emulator, credentials=token) as call:
        assert call.session.instructions == "Be kind."
        assert sent_updates(emulator) == []


async def test_a_refused_update_while_connecting(emulator, census):
    token = await minted(emulator)
    with failing(ServerError) as raised:
        await hold(emulator, credentials=token, session={"no_such_field": 1})
    assert raised.value.event.error.param.endswith("no_such_field")


async def test_a_refused_update_during_the_call_changes_nothing(emulator, census):
    async with calling(emulator, instructions="Be brief.") as call:
        with failing(ServerError):
            await call.update(session={"no_such_field": 1})
        assert call.session.instructions == "Be brief."
        assert (await call.update(instructions="Be kind.")).instructions == "Be kind."


async def test_an_expired_or_foreign_token(emulator, census):
    with failing(SignalingError, status=401):
        await hold(emulator, credentials=EphemeralToken("ek_unknown"))


async def test_direct_sends_the_session_with_the_offer(emulator, census):
    async with calling(emulator, direct=True, instructions="Be brief.", voice="cedar") as call:
        assert call.session.instructions == "Be brief."
        assert call.timings.token is None
        assert sent_updates(emulator) == []


async def test_many_failures_at_once_are_one_error():
    """No ExceptionGroup reaches the user."""
    async with BentEmulator(api_keys=set()) as server:
        with failing(rtcvoice.RtcVoiceError):
            await hold(server, source=Broken(DeviceError("unplugged")), direct=True)


async def test_a_handler_without_a_pattern_is_refused(emulator):
    async with calling(emulator) as call:
        with pytest.raises(ConfigError, match=r"write @call\.on"):

            @call.on
            async def forgotten(event):
                pass
