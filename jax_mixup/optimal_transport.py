"""Optimal transport: the plan, or the assignment, that moves a set of points at the least cost."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Bool, Float, Int, Shaped

from jax_mixup import _checks
from jax_mixup._entry import one_program, public


@public
def sinkhorn(
    cost: Shaped[ArrayLike, "..."], *, epsilon: ArrayLike = 0.1, iterations: int = 100
) -> Float[Array, "..."]:
    """Find the cheapest way to move n equal weights onto m equal places, blurred by entropy.

        P = argmin ⟨P, C⟩ - ε H(P)  over P >= 0 with row sums 1/n and column sums 1/m

    This is Sinkhorn's algorithm on logarithms, for a fixed number of steps: row sums are exact,
    column sums are as near as the steps have brought them.

    Args:
      cost: C, [..., n, m].
      epsilon: ε > 0, in units of the cost; may be traced. The smaller, the sharper the plan and the
        more steps it takes; however small, nothing overflows.
      iterations: the number of steps, each over all columns and all rows.

    Returns:
      P, f32[..., n, m].

    Raises:
      ValueError: If `cost` has fewer than two axes, if a static `epsilon` is not positive, or if
        `iterations` is less than 1.

    Example:
      >>> plan = jm.sinkhorn(jnp.array([[0.0, 1.0], [1.0, 3.0]]), epsilon=0.05)
      >>> plan.round(2).tolist()  # 1 + 1 is less than 0 + 3
      [[0.0, 0.5], [0.5, 0.0]]

    Cuturi 2013, Sinkhorn distances.
    """
    cost = jnp.asarray(cost)
    if cost.ndim < 2:
        raise ValueError(
            f"sinkhorn got a cost of shape {cost.shape}; it needs (..., n, m), one cost for each "
            "pair of points."
        )
    _checks.positive("sinkhorn", "epsilon", epsilon)
    iterations = _checks.whole("sinkhorn", "iterations", iterations, 1)
    return _plan(cost.astype(jnp.float32), jnp.asarray(epsilon).astype(jnp.float32), iterations)


@one_program("iterations")
def _plan(
    cost: Float[Array, "..."], epsilon: Float[Array, "..."], iterations: int
) -> Float[Array, "..."]:
    # A cost that a whole row or column has in common changes no plan, so it is taken off. Then each
    # row and column has an entry of 0, and no sum of exponentials is empty, even where a tiny
    # epsilon makes all other entries infinite.
    cost -= cost.min(axis=-1, keepdims=True)
    cost -= cost.min(axis=-2, keepdims=True)
    cost = jnp.where(cost > 0, cost / epsilon, 0.0)

    def step(_: ArrayLike, g: Array) -> Array:
        f = -jax.nn.logsumexp(g - cost, axis=-1, keepdims=True)
        return -jax.nn.logsumexp(f - cost, axis=-2, keepdims=True)

    g = jax.lax.fori_loop(1, iterations, step, -jax.nn.logsumexp(-cost, axis=-2, keepdims=True))
    return jax.nn.softmax(g - cost, axis=-1) / cost.shape[-2]


@public
def assign(
    cost: Shaped[ArrayLike, "..."], *, epsilon: ArrayLike = 0.005, iterations: int = 300
) -> Int[Array, "..."]:
    """Assign a column to each row, no column twice, at nearly the least total cost.

        σ = argmin Σᵢ C[i, σ(i)]  over one-to-one σ

    This is the auction algorithm, for a fixed number of rounds: in each, every row that has no
    column bids for the one that is worth most to it at the present prices; where rows are more than
    columns, columns bid for rows. What is left after them is assigned in order. If nothing is left,
    the total is at most k ε above the least, for k pairs. With the defaults, the tests hold it to
    4 % above the least for 40 to 256 points in space.

    Args:
      cost: C, [..., n, m]. A pair whose cost is infinite or NaN is never made: that is how padding
        stays out, whole rows and columns of it. A large number in its place would make ε large.
        Where single pairs are forbidden, there may be fewer pairs than possible, and their total
        may be farther from the least: `scipy.optimize.linear_sum_assignment` is exact.
      epsilon: ε > 0, the least step of a price, in units of the mean cost above the least one; may
        be traced. Steps are 64, 16 and 4 times as large before. A smaller one takes more rounds.
      iterations: the number of rounds, each over all n m costs.

    Returns:
      i32[..., n], the column of each row, or -1 where no column that it may have is left.

    Raises:
      ValueError: If `cost` has fewer than two axes, if a static `epsilon` is not positive, or if
        `iterations` is less than 1.

    Example:
      >>> cost = jnp.array([[0.0, 1.0], [1.0, 3.0]])
      >>> jm.assign(cost).tolist(), jm.assign(cost.at[0].set(jnp.inf)).tolist()
      ([1, 0], [-1, 0])

    Bertsekas 1988, The auction algorithm. `sinkhorn` gives a plan with a gradient instead.
    """
    cost = jnp.asarray(cost)
    if cost.ndim < 2:
        raise ValueError(
            f"assign got a cost of shape {cost.shape}; it needs (..., n, m), one cost for each "
            "pair of points."
        )
    _checks.positive("assign", "epsilon", epsilon)
    iterations = _checks.whole("assign", "iterations", iterations, 1)
    epsilon = _checks.shaped("assign", "epsilon", jnp.asarray(epsilon).astype(jnp.float32), ())
    return _assigned(cost.astype(jnp.float32), epsilon, iterations)


@one_program("iterations")
def _assigned(
    cost: Float[Array, "..."], epsilon: Float[Array, ""], iterations: int
) -> Int[Array, "..."]:
    if cost.ndim > 2:
        return jax.vmap(lambda c: _assigned(c, epsilon, iterations))(cost)
    n, m = cost.shape
    size = max(n, m)
    cost = jnp.pad(cost, ((0, size - n), (0, size - m)), constant_values=jnp.inf)
    # If more would bid than there is to buy, those that go empty would bid for ever.
    there = jnp.isfinite(cost)
    flip = there.any(axis=1).sum(dtype=jnp.int32) > there.any(axis=0).sum(dtype=jnp.int32)
    column = _auction(jnp.where(flip, cost.T, cost), epsilon, iterations)
    place = jnp.where(column < 0, size, column)
    row = jnp.full_like(column, -1).at[place].set(jnp.arange(size, dtype=jnp.int32), mode="drop")
    return jnp.where(flip, row, column)[:n]


def _auction(
    cost: Float[Array, "n n"], epsilon: Float[Array, ""], iterations: int
) -> Int[Array, "n"]:
    allowed, n = jnp.isfinite(cost), len(cost)
    above = jnp.where(allowed, cost - jnp.where(allowed, cost, jnp.inf).min(), 0.0)
    mean = above.sum() / jnp.maximum(allowed.sum(dtype=jnp.int32), 1).astype(jnp.float32)
    least = epsilon * jnp.where(mean > 0, mean, 1.0)
    worth = jnp.where(allowed, -above, -jnp.inf)
    index = jnp.arange(n, dtype=jnp.int32)
    # Steps that are large first bring prices near what they will be: each time all is sold again.
    # Where columns are left over, prices must start at 0, or dear ones would be left.
    starts = jnp.asarray([iterations * part // 10 for part in (0, 1, 3, 6)], jnp.int32)
    steps = least * jnp.asarray([64, 16, 4, 1], jnp.float32)
    none_left = allowed.any(axis=1).sum() == allowed.any(axis=0).sum()

    def sell(i: Array, state: tuple[Array, Array]) -> tuple[Array, Array]:
        price, taken = state
        again = (i == starts).any()
        taken = jnp.where(again, -1, taken)
        price = jnp.where(again & ~none_left, 0.0, price)
        step = steps[(i >= starts).sum() - 1]
        value = worth - price[None, :]
        best = value.argmax(axis=1).astype(jnp.int32)
        first = value.max(axis=1)
        second = jnp.where(index[None, :] == best[:, None], -jnp.inf, value).max(axis=1)
        bids = (taken < 0) & (first > -jnp.inf)
        rise = jnp.where(second > -jnp.inf, first - second, 0.0) + step
        most = jnp.full(n, -jnp.inf, jnp.float32).at[best].max(jnp.where(bids, rise, -jnp.inf))
        wins = bids & (rise == most[best])
        buyer = jnp.full(n, n, jnp.int32).at[best].min(jnp.where(wins, index, n))
        sold = buyer < n
        taken = jnp.where((taken >= 0) & sold[taken], -1, taken)
        taken = jnp.where(wins & (buyer[best] == index), best, taken)
        return jnp.where(sold, price + most, price), taken

    zero = allowed & ~allowed  # with the layout of the cost, under shard_map too
    start = zero.sum(axis=0, dtype=jnp.float32), zero.sum(axis=1, dtype=jnp.int32) - 1
    return _completed(jax.lax.fori_loop(0, iterations, sell, start)[1], allowed)


def _completed(taken: Int[Array, "n"], allowed: Bool[Array, "n n"]) -> Int[Array, "n"]:
    """Give the columns that are left to the rows that have none, in order."""
    n = len(taken)
    without = (taken < 0) & allowed.any(axis=1)
    sold = jnp.zeros(n, jnp.int32).at[jnp.where(taken < 0, n, taken)].add(1, mode="drop")
    left = (sold == 0) & allowed.any(axis=0)
    order = jnp.argsort(~left, stable=True).astype(jnp.int32)
    rank = jnp.cumsum(without, dtype=jnp.int32) - 1
    column = order[jnp.clip(rank, 0, n - 1)]
    fits = jnp.take_along_axis(allowed, column[:, None], axis=1)[:, 0]
    fits = fits & without & (rank < left.sum(dtype=jnp.int32))
    return jnp.where(fits, column, taken)
