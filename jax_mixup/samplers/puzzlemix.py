"""Puzzle Mix: a mask that shows what is salient in both examples, and blocks that move there."""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int, PRNGKeyArray, PyTree, Shaped

from jax_mixup import _checks, _geometry
from jax_mixup._blending import checked_rows, mask_for, mix_where, partner_rows
from jax_mixup._draws import Law
from jax_mixup._entry import one_program, public
from jax_mixup._loops import iterate
from jax_mixup._maps import checked_map, normalised
from jax_mixup.mix import Mix
from jax_mixup.pairings._rows import Pairing, move_rows
from jax_mixup.pairings.static import reverse
from jax_mixup.samplers._options import Draw


@public
def sample_puzzlemix(
    key: PRNGKeyArray,
    saliency: Shaped[ArrayLike, "b *spatial"],
    *,
    alpha: ArrayLike = 1.0,
    lam_law: Law | None = None,
    x: Shaped[ArrayLike, "b *dims"] | None = None,
    grid: tuple[int, ...] = (8, 8),
    labels: int = 3,
    beta: float = 1.2,
    gamma: float = 0.5,
    eta: float = 0.2,
    iterations: int = 100,
    pairing: Pairing = reverse(),
) -> Mix:
    """Draw a Puzzle Mix: the mask that shows the most saliency of both examples, in few pieces.

        m = argmin Σ m ŝₚ + (1-m) ŝᵢ - η/K Σ log P(m) + Σ w ((m-m')² + γ |x̃-x̃'|);  λᵢ = mean mᵢ

    The first sums are over the K cells of a grid, the last one is over neighbouring cells, with
    w = β n / 16K along an axis of n cells. P is binomial: (L-1) m is the number of successes in L-1
    draws of probability λ.

    Args:
      key: a PRNG key.
      saliency: f[B, *spatial], how important each position of each example is.
      alpha: concentration of λ ~ Beta(α, α): small values mix little, 1 makes λ uniform. It may be
        traced; 0 turns mixing off. λ is drawn for each example, from one alpha or from one for
        each.
      lam_law: another distribution of λ, a function `(key, shape) -> f32[shape]` such as
        `jm.uniform(0.0, 1.0)`; `alpha` is then not used.
      x: the images, floats [B, *spatial, C] in [0, 1]: a border between pieces costs more where the
        mixed colours jump. None leaves out the term with γ.
      grid: how many cells each spatial axis has.
      labels: L, the number of levels that m has: 0, 1/(L-1), ..., 1.
      beta, gamma, eta: the weights of three aims: smooth masks, smooth colours, and a mean near λ.
      iterations: the number of gradient steps for each of the L-1 cuts.
      pairing: which example is mixed with which: a static pairing such as `reverse()`, or an index
        array i32[B] such as `jm.permutation(key, B)`.

    Returns:
      A mix with a mask [B, *spatial]: float32, or bool for `labels=2`.

    Raises:
      TypeError: If `x` is not floating point.
      ValueError: If `saliency` has no spatial axis, `grid` does not fit it, `x` has other
        positions, `labels` < 2, `iterations` < 1, or a static `alpha` is negative.

    Example:
      >>> s = jnp.zeros((2, 8, 8)).at[0, :, :3].set(1.0).at[1, :, 3:].set(1.0)
      >>> mix = jm.sample_puzzlemix(jax.random.key(0), s, lam_law=jm.constant(0.5))
      >>> mix.mask[0, 0].tolist(), mix.lam.tolist()
      ([1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0], [0.375, 0.625])

    Kim et al. 2020, arXiv:2009.06962. Their code draws a grid of 2, 4, 8 or 16 blocks for each
    batch, measures jumps at finer cells along borders, and cuts graphs on the host with α-β swaps
    of rounded energies. Here the minimum is exact in all cases of 6 x 4 cells that the tests solve
    by dynamic programming; larger grids than 8 x 8 need more iterations, about 200 for 16 x 16.
    """
    name = "sample_puzzlemix"
    s = checked_map(name, saliency)
    draw = Draw(name, s.shape, "example", pairing, alpha=alpha)
    spatial = draw.spatial
    grid = _checks.grid(name, grid, spatial)
    labels = _checks.whole(name, "labels", labels, 2)
    iterations = _checks.whole(name, "iterations", iterations, 1)
    lam = jax.lax.stop_gradient(draw.numbers(key, alpha, lam_law)[0])
    own = normalised(_geometry.area_average(s, grid))
    cost = move_rows(draw.pairing, own) - own  # of m = 1, less that of m = 0
    border = _border(grid, beta)
    if x is not None:
        colours = _colours(name, x, s.shape, grid)
        cost, border = _with_jumps(cost, border, gamma, colours, move_rows(draw.pairing, colours))
    level = _least(cost, eta / math.prod(grid) * _surprise(lam, labels), border, iterations)
    cells = level > 0 if labels == 2 else level / (labels - 1)
    mask = _geometry.enlarge(cells, spatial)
    return mix_where(lam < 1, draw.mix(mask, _geometry.mean(mask)))


