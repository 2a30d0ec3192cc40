"""Between encoder and network: what goes into one packet, and when nobody speaks."""

from __future__ import annotations

import itertools

from signals import speech

from rtcvoice.capture.outgoing import Outgoing
from rtcvoice.capture.quiet import PAUSE, SOFT, Quiet
from rtcvoice.capture.shape import LONGEST_PACKET
from rtcvoice.capture.uplink import Preparation, Uplink
from rtcvoice.sound.opus import Encoder, packet_samples
from rtcvoice.wire.rtp import ReceiverReport

RATE = 24000
SIZE = RATE // 50


def coded(bitrate: int, blocks: int) -> list[bytes]:
    encoder, samples = Encoder(RATE, bitrate=bitrate), speech(blocks * 0.02 + 0.1)
    return [encoder.encode(samples[n * SIZE : (n + 1) * SIZE]) for n in range(blocks)]


def congested() -> Outgoing:
    told: list[Preparation] = []
    outgoing = Outgoing(Uplink(), told.append)
    for number in range(1, 12):
        lost, trip = number * 10, 0.05 if number == 1 else 0.5
        outgoing.follow(ReceiverReport(0.2, lost, 100 * number, 0.0, trip, 0.0), number * 2.0)
    assert told[-1].frames == LONGEST_PACKET
    return outgoing


def put(outgoing: Outgoing, blocks, ticks) -> list[tuple[int, int]]:
    for block, at in zip(blocks, ticks, strict=True):
        outgoing.add(block, at, 1000)
    packets = [(each.ticks, packet_samples(each.payload, 48000)) for each in outgoing.ready]
    outgoing.ready.clear()
    return packets


def test_three_blocks_in_a_packet_with_the_time_of_the_first():
    packets = put(congested(), coded(24000, 9), range(960, 960 * 10, 960))
    assert packets == [(960, 2880), (3840, 2880), (6720, 2880)]


def test_a_gap_ends_a_packet():
    ticks = [0, 960, 9600, 10560, 11520]
    packets = put(congested(), coded(24000, 5), ticks)
    assert packets == [(0, 1920), (9600, 2880)]


def test_frames_of_two_kinds_have_packets_of_their_own():
    one, other = coded(20000, 8)[4:], coded(128000, 8)[4:]
    assert one[0][0] != other[0][0]
    packets = put(congested(), [one[0], one[1], *other[:3]], range(0, 960 * 5, 960))
    assert packets == [(0, 1920), (1920, 2880)]


def test_without_congestion_each_block_leaves_at_once():
    outgoing = Outgoing(Uplink(), lambda prepared: None)
    for number, block in enumerate(coded(48000, 5)):
        outgoing.add(block, number * 960, 1000)
        assert outgoing.ready.pop().payload == block
        assert not outgoing.ready
    assert outgoing.packets == 5


def test_checks_leave_after_their_packet_and_come_back_to_the_uplink():
    now, asked = 0.0, []
    outgoing = Outgoing(Uplink(), lambda prepared: None, lambda: now)
    outgoing.ask = asked.append
    for number, block in enumerate(itertools.islice(itertools.cycle(coded(48000, 20)), 100)):
        now = number * 0.02
        outgoing.add(block, number * 960, 0, now=now)
        packet = outgoing.ready.pop()
        before = len(asked)
        outgoing.sent(packet)
        assert len(asked) - before == (packet.check is not None)
        while len(asked) > before:
            asked.pop()(0.01)
    assert outgoing.bytes > 100 * 60


def test_a_voice_is_a_voice_from_its_first_block_on():
    quiet = Quiet()
    assert quiet.now
    quiet.hear(6000)
    assert not quiet.now
    for _ in range(PAUSE - 1):
        quiet.hear(10)
    assert not quiet.now
    quiet.hear(10)
    assert quiet.now
    for _ in range(100):
        quiet.hear(SOFT)
    assert quiet.now


def test_a_room_with_noise_is_quiet_until_somebody_speaks():
    quiet = Quiet()
    for _ in range(400):
        quiet.hear(900)
    assert quiet.now
    quiet.hear(5000)
    assert not quiet.now
