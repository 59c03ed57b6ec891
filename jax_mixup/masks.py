"""Geometry: integer corners of n-dimensional boxes, the mask they make, and its exact share.

An interval in 1-D, a box in 2-D, a cuboid in 3-D. `n` is 1 for one box a batch, or B.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Shaped

BOXES = ("clipped", "inside")


def box_corners(
    lam: Float[Array, "n"], centre: Float[Array, "n d"], spatial: tuple[int, ...], *, box: str
) -> tuple[Int[Array, "n d"], Int[Array, "n d"]]:
    """Place boxes of share 1-λ, side (1-λ)^(1/d) of each axis, rounded to whole positions.

    `centre` is uniform in [0, 1)^d. "clipped": the box's centre is uniform over the whole input and
    what lies beyond the border is cut off, as in the paper's code. "inside": every place where the
    whole box fits is equally likely.
    """
    # Corners are whole numbers: they have no gradient, and that of the root at 0 is infinite.
    lam = jax.lax.stop_gradient(lam)
    sizes = jnp.asarray(spatial, jnp.float32)[None, :]
    side = jnp.round(sizes * (1 - lam[:, None]) ** (1 / len(spatial)))
    if box == "clipped":
        start = jnp.floor(centre * sizes - side / 2 + 0.5)
    else:  # the minimum guards against a product that float32 rounds up to the next place
        start = jnp.minimum(jnp.floor(centre * (sizes - side + 1)), sizes - side)
    corners = jnp.stack([jnp.clip(start, 0, sizes), jnp.clip(start + side, 0, sizes)])
    start, stop = computed_once(corners.astype(jnp.int32))
    return start, stop


def computed_once(x: Shaped[Array, "..."]) -> Shaped[Array, "..."]:
    """The same few numbers, behind a sum, which XLA on CPU does not fuse into the blend of images.

    It would repeat there, for each pixel, all that leads from random bits to a corner or a weight;
    `optimization_barrier` does not help, for it is removed before fusion.
    """
    return jnp.stack([x, jnp.zeros_like(x)]).sum(axis=0)


def outside_box(
    start: Int[Array, "n d"], stop: Int[Array, "n d"], spatial: tuple[int, ...]
) -> Bool[Array, "n *spatial"]:
    """True at the positions outside the box, which the row keeps."""
    rank = len(spatial)
    inside = jnp.ones((1,) * (rank + 1), bool)
    for axis, size in enumerate(spatial):
        place = jnp.arange(size, dtype=jnp.int32)[None, :]
        within = (place >= start[:, axis, None]) & (place < stop[:, axis, None])
        inside &= within.reshape((-1,) + (1,) * axis + (size,) + (1,) * (rank - axis - 1))
    return ~inside


def spread(
    mask: Shaped[Array, "n *cut"], axes: tuple[int, ...], spatial: tuple[int, ...]
) -> Shaped[Array, "n *spatial"]:
    """The mask of some axes, the same at every place of the others."""
    sizes = [size if axis in axes else 1 for axis, size in enumerate(spatial, start=1)]
    return jnp.broadcast_to(mask.reshape(-1, *sizes), (mask.shape[0], *spatial))


def share_outside(
    start: Int[Array, "n d"], stop: Int[Array, "n d"], spatial: tuple[int, ...]
) -> Float[Array, "n"]:
    """The share of positions outside the box, from the corners: the mask is never summed."""
    total = math.prod(spatial)
    return _ratio(total - (stop - start).prod(axis=-1), total)


def share(mask: Bool[Array, "n *spatial"]) -> Float[Array, "n"]:
    """The share of positions that are True: for masks that have no corners to count from."""
    axes = tuple(range(1, mask.ndim))
    return _ratio(mask.sum(axes, dtype=jnp.int32), math.prod(mask.shape[1:]))


def _ratio(kept: Int[Array, "n"], total: int) -> Float[Array, "n"]:
    # Written so that the divisor is no constant: XLA turns a division by one into a product with
    # its rounded reciprocal, which is not the float32 nearest to kept / total.
    kept = kept.astype(jnp.float32)
    return kept / (total + 0 * kept)


def blur(x: Float[Array, "n *spatial"], sigma: Float[Array, "n"]) -> Float[Array, "n *spatial"]:
    """Convolve with a Gaussian of so many positions, cyclically; by FFT, so that any sigma costs
    the same, a traced one too.
    """
    axes = tuple(range(1, x.ndim))
    square = jnp.zeros((1,) * x.ndim, jnp.float32)
    for axis in axes:
        frequencies = jnp.fft.rfftfreq if axis == axes[-1] else jnp.fft.fftfreq
        f = frequencies(x.shape[axis], dtype=jnp.float32)
        places = (1,) * axis + (-1,) + (1,) * (x.ndim - 1 - axis)
        square = square + jnp.square(f).reshape(places)
    decay = jnp.exp(-2 * jnp.square(jnp.pi * sigma.reshape((-1,) + (1,) * len(axes))) * square)
    return jnp.fft.irfftn(
        jnp.fft.rfftn(x, axes=axes) * decay.astype(jnp.complex64), s=x.shape[1:], axes=axes
    )


def largest(x: Float[Array, "n *spatial"], lam: Float[Array, "n"]) -> Bool[Array, "n *spatial"]:
    """True at the largest values, a share λ of all, to the nearest whole position."""
    flat = x.reshape(x.shape[0], -1)
    count = jnp.round(jax.lax.stop_gradient(lam) * flat.shape[1])
    rank = jnp.argsort(jnp.argsort(-flat, axis=1), axis=1)  # no two have the same, ties neither
    return (rank < count.astype(jnp.int32)[:, None]).reshape(x.shape)


def area_average(
    mask: Float[Array, "n *spatial"], spatial: tuple[int, ...]
) -> Float[Array, "n *new"]:
    """Average a mask over the cells of another grid, cut positions counting by their overlap."""
    for axis, (old, new) in enumerate(zip(mask.shape[1:], spatial, strict=True), start=1):
        if old == new:
            continue
        edges = np.arange(new + 1) * (old / new)
        low = np.maximum(edges[:-1, None], np.arange(old)[None, :])
        high = np.minimum(edges[1:, None], np.arange(1, old + 1)[None, :])
        overlap = jnp.asarray(np.maximum(high - low, 0) * (new / old), jnp.float32)
        # HIGHEST: TPUs would otherwise multiply in bfloat16.
        averaged = jnp.tensordot(
            mask, overlap, axes=((axis,), (1,)), precision=jax.lax.Precision.HIGHEST
        )
        mask = jnp.moveaxis(averaged, -1, axis)
    return mask
