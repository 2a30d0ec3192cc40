"""Packets that are joined and padded decode to what they were, by libopus and by its own rules."""

from __future__ import annotations

import numpy as np
import pytest
from signals import speech

from rtcvoice.sound.opus import Decoder, Encoder, has_fec, packet_samples
from rtcvoice.sound.opus_packets import LARGEST_PACKET, joined, padded

RATE = 24000
SIZE = RATE // 50


def coded(bitrate: int, seconds: float = 1.2) -> list[bytes]:
    encoder, samples = Encoder(RATE, bitrate=bitrate), speech(seconds)
    return [encoder.encode(samples[at : at + SIZE]) for at in range(0, len(samples), SIZE)]


def heard(packets) -> np.ndarray:
    decoder = Decoder(RATE)
    return np.concatenate([decoder.decode(packet) for packet in packets])


@pytest.mark.parametrize("bitrate", [20000, 32000, 128000])
@pytest.mark.parametrize("count", [2, 3])
def test_packets_in_one_are_heard_as_they_were(bitrate, count):
    packets = coded(bitrate)
    groups = [packets[at : at + count] for at in range(0, len(packets), count)]
    together = [[one] if (one := joined(group)) else group for group in groups]
    assert sum(len(group) == 1 for group in together) > 0.7 * len(groups)
    flat = [packet for group in together for packet in group]
    assert np.array_equal(heard(flat), heard(packets))
    assert {packet_samples(packet, RATE) for packet in flat} <= {SIZE, count * SIZE}
    assert any(map(has_fec, flat))


@pytest.mark.parametrize("odd", [b"", b"\xf8" + bytes(1276)])
def test_what_no_packet_can_hold_is_not_joined(odd):
    fine = b"\xf8" + bytes(1275)
    assert joined([fine, fine]) is not None
    assert joined([odd, odd]) is None
    assert joined([fine, odd]) is None
    assert joined([odd, fine]) is None


def test_packets_of_two_kinds_are_not_joined():
    narrow, wide = coded(20000)[20], coded(128000)[20]
    assert narrow[0] != wide[0]
    assert joined([narrow, wide]) is None
    assert joined([joined([narrow, narrow]) or b"", narrow]) is None
    assert joined([narrow]) is narrow


@pytest.mark.parametrize("count", [1, 2, 3])
def test_padding_is_not_heard_whatever_its_size(count):
    packets = [joined([packet] * count) for packet in coded(48000, 0.2)]
    plain = heard(packets)
    for more in (*range(1, 6), 253, 254, 255, 256, 257, 258, 509, 510, 511, 512, 700):
        larger = [padded(packet, len(packet) + more) for packet in packets]
        assert [len(packet) for packet in larger] == [len(packet) + more for packet in packets]
        assert np.array_equal(heard(larger), plain)
        assert [has_fec(packet) for packet in larger] == [has_fec(packet) for packet in packets]


def test_padding_is_bounded_and_never_cuts():
    packet = coded(48000, 0.1)[2]
    assert padded(packet, len(packet)) is packet
    assert padded(packet, 3) is packet
    assert padded(b"", 100) == b""
    assert len(padded(packet, 60_000)) == LARGEST_PACKET
    larger = padded(packet, 300)
    assert padded(larger, 400) is larger  # (it has padding)
