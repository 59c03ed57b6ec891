"""Noisy mixup."""

from functools import partial

import numpy as np
import pytest

import jax_mixup as jm
from tests.library.statistics import HALF, draws, seed, within

THIRD = jm.constant(0.3)


def test_noise_is_added_to_the_weight_of_a_mixup():
    sampler = partial(jm.sample_noisymixup, noise=0.05, lam_law=THIRD)
    mix = draws(sampler, (5, 7), 400)
    mask = np.asarray(mix.mask, np.float64)
    within(mask, 0.3)
    within((mask - 0.3) ** 2, 0.05**2)
    within((mask[:, 0, 0] - 0.3) * (mask[:, 0, 1] - 0.3), 0.0)  # each position its own
    np.testing.assert_allclose(mix.lam, mask.mean(axis=(1, 2)), rtol=1e-6)
    wide = draws(partial(jm.sample_noisymixup, noise=1.0, lam_law=HALF), (99,), 2).mask
    assert wide.min() == 0 and wide.max() == 1  # clipped
    off = draws(partial(jm.sample_noisymixup, alpha=0.0), (9,), 2)
    assert (off.mask == 1).all() and (off.lam == 1).all()
    with pytest.raises(ValueError, match="noise=-1"):
        jm.sample_noisymixup(seed(1), (2, 9), noise=-1.0)
