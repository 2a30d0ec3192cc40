"""call.stats() of real calls; an uplink that loses packets: the encoder adapts, words survive."""

from __future__ import annotations

import dataclasses
import inspect
from contextlib import asynccontextmanager
from types import SimpleNamespace

import numpy as np
import pytest
from aiohttp.test_utils import TestServer
from aiortc.rtp import RtcpReceiverInfo, RtcpRrPacket, RtcpSenderInfo, RtcpSrPacket
from live import QUICK, BentEmulator, calling, eventually, find, loop_lag
from network import RATE, Ear, later, packets

from rtcvoice import CallStats, FileSource
from rtcvoice import stats as figures
from rtcvoice.capture.loss import MOST_LOSS
from rtcvoice.capture.track import SourceTrack
from rtcvoice.emulator import Turn, prompt_path
from rtcvoice.emulator.relay import RelayedCalls
from rtcvoice.emulator.rest.app import build_app
from rtcvoice.emulator.voice import PromptVoice
from rtcvoice.network.link import Link
from rtcvoice.stats import PlayoutStats, TransportStats, UplinkStats
from rtcvoice.system import clock
from rtcvoice.wire import _aiortc, _media
from rtcvoice.wire.rtp import ReceiverReport, RoundTrips

pytestmark = pytest.mark.usefixtures("no_stray_errors")

DELAY = 0.02


class LosesVoice(Link):
    """Loses every tenth RTP packet, and nothing else: no call connects late for it."""

    def __init__(self):
        super().__init__(delay=DELAY)
        self.lost = 0
        self._packets = 0

    def send(self, packet, now, to=None):
        if 128 <= packet[0] <= 191 and not 192 <= packet[1] <= 223:  # RFC 7983, RFC 5761 §4
            self._packets += 1
            if self._packets % 10 == 0:
                self.lost += 1
                return
        super().send(packet, now, to)


@asynccontextmanager
async def behind(emulator, up):
    """Serve the emulator at a second address whose calls go by links."""
    relayed = RelayedCalls(emulator, up=lambda number: up, down=lambda number: Link(delay=DELAY))
    async with TestServer(build_app(relayed)) as server:
        yield SimpleNamespace(url=str(server.make_url("/v1")))
    await relayed.aclose()


async def test_all_that_a_call_tells_of_itself(emulator):
    async with calling(emulator) as call:
        before = call.stats()
        await call.send("Hello?")
        await call.wait_for("output_audio_buffer.stopped", timeout=20)
        # (the first report may have nothing to measure with: it may leave before ours has come)
        stats = await eventually(
            lambda: call.stats().round_trip_time is not None and call.stats(), timeout=20
        )
        assert isinstance(stats, CallStats)
        assert stats.playout.packets_received > before.playout.packets_received
        assert stats.playout.jitter_buffer_emitted_count > 0
        assert stats.playout.jitter_buffer_delay > 0
        assert stats.uplink.packets_sent > before.uplink.packets_sent
        assert 0 < stats.uplink.bytes_sent < stats.uplink.packets_sent * 200
        assert (stats.uplink.fraction_lost, stats.uplink.packets_lost) == (0, 0)
        assert stats.uplink.bitrate in (48000, 64000)  # before and after a trial
        assert stats.uplink.loss_percent == 10
        assert 0 <= stats.round_trip_time == stats.uplink.round_trip_time < 10
        assert stats.transport.packets_received > stats.playout.packets_received
        assert stats.transport.bytes_received > before.transport.bytes_received
        with pytest.raises(dataclasses.FrozenInstanceError):
            stats.round_trip_time = 0
    last = call.stats()
    assert last.uplink.packets_sent >= stats.uplink.packets_sent
    assert dataclasses.asdict(last)["uplink"]["reports_received"] >= 1


@pytest.mark.parametrize("kind", [CallStats, PlayoutStats, TransportStats, UplinkStats])
def test_every_figure_is_explained(kind):
    source = inspect.getsource(figures).split(f"\nclass {kind.__name__}:")[1]
    for field in dataclasses.fields(kind):
        after = source.split(f"    {field.name}: ", 1)[1].split("\n", 2)[1]
        assert after.startswith('    """'), field.name


# -- what the engine counts ------------------------------------------------------------------------

BLOCK = RATE // 100


def test_a_packet_that_comes_after_its_turn_is_late_and_no_underrun():
    stream = packets(seconds=2.0)
    ear = Ear().listen([*stream[:50], later(stream[50], 0.2), *stream[51:]], 2.1)
    stats = ear.engine.snapshot()
    assert (stats.packets_late, stats.packets_discarded, stats.packets_lost) == (1, 1, 0)
    assert stats.underruns == 0


