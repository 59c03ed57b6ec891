"""Optimal transport: the plan that moves one set of points onto another at the least cost."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Shaped

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
