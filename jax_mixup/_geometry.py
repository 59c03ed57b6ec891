"""Geometry: integer corners of n-dimensional boxes, their masks, and the exact area of a mask.

A box is an interval in 1-D, a rectangle in 2-D, a cuboid in 3-D. `n` is 1 for one box for the whole
batch, or B.
"""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Num, Shaped, UInt

from jax_mixup._entry import one_program

BOXES = ("clipped", "even", "inside", "corner")


@one_program("spatial", "box")
def box_corners(
    lam: Float[Array, "n"], centre: Float[Array, "n d"], spatial: tuple[int, ...], *, box: str
) -> tuple[Int[Array, "n d"], Int[Array, "n d"]]:
    """Place boxes as `place_box` does, with corners that are computed once."""
    corners = jnp.stack(place_box(lam, centre, spatial, box=box))
    start, stop = fusion_barrier(corners.astype(jnp.int32))
    return start, stop


@one_program("spatial", "box")
def place_box(
    lam: Float[Array, "n"], centre: Float[Array, "n d"], spatial: tuple[int, ...], *, box: str
) -> tuple[Float[Array, "n d"], Float[Array, "n d"]]:
    """Place boxes that cover 1-λ of the input, in whole positions: sides (1-λ)^(1/d) of each axis.

    `centre` is uniform in [0, 1)^d. "clipped": the box's centre is uniform over the whole input,
    and the part beyond the border is cut off, as in the paper's code. "even": the same, with sides
    rounded down to even numbers, and the centre at a whole position, as that code does. "inside":
    all places where the whole box fits are equally likely. "corner": the box is at the far end of
    each axis, whatever the centre.
    """
    # Corners are whole numbers without a gradient; the gradient of the root at 0 is infinite.
    lam = jax.lax.stop_gradient(lam)
    sizes = jnp.asarray(spatial, jnp.float32)[None, :]
    side = sizes * (1 - lam[:, None]) ** (1 / len(spatial))
    side = 2 * jnp.floor(side / 2) if box == "even" else jnp.round(side)
    if box == "even":
        start = jnp.floor(centre * sizes) - side / 2
    elif box == "clipped":
        start = jnp.floor(centre * sizes - side / 2 + 0.5)
    elif box == "inside":  # the minimum guards against a product that is rounded up in float32
        start = jnp.minimum(jnp.floor(centre * (sizes - side + 1)), sizes - side)
    else:
        start = sizes - side
    return jnp.clip(start, 0, sizes), jnp.clip(start + side, 0, sizes)


def fusion_barrier(x: Shaped[Array, "..."]) -> Shaped[Array, "..."]:
    """Return x through a sum, which XLA on CPU does not fuse into the blend of images.

    So x, a few numbers such as corners or weights, is computed once. If XLA fused it into the
    blend, all operations from the random bits to x would be repeated for each pixel.
    `optimization_barrier` does not help, because XLA removes it before fusion.
    """
    return jnp.stack([x, jnp.zeros_like(x)]).sum(axis=0, dtype=x.dtype)


@one_program("spatial")
def outside_box(
    start: Num[Array, "n d"], stop: Num[Array, "n d"], spatial: tuple[int, ...]
) -> Bool[Array, "n *spatial"]:
    """True at the positions outside the box: those come from the example itself."""
    # Fewest comparisons are those of one line along each axis, which are then combined. But TPUs
    # and GPUs write such lines, and read them; there each position is compared along each axis.
    rank = len(spatial)
    lines = [tuple(n if i == axis else 1 for i, n in enumerate(spatial)) for axis in range(rank)]
    by_lines = partial(_outside, shapes=lines, spatial=spatial)
    by_positions = partial(_outside, shapes=[spatial] * rank, spatial=spatial)
    return jax.lax.platform_dependent(start, stop, cpu=by_lines, default=by_positions)


