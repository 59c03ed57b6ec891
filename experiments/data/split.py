"""Random parts of a data set, and labels corrupted at a known rate."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Bool, Int, PRNGKeyArray, Shaped


class Split(NamedTuple):
    """Training examples with their given labels, and test examples."""

    x: Shaped[Array, "n ..."]
    y: Int[Array, "n"]  # as given, some of them wrong
    wrong: Bool[Array, "n"]  # where the given label is not the true one
    x_test: Shaped[Array, "m ..."]
    y_test: Int[Array, "m"]  # true


def split(
    key: PRNGKeyArray,
    x: ArrayLike,
    y: ArrayLike,
    *,
    train: int,
    noise: ArrayLike = 0.0,
    num_classes: int = 10,
) -> Split:
    """Take `train` examples at random, and test on the rest; make some labels wrong.

    One key gives one split; at a higher rate the same labels are wrong, and others too.
    """
    x, y = jnp.asarray(x), jnp.asarray(y)
    key_split, key_noise = jax.random.split(key)
    order = jax.random.permutation(key_split, y.shape[0])
    mine, test = order[:train], order[train:]
    given = corrupt(key_noise, y[mine], noise, num_classes)
    return Split(x[mine], given, given != y[mine], x[test], y[test])


def places(
    key: PRNGKeyArray, count: int, *, train: int, tests: int, choosing: bool = False
) -> tuple[Int[Array, "train"], Int[Array, "m"]]:
    """Which of `count` rows train and which test, so that choices see no test row of results.

    Args:
      key: draws the rows that train.
      count: how many rows there are.
      train: how many of them train.
      tests: how many are set aside, the same for all keys. Results test on these.
      choosing: test on those rows that were neither drawn nor set aside.
    """
    if min(train, tests) < 1 or train + tests + choosing > count:
        raise ValueError(
            f"places got {count} rows for train={train} and tests={tests}; it needs one or more of "
            "each, and one more row if choosing."
        )
    order = np.random.default_rng(0).permutation(count)
    drawn = jax.random.permutation(key, jnp.asarray(order[tests:]))
    return drawn[:train], drawn[train:] if choosing else jnp.asarray(order[:tests])


def draw(
    key: PRNGKeyArray,
    x: ArrayLike,
    y: ArrayLike,
    *,
    train: int,
    tests: int,
    choosing: bool,
    noise: ArrayLike = 0.0,
    num_classes: int = 10,
) -> Split:
    """The examples of `places`, some of the training labels wrong.

    As in `split`, at a higher rate the same labels are wrong, and others too. What one key trains
    on does not depend on `choosing`.
    """
    x, y = jnp.asarray(x), jnp.asarray(y)
    key_rows, key_noise = jax.random.split(key)
    mine, test = places(key_rows, y.shape[0], train=train, tests=tests, choosing=choosing)
    given = corrupt(key_noise, y[mine], noise, num_classes)
    return Split(x[mine], given, given != y[mine], x[test], y[test])


def corrupt(
    key: PRNGKeyArray, y: Int[Array, "n"], noise: ArrayLike, num_classes: int
) -> Int[Array, "n"]:
    """Replace each label with probability `noise` by one that is uniform over all classes.

    This follows the mixup paper: one in `num_classes` is the true one again.
    """
    key_hit, key_label = jax.random.split(key)
    hit = jax.random.uniform(key_hit, y.shape) < noise
    return jnp.where(hit, jax.random.randint(key_label, y.shape, 0, num_classes, y.dtype), y)