def _border(grid: tuple[int, ...], beta: float) -> Float[Array, "d 1 *grid"]:
    """The weight of each cell's border with the next one, along each axis; 0 for the last cell."""
    places = np.indices(grid)
    sizes = np.reshape(grid, (-1,) + (1,) * len(grid))
    weight = np.where(places < sizes - 1, beta * sizes / (16 * math.prod(grid)), 0.0)
    return jnp.asarray(weight, jnp.float32)[:, None]


def _surprise(lam: Float[Array, "b"], labels: int) -> Float[Array, "labels b"]:
    """-log P of each level; a lower bound of λ and 1 - λ keeps it finite."""
    level = jnp.arange(labels, dtype=jnp.float32)[:, None]
    ways = jnp.asarray([math.log(math.comb(labels - 1, k)) for k in range(labels)], jnp.float32)
    own, other = jnp.log(jnp.maximum(lam, 1e-8)), jnp.log(jnp.maximum(1 - lam, 1e-8))
    return -(ways[:, None] + level * own[None, :] + (labels - 1 - level) * other[None, :])


def _colours(
    function: str, x: ArrayLike, shape: tuple[int, ...], grid: tuple[int, ...]
) -> Float[Array, "b *grid c"]:
    x = jnp.asarray(x)
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise TypeError(f"{function} got x of dtype {x.dtype}; it needs floats in [0, 1].")
    if x.shape[:-1] != shape:
        raise ValueError(
            f"{function} got x of shape {x.shape} for saliency of shape {shape}; it needs that "
            "shape with a channel axis after it."
        )
    x = jax.lax.stop_gradient(x.astype(jnp.float32))
    return jax.vmap(lambda channel: _geometry.area_average(channel, grid), -1, -1)(x)


def _with_jumps(
    cost: Float[Array, "b *grid"], border: Array, gamma: float, own: Array, other: Array
) -> tuple[Array, Array]:
    """Add the jumps |x̃-x̃'| of the mixed colours to the cost of cells and to that of borders."""
    borders = []
    for axis, weight in enumerate(border, start=1):
        own_own, own_other, other_own, other_other = (
            gamma * jnp.abs(a - jnp.roll(b, -1, axis)).mean(axis=-1)
            for a, b in ((own, own), (own, other), (other, own), (other, other))
        )
        cost = cost + weight * (own_other + own_own - other_own - other_other) / 2
        before = weight * (other_own + own_own - own_other - other_other) / 2
        cost = cost + jnp.roll(before, 1, axis)
        # This is not negative for x in [0, 1] and γ <= 1; else the energy would not be convex.
        unlike = 1 + (own_other + other_own - own_own - other_other) / 2
        borders.append(weight * jnp.maximum(unlike, 0.0))
    return cost, jnp.stack(borders)


@one_program("iterations")
def _least(
    cost: Float[Array, "b *grid"], surprise: Float[Array, "l b"], border: Array, iterations: int
) -> Float[Array, "b *grid"]:
    """Find the levels k of least energy Σ cost m + surprise(k) + Σ border (m-m')², m = k / (l-1).

    Levels start at zero, and each step raises a set of cells by one. The energy is L♮-convex in k,
    so that taking the best set in each step leads to the minimum.
    """
    steps = surprise.shape[0] - 1
    border = border / steps**2
    rises = jnp.diff(surprise, axis=0).reshape((steps, -1) + (1,) * (cost.ndim - 1))

    def up(_: Array, level: Array) -> Array:
        rise = jnp.stack([jnp.where(level == k, rises[k], 0.0) for k in range(steps)]).sum(axis=0)
        slope = cost / steps + rise + 2 * _outflow(border * _to_next(level))
        return level + _cut(slope, border, iterations)

    nothing = 0 * (cost + rises[0])  # sharded as both are, under shard_map too
    return jax.lax.fori_loop(0, steps, up, nothing)