def test_a_short_stall_is_an_underrun_without_silence():
    stream = packets(seconds=2.0)
    stalled = [later(packet, max(0.0, 1.1 - packet.arrival)) for packet in stream[50:]]
    stats = Ear().listen([*stream[:50], *stalled], 2.1).engine.snapshot()
    assert (stats.underruns, stats.concealment_events, stats.packets_lost) == (1, 1, 0)
    assert 3 * BLOCK <= stats.concealed_samples <= 6 * BLOCK  # the rest was held back
    assert stats.silent_concealed_samples == 0


def test_a_long_stall_is_concealed_by_silence_in_the_end():
    stream = packets(seconds=3.0)
    stalled = [later(packet, max(0.0, 1.8 - packet.arrival)) for packet in stream[50:]]
    stats = Ear().listen([*stream[:50], *stalled], 3.1).engine.snapshot()
    assert stats.concealed_samples >= 70 * BLOCK
    assert 0 < stats.silent_concealed_samples < stats.concealed_samples


def test_a_pause_of_the_sender_is_neither():
    stream = packets(seconds=1.0)
    more = packets(seconds=1.0, sequence=1050, timestamp=5000 + 48000 * 3, start=3.0)
    stats = Ear().listen([*stream, *more], 4.1).engine.snapshot()
    assert (stats.underruns, stats.concealed_samples, stats.silent_concealed_samples) == (0, 0, 0)


# -- a bad uplink ----------------------------------------------------------------------------------


def hearing(peer):
    """Keep what the emulator's session hears."""
    session, heard = peer._session, []
    receive = session.receive_audio

    def receive_audio(samples, now):
        heard.append(samples.copy())
        receive(samples, now)

    session.receive_audio = receive_audio
    peer.heard = heard


def pieces_found(said, heard, seconds=0.25):
    """Return how alike each audible piece of what was said is to what was heard around there.

    Piece by piece, for a jitter buffer may lengthen and shorten what it plays.
    """
    size = int(RATE * seconds)
    begin, _ = find(said, heard)
    found = []
    for at in range(0, len(said) - size, size):
        piece = said[at : at + size]
        if np.sqrt(np.mean(piece.astype(float) ** 2)) > 300:
            around = heard[max(0, begin + at - size) : begin + at + 2 * size]
            found.append(find(piece, around)[1])
    return found


async def test_an_utterance_survives_the_loss_of_a_tenth_and_the_encoder_learns_of_it():
    script = [Turn(says=("greeting",))]
    said = PromptVoice().clip("question").samples
    up = LosesVoice()
    async with (
        loop_lag() as lag,
        BentEmulator(bend=hearing, script=script, pace=QUICK) as emulator,
        behind(emulator, up) as server,
        calling(server, source=FileSource(prompt_path("question"))) as call,
    ):
        turn = call.events("input_audio_buffer.*")
        begun = await anext(turn)
        ended = await anext(turn)
        assert [begun.type, ended.type] == [
            "input_audio_buffer.speech_started",
            "input_audio_buffer.speech_stopped",
        ]
        length = (ended.audio_end_ms - begun.audio_start_ms) / 1000
        stats = await eventually(
            lambda: (
                call.stats().uplink.loss_percent >= MOST_LOSS
                and call.stats().round_trip_time is not None
                and call.stats()
            ),
            timeout=15,
        )
        assert stats.uplink.packets_lost > 0
        assert stats.round_trip_time >= 2 * DELAY
        peer = emulator.last().peer
        ear = peer._ear.snapshot()
        assert ear.packets_lost > 10
        if not lag.in_time:
            return
        assert stats.uplink.bitrate >= 40000  # the way is not longer than it was
        # (FEC travels with speech: what is lost in a pause has nothing to be rebuilt)
        assert ear.packets_recovered > 0.4 * ear.packets_lost
        # (with padding, silence and what bridges a loss around it)
        assert abs(length - len(said) / RATE) < 0.8
        assert stats.round_trip_time < 1
        assert stats.uplink.reports_received <= 8
        assert stats.uplink.fraction_lost == pytest.approx(0.1, abs=0.05)
        likeness = pieces_found(said, np.concatenate(peer.heard))
        assert np.mean(likeness) > 0.8, likeness
        assert min(likeness) > 0.5, likeness


# -- what may be wrong with reports ----------------------------------------------------------------


def report(**fields):
    usual = ReceiverReport(0.0, 0, 100, 0.002, 0.05, 1.0)
    return usual._replace(**fields)


async def test_absurd_jitter_and_a_missing_round_trip_leave_the_last_figures():
    track = SourceTrack()
    track.follow(report())
    spike = {"jitter": 5592.0, "round_trip_time": None}
    track.follow(report(**spike, fraction_lost=0.25, packets_lost=12, highest_sequence=150))
    stats = track.stats
    assert (stats.jitter, stats.round_trip_time) == (0.002, 0.05)
    assert (stats.fraction_lost, stats.packets_lost, stats.reports_received) == (0.25, 12, 2)
    assert track._encoder.loss_percent == stats.loss_percent > 10


