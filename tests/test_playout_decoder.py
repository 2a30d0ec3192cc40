"""Decoding that cannot fail, and concealment that fades."""

from __future__ import annotations

import numpy as np
import pytest
from network import RATE, packets

from rtcvoice.opus import Decoder
from rtcvoice.playout.decoder import PacketDecoder

FRAME = RATE // 50


def test_packets_are_decoded_as_libopus_does():
    decoder, reference = PacketDecoder(RATE), Decoder(RATE)
    for packet in packets(seconds=0.5):
        expected = reference.decode(packet.payload)
        assert np.array_equal(decoder.decode(packet.payload, FRAME), expected)
    assert decoder.errors == 0


@pytest.mark.parametrize("garbage", [b"", b"\xff\xff\xff", b"\x03\x00"])
def test_garbage_is_concealed_and_counted(garbage):
    stream = packets(seconds=0.5)
    decoder, reference = PacketDecoder(RATE), Decoder(RATE)
    for packet in stream[:12]:
        decoder.decode(packet.payload, FRAME)
        reference.decode(packet.payload)
    assert np.array_equal(decoder.decode(garbage, FRAME), reference.conceal(FRAME))
    assert decoder.errors == 1
    assert np.array_equal(
        decoder.decode(stream[13].payload, FRAME), reference.decode(stream[13].payload)
    )
    assert len(decoder.recover(garbage, FRAME)) == FRAME


def test_a_long_concealment_fades_to_silence_without_a_step():
    decoder = PacketDecoder(RATE)
    for packet in packets(seconds=0.3):
        last = decoder.decode(packet.payload, FRAME)
    made = np.concatenate([decoder.conceal(FRAME // 2) for _ in range(20)])
    assert np.abs(made[:FRAME]).max() > 0.2 * np.abs(last).max()
    assert not made[int(0.12 * RATE) :].any()
    assert np.abs(made[int(0.11 * RATE) : int(0.12 * RATE)]).max() < 0.1 * np.abs(last).max()


def test_conceal_never_fails():
    decoder = PacketDecoder(RATE)
    assert not decoder.conceal(FRAME + 1).any()  # libopus refuses: silence
    assert len(decoder.conceal(FRAME)) == FRAME


def test_reset_forgets_the_voice():
    decoder = PacketDecoder(RATE)
    for packet in packets(seconds=0.5):
        decoder.decode(packet.payload, FRAME)
    decoder.reset()
    assert not decoder.conceal(FRAME).any()
