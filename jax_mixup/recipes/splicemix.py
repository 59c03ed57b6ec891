"""SpliceMix in one call: grids of whole, smaller pictures, for pictures of several labels."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Bool, Float, Int, Integer, PRNGKeyArray, PyTree, Shaped

from jax_mixup import _checks
from jax_mixup._entry import one_program, public
from jax_mixup._geometry import padded
from jax_mixup.apply.fit import METHODS
from jax_mixup.pairings._rows import group_size
from jax_mixup.pairings.random import permutation
from jax_mixup.recipes._call import leaf_shape


@public
def splicemix(
    key: PRNGKeyArray,
    images: PyTree,
    labels: Shaped[ArrayLike, "b ..."],
    *,
    grid: tuple[int, ...] = (2, 2),
    n: int | None = None,
    drop: Integer[ArrayLike, "..."] = 0,
    num_classes: int | None = None,
    method: str = "linear",
    groups: int = 1,
) -> tuple[PyTree, Float[Array, "n k"]]:
    """Make pictures that are grids of whole pictures, each with the labels of all that it shows.

        x̃ᵢ = g × h cells, of which each shows one picture, made smaller;  ỹᵢ = maxⱼ yⱼ

    Train on the batch and on these together: `jnp.concatenate([images, more])`. So objects are seen
    in two sizes, and with objects of other pictures.

    Args:
      key: a PRNG key, which draws the pictures of each grid, and the cells that are dropped.
      images: arrays [B, *spatial, ...], channels last, or a PyTree of them. Integers are rounded.
      labels: multi-hot labels f[B, K], or class ids i[B] with `num_classes`.
      grid: how many cells there are along each spatial axis.
      n: how many new pictures are made; None means as many as take each picture once, or one.
      drop: how many cells of each stay black, with no labels, from 0 to all but one: an int, or one
        for each new picture, which may be traced.
      num_classes: K, for class ids. An id outside [0, K) has no label.
      method: "linear" interpolates between two positions along each axis, "antialias" averages
        where it shrinks, "nearest" copies single positions, as is right for maps of ids.
      groups: the number of equal, contiguous groups that the batch is cut into; a grid shows
        pictures of one group. If it is the number of shards, no picture leaves its device.

    Returns:
      The new pictures [n, *spatial, ...] of the dtypes of `images`, and their labels f[n, K].

    Raises:
      TypeError: If labels are neither floats nor ids with `num_classes`, or `drop` not an int.
      ValueError: If `grid` does not fit the images, `groups` does not divide B and n, `drop` has
        another number or shape, images or labels have another B, or `method` is unknown.

    Example:
      >>> images, labels = jnp.ones((8, 32, 32, 3)), jnp.eye(8)
      >>> more, tags = jm.splicemix(jax.random.key(0), images, labels)
      >>> more.shape, tags.sum(axis=1).tolist()
      ((2, 32, 32, 3), [4.0, 4.0])

    Wang et al. 2023, arXiv:2311.15200. Their code adds B / 4 pictures in grids of 1 × 2, 2 × 2 or 2
    × 3, standing or lying, and in 3 of 10 batches drops cells; HOWTO.md has these numbers. It
    samples pictures from corner to corner, where `method` has positions at the middle of each
    pixel, and gives union labels of 1 to soft labels too.
    """
    name = "splicemix"
    batch, *dims = leaf_shape(name, images)
    _checks.channels_last(name, (batch, *dims))
    _checks.option(name, "method", method, METHODS)
    grid = _checks.grid(name, grid, tuple(dims[: len(_checks.sizes(name, "grid", grid, "(2, 2)"))]))
    cells, size = math.prod(grid), group_size(name, batch, groups)
    n = groups * max(1, size // cells) if n is None else _checks.whole(name, "n", n, 1)
    if n % groups:
        raise ValueError(f"{name} got n={n} and groups={groups}; it needs groups that divide n.")
    y = _known(labels, num_classes, batch)
    key_pictures, key_drop = jax.random.split(key)
    keys = jax.random.split(key_pictures, -(-n // groups * cells // size))
    orders = [permutation(k, batch, groups=groups) for k in keys]
    index = jnp.concatenate(orders, axis=1)[:, : n // groups * cells]
    black = _dropped(key_drop, drop, n, cells)

    def leaf(x: ArrayLike) -> Array:
        x = jnp.asarray(x)
        if x.ndim <= len(grid) or x.shape[: len(grid) + 1] != (batch, *dims[: len(grid)]):
            raise ValueError(
                f"{name} got images of shape {x.shape} next to others of shape {(batch, *dims)}; "
                "it needs the same batch and positions, and channels last."
            )
        return _spliced(x, index, black, grid, method)

    found = _taken(y, index).reshape(n, cells, y.shape[1])
    return jax.tree.map(leaf, images), jnp.where(black[..., None], 0, found).max(axis=1)


def _known(labels: ArrayLike, num_classes: int | None, batch: int) -> Float[Array, "b k"]:
    y = jnp.asarray(labels)
    if y.ndim == 1 and jnp.issubdtype(y.dtype, jnp.integer) and num_classes is not None:
        _checks.classes("splicemix", num_classes)
        y = jax.nn.one_hot(_checks.int32(y), num_classes, dtype=jnp.float32)
    elif num_classes not in (None, *y.shape[1:]):
        raise ValueError(
            f"splicemix got labels of shape {y.shape} and dtype {y.dtype} with "
            f"num_classes={num_classes}; it needs num_classes for ids alone, i[B]."
        )
    if y.ndim != 2 or y.shape[0] != batch or not jnp.issubdtype(y.dtype, jnp.floating):
        raise TypeError(
            f"splicemix got labels of shape {y.shape} and dtype {y.dtype} for {batch} images; it "
            "needs floats (B, K): cast multi-hot labels to float32, and give num_classes for ids."
        )
    return y


def _dropped(key: PRNGKeyArray, drop: ArrayLike, n: int, cells: int) -> Bool[Array, "n cells"]:
    """As many cells as `drop` says, at random."""
    _checks.numbers("splicemix", "drop", drop, f"an int from 0 to {cells - 1}", 0.0, cells - 1.0)
    if not jnp.issubdtype(jnp.asarray(drop).dtype, jnp.integer) or jnp.shape(drop) not in (
        (),
        (n,),
    ):
        raise TypeError(
            f"splicemix got {_checks.described(drop)} as drop; it needs an int, or {n} of them."
        )
    u = jax.random.uniform(key, (n, cells), jnp.float32)
    rank = jnp.argsort(jnp.argsort(u, axis=1), axis=1).astype(jnp.int32)
    count = jnp.clip(_checks.int32(jnp.asarray(drop)), 0, cells - 1)
    return rank < jnp.broadcast_to(count, (n,))[:, None]


def _taken(x: Shaped[Array, "b ..."], index: Int[Array, "g m"]) -> Shaped[Array, "gm ..."]:
    """These examples of each group, one group after another."""
    groups, m = index.shape
    parts = x.reshape(groups, x.shape[0] // groups, *x.shape[1:])
    return jax.vmap(lambda part, i: part[i])(parts, index).reshape(groups * m, *x.shape[1:])


@one_program("grid", "method")
def _spliced(
    x: Shaped[Array, "b ..."],
    index: Int[Array, "g m"],
    black: Bool[Array, "n cells"],
    grid: tuple[int, ...],
    method: str,
) -> Shaped[Array, "n ..."]:
    rank = len(grid)
    spatial, rest = x.shape[1 : rank + 1], x.shape[rank + 1 :]
    cell = tuple(size // parts for size, parts in zip(spatial, grid, strict=True))
    small = _resized(_taken(x, index), cell, method)
    small = jnp.where(padded(black.reshape(-1), small.ndim), jnp.zeros((), small.dtype), small)
    small = small.reshape(black.shape[0], *grid, *cell, *rest)
    axes = [axis for i in range(rank) for axis in (1 + i, 1 + rank + i)]
    whole = tuple(size * parts for size, parts in zip(cell, grid, strict=True))
    out = small.transpose(0, *axes, *range(1 + 2 * rank, small.ndim))
    out = _resized(out.reshape(black.shape[0], *whole, *rest), spatial, method)
    inexact = jnp.issubdtype(x.dtype, jnp.inexact) or method == "nearest"
    return (out if inexact else jnp.round(out)).astype(x.dtype)


def _resized(x: Array, spatial: tuple[int, ...], method: str) -> Array:
    shape = (x.shape[0], *spatial, *x.shape[1 + len(spatial) :])
    if shape == x.shape:
        return x
    if method == "nearest":
        return jax.image.resize(x, shape, "nearest")
    wide = x if x.dtype in (jnp.float64, jnp.complex64, jnp.complex128) else x.astype(jnp.float32)
    return jax.image.resize(wide, shape, "linear", antialias=method == "antialias")
