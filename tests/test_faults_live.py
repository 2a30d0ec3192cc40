"""Every fault over the wire, and what a user of rtcvoice is told of it."""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import nullcontext, suppress

import aioice.ice
import numpy as np
import pytest
from deadlines import NEVER, too_late_in
from live import BentEmulator, Ear, calling, eventually, find, hold, loop_lag

from rtcvoice import Network
from rtcvoice.call.life import CallState
from rtcvoice.emulator import AnswerFault, AnswerShape, Faults, HttpFault, Strike, Turn
from rtcvoice.emulator.voice import PromptVoice
from rtcvoice.errors import SignalingError, TransportError

pytestmark = pytest.mark.usefixtures("no_stray_errors")


# -- HTTP --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "status", "code", "said"),
    [
        (HttpFault.INVALID_KEY, 401, "invalid_api_key", "key"),
        (HttpFault.RATE_LIMIT, 429, "rate_limit_exceeded", "try again in 1s"),
        (HttpFault.QUOTA, 429, "insufficient_quota", "no credit"),
        (HttpFault.SERVER_ERROR, 500, None, "provider"),
        (HttpFault.HTML, 502, None, "502 Bad Gateway"),
        (HttpFault.HTML_OK, 200, None, "base_url"),
        (HttpFault.CUT, None, None, "cannot talk"),
    ],
)
async def test_http_faults_are_signaling_errors(emulator, fault, status, code, said):
    emulator.faults = Faults(http=fault)
    with pytest.raises(SignalingError) as raised:
        await hold(emulator)
    assert (raised.value.status, raised.value.code) == (status, code)
    assert said in str(raised.value)
    assert not emulator.calls


@pytest.mark.parametrize("faults", [Faults(http=HttpFault.HANG), Faults(http_delay=60.0)])
async def test_a_server_that_hangs_costs_no_more_than_the_deadline(emulator, faults):
    emulator.faults = faults
    with too_late_in("token") as timeout, pytest.raises(TransportError) as raised:
        await hold(emulator, connect_timeout=timeout)
    assert raised.value.stage == "token"


async def test_the_offer_alone_may_be_refused_and_only_so_many_times(emulator):
    emulator.faults = Faults(http=HttpFault.RATE_LIMIT, http_only="call", http_times=1)
    with pytest.raises(SignalingError, match="offering the call"):
        await hold(emulator)
    await hold(emulator)


# -- connecting --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("faults", "stage"),
    [
        *[
            (Faults(answer=fault), "answer")
            for fault in AnswerFault
            if fault not in (AnswerFault.WRONG_FINGERPRINT, AnswerFault.TCP_ONLY)
        ],
        (Faults(answer=AnswerFault.TCP_ONLY), "ice"),  # nobody listens at port 443
        (Faults(answer=AnswerFault.WRONG_FINGERPRINT), "dtls"),
        (Faults(ice_silent=True), "ice"),
        (Faults(dtls_silent=True), "dtls"),
        (Faults(channel_silent=True), "channel"),
    ],
    ids=lambda each: (
        next((str(v) for n, v in vars(each).items() if v != getattr(Faults(), n)), "")
        if isinstance(each, Faults)
        else each
    ),
)
async def test_the_error_names_the_stage_that_failed(emulator, faults, stage):
    emulator.faults = faults
    # A bad answer is told at once, whatever time there is; the others wait for its end.
    waits = nullcontext(NEVER) if stage == "answer" else too_late_in(stage, after=0.2)
    with waits as timeout, pytest.raises(TransportError) as raised:
        await hold(emulator, connect_timeout=timeout, transport="webrtc")
    assert raised.value.stage == stage
    await emulator.end_calls()


@pytest.mark.parametrize("nominating", [True, False])
async def test_consent_may_need_use_candidate(monkeypatch, nominating):
    """rtcvoice repeats it; a client with stock aioice's checks loses the call."""
    monkeypatch.setattr(aioice.ice, "CONSENT_INTERVAL", 0.05)
    monkeypatch.setattr(aioice.ice, "CONSENT_FAILURES", 3)
    if not nominating:
        monkeypatch.setattr("rtcvoice.wire._aiortc.end_consent_lapse", lambda connection: None)
    faults = Faults(consent_needs_nomination=True)
    async with BentEmulator(faults=faults) as server, calling(server) as call:
        try:
            async with asyncio.timeout(0.6 if nominating else 8.0):
                await call.wait_ended()
        except TimeoutError:
            assert nominating
        else:
            assert not nominating


# -- during the call ---------------------------------------------------------------------------


@pytest.mark.parametrize("strike", [Strike.CLOSE_CHANNEL, Strike.CLOSE_PEER])
async def test_what_the_server_closes_ends_the_call_at_once(emulator, strike):
    async with calling(emulator) as call:
        emulator.last().strike(strike)
        async with asyncio.timeout(20):
            end = await call.wait_ended()
    assert not end.normal
    assert "closed" in end.reason
    await emulator.end_calls()