def _cut(slope: Float[Array, "b *grid"], border: Array, iterations: int) -> Array:
    """Find the set of cells with the least Σ slope inside + Σ border around it.

    It is {u > 0} for u = argmin ½|u + slope|² + TV(u). Projected gradient steps with Nesterov's
    momentum (FISTA) solve the dual problem.
    """
    t, momentum = 1.0, []
    for _ in range(iterations):
        t, last = (1 + math.sqrt(1 + 4 * t * t)) / 2, t
        momentum.append((last - 1) / t)
    rate = 1 / (4 * (slope.ndim - 1))

    def step(state: tuple[Array, Array], momentum: Array) -> tuple[Array, Array]:
        flow, ahead = state
        new = jnp.clip(ahead - rate * _to_next(slope + _outflow(ahead)), -border, border)
        return new, new + momentum * (new - flow)

    zero = 0 * (_to_next(slope) + border)  # sharded as both are, under shard_map too
    flow, _ = iterate(step, (zero, zero), jnp.asarray(momentum, jnp.float32), together=10)
    return (slope + _outflow(flow) < 0).astype(jnp.float32)


def _to_next(u: Float[Array, "b *grid"]) -> Float[Array, "d b *grid"]:
    """The value of the next cell minus that of the cell itself, along each axis."""
    return jnp.stack([jnp.roll(u, -1, axis) - u for axis in range(1, u.ndim)])


def _outflow(flow: Float[Array, "d b *grid"]) -> Float[Array, "b *grid"]:
    """The adjoint of `_to_next`; `flow` is zero at the last cells."""
    parts = [jnp.roll(part, 1, axis) - part for axis, part in enumerate(flow, start=1)]
    return jnp.stack(parts).sum(axis=0)


@public
def puzzle_transport(
    mix: Mix,
    saliency: Shaped[ArrayLike, "b *spatial"],
    *,
    grid: tuple[int, ...],
    other: Shaped[ArrayLike, "b *spatial"] | None = None,
    eps: float = 0.8,
    iterations: int = 64,
) -> tuple[Int[Array, "b k"], Int[Array, "b k"]]:
    """Find which blocks of both examples to move, so that the mask shows the salient ones.

        t = argmin Σ ε |c - t(c)|² / (n-1)² - ŝ(c) [m(t(c)) > 0]

    over all permutations t of the blocks c, with n blocks along the longest axis. For the partner,
    1-m takes the place of m. Move the blocks of both before you blend them:

        own, other = jm.puzzle_transport(mix, saliency, grid=grid)
        other = jm.move_blocks(jm.take_partner(mix, x), other, grid=grid)
        mixed = jm.blend(mix, jm.move_blocks(x, own, grid=grid), other=other)

    Args:
      mix: a mix of B examples whose mask has spatial axes.
      saliency: f[B, *spatial], how important each position of each example is.
      grid: how many blocks each axis has: the grid that the mask was made on, or a finer one.
      other: the saliency of what is blended in place of the partners, such as a second batch.
      eps: ε, the cost of moving.
      iterations: rounds of the auction in which blocks bid for places.

    Returns:
      For the examples and for their partners, i32[B, K] each: the block that comes to each place.
      An example stays as it is if the auction did not end, or its result is no better.

    Raises:
      ValueError: If `saliency` has another batch size than the mix, or the mask or `grid` does not
        fit it.

    Example:
      >>> s = jnp.array([[0.0, 9.0, 0.0, 0.0], [0.0, 0.0, 0.0, 9.0]])
      >>> mix = jm.Mix(jm.reverse(), jnp.array([[1.0, 0.0, 0.0, 0.0]]), jnp.full(2, 0.25))
      >>> own, other = jm.puzzle_transport(mix, s, grid=(4,))
      >>> own[0].tolist(), other[0].tolist()
      ([1, 0, 2, 3], [0, 1, 2, 3])

    Kim et al. 2020, arXiv:2009.06962. Their code lets the better of two blocks take a place, in
    as many rounds as the grid is wide; a place that no block took turns black. Here blocks bid in
    an auction with prices (Bertsekas 1988), and tests require 95 % of what the best permutations
    gain over staying. A round costs O(K²) for each example.
    """
    name = "puzzle_transport"
    s = checked_rows(name, mix, "saliency", checked_map(name, saliency))
    grid, batch = _checks.grid(name, grid, s.shape[1:]), s.shape[0]
    mask = jnp.broadcast_to(mask_for(name, mix, s).astype(jnp.float32), s.shape)
    theirs = None if other is None else checked_map(name, other)
    rest = partner_rows(name, mix, "saliency", s, theirs)
    parts = [normalised(_geometry.area_average(part, grid)) for part in (s, rest)]
    visible = _geometry.area_average(mask, grid) > 0, _geometry.area_average(1 - mask, grid) > 0
    unit = max(1, max(grid) - 1)
    place = np.stack(np.unravel_index(np.arange(math.prod(grid)), grid), axis=1) / unit
    distance = np.square(place[:, None] - place[None, :]).sum(axis=-1)
    moving = jnp.asarray(eps * distance, jnp.float32)[None]
    assign = partial(_auction, rise=0.3 * eps / unit**2, iterations=iterations)
    costs = [
        moving - jnp.where(in_mask.reshape(batch, 1, -1), part.reshape(batch, -1, 1), 0.0)
        for part, in_mask in zip(parts, visible, strict=True)
    ]
    first, second = jax.vmap(assign)(jnp.stack(costs))  # both in one auction's rounds
    return first, second


