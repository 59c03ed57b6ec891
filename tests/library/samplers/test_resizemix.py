"""ResizeMix."""

import jax
import numpy as np
import pytest

import jax_mixup as jm

KEY = jax.random.key(5)


def test_resizemix_has_its_law():
    n, size = 20_000, 200
    sample = jax.jit(lambda key: jm.sample_resizemix(key, (n, size), per="example").lam)
    side = 1 - np.asarray(sample(KEY), np.float64)
    assert side.min() >= 0.1 - 0.5 / size and side.max() <= 0.8 + 0.5 / size
    assert abs(side.mean() - 0.45) < 5 * (0.7 / np.sqrt(12)) / np.sqrt(n)
    mix = jax.jit(lambda key: jm.sample_resizemix(key, (n, 64, 64), per="example").lam)(KEY)
    expected = (0.8**3 - 0.1**3) / (3 * 0.7)  # E τ²
    assert abs((1 - mix).mean() - expected) < 5 * float(mix.std()) / np.sqrt(n) + 1 / 64**2


def test_bad_scales():
    with pytest.raises(ValueError, match="low <= high"):
        jm.sample_resizemix(KEY, (2, 4), scale=(0.5, 0.2))