def _outside(
    start: Num[Array, "n d"],
    stop: Num[Array, "n d"],
    *,
    shapes: list[tuple[int, ...]],
    spatial: tuple[int, ...],
) -> Bool[Array, "n *spatial"]:
    inside = jnp.ones((start.shape[0], *spatial), bool)
    for axis, shape in enumerate(shapes):
        place = jax.lax.broadcasted_iota(start.dtype, (1, *shape), axis + 1)
        low, high = (padded(corner[:, axis], inside.ndim) for corner in (start, stop))
        inside &= (place >= low) & (place < high)
    return ~inside


def spread(
    mask: Shaped[Array, "n *cut"], axes: tuple[int, ...], spatial: tuple[int, ...]
) -> Shaped[Array, "n *spatial"]:
    """Repeat a mask over some axes along the other axes."""
    sizes = [size if axis in axes else 1 for axis, size in enumerate(spatial, start=1)]
    return jnp.broadcast_to(mask.reshape(-1, *sizes), (mask.shape[0], *spatial))


def share_outside(
    start: Num[Array, "n d"], stop: Num[Array, "n d"], spatial: tuple[int, ...]
) -> Float[Array, "n"]:
    """The fraction of positions outside the box, from the corners: no mask is summed."""
    total, sides = math.prod(spatial), (stop - start).astype(jnp.int32)
    area = sides[:, 0]
    for axis in range(1, len(spatial)):  # `prod` would be a kernel of its own
        area = area * sides[:, axis]
    return _ratio(total - area, total)


@one_program("spatial", "box")
def cut_box(
    lam: Float[Array, "n"], centre: Float[Array, "n d"], spatial: tuple[int, ...], box: str
) -> tuple[Bool[Array, "n *spatial"], Float[Array, "n"]]:
    """The mask of a box that covers 1-λ, and the fraction outside of it."""
    start, stop = place_box(lam, centre, spatial, box=box)
    start, stop, share = _computed_once(start, stop, share_outside(start, stop, spatial))
    return outside_box(start, stop, spatial), share


@one_program("spatial")
def weighted_box(
    start: Float[Array, "n d"],
    stop: Float[Array, "n d"],
    weight: Float[Array, "n"],
    spatial: tuple[int, ...],
) -> tuple[Float[Array, "n *spatial"], Float[Array, "n"]]:
    """A soft mask, `weight` outside the box and 0 inside, and its mean."""
    share = share_outside(start, stop, spatial)
    start, stop, weight, mean = _computed_once(start, stop, weight, weight * share)
    outside = outside_box(start, stop, spatial)
    return jnp.where(outside, padded(weight, outside.ndim), 0.0), mean


def _computed_once(
    start: Float[Array, "n d"], stop: Float[Array, "n d"], *numbers: Float[Array, "n"]
) -> tuple[Array, ...]:
    # All behind one barrier, as each is a kernel or two of its own.
    rank = start.shape[1]
    packed = jnp.concatenate([start, stop, *(x[:, None] for x in numbers)], axis=1)
    packed = fusion_barrier(packed)
    alone = (packed[:, i] for i in range(2 * rank, packed.shape[1]))
    return packed[:, :rank], packed[:, rank : 2 * rank], *alone


def share(mask: Bool[Array, "n *spatial"]) -> Float[Array, "n"]:
    """The fraction of positions that are True, for masks that have no corners to count from."""
    axes = tuple(range(1, mask.ndim))
    return _ratio(mask.sum(axes, dtype=jnp.int32), math.prod(mask.shape[1:]))


def mean(mask: Shaped[Array, "n *spatial"]) -> Float[Array, "n"]:
    """The mean over positions; for a bool mask this is the exact fraction."""
    return share(mask) if mask.dtype == jnp.bool_ else mask.mean(tuple(range(1, mask.ndim)))


def _ratio(count: Int[Array, "n"], total: int) -> Float[Array, "n"]:
    # The divisor must not be a constant: XLA turns a division by a constant into a product with
    # its rounded reciprocal, which is not the float32 number nearest to count / total.
    count = count.astype(jnp.float32)
    return count / (total + 0 * count)


