"""How well each call of `bench_calls` was heard, at both ends; no script of its own.

Speech is what the other end says over and over. Of each call, a stretch of 8 s is found in it and
judged by PESQ; of the uplink also how late its packets came, and how many there were.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

RATE = 24000
TICKS = 48000
JUDGED = 8 * RATE
"""Samples of each call that are judged."""


class Packet(NamedTuple):
    """One packet of an uplink: when it came, and what was in it."""

    arrival: float
    timestamp: int
    payload: bytes


def judged(heard: Any, speech: Any) -> float:
    """PESQ of int16 mono at 24 kHz that is a stretch of `speech`, said again and again."""
    import numpy as np
    from bench_measure import pesq_of

    from rtcvoice.sound.resampler import resampler

    def wide(samples: Any) -> Any:
        return resampler(from_rate=RATE, to_rate=16000).process(samples)

    heard = heard[:JUDGED]
    if len(heard) < JUDGED // 2 or not heard.any():
        return 1.04
    said = np.concatenate((speech, speech))[: len(speech) + len(heard)]
    size = 1 << (len(said) + len(heard)).bit_length()
    spectrum = np.fft.rfft(said.astype(np.float32), size)
    spectrum *= np.conj(np.fft.rfft(heard.astype(np.float32), size))
    alike = np.fft.irfft(spectrum, size)[: len(speech)]
    begin = int(np.argmax(alike))
    wanted = said[begin : begin + len(heard)]
    return pesq_of(wide(wanted), wide(heard[: len(wanted)]))


def uplink(packets: Sequence[Packet], speech: Any) -> dict[str, float]:
    """What a receiver that waits for nothing would make of these packets, in order of arrival."""
    import numpy as np

    from rtcvoice.sound.opus import Decoder

    if len(packets) < 50:
        return {"pesq": 1.04, "late_ms": 0.0, "missing": 1.0}
    origin = packets[0].timestamp
    ordered = sorted(((p.timestamp - origin + 2**31) % 2**32 - 2**31, p) for p in packets)
    decoder, heard, due = Decoder(RATE), [], ordered[0][0]
    for ticks, packet in ordered:
        if ticks - due > 4 * TICKS:
            break
        while due < ticks:  # what was left out or lost
            heard.append(decoder.conceal(RATE // 50))
            due += TICKS // 50
        heard.append(decoder.decode(packet.payload))
        due = ticks + TICKS // 50
    delays = np.array([packet.arrival - ticks / TICKS for ticks, packet in ordered])
    expected = (ordered[-1][0] - ordered[0][0]) * 50 // TICKS + 1
    return {
        "pesq": judged(np.concatenate(heard), speech),
        "late_ms": 1000 * float(np.percentile(delays, 95) - delays.min()),
        "missing": 1 - len(ordered) / expected,
    }
