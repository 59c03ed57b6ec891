"""FadeMix: linear fades."""

import numpy as np
import pytest

import jax_mixup as jm
from tests.library.statistics import HALF, draws, seed, within


def test_a_fade_is_linear_and_its_mean_is_lambda():
    mix = draws(jm.sample_fademix, (9, 4, 4), 4000)
    mask, lam = np.asarray(mix.mask, np.float64), np.asarray(mix.lam)
    assert mask.shape == (4000, 9)
    np.testing.assert_allclose(np.diff(mask, n=2), 0, atol=1e-6)
    np.testing.assert_allclose(mask.mean(axis=1), lam, atol=1e-6)
    g = np.minimum(lam, 1 - lam)
    slope = (mask[:, -1] - lam)[g > 1e-3] / g[g > 1e-3]
    assert np.abs(slope).max() <= 1 + 1e-3
    within(slope, 0.0)
    within(slope**2, 1 / 3)  # γ / g ~ U(-1, 1)
    other = jm.sample_fademix(seed(1), (2, 5, 6), axis=2, lam_law=HALF)
    assert other.mask.shape == (1, 5, 6) and (other.mask == other.mask[:, :1]).all()
    one = jm.sample_fademix(seed(1), (2, 1, 8), lam_law=HALF)
    np.testing.assert_array_equal(one.mask, [[0.5]])
    with pytest.raises(ValueError, match="from 1 to 2"):
        jm.sample_fademix(seed(1), (2, 5, 6), axis=0)