def bump(
    centre: Float[Array, "n d"], width: Float[Array, "n"], spatial: tuple[int, ...]
) -> tuple[Float[Array, "n *spatial"], Float[Array, "n"]]:
    """Return a Gaussian, which is 1 at the position of `centre` in [0, 1)^d, and its mean.

    The Gaussian is exp(-π Σ (x - c)² / w²), with x, c and w as fractions of each axis. Its mean is
    w^d, less the part beyond the border. It is a product of one factor for each axis, so that an
    exponential is computed for each row and column, and not for each position.
    """
    mask, average = jnp.ones((1,) * (len(spatial) + 1), jnp.float32), jnp.ones(1, jnp.float32)
    for axis, size in enumerate(spatial, start=1):
        place = jnp.minimum(jnp.floor(centre[:, axis - 1] * size), size - 1)
        offset = (jnp.arange(size, dtype=jnp.float32)[None, :] - place[:, None]) / size
        factor = fusion_barrier(jnp.exp(-jnp.pi * jnp.square(offset / width[:, None])))
        mask = mask * spread(factor, (axis,), spatial)
        average = average * factor.mean(axis=1)
    return mask, average


def enlarge(
    cells: Shaped[Array, "n *cells"],
    spatial: tuple[int, ...],
    moved: Float[Array, "n lines"] | None = None,
) -> Shaped[Array, "n *spatial"]:
    """Repeat each cell over its positions; where cells do not divide an axis, sizes differ by one.

    `moved` shifts each line between cells by a fraction of a cell, axis after axis.
    """
    for axis, (n, size) in enumerate(zip(cells.shape[1:], spatial, strict=True), start=1):
        if moved is not None:
            step, moved = moved[:, : n - 1], moved[:, n - 1 :]
            lines = (jnp.arange(1, n, dtype=jnp.float32)[None, :] + step) * (size / n)
            middle = jnp.arange(size, dtype=jnp.float32) + 0.5
            place = (middle[None, :, None] >= lines[:, None, :]).sum(axis=2)
            place = jnp.expand_dims(place, [i for i in range(1, cells.ndim) if i != axis])
            cells = jnp.take_along_axis(cells, place, axis=axis)
        elif size % n == 0:  # no gather
            cells = jnp.repeat(cells, size // n, axis=axis)
        else:
            cells = jnp.take(cells, jnp.arange(size) * n // size, axis=axis)
    return cells


def blur(x: Float[Array, "n *spatial"], sigma: Float[Array, "n"]) -> Float[Array, "n *spatial"]:
    """Convolve with a Gaussian of standard deviation `sigma` in positions, cyclically.

    This uses the FFT, so that the cost does not depend on sigma, which may be traced.
    """
    scale = jnp.square(jnp.pi * sigma.reshape((-1,) + (1,) * (x.ndim - 1)))
    return filtered(x, jnp.exp(-2 * scale * square_frequency(x.shape[1:])))


def square_frequency(spatial: tuple[int, ...]) -> Float[Array, "1 *half"]:
    """The squared frequency of each entry of a real FFT, in cycles per position."""
    square = jnp.zeros((1,) * (len(spatial) + 1), jnp.float32)
    for axis, size in enumerate(spatial, start=1):
        frequencies = jnp.fft.rfftfreq if axis == len(spatial) else jnp.fft.fftfreq
        places = (1,) * axis + (-1,) + (1,) * (len(spatial) - axis)
        square = square + jnp.square(frequencies(size, dtype=jnp.float32)).reshape(places)
    return square


def filtered(
    x: Float[Array, "n *spatial"], response: Float[Array, "m *half"]
) -> Float[Array, "n *spatial"]:
    """Multiply the frequencies of x by a real response."""
    axes = tuple(range(1, x.ndim))
    spectrum = jnp.fft.rfftn(x, axes=axes) * response.astype(jnp.complex64)
    return jnp.fft.irfftn(spectrum, s=x.shape[1:], axes=axes)


@one_program()
def mark_largest(
    x: Float[Array, "n *spatial"], lam: Float[Array, "n"]
) -> Bool[Array, "n *spatial"]:
    """True at the largest values: at a fraction λ of positions, rounded to a whole number of them.

    Of equal values the first ones count as larger. x is read several times, so it has to be
    computed once: by an FFT, a barrier, or operations that do not round. The threshold is found bit
    by bit: for 224 x 224 positions on CPU this takes 1 ms, where ranks by two sorts took 23 ms.
    """
    flat = x.reshape(x.shape[0], -1)
    size = flat.shape[1]
    count = jnp.round(jax.lax.stop_gradient(lam) * size).astype(jnp.int32)
    bits = jax.lax.bitcast_convert_type(flat.astype(jnp.float32), jnp.uint32)
    # Unsigned numbers in the order of the floats: the negative ones reversed, and below the others.
    order = jnp.where(bits >> 31 == 1, ~bits, bits | jnp.uint32(1 << 31))
    threshold = _threshold(order, count)[:, None]
    above = order > threshold
    rest = count - above.sum(axis=1, dtype=jnp.int32)
    return (above | _first(order == threshold, rest)).reshape(x.shape)


def _first(mask: Bool[Array, "n m"], number: Int[Array, "n"]) -> Bool[Array, "n m"]:
    """Keep the first `number` of the True entries: whole lines of them, and a part of the next."""
    n, size = mask.shape
    width = math.isqrt(size - 1) + 1
    lines = jnp.pad(mask, ((0, 0), (0, -size % width))).reshape(n, -1, width)
    ahead = _before(lines.sum(axis=2, dtype=jnp.int32))
    found = (ahead <= number[:, None]).sum(axis=1, keepdims=True, dtype=jnp.int32)
    line = found - 1  # where the last of them lies
    cut = jnp.take_along_axis(lines, line[:, :, None], axis=1)[:, 0]
    rest = number[:, None] - jnp.take_along_axis(ahead, line, axis=1)
    cut = cut & (_before(cut.astype(jnp.int32)) < rest)
    place = jnp.arange(lines.shape[1], dtype=jnp.int32)[None, :, None]
    line = line[:, :, None]
    kept = jnp.where(place == line, cut[:, None, :], lines & (place < line))
    return kept.reshape(n, -1)[:, :size]


def _before(counts: Int[Array, "n k"]) -> Int[Array, "n k"]:
    """The sum of all earlier entries: of few, so that comparing all pairs is one operation."""
    place = np.arange(counts.shape[1])
    return jnp.where(place[None, :] < place[:, None], counts[:, None, :], 0).sum(
        axis=2, dtype=jnp.int32
    )


def _threshold(x: UInt[Array, "n m"], count: Int[Array, "n"]) -> UInt[Array, "n"]:
    """The largest number that at least `count` entries reach."""
    # A GPU starts a kernel for each operation of each round; a CPU counts each threshold apart.
    return jax.lax.platform_dependent(x, count, cpu=_by_bits, default=_by_digits)


def _by_bits(x: UInt[Array, "n m"], count: Int[Array, "n"]) -> UInt[Array, "n"]:
    def with_bit(i: Array, threshold: Array) -> Array:
        trial = threshold | (jnp.uint32(1) << (31 - i).astype(jnp.uint32))
        number = (x >= trial[:, None]).sum(axis=1, dtype=jnp.int32)
        return jnp.where(number >= count, trial, threshold)

    # A zero with the layout of both, under shard_map too.
    zero = (count ^ count).astype(jnp.uint32) | (x[:, 0] ^ x[:, 0])
    return jax.lax.fori_loop(0, 32, with_bit, zero)


def _by_digits(x: UInt[Array, "n m"], count: Int[Array, "n"]) -> UInt[Array, "n"]:
    """The same, four bits a round: all 15 thresholds are counted at once, without a loop."""
    threshold = jnp.zeros((x.shape[0], 1), jnp.uint32)
    digits = jnp.arange(1, 16, dtype=jnp.uint32)[None, :]
    for low in reversed(range(0, 32, 4)):
        trials = threshold | (digits << low)
        number = (x[:, None, :] >= trials[:, :, None]).sum(axis=2, dtype=jnp.int32)
        reached = (number >= count[:, None]).sum(axis=1, keepdims=True, dtype=jnp.int32)
        threshold |= reached.astype(jnp.uint32) << low
    return threshold[:, 0]


@one_program("spatial")
def area_average(
    mask: Float[Array, "n *spatial"], spatial: tuple[int, ...]
) -> Float[Array, "n *new"]:
    """Average a mask over the cells of another grid, where positions count by their overlap."""
    for axis, (old, new) in enumerate(zip(mask.shape[1:], spatial, strict=True), start=1):
        if old == new:
            continue
        edges = np.arange(new + 1) * (old / new)
        low = np.maximum(edges[:-1, None], np.arange(old)[None, :])
        high = np.minimum(edges[1:, None], np.arange(1, old + 1)[None, :])
        mask = _weighed(mask, np.maximum(high - low, 0) * (new / old), axis)
    return mask


def multiplied(x: Float[Array, "n *old"], matrix: np.ndarray, axis: int) -> Float[Array, "n *new"]:
    """Multiply an axis by a matrix [new, old]."""
    # HIGHEST: TPUs would otherwise multiply in bfloat16.
    dense, precision = jnp.asarray(matrix, jnp.float32), jax.lax.Precision.HIGHEST
    return jnp.moveaxis(jnp.tensordot(x, dense, ((axis,), (1,)), precision=precision), -1, axis)


def _weighed(x: Float[Array, "n *old"], weights: np.ndarray, axis: int) -> Float[Array, "n *new"]:
    """Multiply an axis by a matrix [new, old], of which few entries in a row are not zero."""
    used = weights > 1e-9  # less is a rounding error
    first, count = used.argmax(axis=1), used.sum(axis=1)
    if count.max() > 8:
        return multiplied(x, weights, axis)
    total = jnp.zeros((), x.dtype)
    for k in range(count.max()):
        place = np.minimum(first + k, weights.shape[1] - 1)
        weight = np.where(k < count, np.take_along_axis(weights, place[:, None], axis=1)[:, 0], 0.0)
        part = jnp.expand_dims(
            jnp.asarray(weight, jnp.float32), [i for i in range(x.ndim) if i != axis]
        )
        total = total + part * jnp.take(x, place, axis=axis)
    return total


def best_box(worth: Float[Array, "b *grid"], side: Int[Array, "b d"]) -> Int[Array, "b d"]:
    """Return where the box with the greatest sum starts; of equal ones the first."""
    total, inside = worth, jnp.ones((1,) * worth.ndim, bool)
    for axis, n in enumerate(worth.shape[1:], start=1):
        along = (1,) * (axis - 1) + (n,) + (1,) * (worth.ndim - 1 - axis)
        place = jnp.arange(n, dtype=jnp.int32)[None, :]
        stop = place + side[:, axis - 1, None]
        inside = inside & (stop <= n).reshape(-1, *along)
        ends = [(1, 0) if i == axis else (0, 0) for i in range(worth.ndim)]
        sums = jnp.pad(jnp.cumsum(total, axis=axis), ends)
        index = jnp.minimum(stop, n).reshape(-1, *along)
        before = jax.lax.slice_in_dim(sums, 0, n, axis=axis)
        total = jnp.take_along_axis(sums, index, axis=axis) - before
    flat = jnp.where(inside, total, -math.inf).reshape(worth.shape[0], -1)
    return jnp.stack(jnp.unravel_index(flat.argmax(axis=1), worth.shape[1:]), axis=1).astype(
        jnp.int32
    )


def padded(weight: Array, ndim: int) -> Array:
    return weight.reshape(weight.shape + (1,) * (ndim - weight.ndim))
