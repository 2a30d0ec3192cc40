"""A voice-like test signal: Opus treats it as speech, and FEC and concealment have work to do."""

from __future__ import annotations

import numpy as np


def speech(seconds: float, rate: int = 24000, seed: int = 1) -> np.ndarray:
    """Return int16 mono "syllables": a gliding pulse train through formants, with short pauses."""
    rng = np.random.default_rng(seed)
    count = int(seconds * rate)
    time = np.arange(count) / rate
    pitch = 120 + 25 * np.sin(2 * np.pi * 0.7 * time) + 10 * np.sin(2 * np.pi * 2.3 * time)
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    wave = np.zeros(count)
    for harmonic in range(1, 28):
        gain = sum(
            np.exp(
                -(((harmonic * pitch - centre * (1 + 0.2 * np.sin(2 * np.pi * time))) / 180) ** 2)
            )
            for centre in (500.0, 1500.0, 2500.0)
        )
        wave += (gain + 0.02) * np.sin(harmonic * phase)
    syllables = np.clip(1.3 * np.sin(2 * np.pi * 2.2 * time) + 0.4, 0, 1)
    wave = wave * syllables + rng.normal(0, 0.002, count)
    return (wave / np.abs(wave).max() * 16000).astype(np.int16)


def correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Return how alike two signals of the same length are, 1.0 being the same shape."""
    a, b = first.astype(float), second.astype(float)
    return float(a @ b / (np.sqrt((a @ a) * (b @ b)) + 1e-9))


def best_lag(heard: np.ndarray, wanted: np.ndarray, lags: range) -> tuple[int, float]:
    """Return where in `heard`, within `lags`, `wanted` is found, and their correlation there."""
    last = min(lags[-1] + len(wanted), len(heard))
    stretch = heard[lags[0] : last].astype(float)
    size = 1 << (len(stretch) + len(wanted)).bit_length()
    spectrum = np.fft.rfft(stretch, size) * np.conj(np.fft.rfft(wanted.astype(float), size))
    products = np.fft.irfft(spectrum, size)[: len(stretch) - len(wanted) + 1]
    energies = np.cumsum(np.concatenate(([0.0], stretch**2)))
    powers = energies[len(wanted) :] - energies[: len(products)]
    alike = products / (np.sqrt(powers * float(wanted.astype(float) @ wanted)) + 1e-9)
    return lags[0] + int(np.argmax(alike)), float(np.max(alike))
