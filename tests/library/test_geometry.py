"""What masks are made of: the largest values, blurs, spots."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from jax_mixup import _geometry


@pytest.mark.parametrize("threshold", [_geometry._by_bits, _geometry._by_digits])
@pytest.mark.parametrize("shape", [(5, 1), (5, 7), (6, 4, 9), (2, 1000)])
@pytest.mark.parametrize("values", [1, 5, 1000], ids=["all equal", "ties", "few ties"])
def test_the_largest_are_those_of_a_stable_sort(monkeypatch, threshold, shape, values):
    """On CPU bit by bit, elsewhere by digits: here both, on this machine."""
    monkeypatch.setattr(_geometry, "_threshold", threshold)
    jax.clear_caches()  # of what was compiled with the other
    rng = np.random.default_rng(0)
    x = rng.integers(-values // 2, values // 2 + 1, shape).astype(np.float32)
    lam = rng.uniform(size=shape[0]).astype(np.float32)
    lam[[0, -1]] = 0, 1
    marked = np.asarray(_geometry.mark_largest(jnp.asarray(x), jnp.asarray(lam)))
    for row, share, found in zip(x.reshape(len(x), -1), lam, marked, strict=True):
        expected = np.zeros(row.size, bool)
        expected[np.argsort(-row, kind="stable")[: round(float(share) * row.size)]] = True
        np.testing.assert_array_equal(found.reshape(-1), expected)


def test_the_blur_is_gaussian():
    noise = np.random.default_rng(0).normal(size=(2, 24, 31)).astype(np.float32)
    sigma = np.array([1.5, 3.0], np.float32)
    for x, s, found in zip(
        noise, sigma, _geometry.blur(jnp.asarray(noise), jnp.asarray(sigma)), strict=True
    ):
        expected = ndimage.gaussian_filter(x, s, mode="wrap", truncate=8)
        np.testing.assert_allclose(found, expected, atol=2e-3 * expected.std())


def test_a_spot_far_from_the_border_holds_its_share():
    lam = jnp.array([0.02, 0.1])
    bump = jax.jit(_geometry.bump, static_argnums=2)
    _, mean = bump(jnp.full((2, 2), 0.5), jnp.sqrt(lam), (101, 51))
    np.testing.assert_allclose(mean, lam, rtol=1e-3)
