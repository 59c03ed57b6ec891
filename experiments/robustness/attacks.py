"""Adversarial examples in the ε-ball of the maximum norm, for inputs in [0, 1].

`logits_fn(x) -> logits` is the model that an attacker can see: the attacked one (white box), or
another one (black box).
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Int, PRNGKeyArray

from experiments.core import metrics

LogitsFn = Callable[[Float[Array, "b ..."]], Float[Array, "b k"]]


def fgsm(
    logits_fn: LogitsFn, x: Float[Array, "b ..."], y: Int[Array, "b"], *, epsilon: ArrayLike
) -> Float[Array, "b ..."]:
    """The fast gradient sign method, one step of ε: x + ε sign(∇ loss)."""
    return iterative(logits_fn, x, y, epsilon=epsilon, steps=1, step_size=epsilon)


def iterative(
    logits_fn: LogitsFn,
    x: Float[Array, "b ..."],
    y: Int[Array, "b"],
    *,
    epsilon: ArrayLike,
    steps: int,
    step_size: ArrayLike,
) -> Float[Array, "b ..."]:
    """I-FGSM: steps of the sign of the gradient, each cut back to the ε-ball."""
    return _ascend(logits_fn, x, x, y, epsilon, steps, step_size)


def pgd(
    key: PRNGKeyArray,
    logits_fn: LogitsFn,
    x: Float[Array, "b ..."],
    y: Int[Array, "b"],
    *,
    epsilon: ArrayLike,
    steps: int,
    step_size: ArrayLike,
) -> Float[Array, "b ..."]:
    """Projected gradient descent: I-FGSM from a random place in the ε-ball."""
    start = jnp.clip(x + epsilon * jax.random.uniform(key, x.shape, x.dtype, -1.0, 1.0), 0, 1)
    return _ascend(logits_fn, start, x, y, epsilon, steps, step_size)


def _ascend(
    logits_fn: LogitsFn,
    start: Array,
    x: Array,
    y: Array,
    epsilon: ArrayLike,
    steps: int,
    step_size: ArrayLike,
) -> Array:
    # ∇ cross-entropy = (1 - p) ∇ -log(p / (1 - p)): the sign is the same, and this one does not
    # vanish for a confident model, which would otherwise look robust.
    gradient = jax.grad(lambda x: -metrics.log_odds(logits_fn(x), y).sum())
    low, high = jnp.maximum(x - epsilon, 0), jnp.minimum(x + epsilon, 1)

    def step(_: int, moved: Array) -> Array:
        return jnp.clip(moved + step_size * jnp.sign(gradient(moved)), low, high)

    return jax.lax.fori_loop(0, steps, step, start)
