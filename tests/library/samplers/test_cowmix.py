"""CowMix: blobs of blurred noise."""

from functools import partial

import jax.numpy as jnp
import numpy as np
import pytest

import jax_mixup as jm
from tests.library.statistics import HALF, draws, seed, within


def test_blobs_have_the_share_and_the_size_asked_for():
    law = jm.constant(jnp.array([0.3, 0.0, 1.0]))
    shares = draws(partial(jm.sample_cowmix, lam_law=law), (10, 21), 3)
    assert shares.lam.tolist() == [np.float32(0.3), 0, 1]
    edges = {}
    for sigma in (1.0, 4.0):
        mask = draws(partial(jm.sample_cowmix, lam_law=HALF, sigma=(sigma, sigma)), (64, 64), 40)
        edges[sigma] = np.diff(np.asarray(mask.mask, int), axis=2).__abs__().mean()
    # Neighbours of a blurred Gaussian field correlate by exp(-1 / 4σ²), and signs differ with
    # probability arccos(r) / π.
    for sigma, found in edges.items():
        assert abs(found / (np.arccos(np.exp(-1 / (4 * sigma**2))) / np.pi) - 1) < 0.08
    # σ is uniform in its logarithm: not one of the bounds, and not uniform itself.
    mask = np.asarray(
        draws(partial(jm.sample_cowmix, lam_law=HALF, sigma=(1.0, 16.0)), (64, 64), 300).mask
    )
    found = (np.diff(mask.astype(int), axis=2) != 0).mean((1, 2))
    sigma = np.exp(np.linspace(0, np.log(16), 1001))
    within(found, (np.arccos(np.exp(-1 / (4 * sigma**2))) / np.pi).mean())
    for sigma in ((0.0, 1.0), (2.0, 1.0)):
        with pytest.raises(ValueError, match="0 < low <= high"):
            jm.sample_cowmix(seed(1), (2, 8), sigma=sigma)
    with pytest.raises(ValueError, match="one to three"):
        jm.sample_cowmix(seed(1), (2, 8, 8, 8, 8))


def test_a_wide_blur_keeps_its_digits():
    """Only the lowest frequency is left, some 1e-9 of the noise: half of a circle, anywhere on it.

    Next to the noise's mean it would be below float32's rounding.
    """
    mix = draws(partial(jm.sample_cowmix, lam_law=HALF, sigma=(16.0, 16.0)), (16,), 64)
    mask = np.asarray(mix.mask).astype(int)
    assert (mask.sum(axis=1) == 8).all()
    assert (np.abs(mask - np.roll(mask, 1, axis=1)).sum(axis=1) == 2).all()
    assert len({row.tobytes() for row in mask}) > 10
