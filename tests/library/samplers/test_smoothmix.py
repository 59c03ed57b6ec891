"""SmoothMix: a Gaussian spot of uniform width."""

import numpy as np
import pytest

import jax_mixup as jm
from tests.library.by_hand import gaussian
from tests.library.statistics import draws, seed, within


def test_smoothmix_is_a_spot_anywhere_of_uniform_width():
    spatial = (4, 6)
    mix = draws(jm.sample_smoothmix, spatial, 4000)
    mask = np.asarray(mix.mask, np.float64)
    flat = mask.reshape(4000, -1)
    centre = flat.argmin(axis=1)
    assert (flat.min(axis=1) == 0).all()
    for place in range(24):
        within(centre == place, 1 / 24)
    # The neighbour along the second axis, whichever side it lies, is 1/6 of the axis away.
    row, column = np.divmod(centre, 6)
    neighbour = mask[np.arange(4000), row, np.where(column > 0, column - 1, 1)]
    sigma = np.sqrt(-0.5 / 36 / np.log(1 - neighbour))
    assert sigma.min() > 0.2499 and sigma.max() < 0.5001
    within(sigma, 0.375)
    within((sigma - 0.375) ** 2, 0.25**2 / 12)
    for i in range(5):
        spot = gaussian(spatial, (row[i], column[i]), sigma[i] * np.sqrt(2 * np.pi))
        np.testing.assert_allclose(mask[i], 1 - spot, atol=1e-5)
        np.testing.assert_allclose(mix.lam[i], 1 - spot.mean(), rtol=1e-5)
    for sigma in ((0.0, 0.5), (0.5, 0.25)):
        with pytest.raises(ValueError, match="0 < low <= high"):
            jm.sample_smoothmix(seed(1), (2, 8), sigma=sigma)
