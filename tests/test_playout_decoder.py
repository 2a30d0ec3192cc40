"""Decoding that cannot fail, and concealment that fades."""

from __future__ import annotations

import numpy as np
import pytest
from network import RATE, packets

from rtcvoice.opus import Decoder, has_fec
from rtcvoice.playout.decoder import LONGEST_CONCEALMENT, PacketDecoder

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
    made = np.concatenate([decoder.conceal(FRAME // 2) for _ in range(30)])
    end = int(LONGEST_CONCEALMENT * RATE)
    assert np.abs(made[:FRAME]).max() > 0.2 * np.abs(last).max()
    assert not made[end:].any()
    assert np.abs(made[end - FRAME // 2 : end]).max() < 0.1 * np.abs(last).max()


def test_what_was_concealed_in_part_fades_over_into_the_rebuilt_rest():
    stream = packets(seconds=1.0)
    lost = next(n for n in range(20, 45) if has_fec(stream[n + 1].payload))
    decoder = PacketDecoder(RATE)
    for packet in stream[:lost]:
        decoder.decode(packet.payload, FRAME)
    concealed = decoder.conceal(FRAME // 2)
    rest = decoder.recover(stream[lost + 1].payload, FRAME, FRAME // 2)
    after = decoder.decode(stream[lost + 1].payload, FRAME)
    assert (len(rest), len(after)) == (FRAME // 2, FRAME)
    steps = np.abs(np.diff(np.concatenate((concealed, rest, after)).astype(int)))
    assert steps[FRAME // 2 - 3 : FRAME // 2 + 3].max() <= np.abs(np.diff(after.astype(int))).max()


def test_after_a_skip_the_voice_rises_from_silence():
    decoder, plain = PacketDecoder(RATE), PacketDecoder(RATE)
    for packet in packets(seconds=0.5)[:20]:
        decoder.decode(packet.payload, FRAME)
        expected = plain.decode(packet.payload, FRAME)
    decoder.fade_in()
    for again in (decoder, plain):
        risen, expected = expected, again.decode(packet.payload, FRAME)
    assert risen[0] == 0
    assert np.abs(risen[:20]).max() < 0.2 * np.abs(expected[:20]).max() + 2
    assert np.array_equal(risen[FRAME // 2 :], expected[FRAME // 2 :])


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
