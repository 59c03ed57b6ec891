"""What adjusts a mix does so for each example, in whatever order they come."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_mixup as jm


def weighed(mix, ids, x):
    """Each other weight for the same mix."""
    counts = jnp.array([9, 1, 30])
    level, valid = jnp.abs(x).mean(axis=1), x > -0.5
    return (
        jm.remix(mix, ids, counts),
        jm.mamix(mix, ids, counts),
        jm.balance(mix, level),
        jm.reweigh(mix, valid),
        jm.keep_overlap(mix, valid),
        jm.keep_local(mix, x, radius=2.0),
        jm.warp_by_distance(mix, x),
    )


@pytest.mark.parametrize("n", [1, 5])
def test_rows_in_another_order_have_their_weights_in_that_order(n):
    traces = []

    @jax.jit
    def run(partner, lam, ids, x):
        traces.append(n)
        return weighed(jm.Mix(partner, lam, lam), ids, x)

    rng = np.random.default_rng(n)
    lam, ids = rng.uniform(size=n).astype(np.float32), rng.integers(0, 3, n)
    x, partner = rng.normal(size=(n, 4)).astype(np.float32), rng.integers(0, n, n)
    expected = run(partner, lam, ids, x)
    order = rng.permutation(n)
    place = np.argsort(order)  # where each row is now
    permuted = run(place[partner[order]], lam[order], ids[order], x[order])
    for mix, other in zip(expected, permuted, strict=True):
        assert jnp.isfinite(mix.lam).all() and ((mix.lam >= 0) & (mix.lam <= 1)).all()
        np.testing.assert_allclose(other.lam, mix.lam[order], rtol=1e-5)
        np.testing.assert_allclose(other.mask, mix.mask[order], rtol=1e-5)
        if n == 1:
            np.testing.assert_array_equal(jm.blend(mix, x), x)
            np.testing.assert_array_equal(jm.blend_labels(mix, x), x)
    assert traces == [n]
    if n == 5:
        eager = weighed(jm.Mix(jnp.asarray(partner), jnp.asarray(lam), jnp.asarray(lam)), ids, x)
        for mix, other in zip(expected, eager, strict=True):
            np.testing.assert_allclose(other.lam, mix.lam, rtol=1e-5)
