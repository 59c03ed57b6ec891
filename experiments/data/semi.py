"""Few labelled examples, many without a label, and others to test on, all from one pool."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from experiments.data import few


class Rows(NamedTuple):
    """Indices into a pool, none in two of them."""

    labelled: Int[Array, "l"]
    unlabelled: Int[Array, "u"]
    test: Int[Array, "t"]


class Batch(NamedTuple):
    """What a semi-supervised step sees; the numbers of examples need not be equal."""

    x: Float[Array, "b ..."]
    y: Int[Array, "b"]
    unlabelled: Float[Array, "u ..."]


def two_moons(rows: int = 4000, *, sigma: float = 0.1) -> few.Pool:
    """Two interlocking half circles, with Gaussian noise, around the origin.

    Points are random along the circles; scikit-learn's `make_moons` has them at equal distances,
    so that the committed results could not be made again with it.
    """
    rng = np.random.default_rng(0)
    y = np.arange(rows, dtype=np.int32) % 2
    angle, side = rng.uniform(0, np.pi, rows), 1 - 2 * y
    x = np.stack([np.cos(angle) * side - side / 2, np.sin(angle) * side - side / 4], axis=1)
    x = (x + sigma * rng.standard_normal(x.shape)).astype(np.float32)
    return few.Pool("Two moons", jnp.asarray(x), jnp.asarray(y), 2, (6,), 6)


def draw(
    key: PRNGKeyArray, pool: few.Pool, *, labels: int, choosing: bool, tests: int = 2000
) -> Rows:
    """A random half to learn from, `labels` of it with their labels, and tests, by `few.halve`.

    The labels are as balanced over the classes as possible.
    """
    half, test = few.halve(key, len(pool.y), choosing=choosing, tests=tests)
    if not 0 < labels < len(half):
        raise ValueError(
            f"draw got labels={labels} of {len(half)} examples to learn from; it needs 1 or more, "
            "and some that are left without a label."
        )
    order = few.few(pool.y[half], len(half), rows=len(half), num_classes=pool.num_classes)
    mine = half[order]
    return Rows(mine[:labels], mine[labels:], test)


def inputs(pool: few.Pool, rows: Int[Array, "n"]) -> Float[Array, "n ..."]:
    """In float32; pictures in bytes become [0, 1]."""
    x = pool.x[rows]
    return x.astype(jnp.float32) / 255 if x.dtype == jnp.uint8 else x


def batch(key: PRNGKeyArray, rows: Rows, *, pool: few.Pool, size: int) -> Batch:
    """`size` examples with labels and as many without, with replacement, however few there are."""
    keys = jax.random.split(key)
    labelled, unlabelled = (
        which[jax.random.randint(k, (size,), 0, len(which))]
        for k, which in zip(keys, (rows.labelled, rows.unlabelled), strict=True)
    )
    return Batch(inputs(pool, labelled), pool.y[labelled], inputs(pool, unlabelled))
