"""Decoding that cannot fail, and concealment that fades."""

from __future__ import annotations

import numpy as np
import pytest
from network import RATE, packets

from rtcvoice.playout.decoder import LONGEST_CONCEALMENT, PacketDecoder
from rtcvoice.sound.opus import Decoder, Encoder, has_fec

TONE = (8000 * np.sin(np.arange(2 * RATE) * 2 * np.pi * 210 / RATE)).astype(np.int16)
FRAME = RATE // 50
MERGE = RATE // 100  # more than what was invented takes to fade over into what comes


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
    invented = decoder.decode(garbage, FRAME)
    assert len(invented) == FRAME
    assert np.array_equal(invented[: FRAME // 2], reference.conceal(FRAME)[: FRAME // 2])
    assert decoder.errors == 1
    after = decoder.decode(stream[13].payload, FRAME)
    assert np.array_equal(after[MERGE:], reference.decode(stream[13].payload)[MERGE:])
    assert len(decoder.recover(garbage, FRAME)) == FRAME


def loudness(samples: np.ndarray) -> float:
    return float(np.sqrt(np.mean(samples.astype(float) ** 2)))


@pytest.mark.parametrize("begins", [0.3, 0.305, 0.31])
def test_a_loss_right_after_the_onset_of_a_voice_leaves_no_hole(begins):
    """libopus falls silent there within 10 ms."""
    samples = TONE.copy()
    samples[: int(begins * RATE)] = 0
    stream = packets(samples, encoder=Encoder(RATE, fec=False))[:16]
    decoder, plain = PacketDecoder(RATE), Decoder(RATE)
    for packet in stream:
        last = decoder.decode(packet.payload, FRAME)
        plain.decode(packet.payload)
    before = loudness(last[-FRAME // 2 :])
    assert loudness(plain.conceal(FRAME)[FRAME // 2 :]) < 0.05 * before
    made = np.concatenate([decoder.conceal(FRAME // 2) for _ in range(6)])
    assert min(loudness(part) for part in made.reshape(6, -1)) > 0.3 * before


def test_a_long_concealment_fades_to_silence_without_a_step():
    decoder = PacketDecoder(RATE)
    for packet in packets(seconds=0.3):
        last = decoder.decode(packet.payload, FRAME)
    made = np.concatenate([decoder.conceal(FRAME // 2) for _ in range(50)])
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


def step(samples: np.ndarray) -> int:
    return int(np.abs(np.diff(samples.astype(int))).max())


def test_after_a_skip_the_voice_fades_over():
    stream = packets(TONE)
    decoder, plain = PacketDecoder(RATE), PacketDecoder(RATE)
    for packet in stream[:20]:
        before = decoder.decode(packet.payload, FRAME)
        plain.decode(packet.payload, FRAME)
    decoder.merge()
    merged = decoder.decode(stream[24].payload, FRAME)
    hard = plain.decode(stream[24].payload, FRAME)
    assert step(np.concatenate((before, merged))) < 1.5 * step(before)
    assert np.array_equal(merged[MERGE:], hard[MERGE:])


@pytest.mark.parametrize("lost", [1, 2, 3, 5, 8, 12])
@pytest.mark.parametrize("fec", [False, True])
def test_what_was_invented_fades_over_into_what_comes(lost, fec):
    decoder = PacketDecoder(RATE)
    stream = packets(TONE, encoder=Encoder(RATE, fec=fec, loss_percent=20))
    heard = [decoder.decode(packet.payload, FRAME) for packet in stream[:20]]
    calm = step(heard[-1])
    heard += [decoder.conceal(FRAME // 2) for _ in range(2 * lost - fec)]
    if fec:
        heard.append(decoder.recover(stream[20 + lost].payload, FRAME, FRAME // 2))
    heard += [decoder.decode(packet.payload, FRAME) for packet in stream[20 + lost :][:10]]
    assert step(np.concatenate(heard[15:])) < 1.7 * calm


def over_a_hole(stream, lost: int, *, led: bool) -> tuple[np.ndarray, np.ndarray]:
    """What is invented for packets 12 to 12 + `lost`, and what follows."""
    decoder = PacketDecoder(RATE)
    for packet in stream[:12]:
        decoder.decode(packet.payload, FRAME)
    following, made = stream[12 + lost].payload, []
    for block in range(2 * lost):
        if led:
            decoder.lead_to(following, (2 * lost - block) * FRAME // 2)
        made.append(decoder.conceal(FRAME // 2))
    return np.concatenate(made), decoder.decode(following, FRAME)


@pytest.mark.parametrize("lost", [1, 2, 4, 8])
def test_a_hole_leads_to_what_comes_after_it(lost):
    """A voice that begins in the hole is heard before its packet, and there is no step."""
    samples = TONE.copy()
    samples[: int((12 + lost / 2) * FRAME)] //= 50
    stream = packets(samples, encoder=Encoder(RATE, fec=False))
    (made, after), (alone, plain) = (over_a_hole(stream, lost, led=led) for led in (True, False))
    quarter = FRAME // 4
    assert loudness(alone[-quarter:]) < 0.1 * loudness(after[FRAME // 2 :])
    assert loudness(made[-quarter:]) > 0.5 * loudness(after[FRAME // 2 :])
    assert step(np.concatenate((made, after))) < 1.7 * step(after[FRAME // 2 :])
    assert np.array_equal(after[MERGE:], plain[MERGE:])  # the decoder is where it would be


def test_a_hole_leads_to_what_fec_rebuilds():
    stream = packets(TONE, encoder=Encoder(RATE, fec=True, loss_percent=20))
    assert has_fec(stream[15].payload)
    decoder = PacketDecoder(RATE)
    heard = [decoder.decode(packet.payload, FRAME) for packet in stream[:12]]
    for block in range(4):
        decoder.lead_to(stream[15].payload, (4 - block) * FRAME // 2, FRAME)
        heard.append(decoder.conceal(FRAME // 2))
    heard.append(decoder.recover(stream[15].payload, FRAME))
    heard.append(decoder.decode(stream[15].payload, FRAME))
    assert loudness(np.concatenate(heard[12:16])) > 0.5 * loudness(heard[11])
    assert step(np.concatenate(heard[10:])) < 1.7 * step(heard[11])


@pytest.mark.parametrize("garbage", [b"", b"\xff\xff\xff"])
def test_a_hole_before_garbage_is_concealed_as_ever(garbage):
    one, other = PacketDecoder(RATE), PacketDecoder(RATE)
    for packet in packets(TONE)[:12]:
        one.decode(packet.payload, FRAME)
        other.decode(packet.payload, FRAME)
    for _ in range(6):
        one.lead_to(garbage, FRAME)
        assert np.array_equal(one.conceal(FRAME // 2), other.conceal(FRAME // 2))


def test_any_length_is_invented_without_a_seam():
    """libopus invents 10 ms at a time in a voice's wake; what is asked for may be less."""
    in_pieces, at_once = PacketDecoder(RATE), PacketDecoder(RATE)
    for packet in packets(TONE)[:15]:
        in_pieces.decode(packet.payload, FRAME)
        at_once.decode(packet.payload, FRAME)
    expected = [at_once.conceal(FRAME // 2) for _ in range(8)]
    lengths, made = [1, 137, 60, 2, 240, 239, 141, 233, 180, 240, 60, 240, 147], []
    for length in lengths:
        made.append(in_pieces.conceal(length))
        assert len(made[-1]) == length
    assert np.array_equal(np.concatenate(made), np.concatenate(expected))


def test_a_voice_that_ends_is_silent_and_rises_from_there():
    stream = packets(TONE)
    decoder = PacketDecoder(RATE)
    for packet in stream[:20]:
        before = decoder.decode(packet.payload, FRAME)
    ending = decoder.end(FRAME // 2)
    assert abs(int(ending[-1])) < 0.02 * np.abs(before).max()
    assert not decoder.conceal(FRAME // 2).any()
    after = decoder.decode(stream[24].payload, FRAME)
    assert step(np.concatenate((before, ending, [0, 0], after))) < 1.7 * step(before)


def test_reset_forgets_the_voice():
    decoder = PacketDecoder(RATE)
    for packet in packets(seconds=0.5):
        decoder.decode(packet.payload, FRAME)
    decoder.reset()
    assert not decoder.conceal(FRAME).any()
