"""RandomMix."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_mixup as jm

KEY = jax.random.key(5)


def test_randommix_draws_each_of_the_four():
    x, y = jnp.arange(2.0).reshape(2, 1, 1, 1) * jnp.ones((2, 8, 8, 1)), jnp.arange(2)
    mixes = jax.jit(
        lambda key, probs: jm.randommix(key, x, y, probs=probs, num_classes=2), static_argnums=1
    )
    keys = jax.random.split(KEY, 40)
    soft = [bool((mixes(k, (0.25,) * 4)[0][0] % 1 > 0).any()) for k in keys]
    # Of the four only mixup blends, on rows that have one value.
    assert abs(sum(soft) - 10) < 5 * np.sqrt(40 * 0.25 * 0.75)
    assert (mixes(KEY, (1.0, 0.0, 0.0, 0.0))[0][0] % 1 > 0).all()
    box = np.asarray(mixes(KEY, (0.0, 0.0, 0.0, 1.0))[0][0, :, :, 0]) == 1
    rows, columns = box.any(axis=1).sum(), box.any(axis=0).sum()
    assert box.sum() == rows * columns > 0


def test_randommix_draws_alpha_for_each_method_that_has_one():
    """Of 0, which is off, and of 1e4, whose λ is ½: both occur, and nothing else."""
    x, y = jnp.zeros((2, 8, 8, 1)), jnp.arange(2)
    options = {"alphas": (0.0, 1e4), "num_classes": 2}

    @jax.jit
    @jax.vmap
    def own(key):
        only = [tuple(row) for row in np.eye(4).tolist()[:3]]
        draws = [jm.randommix(key, x, y, probs=probs, **options)[1] for probs in only]
        return jnp.stack(draws)[:, 0, 0]

    for method, weights in enumerate(np.asarray(own(jax.random.split(KEY, 32))).T):
        off = weights == 1
        half = np.abs(weights - 0.5) < 0.03
        if method == 1:  # a box of 6 x 6, of which the border cuts some off
            half = (weights >= 1 - 36 / 64) & (weights < 1)
        assert (off | half).all() and 8 < off.sum() < 24, method


def test_bad_probs():
    with pytest.raises(ValueError, match="4 samplers"):
        jm.randommix(KEY, jnp.ones((2, 4, 4, 1)), jnp.eye(2), probs=(0.5, 0.5))
