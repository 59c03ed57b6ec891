"""Few classes with many examples, many with few; and the same number of each for testing.

Tests are set aside, the same for all seeds. Each seed draws training examples from the others; what
it leaves over is for choosing.
"""

from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from experiments.data import digits, images

LEFT = 10  # examples to choose by, at least, of the most frequent class


class Pool(NamedTuple):
    """All available examples, and how many to take."""

    title: str
    x: Float[np.ndarray, "n h w c"]
    y: Int[np.ndarray, "n"]
    num_classes: int
    most: int  # training examples of the most frequent class
    test: int  # test examples of each class


class Data(NamedTuple):
    """Training examples in the order of their classes, 0 the most frequent; and test examples.

    For choosing, classes have more tests the rarer they are.
    """

    x: Float[Array, "n h w c"]
    y: Int[Array, "n"]
    x_test: Float[Array, "m h w c"]
    y_test: Int[Array, "m"]


def pool(source: str | Path | None = None) -> Pool:
    """scikit-learn's digits, or the first 7,000 pictures of what `images` reads."""
    if source is None:
        x, y = digits.digits()
        return Pool("Digits", x, y, digits.NUM_CLASSES, most=120, test=40)
    found = images.load(source, train=7000, test=1)
    x = found.x.astype(np.float32) / 255
    return Pool(f"7000 of {found.title}", x, found.y, len(found.class_names), most=500, test=100)


def profile(most: int, factor: float, num_classes: int) -> np.ndarray:
    """How many examples each class has: n_k = most · factor^(-k / (K - 1)), at least one."""
    places = np.arange(num_classes) / max(num_classes - 1, 1)
    return np.maximum(np.round(most * factor**-places), 1).astype(np.int32)


def draw(
    key: PRNGKeyArray,
    x: Array,
    y: Array,
    counts: Int[np.ndarray, "k"],
    *,
    test: int,
    choosing: bool,
) -> Data:
    """Draw which class is how frequent, and its examples; classes get ids by frequency.

    Args:
      key: the draw's.
      x, y: all examples.
      counts: how many of each class train.
      test: how many of each class are set aside, the same for all keys and counts.
      choosing: test on all that were neither drawn nor set aside, instead of on the latter.
    """
    key_classes, key_rows = jax.random.split(key)
    fixed = np.random.default_rng(0).permutation(len(y))
    aside = jnp.zeros(len(y), bool).at[fixed].set(within(y[fixed], len(counts)) < test)
    order = jax.random.permutation(key_rows, len(y))
    x, y, aside = x[order], jax.random.permutation(key_classes, len(counts))[y[order]], aside[order]
    # Those set aside come as an extra class of their own, which nothing is drawn from.
    place = within(jnp.where(aside, len(counts), y), len(counts) + 1)
    mine = ~aside & (place < jnp.asarray(counts)[y])
    total = int(counts.sum())
    chosen = jnp.argsort(jnp.where(mine, y, len(counts)), stable=True)[:total]
    if choosing:
        size = len(y) - total - test * len(counts)
        tested = jnp.argsort(mine | aside, stable=True)[:size]
    else:  # in the same order for all keys
        size = test * len(counts)
        tested = jnp.argsort(jnp.where(aside, order, len(y)))[:size]
    return Data(x[chosen], y[chosen], x[tested], y[tested])


def within(y: Array, num_classes: int) -> Int[Array, "n"]:
    """The place of each example within its class."""
    own = y[:, None] == jnp.arange(num_classes)
    return jnp.where(own, own.cumsum(axis=0) - 1, 0).sum(axis=1)


def check(pool: Pool) -> None:
    """Refuse a pool in which some class cannot be the most frequent one."""
    held = np.bincount(pool.y, minlength=pool.num_classes)
    if held.min() < pool.most + pool.test + LEFT:
        raise ValueError(
            f"longtail got {pool.title} with {held.min()} examples of class {held.argmin()}; it "
            f"needs {pool.most} for training, {pool.test} for testing and {LEFT} to choose by of "
            "each: take other data."
        )