async def test_faults_strike_at_their_moment():
    """A busy machine may not be ready until then; that ends the call all the same."""
    struck, begun = [], time.monotonic()

    def note(strike):
        struck.append((strike, time.monotonic()))

    async with BentEmulator(bend=lambda peer: peer.on_strike(note)) as server:
        server.faults = Faults(closed_after=0.2)
        with suppress(TransportError):
            async with asyncio.timeout(20), calling(server) as call:
                await call.wait_ended()
        await eventually(lambda: server.last().ended)
    ((strike, at),) = struck
    assert strike is Strike.CLOSE_PEER
    assert at - begun >= 0.2


async def test_a_process_can_die_at_its_moment():
    command = ["-m", "rtcvoice", "emulator", "--port", "0", "--fault", "killed_after=0.1"]
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, stdout=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(30):
        words = (await process.stdout.readline()).decode().split()
        process.url = next(word for word in words if word.startswith("http"))
        async with calling(process, liveness_timeout=0.3) as call:
            assert not (await call.wait_ended()).normal
        assert await process.wait() == 137
    process._transport.close()


async def test_a_server_that_freezes_is_noticed_in_time(emulator):
    async with calling(emulator, liveness_timeout=0.3) as call:
        emulator.last().strike(Strike.FREEZE)
        async with asyncio.timeout(20):
            end = await call.wait_ended()
    assert "nothing was received" in end.reason
    await emulator.end_calls()


async def test_without_rtp_the_call_lives_and_the_events_go_on(emulator):
    ear = Ear()
    async with calling(emulator, sink=ear) as call:
        emulator.last().strike(Strike.STOP_RTP)
        done_within = call.expect("response.done", timeout=20)
        async with call.expect("output_audio_buffer.started", timeout=20):
            await call.send("Hello.")
        done = await done_within
        assert done.response.status == "completed"
        assert call.state is CallState.ACTIVE
    assert not np.any(np.abs(ear.heard) > 300)


async def test_a_channel_that_stops_is_not_the_end_of_the_call(emulator):
    async with calling(emulator) as call:
        emulator.last().strike(Strike.STOP_CHANNEL)
        content = [{"type": "input_text", "text": "Hello."}]
        item = {"type": "message", "role": "user", "content": content}
        await call.send_event({"type": "conversation.item.create", "item": item})
        with pytest.raises(TimeoutError):
            await call.wait_for("conversation.item.added", timeout=0.3)
        assert call.state is CallState.ACTIVE


async def test_a_new_ssrc_in_the_middle_of_speech_is_heard_on():
    ear, script = Ear(), [Turn(says=("reply-1",))]
    late = PromptVoice().clip("reply-1").samples[16_000:24_000]
    async with (
        loop_lag() as lag,
        BentEmulator(script=script) as server,
        calling(server, sink=ear) as call,
    ):
        async with call.expect("output_audio_buffer.started", timeout=20):
            await call.send("Hello.")
        begun = len(ear.heard)
        await eventually(lambda: len(ear.heard) > begun + 7_200)
        server.last().strike(Strike.CHANGE_SSRC)
        await eventually(lambda: len(ear.heard) > begun + 30_000)
    assert find(late, ear.heard)[1] > 0.8 or not lag.in_time


async def test_a_slow_reader_makes_events_wait_and_is_told_of(emulator):
    emulator.faults = Faults(channel_reads_bps=400_000)
    async with calling(emulator) as call:
        begun = time.monotonic()
        await call.update(instructions="x" * 20_000)
        assert time.monotonic() - begun > 0.3  # 160 kbit at 400 kbit/s
        update = {"type": "session.update", "session": {"instructions": "x" * 50_000}}
        with pytest.raises(TransportError, match="already wait"):
            await asyncio.gather(*(call.send_event(update) for _ in range(100)))


async def test_a_session_that_expires_says_so(emulator):
    async with calling(emulator) as call:
        told = call.expect("error", timeout=20)
        emulator.expire()
        error = await told
        assert error.error.code == "session_expired"
        async with asyncio.timeout(20):
            assert not (await call.wait_ended()).normal


async def test_a_bad_network_is_put_between_and_taken_away(emulator):
    emulator.faults = Faults(network=Network.of("delay=30ms", "network"))
    async with calling(emulator) as call:
        begun = time.monotonic()
        await call.update(instructions="Be brief.")
        assert time.monotonic() - begun > 0.055
        assert call.timings.ice > 0.055
    await eventually(lambda: emulator.last().ended)


@pytest.mark.parametrize("shape", [AnswerShape(tcp_candidates=True, end_of_candidates=True)])
async def test_tcp_candidates_are_left_alone_where_udp_works(shape):
    """Statement 12."""
    async with BentEmulator(shape=shape) as server, calling(server, connect_timeout=3) as call:
        assert call.stats().transport.route == "udp"
        assert call.timings.ice < 0.5


async def test_a_message_beyond_the_limit_closes_the_channel():
    """Statement 16: "inbound > limit closes the channel (switch)"."""

    def lie(sdp):
        return sdp.replace("a=max-message-size:1000", "a=max-message-size:100000")

    shape = AnswerShape(max_message_size=1000)
    async with BentEmulator(shape=shape, rewrite=lie) as server, calling(server) as call:
        await call.send_event({"type": "response.create"})
        await call.wait_for("response.created", timeout=20)
        await call.send_event({"type": "session.update", "session": {"instructions": "x" * 2000}})
        async with asyncio.timeout(20):
            assert "closed" in (await call.wait_ended()).reason
