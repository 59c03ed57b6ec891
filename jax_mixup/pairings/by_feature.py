"""Partners by features or saliency: near ones, matched ones, or ones salient at other places."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Bool, Float, Int, PRNGKeyArray, Shaped

from jax_mixup import _checks
from jax_mixup._distances import by_differences, by_products, overflow_scale, whole_rows
from jax_mixup._entry import one_program, public
from jax_mixup._geometry import padded
from jax_mixup._loops import iterate
from jax_mixup._maps import checked_map, normalised, smoothed
from jax_mixup.optimal_transport import sinkhorn
from jax_mixup.pairings._rows import cut_from_cycles, group_size
from jax_mixup.pairings.random import permutation


@public
def nearest(
    key: PRNGKeyArray, features: Shaped[ArrayLike, "b *dims"], *, k: int = 1
) -> Int[Array, "b"]:
    """Draw each partner among the k other examples that are nearest.

        p(i) ~ U(the k examples j ≠ i of least ‖f_i - f_j‖²)

    Args:
      key: a PRNG key; for k = 1 nothing is random.
      features: f[B, ...]: inputs, hidden features, or targets. Costs O(B²).
      k: the number of candidates; in a smaller batch all other examples are candidates.

    Returns:
      i32[B]; [0] for a batch of one. An example with NaN or infinite features is its own partner,
      and not a partner of others.

    Raises:
      ValueError: If `k` is less than 1.

    Example:
      >>> jm.nearest(jax.random.key(0), jnp.array([0.0, 5.0, 0.1])).tolist()
      [2, 2, 0]
    """
    k = _checks.whole("nearest", "k", k, 1)
    x, missing = whole_rows("nearest", "features", features)
    n = x.shape[0]
    itself = jnp.arange(n, dtype=jnp.int32)
    if n == 1:
        return itself
    k = min(k, n - 1)
    distances = by_differences(x / overflow_scale(x))
    others = jnp.where(jnp.eye(n, dtype=bool) | missing[None, :], jnp.inf, distances)
    _, candidates = jax.lax.top_k(-others, k)
    available = n - 1 - missing.sum(dtype=jnp.int32)  # to an example that is not missing itself
    pick = jax.random.randint(key, (n, 1), 0, jnp.clip(available, 1, k), jnp.int32)
    drawn = jnp.take_along_axis(candidates, pick, axis=1)[:, 0].astype(jnp.int32)
    return jnp.where(missing | (available < 1), itself, drawn)


@public
def transported(
    key: PRNGKeyArray, features: Shaped[ArrayLike, "b *dims"], *, k: int
) -> Int[Array, "b"]:
    """Pair random groups of k examples with other groups of k, at the least total distance.

        p = argmin over σ of Σ ‖fᵢ - f_σ(i)‖², σ one to one from a group of k examples to the next

    Examples are shuffled and cut into groups. Each group is matched with the k examples after it,
    in a circle; the last group may be smaller. So p is a permutation, and near examples meet
    although all groups are random. k = 1 is `derangement`: no example is its own partner.

    The match is a Sinkhorn plan, rounded to its largest entries. Then partners are exchanged k
    times between two examples, each time by the best exchange that is left. The tests hold the cost
    to 0.3 % above the least one on average, and 6 % at worst, for k = 16 Gaussian points in the
    plane.

    Args:
      key: a PRNG key.
      features: f[B, ...]: inputs or hidden features, also integers. Costs O(B k).
      k: the number of examples in a group, 1 or more; at most B / 2, because groups must not
        overlap.

    Returns:
      i32[B]; [0] for a batch of one. An example with NaN or infinite features is its own partner,
      and not a partner of others.

    Raises:
      ValueError: If `k` is less than 1.

    Example:
      Of the three cuts into two groups of two, two let near examples meet.

      >>> x = jnp.array([0.0, 1.0, 10.0, 11.0])
      >>> jm.transported(jax.random.key(2), x, k=2).tolist()
      [1, 0, 3, 2]

    k-mixup, Greenewald et al. 2021, arXiv:2106.02933. Their code solves each assignment exactly on
    the host, by distances that are not squared, and draws the other group from all examples, where
    an example may meet itself.
    """
    k = _checks.whole("transported", "k", k, 1)
    flat, missing = whole_rows("transported", "features", features)
    n, flat = flat.shape[0], flat / overflow_scale(flat)
    k = max(1, min(k, n // 2))
    rows = permutation(key, n)
    others = jnp.roll(rows, -k)

    def match(rows: Array, others: Array) -> Array:
        return others[_assignment(by_products(flat[rows], flat[others]))]

    full = n - n % k
    matched = jax.vmap(match)(rows[:full].reshape(-1, k), others[:full].reshape(-1, k))
    partner = jnp.zeros(n, jnp.int32).at[rows[:full]].set(matched.reshape(-1))
    if full < n:
        partner = partner.at[rows[full:]].set(match(rows[full:], others[full:]))
    return cut_from_cycles(partner, missing)


@one_program()
def _assignment(cost: Float[Array, "k k"]) -> Int[Array, "k"]:
    """Assign a column to each row of the matrix, one to one, at nearly the least total cost."""
    k = cost.shape[0]
    scale = jnp.maximum(cost.mean(), jnp.finfo(jnp.float32).tiny)
    plan = sinkhorn(cost / scale, epsilon=0.03, iterations=100)

    def take_largest(_: ArrayLike, state: tuple[Array, Array]) -> tuple[Array, Array]:
        plan, column = state
        i, j = jnp.divmod(plan.argmax(), k)
        return plan.at[i, :].set(-1.0).at[:, j].set(-1.0), column.at[i].set(j.astype(jnp.int32))

    def best_exchange(_: ArrayLike, column: Array) -> Array:
        now = cost[:, column]  # row i with the column of row j
        price = jnp.diagonal(now)
        change = now + now.T - price[:, None] - price[None, :]  # 0 on the diagonal
        i, j = jnp.divmod(change.argmin(), k)
        return column.at[i].set(column[j]).at[j].set(column[i])

    column = plan.argmax(axis=1).astype(jnp.int32)  # the loop replaces these, one by one
    column = jax.lax.fori_loop(0, k, take_largest, (plan, column))[1]
    return jax.lax.fori_loop(0, k, best_exchange, column)


@public
def salient_pairs(
    saliency: Shaped[ArrayLike, "b *spatial"], *, blur: float = 1.8, groups: int | None = None
) -> Int[Array, "*groups n"]:
    """Pair examples that are salient at different places: one cycle, made greedily of long steps.

        p(sₖ) = sₖ₊₁,  sₖ₊₁ = the example not yet visited that maximises ‖ŝ(sₖ) - ŝ(sₖ₊₁)‖₂

    The cycle starts with the most distant pair. ŝ is the saliency, blurred and of sum 1. Costs
    O(B²) times the number of positions, and B steps; with `groups` both are those of one group. On
    a batch that is sharded over devices it gathers all saliency on every device, unless `groups` is
    the number of shards.

    Args:
      saliency: f[B, *spatial], zero or more.
      blur: standard deviation of a Gaussian over the saliency, in positions; 0 is none.
      groups: the number of equal, contiguous groups that the batch is cut into; partners are in the
        same group, in a cycle of its own.

    Returns:
      i32[B], a permutation of one cycle: no example is its own partner, except for B = 1 and for
      examples whose saliency is NaN or infinite, which the cycle leaves out. With `groups`
      i32[groups, B / groups], whose indices are those within the group.

    Raises:
      ValueError: If saliency has no spatial axis, if `blur` is negative, or if `groups` does not
        divide B, or leaves groups of one example.

    Example:
      >>> saliency = jnp.array([[9.0, 0.0], [8.0, 1.0], [0.0, 9.0], [1.0, 8.0]])
      >>> jm.salient_pairs(saliency, blur=0.0).tolist()
      [2, 3, 1, 0]
      >>> jm.salient_pairs(saliency, blur=0.0, groups=2).tolist()
      [[1, 0], [1, 0]]

    GuidedMixup, Kang & Kim 2023, arXiv:2306.16612, condition "greedy" of their code.
    """
    s = checked_map("salient_pairs", saliency)
    missing = ~jnp.isfinite(s).all(axis=tuple(range(1, s.ndim)))
    s = normalised(smoothed("salient_pairs", jnp.where(padded(missing, s.ndim), 0.0, s), blur))
    s = s.reshape(s.shape[0], -1)
    if groups is None:
        return _cycle(s, missing)
    size = group_size("salient_pairs", s.shape[0], groups)
    return jax.vmap(_cycle)(s.reshape(groups, size, -1), missing.reshape(groups, size))


@one_program()
def _cycle(s: Float[Array, "n positions"], missing: Bool[Array, "n"]) -> Int[Array, "n"]:
    """From the most distant pair on, each example with the most distant one that is left."""
    n = s.shape[0]
    itself = jnp.arange(n, dtype=jnp.int32)
    product = jnp.matmul(s, s.T, precision=jax.lax.Precision.HIGHEST)
    square = jnp.diagonal(product)
    distance = jnp.maximum(square[:, None] + square[None, :] - 2 * product, 0.0)
    distance = jnp.where(jnp.eye(n, dtype=bool), -1.0, distance)
    first, second = jnp.divmod(distance.argmax().astype(jnp.int32), n)

    def step(state: tuple[Array, Array, Array], _: None) -> tuple[Array, Array, Array]:
        pairs, visited, row = state
        farthest = jnp.where(visited, -1.0, distance[row]).argmax().astype(jnp.int32)
        pairs = jnp.where(itself == row, farthest, pairs)
        return pairs, visited | (itself == farthest), farthest

    pairs = jnp.where(itself == first, second, 0)
    visited = (itself == first) | (itself == second)
    start = pairs, visited, second
    pairs, _, last = iterate(step, start, length=max(n - 2, 0), together=8)
    return cut_from_cycles(jnp.where(itself == last, first, pairs), missing)
