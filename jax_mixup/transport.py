"""Optimal transport: rows paired as a whole group (k-mixup), features aligned in space (AlignMix).

All loops have a fixed number of steps, so everything here runs under jit, vmap and scan.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Int, PRNGKeyArray, Shaped

from jax_mixup import _checks
from jax_mixup._entry import public
from jax_mixup.mix import Mix, checked_rows, padded, partner_rows
from jax_mixup.pairing import partner_index
from jax_mixup.partners import around, largest, permutation, whole_rows


@public
def sinkhorn(
    cost: Shaped[ArrayLike, "..."], *, epsilon: ArrayLike = 0.1, iterations: int = 100
) -> Float[Array, "..."]:
    """Find the cheapest way to move n even shares onto m even places, blurred by entropy.

        P = argmin ⟨P, C⟩ - ε H(P)  over P >= 0 with row sums 1/n and column sums 1/m

    Sinkhorn's algorithm on logarithms, for a fixed number of steps: row sums are exact, column sums
    as near as the steps have brought them.

    Args:
      cost: C, [..., n, m].
      epsilon: ε > 0, in units of the cost; may be traced. The smaller, the sharper the plan and the
        more steps it takes; however small, nothing overflows.
      iterations: how many steps, each of all columns and all rows.

    Returns:
      P, f32[..., n, m].

    Raises:
      ValueError: for a cost of fewer than two axes, a static `epsilon` <= 0, or `iterations` < 1.

    Example:
      >>> plan = jm.sinkhorn(jnp.array([[0.0, 1.0], [1.0, 3.0]]), epsilon=0.05)
      >>> plan.round(2).tolist()  # 1 + 1 is less than 0 + 3
      [[0.0, 0.5], [0.5, 0.0]]

    Cuturi 2013, Sinkhorn distances.
    """
    cost = jnp.asarray(cost)
    if cost.ndim < 2:
        raise ValueError(f"sinkhorn got a cost of shape {cost.shape}; it needs (..., n, m).")
    _checks.positive("sinkhorn", "epsilon", epsilon)
    iterations = _checks.whole("sinkhorn", "iterations", iterations, 1)
    # What a whole row or column costs changes no plan. Without it each has an entry of 0, so that
    # no sum of exponentials is empty, even where a tiny epsilon makes all other entries infinite.
    cost = cost.astype(jnp.float32)
    cost -= cost.min(axis=-1, keepdims=True)
    cost -= cost.min(axis=-2, keepdims=True)
    cost = jnp.where(cost > 0, cost / jnp.asarray(epsilon).astype(jnp.float32), 0.0)

    def step(_: ArrayLike, g: Array) -> Array:
        f = -jax.nn.logsumexp(g - cost, axis=-1, keepdims=True)
        return -jax.nn.logsumexp(f - cost, axis=-2, keepdims=True)

    g = jax.lax.fori_loop(1, iterations, step, -jax.nn.logsumexp(-cost, axis=-2, keepdims=True))
    return jax.nn.softmax(g - cost, axis=-1) / cost.shape[-2]


@public
def transported(
    key: PRNGKeyArray, features: Shaped[ArrayLike, "b *dims"], *, k: int
) -> Int[Array, "b"]:
    """Pair random groups of k rows with other groups of k, at the least total distance.

        p = argmin over σ of Σ ‖fᵢ - f_σ(i)‖², σ one to one from a group of k rows to the next

    Rows are shuffled and cut into groups; each group is matched with the k rows after it, in a
    circle, and what is left over is a smaller group. So p is a permutation, and near rows meet
    although all groups are random. k = 1 is `derangement`: no row is its own partner.

    The match is a Sinkhorn plan, rounded to its largest entries, and then k exchanges of two
    partners, each the best one left. The tests hold its cost to 0.3 % above the least one on
    average, and 6 % at worst, for k = 16 Gaussian points in the plane.

    Args:
      key: a PRNG key.
      features: f[B, ...]: inputs or hidden features, also integers. Costs O(B k).
      k: rows in a group, 1 or more; at most B / 2 are taken, for groups must not overlap.

    Returns:
      i32[B]; [0] for a batch of one. A row with NaN or infinite features is its own partner, and
      nobody else's.

    Raises:
      ValueError: for k < 1.

    Example:
      Of the three cuts into two groups of two, two let near rows meet.

      >>> x = jnp.array([0.0, 1.0, 10.0, 11.0])
      >>> jm.transported(jax.random.key(2), x, k=2).tolist()
      [1, 0, 3, 2]

    k-mixup, Greenewald et al. 2021, arXiv:2106.02933. Their code solves each assignment exactly on
    the host, by distances that are not squared, and draws the other group from all rows, where a
    row may meet itself.
    """
    k = _checks.whole("transported", "k", k, 1)
    flat, missing = whole_rows("transported", "features", features)
    n, flat = flat.shape[0], flat / largest(flat)
    k = max(1, min(k, n // 2))
    rows = permutation(key, n)
    others = jnp.roll(rows, -k)

    def match(rows: Array, others: Array) -> Array:
        return others[_assignment(_square_distances(flat[rows], flat[others]))]

    full = n - n % k
    matched = jax.vmap(match)(rows[:full].reshape(-1, k), others[:full].reshape(-1, k))
    partner = jnp.zeros(n, jnp.int32).at[rows[:full]].set(matched.reshape(-1))
    if full < n:
        partner = partner.at[rows[full:]].set(match(rows[full:], others[full:]))
    return around(partner, missing)


@public
def align_partner(
    mix: Mix,
    h: Shaped[ArrayLike, "b *dims"],
    *,
    other: Shaped[ArrayLike, "b *dims"] | None = None,
    epsilon: ArrayLike = 0.1,
    iterations: int = 100,
) -> Float[Array, "b *dims"]:
    """Move the partner's features to where the row has alike ones, to be blended in as `other`.

        oᵢ(s) = n Σ_t P(s, t) hₚ(t),  P the `sinkhorn` plan of C(s, t) = ‖hᵢ(s) - hₚ(t)‖²

    The row keeps its layout, and each of its n positions is blended with an average of positions of
    the partner. The plan is no part of the gradient, the features are.

    Args:
      mix: a mix of B rows, as `sample_mixup` draws.
      h: f[B, *spatial, C]: features of the last layers, where positions are few: the plan has n²
        entries a row.
      other: features to move in place of the partners', as of a second batch.
      epsilon: ε of `sinkhorn`, in units of squared distance between features.
      iterations: as in `sinkhorn`.

    Returns:
      What stands in for the partners, of h's shape and dtype: `jm.blend(mix, h, other=...)`. A row
      that is its own partner gets itself.

    Raises:
      TypeError: for features that are no floats.
      ValueError: for another B, h without positions or channels, or as `sinkhorn`.

    Example:
      >>> h = jnp.array([[[9.0], [0.0]], [[1.0], [8.0]]])  # two rows, two positions, one channel
      >>> mix = jm.sample_mixup(jax.random.key(0), (2,), lam_law=jm.constant(0.5))
      >>> other = jm.align_partner(mix, h)
      >>> jm.blend(mix, h, other=other).squeeze().tolist()
      [[8.5, 0.5], [0.5, 8.5]]

    AlignMix, Venkataramanan et al. 2022, arXiv:2103.15375, who draw λ ~ Beta(2, 2). Their code
    tosses a coin for which of the two keeps its layout. It changes no law here: the row moved onto
    its partner, at λ, is what the partner's own row is at 1 - λ. They stop Sinkhorn early, and at
    half of the steps mix inputs instead.
    """
    h = checked_rows("align_partner", mix, "h", h)
    if not jnp.issubdtype(h.dtype, jnp.floating):
        raise TypeError(
            f"align_partner got h of dtype {h.dtype}; it needs floats, as features are."
        )
    if h.ndim < 3:
        raise ValueError(
            f"align_partner got h of shape {h.shape}; it needs positions and channels, "
            "(B, *spatial, C): without positions blend the partners as they are."
        )
    own = h.reshape(h.shape[0], -1, h.shape[-1]).astype(jnp.float32)
    rest = partner_rows("align_partner", mix, "h", h, other)
    rest = rest.reshape(own.shape).astype(jnp.float32)
    cost = jax.lax.stop_gradient(jax.vmap(_square_distances)(own, rest))
    plan = own.shape[1] * sinkhorn(cost, epsilon=epsilon, iterations=iterations)
    # HIGHEST: TPUs would otherwise multiply in bfloat16.
    moved = jnp.matmul(plan, rest, precision=jax.lax.Precision.HIGHEST).reshape(h.shape)
    if other is not None:
        return moved.astype(h.dtype)
    rows = jnp.arange(h.shape[0], dtype=jnp.int32)
    alone = partner_index(mix.partner, h.shape[0]) == rows
    return jnp.where(padded(alone, h.ndim), h, moved.astype(h.dtype))


def _assignment(cost: Float[Array, "k k"]) -> Int[Array, "k"]:
    """Which column each row gets, one to one, at nearly the least total cost."""
    k = cost.shape[0]
    scale = jnp.maximum(cost.mean(), jnp.finfo(jnp.float32).tiny)
    plan = sinkhorn(cost / scale, epsilon=0.03, iterations=100)

    def take_largest(_: ArrayLike, state: tuple[Array, Array]) -> tuple[Array, Array]:
        plan, column = state
        i, j = jnp.divmod(plan.argmax(), k)
        return plan.at[i, :].set(-1.0).at[:, j].set(-1.0), column.at[i].set(j.astype(jnp.int32))

    def best_exchange(_: ArrayLike, column: Array) -> Array:
        now = cost[:, column]  # row i with the column of row j
        paid = jnp.diagonal(now)
        change = now + now.T - paid[:, None] - paid[None, :]  # 0 on the diagonal
        i, j = jnp.divmod(change.argmin(), k)
        return column.at[i].set(column[j]).at[j].set(column[i])

    column = plan.argmax(axis=1).astype(jnp.int32)  # replaced, one by one
    column = jax.lax.fori_loop(0, k, take_largest, (plan, column))[1]
    return jax.lax.fori_loop(0, k, best_exchange, column)


def _square_distances(
    rows: Float[Array, "n dims"], others: Float[Array, "m dims"]
) -> Float[Array, "n m"]:
    # As a product of matrices, several times as fast as by differences. The others' mean is taken
    # off, for rows that are near one another and far from zero would cancel.
    middle = others.mean(axis=0, keepdims=True)
    rows, others = rows - middle, others - middle
    products = jnp.matmul(rows, others.T, precision=jax.lax.Precision.HIGHEST)
    squares = jnp.square(rows).sum(axis=1)[:, None] + jnp.square(others).sum(axis=1)[None, :]
    return squares - 2 * products
