"""Maps of saliency: blurs, sums over channels, peaks, and averages over another grid."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from jax_mixup import _geometry, _maps

NOISE = np.random.default_rng(0).uniform(size=(3, 40, 33)).astype(np.float32)


@pytest.mark.parametrize("sigma", [0.3, 1.8, 2.5, 6.0])  # by a few taps, and by a matrix
def test_a_blur_is_a_gaussian_of_what_is_inside(sigma):
    far = {"mode": "constant", "truncate": 12}
    blurred = [ndimage.gaussian_filter(x.astype(float), sigma, **far) for x in NOISE]
    inside = ndimage.gaussian_filter(np.ones(NOISE.shape[1:]), sigma, **far)
    found = jax.jit(_maps.smoothed, static_argnums=(0, 2))("f", NOISE, sigma)
    np.testing.assert_allclose(found, np.stack(blurred) / inside, rtol=1e-5)


@pytest.mark.parametrize("channels", [1, 3, 20])
def test_sums_over_channels(channels):
    x = np.random.default_rng(1).normal(size=(2, 5, channels)).astype(np.float32)
    np.testing.assert_allclose(_maps.over_channels(jnp.asarray(x)), x.sum(-1), atol=1e-5)


def test_the_peak_is_the_first_of_the_greatest():
    x = np.random.default_rng(2).integers(0, 4, (50, 3, 4, 5)).astype(np.float32)
    x[7, 1, 2, 3] = np.nan  # as argmax has it
    expected = np.stack(np.unravel_index(x.reshape(50, -1).argmax(1), x.shape[1:]), axis=1)
    np.testing.assert_array_equal(_maps.peak(jnp.asarray(x)), expected)
    line = jnp.asarray(x.reshape(50, -1))
    np.testing.assert_array_equal(_maps.peak(line)[:, 0], x.reshape(50, -1).argmax(1))


@pytest.mark.parametrize("spatial", [(20, 33), (7, 5), (64, 40), (13, 1)])
def test_an_average_counts_positions_by_their_overlap(spatial):
    fine = NOISE
    for axis, new in enumerate(spatial, start=1):  # each position and each cell, in equal parts
        fine = np.repeat(fine, new, axis=axis)
        parts = fine.shape[axis] // new
        shape = (*fine.shape[:axis], new, parts, *fine.shape[axis + 1 :])
        fine = fine.reshape(shape).mean(axis=axis + 1)
    found = _geometry.area_average(jnp.asarray(NOISE), spatial)
    np.testing.assert_allclose(found, fine, rtol=1e-5)
