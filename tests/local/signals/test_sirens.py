"""Sirens of many makes and what is taken for them: finite, of full scale, another at each draw."""

import numpy as np
import pytest

from local.signals import everyday, sirens
from schemas.features import SAMPLE_HZ

MAKERS = [sirens.any_siren, everyday.bang, *everyday.NOT_ALARMS]


@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_each_draw_is_another_sound_of_full_scale(make):
    waves = [make(np.random.default_rng(seed), 2.0) for seed in range(12)]
    for wave in waves:
        assert (wave.shape, wave.dtype) == ((2 * SAMPLE_HZ,), np.float32)
        assert np.abs(wave).max() == pytest.approx(1.0, abs=1e-3)
    assert len({wave.tobytes() for wave in waves}) == len(waves)


def test_a_siren_is_a_tone_and_rain_is_not():
    def peakiness(wave: np.ndarray) -> float:
        """Power of the strongest bin of 64 ms, over the mean of all bins, the median over time."""
        frames = wave[: wave.size // 1024 * 1024].reshape(-1, 1024) * np.hanning(1024)
        power = np.abs(np.fft.rfft(frames, axis=1)) ** 2 + 1e-9
        return float(np.median(power.max(axis=1) / power.mean(axis=1)))

    rng = np.random.default_rng(3)
    tones = np.median([peakiness(sirens.any_siren(rng, 2.0)) for _ in range(20)])
    hiss = np.median([peakiness(everyday.rain(rng, 2.0)) for _ in range(20)])
    assert tones > 4 * hiss
