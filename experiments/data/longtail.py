"""Few classes with many examples, many with few; and the same number of each for testing."""

from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from experiments.data import digits, images


class Pool(NamedTuple):
    """All available examples, and how many to take."""

    title: str
    x: Float[np.ndarray, "n h w c"]
    y: Int[np.ndarray, "n"]
    num_classes: int
    most: int  # training examples of the most frequent class
    test: int  # test examples of each class


class Data(NamedTuple):
    """Training examples in the order of their classes, 0 the most frequent; and test examples."""

    x: Float[Array, "n h w c"]
    y: Int[Array, "n"]
    x_test: Float[Array, "m h w c"]
    y_test: Int[Array, "m"]


def pool(source: str | Path | None = None) -> Pool:
    """scikit-learn's digits, or the first 7,000 pictures of what `images` reads."""
    if source is None:
        x, y = digits.digits()
        return Pool("Digits", x, y, digits.NUM_CLASSES, most=120, test=50)
    found = images.load(source, train=7000, test=1)
    x = found.x.astype(np.float32) / 255
    return Pool(f"7000 of {found.title}", x, found.y, len(found.class_names), most=500, test=100)


def profile(most: int, factor: float, num_classes: int) -> np.ndarray:
    """How many examples each class has: n_k = most · factor^(-k / (K - 1)), at least one."""
    places = np.arange(num_classes) / max(num_classes - 1, 1)
    return np.maximum(np.round(most * factor**-places), 1).astype(np.int32)


def draw(key: PRNGKeyArray, x: Array, y: Array, counts: Int[np.ndarray, "k"], *, test: int) -> Data:
    """Draw which class is how frequent, and its examples; classes get ids by frequency.

    The examples for testing are the same for all counts.
    """
    key_classes, key_rows = jax.random.split(key)
    order = jax.random.permutation(key_rows, len(y))
    x, y = x[order], jax.random.permutation(key_classes, len(counts))[y[order]]
    own = y[:, None] == jnp.arange(len(counts))
    place = jnp.where(own, own.cumsum(axis=0) - 1, 0).sum(axis=1)  # within the class
    mine = (place >= test) & (place < test + jnp.asarray(counts)[y])

    def taken(rows: Array, n: int) -> tuple[Array, Array]:
        chosen = jnp.argsort(jnp.where(rows, y, len(counts)), stable=True)[:n]
        return x[chosen], y[chosen]

    return Data(*taken(mine, int(counts.sum())), *taken(place < test, test * len(counts)))


def check(pool: Pool) -> None:
    """Refuse a pool in which some class cannot be the most frequent one."""
    held = np.bincount(pool.y, minlength=pool.num_classes)
    if held.min() < pool.most + pool.test:
        raise ValueError(
            f"longtail got {pool.title} with {held.min()} examples of class {held.argmin()}; it "
            f"needs {pool.most} for training and {pool.test} for testing of each: take other data."
        )
