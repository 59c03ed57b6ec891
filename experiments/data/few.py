"""Few labelled examples, and many others to test on.

Tests are set aside, the same for all seeds. Each seed draws half of a pool from the others; what it
leaves over is for choosing.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray, Shaped

from experiments.data import digits, images
from experiments.data.split import Split, places


class Pool(NamedTuple):
    """What examples are drawn from."""

    title: str
    x: Shaped[Array, "m h w c"]  # digits in float32, other pictures in uint8
    y: Int[Array, "m"]
    num_classes: int
    sizes: tuple[int, ...]  # numbers of labels, each a divisor of the last
    main: int  # the one that a claim is about


def pool(data: str | None) -> Pool:
    """The digits, or the training part of other pictures, as `images.load` reads them."""
    if data is None:
        x, y = map(jnp.asarray, digits.digits())
        return Pool("Digits", x, y, digits.NUM_CLASSES, (20, 50, 100, 200, 400, 800), 100)
    found = images.load(data, test=1)
    x, y, sizes = jnp.asarray(found.x), jnp.asarray(found.y), (250, 1000, 5000)
    if len(y) < 2 * sizes[-1]:
        raise ValueError(
            f"pool got {found.title} of {len(y)} training pictures; it needs {2 * sizes[-1]}, half "
            "of them to test on and to choose by: take a larger data set."
        )
    return Pool(found.title, x, y, len(found.class_names), sizes, 1000)


def few(
    y: Int[Array, "m"], n: int | Int[Array, ""], *, rows: int, num_classes: int
) -> Int[Array, "rows"]:
    """The first n indices, with the classes as balanced as possible, repeated to fill `rows`.

    Those of a smaller n are among those of a larger.
    """
    hot = jax.nn.one_hot(y, num_classes, dtype=jnp.int32)
    place = ((jnp.cumsum(hot, axis=0) - 1) * hot).sum(axis=1)  # within its class
    return jnp.argsort(place, stable=True)[jnp.arange(rows) % n]


def halve(
    key: PRNGKeyArray, count: int, *, choosing: bool, tests: int = 2000
) -> tuple[Int[Array, "half"], Int[Array, "tests"]]:
    """Half of `count` examples, drawn by the key, and those to test on.

    Args:
      key: the draw's.
      count: how many examples there are.
      choosing: test on what the draw left over, instead of on what is set aside for all keys.
      tests: how many at most; of a small set a third is set aside, and a sixth left over.
    """
    aside = min(tests, count // 3)
    half, test = places(key, count, train=count // 2, tests=aside, choosing=choosing)
    return half, test[:tests]


def draw(
    key: PRNGKeyArray, n: int | Int[Array, ""], *, pool: Pool, choosing: bool, tests: int = 2000
) -> tuple[Int[Array, "rows"], Int[Array, "tests"]]:
    """Which n of a random half to learn from, repeated to the largest size, and which to test on.

    n may be traced, so that training on few and on many examples is one program. The half and the
    tests are those of `halve`.
    """
    half, test = halve(key, pool.y.shape[0], choosing=choosing, tests=tests)
    mine = few(pool.y[half], n, rows=pool.sizes[-1], num_classes=pool.num_classes)
    return half[mine], test


def split(pool: Pool, mine: Int[Array, "... n"], test: Int[Array, "... m"]) -> Split:
    """The examples that were drawn."""
    x, y = pool.x, pool.y
    return Split(x[mine], y[mine], jnp.zeros(mine.shape, bool), x[test], y[test])