@public
def move_blocks(x: PyTree, source: Int[ArrayLike, "b k"], *, grid: tuple[int, ...]) -> PyTree:
    """Move blocks within each example: block `source[c]` comes to the place of block c.

        out[block c] = x[block source[c]]

    Args:
      x: arrays [B, *spatial, ...] of any dtype, or a PyTree of them.
      source: i[B, K], for each place the block that comes there; blocks are counted along the last
        spatial axis first.
      grid: how many blocks each spatial axis has, K in total.

    Returns:
      Arrays of x's shapes and dtypes.

    Raises:
      ValueError: If `grid` does not divide the spatial axes, or `source` has another shape.

    Example:
      >>> jm.move_blocks(jnp.array([[1, 2, 3, 4]]), jnp.array([[1, 0]]), grid=(2,)).tolist()
      [[3, 4, 1, 2]]
    """
    grid = _checks.sizes("move_blocks", "grid", grid, f"({grid}, {grid})")
    source, d = jnp.asarray(source), len(grid)

    def leaf(x: ArrayLike) -> Array:
        x = jnp.asarray(x)
        batch, spatial, rest = x.shape[0], x.shape[1 : d + 1], x.shape[d + 1 :]
        if len(spatial) != d or any(n % cells for n, cells in zip(spatial, grid, strict=True)):
            raise ValueError(
                f"move_blocks got x of shape {x.shape} and grid={grid}; it needs a number of "
                "blocks that divides each spatial axis."
            )
        index = _checks.shaped("move_blocks", "source", source, (batch, math.prod(grid)))
        sides = tuple(n // cells for n, cells in zip(spatial, grid, strict=True))
        apart = tuple(n for pair in zip(grid, sides, strict=True) for n in pair)
        order = (0, *range(1, 2 * d, 2), *range(2, 2 * d + 1, 2))
        blocks = x.reshape(batch, *apart, -1).transpose(*order, 2 * d + 1)
        blocks = blocks.reshape(batch, math.prod(grid), -1)
        moved = jnp.take_along_axis(blocks, index[:, :, None], axis=1)
        moved = moved.reshape(batch, *grid, *sides, -1)
        return moved.transpose(*np.argsort(order), 2 * d + 1).reshape(batch, *spatial, *rest)

    return jax.tree.map(leaf, x)


@one_program("rise", "iterations")
def _auction(
    cost: Float[Array, "b block place"], rise: float, iterations: int
) -> Int[Array, "b place"]:
    """Find a block for each place by an auction, in which all blocks without a place bid."""
    places = jnp.arange(cost.shape[2], dtype=jnp.int32)

    def bid(state: tuple[Array, Array], _: None) -> tuple[Array, Array]:
        price, owner = state
        net = cost + price[:, None, :]
        best = net.argmin(axis=2, keepdims=True).astype(jnp.int32) == places[None, None, :]
        least = net.min(axis=2, keepdims=True)
        second = jnp.where(best, jnp.inf, net).min(axis=2, keepdims=True)
        placed = (owner[:, None, :] == places[None, :, None]).any(axis=2, keepdims=True)
        offer = jnp.where(best & ~placed, second - least + rise, -jnp.inf)
        sold = (offer > -jnp.inf).any(axis=1)
        buyer = offer.argmax(axis=1).astype(jnp.int32)
        return price + jnp.where(sold, offer.max(axis=1), 0.0), jnp.where(sold, buyer, owner)

    price = 0 * cost[:, 0]  # sharded as cost is, under shard_map too
    nobody = price.astype(jnp.int32) - 1
    _, owner = iterate(bid, (price, nobody), length=iterations, together=8)
    home = jnp.broadcast_to(places[None], owner.shape)
    paid = jnp.take_along_axis(cost, jnp.maximum(owner, 0)[:, None, :], axis=1).sum((1, 2))
    staying = jnp.diagonal(cost, axis1=1, axis2=2).sum(axis=1)
    better = (owner >= 0).all(axis=1) & (paid < staying)
    return jnp.where(better[:, None], owner, home)
