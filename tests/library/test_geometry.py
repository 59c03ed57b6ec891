"""What masks are made of: the largest values, blurs, spots."""

import jax
import jax.numpy as jnp
import numpy as np
from scipy import ndimage

from jax_mixup import _geometry


def test_the_largest_are_the_largest_and_of_equal_ones_the_first():
    x = np.random.default_rng(0).normal(size=(9, 4, 5)).round(1).astype(np.float32)
    x[1], x[2] = 0.0, -1.5
    lam = np.array([0, 0.11, 0.25, 0.31, 0.5, 0.66, 0.75, 0.97, 1], np.float32)
    found = jax.jit(_geometry.mark_largest)(jnp.asarray(x), jnp.asarray(lam))
    for values, share, mask in zip(x.reshape(9, -1), lam, np.asarray(found), strict=True):
        order = sorted(range(20), key=lambda i, v=values: (-v[i], i))
        kept = set(order[: round(20 * float(share))])
        assert mask.ravel().tolist() == [i in kept for i in range(20)]


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
