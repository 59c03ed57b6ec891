"""RecursiveMix."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_mixup as jm

KEY = jax.random.key(5)


def test_recursivemix_holds_all_that_came_before():
    y = jnp.array([0, 0, 1, 1])
    carry = jnp.full((4, 8, 8, 1), 2.0), jax.nn.one_hot(jnp.full(4, 2), 4)
    step = jax.jit(lambda key, x, y, carry: jm.recursivemix(key, x, y, carry, num_classes=4))
    for i, value in enumerate((0.0, 1.0, 3.0)):
        x = jnp.full((4, 8, 8, 1), value)
        carry = step(jax.random.fold_in(KEY, i), x, jnp.full(4, int(value)), carry)
        # Rows of one value: the label is how much of each value is seen.
        mean = (carry[1] * jnp.arange(4.0)[None, :]).sum(axis=1)
        np.testing.assert_allclose(carry[0].mean((1, 2, 3)), mean, rtol=0.1, atol=0.05)
    assert float(carry[1][0, 2]) > 0 and float(carry[1][0].sum()) == pytest.approx(1)
    assert y.dtype == jnp.int32


def test_recursivemixs_box_is_at_most_the_share():
    x, y = jnp.zeros((64, 16, 16, 1)), jnp.zeros(64)
    previous = jnp.ones((64, 16, 16, 1)), jnp.ones(64)
    options = {"per": "example", "box": "inside"}
    step = jax.jit(lambda share: jm.recursivemix(KEY, x, y, previous, share=share, **options))
    for share in (0.0, 0.2, 1.0):
        mixed, given = step(share)
        largest = round(16 * np.sqrt(share)) ** 2 / 256  # and some of 64 come that far
        assert float(given.max()) == pytest.approx(largest, abs=1e-6)
        np.testing.assert_allclose(mixed.mean((1, 2, 3)), given, atol=1e-6)
