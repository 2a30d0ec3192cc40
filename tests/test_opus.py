"""libopus through ctypes: round trips, FEC, concealment, settings, and what it makes of garbage."""

from __future__ import annotations

import gc
from importlib.machinery import ModuleSpec

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from signals import correlation, speech

from rtcvoice.errors import ConfigError
from rtcvoice.sound import opus
from rtcvoice.sound.opus import Decoder, Encoder, OpusError, has_fec, packet_samples
from rtcvoice.sound.samples import OPUS_RATES

RATE = 24000
FRAME = RATE // 50


def encode_all(encoder: Encoder, samples: np.ndarray) -> list[bytes]:
    frame = encoder.rate // 50
    return [
        encoder.encode(samples[at : at + frame]) for at in range(0, len(samples) - frame + 1, frame)
    ]


def fec_share(packets: list[bytes]) -> float:
    return sum(map(has_fec, packets)) / len(packets)


def best_correlation(heard: np.ndarray, said: np.ndarray, most: int = 400) -> float:
    return max(correlation(heard[lag:], said[: len(said) - lag]) for lag in range(1, most))


def test_it_is_the_libopus_of_pyav():
    assert opus.version().startswith("libopus 1.")


@pytest.mark.parametrize("rate", OPUS_RATES)
def test_round_trip_at_every_rate(rate):
    said = speech(1.0, rate)
    packets = encode_all(Encoder(rate), said)
    decoder = Decoder(rate)
    heard = np.concatenate([decoder.decode(packet) for packet in packets])
    assert heard.dtype == np.int16
    assert len(heard) == len(said)
    assert packet_samples(packets[0], rate) == rate // 50
    assert best_correlation(heard, said, rate // 60) > 0.9


def test_fec_rides_along_only_when_loss_is_expected():
    said = speech(3.0)
    assert fec_share(encode_all(Encoder(RATE), said)) > 0.5
    assert fec_share(encode_all(Encoder(RATE, loss_percent=0), said)) == 0
    assert fec_share(encode_all(Encoder(RATE, fec=False), said)) == 0


def test_settings_change_during_a_call():
    said = speech(3.0)
    encoder = Encoder(RATE, loss_percent=0)
    before = encode_all(encoder, said)
    encoder.loss_percent = 10
    encoder.bitrate = 24000
    encoder.complexity = 2
    after = encode_all(encoder, said)
    assert fec_share(before) == 0
    assert fec_share(after) > 0.5
    assert sum(map(len, after)) < 0.9 * sum(map(len, before))
    assert (encoder.bitrate, encoder.complexity, encoder.loss_percent) == (24000, 2, 10)
    encoder.fec = False
    assert fec_share(encode_all(encoder, said)[5:]) == 0
    with pytest.raises(OpusError, match="invalid argument"):
        encoder.complexity = 11
    assert encoder.complexity == 2


def test_plain_coding_has_no_fec_and_can_be_had_for_a_while():
    said, encoder = speech(3.0), Encoder(RATE, bitrate=64000, loss_percent=20)
    assert fec_share(encode_all(encoder, said)) > 0.5
    encoder.plain = True
    packets = encode_all(encoder, said)[5:]
    assert all(packet[0] >= 0x80 for packet in packets)  # CELT alone (RFC 6716 §3.1)
    encoder.fec = True  # changes nothing meanwhile
    assert fec_share(encode_all(encoder, said)) == 0
    encoder.plain = False
    assert fec_share(encode_all(encoder, said)) > 0.5


def test_recovery_beats_concealment():
    said = speech(3.0)
    packets = encode_all(Encoder(RATE, loss_percent=20), said)
    reference = Decoder(RATE)
    truth = [reference.decode(packet) for packet in packets]
    recovered, concealed = [], []
    for lost in range(20, 140, 10):
        if not has_fec(packets[lost + 1]):
            continue
        for make, out in (("recover", recovered), ("conceal", concealed)):
            decoder = Decoder(RATE)
            for packet in packets[:lost]:
                decoder.decode(packet)
            made = (
                decoder.recover(packets[lost + 1], FRAME)
                if make == "recover"
                else decoder.conceal(FRAME)
            )
            assert len(made) == FRAME
            out.append(correlation(made, truth[lost]))
    assert len(recovered) >= 4
    assert np.median(recovered) > 0.9
    assert np.median(recovered) > np.median(concealed)


def test_recover_without_a_spare_copy_conceals():
    packets = encode_all(Encoder(RATE, fec=False), speech(1.0))
    first, second = Decoder(RATE), Decoder(RATE)
    for decoder in (first, second):
        for packet in packets[:20]:
            decoder.decode(packet)
    assert np.array_equal(first.recover(packets[21], FRAME), second.conceal(FRAME))


def test_foreseeing_leaves_the_stream_where_it_is():
    packets = encode_all(Encoder(RATE), speech(0.5, RATE))
    asked, plain = Decoder(RATE), Decoder(RATE)
    for packet in packets[:12]:
        asked.decode(packet)
        plain.decode(packet)
    foreseen = asked.foresee(FRAME)
    assert foreseen.any()
    assert np.array_equal(foreseen, asked.foresee(FRAME))
    with pytest.raises(OpusError):
        asked.foresee(FRAME + 1)
    for packet in packets[12:]:
        assert np.array_equal(asked.decode(packet), plain.decode(packet))
    assert not np.array_equal(foreseen, asked.conceal(FRAME))


def test_reset_begins_another_stream():
    packets = encode_all(Encoder(RATE), speech(1.0))
    used, fresh = Decoder(RATE), Decoder(RATE)
    for packet in packets:
        used.decode(packet)
    used.reset()
    for packet in packets[:10]:
        assert np.array_equal(used.decode(packet), fresh.decode(packet))


def test_results_do_not_share_memory():
    packets = encode_all(Encoder(RATE), speech(0.5))
    decoder = Decoder(RATE)
    first = decoder.decode(packets[10])
    kept = first.copy()
    decoder.decode(packets[11])
    assert np.array_equal(first, kept)


def test_wrong_arguments():
    with pytest.raises(ConfigError, match="44100"):
        Decoder(44100)
    with pytest.raises(ConfigError, match="22050"):
        Encoder(22050)
    encoder, decoder = Encoder(RATE), Decoder(RATE)
    with pytest.raises(OpusError, match="float32"):
        encoder.encode(np.zeros(FRAME, np.float32))
    with pytest.raises(OpusError, match="invalid argument"):
        encoder.encode(np.zeros(FRAME - 1, np.int16))
    with pytest.raises(OpusError, match="120 ms"):
        decoder.conceal(RATE)
    with pytest.raises(OpusError, match="invalid argument"):
        decoder.conceal(FRAME + 1)
    for refused in (decoder.decode, lambda data: decoder.recover(data, FRAME)):
        with pytest.raises(OpusError, match="empty"):
            refused(b"")


def test_a_strided_view_is_encoded_as_it_reads():
    said = speech(0.2)
    stereo = np.repeat(said, 2)
    plain, strided = Encoder(RATE), Encoder(RATE)
    assert encode_all(plain, said) == encode_all(strided, stereo[::2])


@settings(deadline=None, max_examples=150)
@given(st.binary(max_size=200))
def test_garbage_raises_opus_error_or_decodes(data):
    decoder = Decoder(RATE)
    for call in (
        lambda: packet_samples(data, RATE),
        lambda: len(decoder.decode(data)),
        lambda: len(decoder.recover(data, FRAME)),
    ):
        try:
            assert 0 < call() <= RATE * 120 // 1000
        except OpusError as error:
            assert str(error)  # noqa: PT017
    assert has_fec(data) in (True, False)
    assert len(decoder.conceal(FRAME)) == FRAME


def test_a_missing_library_names_the_cure(monkeypatch):
    monkeypatch.setattr(opus.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(opus.ctypes.util, "find_library", lambda name: None)
    with pytest.raises(OpusError, match="pip install"):
        opus._path.__wrapped__()
    monkeypatch.setattr(opus, "_path", lambda: "/nonexistent/libopus.so")
    with pytest.raises(OpusError, match="cannot be loaded"):
        opus._load(opus.ctypes.CDLL)


def test_handles_are_freed_with_their_objects():
    resource = pytest.importorskip("resource")
    for _ in range(200):
        Encoder(48000)
        Decoder(48000)
    gc.collect()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(3000):
        Encoder(48000)
        Decoder(48000)
    # An encoder and a decoder weigh some 60 kB together; leaking would cost 180 MB.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000


@pytest.mark.parametrize("place", ["av.libs", "av/.dylibs", "av"])
def test_libopus_is_found_beside_pyav(place, tmp_path, monkeypatch):
    library = tmp_path / place / "libopus-114e2b1a.so.0"
    library.parent.mkdir(parents=True)
    library.touch()
    spec = ModuleSpec("av", None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path / "av")]
    monkeypatch.setattr(opus.importlib.util, "find_spec", lambda name: spec)
    assert opus._path.__wrapped__() == str(library)
