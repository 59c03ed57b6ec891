"""StackMix."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_mixup as jm

KEY = jax.random.key(5)


def test_stackmix_by_hand():
    x, y = np.arange(24.0).reshape(4, 3, 2).astype(np.float32), jnp.arange(4)
    stacked, labels = jm.stackmix(KEY, x, y, axis=1, num_classes=4)
    p = np.asarray(jm.permutation(jax.random.split(KEY)[1], 4))
    np.testing.assert_array_equal(stacked, np.concatenate([x, x[p]], axis=1))
    half = 0.5 * np.eye(4) + 0.5 * np.eye(4)[p]
    np.testing.assert_allclose(labels, half)
    smooth = jm.stackmix(KEY, x, y, axis=1, num_classes=4, smoothing=0.2)[1]
    np.testing.assert_allclose(smooth, 0.8 * half + 0.05, rtol=1e-6)


def test_bad_axes():
    with pytest.raises(ValueError, match="axes"):
        jm.stackmix(KEY, jnp.ones((2, 4, 4, 1)), jnp.eye(2), axis=0)
