"""The 1,797 handwritten digits that scikit-learn ships, and labels corrupted at a known rate."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Bool, Float, Int, PRNGKeyArray
from sklearn.datasets import load_digits

NUM_CLASSES = 10


class Split(NamedTuple):
    """A random half for training, with its given labels, and the other half for testing."""

    x: Float[Array, "n 8 8 1"]
    y: Int[Array, "n"]  # as given, some of them wrong
    wrong: Bool[Array, "n"]  # where the given label is not the true one
    x_test: Float[Array, "m 8 8 1"]
    y_test: Int[Array, "m"]  # true


def digits() -> tuple[np.ndarray, np.ndarray]:
    """All images, f32[1797, 8, 8, 1] in [0, 1], and their labels, i32[1797]."""
    x, y = load_digits(return_X_y=True)
    return (np.reshape(x, (-1, 8, 8, 1)) / 16).astype(np.float32), np.asarray(y, np.int32)


def split(key: PRNGKeyArray, x: ArrayLike, y: ArrayLike, noise: ArrayLike) -> Split:
    """Cut in two at random; replace each training label with probability `noise`.

    The new label is uniform over all classes, as in the mixup paper, so that one in ten is the true
    one again. One key gives one split, and at a higher rate the same labels are wrong and more.
    """
    x, y = jnp.asarray(x), jnp.asarray(y)
    key_split, key_hit, key_label = jax.random.split(key, 3)
    order = jax.random.permutation(key_split, y.shape[0])
    train, test = order[: y.shape[0] // 2], order[y.shape[0] // 2 :]
    hit = jax.random.uniform(key_hit, train.shape) < noise
    given = jnp.where(hit, jax.random.randint(key_label, train.shape, 0, NUM_CLASSES), y[train])
    return Split(x[train], given, given != y[train], x[test], y[test])