async def test_an_encoder_without_fec_is_prepared_for_nothing():
    track = SourceTrack(fec=False)
    track.follow(report(fraction_lost=0.5))
    assert track.stats.loss_percent == 0


def test_a_round_trip_is_what_passed_less_what_the_report_lay_there():
    trips = RoundTrips()
    trips.left(0x1234_5678_9ABC_DEF0, 10.0)
    assert trips.back(0x5678_9ABC, 65536 // 2, 10.75) == 0.25
    assert trips.back(0x5678_9ABC, 65536 * 2, 10.75) == 0
    assert trips.back(0x5678_9ABD, 0, 10.75) is None
    assert trips.back(0, 0, 10.75) is None


def test_of_two_sender_reports_of_the_same_name_none_is_timed():
    trips = RoundTrips()
    for left in (10.0, 11.0):
        trips.left(0x1234_5678_9ABC_DEF0, left)
    assert trips.back(0x5678_9ABC, 0, 11.1) is None


def test_only_the_latest_sender_reports_are_remembered():
    trips = RoundTrips()
    for number in range(1, 1001):
        trips.left(number << 16, float(number))
    assert trips.back(1000, 0, 1000.5) == 0.5
    assert trips.back(999, 0, 1000.5) == 1.5
    assert trips.back(1, 0, 1000.5) is None


class Sender:
    """What of an RTCRtpSender reports go through."""

    _ssrc = 7

    def __init__(self):
        self.passed = []

    async def _handle_rtcp_packet(self, packet):
        self.passed.append(packet)

    async def _send_rtcp(self, packets):
        self.passed += packets


def about(ssrc, **fields):
    usual = {"fraction_lost": 64, "packets_lost": 5, "highest_sequence": 9, "jitter": 480}
    return RtcpReceiverInfo(ssrc=ssrc, **{**usual, "lsr": 0x10002, "dlsr": 0, **fields})


async def test_reports_about_our_stream_are_handed_on_in_si_units():
    sender, got = Sender(), []
    _media.watch_reports(sender, got.append)
    info = RtcpSenderInfo(
        ntp_timestamp=0x0001_0002_0000, rtp_timestamp=0, packet_count=1, octet_count=1
    )
    await sender._send_rtcp([RtcpSrPacket(ssrc=7, sender_info=info)])
    await sender._handle_rtcp_packet(RtcpRrPacket(ssrc=1, reports=[about(6), about(7)]))
    await sender._handle_rtcp_packet(
        RtcpSrPacket(ssrc=1, sender_info=info, reports=[about(7, lsr=5)])
    )
    assert len(sender.passed) == 3
    first, second = got
    assert first[:4] == (0.25, 5, 9, 0.01)
    assert 0 <= first.round_trip_time < 5
    assert second.round_trip_time is None


@pytest.mark.parametrize(("waited", "counted"), [(0.2, 0.2), (0.0, 0.0), (-1, 0.0), (60, 0.0)])
async def test_a_report_came_when_it_came_not_when_it_is_taken(monkeypatch, waited, counted):
    sender, got, now = Sender(), [], 1000.0
    monkeypatch.setattr(clock, "now", lambda: now)
    _media.watch_reports(sender, got.append, lambda: now - waited)
    info = RtcpSenderInfo(
        ntp_timestamp=0x0001_0002_0000, rtp_timestamp=0, packet_count=1, octet_count=1
    )
    await sender._send_rtcp([RtcpSrPacket(ssrc=7, sender_info=info)])
    now += 0.5
    await sender._handle_rtcp_packet(RtcpRrPacket(ssrc=1, reports=[about(7)]))
    assert got[0].round_trip_time == pytest.approx(0.5 - counted)
    assert got[0].arrival == pytest.approx(now - counted)


async def test_a_report_handler_that_raises_ends_no_call(caplog):
    sender = Sender()
    _media.watch_reports(sender, lambda report: 1 / 0)
    for _ in range(3):
        await sender._handle_rtcp_packet(RtcpRrPacket(ssrc=1, reports=[about(7)]))
    assert len(sender.passed) == 3
    assert len(caplog.records) == 1


@pytest.mark.parametrize("name", ["_ssrc", "_handle_rtcp_packet", "_send_rtcp"])
def test_a_missing_name_is_told(name):
    names = {"_ssrc": 7, "_handle_rtcp_packet": print, "_send_rtcp": print}
    del names[name]
    with pytest.raises(_aiortc.UnsupportedAiortc, match=name):
        _media.watch_reports(SimpleNamespace(**names), print)
